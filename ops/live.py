"""The live view: header, tree, market, signals, positions, twice a second, on a terminal.

It is a guest: it asks the root for the tree and hears the nodes, like any other client, and the server neither
knows nor needs it. What is not fine stands out and says why; what is not fresh says how old it is.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from actors.rules import gateway as rules
from ops import render
from ops.board import TOPICS, Board
from ops.status import emergency
from supervisor.terminal import age

if TYPE_CHECKING:
    from config.launch import Launch
    from supervisor.runtime.client import Client
    from supervisor.runtime.flight import View

EVERY_S = 0.5
STALE_S = 3.0  # a quote or a status older than this is shown as old
WIDE = 146  # columns from which market and tree stand side by side
MOST_TROUBLES = 5
LOUD = {"HEALTHY": "green", "BUSY": "cyan", "STARTING": "cyan", "STOPPED": "dim", "READY": "green"}


def show(client: Client, home: Path, launch: Launch) -> View:
    """A generator: every `next` hears for half a second, asks and draws once. Closing it restores the terminal."""
    from supervisor.runtime.client import Listener, Unreachable

    console = Console(color_system=None if os.environ.get("NO_COLOR") else "auto", highlight=False)
    listener = Listener(home, TOPICS)
    board = Board()
    status: dict[str, Any] | None = None
    asked_at = 0.0
    try:
        with Live(console=console, auto_refresh=False, screen=False, transient=False, vertical_overflow="crop") as live:
            while True:
                yield
                for heard in listener.hear(EVERY_S, most=20_000):
                    board.absorb(heard, time.monotonic())
                try:
                    answer = client.ask("status", 0.3)
                    if answer.get("ok") is not False:
                        status, asked_at = answer, time.monotonic()
                except Unreachable:
                    pass  # the header says how old the tree is
                now = time.monotonic()
                age_s = now - asked_at if status else None
                drawn = page(status, age_s, board, launch, now, console.width, console.height, emergency(home))
                live.update(drawn, refresh=True)
    finally:
        listener.close()


def page(
    status: dict[str, Any] | None,
    age_s: float | None,
    board: Board,
    launch: Launch,
    now: float,
    width: int,
    height: int = 100,
    stopped: str = "",
) -> RenderableType:
    """The whole screen as one renderable; pure in its arguments."""
    rest: list[RenderableType] = [_market(board, now), Text(), _news(board), _positions(board)]
    top: list[RenderableType] = [_header(status, age_s, board, launch, stopped), *_troubles(status), Text()]
    if width >= WIDE:
        grid = Table.grid(padding=(0, 3, 0, 0))
        grid.add_column(no_wrap=True)
        grid.add_column(ratio=1)
        grid.add_row(_tree(status, groups=True), Group(*rest))
        body: list[RenderableType] = [grid]
    else:
        used = len(top) + len(board.quotes) + len(board.positions()) + len(board.orders) + 10
        room = height - used > len((status or {}).get("children", []))
        body = [_tree(status, groups=room), Text(), *rest]
    return Group(*top, *body, Text("Ctrl-C ends in order", style="dim"))


def _header(status: dict[str, Any] | None, age_s: float | None, board: Board, launch: Launch, stopped: str) -> Text:
    line = Text()
    if status is None:
        line.append("STARTING", style="bold cyan")
        line.append(f"  {launch.mode} mode, waiting for the root")
    else:
        word = rules.word(status)
        line.append(render.summary(status), style="bold green" if word == "HEALTHY" else "bold yellow")
        if age_s is not None and age_s > STALE_S:
            line.append(f"  STALE {age(age_s)}: the root does not answer", style="bold red")
    line.append(f"  http://127.0.0.1:{launch.http_port}", style="dim")
    line.append("\n")
    for name, state in board.accounts.items() or [("account", {})]:
        line.append(f"{name} ")
        line.append_text(_equity(state))
        line.append("  ")
    if board.mode:
        line.append(f"mode {board.mode}", style="green" if board.mode == "RUN" else "bold yellow")
        line.append(f" ({board.mode_reason})  " if board.mode_reason and board.mode != "RUN" else "  ")
    line.append("  ".join(f"{name} {count}" for name, count in board.counts.items()))
    if stopped:
        line.append(f"\n{stopped}", style="bold red")
    return line


def _equity(state: dict[str, Any]) -> Text:
    equity, start = state.get("equity"), state.get("day_start_equity")
    if equity is None:
        unknown = ", ".join(state.get("unknown") or ()) or "not told yet"
        return Text(f"equity unknown ({unknown})", style="yellow")
    text = Text(f"equity {float(equity):,.2f}")
    if start is not None and float(start):
        change = float(equity) - float(start)
        text.append(
            f"  day {change:+,.2f} ({100 * change / float(start):+.3f}%)", style="green" if change >= 0 else "red"
        )
    return text


def _table(*names: str, cut: str = "") -> Table:
    """Columns keep their width; only `cut` gives way on a narrow screen."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold underline")
    for name in names:
        right = name in ("bid", "ask", "age", "basis", "quantity", "entry", "open", "realised", "mailbox")
        table.add_column(name, justify="right" if right else "left", no_wrap=True, overflow="ellipsis")
        if name != cut:
            table.columns[-1].min_width = len(name)
    return table


def _troubles(status: dict[str, Any] | None) -> list[RenderableType]:
    """One line for each child that is not simply fine, the worst first: who, what, why."""
    lines: list[RenderableType] = []
    ending = status is None or rules.word(status) == "STOPPING"  # then everybody is down, as asked
    found = () if status is None or ending else rules.troubles(status)
    for trouble in found[:MOST_TROUBLES]:
        loud = trouble.verdict in rules.ALARMS or trouble.state.upper() in rules.ALARMS
        line = Text("! " if loud else "· ", style="bold red" if loud else "yellow")
        line.append(trouble.sentence(), style="yellow")
        lines.append(line)
    if len(found) > MOST_TROUBLES:
        lines.append(Text(f"  and {len(found) - MOST_TROUBLES} more", style="yellow"))
    return lines


def _tree(status: dict[str, Any] | None, *, groups: bool) -> RenderableType:
    """The tree; without `groups` only the workers, for screens that are not high enough."""
    table = _table("name", "state", "verdict", "restarts", "age", "mailbox")
    for child in render.shown(status or {}):
        name, state, verdict, _, restarts, age, mailbox, _ = render.row(child)
        group = child.get("kind") == "supervisor"
        if group and not groups:
            continue
        loud = not group and (not child.get("ready") or verdict not in rules.CALM)
        table.add_row(
            Text(name if groups else name.strip(), style="dim" if group else "bold yellow" if loud else ""),
            Text(state, style=LOUD.get(state, "red" if state in rules.ALARMS else "yellow")),
            Text(verdict, style=LOUD.get(verdict, "bold red" if verdict in rules.ALARMS else "yellow")),
            Text(restarts, style="" if restarts == "0" else "yellow"),
            Text(age, style="dim"),
            Text(mailbox, style="dim"),
        )
    return table


def _market(board: Board, now: float) -> Table:
    table = _table("market", "bid", "ask", "feed", "age", "basis", "opinion", cut="opinion")
    for (venue, symbol), quote in sorted(board.quotes.items()):
        old_s = None if quote.at is None else now - quote.at
        fresh = quote.status == "LIVE" and old_s is not None and old_s < STALE_S
        base = symbol.split("/")[0]
        table.add_row(
            f"{venue} {base}",
            Text(_price(quote.bid), style="" if fresh else "dim strike"),
            Text(_price(quote.ask), style="" if fresh else "dim strike"),
            Text(quote.status, style="green" if quote.status == "LIVE" else "bold yellow"),
            Text(age(old_s), style="" if fresh else "yellow"),
            board.basis.get(base, "") if ":" in symbol else "",
            quote.opinion,
        )
    return table


def _news(board: Board) -> RenderableType:
    """The last signals and what became of orders."""
    lines: list[RenderableType] = []
    for said in list(board.signals)[:3]:
        line = Text(f"{said['action']:<5}", style="green" if said["action"] == "BUY" else "red")
        line.append(f"{said['symbol']}  {said['reason']}")
        line.no_wrap, line.overflow = True, "ellipsis"
        lines.append(line)
    for text in list(board.orders)[:4]:
        lines.append(Text(text, style="yellow" if text.startswith(("denied", "rejected")) else ""))
    return Group(*lines)


def _positions(board: Board) -> RenderableType:
    rows = board.positions()
    if not rows:
        return Text("no open position" if board.accounts else "", style="dim")
    table = _table("position", "quantity", "entry", "open", "realised")
    for row in rows:
        gain = board.open_gain(row)
        table.add_row(
            str(row["symbol"]),
            str(row["quantity"]),
            str(row["entry_price"]),
            Text(
                "?" if gain is None else f"{gain:+.2f}", style="" if gain is None else "green" if gain >= 0 else "red"
            ),
            str(row["realised"]),
        )
    return table


def _price(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.2f}" if value >= 100 else f"{value:,.4f}"

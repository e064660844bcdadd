"""The status JSON as text for people: one summary line, one table. Pure: values in, strings out.

Colours are plain SGR codes, given only when asked for; a pipe gets none and nothing is cut there. A verdict that is not
HEALTHY stands out and always says why. Scripts should not read this; they have `-o json`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actors.rules.gateway import ALARMS, CALM, word, workers
from supervisor.runtime.explain import FLAGS
from supervisor.terminal import age

BOLD, DIM, RED, YELLOW, GREEN, CYAN, PLAIN = "1", "2", "31", "33", "32", "36", ""
SPOKEN = {"READY": GREEN, "HEALTHY": GREEN, "BUSY": CYAN, "STARTING": CYAN, "STOPPED": DIM}


def paint(text: str, code: str, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour and code else text


def summary(status: dict[str, Any]) -> str:
    """`15/16 ready, 1 quarantined — DEGRADED, sim mode, up 3m20s`."""
    children = workers(status)
    parts = [f"{sum(bool(child.get('ready')) for child in children)}/{len(children)} ready"]
    counts: dict[str, int] = {}
    for child in children:
        state = str(child.get("state", "unknown"))
        if state not in ("ready", "READY"):
            counts[state.lower()] = counts.get(state.lower(), 0) + 1
    parts += [f"{n} {state}" for state, n in sorted(counts.items())]
    bad = sum(1 for child in children if child.get("ready") and child.get("verdict") not in CALM)
    parts += [f"{bad} not healthy"] if bad else []
    server = status.get("server", {})
    flow = f"; {'; '.join(server['flow'])}" if server.get("flow") else ""
    said = f"{', '.join(parts)} — {word(status)}, {server.get('mode', '?')} mode, up {age(server.get('uptime_s'))}"
    return said + flow


def reason(child: dict[str, Any]) -> str:
    """Why it is not simply fine, in one sentence; nothing for a calm child."""
    parts = []
    text = str(child.get("reason") or "")
    if text and (child.get("verdict") not in CALM or not child.get("ready")):
        parts.append(text)
    parts += [FLAGS.get(flag, flag) for flag in child.get("flags") or []]
    if child.get("next_retry_s") is not None:
        parts.append(f"retry in {age(child['next_retry_s'])}")
    return "; ".join(parts)


def shown(status: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of the tree: without its root, which the summary line speaks for."""
    return [child for child in status.get("children", []) if "/" in str(child.get("path", ""))]


def table(status: dict[str, Any], *, wide: bool = False, colour: bool = False, width: int | None = None) -> str:
    """The indented tree. `width` cuts the last column on terminals; pipes pass None and get everything."""
    head = ["NAME", "STATE", "VERDICT", "READY", "RESTARTS", "AGE", "MAILBOX"]
    head += ["PID", "INC", "IN/S", "OUT/S", "CPU", "RSS"] if wide else []
    head.append("REASON")
    children = shown(status)
    lines = [head] + [row(child, wide) for child in children]
    sizes = [max(len(line[i]) for line in lines) for i in range(len(head) - 1)]
    text = []
    for number, line in enumerate(lines):
        cells = [cell.ljust(size) for cell, size in zip(line, sizes, strict=False)]
        used = sum(sizes) + 2 * len(sizes)
        last = line[-1]
        if width is not None and used + len(last) > width:
            last = last[: max(0, width - used - 1)] + "…" if width - used > 8 else ""
        if number:
            child = children[number - 1]
            cells[1] = paint(cells[1], _tone(str(child.get("state", ""))), colour)
            cells[2] = paint(cells[2], _tone(str(child.get("verdict", ""))), colour)
            cells[0] = paint(cells[0], DIM if child.get("kind") == "supervisor" else PLAIN, colour)
        else:
            cells = [paint(cell, BOLD, colour) for cell in cells]
            last = paint(last, BOLD, colour)
        text.append("  ".join([*cells, last]).rstrip())
    return "\n".join(text)


def row(child: dict[str, Any], wide: bool = False) -> list[str]:
    """NAME STATE VERDICT READY RESTARTS AGE MAILBOX [PID INC IN OUT CPU RSS] REASON, as text."""
    depth = max(0, str(child.get("path", "")).count("/") - 1)
    group = child.get("kind") == "supervisor"
    restarts = child.get("restarts") or {}
    mailbox = child.get("mailbox") or {}
    total = int(restarts.get("total") or 0)
    window = int(restarts.get("window") or 0)
    queue = f"{mailbox.get('depth', 0)}" + (f" ({age(mailbox['oldest_s'])})" if mailbox.get("oldest_s") else "")
    cells = [
        "  " * depth + str(child.get("name", "?")),
        str(child.get("state", "?")).upper(),
        str(child.get("verdict") or "-"),
        "-" if group else "yes" if child.get("ready") else "no" if child.get("required") else "no (optional)",
        f"{total} ({window}/{restarts.get('limit')})" if window else str(total),
        age(child.get("age_s")),
        "-" if group else queue,
    ]
    if wide:
        rates = child.get("rates") or {}
        cells += [
            str(child.get("pid") or "-"),
            str(child.get("incarnation") or "-"),
            _number(rates.get("in")),
            _number(rates.get("out")),
            "-" if child.get("cpu_ratio") is None else f"{100 * float(child['cpu_ratio']):.0f}%",
            "-" if child.get("rss_mib") is None else f"{float(child['rss_mib']):.0f}M",
        ]
    return [*cells, reason(child)]


def _number(value: object) -> str:
    return f"{value:.0f}" if isinstance(value, int | float) else "-"


def _tone(name: str) -> str:
    name = name.upper()
    return SPOKEN.get(name, RED if name in ALARMS else YELLOW)


def columns(head: Sequence[str], rows: Sequence[Sequence[object]], indent: str = "") -> str:
    """A plain table: left-aligned, two spaces between columns, the last one open."""
    lines = [[str(cell) for cell in line] for line in [head, *rows]]
    sizes = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        indent + "  ".join(cell.ljust(size) for cell, size in zip(line, sizes, strict=True)).rstrip() for line in lines
    )

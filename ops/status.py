"""`qt status`: the tree, its verdicts and why. Exit 0 all required ready, 3 not, 4 cannot tell."""

from __future__ import annotations

import difflib
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from actors.rules.gateway import all_ready
from ops import render
from supervisor.runtime.verbs import ask_on
from supervisor.terminal import CANNOT_TELL, NOT_READY, OK, Refusal

FORMATS = ("table", "wide", "json")
EVERY_S = 1.0


def run(home: Path, name: str | None, output: str, watch: bool) -> int:
    """Print the status once, or once a second until Ctrl-C; the exit code of the last one."""
    from supervisor.runtime.client import Client

    client = Client(home)
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    try:
        while True:
            try:
                status = ask_on(client, "status")
            except Refusal as refusal:
                if not watch:
                    raise
                code, text = refusal.code, _down(output, str(refusal))
            else:
                chosen = select(status, name)
                code = exit_code(chosen)
                text = show(chosen, output, colour=colour, width=width, stopped=emergency(home))
            if watch and sys.stdout.isatty() and output != "json":
                text = "\x1b[2J\x1b[H" + text
            print(text, flush=True)
            if not watch:
                return code
            time.sleep(EVERY_S)
    except KeyboardInterrupt:
        return OK
    finally:
        client.close()


def select(status: dict[str, Any], name: str | None) -> dict[str, Any]:
    """The status reduced to the child of this name (with what is below it).

    Raises:
        Refusal: CANNOT_TELL for a name nobody has, with the nearest one.
    """
    if name is None:
        return status
    children = status.get("children", [])
    paths = [child["path"] for child in children if name in (child["name"], child["path"])]
    if not paths:
        near = difflib.get_close_matches(name, [child["name"] for child in children], n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise Refusal(CANNOT_TELL, f"no child is called {name!r}{hint}")
    kept = [c for c in children if c["path"] == paths[0] or c["path"].startswith(f"{paths[0]}/")]
    return {**status, "children": kept}


def exit_code(status: dict[str, Any]) -> int:
    return OK if all_ready(status) else NOT_READY


def show(status: dict[str, Any], output: str, *, colour: bool, width: int | None, stopped: str = "") -> str:
    """The document, or the summary line and the table; `stopped` is what the emergency stop says, if anything."""
    if output == "json":
        return json.dumps(status)
    lines = [render.paint(render.summary(status), render.BOLD, colour)]
    aborted = (status.get("server", {}).get("shutdown") or {}).get("aborted")
    if aborted:
        lines.append(render.paint(f"SAFE MODE, the shutdown was aborted: {aborted}", render.RED, colour))
    if stopped:
        lines.append(render.paint(stopped, render.RED, colour))
    return "\n".join([*lines, render.table(status, wide=output == "wide", colour=colour, width=width)])


def emergency(home: Path) -> str:
    """`EMERGENCY STOP LOCKED: day loss` while the latch is not INACTIVE, else nothing."""
    if not (home / "state" / "ess.json").exists():
        return ""
    from actors.latch import read_latch
    from actors.messages.control import EssState

    latch = read_latch(home)
    return "" if latch.state is EssState.INACTIVE else f"EMERGENCY STOP {latch.state}: {latch.reason}"


def _down(output: str, sentence: str) -> str:
    return json.dumps({"schema": 1, "error": sentence}) if output == "json" else sentence

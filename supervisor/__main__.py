"""Any supervision tree from the command line, and nothing else of this project.

    python -m supervisor run package.module:build      a function that returns a SupervisorSpec (or a Draft)
    python -m supervisor check package.module:build    every fault at once, with file and line; starts nothing
    python -m supervisor status | why | events | start | stop | restart | release | add | remove | down

`run` stays on the terminal and says what happens; the tree itself runs under a heart, so that a killed root is back
within two seconds, also when this process is gone. Ctrl-C ends it in order. Exit codes: 0 in order, 1 the order was
refused, 3 not running or a required child is down, 4 cannot tell, 64 usage, 70 gave up, 75 a second server in this
home, 78 faults in the tree.
"""

from __future__ import annotations

import argparse
import difflib
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from supervisor.terminal import BAD_CONFIG, CANNOT_TELL, NOT_READY, OK, USAGE, Refusal, age, command, parse_duration

ORDERS = ("start", "stop", "restart", "release")
HOME = "var"
CALM = ("HEALTHY", "BUSY")
DOWN_S = 40.0
FOLLOW_EVERY_S = 0.2
QUIET = ("starting", "started")  # each is followed by ready, or by why not
REPEATED = ("CRASHED", "CRASH_LOOP", "STARTING", "UNSURE")  # verdicts that say what another record has just said


class Parser(argparse.ArgumentParser):
    """argparse, but wrong use is one sentence and 64."""

    def error(self, message: str) -> NoReturn:
        raise Refusal(USAGE, f"{message}; {self.prog} -h lists what there is")


def parser() -> Parser:
    top = Parser(prog="python -m supervisor", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    verbs = top.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=Parser)

    def verb(name: str, help: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=help, description=help, aliases=["up"] if name == "run" else [])
        added.add_argument("--home", type=Path, default=Path(HOME), help=f"state on disk, ./{HOME} by default")
        return added

    run = verb("run", "run the tree that this function returns")
    run.add_argument("build", metavar="package.module:build")
    run.add_argument("--for", dest="lasts", metavar="DURATION", help="end in order after 90s, 5m, 2h")
    run.add_argument(
        "--time-scale",
        type=float,
        metavar="X",
        help="every beat and every limit of the judge times X: 0.1 lives faster",
    )
    verb("check", "report every fault, start nothing").add_argument("build", metavar="package.module:build")
    status = verb("status", "the tree; exit 0 all required ready, 3 not, 4 cannot tell")
    status.add_argument("name", nargs="?", metavar="NAME")
    verb("why", "the evidence for a verdict, and what was done").add_argument("name", metavar="NAME")
    verb("events", "what happened, oldest first").add_argument("-f", "--follow", action="store_true")
    for order in ORDERS:
        verb(order, f"{order} one child").add_argument("name", metavar="NAME")
    add = verb("add", "start one more child of a dynamic supervisor, from its template")
    add.add_argument("supervisor", metavar="SUPERVISOR")
    add.add_argument("name", metavar="NAME")
    verb("remove", "stop a child that was added, and forget it").add_argument("name", metavar="NAME")
    verb("down", "end the server in order").add_argument("--force", action="store_true", help="also from safe mode")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    try:
        given = parser().parse_args(argv)
        home: Path = given.home.expanduser().absolute()
        if given.verb in ("run", "up"):
            return run(given.build, home, parse_duration(given.lasts) if given.lasts else None, given.time_scale)
        if given.verb == "check":
            return check(given.build)
        if given.verb == "status":
            return status(home, given.name)
        if given.verb == "why":
            return why(home, given.name)
        if given.verb == "events":
            return events(home, given.follow)
        from supervisor.runtime import verbs

        if given.verb == "down":
            return verbs.down(home, DOWN_S, given.force)
        more = {"supervisor": given.supervisor} if given.verb == "add" else {}
        return verbs.order(home, given.verb, given.name, **more)
    except Refusal as refusal:
        print(refusal, file=sys.stderr)
        return refusal.code


def run(build: str, home: Path, for_s: float | None, time_scale: float | None = None) -> int:
    """Compile the tree in a scratch process, start the heart, and stay beside it."""
    from supervisor.runtime import flight

    flight.refuse_second(home, f"end it with {command('down')}, or name another --home")
    try:
        for part in ("run", "logs", "state", "journal", "reports", "vitals"):
            (home / part).mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise Refusal(BAD_CONFIG, f"cannot keep state in {home}: {error.strerror}; name another --home") from error
    faster = [] if time_scale is None else ["--time-scale", str(time_scale)]
    flight.ask_aside(["supervisor.runtime.scratch", "--home", str(home), "--build", build, *faster])
    print(f"starting {build}, home {home}", flush=True)
    return flight.Flight(home, flight.heart_argv(home), log=True).stay(lambda beside: told(beside, home, for_s))


def told(beside: Any, home: Path, for_s: float | None) -> Any:
    """A view (flight.View): what happens, as sentences, until it is over."""
    from supervisor.runtime.flight import LOOK_EVERY_S
    from supervisor.runtime.tail import Tail, sentence

    tail, ready = Tail(home, new_only=True), False
    try:
        while True:
            yield
            for record in tail.read():
                if record.get("kind") not in QUIET and record.get("verdict") not in REPEATED:
                    print(sentence(record), flush=True)
            if not ready and (answer := beside.status()) is not None and is_ready(answer):
                ready = True
                print(summary(answer), flush=True)
            if for_s is not None and time.monotonic() - beside.began > for_s:
                beside.end(f"ending in order: {age(for_s)} are over")
            time.sleep(LOOK_EVERY_S)
    finally:  # the root's last words
        for record in tail.read():
            print(sentence(record), flush=True)
        tail.close()


def check(build: str) -> int:
    """Everything that `run` asks before it starts anything, for a throw-away home."""
    from supervisor.runtime import flight

    with tempfile.TemporaryDirectory(prefix="supervisor-check-") as scratch:
        flight.ask_aside(["supervisor.runtime.scratch", "--check", "--home", scratch, "--build", build])
    print(f"sound: {build}")
    return OK


def status(home: Path, name: str | None) -> int:
    """Print the tree, or one child with what is below it."""
    from supervisor.runtime.verbs import ask

    answer = ask(home, "status")
    if name is not None:
        rows = answer["children"]
        paths = [row["path"] for row in rows if name in (row["name"], row["path"])]
        if not paths:
            near = difflib.get_close_matches(name, [row["name"] for row in rows], n=1, cutoff=0.4)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise Refusal(CANNOT_TELL, f"no child is called {name!r}{hint}")
        kept = [row for row in rows if row["path"] == paths[0] or row["path"].startswith(f"{paths[0]}/")]
        answer = {**answer, "children": kept}
    print(summary(answer))
    print(table(answer["children"]))
    return OK if is_ready(answer) else NOT_READY


def why(home: Path, name: str) -> int:
    """Print all that speaks for and against the verdict on one child."""
    from supervisor.runtime.explain import lines
    from supervisor.runtime.verbs import ask

    print("\n".join(lines(ask(home, "why", name=name), time.time())))
    return OK


def events(home: Path, follow: bool) -> int:
    """What was written down in this home; needs no server."""
    from supervisor.runtime.tail import Tail, sentence

    tail = Tail(home)
    try:
        while True:
            for record in tail.read():
                print(sentence(record), flush=True)
            if not follow:
                return OK
            time.sleep(FOLLOW_EVERY_S)
    except KeyboardInterrupt:
        return OK
    finally:
        tail.close()


def is_ready(answer: dict[str, Any]) -> bool:
    """Every required child is ready; without one all are asked, and in a tree that is still empty its supervisors."""
    asked = [row for row in workers(answer) if row["required"]] or workers(answer) or answer["children"]
    return bool(asked) and all(row["ready"] for row in asked)


def workers(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for row in answer["children"] if row["kind"] != "supervisor"]


def summary(answer: dict[str, Any]) -> str:
    rows = workers(answer)
    return f"ready: {sum(row['ready'] for row in rows)} of {len(rows)}, up {age(answer['server']['uptime_s'])}"


def table(rows: list[dict[str, Any]]) -> str:
    """The indented tree, one line a child; why, where there is something to say."""
    lines = [("NAME", "STATE", "VERDICT", "INC", "RESTARTS", "AGE", "PID", "WHY")]
    for row in rows:
        why = row["reason"] if row["verdict"] not in CALM or not row["ready"] else ""
        if row["next_retry_s"] is not None:
            why = f"{why}; retry in {age(row['next_retry_s'])}".removeprefix("; ")
        indent = "  " * (row["path"].count("/") - rows[0]["path"].count("/"))
        life, restarts = str(row["incarnation"] or "-"), str(row["restarts"]["total"])
        first = (indent + row["name"], row["state"], row["verdict"], life, restarts)
        lines.append((*first, age(row["age_s"]), str(row["pid"] or "-"), why))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


if __name__ == "__main__":
    sys.exit(main())

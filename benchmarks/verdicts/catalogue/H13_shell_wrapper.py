"""H13 The program that is supervised is a shell around the real one: the real one is shot, the shell lives on."""

import os
import shlex
import sys
from signal import SIGKILL

from benchmarks.verdicts.pieces import CROWD, OTHERS
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Check, ChildSpec, ProgramStart
from supervisor.words import VerdictKind

REAL = """import http.server, os, pathlib, sys
pathlib.Path(sys.argv[2]).write_text(str(os.getpid()))
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()"""


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    port = stage.free_port()
    real = shlex.join([sys.executable, "-c", REAL, str(port), str(stage.path("real.pid"))])
    start = ProgramStart(argv=("/bin/sh", "-c", f"cd {shlex.quote(str(stage.folder))}; {real} & sleep 3600; wait"))
    check = Check(target=f"http://127.0.0.1:{port}/", every_s=2.0)
    return (ChildSpec(id="program", start=start, checks=(check,)), *CROWD)


def inject(stage: Stage) -> None:
    stage.until(stage.path("real.pid").exists, "the real program runs")
    stage.sleep(10.0)
    stage.begin()
    os.kill(int(stage.path("real.pid").read_text()), SIGKILL)


SCENARIO = Scenario(
    id="H13",
    title="the supervised pid is a shell around the real program",
    children=children,
    inject=inject,
    truth=Truth(unit="program", kind=VerdictKind.CONFLICT),
    action=(Deed.NOTHING, Deed.RESTART),
    healthy=OTHERS,
    within_s=30.0,
    lasts_s=60.0,
)

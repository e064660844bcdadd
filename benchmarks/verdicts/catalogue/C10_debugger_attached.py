"""C10 A debugger holds every thread of the process at a breakpoint: it may take an hour, and nobody may shoot.

`breakpoint()` left in code cannot wait here, a node has no terminal to ask; so a tracer attaches (ptrace).
"""

from benchmarks.verdicts.pieces import CROWD, OTHERS, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind

SEIZE, INTERRUPT = 0x4206, 0x4207  # linux/ptrace.h: attach without a signal, then stop
TRACER = f"""
import ctypes, os, pathlib, sys, time
ptrace = ctypes.CDLL(None, use_errno=True).ptrace
ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
for thread in os.listdir(f"/proc/{{sys.argv[1]}}/task"):
    for request in ({SEIZE}, {INTERRUPT}):
        if ptrace(request, int(thread), None, None):
            sys.exit(f"ptrace {{thread}}: {{os.strerror(ctypes.get_errno())}}")
pathlib.Path("attached").touch()
time.sleep(3600)
"""


def inject(stage: Stage) -> None:
    stage.stranger(TRACER, str(stage.pid("worker")))
    stage.until(stage.path("attached").exists, "the tracer holds every thread")
    stage.begin()


SCENARIO = Scenario(
    id="C10",
    title="a debugger is attached",
    children=(worker("worker"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.UNSURE, causes=("debug-hold",)),
    action=Deed.NOTHING,
    never=(Deed.RESTART,),
    healthy=OTHERS,
    within_s=12.0,
    lasts_s=60.0,
)

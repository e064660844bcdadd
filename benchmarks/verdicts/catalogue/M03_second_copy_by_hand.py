"""M03 An operator has started a second copy by hand: a process of the same name has the name's lock when ours comes.

Two nodes of one name cannot both act in this house, the lock of the name says who is the newer; so the fault is that
ours cannot start, and its cause is the copy.
"""

from benchmarks.verdicts.pieces import CROWD, OTHERS, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.words import VerdictKind

COPY = """import fcntl, os, pathlib, sys, time
pathlib.Path("/proc/self/comm").write_text("worker")
lock = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
fcntl.flock(lock, fcntl.LOCK_EX)
os.ftruncate(lock, 0)
os.pwrite(lock, f"{os.getpid()}\\n".encode(), 0)
pathlib.Path("held").touch()
time.sleep(3600)"""


def inject(stage: Stage) -> None:
    stage.order("stop", "worker")
    stage.until(lambda: stage.row("worker").get("state") == "stopped", "the worker is down")
    stage.stranger(COPY, str(stage.home / "run" / "worker.lock"))
    stage.until(stage.path("held").exists, "the copy has the lock")
    stage.begin()
    stage.order("start", "worker")


SCENARIO = Scenario(
    id="M03",
    title="a second copy started by hand",
    children=(worker("worker"), *CROWD),
    inject=inject,
    truth=Truth(unit="worker", kind=VerdictKind.CONFLICT, causes=("double",)),
    action=(Deed.PARK, Deed.NOTHING),
    healthy=OTHERS,
    within_s=60.0,
    lasts_s=90.0,
    starts_most=4,
)

"""M01 A process that the last life left behind still holds the port: the next life cannot bind it."""

import signal
import subprocess
from typing import Any

from benchmarks.verdicts.pieces import CROWD, OTHERS, Service, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import ChildSpec
from supervisor.words import VerdictKind


class Server(Service):
    """Its helper inherits the listening socket, as one does that was started carelessly."""

    def init(self, **more: Any) -> None:
        super().init(**more)
        subprocess.Popen(["sleep", "3600"], pass_fds=(self.server.fileno(),))


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    return (worker("service", f"{__name__}:Server", port=stage.free_port()), *CROWD)


def inject(stage: Stage) -> None:
    stage.begin()
    stage.send_signal("service", signal.SIGKILL)


SCENARIO = Scenario(
    id="M01",
    title="the port is held by its own orphan",
    children=children,
    inject=inject,
    truth=Truth(unit="service", kind=VerdictKind.CONFLICT, causes=("own-orphan",)),
    action=Deed.RESTART,
    healthy=OTHERS,
    never=(Deed.PARK,),
    within_s=10.0,
    lasts_s=60.0,
    starts_most=4,
    recovers=True,
)

"""A07 The main thread dies of an exception while a thread that is no daemon keeps the process and its HTTP side up.

In a node the main thread holds the link to the root: the exception is put into it from the actor's thread.
"""

import ctypes
import threading
import time
from typing import Any

from benchmarks.verdicts.pieces import CROWD, OTHERS, Service, once, worker
from benchmarks.verdicts.scenario import Deed, Scenario, Truth
from benchmarks.verdicts.stage import Stage
from supervisor.spec import Check, ChildSpec
from supervisor.words import VerdictKind


class Stubborn(Service):
    def init(self, **more: Any) -> None:
        threading.Thread(target=time.sleep, args=(3600,), name="stubborn").start()
        super().init(**more)

    def work(self) -> None:
        if once():
            main = ctypes.c_ulong(threading.main_thread().ident or 0)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(main, ctypes.py_object(RuntimeError))
        super().work()


def children(stage: Stage) -> tuple[ChildSpec, ...]:
    port = stage.free_port()
    check = Check(target=f"http://127.0.0.1:{port}/health", every_s=2.0)
    return (worker("service", f"{__name__}:Stubborn", port=port, spec={"checks": (check,)}), *CROWD)


def inject(stage: Stage) -> None:
    stage.switch()
    stage.until_taken()


SCENARIO = Scenario(
    id="A07",
    title="the main thread raises, another keeps the process",
    children=children,
    inject=inject,
    truth=Truth(unit="service", kind=VerdictKind.CRASHED),
    action=Deed.RESTART,
    healthy=OTHERS,
    within_s=15.0,
    lasts_s=40.0,
    recovers=True,
)

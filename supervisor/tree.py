"""The tree machine: events in, actions out (under construction: words first)."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from supervisor.moves import (
    Action,
    Answer,
    Boot,
    ChildView,
    Convicted,
    Due,
    Ended,
    Event,
    Exited,
    GiveUp,
    Kill,
    Order,
    Ready,
    Report,
    Shutdown,
    Start,
    Started,
    Stop,
    Verb,
    Wake,
)
from supervisor.spec import SupervisorSpec

__all__ = [
    "Action",
    "Answer",
    "Boot",
    "ChildView",
    "Convicted",
    "Due",
    "Ended",
    "Event",
    "Exited",
    "GiveUp",
    "Kill",
    "Order",
    "Ready",
    "Report",
    "Shutdown",
    "Start",
    "Started",
    "Stop",
    "Tree",
    "Verb",
    "Wake",
]


class Tree:
    """The whole tree as one value that is told things and answers with what to do."""

    def __init__(self, spec: SupervisorSpec, rng: Random, incarnations: Mapping[str, int] | None = None) -> None:
        raise NotImplementedError("the tree machine is being built; its words are final")

    def handle(self, event: Event, now: float) -> list[Action]:
        raise NotImplementedError

    def children(self) -> tuple[ChildView, ...]:
        raise NotImplementedError

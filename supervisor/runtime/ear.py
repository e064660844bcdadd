"""What nodes say to the root that is not about their own lives: wishes of actors, and supervision inside a node.

Every word goes to the part of the root whose affair it is; nothing is decided here.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from supervisor.events import Supervision, SupervisionKind
from supervisor.moves import Report
from supervisor.runtime import link
from supervisor.runtime.life import Life
from supervisor.runtime.monitors import DEATHS, Watcher
from supervisor.system import TO_ROOT, Demonitor, Monitor, PhaseDone, ToRoot

if TYPE_CHECKING:
    from supervisor.runtime.root import Root

_to_root: Any = msgspec.msgpack.Decoder(ToRoot)


class Ear:
    """One per root."""

    def __init__(self, root: Root) -> None:
        self._root = root

    def heard(self, life: Life, word: link.FromNode) -> None:
        match word:
            case link.Ask():
                self._asked(life, word)
            case link.Inside() | link.Obeyed():
                self._root.inside.heard(life, word)
            case link.CanaryAnswered():
                self._root.watch.answered(life.id, word, time.monotonic())
            case link.Happened(record=record):
                self._happened(life, record)
            case link.Farewell(stacks=stacks):
                self._root.convictions.said(life.id, stacks)

    def _asked(self, life: Life, word: link.Ask) -> None:
        root = self._root
        if word.name in TO_ROOT:
            self._on_system(life, _to_root.decode(word.payload))
        elif word.name == "StopServer":
            _, reason, code = msgspec.msgpack.decode(word.payload, type=tuple[str, str, int])
            root.log.info("a child asks to end the server", child=life.id, reason=reason, code=code)
            root.stop(f"{life.id}: {reason}", code)
        else:
            root.log.warning("a child asks for something the root does not know", child=life.id, what=word.name)

    def _on_system(self, life: Life, word: ToRoot) -> None:
        match word:
            case Monitor(actor=actor, token=token, name=name):
                self._root.monitors.add(Watcher(life.id, life.incarnation, actor, token), name)
            case Demonitor(actor=actor, token=token):
                self._root.monitors.drop(Watcher(life.id, life.incarnation, actor, token))
            case PhaseDone():
                self._root.phasing.heard(word)

    def _happened(self, life: Life, record: Supervision) -> None:
        """Supervision inside a node: the same records, in the same places."""
        root = self._root
        record = msgspec.structs.replace(record, path=life.path + record.path[len(life.id) :])
        if record.kind in DEATHS:
            root.monitors.left(life.id, life.incarnation, record.id)
            root.phasing.gone(life.id, life.incarnation, record.detail, record.id)
            if record.exit is not None:
                root.crash_report(record.id, record.incarnation, record.exit, "")
        elif record.kind is SupervisionKind.READY:
            root.phasing.ready(life, record.id)
        root.report(Report(record))

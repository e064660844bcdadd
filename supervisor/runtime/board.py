"""The status as the world sees it: one map of plain values, composed from what the tree, the watch and the kernel know.

The layout is a contract (schema 1): scripts parse it. Ages and waits are seconds from now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from supervisor.events import Cause
from supervisor.evidence.kernel import Memory
from supervisor.moves import ChildView
from supervisor.runtime.records import exit_map, wall
from supervisor.runtime.watch import Seen
from supervisor.verdict import Evidence, Verdict, judge
from supervisor.words import State, VerdictKind

SCHEMA = 1
_NS = 1e-9
_OF_SUPERVISOR = {
    State.READY: VerdictKind.HEALTHY,
    State.STOPPED: VerdictKind.STOPPED,
    State.STOPPING: VerdictKind.STOPPED,
    State.RESTARTING: VerdictKind.CRASHED,
    State.ZOMBIE: VerdictKind.HUNG,
}
_TROUBLED = frozenset({State.STOPPED, State.RESTARTING, State.ZOMBIE})
_UP = frozenset({State.STARTING, State.RUNNING, State.READY, State.STOPPING})


def child_map(
    view: ChildView,
    seen: Seen | None,
    memory: Memory | None,
    now: float,
    parked: Cause | None = None,
    node: Verdict | None = None,
) -> dict[str, Any]:
    """One entry of `children`. `seen` is None for a supervisor and for an actor inside a node: their verdict
    follows from their state, and the reason is how they last ended. `parked`, `node`: as in `unwatched`."""
    verdict = seen.verdict if seen is not None else unwatched(view, parked, node, now)
    kind = verdict.kind if verdict is not None else _OF_SUPERVISOR.get(view.state, VerdictKind.STARTING)
    actors = seen.actors if seen is not None else []
    oldest = min((actor.oldest_queued_ns for actor in actors if actor.oldest_queued_ns), default=0)
    last = view.last_exit.sentence() if view.last_exit is not None and view.state in _TROUBLED else ""
    rates = seen.rates if seen is not None else (0.0, 0.0)
    return {
        "path": view.path,
        "name": view.id,
        "kind": view.kind,
        "state": str(view.state),
        "verdict": str(kind),
        "cause": verdict.cause if verdict is not None else "",
        "reason": verdict.reason if verdict is not None else last,
        "flags": flags(verdict),
        "incarnation": view.incarnation,
        "pid": view.pid,
        "age_s": round(now - view.since, 3) if view.since else 0.0,
        "restarts": {"window": view.restarts_in_window, "limit": view.restart_limit, "total": view.restarts_total},
        "next_retry_s": None if view.next_retry_at is None else round(max(0.0, view.next_retry_at - now), 3),
        "mailbox": {
            "depth": sum(actor.queued for actor in actors),
            "oldest_s": round(max(0.0, now - oldest * _NS), 3) if oldest else None,
        },
        "rates": {"in": round(rates[0], 2), "out": round(rates[1], 2)},
        "cpu_ratio": round(seen.cpu_ratio, 4) if seen is not None else 0.0,
        "rss_mib": round(memory.rss_mib, 1) if memory is not None else None,
        "pss_mib": round(memory.pss_mib, 1) if memory is not None and memory.pss_mib else None,
        "ready": view.ready,
        "required": view.required,
    }


def unwatched(view: ChildView, parked: Cause | None, node: Verdict | None, now: float) -> Verdict | None:
    """What is believed of a supervisor or an actor inside a node, where that is more than its state: `parked` is why it
    was quarantined, as the tree said, and `node` the verdict on the node it lives in, which may name it."""
    if view.state is State.QUARANTINED:
        told = Evidence(
            name=view.id,
            state=view.state,
            incarnation=view.incarnation,
            last_exit=view.last_exit,
            crash_loop=parked is Cause.CRASH_LOOP,
        )
        return msgspec.structs.replace(judge(told, now), since=view.since, cause_since=view.since)
    return node if node is not None and node.actor == view.id and view.state in _UP else None


def flags(verdict: Verdict | None) -> list[str]:
    """What is true of a child beside its verdict: its check sees nothing, or this fault was here before."""
    if verdict is None:
        return []
    return [flag for flag in ("check_blind", "recurrent") if getattr(verdict, flag)]


def aged(row: Mapping[str, Any], view: ChildView, now: float) -> dict[str, Any]:
    """An entry made earlier of the same view, as it reads now."""
    wait_s = None if view.next_retry_at is None else round(max(0.0, view.next_retry_at - now), 3)
    return {**row, "age_s": round(now - view.since, 3), "next_retry_s": wait_s}


def status(
    server: Mapping[str, Any],
    views: Sequence[ChildView],
    seen: Mapping[str, Seen],
    memory: Mapping[int, Memory],
    now: float,
    inside: Callable[[ChildView, float], Iterable[dict[str, Any]]],
    find: Callable[[str], ChildView | None] = lambda _: None,
    parked: Mapping[str, Cause] = MappingProxyType({}),
) -> dict[str, Any]:
    """The whole document, supervisors included, the root supervisor first; what is `inside` a node follows it. `find`
    gives the view of one that is, `parked` why the tree has quarantined whom."""
    children: list[dict[str, Any]] = []
    for view in views:
        known = seen.get(view.id)
        weight = memory.get(view.pid or 0) if known is not None else None
        children.append(child_map(view, known, weight, now, parked.get(view.id)))
        node = known.verdict if known is not None else None
        for row in inside(view, now):
            # its entry was made when it changed; what is believed of it may change without it
            name = row["name"]
            accused = node is not None and node.actor == name
            found = find(name) if accused or row["state"] == State.QUARANTINED else None
            children.append(row if found is None else {**row, **_believed(found, parked.get(name), node, now)})
    return {"schema": SCHEMA, "server": dict(server), "children": children}


def _believed(view: ChildView, parked: Cause | None, node: Verdict | None, now: float) -> dict[str, Any]:
    row = child_map(view, None, None, now, parked, node)
    return {key: row[key] for key in ("verdict", "cause", "reason", "flags")}


def why(
    view: ChildView,
    seen: Seen | None,
    events: list[dict[str, Any]],
    now: float,
    parked: Cause | None = None,
    node: Verdict | None = None,
) -> dict[str, Any]:
    """Everything that speaks for and against the verdict on one unit, what was done, and what comes next. `parked`,
    `node`: as in `unwatched`."""
    verdict = seen.verdict if seen is not None else unwatched(view, parked, node, now)
    restarts = [event for event in events if _is_restart(event)]
    deeds = [event for event in events if event.get("done") or event["kind"] == "remedy"]
    answer: dict[str, Any] = {
        "schema": SCHEMA,
        "ok": True,
        "name": view.id,
        "path": view.path,
        "state": str(view.state),
        "incarnation": view.incarnation,
        "pid": view.pid,
        "verdict": _verdict_map(verdict, now) if verdict is not None else None,
        "last_exit": _exit(view),
        "next_retry_s": None if view.next_retry_at is None else max(0.0, view.next_retry_at - now),
        "events": events,
    }
    if answer["verdict"] is None:
        kind = _OF_SUPERVISOR.get(view.state, VerdictKind.STARTING)
        answer["verdict"] = {"kind": str(kind), "cause": "", "reason": f"{view.id} is {view.state}"}
    told = [event["exit"]["crash"]["traceback"] for event in events if event.get("exit", {}).get("crash")]
    if told and answer["last_exit"] is not None and not answer["last_exit"].get("traceback"):
        answer["last_exit"]["traceback"] = told[-1]  # of an actor inside a node only its records carry it
    if deeds:
        last = deeds[-1]
        answer["last_deed"] = {
            "sentence": last["sentence"],
            "at": last["at"],
            "done": last.get("done") or last["detail"],
            "rule": last.get("rule", ""),
        }
    if restarts:
        answer["last_restart"] = restarts[-1]
        ended = restarts[-1]["incarnation"]
        judged = [event for event in deeds if "evidence_for" in event and event["incarnation"] == ended]
        if judged:
            answer["last_restart"] = {**restarts[-1], "verdict": judged[-1]}
    return answer


def _is_restart(event: dict[str, Any]) -> bool:
    """By the tree itself, or in order: for a person, or for the judge."""
    ordered = event["kind"] == "ordered" and str(event["detail"]).startswith("restart")
    return ordered or bool(event["kind"] == "restarting")


def _exit(view: ChildView) -> dict[str, Any] | None:
    if view.last_exit is None:
        return None
    fields = exit_map(view.last_exit)
    if view.last_exit.crash is not None:
        fields["traceback"] = view.last_exit.crash.traceback
    return fields


def _verdict_map(verdict: Verdict, now: float) -> dict[str, Any]:
    return {
        "kind": str(verdict.kind),
        "cause": verdict.cause,
        "reason": verdict.reason,
        "evidence_for": list(verdict.evidence_for),
        "evidence_against": list(verdict.evidence_against),
        "flags": flags(verdict),
        "rule": verdict.rule,
        "since": wall(verdict.since),
        "age_s": round(max(0.0, now - verdict.since), 3),
        "cause_age_s": round(max(0.0, now - verdict.cause_since), 3),
        "action": str(verdict.action),
        "withheld": verdict.withheld,
        "next_review": max(0.0, verdict.next_review - now),
        "actor": verdict.actor,
    }

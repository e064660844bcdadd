"""What became of one run: its evidence log and the stagehand's marks, folded into one `Outcome`. Pure.

The picture: the referee's sheet, filled in afterwards from the film. It reads what the root believed (`Judged`), what
it did (`Acted`, supervision records) and who died (`Exited`). Which verdict counts:

* *first*: the first that is not calm; *at action*: the one in force when something was first done; *final*: the last
  of the highest rank (2: something is broken; 1: BUSY, OBSERVER_STALL, at least half a second; 0: calm). UNSURE is
  final only where it stands at the end and nothing better was said: a verdict given up on the way is not an answer.
* An end is a kernel fact: the root's word for it is its record. It counts where no judgement followed.

All durations in an outcome are as on a server at its usual pace (measured seconds divided by the scale).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import msgspec

from benchmarks.verdicts.scenario import Deed, Scenario
from supervisor.events import SupervisionKind as Kind
from supervisor.evidence.record import Acted, Anything, Exited, Happened, Judged, Looked
from supervisor.policy.backoff import ceiling_s
from supervisor.spec import Backoff
from supervisor.verdict import Action
from supervisor.words import ExitKind, ExitReason, VerdictKind

LEAST_S = 0.5  # a verdict of rank 1 that stood for less was a passing thought
CALM = frozenset({VerdictKind.HEALTHY, VerdictKind.STARTING, VerdictKind.STOPPED})
MILD = frozenset({VerdictKind.BUSY, VerdictKind.OBSERVER_STALL})
OURS = frozenset({ExitKind.HUNG, ExitKind.START_TIMEOUT, ExitKind.SHUTDOWN})  # ends that the supervisor made
NATIVE = frozenset({4, 6, 7, 8, 11})  # SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV
LUCK = 0.2  # the waits of a backoff add up to so much of their ceilings at least, 99 times in 100
STARTS_MOST = 1000
NOT_YET = frozenset({"not-seen-yet", "no-look", "waiting"})
RESTARTS = frozenset({Deed.ACTOR, Deed.RESTART, Deed.SUBTREE})


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """One verdict that stood from `at` until the next. `word`: the record of an end, not a judgement."""

    at: float
    kind: VerdictKind
    cause: str = ""
    reason: str = ""
    action: Action = Action.NONE
    word: bool = False
    stood_s: float = 0.0


class Marks(msgspec.Struct, frozen=True, kw_only=True):
    """What only the stage knows. Times are CLOCK_MONOTONIC; `node`: the child that hosts the unit, or itself."""

    began_at: float
    ended_at: float
    over_at: float | None = None
    node: str = ""
    scale: float = 1.0
    backoff: Backoff = Backoff()  # of the unit, as on a server at its usual pace
    ordered: tuple[tuple[float, str, str], ...] = ()


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `void`: the scene could not be set up, nothing is counted."""

    id: str
    title: str = ""
    seed: int = 0
    load: str = "idle"
    scale: float = 1.0
    truth: tuple[VerdictKind, ...] = ()
    truth_causes: tuple[str, ...] = ()
    actions: tuple[Deed, ...] = ()
    void: str = ""
    first: str = ""
    first_s: float | None = None
    at_action: str = ""
    action_s: float | None = None
    final: str = ""
    cause: str = ""
    reason: str = ""
    right_s: float | None = None  # until the true kind was first said
    deed: Deed = Deed.NOTHING
    deed_right: bool = False
    named: bool | None = None  # the cause is one of the true words; None: the truth names none, or the kind is wrong
    starts: int = 0
    futile: int = 0
    false_restarts: tuple[str, ...] = ()
    over_scope: bool = False
    bystanders: int = 0
    disturbed: tuple[str, ...] = ()  # healthy bystanders of which something worse than BUSY was believed at the end
    mistakes: int = 0  # times in which something worse than BUSY was believed of a healthy bystander …
    mistaken_s: float = 0.0  # … and their length
    recovered_s: float | None = None
    watched_s: float = 0.0
    units: int = 0


def rank(kind: VerdictKind) -> int:
    if kind in CALM or kind is VerdictKind.UNSURE:
        return 0
    return 1 if kind in MILD else 2


def of_exit(reason: ExitReason) -> tuple[VerdictKind, str] | None:
    """The word for an end that nobody ordered, in the judge's vocabulary; None for one that the supervisor made."""
    if reason.kind in OURS:
        return None
    if reason.kind is ExitKind.NORMAL:
        cause = "exit-0"
    elif reason.signal is not None:
        cause = "native" if reason.signal in NATIVE else "foreign-kill"
    elif reason.crash is not None:
        cause = "exception"
    else:
        cause = "exit-code" if reason.code else str(reason.kind)
    return VerdictKind.CRASHED, cause


def timeline(frames: Iterable[Anything], unit: str, node: str, since: float, until: float) -> list[Said]:
    """What was believed of the unit between two times, the verdict in force at `since` included."""
    said: list[Said] = []

    def add(one: Said) -> None:
        if one.at > until:
            return
        if one.at <= since:
            if not one.word:
                said[:] = [msgspec.structs.replace(one, at=since)]
            return
        last = said[-1] if said else None
        if last is None or (one.kind, one.cause, one.action, one.word) != (
            last.kind, last.cause, last.action, last.word,
        ):  # fmt: skip
            said.append(one)

    for frame in frames:
        match frame:
            case Judged(at=at, verdict=v) if v.name == unit or (v.name == node and v.actor in (unit, "")):
                add(Said(at=at, kind=v.kind, cause=v.cause, reason=v.reason, action=v.action))
            case Exited(at=at, name=name, reason=reason) if name == unit and (word := of_exit(reason)):
                add(Said(at=at, kind=word[0], cause=word[1], reason=reason.sentence(), word=True))
            case Happened(record=r) if r.id == unit and unit != node:  # an actor inside a node: its records are words
                if r.kind is Kind.EXITED and r.exit is not None and (word := of_exit(r.exit)):
                    add(Said(at=r.at, kind=word[0], cause=word[1], reason=r.sentence, word=True))
                elif r.kind is Kind.QUARANTINED:
                    add(Said(at=r.at, kind=VerdictKind.CRASH_LOOP, cause=str(r.cause), reason=r.sentence))
            case _:
                pass
    ends = [*(one.at for one in said[1:]), until] if said else []
    return [msgspec.structs.replace(one, stood_s=max(0.0, end - one.at)) for one, end in zip(said, ends, strict=True)]


def final_of(said: Sequence[Said], scale: float) -> Said | None:
    """The verdict that counts at the end (see above)."""
    judged = [one for one in said if not one.word]
    broken = [one for one in judged if rank(one.kind) == 2]
    if broken:
        return broken[-1]
    words = [one for one in said if one.word]
    if words:
        return words[-1]
    if judged and judged[-1].kind is VerdictKind.UNSURE and judged[-1].cause not in NOT_YET:
        return judged[-1]
    mild: dict[VerdictKind, float] = {}
    for one in judged:
        if rank(one.kind) == 1:
            mild[one.kind] = mild.get(one.kind, 0.0) + one.stood_s
    kind = max(mild, key=lambda key: mild[key], default=None)
    if kind is not None and mild[kind] >= LEAST_S * scale:
        return [one for one in judged if one.kind is kind][-1]
    calm = [one for one in judged if one.kind in CALM]
    return calm[-1] if calm else (judged[-1] if judged else None)


def outcome(scenario: Scenario, marks: Marks, frames: Sequence[Anything], units: int, seed: int, load: str) -> Outcome:
    """The whole sheet of one run."""
    unit, node, scale = scenario.truth.unit, marks.node or scenario.truth.unit, marks.scale
    since, until = marks.began_at, marks.over_at or marks.ended_at
    said = timeline(frames, unit, node, since, until)
    last = final_of(said, scale)
    first = next((one for one in said if one.kind not in CALM and one.cause not in NOT_YET), None)
    kinds = scenario.truth.kinds
    if load != "idle" and VerdictKind.HEALTHY in kinds:
        kinds = (*kinds, VerdictKind.BUSY)  # with so many burners beside it that is no less true
    right = next((one for one in said if one.kind in kinds), None)
    deeds, acted_at = _deeds(frames, unit, node, marks, set(scenario.healthy))
    deed = deeds[-1] if deeds else Deed.NOTHING
    if last is not None and _gates(last) and deed is not Deed.PARK and _held(frames, unit, node, said, marks):
        deed = Deed.GATE  # alive and left alone, or down and held: both stand behind the gate
    before = [one for one in said if acted_at is not None and one.at <= acted_at]
    starts = _starts(frames, unit, marks)
    beside = {name: timeline(frames, name, name, since, marks.ended_at) for name in scenario.healthy}
    mistaken = [_mistakes(told, since) for told in beside.values()]
    wrong = tuple(_false_restarts(scenario, frames, unit, node, marks))
    over = Deed.ACTOR in scenario.actions and deed in (Deed.RESTART, Deed.SUBTREE) and deed not in scenario.actions
    found = last is not None and last.kind in kinds
    named = None
    if found and last is not None and scenario.truth.causes:
        named = any(word in last.cause.lower() for word in scenario.truth.causes)
    return Outcome(
        id=scenario.id,
        title=scenario.title,
        seed=seed,
        load=load,
        scale=scale,
        truth=kinds,
        truth_causes=scenario.truth.causes,
        actions=scenario.actions,
        first=str(first.kind) if first else "",
        first_s=(first.at - since) / scale if first else None,
        at_action=str(before[-1].kind) if before else "",
        action_s=(acted_at - since) / scale if acted_at is not None else None,
        final=str(last.kind) if last else "",
        cause=last.cause if last else "",
        reason=last.reason if last else "",
        right_s=(right.at - since) / scale if right else None,
        deed=deed,
        deed_right=deed in scenario.actions and not wrong and not any(one in scenario.never for one in deeds),
        named=named,
        starts=starts,
        futile=max(0, starts - scenario.starts_most),
        false_restarts=wrong,
        over_scope=over,
        bystanders=len(beside),
        disturbed=tuple(name for name, told in beside.items() if told and rank(told[-1].kind) == 2),
        mistakes=sum(count for count, _ in mistaken),
        mistaken_s=sum(length_s for _, length_s in mistaken) / scale,
        recovered_s=_recovered(frames, node, marks, acted_at),
        watched_s=(marks.ended_at - since) / scale,
        units=units,
    )


def _deeds(
    frames: Sequence[Anything], unit: str, node: str, marks: Marks, healthy: set[str]
) -> tuple[list[Deed], float | None]:
    """What was done to the unit after the fault began, in order, and when it was first done."""
    deeds: list[Deed] = []
    first: float | None = None

    def did(deed: Deed, at: float) -> None:
        nonlocal first
        first = at if first is None else first
        deeds.append(deed)

    taken = False
    for frame in frames:
        match frame:
            case Happened(record=r) if r.at >= marks.began_at and r.at <= marks.ended_at:
                if r.kind is Kind.QUARANTINED and r.id == unit:
                    did(Deed.PARK, r.at)
                elif r.kind is Kind.STARTING and r.id == unit and r.incarnation > 1 and not _asked(marks, unit):
                    did(Deed.ACTOR if unit != node else Deed.RESTART, r.at)
                elif r.kind is Kind.STARTING and r.id == node != unit and r.incarnation > 1:
                    did(Deed.RESTART, r.at)
                elif r.kind is Kind.EXITED and r.id in healthy and not taken:
                    taken = True
                    did(Deed.SUBTREE, r.at)
            case Acted(at=at, name=name, done=done) if name in (unit, node) and done and marks.began_at <= at:
                first = at if first is None else first
            case _:
                pass
    if Deed.PARK in deeds:  # whatever a bystander does later, this one stays parked
        deeds.append(Deed.PARK)
    return deeds, first


def _asked(marks: Marks, unit: str) -> bool:
    return any(name == unit and verb in ("start", "restart", "release") for _, verb, name in marks.ordered)


def _gates(one: Said) -> bool:
    return one.kind is VerdictKind.UPSTREAM and one.action is Action.GATE


def _held(frames: Sequence[Anything], unit: str, node: str, said: Sequence[Said], marks: Marks) -> bool:
    """The gate was more than a word: while the fault lasted no more starts followed than the child's waits explain."""
    since, until = next(one.at for one in said if _gates(one)), marks.over_at or marks.ended_at
    told = [frame.record for frame in frames if isinstance(frame, Happened) and since < frame.record.at <= until]
    started = [record.id for record in told if record.kind is Kind.STARTING]
    most = explained((until - since) / marks.scale, marks.backoff)
    return all(started.count(name) <= most for name in (unit, node))


def explained(within_s: float, backoff: Backoff) -> int:
    """The most starts that a child which waits between its failures makes in this time: one that waits nothing, since
    it had worked, and those whose waits add up to a fifth of their ceilings (half is usual, it is full jitter)."""
    starts, waited_s = 1, 0.0
    while starts < STARTS_MOST and (waited_s := waited_s + LUCK * ceiling_s(backoff, starts, safety=False)) <= within_s:
        starts += 1
    return starts


def _starts(frames: Sequence[Anything], unit: str, marks: Marks) -> int:
    return sum(
        isinstance(frame, Happened) and frame.record.id == unit and frame.record.kind is Kind.STARTING
        for frame in frames
        if not isinstance(frame, Happened) or frame.record.at <= marks.ended_at
    )


def _false_restarts(
    scenario: Scenario, frames: Sequence[Anything], unit: str, node: str, marks: Marks
) -> Iterable[str]:
    """Lives that the supervisor ended without need: of a bystander, or of the unit where no restart is right."""
    curable = bool(RESTARTS & set(scenario.actions))
    ordered = {name for _, _, name in marks.ordered}
    for frame in frames:
        if isinstance(frame, Exited) and marks.began_at <= frame.at <= marks.ended_at and frame.reason.kind in OURS:
            own = frame.name in (unit, node)
            if frame.name not in ordered and frame.name not in scenario.involved and not (own and curable):
                yield f"{frame.name} incarnation {frame.incarnation}: {frame.reason.sentence()}"
    if scenario.truth.kind is VerdictKind.STOPPED and not _asked(marks, unit):
        told = [frame.record for frame in frames if isinstance(frame, Happened) and frame.record.id == unit]
        if any(record.kind is Kind.STARTING and record.at >= marks.began_at for record in told):
            yield f"{unit} was started again although it was asked to be down"


def _accuses(one: Said) -> bool:
    """Something worse than BUSY is believed; the record of an end is no belief."""
    return not one.word and rank(one.kind) == 2


def _mistakes(said: Sequence[Said], since: float) -> tuple[int, float]:
    """How often one that is well was accused, and for how long. What was believed of it when the fault began does not
    count while it stands: it was said of what was before."""
    if said and said[0].at <= since:
        said = list(itertools.dropwhile(_accuses, said))
    accused = [False, *map(_accuses, said)]
    begun = sum(now and not before for before, now in itertools.pairwise(accused))
    return begun, sum(one.stood_s for one in said if _accuses(one))


def _recovered(frames: Sequence[Anything], node: str, marks: Marks, acted_at: float | None) -> float | None:
    """Until useful work was marked again after something was done: MTTR at the function witness."""
    if acted_at is None:
        return None
    for frame in frames:
        if isinstance(frame, Looked) and frame.name == node and frame.look.at > acted_at:
            marked = [actor.last_progress for actor in frame.look.actors if (actor.last_progress or 0.0) > acted_at]
            if marked:
                return (min(mark for mark in marked if mark is not None) - marks.began_at) / marks.scale
    return None

"""The eye of the root: looks at every child, asks the judge, and says what to do. It touches nobody itself.

Once or twice a second it glances at the dials of each node, a few microseconds each. Whoever is
seen to stand still, sits on old work, owes an output, or was reported about, is *restless*: looked at with the kernel's
numbers and judged in every tick. Calm ones get that four times a minute: fifty healthy nodes cost next to nothing.
Its own lateness is part of the evidence: a root that was late saw nothing. What is gathered of one child, and how,
witness.py knows.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from supervisor.events import Cause
from supervisor.evidence import host, record, vitals
from supervisor.evidence.record import Recorder
from supervisor.moves import ChildView
from supervisor.runtime import link
from supervisor.runtime.life import Life
from supervisor.runtime.needs import PREFIX
from supervisor.runtime.witness import CALM, Seen, Witness, samples
from supervisor.spec import ChildSpec
from supervisor.verdict import (
    SEEDS,
    Action,
    CheckResult,
    Evidence,
    Look,
    Observer,
    Verdict,
    correlate,
    judge,
    suspicious,
)
from supervisor.verdict.correlation import CANARY, COSTLY, Trial
from supervisor.verdict.learning import learn
from supervisor.words import ExitKind, State, VerdictKind

TICK_S = 0.1  # the root looks this often …
TICK_CALM_S = 0.25  # … and this often while nobody is restless
KERNEL_EVERY_S = 1.0  # of a restless one without a bad verdict; of one with such a verdict, every time
CALM_EVERY_S = 15.0  # a calm one is looked at and judged in full
GLANCE_EVERY_S = 0.5
GLANCE_MANY_S = 1.0
MANY = 15  # with more children than that each is glanced at half as often
DOWN_EVERY_S = 1.0  # one that is down changes by reports only, but for the words about its next retry
SETTLED_S = 10.0  # a verdict that has stood so long, and is no suspicion of a hang, is judged again …
SETTLED_EVERY_S = 0.5  # … this often
UNEASY_S = 3.5
PING_BEFORE_S = 0.5  # a calm one is pinged so long before its look: nobody wakes for more
CALM_KERNEL_EVERY_S = 25.0  # and its kernel numbers are read at every other look
LOOKS = 100  # restless ones per tick; a look with its judgement costs 0.3 ms
CALM_LOOKS = 4  # calm ones per tick
GLANCES = 100  # per tick, or a quarter of all
UNASKED = frozenset({ExitKind.CRASHED, ExitKind.KILLED, ExitKind.NORMAL, ExitKind.START_FAILED, ExitKind.REFUSED})
NEVER_SETTLED = frozenset({VerdictKind.HUNG, VerdictKind.UNSURE, VerdictKind.STARTING, VerdictKind.OBSERVER_STALL})


class Watch:
    """`tick` once per `tick_s`; `seen[name].verdict` is what is believed now. `find` gives the present view of a name.

    Whom to look at is bounded, so that a thousand children cost little more than ten.
    """

    def __init__(
        self,
        home: Path,
        children: Mapping[str, ChildSpec],
        find: Callable[[str], ChildView | None],
        time_scale: float = 1.0,
    ) -> None:
        self.observer = Observer()
        self.seen: dict[str, Seen] = {}
        self.recorder: Recorder | None = None
        self.scale, self.tick_s = time_scale, TICK_S * time_scale
        self.timing = SEEDS.scaled(time_scale)
        self.witness = Witness(home, self.seen, find, self._fold, time_scale)
        self.parked: dict[str, Cause] = self.witness.parked  # why a child was last quarantined, as the tree said
        self._home, self._find = home, find
        self._restless: dict[str, None] = {}
        self._turns, self._glances = _Ring(self.seen), _Ring(self.seen)
        self._owed = 0.0  # calm looks that are due
        self._ticked_at = 0.0
        self._glanced_at = 0.0
        self._pinged: deque[tuple[float, str]] = deque()  # calm ones that are looked at then
        self._asleep = host.asleep_s()
        self._trial: Trial | None = None  # the last one that was tried out when many were accused
        for id, spec in children.items():
            self.know(id, spec)

    def know(self, id: str, spec: ChildSpec) -> None:
        """A new life begins: of a child known or not known yet, by this spec. Old answers say nothing about it."""
        seen = self.seen.get(id)
        if seen is None:
            reader = vitals.Reader(self._home / "vitals" / vitals.file_name(id), self.scale)
            self.seen[id] = Seen(spec=spec, reader=reader)
        else:
            seen.spec, seen.checks, seen.promises, seen.calls, seen.rhythms = spec, {}, [], {}, {}
        self.witness.know(id, spec)
        self.touch(id)

    def forget(self, id: str) -> tuple[str, ...]:
        """This child is no more; which questions about dependencies nobody has any longer."""
        if self.seen.pop(id, None) is None:
            return ()
        self._restless.pop(id, None)
        return self.witness.forget(id)

    def touch(self, id: str) -> None:
        """Something was reported of it: look at it in the next tick."""
        if id in self.seen:
            self.seen[id].judged_at = 0.0
            self._restless[id] = None

    def tick(self, due: float, now: float, lives: Mapping[str, Life]) -> list[tuple[Verdict, Verdict | None]]:
        """Look and judge. Returns (verdict, the one before) of every child that was judged in this tick."""
        self._observe(due, now)
        elapsed_s, self._ticked_at = min(1.0, now - self._ticked_at), now
        self._owed = min(CALM_LOOKS, self._owed + len(self.seen) * elapsed_s / (CALM_EVERY_S * self.scale))
        self._glance_at_some(now, lives)
        self._question(now, lives)
        judged: dict[str, Verdict] = {}
        before: dict[str, Verdict | None] = {}
        told: dict[str, Evidence] = {}
        for id in self._due(now, lives):
            view, seen, life = self._find(id), self.seen[id], lives.get(id)
            if view is None:
                self._restless.pop(id, None)
                continue
            suspect = seen.verdict is None or seen.verdict.kind not in CALM
            if life is not None and life.pid is not None:
                every_s = (KERNEL_EVERY_S if id in self._restless else CALM_KERNEL_EVERY_S) * self.scale
                self.witness.look(seen, life, life.pid, now, suspect=suspect, kernel_every_s=every_s)
            elif seen.actors:
                seen.actors, seen.rates, seen.cpu_ratio = [], (0.0, 0.0), 0.0
            before[id] = seen.verdict
            told[id] = evidence = self.witness.evidence(view, seen, life, self.observer, now)
            judged[id] = judge(evidence, now, seen.verdict)
            seen.judged_at = now
        result = []
        for id, verdict in self._calmed(judged, told, lives, now).items():
            seen = self.seen[id]
            seen.learned = learn(seen.learned, told[id], verdict, seen.verdict, now)
            seen.verdict = verdict
            if seen.spec.depends or seen.calls:
                self.witness.needs.suspected(id, seen.spec, verdict.kind not in CALM)
            if self.recorder is not None:
                self.recorder.judged(now, told[id], verdict)
            if verdict.kind in CALM and now >= seen.uneasy_until:
                self._restless.pop(id, None)
                seen.verdict = verdict = msgspec.structs.replace(verdict, next_review=now + CALM_EVERY_S * self.scale)
            else:
                self._restless[id] = None
            result.append((verdict, before[id]))
        return result

    def ended(self, id: str, now: float) -> tuple[Verdict, Verdict | None] | None:
        """What to think of an end that was followed by the next life at once, so that no tick finds it down; None: it
        is down, or was asked to be, and the ticks see to it. Nothing is to be done for it any more."""
        view, seen = self._find(id), self.seen.get(id)
        if view is None or seen is None or view.last_exit is None or view.last_exit.kind not in UNASKED:
            return None
        if view.state not in (State.STARTING, State.WAITING):
            return None
        before = seen.verdict
        told = self.witness.evidence(
            msgspec.structs.replace(view, state=State.RESTARTING, next_retry_at=now), seen, None, self.observer, now
        )
        verdict = judge(told, now, before)
        if verdict.action in COSTLY:
            verdict = msgspec.structs.replace(verdict, action=Action.NONE)
        seen.verdict = verdict
        if self.recorder is not None:
            self.recorder.judged(now, told, verdict)
        return verdict, before

    def heard(self, answer: CheckResult) -> None:
        """An answer to a declared check, or to a question to a dependency."""
        if answer.child.startswith(PREFIX):
            for id in self.witness.needs.heard(answer):
                self.touch(id)
            return
        seen = self.seen.get(answer.child)
        if seen is not None:
            seen.checks[(answer.kind, answer.target)] = answer
            if not answer.ok:
                self.touch(answer.child)

    def answered(self, id: str, word: link.CanaryAnswered, now: float) -> None:
        """An answer to a canary."""
        if self.witness.questions.answered(id, word, now):
            self.touch(id)

    def freshen(self, now: float, lives: Mapping[str, Life]) -> None:
        """Dials and rates as they are now, for somebody who asks."""
        for id, life in lives.items():
            seen = self.seen.get(id)
            if seen is not None and life.is_node and now - seen.judged_at >= self.tick_s:
                seen.actors = seen.reader.read(life.incarnation)
                self.witness.count(seen, now)

    @property
    def pause_s(self) -> float:
        """How long until the next tick."""
        return self.tick_s if self._restless else TICK_CALM_S * self.scale

    def worked(self, id: str, incarnation: int) -> bool:
        """Whether an actor of this incarnation marked progress after it was ready. The page outlives its writer."""
        seen = self.seen.get(id)
        if seen is None:
            return False
        return any(0 < actor.ready_ns < actor.last_progress_ns for actor in seen.reader.read(incarnation))

    def wants_pings(self) -> tuple[str, ...]:
        """Whom to ping this second: the restless. A calm one is pinged before its look."""
        return tuple(self._restless)

    def _observe(self, due: float, now: float) -> None:
        asleep = host.asleep_s()
        asleep_s, self._asleep = max(0.0, asleep - self._asleep), asleep
        stalled_until = self.observer.valid_since
        self.observer = self.observer.tick(due, now, asleep_s=asleep_s, timing=self.timing)
        if self.observer.valid_since > stalled_until:  # of nobody is known what it did meanwhile
            for id in self.seen:
                self.touch(id)
        if self.recorder is not None:
            self.recorder.write(record.Tick(due=due, now=now, asleep_s=asleep_s))
            self.recorder.flush(now)

    def _due(self, now: float, lives: Mapping[str, Life]) -> list[str]:
        """Whom to look at in this tick: at most `LOOKS` restless ones, longest waiting first, and a few calm ones."""
        chosen = list(itertools.islice(self._restless, LOOKS))
        if len(self._restless) > LOOKS:
            for id in chosen:  # to the end of the line
                del self._restless[id]
                self._restless[id] = None
        chosen = [id for id in chosen if now - self.seen[id].judged_at >= self._patience(id, now, lives)]
        while self._pinged and now >= self._pinged[0][0]:
            id = self._pinged.popleft()[1]
            if id in self.seen and id not in self._restless:
                chosen.append(id)
        if self._owed >= min(CALM_LOOKS, len(self.seen)):  # several at once: a cold processor costs more than the work
            for id in self._turns.next(int(self._owed)):
                self._owed -= 1.0
                if id not in self._restless:
                    self._pinged.append((now + PING_BEFORE_S * self.scale, id))
                    if id in lives:
                        lives[id].ping(now)
        return chosen

    def _patience(self, id: str, now: float, lives: Mapping[str, Life]) -> float:
        """How long after its last judgement a restless one is judged again."""
        verdict = self.seen[id].verdict
        if id not in lives:
            return DOWN_EVERY_S * self.scale
        if verdict is None or verdict.kind in NEVER_SETTLED or now - verdict.cause_since < SETTLED_S * self.scale:
            return 0.0
        return SETTLED_EVERY_S * self.scale if now >= self.seen[id].uneasy_until else 0.0

    def _glance_at_some(self, now: float, lives: Mapping[str, Life]) -> None:
        """Once or twice a second at each, many at once: what is warm costs a tenth of what is cold."""
        if not self._glances.left:
            every_s = GLANCE_EVERY_S if len(self.seen) <= MANY else GLANCE_MANY_S
            if now - self._glanced_at < every_s * self.scale - self.tick_s / 2:
                return
            self._glanced_at = now
        for id in self._glances.next(max(GLANCES, math.ceil(len(self.seen) / 4))):
            life, seen = lives.get(id), self.seen[id]
            if life is None or not life.is_node or seen.reader.calm(life.incarnation, now):
                continue
            if id not in self._restless:  # what the glances saw last belongs to its history: it was not looked at since
                at, actors = seen.reader.baseline()
                if actors and at > seen.history.at:
                    self._fold(seen, Look(at=at, incarnation=life.incarnation, actors=samples(actors)))
                life.ping(now)
                self._restless[id] = None
            seen.uneasy_until = now + UNEASY_S * self.scale

    def _question(self, now: float, lives: Mapping[str, Life]) -> None:
        """Canaries that are due; and who left something behind."""

        def awake(id: str) -> Life | None:
            life, seen = lives.get(id), self.seen[id]
            if life is None or life.ready_at is None or not seen.reader.turning(now):
                return None
            return life

        self.witness.questions.ask(now, awake)
        for id in self.witness.questions.late(now):
            self._restless[id] = None
        leftovers = self.witness.leftovers
        if leftovers.wants(now):
            born = {id: life.incarnation for id, life in lives.items()}
            births = any(life.pid is None for life in lives.values())
            for id in leftovers.look(now, born, births):
                self.touch(id)

    def _calmed(
        self, judged: dict[str, Verdict], told: Mapping[str, Evidence], lives: Mapping[str, Life], now: float
    ) -> dict[str, Verdict]:
        """With the eye on all that live: many suspects at once are one event. Nobody accused, nothing to compare."""
        if not any(suspicious(verdict) for verdict in judged.values()):
            return judged
        live = {
            id: judged.get(id) or self.seen[id].verdict for id, life in lives.items() if life.pid and id in self.seen
        }
        verdicts = {id: verdict for id, verdict in live.items() if verdict is not None}
        calmed = correlate(verdicts, now, self.timing, told, self._trial)
        for id in judged:
            if id in calmed and calmed[id].rule == CANARY and calmed[id].action in COSTLY:
                self._trial = Trial(id, now)
        return {id: calmed.get(id, verdict) for id, verdict in judged.items()}

    def _fold(self, seen: Seen, look: Look) -> None:
        seen.history = seen.history.add(look, self.timing)
        if self.recorder is not None:
            self.recorder.write(record.Looked(name=seen.spec.id, look=look))


class _Ring:
    """Names of a dictionary in turn, a few at a time; those that come and go are no trouble."""

    def __init__(self, names: Mapping[str, object]) -> None:
        self._names = names
        self._left: deque[str] = deque()  # of this round

    @property
    def left(self) -> bool:
        """Whether this round is not over."""
        return bool(self._left)

    def next(self, most: int) -> list[str]:
        """The next few, fewer at the end of a round."""
        if not self._left:
            self._left.extend(self._names)
        found: list[str] = []
        while self._left and len(found) < most:
            id = self._left.popleft()
            if id in self._names:
                found.append(id)
        return found


__all__ = ["TICK_S", "Seen", "Watch"]

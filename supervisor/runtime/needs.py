"""What children cannot work without: each dependency is known once, asked by us, and told of by all who use it.

The picture: one phone number on many desks. Whoever gets no answer says so (`ctx.outcome`), and then the house itself
calls the number (the declared check of the dependency): in a slow rhythm while nobody complains, at once and in its own
as soon as somebody does, or stands still without a word. Who is at fault the judge says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from supervisor.evidence.tables import DependencyVitals
from supervisor.moves import ChildView
from supervisor.spec import Check, ChildSpec, Dependency, members
from supervisor.verdict import CheckResult
from supervisor.verdict.evidence import DependencySample

PREFIX = "needs "  # no child has a space in its name, so no answer is taken for one to a child's own check
CALM_S = 10.0  # how often a dependency is asked while nobody complains
OLD = 3.0  # times its rhythm: an older answer is none
_NS = 1e-9


class _Need(msgspec.Struct, kw_only=True):
    declared: Dependency
    users: set[str]
    suspects: set[str] = msgspec.field(default_factory=set)  # users that are not well, for whatever reason
    answer: CheckResult | None = None
    hurried: bool = False


class Needs:
    """`pace` is `Checks.pace`, set by the root. `failing` of a user: its last real call failed, or it died of it."""

    def __init__(self, time_scale: float, find: Callable[[str], ChildView | None]) -> None:
        self.pace: Callable[[str, float | None], None] = lambda key, every_s: None
        self._calm_s, self._find = CALM_S * time_scale, find
        self._needs: dict[str, _Need] = {}
        self._failing: dict[str, set[str]] = {}  # name of the dependency -> users

    def know(self, id: str, spec: ChildSpec) -> dict[str, tuple[Check, ...]]:
        """This child, and those inside it, depend on these; what the checks machinery has to declare."""
        found: dict[str, tuple[Check, ...]] = {}
        for dependency in declared_by(spec):
            need = self._needs.get(dependency.name)
            if need is None:
                need = self._needs[dependency.name] = _Need(declared=dependency, users=set())
            if need.declared.check is None or not need.declared.child:  # one says how to ask, another who provides it
                need.declared = msgspec.structs.replace(
                    need.declared,
                    check=need.declared.check or dependency.check,
                    child=need.declared.child or dependency.child,
                )
            need.users.add(id)
            if need.declared.check is not None:
                found[PREFIX + dependency.name] = (need.declared.check,)
        return found

    def forget(self, id: str) -> tuple[str, ...]:
        """This child is no more; which questions nobody has any longer."""
        for users in self._failing.values():
            users.discard(id)
        for need in self._needs.values():
            need.users.discard(id)
            need.suspects.discard(id)
        idle = [name for name, need in self._needs.items() if not need.users]
        for name in idle:
            del self._needs[name]
            self._failing.pop(name, None)
        return tuple(PREFIX + name for name in idle)

    def heard(self, answer: CheckResult) -> tuple[str, ...]:
        """Our own question was answered; whose evidence this changes."""
        need = self._needs.get(answer.child.removeprefix(PREFIX))
        if need is None:
            return ()
        before, need.answer = need.answer, answer
        return tuple(need.users) if before is None or before.ok != answer.ok else ()

    def told(self, id: str, spec: ChildSpec, calls: Mapping[str, DependencyVitals], died_of_it: bool) -> None:
        """What this user says of its real calls; `died_of_it`: it is down, and its end looks like somebody else's."""
        for dependency in declared_by(spec):
            name, failing = dependency.name, self._failing.setdefault(dependency.name, set())
            call = calls.get(name)
            (failing.add if died_of_it or (call is not None and call.in_a_row > 0) else failing.discard)(id)
            self._hurry(name)

    def suspected(self, id: str, spec: ChildSpec, suspect: bool) -> None:
        """This user is not well, or is again: whether what it leans on is, is asked before anybody judges."""
        for dependency in declared_by(spec):
            need = self._needs.get(dependency.name)
            if need is not None and (id in need.suspects) != suspect:
                (need.suspects.add if suspect else need.suspects.discard)(id)
                self._hurry(dependency.name)

    def _hurry(self, name: str) -> None:
        need = self._needs.get(name)
        if need is None or need.declared.check is None:
            return
        hurry = bool(self._failing.get(name)) or bool(need.suspects)
        if need.hurried != hurry:
            need.hurried = hurry
            self.pace(PREFIX + name, None if hurry else max(self._calm_s, need.declared.check.every_s))

    def calm_pace(self, key: str) -> None:
        """Nobody has complained yet."""
        need = self._needs.get(key.removeprefix(PREFIX))
        if need is not None and need.declared.check is not None and not need.hurried:
            self.pace(key, max(self._calm_s, need.declared.check.every_s))

    def samples(
        self, spec: ChildSpec, calls: Mapping[str, DependencyVitals], now: float
    ) -> tuple[DependencySample, ...]:
        """All that is known of what this child depends on."""
        found = []
        for dependency in declared_by(spec):
            need = self._needs.get(dependency.name)
            if need is None:
                continue
            answer, call, owner = need.answer, calls.get(dependency.name), need.declared.child
            if answer is not None and now - answer.at > OLD * max(self._calm_s, answer.every_s):
                answer = None
            provider = self._find(owner) if owner else None
            found.append(
                DependencySample(
                    name=dependency.name,
                    probe_ok=answer.ok if answer is not None else None,
                    probe_at=answer.at if answer is not None else None,
                    probe_detail=answer.detail or answer.reason if answer is not None else "",
                    owner=owner,
                    owner_up=provider.ready if provider is not None else (False if owner else None),
                    used_ok_at=call.ok_at_ns * _NS if call is not None and call.ok_at_ns else None,
                    used_failed_at=call.failed_at_ns * _NS if call is not None and call.failed_at_ns else None,
                    failures=call.in_a_row if call is not None else 0,
                    error=call.error if call is not None else "",
                    cause=call.cause if call is not None else "",
                    users=len(need.users),
                    users_failing=len(self._failing.get(dependency.name, ())),
                )
            )
        return tuple(found)


def declared_by(spec: ChildSpec) -> tuple[Dependency, ...]:
    """What a child depends on, with what the actors inside it do, each name once."""
    found = {dependency.name: dependency for dependency in spec.depends}
    for _, member in members(spec):
        for dependency in member.depends:
            found.setdefault(dependency.name, dependency)
    return tuple(found.values())

"""The laws of the tree under any history: Hypothesis plays the world, the judge in `tree_world` watches every turn.

Drawn are trees to a depth of three with every strategy, restart type and answer to a spent budget, OTP's law and ours
and mixtures, dynamic supervisors that remember or not, significant children; and then anything that can happen. The
judge's laws: no two live incarnations of one child, stop order is the reverse of start order, nothing starts into a
group that falls, no restart beyond a budget, a quarantined child touches no sibling, a card leaves only when its child
is dead, each order is answered once, the view tells what lives; and at the end: it comes to rest, shutdown ends.
"""

from __future__ import annotations

from itertools import count
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from supervisor.spec import OTP, Backoff, Budget, ChildSpec, Law, SupervisorSpec, supervise
from supervisor.tree import Due, Exited, Ready, Shutdown, Started
from supervisor.words import AutoShutdown, ExitKind, ExitReason, OnExhausted, Restart, State, Strategy
from tests.supervisor.tree_world import ASKED, World, leaf, pool

REASONS = [
    ExitReason(kind=kind, fingerprint=print_)
    for kind in (ExitKind.NORMAL, ExitKind.SHUTDOWN, ExitKind.CRASHED, ExitKind.KILLED, ExitKind.REFUSED)
    for print_ in ("one", "two")
]
AT_REST = {State.READY, State.STOPPED, State.QUARANTINED}
children = st.fixed_dictionaries(
    {
        "restart": st.sampled_from(Restart),
        "on_exhausted": st.sampled_from(OnExhausted),
        "safety": st.booleans(),
        "shutdown_s": st.sampled_from([0.0, 5.0, float("inf")]),
        "budget": st.builds(Budget, intensity=st.integers(0, 4), period_s=st.sampled_from([5.0, 100.0])),
        "start_timeout_s": st.sampled_from([3.0, 60.0]),
        "backoff": st.builds(
            Backoff, initial_s=st.sampled_from([0.0, 0.5]), cap_s=st.just(2.0), reset_after_s=st.just(4.0)
        ),
        "required": st.booleans(),
    }
)
laws = st.one_of(st.just(Law()), st.just(OTP), st.builds(Law, **dict.fromkeys(Law.__struct_fields__, st.booleans())))
supervisors = st.fixed_dictionaries(
    {
        "strategy": st.sampled_from(Strategy),
        "intensity": st.integers(0, 6),
        "period_s": st.sampled_from([5.0, 100.0]),
        "restart": st.sampled_from([Restart.PERMANENT, Restart.TRANSIENT, Restart.TEMPORARY]),
        "on_exhausted": st.sampled_from(OnExhausted),
        "backoff": st.builds(Backoff, initial_s=st.sampled_from([0.0, 1.0])),
        "law": laws,
    }
)


@st.composite
def trees(draw: st.DrawFn) -> SupervisorSpec:
    names = (f"c{number}" for number in count(1))

    def some(name: str, depth: int, mode: AutoShutdown, guarded: bool) -> SupervisorSpec:
        """`mode`: the auto_shutdown of the supervisor above; `guarded`: none above has one, so safety may be below."""
        fields = draw(supervisors)
        own = AutoShutdown.NEVER
        if draw(st.integers(0, 2)) == 0:
            own = draw(st.sampled_from(AutoShutdown))
        guarded = guarded and own is AutoShutdown.NEVER
        if name != "root" and mode is not AutoShutdown.NEVER and fields["restart"] is not Restart.PERMANENT:
            fields["significant"] = draw(st.booleans())
        if name != "root" and draw(st.integers(0, 3)) == 0:
            fields["strategy"] = Strategy.ONE_FOR_ONE
            template = leaf("any", **{**draw(children), "safety": guarded and draw(st.booleans())})
            return pool(name, **fields, template=template, max_children=3, remembers=draw(st.booleans()))
        items: list[ChildSpec | SupervisorSpec] = []
        for _ in range(draw(st.integers(1, 4))):
            here = next(names)
            if depth and draw(st.integers(0, 2)) == 0:
                items.append(some(f"s{here[1:]}", depth - 1, own, guarded))
            else:
                child: dict[str, Any] = draw(children)
                child["safety"] = guarded and child["safety"] and draw(st.booleans())
                if own is not AutoShutdown.NEVER and child["restart"] is not Restart.PERMANENT:
                    child["significant"] = draw(st.booleans())
                items.append(leaf(here, **child))
        return supervise(name, fields.pop("strategy"), items, auto_shutdown=own, **fields)

    return some("root", 2, AutoShutdown.NEVER, guarded=True)


class AnyHistory(RuleBasedStateMachine):
    @initialize(spec=trees(), seed=st.integers(0, 9), boots=st.booleans())
    def begin(self, spec: SupervisorSpec, seed: int, boots: bool) -> None:
        self.world = World(spec, seed=seed)
        if boots:
            self.world.boot()

    def some_process(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.world.processes)))

    @precondition(lambda self: self.world.processes)
    @rule(data=st.data())
    def becomes_ready(self, data: st.DataObject) -> None:
        name = self.some_process(data)
        if not self.world.processes[name].ready:
            self.world.up(name)

    @precondition(lambda self: self.world.processes)
    @rule(data=st.data(), reason=st.sampled_from(REASONS), worked=st.booleans(), inputs=st.sampled_from(["", "new"]))
    def dies_by_itself(self, data: st.DataObject, reason: ExitReason, worked: bool, inputs: str) -> None:
        name = self.some_process(data)
        self.world.die(name, reason, worked=worked and self.world.processes[name].ready, inputs=inputs)

    @precondition(lambda self: any(p.told for p in self.world.processes.values()))
    @rule(data=st.data())
    def a_death_is_confirmed(self, data: st.DataObject) -> None:
        told = sorted(name for name, process in self.world.processes.items() if process.told)
        self.world.die(data.draw(st.sampled_from(told)), ASKED)

    @rule(seconds=st.sampled_from([0.0, 0.3, 1.0, 4.0, 30.0, 200.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.wait(seconds)

    @rule(data=st.data())
    def a_timer_comes_for_nothing(self, data: st.DataObject) -> None:
        self.world.tell(Due(data.draw(st.sampled_from(self.world.order))))

    @precondition(lambda self: self.world.leaves)
    @rule(data=st.data(), back=st.integers(0, 2))
    def an_echo_changes_nothing(self, data: st.DataObject, back: int) -> None:
        name = data.draw(st.sampled_from(sorted(self.world.leaves)))
        alive = name in self.world.processes
        old = self.world.counted.get(name, 0) - back - (1 if alive else 0)
        self.world.tell(Due("nobody"))  # the view is as of the last event
        before = self.world.tree.children()
        for echo in (Started(name, old, 1), Ready(name, old), Exited(name, old, ASKED, worked=False)):
            assert self.world.tell(echo) == []
        assert self.world.tree.children() == before

    @precondition(lambda self: self.world.processes)
    @rule(data=st.data())
    def is_convicted(self, data: st.DataObject) -> None:
        self.world.convict(self.some_process(data))

    @rule(data=st.data(), verb=st.sampled_from(["start", "stop", "restart", "release"]))
    def an_operator_orders(self, data: st.DataObject, verb: str) -> None:
        name = data.draw(st.sampled_from([*self.world.order, "nobody"]))
        answer = self.world.order_(verb, name)
        assert answer.text
        assert "{" not in answer.text

    @rule(data=st.data(), n=st.integers(1, 5), whole=st.booleans(), fields=children)
    def a_child_is_added(self, data: st.DataObject, n: int, whole: bool, fields: dict[str, Any]) -> None:
        above = data.draw(st.sampled_from(sorted(self.world.supervisors)))
        answer = self.world.add(above, leaf(f"x{n}", **fields) if whole else f"x{n}")
        assert "{" not in answer.text

    @rule(data=st.data())
    def a_child_is_removed(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from([*self.world.order, "nobody"]))
        assert "{" not in self.world.remove(name).text

    @rule()
    def everything_flows(self) -> None:
        self.world.flow()

    @precondition(lambda self: len(self.world.actions) > 120)
    @rule(within_s=st.sampled_from([1.0, float("inf")]))
    def the_server_is_shut_down(self, within_s: float) -> None:
        self.world.tell(Shutdown("enough", within_s))

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        world = self.world
        for _ in range(200):  # whatever happened: undisturbed, the tree comes to rest
            world.flow()
            if not (pending := [v for v in world.tree.children() if v.state is State.RESTARTING]):
                break
            world.wait_until(min(v.next_retry_at or 0.0 for v in pending))
        else:
            raise AssertionError(f"never at rest: {world.states()}")
        restless = {view.id: view.state for view in world.tree.children() if view.state not in AT_REST}
        assert not restless, restless
        world.tell(Shutdown("the end", 5.0))
        world.flow()
        assert world.ended == 1, "shutdown ends, once"
        assert not world.processes


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(
    max_examples=120,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],  # explaining takes longer than the timeout
)

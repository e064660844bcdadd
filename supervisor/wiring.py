"""The wiring audit: who says what to whom, checked before anything starts.

Pure. Given what every actor class declares, it answers with the address book (routes) or with sentences that name both
ends of every fault: a word nobody says, a word nobody hears, a promise of a word the actor does not say, or of one that
depends on an input which may come more rarely.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence

import msgspec

from supervisor.message import Delivery, Message
from supervisor.plan import Route, endpoint_of
from supervisor.spec import Promise


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """What one actor says about itself. `subscribes` and `publishes` are message classes."""

    name: str
    added: bool = False  # a template: its children come at run time, hear everybody, and stand in nobody's address book
    node: str = ""  # the child whose process and socket it lives in, where that is another one
    place: Callable[[], str] = str  # where its class stands, "file:line "; asked only when there is a fault
    subscribes: tuple[type[Message], ...] = ()
    publishes: tuple[type[Message], ...] = ()
    promises: tuple[Promise, ...] = ()


def audit(children: Sequence[Declared], outside: Iterable[str] = ()) -> list[str]:
    """Every fault as one sentence, `[]` when each word has a speaker and a hearer.

    `outside` names classes whose other end lies outside the tree, the hearer (`qt tail`, the live view) or the speaker
    (a simulator that runs alone): they need none in it.
    """
    faults: list[str] = []
    speakers: dict[str, list[Declared]] = {}
    late: dict[str, list[Declared]] = {}
    hearers: dict[str, list[Declared]] = {}
    classes: dict[str, type[Message]] = {}
    for child in children:
        for kind in (*child.subscribes, *child.publishes):
            known = classes.setdefault(kind.__name__, kind)
            if known is not kind:
                faults.append(
                    f"{child.place()}{child.name}: message {kind.__name__} of {kind.__module__} has the name of "
                    f"another one in {known.__module__}; a name is a topic, rename one"
                )
        for kind in child.publishes:
            (late if child.added else speakers).setdefault(kind.__name__, []).append(child)
        for kind in child.subscribes:
            hearers.setdefault(kind.__name__, []).append(child)
        said = {kind.__name__ for kind in child.publishes}
        heard_here = {kind.__name__ for kind in child.subscribes}
        for promise in child.promises:
            if promise.topic not in said:
                near = difflib.get_close_matches(promise.topic, said, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                faults.append(f"{child.place()}{child.name}: promises {promise.topic}, which it does not publish{hint}")
            if promise.when and promise.when not in heard_here:
                near = difflib.get_close_matches(promise.when, heard_here, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                faults.append(
                    f"{child.place()}{child.name}: promises {promise.topic} when {promise.when} comes in, "
                    f"which it does not hear{hint}"
                )
        faults += _infeasible(child, children)
    free = set(outside)
    for topic in sorted(hearers):
        if topic not in speakers and topic not in free:
            heard = ", ".join(child.name for child in hearers[topic])
            who = ", ".join(child.name for child in late.pop(topic, ()))
            said_by = f"said only by {who}, which comes at run time and can be heard from outside only" if who else ""
            faults.append(
                f"{hearers[topic][0].place()}{topic}: heard by {heard}, {said_by or 'said by nobody in this tree'}"
            )
    for topic, saying in sorted({**late, **speakers}.items()):
        reached = topic in hearers and topic in speakers
        if not reached and topic not in free and classes[topic].delivery is not Delivery.SYSTEM:
            said_by = ", ".join(child.name for child in saying)
            faults.append(f"{saying[0].place()}{topic}: said by {said_by}, heard by nobody in this tree")
    return faults


def _infeasible(child: Declared, children: Sequence[Declared]) -> list[str]:
    """Promises under a condition whose input may rightly come more rarely than the output is to come: between two
    inputs nothing is due, so such a promise could never be found broken. Of several who promise the input the one that
    comes most often counts; what nobody promises has no known period."""
    faults = []
    for promise in child.promises:
        inputs = [
            (given.at_least_every_s, speaker.name)
            for speaker in children
            for given in speaker.promises
            if promise.when and given.topic == promise.when and speaker.name != child.name
        ]
        period_s, speaker = min(inputs, default=(0.0, ""))
        if promise.at_least_every_s < period_s:
            faults.append(
                f"{child.place()}{child.name}: promises {promise.topic} every {promise.at_least_every_s:g} s when "
                f"{promise.when} comes in, which {speaker} promises only every {period_s:g} s; promise it no more often"
            )
    return faults


def routes(children: Sequence[Declared], sockets: str) -> dict[str, tuple[Route, ...]]:
    """The address book of every child: whom it hears, where, which topics. An actor does not hear itself."""
    book: dict[str, tuple[Route, ...]] = {}
    for hearer in children:
        wanted = {kind.__name__ for kind in hearer.subscribes}
        lines = []
        for speaker in children:
            topics = tuple(sorted(wanted & {kind.__name__ for kind in speaker.publishes}))
            if topics and speaker.name != hearer.name and not speaker.added:
                endpoint = endpoint_of(sockets, speaker.node or speaker.name)
                lines.append(Route(sender=speaker.name, endpoint=endpoint, topics=topics))
        book[hearer.name] = tuple(lines)
    return book

"""A node: one OS process of ours, hosting actors. Born by a fork of a zygote, it runs our code within milliseconds.

Two kinds of threads. The main thread holds the link to the root: it answers pings, hears the order to stop, and is the
one that ends the process. Each actor has its own thread (host.py), which also receives from the wire, so a tick is
handled by the thread that received it. A hung actor cannot stop the main thread from answering: that difference is
evidence.

Its actors are either a company that stands and falls together (`_Company`: one dies, the node dies, the root decides)
or a group with a supervisor of its own (group.py: one dies, one is restarted).
"""

from __future__ import annotations

import os
import select
import signal
import socket
from pathlib import Path
from queue import Empty, SimpleQueue

from supervisor.evidence import crash, echo, holders, vitals
from supervisor.plan import NodeBoot
from supervisor.runtime import bus, link, locks, log, process
from supervisor.runtime.group import Group, News
from supervisor.runtime.host import Ending
from supervisor.runtime.hosted import Hosted, Stage
from supervisor.spec import walk

TERMINATED = "SIGTERM"


def main(boot: NodeBoot, line: socket.socket) -> int:
    """Run the node until it is asked to stop (0), an actor or its group fails (1), or the root is gone (1)."""
    return _Node(boot, line).run()


class _Node:
    def __init__(self, boot: NodeBoot, line: socket.socket) -> None:
        self.boot = boot
        self.line = line
        self.home = Path(boot.home)
        self.log = log.configure(self.home, boot.name, boot.incarnation)
        self.news: SimpleQueue[News] = SimpleQueue()
        self.wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.stop_reason: str | None = None

    def run(self) -> int:
        boot = self.boot
        if not link.send(self.line, link.Hello(pid=os.getpid())):
            return 1  # given up before it was born: its successor may be on its way, so it may not act
        os.environ[holders.UNIT] = holders.mark(boot.home, boot.name, boot.incarnation)  # for all it starts
        signal.signal(signal.SIGTERM, lambda *_: self._ask_to_stop(TERMINATED))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        stacks = self.home / "logs" / f"{boot.name.replace(':', '_')}.stacks"
        crash.install_dump(stacks)
        names = [start.name for start in boot.actors]
        if boot.group is not None:
            process.open_many()  # two for each actor that hears, three for each journal
            names = [boot.name, *(member.id for _, member in walk(boot.group))]
        phase = "import"
        try:
            # Two nodes of one name must never both act; a second bind on an ipc path succeeds silently, this does not.
            lock = locks.Lock(self.home / "run" / f"{boot.name.replace(':', '_')}.lock")
            context = bus.context()
            stage = Stage(
                boot=boot,
                context=context,
                publisher=bus.Publisher(context, boot.endpoint, shared=len(names) > 1),
                ask_root=lambda name, payload: self._tell_root(link.Ask(name=name, payload=payload)),
                ready=lambda name, incarnation: self._tell_main((name, incarnation)),
                ended=self._tell_main,
                answer=self._tell_root,
                complain=self.log.warning,
            )
            mute = echo.serve(context, boot.endpoint)
            if mute:
                self.log.warning(mute)
            path = self.home / "vitals" / vitals.file_name(boot.name)
            page = vitals.Page(path, boot.incarnation, tuple(names), boot.promises, boot.depends, boot.name)
            if boot.group is not None:
                crew: Group | _Company = Group(stage, self.line, self.news, page.slots)
            else:
                crew = _Company(self, stage, page.slots)
            crew.start()
            phase = "steady"
            code = self._serve(crew)
        except BaseException as error:  # noqa: BLE001  recorded and told to the root, then the process ends
            self.last_words(Ending(boot.name, phase, error, ""))
            return 1
        lock.release()
        if self.stop_reason == TERMINATED:  # in order, and yet by a signal: whoever waits for us is told the truth
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
        return code

    def last_words(self, ending: Ending) -> None:
        """An exception left an actor, or nothing could be started at all."""
        assert ending.error is not None
        roots = [Path(root) for root in self.boot.own_roots]
        record = crash.record(
            ending.error, phase=ending.phase, roots=roots, in_hand=ending.in_hand, in_hand_id=ending.in_hand_id
        )
        self.log.error("crashed", actor=ending.name, phase=ending.phase, traceback=record.traceback)
        self._tell_root(link.NodeCrashed(record=record))

    # ------------------------------------------------------------------ called from actor threads

    def _tell_main(self, news: News) -> None:
        self.news.put(news)
        os.eventfd_write(self.wake, 1)

    def _tell_root(self, word: link.FromNode) -> None:
        if not link.send(self.line, word):
            self.log.warning("the root does not take words; the link is full or closed", word=type(word).__name__)

    # ------------------------------------------------------------------ main thread

    def _ask_to_stop(self, reason: str) -> None:
        if self.stop_reason is None:
            self.stop_reason = reason
            os.eventfd_write(self.wake, 1)

    def _serve(self, crew: Group | _Company) -> int:
        poll = select.poll()
        poll.register(self.line, select.POLLIN)
        poll.register(self.wake, select.POLLIN)
        stopping = False
        while True:
            sleep_s = crew.wait_s()
            ready = {descriptor for descriptor, _ in poll.poll(None if sleep_s is None else sleep_s * 1000)}
            if self.wake in ready:
                os.eventfd_read(self.wake)
            if self.line.fileno() in ready:
                word = link.receive_from_root(self.line)
                if word is None:
                    return 1  # the root is gone, and nobody supervises us
                self._hear(word, crew)
            if self.stop_reason is not None and not stopping:
                stopping = True
                crew.ask_to_stop(self.stop_reason)
            code = crew.turn()
            if code is not None:
                return code

    def _hear(self, word: link.FromRoot, crew: Group | _Company) -> None:
        match word:
            case link.Ping(n=n):
                self._tell_root(link.Pong(n=n))
            case link.Tell():
                if not crew.tell(word):
                    self.log.warning("the root tells something to an actor that is not here", actor=word.actor)
            case link.AskCanary():
                crew.ask_canary(word)
            case link.Command():
                crew.obey(word)
            case link.Convict():
                crew.convict(word)
            case link.StopNode(reason=reason):
                self._ask_to_stop(reason)


class _Company:
    """Actors without a supervisor of their own: usually one, and the node is as alive as it is."""

    def __init__(self, node: _Node, stage: Stage, slots: dict[str, vitals.Slot]) -> None:
        self._node, self._stage, self._slots = node, stage, slots
        self._running: dict[str, Hosted] = {}
        self._ended: set[str] = set()
        self._unready = {start.name for start in stage.boot.actors}

    def start(self) -> None:
        boot = self._stage.boot
        for start in boot.actors:
            slot = self._slots[start.name]
            self._running[start.name] = Hosted(self._stage, start, boot.incarnation, slot, boot.routes)

    def ask_to_stop(self, reason: str) -> None:
        for hosted in reversed(list(self._running.values())):
            hosted.stop(reason)

    def obey(self, word: link.Command) -> None:
        text = f"{word.name} is not supervised here; order its node {self._stage.boot.name} instead"
        link.send(self._node.line, link.Obeyed(order_id=word.order_id, ok=False, code="not_found", text=text))

    def convict(self, word: link.Convict) -> None:
        self.ask_to_stop(word.detail)

    def tell(self, word: link.Tell) -> bool:
        hosted = self._running.get(word.actor)
        if hosted is not None:
            hosted.tell(word.payload)
        return hosted is not None

    def ask_canary(self, word: link.AskCanary) -> None:
        hosted = self._running.get(word.actor)
        if hosted is not None:
            hosted.ask_canary(word)

    def wait_s(self) -> float | None:
        return None

    def turn(self) -> int | None:
        while True:
            try:
                news = self._node.news.get_nowait()
            except Empty:
                break
            if not isinstance(news, Ending):
                self._unready.discard(news[0])
                if not self._unready:
                    link.send(self._node.line, link.NodeReady())
            elif news.error is not None:
                self._node.last_words(news)
                return 1
            else:
                self._ended.add(news.name)
        if len(self._ended) < len(self._running):
            return None
        for hosted in self._running.values():
            if hosted.proved_dead():
                hosted.close()
        return 0

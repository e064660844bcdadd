"""Where nodes are born: the root's side of its zygotes, one per role.

A dead zygote is one dead zygote: nodes do not notice, it is started again with backoff, and fork requests wait
meanwhile in a bounded queue. Nothing here blocks: a birth is asked for, and told by a callback.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from supervisor.plan import NodeBoot
from supervisor.runtime import zygote
from supervisor.runtime.loop import Loop
from supervisor.runtime.process import Process
from supervisor.spec import ZygoteSpec
from supervisor.words import CrashRecord

LONGEST_QUEUE = 256  # more births than that at once are refused, with a sentence
ANSWER_S = 5.0  # a fork takes milliseconds; a zygote silent for that long is continued, then killed
IMPORT_S = 120.0  # ccxt.pro takes 0.7 s on an idle machine
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 10.0
SPARE_GONE_S = 0.2

Say = Callable[[str], None]


class Birth(msgspec.Struct, kw_only=True):
    """One asked-for node. Exactly one of the three is called, once.

    `lost`: its zygote died with the request in hand. If the node was born it says Hello on the link; if not, nobody
    holds the other end any more and the link ends.
    """

    name: str
    boot: NodeBoot
    line: socket.socket  # the node's end of the link; closed here once the zygote has answered
    born: Callable[[int], None]
    failed: Callable[[str, CrashRecord | None], None]
    lost: Callable[[], None]
    asked_at: float = 0.0
    again: bool = False  # an unfit zygote has refused it once


class Nursery:
    """All zygotes of one root. Create and use it in the root's main thread only (parent-death signal)."""

    def __init__(
        self,
        loop: Loop,
        specs: tuple[ZygoteSpec, ...],
        environment: dict[str, str],
        say: Say,
        entry: str = zygote.NODE_MAIN,
        stage: Path | None = None,
    ) -> None:
        self._roles = {spec.role: _Zygote(loop, spec, environment, say, entry, stage) for spec in specs}

    def start(self) -> None:
        for one in self._roles.values():
            one.start()

    def fork(self, role: str, birth: Birth) -> None:
        """Ask for a node. Answers by `birth.born` or `birth.failed`, never before returning."""
        one = self._roles.get(role)
        if one is None:
            known = ", ".join(self._roles) or "none"
            birth.line.close()
            birth.failed(f"{birth.name}: no zygote of role {role!r}; the plan has {known}", None)
            return
        one.ask(birth)

    def roles(self) -> list[tuple[str, int]]:
        """(role, pid) of each zygote, pid 0 while it is down."""
        return [(role, one.pid) for role, one in self._roles.items()]

    def spare(self, role: str) -> int:
        """The pid of the nameless node that waits for this role's next birth, 0 for none."""
        return self._roles[role].spare

    def pids(self) -> set[int]:
        return {one.pid for one in self._roles.values() if one.pid}

    def renew(self) -> None:
        """End all zygotes and start new ones from the code that is on disk now. Living nodes keep theirs."""
        for one in self._roles.values():
            one.renew()

    def close(self) -> None:
        for one in self._roles.values():
            one.close()


class _Zygote:
    def __init__(
        self, loop: Loop, spec: ZygoteSpec, environment: dict[str, str], say: Say, entry: str, stage: Path | None
    ) -> None:
        module = entry.partition(":")[0]
        self._spec = msgspec.structs.replace(spec, imports=(module, *(m for m in spec.imports if m != module)))
        self._loop, self._environment, self._say, self._entry = loop, environment, say, entry
        self._stage = stage
        self._process: Process | None = None
        self._spare: Process | None = None
        self._popen: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._waiting = False  # it has said that it waits for requests
        self._queue: deque[Birth] = deque()
        self._asked: dict[int, Birth] = {}  # sent, not answered
        self._requests = 0
        self._failures = 0
        self._started_at = 0.0
        self._continued = False
        self._unread = False  # it ended before it read all our requests
        self._stale = False  # it holds old code: it answers what it was asked, then it is replaced
        self._closed = False

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    @property
    def spare(self) -> int:
        return self._spare.pid if self._spare else 0

    def start(self) -> None:
        if self._closed or self._process is not None:
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        command = [sys.executable, "-m", "supervisor.runtime.zygote", "--fd", str(theirs.fileno())]
        command += ["--root-pid", str(os.getpid()), "--spec", msgspec.json.encode(self._spec).decode()]
        command += ["--stage", str(self._stage)] if self._stage is not None else []
        try:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **self._environment, **zygote.REQUIRED_ENVIRONMENT},
                pass_fds=(theirs.fileno(),),
            )
        except OSError as error:
            ours.close()
            self._come_back(f"the kernel refused to start it: {error}")
            return
        finally:
            theirs.close()
        self._process = Process(self._popen.pid)
        self._line, self._waiting, self._continued, self._stale = ours, False, False, False
        self._started_at = time.monotonic()
        self._loop.watch(self._process.fileno(), self._on_exit)
        self._loop.watch(ours.fileno(), self._on_line)
        self._loop.at(self._started_at + IMPORT_S, lambda born=self._process: self._check_import(born))  # type: ignore[misc]

    def ask(self, birth: Birth) -> None:
        if len(self._queue) >= LONGEST_QUEUE:
            birth.line.close()
            text = f"{birth.name}: {LONGEST_QUEUE} births wait for the zygote {self._spec.role} already"
            self._loop.at(0.0, lambda: birth.failed(text, None))
            return
        self._queue.append(birth)
        self._send()

    def renew(self) -> None:
        if self._process is None:
            return  # the next one reads what is on the disk
        self._stale = True
        self._failures = 0
        if not self._asked:
            self._process.send(signal.SIGKILL)  # it holds nothing; the queue waits for the next one

    def close(self) -> None:
        self._closed = True
        self._drop_line()  # the zygote ends at the end of its line
        if self._process is not None:
            self._process.send(signal.SIGKILL)

    def _send(self) -> None:
        if self._stale:
            if not self._asked and self._process is not None:
                self._process.send(signal.SIGKILL)
            return
        while self._queue and self._waiting and self._line is not None:
            birth = self._queue[0]
            self._requests += 1
            request = zygote.Fork(request=self._requests, name=birth.name, root_pid=os.getpid(), entry=self._entry)
            boot = os.memfd_create("boot", os.MFD_CLOEXEC)  # a file, because a packet has an end and settings do not
            try:
                os.write(boot, msgspec.msgpack.encode(birth.boot))
                os.lseek(boot, 0, os.SEEK_SET)
                socket.send_fds(self._line, [zygote.encode(request)], [birth.line.fileno(), boot])
            except (BlockingIOError, BrokenPipeError, ConnectionResetError):
                return  # full or dying; its answer or its end brings us back here
            finally:
                os.close(boot)
            self._queue.popleft()
            birth.asked_at = time.monotonic()
            self._asked[request.request] = birth
            self._loop.at(birth.asked_at + ANSWER_S, lambda n=request.request: self._check_answer(n))  # type: ignore[misc]

    def _on_line(self) -> None:
        line = self._line
        while line is not None and line is self._line:
            try:
                packet = line.recv(zygote.LARGEST)
            except BlockingIOError:
                break
            except ConnectionResetError:  # the kernel's word for: it ended with packets of ours unread
                self._unread = True
                packet = b""
            if not packet:
                self._drop_line()
                break
            self._hear(zygote.from_zygote.decode(packet))
        self._send()

    def _hear(self, word: zygote.FromZygote) -> None:
        match word:
            case zygote.Waiting():
                self._waiting = True
                took_s = time.monotonic() - self._started_at
                self._say(f"zygote {self._spec.role} (pid {self.pid}) waits for requests after {took_s:.2f} s")
            case zygote.Forked(request=request, pid=pid):
                self._failures, self._continued = 0, False
                if self._spare is not None and pid == self.spare:  # it is somebody now
                    self._loop.unwatch(self._spare.fileno())
                    self._spare.close()
                    self._spare = None
                birth = self._asked.pop(request, None)
                if birth is not None:
                    birth.line.close()
                    birth.born(pid)
            case zygote.Spared(pid=pid):
                self._keep_spare(pid)
            case zygote.Refused(request=request, text=text, unfit=unfit):
                birth = self._asked.pop(request, None)
                if birth is not None and unfit and not birth.again:
                    birth.again = True  # the next zygote has no such thread, or refuses it for good
                    self._queue.appendleft(birth)
                    self._say(f"{text}; the zygote is replaced")
                    self.renew()
                elif birth is not None:
                    birth.line.close()
                    birth.failed(text, None)
            case zygote.Unfit(record=record):
                # It cannot be healed by waiting: those who wait must learn why, so that they can be parked.
                waiting, self._queue = self._queue, deque()
                for birth in waiting:
                    birth.line.close()
                    birth.failed(record.message, record)

    def _keep_spare(self, pid: int) -> None:
        if self._spare is not None:
            self._spare.send(signal.SIGKILL)  # the zygote found it stopped and did not use it
        try:
            self._spare = spare = Process(pid)
        except ProcessLookupError:
            self._spare = None
            return
        self._loop.watch(spare.fileno(), lambda: self._spare_ended(spare))

    def _spare_ended(self, spare: Process) -> None:
        """Killed, or left behind by its zygote. Reaped only when no answer on its way can still name it."""
        self._loop.unwatch(spare.fileno())
        self._loop.at(time.monotonic() + SPARE_GONE_S, lambda: self._bury_spare(spare))

    def _bury_spare(self, spare: Process) -> None:
        if self._asked:
            self._loop.at(time.monotonic() + SPARE_GONE_S, lambda: self._bury_spare(spare))
            return
        if self._spare is spare:
            self._spare = None
        spare.bury()

    def _check_answer(self, request: int) -> None:
        if request not in self._asked or self._process is None:
            return
        if not self._continued:
            self._continued = True
            self._process.send(signal.SIGCONT)
            self._say(f"zygote {self._spec.role} (pid {self.pid}) has not answered for {ANSWER_S} s; continued it")
            self._loop.at(time.monotonic() + 1.0, lambda: self._check_answer(request))
            return
        self._say(f"zygote {self._spec.role} (pid {self.pid}) does not answer; killed it, nodes are not touched")
        self._process.send(signal.SIGKILL)

    def _check_import(self, born: Process) -> None:
        if self._process is born and not self._waiting:
            self._say(f"zygote {self._spec.role} (pid {born.pid}) has imported for {IMPORT_S} s; killed it")
            born.send(signal.SIGKILL)

    def _on_exit(self) -> None:
        if self._process is None:
            return
        status = self._process.reap()
        if status is None:
            return
        self._on_line()  # its last words
        self._loop.unwatch(self._process.fileno())
        self._process.close()
        self._process = None
        if self._popen is not None:
            self._popen.returncode = status.code if status.code is not None else -(status.signal or 0)
        self._drop_line()
        self._waiting = False
        self._take_back()
        if not self._closed:
            how = f"signal {status.signal}" if status.signal is not None else f"exit code {status.code}"
            self._come_back(f"it ended with {how}")

    def _take_back(self) -> None:
        """The requests a dead zygote did not answer. It forks one at a time, so only the oldest can have begun."""
        asked, self._asked = list(self._asked.values()), {}
        if asked and not (self._unread and len(asked) == 1):
            first = asked.pop(0)
            first.line.close()
            first.lost()
        self._queue.extendleft(reversed(asked))
        self._unread = False

    def _come_back(self, why: str) -> None:
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**self._failures) if self._failures else 0.0
        self._failures = min(self._failures + 1, 16)
        self._say(f"zygote {self._spec.role} is down: {why}; again in {pause_s:.1f} s, {len(self._queue)} births wait")
        self._loop.at(time.monotonic() + pause_s, self.start)

    def _drop_line(self) -> None:
        if self._line is not None:
            self._loop.unwatch(self._line.fileno())
            self._line.close()
            self._line = None

"""Kernel readings of real processes: stopped, spinning, asleep, starved, dead, with strange names."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import msgspec
import psutil
import pytest

from supervisor.evidence import kernel
from supervisor.verdict import Action, Evidence, KernelSample, Look, judge
from supervisor.words import State, VerdictKind

pytestmark = pytest.mark.process


@pytest.fixture
def start() -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    children: list[subprocess.Popen[str]] = []

    def python(code: str) -> subprocess.Popen[str]:
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        children.append(child)
        assert child.stdout is not None
        assert child.stdout.readline() == "up\n"
        return child

    yield python
    for child in children:
        child.kill()
        child.communicate()


def until(pid: int, condition: Callable[[KernelSample], bool], deadline_s: float = 20.0) -> KernelSample:
    end = time.monotonic() + deadline_s
    while True:
        reading = kernel.sample(pid)
        assert reading is not None, f"pid {pid} is gone"
        if condition(reading):
            return reading
        assert time.monotonic() < end, reading
        threading.Event().wait(0.01)


SLEEPS = "import time; print('up', flush=True); time.sleep(600)"
SPINS = "print('up', flush=True)\nwhile True: pass"


def test_stop_and_continue_are_seen(start: Callable[[str], subprocess.Popen[str]]) -> None:
    child = start(SLEEPS)
    until(child.pid, lambda reading: reading.state == "S")

    os.kill(child.pid, signal.SIGSTOP)
    until(child.pid, lambda reading: reading.state == "T")

    os.kill(child.pid, signal.SIGCONT)
    until(child.pid, lambda reading: reading.state == "S")


def test_a_stopped_process_is_judged_stopped_and_continues_as_advised(
    start: Callable[[str], subprocess.Popen[str]],
) -> None:
    child = start(SLEEPS)
    told = Evidence(name="child", state=State.READY, incarnation=1, pid=child.pid)
    verdict = None

    os.kill(child.pid, signal.SIGSTOP)
    end = time.monotonic() + 20
    while verdict is None or verdict.action is not Action.CONTINUE:
        assert time.monotonic() < end, verdict
        look = Look(at=time.monotonic(), incarnation=1, kernel=kernel.sample(child.pid))
        told = msgspec.structs.replace(told, history=told.history.add(look))
        verdict = judge(told, look.at, verdict)
        threading.Event().wait(0.05)

    assert (verdict.kind, verdict.cause) == (VerdictKind.HUNG, "stopped")
    os.kill(child.pid, signal.SIGCONT)
    until(child.pid, lambda reading: reading.state == "S")


def test_a_spinning_process_uses_cpu_and_a_sleeping_one_none(start: Callable[[str], subprocess.Popen[str]]) -> None:
    spinning, sleeping = start(SPINS), start(SLEEPS)
    before = until(sleeping.pid, lambda reading: reading.state == "S")
    burnt = until(spinning.pid, lambda reading: reading.cpu_s > 0).cpu_s

    until(spinning.pid, lambda reading: reading.cpu_s > burnt + 0.2)

    after = kernel.sample(sleeping.pid)
    assert after is not None
    assert after.cpu_s - before.cpu_s < 0.1


def test_run_queue_delay_is_summed_over_all_threads(start: Callable[[str], subprocess.Popen[str]]) -> None:
    # the main thread sleeps, so its own schedstat shows nothing; its spinning threads fight a rival for one core
    child = start(
        "import os, threading, time\n"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "def spin():\n    while True: sum(range(1000))\n"
        "[threading.Thread(target=spin, daemon=True).start() for _ in range(2)]\n"
        "import subprocess\n"
        "rival = ['sh', '-c', f'while kill -0 {os.getpid()} 2>/dev/null; do :; done']\n"
        "subprocess.Popen(rival, stdout=subprocess.DEVNULL)\n"
        "print('up', flush=True)\ntime.sleep(600)"
    )

    reading = until(child.pid, lambda reading: reading.run_delay_s > 0.2)

    with open(f"/proc/{child.pid}/schedstat") as file:  # noqa: PTH123 - /proc is no path to a file
        main_only = int(file.read().split()[1]) / 1e9
    assert reading.threads == 3
    assert reading.run_delay_s > main_only + 0.1


def test_a_zombie_reads_z_and_a_reaped_child_is_gone() -> None:
    child = subprocess.Popen(["true"])
    until(child.pid, lambda reading: reading.state == "Z")

    child.wait()

    assert kernel.sample(child.pid) is None
    assert kernel.memory(child.pid) is None
    assert kernel.listening(child.pid) == ()


def test_a_name_with_brackets_and_spaces_does_not_shift_the_fields(
    start: Callable[[str], subprocess.Popen[str]],
) -> None:
    child = start(
        "import time\nopen('/proc/self/comm', 'w').write('a) R (b c')\nprint('up', flush=True)\ntime.sleep(600)"
    )

    reading = until(child.pid, lambda reading: reading.state == "S")

    created = psutil.Process(child.pid).create_time() - psutil.boot_time()
    assert abs(reading.started_ticks / os.sysconf("SC_CLK_TCK") - created) < 1.5


def test_two_processes_have_different_start_times_or_pids_and_one_keeps_its_own(
    start: Callable[[str], subprocess.Popen[str]],
) -> None:
    child = start(SLEEPS)
    first, second = kernel.sample(child.pid), kernel.sample(child.pid)

    assert first is not None
    assert second is not None
    assert first.started_ticks == second.started_ticks


def test_memory_counts_what_a_process_holds(start: Callable[[str], subprocess.Popen[str]]) -> None:
    child = start("import time; held = bytes(b'x' * 50_000_000); print('up', flush=True); time.sleep(600)")

    memory = kernel.memory(child.pid)

    assert memory is not None
    assert memory.rss_mib > 45
    assert 45 < memory.pss_mib <= memory.rss_mib


def test_listening_names_address_and_port_and_leaves_connections_out() -> None:
    with socket.socket() as server, socket.socket() as client:
        server.bind(("127.0.0.1", 0))
        server.listen()
        client.connect(server.getsockname())

        found = kernel.listening(os.getpid())

        assert server.getsockname() in found
        assert client.getsockname() not in found


def test_resources_and_limits_are_told_as_the_room_that_is_left(start: Callable[[str], subprocess.Popen[str]]) -> None:
    child = start(
        "import resource, time\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))\n"
        "held = [open('/dev/null') for _ in range(20)]\n"
        "print('up', flush=True); time.sleep(600)"
    )

    plain, told = kernel.sample(child.pid), kernel.sample(child.pid, resources=True, limit_mib=100.0)

    assert plain is not None
    assert told is not None
    assert (plain.descriptors, plain.memory_limit_mib, plain.per_thread) == (None, None, ())
    assert told.rss_mib is not None
    assert told.rss_mib > 3
    assert told.descriptors is not None
    assert 20 < told.descriptors < told.descriptor_limit == 64  # type: ignore[operator]
    assert told.memory_limit_mib == 100.0  # the nearest
    of_the_kernel = kernel.sample(child.pid, resources=True)
    assert of_the_kernel is not None
    assert of_the_kernel.memory_limit_mib is not None
    assert of_the_kernel.memory_limit_mib < 2048


def test_each_thread_is_told_by_itself_and_one_that_waits_for_the_interpreter_shows_it(
    start: Callable[[str], subprocess.Popen[str]],
) -> None:
    child = start(
        "import ctypes, threading, time\n"
        "libc = ctypes.PyDLL(None)\n"
        "threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
        "def beat():\n    while True: time.sleep(0.05)\n"
        "threading.Thread(target=beat, daemon=True).start()\n"
        "print('up', flush=True); libc.sleep(600)"  # keeps the GIL
    )
    before = kernel.sample(child.pid, per_thread=True)
    assert before is not None
    assert len(before.per_thread) == 3

    def switched(reading: KernelSample) -> bool:
        now = kernel.sample(child.pid, per_thread=True)
        assert now is not None
        first = {thread.id: thread.voluntary for thread in before.per_thread}
        return max(thread.voluntary - first[thread.id] for thread in now.per_thread) > 100

    until(child.pid, switched)


WRITES = """
import os, threading
read, write = os.pipe()
threading.Thread(target=lambda: os.write(write, b"x" * (1 << 20)), daemon=True).start()
print("up", flush=True)
threading.Event().wait(600)
"""


def test_where_any_of_its_threads_sleeps_is_read_without_privileges(
    start: Callable[[str], subprocess.Popen[str]],
) -> None:
    child = start(WRITES)
    if not until(child.pid, lambda one: one.state == "S").wchan:
        pytest.skip("this kernel hides where a process sleeps")

    # its main thread, which may not have lain down yet, beside the writing one
    reading = until(child.pid, lambda one: "pipe_write" in one.wchan and "futex" in one.wchan)

    assert "." not in reading.wchan  # no suffix of the compiler's

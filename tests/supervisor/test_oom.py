"""The kernel kills for want of memory, in earnest: a control group with a limit, and an actor that wants more."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.actor import Actor
from supervisor.message import Message
from supervisor.spec import child
from tests.supervisor.toys import Worker, house, toy

LIMIT_MIB = 120


class Look(Message, frozen=True, kw_only=True):
    pass


class Glutton(Actor):
    """Takes all memory once the file is there; one allocation, so that no look sees it near its limit."""

    def init(self, marker: str) -> None:
        self.marker = Path(marker)
        self.ctx.after(0.05, Look())

    def handle(self, message: Message) -> None:
        self.ctx.progress("looked")
        if self.marker.exists():
            self.marker.unlink()
            self.held = bytearray((LIMIT_MIB + 200) << 20)
        self.ctx.after(0.05, Look())


@pytest.fixture
def control_group() -> Iterator[Path]:
    """A folder of the kernel's that limits the memory of those in it (either version of them)."""
    old, new = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    folder = (old if old.is_dir() else new) / f"qt-test-{os.getpid()}"
    limit = folder / ("memory.limit_in_bytes" if old.is_dir() else "memory.max")
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"control groups cannot be made here ({error}): the kernel's kill for memory is not played")
    try:
        try:
            limit.write_text(str(LIMIT_MIB << 20))
        except OSError as error:
            pytest.skip(f"the memory of a control group cannot be limited here ({error})")
        for swap in (folder / "memory.swappiness", folder / "memory.swap.max"):
            if swap.exists():
                swap.write_text("0")
        yield folder
    finally:
        folder.rmdir()


@pytest.mark.process
def test_a_kill_of_the_kernels_for_want_of_memory_is_named_and_the_child_is_back(
    tmp_path: Path, control_group: Path
) -> None:
    marker = tmp_path / "hungry"
    with house(
        tmp_path / "home", child("glutton", f"{__name__}:Glutton", marker=str(marker)), toy("calm", Worker)
    ) as home:
        home.start("root")
        pid = home.ready("glutton", "calm")["glutton"]["pid"]
        home.until(lambda: home.worked("glutton"), "it works")
        home.until(lambda: home.child("glutton")["verdict"] == "HEALTHY", "the host was looked at")
        (control_group / "cgroup.procs").write_text(str(pid))
        marker.touch()
        home.until(
            lambda: home.child("glutton").get("incarnation") == 2 and home.child("glutton")["ready"], "it is back"
        )
        [judged] = home.until(
            lambda: [event for event in home.events("glutton", "verdict") if event["verdict"] == "CRASHED"],
            "its end is named",
        )
        assert judged["cause"] == "oom"
        assert home.child("calm")["incarnation"] == 1

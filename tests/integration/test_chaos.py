"""Thirty children, hurt at random under a seed: afterwards all that should run runs exactly once, and nothing leaked.

`make test` plays a slice; `make campaign-chaos` plays 500 deeds under a new seed and prints its figures. A failure
prints the seed, what was done last and what supervision said last: QT_CHAOS_SEED=N plays the same list again.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from supervisor.runtime.process import state_of
from supervisor.spec import ZygoteSpec
from supervisor.words import Restart
from tests.integration.chaos import Poltergeist, ward
from tests.integration.footprint import Footprint, below, marked
from tests.supervisor.toys import House

pytestmark = pytest.mark.process

FAULTS = int(os.environ.get("QT_CHAOS_FAULTS", "50"))
SEED = int(os.environ.get("QT_CHAOS_SEED", "20261128"))
PAUSE_S = 0.1
GROWN_MIB = 6.0  # the ring of 1,000 records fills up: about 2


def test_after_chaos_all_that_should_run_runs_exactly_once_and_nothing_leaked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = f"QT_CHAOS_HOME={tmp_path}"
    monkeypatch.setenv(*mark.split("=", 1))
    folder = tmp_path / "wishes"
    folder.mkdir()
    spec = ward(folder)
    zygotes = (ZygoteSpec(role="core", imports=("tests.integration.chaos",)),)
    home = House(tmp_path, spec, zygotes=zygotes)
    root = home.start("root")
    ghost = Poltergeist(home, spec, folder, SEED)
    try:
        home.ready(*ghost.specs, *ghost.inside)
        home.until(
            lambda: Footprint(root.pid, home).other["mapped pages"] == len(ghost.nodes), "it looks at all of them"
        )
        home.until(lambda: bool(home.status()["server"]["zygotes"][0]["spare"]), "the next birth is prepared")
        before = Footprint(root.pid, home)
        begun_at = time.monotonic()
        for _ in range(FAULTS):
            ghost.strike()
            time.sleep(PAUSE_S)
        struck_s = time.monotonic() - begun_at
        entries = ghost.settled()
        settled_s = time.monotonic() - begun_at - struck_s
        try:
            _only_these_are_down(ghost, entries)
            _each_runs_once(ghost, entries, root.pid, mark)
            ghost.give_peace()
            entries = ghost.settled()
            assert all(entry["ready"] for entry in entries.values()), {n: e["state"] for n, e in entries.items()}
            _each_runs_once(ghost, entries, root.pid, mark)
            after = _as_before(home, root.pid, before)
            grown_mib = (after.rss_kib - before.rss_kib) / 1024
            assert grown_mib < GROWN_MIB, f"the root grew by {grown_mib:.1f} MiB"
            lives = _lives_follow_each_other(ghost)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{ghost.tell()}") from error
        root.terminate()
        assert root.wait(30) == 0
        assert not marked(mark), "somebody outlived the root"
        print(
            f"\nchaos: seed {SEED}, {FAULTS} deeds ({ghost.met} met somebody) in {struck_s:.1f} s "
            f"{json.dumps(ghost.counts)}, "
            f"at rest after {settled_s:.1f} s, "
            f"{lives} lives of {len(ghost.specs)} children, {len(ghost.inside)} actors inside one, "
            f"{len(ghost.seen) - len(ghost.specs) - len(ghost.inside)} guests; "
            f"root {before.rss_kib / 1024:.1f} MiB {grown_mib:+.1f}, descriptors {sum(after.descriptors.values())}"
        )
    finally:
        home.close()


def _only_these_are_down(ghost: Poltergeist, entries: dict[str, dict[str, Any]]) -> None:
    """Down is only who was ordered down, ended for good by its restart type, or was parked and said so."""
    parked = {record["id"] for record in ghost.records() if record["kind"] == "quarantined"}
    for name, spec in ghost.specs.items():
        match entries[name]["state"]:
            case "quarantined":
                assert name in parked, f"{name} is parked, and no record says why"
            case "stopped":
                by_type = spec.restart is Restart.TEMPORARY or (
                    spec.restart is Restart.TRANSIENT and name in ghost.ended_on_purpose
                )
                assert by_type or name in ghost.kept_down, f"{name} is down, and nobody wanted that"
    assert {name for name, entry in entries.items() if entry["path"].startswith("house/pool/")} == set(ghost.guests)
    for name in ghost.guests:
        assert entries[name]["ready"] or name in parked, f"{name} is a guest and down, and nobody wanted that"
    for name, node in ghost.inside.items():
        if entries[node]["ready"] and not entries[name]["ready"]:
            assert name in parked or name in ghost.kept_down, f"{name} inside {node} is down, and nobody wanted that"


def _each_runs_once(ghost: Poltergeist, entries: dict[str, dict[str, Any]], root: int, mark: str) -> None:
    """The kernel knows the root, its zygote and one process per running child; nobody else, and nobody dead."""
    running = {entry["pid"] for entry in entries.values() if entry["pid"]}
    zygotes, known = _waiting(ghost), below(root)
    deadline = time.monotonic() + 5
    while set(known) != running | zygotes and time.monotonic() < deadline:  # a zygote makes its spare when it is idle
        time.sleep(0.05)
        zygotes, known = _waiting(ghost), below(root)
    assert set(known) == running | zygotes, f"unknown: {set(known) - running - zygotes}, known: {known}"
    assert "Z" not in known.values(), f"zombies: {known}"
    assert marked(mark) == {root} | running | zygotes, "orphans, or twins, of ours"
    assert all(state_of(pid) in ("S", "R", "D") for pid in running)


def _waiting(ghost: Poltergeist) -> set[int]:
    """The zygotes, and the nameless nodes that wait for their next births."""
    rows = ghost.home.status()["server"]["zygotes"]
    return {pid for row in rows for pid in (row["pid"], row["spare"]) if pid}


def _as_before(home: House, root: int, before: Footprint) -> Footprint:
    """Soon the root holds no more than it held before; less it may, when it watched somebody closely at the time."""
    deadline = time.monotonic() + 5
    while (after := Footprint(root, home)).held() - before.held() and time.monotonic() < deadline:
        time.sleep(0.05)
    was, now = before.held(), after.held()
    more = {what: (was.get(what, 0), now[what]) for what in now - was}
    assert not more, f"the root holds (before, now): {more}"
    return after


def _lives_follow_each_other(ghost: Poltergeist) -> int:
    """No incarnation begins before its predecessor's death is on record, and numbers grow by one. Returns how many."""
    dead = {"exited", "stopped", "quarantined"}
    last: dict[str, tuple[int, bool]] = {}
    for record in ghost.records():
        name, life = record["id"], record["incarnation"]
        if record["kind"] in dead:  # with a node end the actors inside it
            last |= {
                actor: (last[actor][0], True) for actor, at in ghost.inside.items() if at == name and actor in last
            }
        if name not in ghost.seen:
            continue
        before, is_dead = last.get(name, (0, True))
        if record["kind"] == "starting":
            assert is_dead, f"{name} {life} starts while {before} lives: {record}"
            # a node killed at once takes the news of its actors' last lives with it; their numbers are used up
            assert life > before if name in ghost.inside else life == before + 1, record
            last[name] = (life, False)
        elif record["kind"] in dead and life == before:
            last[name] = (life, True)
    return sum(life for life, _ in last.values())

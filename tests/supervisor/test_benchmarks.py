"""The trees of the benchmarks: they are compiled here, so that a change of ours does not break them unseen."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import peers, restart, supervision_scale
from supervisor.runtime.scratch import compile_plan
from supervisor.spec import NodeStart, walk


@pytest.mark.parametrize("inherit", [False, True])
def test_the_house_of_the_restart_benchmark_can_be_started(tmp_path: Path, inherit: bool) -> None:
    draft = restart.build(str(tmp_path), ["worker", "worker-0"], inherit)
    plan = compile_plan(draft, home=tmp_path, sockets="/tmp/qt")
    assert [child.id for _, child in walk(plan.tree)] == ["consumer", "worker", "worker-0"]


@pytest.mark.parametrize("children", [10, 100])
def test_a_tree_of_so_many_children_has_so_many(tmp_path: Path, children: int) -> None:
    plan = compile_plan(supervision_scale.build(str(tmp_path), children), home=tmp_path, sockets="/tmp/qt")
    count = 0
    for _, child in walk(plan.tree):
        assert isinstance(child.start, NodeStart)
        assert child.start.group is not None
        count += 1 + len(list(walk(child.start.group)))
    assert count == children


def test_every_worker_of_a_peer_runs_on_our_interpreter_and_imports_nothing_of_ours_before(tmp_path: Path) -> None:
    assert "from benchmarks.worker import serve" in peers.shell(str(tmp_path), ["worker"])[2] or (
        "from benchmarks.worker import serve" in (tmp_path / "start-worker").read_text()
    )

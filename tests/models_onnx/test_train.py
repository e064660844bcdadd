"""How models are made: the network's gradient, equal data for equal seeds, parity, and claims that can be checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actors.rules.features import SCHEMA, WIDTH, WINDOW
from models_onnx import dataset, graphs, manifest, tcn
from models_onnx.predictor import evaluate
from tests.models_onnx.sets import SHIPPED, gentle, windowed


def test_the_networks_gradient_is_the_slope_of_its_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcn, "_DROP", 0.0)
    rng = np.random.default_rng(3)
    net = tcn._start(WINDOW, 4, rng)
    for array in net.parameters():
        array += rng.standard_normal(array.shape).astype(np.float32) * 0.05
    net.convolutions = [(w.astype(np.float64), b.astype(np.float64)) for w, b in net.convolutions]
    net.head = (net.head[0].astype(np.float64), net.head[1].astype(np.float64))
    windows: Any = rng.standard_normal((6, WINDOW, 4))
    labels = rng.integers(0, 3, 6)

    def loss() -> float:
        logits = net.logits(windows)
        shifted = logits - logits.max(axis=1, keepdims=True)
        return float((np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(6), labels]).mean())

    gradients = tcn._gradients(net, windows, labels, rng)
    for array, gradient in zip(net.parameters(), gradients, strict=True):
        assert array.shape == gradient.shape
        for _ in range(4):
            where = tuple(int(rng.integers(0, size)) for size in array.shape)
            kept = array[where]
            array[where] = kept + 1e-7  # small: a ReLU that flips in between would be no error of the gradient
            above = loss()
            array[where] = kept - 1e-7
            below = loss()
            array[where] = kept
            assert gradient[where] == pytest.approx((above - below) / 2e-7, rel=1e-4, abs=1e-6)


def test_the_network_learns_a_pattern_in_time_and_equal_seeds_give_equal_nets() -> None:
    rng = np.random.default_rng(4)
    windows = rng.standard_normal((2200, WINDOW, 3)).astype(np.float32)
    score = windows[:, -8:, 0].mean(axis=1) - windows[:, -16:-8, 0].mean(axis=1)
    labels = np.digitize(score, (-0.2, 0.2)).astype(np.int64)
    check = windows[2000:], labels[2000:]
    nets = [tcn.fit(windows[:2000], labels[:2000], check, epochs=15, seed=5) for _ in range(2)]
    for first, second in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        np.testing.assert_array_equal(first, second)
    assert tcn.cross_entropy(nets[0].logits(check[0]), check[1]) < 0.85 * np.log(3)


def test_the_exported_network_computes_what_the_fitted_one_does(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    net = tcn._start(WINDOW, WIDTH, rng)
    for array in net.parameters():
        array += rng.standard_normal(array.shape).astype(np.float32) * 0.1
    mean, deviation = rng.standard_normal(WIDTH), rng.uniform(0.5, 2.0, WIDTH)
    path = tmp_path / "net.onnx"
    path.write_bytes(graphs.temporal(net, (mean, deviation), 1.7, WINDOW, "p").SerializeToString())
    windows = rng.standard_normal((5, WINDOW, WIDTH)).astype(np.float32)
    expected = tcn.softmax(net.logits(((windows - mean) / deviation).astype(np.float32)) / np.float32(1.7))
    np.testing.assert_allclose(evaluate(path, {"window": windows})[0], expected, atol=1e-5)


def test_equal_seeds_give_equal_rows_and_the_late_ones_know_nothing_of_the_early_labels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dataset, "RUN_S", 120.0)
    seen: list[float] = []
    run = dataset._run

    def spy(seed: int) -> list[tuple[float, dataset._Row]]:
        rows = run(seed)
        seen.extend(at_s for at_s, _ in rows)
        return rows

    monkeypatch.setattr(dataset, "_run", spy)
    early, late = dataset.generate(range(50, 51))
    again, _ = dataset.generate(range(50, 51))
    np.testing.assert_array_equal(early.windows, again.windows)
    np.testing.assert_array_equal(early.labels, again.labels)
    assert early.features.shape[1:] == (WIDTH,)
    assert early.windows.shape[1:] == (WINDOW, WIDTH)
    np.testing.assert_array_equal(early.windows[:, -1], early.features)
    split = 120.0 * (1 - dataset.TUNE_SHARE)
    half = len(seen) // 2
    assert len(early) == sum(at_s + dataset.HORIZON_S <= split for at_s in seen[:half])
    assert len(late) == sum(at_s > split + dataset.HORIZON_S for at_s in seen[:half])
    assert len(late) > 0
    for label, sign in ((dataset.UP, 1), (dataset.DOWN, -1)):
        assert (sign * early.moves_bps[early.labels == label] > dataset.THRESHOLD_BPS).all()


def test_the_held_out_skill_in_the_manifest_is_found_again_on_seeds_nobody_has_used() -> None:
    made = manifest.read(SHIPPED)
    fresh = dataset.join(*dataset.generate(range(77_000, 77_004)))
    answers = np.mean(
        evaluate(SHIPPED / made.ensemble_file, {"features": fresh.features, "window": fresh.windows}), axis=0
    )
    rows = np.arange(len(fresh))
    loss = -np.log(answers[rows, fresh.labels]).mean()
    base = -np.log(np.array(made.training.class_shares)[fresh.labels]).mean()
    assert loss < base - 0.05
    assert loss == pytest.approx(made.held_out.log_loss, abs=0.15)
    for member in made.members:
        assert member.metrics.log_loss < member.metrics.base_log_loss
        assert member.metrics.brier_skill > 0
    assert made.held_out.brier_skill > 0
    seeds, held_out = made.training.seeds, made.training.held_out_seeds
    assert seeds[1] < held_out[0]
    assert made.features.names == SCHEMA


def test_the_program_refuses_to_ship_a_merged_graph_that_is_off(tmp_path: Path) -> None:
    pytest.importorskip("lightgbm", reason="the extra `train` is not installed")
    from models_onnx import train

    early, _ = dataset.generate(range(60, 61))
    golden = train._golden_rows(early)
    members = {"x": gentle("x", 1), "w": windowed("w")}
    for name, graph in {**members, "ensemble": graphs.merge(list(members.items()))}.items():
        (tmp_path / f"{name}.onnx").write_bytes(graph.SerializeToString())
    honest = [
        train.Fitted(name, "test", key, members[name], evaluate(tmp_path / f"{name}.onnx", {key: rows})[0])
        for name, key, rows in (("x", "features", golden.features), ("w", "window", golden.windows))
    ]
    train._check_parity(tmp_path, tmp_path / "ensemble.onnx", honest, golden)
    honest[1] = honest[1]._replace(answers=honest[1].answers + np.float32(1e-3))
    with pytest.raises(SystemExit, match=r"w: the merged graph is off by 0\.001 from its fitting library"):
        train._check_parity(tmp_path, tmp_path / "ensemble.onnx", honest, golden)

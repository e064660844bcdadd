"""Makes the shipped models: `make models`, or `python -m models_onnx.train [DIRECTORY]` (extra `train`, some 40 s).

Data from the built-in market with fixed seeds, four members of four kinds, one merged graph, one manifest. The same
sources and libraries give the same bytes. Nothing is chosen on the held-out seeds; they are measured once, at the end,
and the manifest says what came out, good or not.
"""

from __future__ import annotations

import hashlib
import math
import os
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx

from actors.messages.signals import Action
from actors.rules import features as rules
from actors.rules.ensemble import Pool, combine
from models_onnx import dataset, graphs, manifest, tcn
from models_onnx.dataset import Samples
from models_onnx.predictor import Predictor, evaluate

FIT_SEEDS = range(1000, 1040)
HELD_OUT_SEEDS = range(9000, 9012)
COST_BPS = 10.0  # 5 bps per side: a taker's fee without discounts
HIT_RATE = 0.75  # the floor is the lowest confidence at which tuning decisions are right this often
GOLDEN = 4
TOLERANCE = 1e-5
_SEED = 7
_LIBRARIES = ("numpy", "scikit-learn", "lightgbm", "onnx", "onnxmltools", "onnxruntime")
_ENVIRONMENT = {"ORT_DISABLE_TELEMETRY": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}

Array = npt.NDArray[Any]


class Fitted(NamedTuple):
    """One member: its graph, and the fitting library's own answers to the golden inputs (the parity witness)."""

    name: str
    kind: str
    input: str
    graph: Any
    answers: Array


def make(directory: Path) -> manifest.Manifest:
    """Fit, export, merge, measure, write; then load it all back the way the product does."""
    fit, tune = dataset.generate(FIT_SEEDS)
    held_out = dataset.join(*dataset.generate(HELD_OUT_SEEDS))
    _say(f"{len(fit)} rows to fit, {len(tune)} to tune, {len(held_out)} held out")
    golden = _golden_rows(tune)
    members = _fit(fit, tune, golden)
    merged = graphs.merge([(member.name, member.graph) for member in members])

    directory.mkdir(parents=True, exist_ok=True)
    hashes = {member.name: _save(directory / f"{member.name}.onnx", member.graph) for member in members}
    ensemble_hash = _save(directory / "ensemble.onnx", merged)
    ensemble = directory / "ensemble.onnx"
    answers = _check_parity(directory, ensemble, members, golden)

    shares = np.bincount(fit.labels, minlength=3) / len(fit)
    weight = 1.0 / len(members)
    tuned, measured = (_answers(ensemble, samples) for samples in (tune, held_out))
    calibration = _calibrate(fit, tune, np.mean(tuned, axis=0))
    made = manifest.Manifest(
        schema=manifest.SCHEMA,
        opset=graphs.OPSET,
        ml_opset=graphs.ML_OPSET,
        ir_version=graphs.IR_VERSION,
        features=manifest.FeatureSchema(
            version=rules.SCHEMA_VERSION, hash=rules.SCHEMA_HASH, names=rules.SCHEMA, window=rules.WINDOW
        ),
        ensemble_file=ensemble.name,
        ensemble_sha256=ensemble_hash,
        members=tuple(
            manifest.Member(
                name=member.name,
                kind=member.kind,
                file=f"{member.name}.onnx",
                sha256=hashes[member.name],
                input=member.input,
                output=f"p_{member.name}",
                weight=weight,
                golden=tuple((float(up), float(flat), float(down)) for up, flat, down in answers[k]),
                metrics=_measure(measured[k], held_out.labels, shares),
            )
            for k, member in enumerate(members)
        ),
        golden=manifest.Golden(
            count=len(golden),
            features=golden.features.astype("<f4").tobytes(),
            windows=golden.windows.astype("<f4").tobytes(),
            tolerance=TOLERANCE,
        ),
        calibration=calibration,
        training=manifest.Training(
            source="the built-in market (actors/venues/market.py): synthetic, evidence of nothing about real markets",
            seeds=(FIT_SEEDS[0], FIT_SEEDS[-1]),
            held_out_seeds=(HELD_OUT_SEEDS[0], HELD_OUT_SEEDS[-1]),
            fit_samples=len(fit),
            tune_samples=len(tune),
            held_out_samples=len(held_out),
            class_shares=(float(shares[0]), float(shares[1]), float(shares[2])),
            libraries={name: version(name) for name in _LIBRARIES},
        ),
        held_out=_measure(np.mean(measured, axis=0), held_out.labels, shares),
        held_out_trades=_trade(measured, held_out, calibration, (weight,) * len(members)),
    )
    manifest.write(directory, made)
    Predictor.load(directory, rules.SCHEMA_HASH)
    return made


def _fit(fit: Samples, tune: Samples, golden: Samples) -> list[Fitted]:
    """The four members. Their own answers to the golden inputs come from the fitting side, not from the graph."""
    from lightgbm import LGBMClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier

    mean, deviation = fit.features.mean(axis=0, dtype=float), fit.features.std(axis=0, dtype=float)
    scale = (mean, deviation)
    x, x_tune, x_golden = ((rows.features - mean) / deviation for rows in (fit, tune, golden))
    width = rules.WIDTH

    linear = LogisticRegression(C=0.3, max_iter=1000).fit(x, fit.labels)
    heat = _temperature(linear.decision_function(x_tune), tune.labels)
    weights, bias = linear.coef_.T / heat, linear.intercept_ / heat
    _say(f"logistic fitted, temperature {heat:.2f}")
    logistic = Fitted(
        "logistic", "multinomial logistic regression", "features",
        graphs.logistic(weights, bias, scale, "p_logistic"), tcn.softmax(x_golden @ weights + bias),
    )  # fmt: skip

    net = MLPClassifier((24, 12), activation="tanh", alpha=1.0, max_iter=20, batch_size=128, random_state=_SEED)
    net.n_iter_no_change = 20
    _fit_quietly(net, x, fit.labels)
    layers = list(zip(net.coefs_, net.intercepts_, strict=True))
    heat = _temperature(_forward(layers, x_tune), tune.labels)
    layers[-1] = (layers[-1][0] / heat, layers[-1][1] / heat)
    _say(f"mlp fitted, temperature {heat:.2f}")
    perceptron = Fitted(
        "mlp", "perceptron 16-24-12-3, tanh", "features",
        graphs.mlp(layers, scale, "p_mlp"), tcn.softmax(_forward(layers, x_golden)),
    )  # fmt: skip

    booster = LGBMClassifier(
        n_estimators=60, learning_rate=0.07, num_leaves=15, max_depth=5, min_child_samples=200, reg_lambda=5.0,
        subsample=0.7, subsample_freq=1, colsample_bytree=0.7, random_state=_SEED, n_jobs=1,
        deterministic=True, force_row_wise=True, verbose=-1,
    )  # fmt: skip
    booster.fit(fit.features, fit.labels)
    _say("trees fitted")
    trees = Fitted(
        "trees", "gradient boosted trees (LightGBM), 60 rounds", "features",
        graphs.trees(booster, width, "p_trees"), np.asarray(booster.predict_proba(golden.features)),
    )  # fmt: skip

    flat = fit.windows.reshape(-1, width)
    w_mean, w_deviation = flat.mean(axis=0, dtype=float), flat.std(axis=0, dtype=float)
    w, w_tune, w_golden = (((rows.windows - w_mean) / w_deviation).astype(np.float32) for rows in (fit, tune, golden))
    convolution = tcn.fit(w, fit.labels, (w_tune, tune.labels), epochs=6, seed=_SEED)
    logits = convolution.logits(w_tune)
    heat = _temperature(logits, tune.labels)
    _say(f"tcn fitted, temperature {heat:.2f}")
    temporal = Fitted(
        "tcn", "temporal convolution, 4 dilated layers of 12 channels over 64 rows", "window",
        graphs.temporal(convolution, (w_mean, w_deviation), heat, rules.WINDOW, "p_tcn"),
        tcn.softmax(convolution.logits(w_golden) / np.float32(heat)),
    )  # fmt: skip
    return [logistic, perceptron, trees, temporal]


def _fit_quietly(net: Any, x: Array, labels: Array) -> None:
    """The epochs are fixed on purpose; the library would warn that it did not converge."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        net.fit(x, labels)


def _forward(layers: list[tuple[Array, Array]], x: Array) -> Array:
    for weights, bias in layers[:-1]:
        x = np.tanh(x @ weights + bias)
    return np.asarray(x @ layers[-1][0] + layers[-1][1])


def _temperature(logits: Array, labels: Array) -> float:
    """The divisor of the logits with the least log-loss on the tuning rows (Guo et al. 2017), on a fixed grid."""
    grid = np.geomspace(0.5, 3.0, 61)
    return float(min(grid, key=lambda heat: tcn.cross_entropy(logits / heat, labels)))


def _golden_rows(rows: Samples) -> Samples:
    """The clearest rise, the clearest fall, and two in between, so that the answers differ."""
    order = np.argsort(rows.moves_bps, kind="stable")
    chosen = order[[len(order) - 1, len(order) // 2, 0, len(order) // 4]][:GOLDEN]
    return Samples(rows.features[chosen], rows.windows[chosen], rows.labels[chosen], rows.moves_bps[chosen])


def _answers(ensemble: Path, rows: Samples) -> list[Array]:
    return evaluate(ensemble, {"features": rows.features, "window": rows.windows})


def _check_parity(directory: Path, ensemble: Path, members: list[Fitted], golden: Samples) -> list[Array]:
    """The merged graph's golden answers, after they agreed with each member's own file and its fitting library."""
    merged = _answers(ensemble, golden)
    for member, answer in zip(members, merged, strict=True):
        x = golden.features if member.input == "features" else golden.windows
        (alone,) = evaluate(directory / f"{member.name}.onnx", {member.input: x})
        for what, other in (("its own file", alone), ("its fitting library", member.answers)):
            off = float(np.abs(answer - other).max())
            if not off <= TOLERANCE:
                raise SystemExit(
                    f"{member.name}: the merged graph is off by {off:.3g} from {what}; limit {TOLERANCE:g}"
                )
    return merged


def _calibrate(fit: Samples, tune: Samples, pooled: Array) -> manifest.Calibration:
    """The mean moves from the fitting rows, the confidence floor from the tuning rows."""
    floor = 0.0
    for candidate in np.arange(0.50, 0.90, 0.01):
        right, made = 0, 0
        for outcome in (dataset.UP, dataset.DOWN):
            chosen = (pooled[:, outcome] >= candidate) & (pooled.argmax(axis=1) == outcome)
            made += int(chosen.sum())
            right += int((tune.labels[chosen] == outcome).sum())
        if made >= 50 and right / made >= HIT_RATE:
            floor = round(float(candidate), 2)
            break
    if not floor:
        raise SystemExit(f"no confidence floor below 0.9 is right {HIT_RATE:.0%} of the time on the tuning rows")
    return manifest.Calibration(
        horizon_s=dataset.HORIZON_S,
        threshold_bps=dataset.THRESHOLD_BPS,
        cost_bps=COST_BPS,
        move_up_bps=round(float(fit.moves_bps[fit.labels == dataset.UP].mean()), 2),
        move_down_bps=round(-float(fit.moves_bps[fit.labels == dataset.DOWN].mean()), 2),
        confidence=floor,
        method=(
            "moves: mean over the fitting rows of that label; confidence: the lowest of 0.50, 0.51 … at which the"
            f" pooled favourite of the tuning rows is right at least {HIT_RATE:.0%} of the time"
        ),
    )


def _measure(answers: Array, labels: Array, shares: Array) -> manifest.Metrics:
    truth = np.eye(3)[labels]
    base = np.broadcast_to(shares, truth.shape)
    rows = np.arange(len(labels))
    brier, base_brier = (float(((p - truth) ** 2).sum(axis=1).mean()) for p in (answers, base))
    return manifest.Metrics(
        samples=len(labels),
        log_loss=_round(-np.log(answers[rows, labels] + 1e-12).mean()),
        base_log_loss=_round(-np.log(base[rows, labels]).mean()),
        accuracy=_round((answers.argmax(axis=1) == labels).mean()),
        base_accuracy=_round((labels == int(shares.argmax())).mean()),
        brier=_round(brier),
        base_brier=_round(base_brier),
        brier_skill=_round(1.0 - brier / base_brier),
    )


def _trade(
    answers: list[Array], rows: Samples, calibration: manifest.Calibration, weights: tuple[float, ...]
) -> manifest.Trades:
    """The product's own vote over all held-out rows."""
    pool = Pool(
        weights=weights,
        confidence=calibration.confidence,
        move_up_bps=calibration.move_up_bps,
        move_down_bps=calibration.move_down_bps,
        cost_bps=calibration.cost_bps,
    )
    spread = rules.SCHEMA.index("spread_bps")
    nets, hits = [], 0
    for k in range(len(rows)):
        votes = [(float(p[k][0]), float(p[k][1]), float(p[k][2])) for p in answers]
        action = combine(votes, pool, float(rows.features[k, spread])).action
        if action is not Action.HOLD:
            sign, outcome = (1.0, dataset.UP) if action is Action.BUY else (-1.0, dataset.DOWN)
            nets.append(sign * float(rows.moves_bps[k]) - calibration.cost_bps)
            hits += int(rows.labels[k] == outcome)
    made = len(nets)
    return manifest.Trades(
        decisions=made,
        share=_round(made / len(rows)),
        hit_rate=_round(hits / made) if made else 0.0,
        mean_net_bps=_round(math.fsum(nets) / made) if made else 0.0,
    )


def _save(path: Path, graph: Any) -> str:
    data: bytes = graph.SerializeToString(deterministic=True)
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def _round(value: float) -> float:
    return round(float(value), 4)


def _say(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    """Fit in a scratch folder, and move the files into place only when everything was verified."""
    if any(os.environ.get(name) != value for name, value in _ENVIRONMENT.items()):
        # threads of a BLAS change sums in the last digit, and these must be set before Python starts
        os.execve(sys.executable, [sys.executable, "-m", "models_onnx.train", *sys.argv[1:]], os.environ | _ENVIRONMENT)
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target, prefix=".made-") as scratch:
        made = make(Path(scratch))
        # the manifest last: a reader in between refuses by hash, and never loads a mixture
        for path in sorted(Path(scratch).iterdir(), key=lambda path: path.name == manifest.FILE):
            path.replace(target / path.name)
    for member in made.members:
        _say(f"{member.name:9} log-loss {member.metrics.log_loss} of {member.metrics.base_log_loss}")
    _say(f"pooled    {made.held_out}")
    _say(f"{made.held_out_trades}, floor {made.calibration.confidence}; written to {target} (onnx {onnx.__version__})")


if __name__ == "__main__":
    main()

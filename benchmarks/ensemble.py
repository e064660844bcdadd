"""What a decision costs in Python over the bare models: inputs from the features, one run, the vote.

Raw: `session.run` of the merged graph with a ready feed. Ours: `Features.inputs`, `Predictor.run` (which checks inputs
and answers) and `combine`, on the same numbers and the very same session, so that only Python differs.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from actors.rules.ensemble import Pool, combine
from actors.rules.features import SCHEMA_HASH, Features
from actors.venues.market import Market
from benchmarks.pairs import paired, report
from models_onnx import predictor as room
from models_onnx.dataset import tick_of
from models_onnx.predictor import Predictor

GATE = 1.4
DECISIONS = 500  # short turns: what else the machine does then hits both sides alike
PAIRS = 61
MODELS = Path(room.__file__).parent


def main() -> int:
    """Print the line; 1 beyond the gate."""
    predictor = Predictor.load(MODELS, SCHEMA_HASH)
    manifest = predictor.manifest
    pool = Pool(
        weights=predictor.weights,
        confidence=manifest.calibration.confidence,
        move_up_bps=manifest.calibration.move_up_bps,
        move_down_bps=manifest.calibration.move_down_bps,
        cost_bps=manifest.calibration.cost_bps,
    )
    features = Features()
    market = Market(1)
    for number in range(300):
        features.update(tick_of("BTC", market.step().instruments["usdm", "BTC"], 1.0, 1.0, number), number * 10**8)
    inputs = features.inputs()
    assert inputs is not None, "the features are not warm after 30 s of market time"
    session = predictor._session
    feed = {"features": inputs[0].copy(), "window": inputs[1].copy()}
    outputs = [member.output for member in manifest.members]

    def raw() -> float:
        run = session.run
        started = time.perf_counter()
        for _ in range(DECISIONS):
            run(outputs, feed)
        return (time.perf_counter() - started) / DECISIONS * 1e6

    def ours() -> float:
        run, build = predictor.run, features.inputs
        started = time.perf_counter()
        for _ in range(DECISIONS):
            ready = build()
            if ready is not None:
                combine(run(*ready), pool, 0.1)
        return (time.perf_counter() - started) / DECISIONS * 1e6

    ratio, raw_us, ours_us = paired(raw, ours, PAIRS)
    held = report("ensemble decision", ratio, GATE, at_least=False, raw_us=raw_us, ours_us=ours_us)
    return 0 if held else 1


if __name__ == "__main__":
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before onnxruntime is imported, which happens on first use
    raise SystemExit(main())

"""Small sets of real models with a true manifest, to be broken in one place at a time."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from onnx import TensorProto, helper, numpy_helper

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before the first session, as the Makefile and `qt` do

from actors.rules.features import SCHEMA, SCHEMA_HASH, WIDTH, WINDOW
from models_onnx import graphs, manifest, predictor

SHIPPED = Path(predictor.__file__).parent
NAMES = ("a", "b", "c", "d")


def gentle(name: str, seed: int) -> Any:
    """A logistic member that never misbehaves."""
    weights = np.random.default_rng(seed).standard_normal((WIDTH, 3)) * 0.1
    return graphs.logistic(weights, np.zeros(3), (np.zeros(WIDTH), np.ones(WIDTH)), f"p_{name}")


def overflowing(name: str) -> Any:
    """A member that answers NaN once the first feature is large."""
    weights = np.zeros((WIDTH, 3))
    weights[0] = 1e30, -1e30, 2e30
    return graphs.logistic(weights * 1.0, np.zeros(3), (np.zeros(WIDTH), np.ones(WIDTH)), f"p_{name}")


def raising(name: str) -> Any:
    """A member whose run fails once the first feature is 5 or more: it looks up a row that is not there."""
    table = np.full((5, 3), 1 / 3, dtype=np.float32)
    arrays = {
        "starts": np.array([0]), "ends": np.array([1]), "axes": np.array([1]), "table": table,
        "flat": np.array([-1]),
    }  # fmt: skip
    nodes = [
        helper.make_node("Slice", ["features", "starts", "ends", "axes"], ["first"]),
        helper.make_node("Abs", ["first"], ["size"]),
        helper.make_node("Cast", ["size"], ["index"], to=TensorProto.INT64),
        helper.make_node("Reshape", ["index", "flat"], ["rows"]),
        helper.make_node("Gather", ["table", "rows"], [f"p_{name}"], axis=0),
    ]
    graph = helper.make_graph(
        nodes, name,
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", WIDTH])],
        [helper.make_tensor_value_info(f"p_{name}", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(array, key) for key, array in arrays.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", graphs.OPSET)], ir_version=graphs.IR_VERSION)


def windowed(name: str) -> Any:
    """A member over the window: the mean row, softly."""
    weights = numpy_helper.from_array(np.full((WIDTH, 3), 0.01, dtype=np.float32), "w")
    bias = numpy_helper.from_array(np.zeros(3, dtype=np.float32), "b")
    nodes = [
        helper.make_node("ReduceMean", ["window"], ["mean"], axes=[1], keepdims=0),
        helper.make_node("Gemm", ["mean", "w", "b"], ["logits"]),
        helper.make_node("Softmax", ["logits"], [f"p_{name}"], axis=1),
    ]
    graph = helper.make_graph(
        nodes, name,
        [helper.make_tensor_value_info("window", TensorProto.FLOAT, ["N", WINDOW, WIDTH])],
        [helper.make_tensor_value_info(f"p_{name}", TensorProto.FLOAT, ["N", 3])],
        [weights, bias],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", graphs.OPSET)], ir_version=graphs.IR_VERSION)


def write_set(directory: Path, members: dict[str, Any]) -> manifest.Manifest:
    """Members, merged graph and a manifest whose every word is true; golden inputs are zeros and small numbers."""
    features = np.zeros((2, WIDTH), dtype=np.float32)
    features[1] = np.linspace(-1, 1, WIDTH)
    windows = np.zeros((2, WINDOW, WIDTH), dtype=np.float32)
    windows[1] = features[1]
    merged = graphs.merge(list(members.items()))
    paths = {}
    for name, graph in {**members, "ensemble": merged}.items():
        paths[name] = directory / f"{name}.onnx"
        paths[name].write_bytes(graph.SerializeToString())
    answers = predictor.evaluate(paths["ensemble"], {"features": features, "window": windows})
    shipped = manifest.read(SHIPPED)
    made = msgspec.structs.replace(
        shipped,
        features=msgspec.structs.replace(shipped.features, hash=SCHEMA_HASH, names=SCHEMA),
        ensemble_file="ensemble.onnx",
        ensemble_sha256=sha256(paths["ensemble"]),
        members=tuple(
            msgspec.structs.replace(
                shipped.members[0], name=name, file=f"{name}.onnx", sha256=sha256(paths[name]),
                input=graph.graph.input[0].name, output=f"p_{name}",
                golden=tuple(tuple(float(p) for p in row) for row in answer),
            )
            for (name, graph), answer in zip(members.items(), answers, strict=True)
        ),
        golden=manifest.Golden(count=2, features=features.tobytes(), windows=windows.tobytes(), tolerance=1e-5),
    )  # fmt: skip
    manifest.write(directory, made)
    return made


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def inputs(first: float = 0.5) -> tuple[Any, Any]:
    """A features row whose first number is given, and a window."""
    row = np.full((1, WIDTH), 0.25, dtype=np.float32)
    row[0, 0] = first
    return row, np.full((1, WINDOW, WIDTH), 0.25, dtype=np.float32)

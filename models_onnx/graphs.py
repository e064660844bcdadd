"""From fitted models to ONNX graphs of one form: input `features` (N, 16) or `window` (N, 64, 16), three probabilities.

Standardisation is folded into the first layer's weights and the temperature into the last one's, so a graph has no
node it does not need. Used when models are made, where `onnx` is installed; the product never imports this.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from models_onnx.tcn import DILATIONS, TAPS, Tcn

OPSET = 17
ML_OPSET = 3
IR_VERSION = 9

Array = npt.NDArray[np.floating[Any]]
Model = Any  # onnx.ModelProto: the library is untyped


def logistic(weights: Array, bias: Array, scale: tuple[Array, Array], output: str) -> Model:
    """Softmax of one affine map; `weights` (16, 3), `scale` the mean and deviation of the features."""
    weights, bias = _fold(weights, bias, scale)
    nodes = [_gemm("features", "w", "b", "logits"), _softmax("logits", output)]
    return _model(nodes, {"w": weights, "b": bias}, _features(len(weights)), output)


def mlp(layers: list[tuple[Array, Array]], scale: tuple[Array, Array], output: str) -> Model:
    """Affine maps (weights (in, out), bias) with tanh between: a wild input saturates instead of running away."""
    nodes, arrays, name = [], {}, "features"
    for k, (weights, bias) in enumerate(layers):
        if k == 0:
            weights, bias = _fold(weights, bias, scale)
        arrays[f"w{k}"], arrays[f"b{k}"] = weights, bias
        nodes.append(_gemm(name, f"w{k}", f"b{k}", f"a{k}"))
        name = f"a{k}"
        if k < len(layers) - 1:
            nodes.append(helper.make_node("Tanh", [name], [f"h{k}"]))
            name = f"h{k}"
    nodes.append(_softmax(name, output))
    return _model(nodes, arrays, _features(len(layers[0][0])), output)


def temporal(net: Tcn, scale: tuple[Array, Array], temperature: float, time: int, output: str) -> Model:
    """The net as dilated Conv nodes over (N, channels, time)."""
    nodes = [helper.make_node("Transpose", ["window"], ["t0"], perm=[0, 2, 1])]
    arrays: dict[str, Array] = {}
    for k, dilation in enumerate(DILATIONS):
        weights: Array = net.convolutions[k][0]
        bias: Array = net.convolutions[k][1]
        if k == 0:
            mean, deviation = scale
            weights = weights / deviation[None, :, None]
            bias = bias - np.einsum("c,kco->o", mean, weights)
        arrays[f"w{k}"], arrays[f"b{k}"] = weights.transpose(2, 1, 0), bias
        nodes += [
            helper.make_node("Conv", [f"t{k}", f"w{k}", f"b{k}"], [f"c{k}"], dilations=[dilation], kernel_shape=[TAPS]),
            helper.make_node("Relu", [f"c{k}"], [f"t{k + 1}"]),
        ]
    channels = len(arrays[f"b{len(DILATIONS) - 1}"])
    remaining = time - sum(DILATIONS) * (TAPS - 1)
    # the net reads (time, channels), the graph holds (channels, time): reorder the head's rows once, not the data
    head = net.head[0].reshape(remaining, channels, -1).transpose(1, 0, 2).reshape(remaining * channels, -1)
    arrays["hw"], arrays["hb"] = head / temperature, net.head[1] / temperature
    nodes += [
        helper.make_node("Flatten", [f"t{len(DILATIONS)}"], ["flat"], axis=1),
        _gemm("flat", "hw", "hb", "logits"),
        _softmax("logits", output),
    ]
    width = net.convolutions[0][0].shape[1]
    window = helper.make_tensor_value_info("window", TensorProto.FLOAT, ["N", time, width])
    return _model(nodes, arrays, window, output)


def trees(booster: Any, width: int, output: str) -> Model:
    """A LightGBM classifier as its one TreeEnsembleClassifier node; the converter's label and cast nodes go."""
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    converted = convert_lightgbm(
        booster, initial_types=[("features", FloatTensorType([None, width]))], zipmap=False, target_opset=15
    )
    node = next(node for node in converted.graph.node if node.op_type == "TreeEnsembleClassifier")
    node.input[0] = "features"
    node.output[0], node.output[1] = "label", output
    node.name = "trees"
    return _model([node], {}, _features(width), output)


def merge(members: list[tuple[str, Model]]) -> Model:
    """One graph over the shared inputs `features` and `window`, one output per member, named like its own."""
    nodes, arrays, outputs, inputs = [], [], [], {}
    for name, member in members:
        own = member.graph.input[0].name
        output = member.graph.output[0].name
        graph = compose.add_prefix(member, f"{name}/").graph
        for node in graph.node:
            node.input[:] = [own if edge == f"{name}/{own}" else edge for edge in node.input]
            node.output[:] = [output if edge == f"{name}/{output}" else edge for edge in node.output]
        nodes += list(graph.node)
        arrays += list(graph.initializer)
        inputs[own] = member.graph.input[0]
        outputs.append(member.graph.output[0])
    ordered = [inputs[name] for name in sorted(inputs)]
    return _checked(helper.make_graph(nodes, "ensemble", ordered, outputs, arrays))


def _features(width: int) -> Any:
    return helper.make_tensor_value_info("features", TensorProto.FLOAT, ["N", width])


def _gemm(x: str, weights: str, bias: str, y: str) -> Any:
    return helper.make_node("Gemm", [x, weights, bias], [y])


def _softmax(x: str, y: str) -> Any:
    return helper.make_node("Softmax", [x], [y], axis=1)


def _fold(weights: Array, bias: Array, scale: tuple[Array, Array]) -> tuple[Array, Array]:
    mean, deviation = scale
    weights = weights / deviation[:, None]
    return weights, bias - mean @ weights


def _model(nodes: list[Any], arrays: dict[str, Array], x: Any, output: str) -> Model:
    y = helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", 3])
    tensors = [
        numpy_helper.from_array(np.ascontiguousarray(array, dtype=np.float32), name) for name, array in arrays.items()
    ]
    return _checked(helper.make_graph(nodes, output, [x], [y], tensors))


def _checked(graph: Any) -> Model:
    domains = {node.domain for node in graph.node}
    opsets = [helper.make_opsetid("", OPSET)]
    if "ai.onnx.ml" in domains:
        opsets.append(helper.make_opsetid("ai.onnx.ml", ML_OPSET))
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="quantum-trader")
    onnx.checker.check_model(model, full_check=True)
    return model

"""A small temporal convolution network, fitted with plain numpy (Adam, cross-entropy), so that training needs no torch.

Picture: four causal convolutions of 3 taps with dilations 1, 2, 4, 8 and no padding shrink 64 rows to 34, each followed
by a ReLU; the head reads all that remains. Arrays are (rows, time, channels). The fitted net is plain arrays;
`models_onnx/graphs.py` writes the same net as ONNX Conv nodes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
TAPS = 3
DILATIONS: tuple[int, ...] = (1, 2, 4, 8)
CHANNELS = 12
CLASSES = 3
_BATCH = 128
_RATE = 2e-3
_DECAY = 1e-3  # of the weights, per unit of learning rate (decoupled, as in AdamW)
_DROP = 0.2  # of the head's inputs, while fitting


@dataclass(slots=True)
class Tcn:
    """`convolutions`: weights (3, in, out), bias (out,) per layer; `head`: weights (time * channels, 3), bias (3,)."""

    convolutions: list[tuple[Array, Array]]
    head: tuple[Array, Array]

    def logits(self, windows: Array) -> Array:
        """(N, 3) of standardised windows (N, 64, features)."""
        return self._forward(windows)[1]

    def parameters(self) -> list[Array]:
        """All arrays, in a fixed order; changing them in place changes the net."""
        return [array for pair in (*self.convolutions, self.head) for array in pair]

    def _forward(self, x: Array) -> tuple[list[Array], Array]:
        layers = [x]
        for (weights, bias), dilation in zip(self.convolutions, DILATIONS, strict=True):
            x = np.maximum(_convolve(x, weights, dilation) + bias, 0.0)
            layers.append(x)
        return layers, x.reshape(len(x), -1) @ self.head[0] + self.head[1]


def fit(
    windows: Array, labels: npt.NDArray[np.int64], check: tuple[Array, npt.NDArray[np.int64]], epochs: int, seed: int
) -> Tcn:
    """The net of the epoch with the least loss on `check` (standardised windows, labels in 0..2)."""
    rng = np.random.default_rng(seed)
    net = _start(windows.shape[1], windows.shape[2], rng)
    parameters = net.parameters()
    first = [np.zeros_like(array) for array in parameters]
    second = [np.zeros_like(array) for array in parameters]
    best, best_loss, step = [array.copy() for array in parameters], np.inf, 0
    for epoch in range(epochs):
        rate = _RATE * 0.5 * (1.0 + np.cos(np.pi * epoch / epochs))
        order = rng.permutation(len(labels))
        for start in range(0, len(order) - _BATCH + 1, _BATCH):
            rows = order[start : start + _BATCH]
            step += 1
            for k, gradient in enumerate(_gradients(net, windows[rows], labels[rows], rng)):
                first[k] += 0.1 * (gradient - first[k])
                second[k] += 0.001 * (gradient * gradient - second[k])
                moment = first[k] / (1.0 - 0.9**step)
                scale = np.sqrt(second[k] / (1.0 - 0.999**step)) + 1e-8
                parameters[k] -= (rate * (moment / scale + _DECAY * parameters[k])).astype(np.float32)
        loss = cross_entropy(net.logits(check[0]), check[1])
        if loss < best_loss:
            best, best_loss = [array.copy() for array in parameters], loss
    for array, kept in zip(parameters, best, strict=True):
        array[...] = kept
    return net


def softmax(logits: Array) -> Array:
    """Probabilities along the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True), dtype=np.float32)


def cross_entropy(logits: Array, labels: npt.NDArray[np.int64]) -> float:
    """Mean negative log-likelihood, in nats."""
    return float(-np.log(softmax(logits)[np.arange(len(labels)), labels] + 1e-12).mean())


def _start(time: int, features: int, rng: np.random.Generator) -> Tcn:
    convolutions: list[tuple[Array, Array]] = []
    width = features
    for dilation in DILATIONS:
        weights = rng.standard_normal((TAPS, width, CHANNELS)) * np.sqrt(2.0 / (TAPS * width))
        convolutions.append((weights.astype(np.float32), np.zeros(CHANNELS, np.float32)))
        width, time = CHANNELS, time - dilation * (TAPS - 1)
    head = (rng.standard_normal((time * width, CLASSES)) * 0.01).astype(np.float32)
    return Tcn(convolutions, (head, np.zeros(CLASSES, np.float32)))


def _convolve(x: Array, weights: Array, dilation: int) -> Array:
    length = x.shape[1] - dilation * (TAPS - 1)
    total = x[:, :length] @ weights[0]
    for tap in range(1, TAPS):
        total += x[:, tap * dilation : tap * dilation + length] @ weights[tap]
    return np.asarray(total)


def _gradients(net: Tcn, windows: Array, labels: npt.NDArray[np.int64], rng: np.random.Generator) -> list[Array]:
    """Of the mean cross-entropy, in the order of `Tcn.parameters`."""
    layers, _ = net._forward(windows)
    last = layers[-1].reshape(len(windows), -1)
    kept = (rng.random(last.shape) >= _DROP).astype(np.float32) / np.float32(1.0 - _DROP)
    error = softmax(last * kept @ net.head[0] + net.head[1])
    error[np.arange(len(labels)), labels] -= 1.0
    error /= len(labels)
    found = [(last * kept).T @ error, error.sum(axis=0)]
    back: Array = ((error @ net.head[0].T) * kept).reshape(layers[-1].shape)
    for k in range(len(DILATIONS) - 1, -1, -1):
        weights, dilation, x = net.convolutions[k][0], DILATIONS[k], layers[k]
        back = back * (layers[k + 1] > 0.0)
        length, flat = back.shape[1], back.reshape(-1, back.shape[2])
        gradient, below = np.empty_like(weights), np.zeros_like(x)
        for tap in range(TAPS):
            part = slice(tap * dilation, tap * dilation + length)
            gradient[tap] = x[:, part].reshape(-1, x.shape[2]).T @ flat
            below[:, part] += back @ weights[tap].T
        found[:0] = [gradient, flat.sum(axis=0)]
        back = below
    return found

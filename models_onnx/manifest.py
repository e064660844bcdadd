"""The manifest beside the model files: what each file must be, must compute, and was made from.

`manifest.json` is written by `models_onnx.train` and read by `models_onnx.predictor`, which believes nothing else: a
model is its hash, its feature schema and its golden answers. Reading checks the form only; the predictor checks the
truth.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

SCHEMA = 1
FILE = "manifest.json"
CLASSES = ("up", "flat", "down")

Probabilities = tuple[float, float, float]  # up, flat, down


class ModelRefused(Exception):
    """A model, or its manifest, is not what it must be. The sentence names file, expected and found."""

    retryable = False  # the same bytes will be refused again; a changed file releases the child


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """On held-out data; `base_*` is what always saying the fitting data's class shares would get."""

    samples: int
    log_loss: float
    base_log_loss: float
    accuracy: float
    base_accuracy: float
    brier: float
    base_brier: float
    brier_skill: float  # 1 - brier / base_brier


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One model of the ensemble: its own file, its input, and its output in the merged graph."""

    name: str
    kind: str
    file: str
    sha256: str
    input: str  # "features" or "window"
    output: str  # in the member's own graph and in the merged one
    weight: float
    golden: tuple[Probabilities, ...]  # expected answers to the golden inputs, in their order
    metrics: Metrics


class FeatureSchema(msgspec.Struct, frozen=True, kw_only=True):
    """Which numbers the models were fitted on (`actors/rules/features.py`)."""

    version: int
    hash: str
    names: tuple[str, ...]
    window: int


class Golden(msgspec.Struct, frozen=True, kw_only=True):
    """Golden inputs: raw little-endian float32, base64 in JSON; `features` is count x width, `windows` is
    count x window x width."""

    count: int
    features: bytes
    windows: bytes
    tolerance: float


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """What the vote needs to know, measured on the tuning rows; how, is said in `method`."""

    horizon_s: float
    threshold_bps: float  # what counts as up or down
    cost_bps: float  # of a round trip in fees
    move_up_bps: float  # mean move over the horizon where the label is up
    move_down_bps: float  # and down, as a positive number
    confidence: float  # the floor: below it the answer is HOLD
    method: str


class Training(msgspec.Struct, frozen=True, kw_only=True):
    """What the models were made from."""

    source: str
    seeds: tuple[int, int]  # first and last
    held_out_seeds: tuple[int, int]
    fit_samples: int
    tune_samples: int
    held_out_samples: int
    class_shares: Probabilities  # of the fitting rows
    libraries: dict[str, str]


class Trades(msgspec.Struct, frozen=True, kw_only=True):
    """What the held-out rows would have earned at the calibrated floor, before the cool-down, per decision."""

    decisions: int
    share: float  # of all rows that are BUY or SELL
    hit_rate: float  # label equals the action
    mean_net_bps: float  # after `cost_bps`


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything about one set of models."""

    schema: int
    opset: int
    ml_opset: int
    ir_version: int
    features: FeatureSchema
    ensemble_file: str
    ensemble_sha256: str
    members: tuple[Member, ...]
    golden: Golden
    calibration: Calibration
    training: Training
    held_out: Metrics  # of the pooled answer
    held_out_trades: Trades


def read(directory: Path) -> Manifest:
    """The manifest in `directory`; raises `ModelRefused` when it is missing or has another form."""
    path = directory / FILE
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except OSError as error:
        raise ModelRefused(f"{path}: expected the models' manifest, found none ({error.strerror})") from error
    except msgspec.MsgspecError as error:
        raise ModelRefused(f"{path}: expected a manifest of schema {SCHEMA}, found something else: {error}") from error
    if manifest.schema != SCHEMA:
        raise ModelRefused(f"{path}: expected manifest schema {SCHEMA}, found {manifest.schema}")
    if not manifest.members:
        raise ModelRefused(f"{path}: expected at least one member, found none")
    for member in manifest.members:
        if len(member.golden) != manifest.golden.count:
            raise ModelRefused(
                f"{path}: expected {manifest.golden.count} golden answers of {member.name}, found {len(member.golden)}"
            )
        if member.input not in ("features", "window"):
            raise ModelRefused(f"{path}: expected input features or window of {member.name}, found {member.input!r}")
    return manifest


def write(directory: Path, manifest: Manifest) -> None:
    """Write it, the same bytes for the same manifest."""
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
    (directory / FILE).write_bytes(text + b"\n")

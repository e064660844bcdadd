"""The only room of onnxruntime: a directory of verified models, asked as one.

Picture: the members' graphs are merged into one file, so a decision is one `session.run` in one thread. A model counts
as loaded only when the file's hash, the feature schema, names, shapes and the golden answers are right; anything else
is a `ModelRefused` with a sentence. If the merged run raises, each member is run alone: the culprit abstains, the
others vote. It does not vote (`actors/rules/ensemble.py`) and knows no market.

A session made before a fork works after it only while it owns no thread: `prepare()` asserts that.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from models_onnx import manifest as manifests
from models_onnx.manifest import Manifest, Member, ModelRefused, Probabilities

__all__ = ["BadInput", "ModelRefused", "Predictor", "inherited", "prepare"]

Array = npt.NDArray[np.float32]
Answers = tuple[Probabilities | None, ...]

_DIRECTORY = Path(__file__).parent


class BadInput(ValueError):
    """Inputs with NaN or infinity in them: whatever the models answered is no answer."""


class Predictor:
    """Verified models in one session. Not thread-safe; make one per thread.

    `names` and `weights` are the members in the order of the answers; `faults` says why a member abstained in the last
    `run`.
    """

    def __init__(
        self, manifest: Manifest, directory: Path, digests: Mapping[str, str], sessions: Sequence[Any]
    ) -> None:
        """Use `Predictor.load`."""
        self.manifest = manifest
        self.directory = directory
        self.digests = dict(digests)  # file name -> SHA-256 of what was loaded
        self.names = tuple(member.name for member in manifest.members)
        self.weights = tuple(member.weight for member in manifest.members)
        self.faults: dict[str, str] = {}
        self._session = sessions[0]
        self._alone = list(zip(manifest.members, sessions[1:], strict=True))
        self._outputs = [member.output for member in manifest.members]
        self._feed: dict[str, Array] = {}

    @classmethod
    def load(cls, directory: Path | str, schema_hash: str | None = None) -> Predictor:
        """The models of `directory`, made for the features of `schema_hash` (None: whatever the manifest says).

        Raises:
            ModelRefused: a file, hash, schema, name, shape or golden answer is not what the manifest says.
            RuntimeError: the environment would let onnxruntime start threads or send telemetry.
        """
        directory = Path(directory)
        manifest = manifests.read(directory)
        if schema_hash is not None and manifest.features.hash != schema_hash:
            raise ModelRefused(
                f"{directory / manifests.FILE}: expected models for feature schema {schema_hash[:16]}…, found"
                f" {manifest.features.hash[:16]}… (version {manifest.features.version}); make them anew: make models"
            )
        files = [(manifest.ensemble_file, manifest.ensemble_sha256)]
        files += [(member.file, member.sha256) for member in manifest.members]
        contents = [_read(directory / name, digest) for name, digest in files]
        sessions = [_session(directory / name, data) for (name, _), data in zip(files, contents, strict=True)]
        digests = {manifests.FILE: _digest(directory / manifests.FILE), **dict(files)}
        predictor = cls(manifest, directory, digests, sessions)
        predictor._verify()
        return predictor

    def run(self, features: Array, window: Array) -> Answers:
        """(p_up, p_flat, p_down) of each member for one row; None where it abstains (see `faults`).

        Args:
            features: float32 (1, 16), C-contiguous.
            window: float32 (1, 64, 16), C-contiguous.

        Raises:
            BadInput: NaN or infinity in the inputs, noticed by what they do: every product with them is one of them, so
                a linear or convolving member answers no probabilities. To look at a thousand numbers before each
                decision costs a fifth of the inference when the cache is cold; `Features` makes finite ones only.
        """
        feed = self._feed
        feed["features"] = features
        feed["window"] = window
        if self.faults:
            self.faults = {}
        try:
            outputs = self._session.run(self._outputs, feed)
        except Exception as error:  # noqa: BLE001 - onnxruntime's errors share no base; none is swallowed, see below
            outputs = self._run_alone(feed, error)
        answers: list[Probabilities | None] = []
        for output in outputs:
            if output is not None:
                up, flat, down = answer = tuple(output.tolist()[0])
                # written so that NaN is false
                if 0.999 < up + flat + down < 1.001 and up >= 0.0 and flat >= 0.0 and down >= 0.0:
                    answers.append(answer)
                    continue
                _refuse_unless_finite(features, window)
                name = self.names[len(answers)]
                self.faults[name] = f"answered ({up!r}, {flat!r}, {down!r}), which are no probabilities"
            answers.append(None)
        return tuple(answers)

    def _run_alone(self, feed: dict[str, Array], merged: Exception) -> list[Array | None]:
        """Ask each member by itself and name the culprits; if there is none, the merged graph is to blame."""
        outputs: list[Array | None] = []
        for member, session in self._alone:
            try:
                outputs.append(session.run([member.output], {member.input: feed[member.input]})[0])
            except Exception as error:  # noqa: BLE001 - as above
                self.faults[member.name] = f"{type(error).__name__}: {error}"[:300]
                outputs.append(None)
        if not self.faults:
            self.faults[self.manifest.ensemble_file] = f"{type(merged).__name__}: {merged}"[:300]
        return outputs

    def golden(self) -> str:
        """One golden input through the merged graph, some hundred microseconds: "golden", or what came instead.

        It asks the session only: neither the answers in use nor `faults` change.
        """
        manifest = self.manifest
        width, window, count = len(manifest.features.names), manifest.features.window, manifest.golden.count
        path = self.directory / manifest.ensemble_file
        rows = np.frombuffer(manifest.golden.features, dtype="<f4").reshape(count, width)
        windows = np.frombuffer(manifest.golden.windows, dtype="<f4").reshape(count, window, width)
        inputs = {"features": rows[:1].astype(np.float32), "window": windows[:1].astype(np.float32)}
        try:
            answers = self._ask(path, self._session, self._outputs, inputs)
            for member, output in zip(manifest.members, answers, strict=True):
                _check_golden(path, member, output, manifest.golden.tolerance, 0)
        except ModelRefused as error:
            return str(error)
        return "golden"

    def _verify(self) -> None:
        """Names, types, shapes, and the golden answers, of the merged graph and of each member."""
        manifest = self.manifest
        path = self.directory / manifest.ensemble_file
        width, window = len(manifest.features.names), manifest.features.window
        shapes: dict[str, tuple[int, ...]] = {"features": (width,), "window": (window, width)}
        _check_ports(path, self._session, shapes, self._outputs)
        golden = manifest.golden
        inputs: dict[str, Array] = {}
        for name, data in (("features", golden.features), ("window", golden.windows)):
            expected = golden.count * math.prod(shapes[name])
            if len(data) != 4 * expected or not golden.count:
                raise ModelRefused(
                    f"{self.directory / manifests.FILE}: expected {expected} golden numbers for {name}, found"
                    f" {len(data) / 4:g}"
                )
            inputs[name] = np.frombuffer(data, dtype="<f4").astype(np.float32).reshape(golden.count, *shapes[name])
        merged = self._ask(path, self._session, self._outputs, inputs)
        for member, output in zip(manifest.members, merged, strict=True):
            _check_golden(path, member, output, golden.tolerance)
        for k in range(golden.count):  # and one by one, the way they are asked in earnest
            single = {name: array[k : k + 1] for name, array in inputs.items()}
            for member, output in zip(
                manifest.members, self._ask(path, self._session, self._outputs, single), strict=True
            ):
                _check_golden(path, member, output, golden.tolerance, k)
        for member, session in self._alone:
            own = self.directory / member.file
            _check_ports(own, session, {member.input: shapes[member.input]}, [member.output])
            (output,) = self._ask(own, session, [member.output], {member.input: inputs[member.input]})
            _check_golden(own, member, output, golden.tolerance)

    @staticmethod
    def _ask(path: Path, session: Any, outputs: list[str], inputs: dict[str, Array]) -> list[Array]:
        try:
            return list(session.run(outputs, inputs))
        except Exception as error:
            raise ModelRefused(
                f"{path}: expected answers to the golden inputs, found {type(error).__name__}: {error}"
            ) from error


class _Prepared:
    """What the zygote made before the fork; one per process, inherited by its children."""

    predictor: ClassVar[Predictor | None] = None


def prepare() -> None:
    """For the zygote: make the sessions of the shipped models once, before it forks.

    Models that are refused leave nothing prepared: the node that wants them then fails with the sentence, and the
    zygote lives. Raises RuntimeError when a thread was started, for no fork after that is safe.
    """
    before = _threads()
    try:
        _Prepared.predictor = Predictor.load(_DIRECTORY)
    except ModelRefused:
        _Prepared.predictor = None  # `inherited` loads anew and raises it where it belongs
    after = _threads()
    if after != before:
        raise RuntimeError(
            f"onnxruntime started {after - before} thread(s) while models were prepared in process {os.getpid()}:"
            " expected none, a fork would lose them; set ORT_DISABLE_TELEMETRY=1 OMP_NUM_THREADS=1 before Python starts"
        )


def inherited(directory: Path | str | None = None, schema_hash: str | None = None) -> Predictor:
    """The predictor made before the fork if its files are still the same bytes, else one loaded now.

    It is handed out once per process: a second actor in the same node gets sessions of its own. Raises what
    `Predictor.load` raises.
    """
    directory = Path(directory) if directory is not None else _DIRECTORY
    made, _Prepared.predictor = _Prepared.predictor, None
    if (
        made is not None
        and made.directory.resolve() == directory.resolve()
        and (schema_hash is None or made.manifest.features.hash == schema_hash)
        and all(_digest(directory / name) == digest for name, digest in made.digests.items())
    ):
        return made
    return Predictor.load(directory, schema_hash)


def evaluate(path: Path, inputs: dict[str, Array]) -> list[Array]:
    """All outputs of one graph, unverified: for making models, never for deciding."""
    outputs = _session(path, path.read_bytes()).run(None, inputs)
    return [np.asarray(output) for output in outputs]


def _onnxruntime() -> Any:
    """The library, imported late and only where it may not start a thread."""
    if os.environ.get("ORT_DISABLE_TELEMETRY") != "1":
        raise RuntimeError(
            "ORT_DISABLE_TELEMETRY must be 1 before onnxruntime is imported, found"
            f" {os.environ.get('ORT_DISABLE_TELEMETRY')!r}: it would send telemetry and start a thread that no fork"
            " survives; start through `make` or `qt`, or set it in the environment"
        )
    import onnxruntime

    return onnxruntime


def _session(path: Path, data: bytes) -> Any:
    """One thread, sequential, from the very bytes that were hashed."""
    library = _onnxruntime()
    options = library.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = library.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    try:
        return library.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ModelRefused(
            f"{path}: expected an ONNX graph that loads, found {type(error).__name__}: {error}"
        ) from error


def _read(path: Path, expected: str) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelRefused(f"{path}: expected a model file of SHA-256 {expected}, found none: {error}") from error
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        raise ModelRefused(
            f"{path}: expected SHA-256 {expected}, found {found}; the file is not the one that was made; "
            "fetch it again, or make models"
        )
    return data


def _digest(path: Path) -> str:
    """SHA-256, or "" when there is no such file."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _check_ports(path: Path, session: Any, inputs: Mapping[str, tuple[int, ...]], outputs: list[str]) -> None:
    found = {port.name: (port.type, tuple(port.shape[1:])) for port in session.get_inputs()}
    expected = {name: ("tensor(float)", shape) for name, shape in inputs.items()}
    if found != expected:
        raise ModelRefused(f"{path}: expected inputs {expected}, found {found}")
    answers = [port.name for port in session.get_outputs()]
    if answers != outputs:
        raise ModelRefused(f"{path}: expected outputs {outputs}, found {answers}")


def _check_golden(path: Path, member: Member, output: Array, tolerance: float, only: int | None = None) -> None:
    golden = member.golden if only is None else member.golden[only : only + 1]
    expected = np.array(golden, dtype=np.float64)
    if output.shape != expected.shape:
        raise ModelRefused(f"{path}: expected output {member.output} of shape {expected.shape}, found {output.shape}")
    worst = float(np.abs(output - expected).max())
    if not worst <= tolerance:  # NaN is refused, too
        row = int(np.nanargmax(np.abs(np.nan_to_num(output, nan=9.0) - expected).max(axis=1)))
        raise ModelRefused(
            f"{path}: expected golden answer {row + (only or 0)} of {member.name} to be {expected[row].tolist()}, found"
            f" {output[row].tolist()} (off by {worst:.3g}, limit {tolerance:g})"
        )


def _refuse_unless_finite(features: Array, window: Array) -> None:
    bad = int(np.count_nonzero(~np.isfinite(features))), int(np.count_nonzero(~np.isfinite(window)))
    if any(bad):
        raise BadInput(
            f"no decision: {bad[0]} of {features.size} features and {bad[1]} of {window.size} window values are NaN or"
            " infinite"
        )


def _threads() -> int:
    return sum(1 for _ in Path("/proc/self/task").iterdir())

"""A model is loaded only when everything about it is right, and one bad member does not silence the others."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from actors.rules.features import SCHEMA_HASH
from models_onnx import graphs, manifest
from models_onnx.predictor import BadInput, ModelRefused, Predictor, inherited
from tests.models_onnx.sets import NAMES, SHIPPED, gentle, inputs, overflowing, raising, sha256, windowed, write_set

FILES = ("ensemble.onnx", "logistic.onnx", "mlp.onnx", "trees.onnx", "tcn.onnx")
ROOT = SHIPPED.parent


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """A copy of the shipped models that may be broken."""
    for name in (*FILES, manifest.FILE):
        shutil.copy(SHIPPED / name, tmp_path)
    return tmp_path


def rewrite(directory: Path, change: Callable[[manifest.Manifest], manifest.Manifest]) -> None:
    manifest.write(directory, change(manifest.read(directory)))


def test_the_shipped_models_load_and_answer_with_probabilities_that_the_vote_can_use() -> None:
    predictor = Predictor.load(SHIPPED, SCHEMA_HASH)
    assert predictor.names == ("logistic", "mlp", "trees", "tcn")
    assert sum(predictor.weights) == pytest.approx(1.0)
    random = np.random.default_rng(1)
    for _ in range(50):
        window = random.standard_normal((1, 64, 16)).astype(np.float32) * 3
        for answer in predictor.run(window[:, -1].copy(), window):
            assert answer is not None
            assert sum(answer) == pytest.approx(1.0, abs=1e-5)
            assert min(answer) >= 0.0
    assert predictor.faults == {}


def test_the_shipped_models_are_small_and_pinned() -> None:
    made = manifest.read(SHIPPED)
    assert sum((SHIPPED / name).stat().st_size for name in (*FILES, manifest.FILE)) < 2_000_000
    assert 17 <= made.opset <= 21
    assert made.ir_version <= 10
    import onnx

    for name in FILES:
        graph = onnx.load(SHIPPED / name)
        assert graph.ir_version == made.ir_version
        assert {one.domain: one.version for one in graph.opset_import}[""] == made.opset
    kinds = {node.op_type for node in onnx.load(SHIPPED / "tcn.onnx").graph.node}
    assert "Conv" in kinds
    assert {one.name for one in onnx.load(SHIPPED / "ensemble.onnx").graph.input} == {"features", "window"}


def test_batches_and_single_rows_of_the_merged_graph_agree() -> None:
    from models_onnx.predictor import evaluate

    window = np.random.default_rng(2).standard_normal((7, 64, 16)).astype(np.float32)
    row = np.ascontiguousarray(window[:, -1])
    batch = evaluate(SHIPPED / "ensemble.onnx", {"features": row, "window": window})
    predictor = Predictor.load(SHIPPED)
    for k in range(7):
        for member, answer in enumerate(predictor.run(row[k : k + 1], window[k : k + 1])):
            assert answer == pytest.approx(batch[member][k].tolist(), abs=1e-5)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("where", [0.0, 0.37, 0.99])
def test_one_changed_byte_is_refused_naming_the_file_and_both_hashes(shipped: Path, name: str, where: float) -> None:
    path = shipped / name
    before = sha256(path)
    data = bytearray(path.read_bytes())
    data[int(where * len(data))] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelRefused, match=f"{name}: expected SHA-256 {before}, found {sha256(path)}"):
        Predictor.load(shipped, SCHEMA_HASH)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_or_torn_file_is_refused_by_name(shipped: Path, name: str) -> None:
    data = (shipped / name).read_bytes()
    (shipped / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelRefused, match=f"{name}: expected SHA-256"):
        Predictor.load(shipped)
    (shipped / name).unlink()
    with pytest.raises(ModelRefused, match=f"{name}: expected a model file .* found none"):
        Predictor.load(shipped)


def test_models_made_for_other_features_are_refused(shipped: Path) -> None:
    with pytest.raises(ModelRefused, match=r"expected models for feature schema 0000000000000000…, found"):
        Predictor.load(shipped, "0" * 64)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "found something else"),
        (b"{}", "found something else: Object missing required field"),
        (b"[1]", "found something else"),
        (b'{"schema": 1, "surprise": 2}', "found something else"),
        (b"\xff\xfe", "found something else"),
    ],
)
def test_a_manifest_of_another_form_is_refused(shipped: Path, text: bytes, says: str) -> None:
    (shipped / manifest.FILE).write_bytes(text)
    with pytest.raises(ModelRefused, match=rf"manifest\.json: .*{says}"):
        Predictor.load(shipped)


def test_a_manifest_with_an_unknown_word_is_refused(shipped: Path) -> None:
    text = (shipped / manifest.FILE).read_bytes()
    (shipped / manifest.FILE).write_bytes(text.replace(b'"schema"', b'"surprise": 1, "schema"', 1))
    with pytest.raises(ModelRefused, match="surprise"):
        Predictor.load(shipped)


def test_a_folder_without_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="expected the models' manifest, found none"):
        Predictor.load(tmp_path)


Change = Callable[[manifest.Manifest], manifest.Manifest]


def member(k: int, **changes: Any) -> Change:
    def change(made: manifest.Manifest) -> manifest.Manifest:
        members = list(made.members)
        members[k] = msgspec.structs.replace(members[k], **changes)
        return msgspec.structs.replace(made, members=tuple(members))

    return change


def top(**changes: Any) -> Change:
    return lambda made: msgspec.structs.replace(made, **changes)


def golden(**changes: Any) -> Change:
    return lambda made: msgspec.structs.replace(made, golden=msgspec.structs.replace(made.golden, **changes))


def off_by(k: int, distance: float) -> Change:
    def change(made: manifest.Manifest) -> manifest.Manifest:
        (up, flat, down), *rest = made.members[k].golden
        return member(k, golden=((up + distance, flat, down), *rest))(made)

    return change


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (off_by(0, 1e-4), "ensemble.onnx: expected golden answer 0 of logistic to be"),
        (off_by(3, -1e-4), "ensemble.onnx: expected golden answer 0 of tcn to be"),
        (off_by(2, math.nan), "manifest"),  # NaN is no JSON number: the manifest itself is refused
        (member(1, golden=()), "expected 4 golden answers of mlp, found 0"),
        (member(1, input="weather"), "expected input features or window of mlp, found 'weather'"),
        (member(1, input="window"), "mlp.onnx: expected inputs"),
        (member(1, output="p"), "ensemble.onnx: expected outputs"),
        (member(1, file="trees.onnx"), "trees.onnx: expected SHA-256"),
        (golden(features=b"1234"), "expected 64 golden numbers for features, found 1"),
        (golden(windows=b""), "expected 4096 golden numbers for window, found 0"),
        (top(members=()), "expected at least one member"),
        (top(schema=2), "expected manifest schema 1, found 2"),
        (top(ensemble_file="mlp.onnx"), "mlp.onnx: expected SHA-256"),
    ],
)
def test_a_manifest_that_does_not_tell_the_truth_is_refused(shipped: Path, change: Change, says: str) -> None:
    rewrite(shipped, change)
    with pytest.raises(ModelRefused, match=says):
        Predictor.load(shipped, SCHEMA_HASH)


def test_a_graph_that_is_none_is_refused_even_with_the_right_hash(shipped: Path) -> None:
    (shipped / "mlp.onnx").write_bytes(b"not a graph")
    rewrite(shipped, member(1, sha256=sha256(shipped / "mlp.onnx")))
    with pytest.raises(ModelRefused, match=r"mlp\.onnx: expected an ONNX graph that loads, found"):
        Predictor.load(shipped)


def test_a_retrained_member_under_an_old_manifest_is_refused_by_its_golden_answers(shipped: Path) -> None:
    weights = np.full((16, 3), 0.1)
    other = graphs.logistic(weights, np.arange(3.0), (np.zeros(16), np.ones(16)), "p_logistic")
    (shipped / "logistic.onnx").write_bytes(other.SerializeToString())
    rewrite(shipped, member(0, sha256=sha256(shipped / "logistic.onnx")))
    with pytest.raises(ModelRefused, match=r"logistic\.onnx: expected golden answer \d of logistic to be .*off by"):
        Predictor.load(shipped)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", ["features", "window"])
def test_a_number_that_is_not_finite_is_noticed_at_whichever_place_it_stands(value: float, where: str) -> None:
    predictor = Predictor.load(SHIPPED)
    places = {"features": 16, "window": 64 * 16}[where]
    for place in range(places):
        row, window = inputs()
        (row if where == "features" else window).flat[place] = value
        with pytest.raises(BadInput, match=rf"1 of {places} {where}"):
            predictor.run(row, window)
    assert all(answer is not None for answer in predictor.run(*inputs()))


def test_a_member_that_answers_nan_abstains_and_the_others_vote(tmp_path: Path) -> None:
    write_set(tmp_path, {"a": gentle("a", 1), "b": overflowing("b"), "c": gentle("c", 2), "d": windowed("d")})
    predictor = Predictor.load(tmp_path, SCHEMA_HASH)
    answers = predictor.run(*inputs(first=1e12))
    assert [answer is None for answer in answers] == [False, True, False, False]
    assert "no probabilities" in predictor.faults["b"]
    answers = predictor.run(*inputs(first=0.0))
    assert all(answer is not None for answer in answers)
    assert predictor.faults == {}


def test_when_the_merged_run_fails_the_members_are_run_alone_and_the_culprit_is_named(tmp_path: Path) -> None:
    write_set(tmp_path, {"a": gentle("a", 1), "b": gentle("b", 2), "c": raising("c"), "d": windowed("d")})
    predictor = Predictor.load(tmp_path, SCHEMA_HASH)
    well = predictor.run(*inputs(first=2.0))
    assert all(answer is not None for answer in well)
    answers = predictor.run(*inputs(first=9.0))
    assert [answer is None for answer in answers] == [False, False, True, False]
    assert set(predictor.faults) == {"c"}
    assert "out of" in predictor.faults["c"] or "bound" in predictor.faults["c"]
    assert predictor.run(*inputs(first=2.0)) == well
    assert predictor.faults == {}


def test_when_only_the_merged_graph_fails_it_is_named_and_the_members_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_set(tmp_path, {name: gentle(name, k) for k, name in enumerate(NAMES[:3])} | {"d": windowed("d")})
    predictor = Predictor.load(tmp_path, SCHEMA_HASH)
    well = predictor.run(*inputs())

    class Broken:
        def run(self, *arguments: Any) -> Any:
            raise RuntimeError("arena is full")

    monkeypatch.setattr(predictor, "_session", Broken())
    for found, expected in zip(predictor.run(*inputs()), well, strict=True):
        assert found == pytest.approx(expected, abs=1e-6)
    assert predictor.faults == {"ensemble.onnx": "RuntimeError: arena is full"}


def test_without_the_telemetry_switch_onnxruntime_is_not_even_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY")
    with pytest.raises(
        RuntimeError, match="ORT_DISABLE_TELEMETRY must be 1 before onnxruntime is imported, found None"
    ):
        Predictor.load(SHIPPED)


FORKED = """
import os, sys
from pathlib import Path
from models_onnx import predictor
from actors import ai_engine
assert "onnxruntime" not in sys.modules, "importing the engine must not import onnxruntime"
predictor.prepare()
assert len(os.listdir("/proc/self/task")) == 1, "a thread was started"
made = predictor._Prepared.predictor
child = os.fork()
if child == 0:
    code = 1
    try:
        import numpy as np
        same = predictor.inherited(None, ai_engine.SCHEMA_HASH)
        window = np.ones((1, 64, 16), np.float32)
        answers = same.run(window[:, 0].copy(), window)
        other = predictor.inherited(sys.argv[1], ai_engine.SCHEMA_HASH)
        assert same is made and other is not made
        assert predictor.inherited(None, ai_engine.SCHEMA_HASH) is not made, "handed out twice in one process"
        assert all(answer is not None for answer in answers)
        assert other.run(window[:, 0].copy(), window) == answers
        assert len(os.listdir("/proc/self/task")) == 1
        code = 0
    except BaseException:
        import traceback
        traceback.print_exc()
    finally:
        os._exit(code)
_, status = os.waitpid(child, 0)
sys.exit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.process
def test_sessions_made_before_a_fork_work_after_it_and_start_no_thread(shipped: Path) -> None:
    environment = {**os.environ, "ORT_DISABLE_TELEMETRY": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", FORKED, str(shipped)], cwd=ROOT, env=environment, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_an_inherited_predictor_whose_files_changed_is_loaded_anew(
    shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from models_onnx import predictor

    made = Predictor.load(shipped)

    def prepared() -> Predictor:
        monkeypatch.setattr(predictor._Prepared, "predictor", made)
        return inherited(shipped, SCHEMA_HASH)

    assert prepared() is made
    data = (shipped / "mlp.onnx").read_bytes()
    (shipped / "mlp.onnx").write_bytes(data + b"\0")
    with pytest.raises(ModelRefused, match=r"mlp\.onnx: expected SHA-256"):
        prepared()
    (shipped / "mlp.onnx").write_bytes(data)
    assert prepared() is made
    rewrite(shipped, lambda old: msgspec.structs.replace(old, ml_opset=4))
    assert prepared() is not made


def test_prepare_says_so_when_a_thread_was_started(monkeypatch: pytest.MonkeyPatch) -> None:
    from models_onnx import predictor

    counts = iter((1, 2))
    monkeypatch.setattr(predictor, "_threads", lambda: next(counts))
    monkeypatch.setattr(predictor._Prepared, "predictor", None)
    with pytest.raises(RuntimeError, match=r"onnxruntime started 1 thread\(s\) while models were prepared"):
        predictor.prepare()


def test_prepare_survives_refused_models_so_that_the_node_can_say_it(
    shipped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from models_onnx import predictor

    (shipped / "tcn.onnx").unlink()
    monkeypatch.setattr(predictor, "_DIRECTORY", shipped)
    monkeypatch.setattr(predictor._Prepared, "predictor", None)
    predictor.prepare()
    with pytest.raises(ModelRefused, match=r"tcn\.onnx"):
        inherited()

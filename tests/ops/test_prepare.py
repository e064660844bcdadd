"""Wrong use of `qt up`: one sentence, a remedy, and the documented exit code; nothing is started or left behind."""

from __future__ import annotations

import gzip
import os
import pickle
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from actors.tree import ceo_brain, execution, names, recorder, simulator, tree
from config.launch import load, save
from config.settings import CeoBrain
from ops import prepare, verify
from ops.prepare import Wishes
from supervisor.runtime import inspection
from supervisor.spec import ChildSpec, NodeStart, SupervisorSpec, actor
from supervisor.terminal import Refusal, parse_duration
from tests.ops.fake_root import fake_root


def qt(*words: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "QT_HOME": str(home), **environment}
    return subprocess.run(
        [sys.executable, "-m", "ops.main", *words], capture_output=True, text=True, env=env, timeout=60, check=False
    )


@pytest.mark.process
@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("up", "--mode", "simm"), 64, "unknown mode 'simm'; did you mean sim?"),
        (("up", "--mode", "zzz"), 64, "unknown mode 'zzz'; known are sim, replay, shadow, paper, testnet, live"),
        (("up", "--mode", "live"), 64, "live mode needs venue keys"),
        (("up", "--mode", "replay"), 64, "--mode replay needs --data DIR"),
        (("up", "--mode", "replay", "--data", "/nowhere"), 66, "/nowhere: no such folder"),
        (("up", "--data", "/nowhere"), 64, "--data belongs to --mode replay"),
        (("up", "--for", "5 minutes"), 64, "'5 minutes' is no duration; write it like 90s, 5m, 48h or 1d"),
        (("up", "--config", "/nowhere"), 78, "/nowhere: no such folder; --config names the folder"),
        (("up", "--report", "/nowhere/r.json"), 64, "the folder /nowhere does not exist"),
        (("up", "--venue-url", "https://api.binance.com"), 64, "is not a simulator on this machine"),
        (("up", "--no-such-option"), 64, "No such option: --no-such-option"),
        (("statsu",), 64, "No such command 'statsu'"),
    ],
)
def test_wrong_use_is_one_sentence_with_its_code(
    tmp_path: Path, words: tuple[str, ...], code: int, sentence: str
) -> None:
    done = qt(*words, home=tmp_path / "home")
    assert (done.returncode, done.stdout) == (code, "")
    assert sentence in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "home").exists()


@pytest.mark.process
def test_a_taken_port_is_69_and_names_the_remedy(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = qt("up", "--http-port", str(port), home=tmp_path)
    assert done.returncode == 69
    assert done.stderr == (
        f"qt: port {port} for health and metrics is taken by another program; choose another with --http-port\n"
    )


@pytest.mark.process
def test_a_second_server_in_one_home_is_75_and_names_the_first(tmp_path: Path) -> None:
    with fake_root(tmp_path):
        done = qt("up", "--http-port", "0", home=tmp_path)
    assert done.returncode == 75
    assert f"a server already runs in {tmp_path} (pid {os.getpid()}); end it with qt down" in done.stderr


@pytest.mark.process
def test_broken_yaml_is_78_with_file_and_line(tmp_path: Path) -> None:
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "risk_settings.yaml").write_text("order_limits:\n  max_leverage: 1\n  max_leverage: 20\n")
    done = qt("up", "--config", str(folder), home=tmp_path / "home")
    assert done.returncode == 78
    assert f"{folder}/risk_settings.yaml:3 duplicate key" in done.stderr


@pytest.mark.process
def test_a_foreign_supervisor_package_is_refused_with_78(tmp_path: Path) -> None:
    foreign = tmp_path / "supervisor"
    foreign.mkdir()
    (foreign / "__init__.py").write_text("VERSION = '4.3.0'\n")
    # As after installing supervisord over ours: its package comes first on the path.
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from ops import verify; sys.exit(verify.main())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 78
    assert f"the package 'supervisor' that Python found lies in {tmp_path}" in done.stderr
    assert "environment of its own" in done.stderr


@pytest.mark.process
def test_status_imports_neither_market_nor_model_libraries(tmp_path: Path) -> None:
    heavy = ("ccxt", "onnxruntime", "numpy", "aiohttp", "ruamel", "rich", "prometheus_client", "psutil", "pykka")
    script = (
        "import sys\nfrom ops import main\nsys.argv = ['qt', 'status']\n"
        "try: main.main()\nexcept SystemExit as end: code = end.code\n"
        f"print(code, [name for name in {heavy!r} if name in sys.modules])"
    )
    env = {**os.environ, "QT_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=env, timeout=60, check=True
    )
    assert done.stdout == "3 []\n"


def recording(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        with gzip.open(folder / name, "wb") as file:
            file.write(b"1 {}\n")
    return folder


def test_a_replay_trades_only_what_the_recording_holds(tmp_path: Path) -> None:
    data = recording(tmp_path / "data", "spot_btcusdt_1.gz", "usdm_btcusdt_1.gz", "usdm_ethusdt_1.gz", "cm_btcusd_1.gz")
    wishes = Wishes(mode="replay", data=str(data), speed="max", home=str(tmp_path / "home"), http_port=0)
    launch = prepare.launch(wishes, prepare.settings(wishes))
    assert launch.settings.instruments() == (
        ("binance", "BTC/USDT"),
        ("binanceusdm", "BTC/USDT:USDT"),
        ("binanceusdm", "ETH/USDT:USDT"),
    )
    assert launch.settings.bases() == ("BTC",)
    assert (launch.speed, launch.data) == (0.0, str(data))


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ((), r"holds no \*\.gz recording"),
        (("cm_btcusd_1.gz",), "holds no recording of a configured instrument"),
        (("spot_btcusdt_1.gz",), "account main trades on binanceusdm"),
    ],
)
def test_a_recording_without_our_instruments_is_missing_data(
    tmp_path: Path, names: tuple[str, ...], sentence: str
) -> None:
    wishes = Wishes(mode="replay", data=str(recording(tmp_path / "data", *names)), http_port=0)
    with pytest.raises(Refusal, match=sentence) as refused:
        prepare.launch(wishes, prepare.settings(wishes))
    assert refused.value.code == 66


def test_a_file_that_is_no_gzip_is_named(tmp_path: Path) -> None:
    (recording(tmp_path / "data") / "spot_btcusdt_1.gz").write_bytes(b"version https://git-lfs")
    with pytest.raises(Refusal, match=r"spot_btcusdt_1\.gz is not a gzip file \(23 bytes\)"):
        prepare.recording(str(tmp_path / "data"))


def test_a_launch_survives_the_way_through_its_file(tmp_path: Path) -> None:
    wishes = Wishes(home=str(tmp_path), http_port=0, lasts="90s", seed=11)
    launch = prepare.launch(wishes, prepare.settings(wishes))
    prepare.make_home(tmp_path)
    path = save(launch)
    assert load(tmp_path) == launch
    assert path.stat().st_mode & 0o077 == 0
    assert launch.started_ns > 10**18
    assert 0 < launch.started_s <= time.monotonic()
    assert (launch.for_s, launch.seed, launch.venue_url) == (90.0, 11, f"http://127.0.0.1:{launch.venue_port}")


def arguments(spec: ChildSpec) -> dict[str, Any]:
    """What the actor of this child is started with."""
    assert isinstance(spec.start, NodeStart)
    given: dict[str, Any] = pickle.loads(spec.start.actors[0].arguments)
    return given


def test_what_the_file_says_of_the_recovery_time_is_what_the_ceo_brain_gets(tmp_path: Path) -> None:
    """In sim and replay it was cut to one second, whatever stood there."""
    wishes = Wishes(home=str(tmp_path), http_port=0)
    shipped = prepare.settings(wishes)
    slow = shipped.model_copy(update={"ceo_brain": CeoBrain(recovery_s=7.0)})
    assert [arguments(ceo_brain(prepare.launch(wishes, s)))["recovery_s"] for s in (shipped, slow)] == [1.0, 7.0]


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:9"])
def test_every_child_but_the_gateway_itself_has_its_series_from_the_first_scrape(tmp_path: Path, url: str) -> None:
    wishes = Wishes(home=str(tmp_path), http_port=0, venue_url=url)
    launch = prepare.launch(wishes, prepare.settings(wishes))
    assert sorted(names(launch)) == sorted(workers(tree(launch)) - {"gateway"})


def workers(supervisor: SupervisorSpec) -> set[str]:
    found: set[str] = set()
    for item in supervisor.children:
        found |= workers(item) if isinstance(item, SupervisorSpec) else {item.id}
    return found


def test_the_recorder_and_the_simulator_know_which_launch_they_serve(tmp_path: Path) -> None:
    wishes = Wishes(home=str(tmp_path), http_port=0, lasts="90s")
    launch = prepare.launch(wishes, prepare.settings(wishes))
    assert arguments(recorder(launch))["started_ns"] == arguments(simulator(launch))["started_ns"] == launch.started_ns
    assert arguments(recorder(launch))["ends"] == (launch.started_s, 90.0)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("1.5s", 1.5), ("5m", 300), ("48h", 172_800), ("1d", 86_400)]
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1", "0", "nan", "inf", "1y", "9999d", "1e9d"])
def test_nonsense_is_no_duration(text: str) -> None:
    with pytest.raises(Refusal, match="is no duration"):
        parse_duration(text)


def test_a_changed_model_file_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "models_onnx"
    copy.mkdir()
    for file in (verify.HOUSE / "models_onnx").iterdir():
        if file.suffix in (".onnx", ".json"):
            (copy / file.name).write_bytes(file.read_bytes())
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "1")
    monkeypatch.setattr(verify, "HOUSE", tmp_path)
    verify.models()
    changed = bytearray((copy / "mlp.onnx").read_bytes())
    changed[len(changed) // 2] ^= 1
    (copy / "mlp.onnx").write_bytes(changed)
    with pytest.raises(Refusal, match=r"mlp\.onnx") as refused:
        verify.models()
    assert refused.value.code == 78


def test_a_port_that_lacks_what_its_actor_will_call_is_found_before_anything_starts(tmp_path: Path) -> None:
    wishes = Wishes(home=str(tmp_path), http_port=0)
    launch = prepare.launch(wishes, prepare.settings(wishes))
    start = execution(launch, launch.settings.accounts[0]).start
    assert isinstance(start, NodeStart)
    given = {**pickle.loads(start.actors[0].arguments), "port": "tests.ops.toy_house:open_bridge"}
    _, [fault] = inspection.look(actor("execution:main", "actors.execution:Execution", **given))
    assert "actors/execution.py:" in fault.place
    assert "init(port=…) wants .cancel, .find, .reconcile, .learn, .close, which Bridge (tests/ops/" in fault.text
    assert fault.text.endswith("does not have; it has submit")


@pytest.mark.process
def test_a_socket_path_that_is_too_long_is_refused_before_anything_starts(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    script = 'import sys\nfrom ops import main, up\nup.BUILD = "tests.ops.toy_house:build"\nmain.main()'
    env = {**os.environ, "QT_HOME": str(tmp_path / "home"), "TMPDIR": str(deep), "PYTHONPATH": str(verify.HOUSE)}
    argv = [sys.executable, "-c", script, "up", "--http-port", "0"]
    done = subprocess.run(argv, capture_output=True, text=True, env=env, timeout=90, check=False)
    assert done.returncode == 78
    assert "its socket path has" in done.stderr
    assert "107 is the limit" in done.stderr

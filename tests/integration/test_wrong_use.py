"""Everything a person can get wrong on the command line: one sentence, the remedy, the documented exit code."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.house import PROJECT, House, environment, members, qt

pytestmark = [pytest.mark.process, pytest.mark.timeout(120)]

PACKAGES = ("actors", "config", "models_onnx", "ops", "supervisor")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A fresh home; whatever was refused has left no process behind."""
    home = tmp_path / "home"
    yield home
    assert not members(home)


def refused(done: subprocess.CompletedProcess[str], code: int, *parts: str) -> str:
    """The answer is the documented code and short sentences with these parts, never a traceback."""
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    for part in parts:
        assert part in done.stderr, done.stderr
    return done.stderr


def test_an_unknown_mode_names_the_known_ones(home: Path) -> None:
    text = refused(qt(home, "up", "--mode", "simm"), 64, "unknown mode 'simm'", "did you mean sim?")
    assert text.count("\n") == 1


def test_a_mode_of_a_later_release_says_what_it_waits_for(home: Path) -> None:
    refused(qt(home, "up", "--mode", "live"), 64, "live mode needs", "this one runs sim and replay")


def test_missing_data_is_named_with_what_is_wanted(home: Path, tmp_path: Path) -> None:
    refused(
        qt(home, "up", "--mode", "replay", "--data", str(tmp_path / "nowhere")), 66, "nowhere: no such folder", "--data"
    )
    (tmp_path / "empty").mkdir()
    refused(qt(home, "up", "--mode", "replay", "--data", str(tmp_path / "empty")), 66, "holds no *.gz", "spot_btcusdt_")
    refused(qt(home, "up", "--mode", "replay"), 64, "needs --data DIR")


def test_a_torn_recording_is_not_played(home: Path, tmp_path: Path) -> None:
    (tmp_path / "spot_btcusdt_x.gz").write_text("this is no gzip file")
    refused(qt(home, "up", "--mode", "replay", "--data", str(tmp_path)), 66, "is not a gzip file", "copy it again")


def test_a_taken_http_port_names_the_option(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused(qt(home, "up", "--http-port", str(port)), 69, f"port {port}", "is taken", "--http-port")


def config(tmp_path: Path, name: str, text: str) -> str:
    folder = tmp_path / "config"
    folder.mkdir()
    for file in (PROJECT / "config").glob("*.yaml"):
        shutil.copy(file, folder)
    (folder / name).write_text(text)
    return str(folder)


def test_broken_yaml_names_file_and_line(home: Path, tmp_path: Path) -> None:
    folder = config(tmp_path, "server.yaml", "server:\n  http_port: 8000\n  home: [var\n")
    refused(qt(home, "up", "--config", folder), 78, "server.yaml:")


def test_a_key_twice_names_file_and_line_of_it(home: Path, tmp_path: Path) -> None:
    folder = config(tmp_path, "server.yaml", "server:\n  http_port: 8000\n  http_port: 8001\n")
    refused(qt(home, "up", "--config", folder), 78, "server.yaml:3", "http_port")


def test_an_unknown_key_names_file_line_and_the_nearest_one(home: Path, tmp_path: Path) -> None:
    folder = config(tmp_path, "server.yaml", "server:\n  http_prt: 8000\n")
    refused(qt(home, "up", "--config", folder), 78, "server.yaml:2", "http_prt", "http_port")


def copied(tmp_path: Path) -> Path:
    """The product in another place, to be spoiled there."""
    place = tmp_path / "product"
    for package in PACKAGES:
        shutil.copytree(PROJECT / package, place / package, ignore=shutil.ignore_patterns("__pycache__"))
    return place


def test_a_model_file_with_one_byte_changed_is_refused(home: Path, tmp_path: Path) -> None:
    place = copied(tmp_path)
    model = max((place / "models_onnx").rglob("*.onnx"), key=lambda path: path.stat().st_size)
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(data)
    env = {**environment(home), "PYTHONPATH": str(place)}
    refused(qt(home, "up", "--http-port", "0", cwd=place, env=env), 78, model.name, "SHA-256", "make models")


def test_somebody_elses_supervisor_package_is_refused_and_named(home: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "site" / "supervisor"
    foreign.mkdir(parents=True)
    (foreign / "__init__.py").write_text('"""supervisord has this name."""\n')
    env = {**environment(home), "PYTHONPATH": f"{tmp_path / 'site'}:{PROJECT}"}
    refused(
        qt(home, "up", "--http-port", "0", cwd=tmp_path, env=env),
        78,
        "'supervisor'",
        str(tmp_path / "site"),
        "make setup",
    )


def test_status_and_orders_without_a_server_say_how_to_start_one(home: Path) -> None:
    for words in (("status",), ("why", "ledger"), ("restart", "ledger"), ("tail",), ("events",)):
        refused(qt(home, *words), 3, f"no server runs in {home}", "qt up")


def test_an_unknown_verb_names_the_nearest(home: Path) -> None:
    refused(qt(home, "statuss"), 64, "statuss", "status")


def test_a_second_server_in_one_home_is_refused_and_the_first_one_lives_on(home: Path) -> None:
    house = House(home)
    try:
        house.start()
        house.wait_ready()
        heart, before = house.held("heart"), house.incarnations()
        refused(qt(home, "up", "--http-port", "0"), 75, f"a server already runs in {home} (pid {heart})", "qt down")
        argv = [sys.executable, "-m", "supervisor.runtime.heart", "--home", str(home)]
        past_the_door = subprocess.run(
            argv, env=environment(home), capture_output=True, text=True, check=False, timeout=30
        )
        assert past_the_door.returncode == 75
        assert (house.held("heart"), house.incarnations()) == (heart, before)
        refused(qt(home, "why", "leger"), 4, "leger", "did you mean ledger?")
    finally:
        house.close()

"""The emergency stop by hand: the latch comes first, and letting go needs a person with a reason."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from actors.latch import Latch, path_of, read_latch, write_latch
from actors.messages.control import EssState
from ops import ess
from supervisor.runtime.locks import Lock
from supervisor.terminal import Refusal


def test_without_a_process_the_latch_is_first_and_the_work_is_tried_here(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Refusal, match="new risk stays blocked") as refused:
        ess.trigger(tmp_path, "  exchange  hacked ", 1.0)
    assert refused.value.code == 3
    latch = read_latch(tmp_path)
    assert latch.state is not EssState.INACTIVE
    assert latch.reason == "exchange hacked"
    assert "working here, in the foreground" in capsys.readouterr().out


def test_with_the_process_there_it_waits_until_everything_is_flat(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = Lock(tmp_path / "run" / "ess.lock")

    def works() -> None:
        while read_latch(tmp_path).state is not EssState.TRIGGERED:
            time.sleep(0.01)
        write_latch(tmp_path, Latch(state=EssState.LOCKED, reason="drill", note="flat on 1 of 1 accounts"))

    worker = threading.Thread(target=works)
    worker.start()
    try:
        assert ess.trigger(tmp_path, "drill", 30.0) == 0
    finally:
        worker.join()
        held.release()
    assert "LOCKED: flat on 1 of 1 accounts" in capsys.readouterr().out


def test_a_second_trigger_keeps_the_first_reason(tmp_path: Path) -> None:
    write_latch(tmp_path, Latch(state=EssState.FLATTENING, reason="first", who="a", triggered_ns=1))
    with pytest.raises(Refusal):
        ess.trigger(tmp_path, "second", 1.0)
    assert read_latch(tmp_path).reason == "first"
    assert read_latch(tmp_path).state is EssState.FLATTENING


@pytest.mark.parametrize(
    ("state", "at_work", "reason", "confirm", "code"),
    [
        (EssState.LOCKED, True, "checked all", "RESET", None),
        (EssState.TRIGGERED, False, "checked all", "RESET", 1),
        (EssState.FLATTENING, True, "checked all", "RESET", 1),
        (EssState.LOCKED, True, "", "RESET", 64),
        (EssState.LOCKED, True, "checked all", "", 64),
        (EssState.LOCKED, True, "checked all", "yes", 64),
    ],
)
def test_only_a_person_with_a_reason_lets_go_and_not_in_the_middle(
    tmp_path: Path, state: EssState, at_work: bool, reason: str, confirm: str, code: int | None
) -> None:
    write_latch(tmp_path, Latch(state=state, reason="loss", who="ess"))
    held = Lock(tmp_path / "run" / "ess.lock") if at_work else None
    try:
        if code is None:
            assert ess.reset(tmp_path, reason, confirm) == 0
            assert read_latch(tmp_path).state is EssState.INACTIVE
            assert "loss" in read_latch(tmp_path).note
        else:
            with pytest.raises(Refusal) as refused:
                ess.reset(tmp_path, reason, confirm)
            assert refused.value.code == code
            assert read_latch(tmp_path).state is state
    finally:
        if held is not None:
            held.release()


def test_an_unreadable_latch_is_shown_as_triggered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path_of(tmp_path).parent.mkdir()
    path_of(tmp_path).write_bytes(b"{torn")
    assert ess.status(tmp_path, "json") == 3
    assert json.loads(capsys.readouterr().out)["state"] == "TRIGGERED"

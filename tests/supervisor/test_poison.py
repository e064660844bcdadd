"""The poison cupboard: what killed twice is not given out again, by this root or the next."""

from __future__ import annotations

from pathlib import Path

from supervisor.runtime.poison import MOST, Poison


def test_what_was_set_aside_is_known_to_the_next_root_and_to_nobody_else(tmp_path: Path) -> None:
    said: list[str] = []
    assert Poison(tmp_path, said.append).set_aside("ledger", "execution:main:OrderFilled:7", "it kills")
    again = Poison(tmp_path, said.append)
    assert [one.message for one in again.of("ledger")] == ["execution:main:OrderFilled:7"]
    assert again.of("gateway") == ()
    assert not again.set_aside("ledger", "execution:main:OrderFilled:7", "it kills")
    again.forget("ledger")
    assert Poison(tmp_path, said.append).of("ledger") == ()
    assert said == []


def test_the_cupboard_has_a_bound_and_the_oldest_goes_first(tmp_path: Path) -> None:
    poison = Poison(tmp_path, print)
    for n in range(MOST + 2):
        poison.set_aside("ledger", f"a:B:{n}", "it kills")
    assert [one.message for one in poison.of("ledger")] == [f"a:B:{n}" for n in range(2, MOST + 2)]


def test_a_cupboard_that_cannot_be_read_is_put_aside_and_said(tmp_path: Path) -> None:
    path = tmp_path / "state" / "poison.msgpack"
    path.parent.mkdir()
    path.write_bytes(b"torn")
    said: list[str] = []
    assert Poison(tmp_path, said.append).of("ledger") == ()
    assert "given out again" in said[0]
    assert path.with_suffix(".unreadable").read_bytes() == b"torn"

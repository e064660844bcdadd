"""Secrets: where they are looked for, what is refused, and that they never show."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from config.secrets import SecretError, read
from supervisor.evidence import crash


def test_the_environment_wins_over_file_and_credentials(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("from-file\n")
    file.chmod(0o600)
    (tmp_path / "qt_key").write_text("from-credentials")
    (tmp_path / "qt_key").chmod(0o400)
    env = {"QT_KEY": "from-env", "QT_KEY_FILE": str(file), "CREDENTIALS_DIRECTORY": str(tmp_path)}
    for gone, value in ((None, "from-env"), ("QT_KEY", "from-file"), ("QT_KEY_FILE", "from-credentials")):
        env.pop(gone or "", None)
        assert read("QT_KEY", env).reveal() == value


@pytest.mark.parametrize(
    ("mode", "content", "sentence"),
    [
        (0o644, b"key", "readable for everybody"),
        (0o604, b"key", "readable for everybody"),
        (0o600, b" \n", "is empty"),
        (0o600, b"\xff\xfe", "is not text"),
        (0o600, b"x" * 70_000, "that is no key"),
    ],
)
def test_a_badly_kept_secret_is_refused_without_showing_it(
    tmp_path: Path, mode: int, content: bytes, sentence: str
) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)
    file.chmod(mode)
    with pytest.raises(SecretError, match=sentence) as caught:
        read("QT_KEY", {"QT_KEY_FILE": str(file)})
    assert "xxx" not in str(caught.value)


def test_a_secret_that_is_missing_parks_its_reader_at_once() -> None:
    """It was started three times over, although nobody can have put the key there in between."""
    with pytest.raises(SecretError) as caught:
        read("QT_KEY", {})
    assert not crash.record(caught.value, phase="init", roots=()).retryable


def test_a_missing_secret_names_the_places_that_were_searched() -> None:
    with pytest.raises(SecretError, match="looked at QT_KEY, QT_KEY_FILE and systemd credentials"):
        read("QT_KEY", {})


def test_a_secret_hides_itself_and_does_not_travel() -> None:
    secret = read("QT_KEY", {"QT_KEY": "hush"})
    assert "hush" not in f"{secret} {secret!r} {[secret]}"
    with pytest.raises(SecretError, match="does not travel"):
        pickle.dumps(secret)

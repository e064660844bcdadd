"""Keys and tokens: found in one of three places, refused when anybody may read them, never shown.

Order: the environment (`QT_MAIN_API_KEY`), a file it names (`QT_MAIN_API_KEY_FILE`), systemd's credentials directory
(`$CREDENTIALS_DIRECTORY/qt_main_api_key`). A secret is read by the process that signs with it and travels no further.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

LARGEST = 64 * 1024


class SecretError(ValueError):
    """A secret is missing or badly kept. The text names the places that were searched, never the content."""

    retryable = False  # the supervisor parks such at once: another try finds the same until a person acts


class Secret:
    """A value that hides itself in `repr`, logs and tracebacks, and refuses to be pickled by accident."""

    __slots__ = ("_value", "name")

    def __init__(self, name: str, value: str) -> None:
        self.name = name
        self._value = value

    def reveal(self) -> str:
        """The value itself, for the one call that signs with it."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({self.name}, hidden)"

    __str__ = __repr__

    def __reduce__(self) -> str:
        raise SecretError(f"{self.name} is a secret and does not travel; read it in the process that signs with it")


def read(name: str, environment: Mapping[str, str] | None = None) -> Secret:
    """The secret `name` (an environment variable's name).

    Raises:
        SecretError: nowhere to be found, empty, too long, or readable for everybody on this machine.
    """
    env = os.environ if environment is None else environment
    if env.get(name):
        return Secret(name, env[name])
    credentials = env.get("CREDENTIALS_DIRECTORY", "")
    if env.get(f"{name}_FILE"):
        return _from_file(name, Path(env[f"{name}_FILE"]))
    if credentials and (Path(credentials) / name.lower()).exists():
        return _from_file(name, Path(credentials) / name.lower())
    searched = f"${credentials and 'CREDENTIALS_DIRECTORY'}/{name.lower()}" if credentials else "systemd credentials"
    raise SecretError(f"{name} is not set; looked at {name}, {name}_FILE and {searched}")


def _from_file(name: str, path: Path) -> Secret:
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if status.st_mode & stat.S_IROTH:
                raise SecretError(
                    f"{name}: {path} is readable for everybody (mode {stat.S_IMODE(status.st_mode):o}); chmod 600 it, "
                    "and change the key if others use this machine"
                )
            raw = file.read(LARGEST + 1)
    except OSError as error:
        raise SecretError(f"{name}: {path} cannot be read: {error.strerror}") from None
    if len(raw) > LARGEST:
        raise SecretError(f"{name}: {path} has more than {LARGEST} bytes; that is no key")
    try:
        value = raw.decode().strip()
    except UnicodeDecodeError:
        raise SecretError(f"{name}: {path} is not text") from None
    if not value:
        raise SecretError(f"{name}: {path} is empty")
    return Secret(name, value)

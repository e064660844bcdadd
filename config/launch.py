"""One start of the server as a form: the settings, and what only the command line knows. `qt up` writes it to
`$QT_HOME/run/launch.json`; the scratch process that compiles the plan, and `qt venue`, read it.
"""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field, ValidationError

from config.loading import ConfigError
from config.settings import Section, Settings

FILE = "launch.json"


class Launch(Section):
    """Paths are absolute. Ports are chosen: a 0 of the settings is a number here."""

    settings: Settings
    home: str
    # Drawn once per `qt up`; a killed root or child finds the same. By the wall's clock it tells this run's words from
    # those that the home kept of former runs; by the monotonic one it counts `for_s`.
    started_ns: int = 0
    started_s: float = 0.0
    http_port: int = Field(ge=1, le=65535)
    venue_url: str = ""  # of the simulator, in sim and replay mode
    venue_port: int = 0  # the tree starts the simulator itself, here; 0: it runs outside the tree
    probe_ports: dict[str, int] = {}  # where each brain can be asked whether it speaks
    data: str = ""  # folder of the recording, in replay mode
    speed: float = 1.0  # of the replay; 0 is as fast as readers read
    for_s: float | None = None  # end in order this long after `started_s`
    faults: str = ""  # "gap:10,dup:200" over a recording
    report: str = ""  # JSON summary at the end
    seed: int = 0

    @property
    def mode(self) -> str:
        return self.settings.mode


def save(launch: Launch) -> Path:
    """Write it where `load` looks, atomically, for the owner only."""
    path = Path(launch.home) / "run" / FILE
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(launch.model_dump_json())
    fresh.replace(path)
    return path


def load(home: Path) -> Launch:
    """The last launch of this home.

    Raises:
        ConfigError: there is none, or it was written by another version.
    """
    path = home / "run" / FILE
    try:
        return Launch.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}; qt up writes it"]) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError([f"{path}: {where}: {first['msg']}; written by another version? start with qt up"]) from error

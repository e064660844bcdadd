"""Everything `qt up` asks before it starts anything: mode, settings, data, ports. No process starts here.

Each wrong answer is one sentence with a remedy and a documented exit code. The result is a `Launch`.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ops.home import resolve
from supervisor.terminal import BAD_CONFIG, NO_INPUT, UNAVAILABLE, USAGE, Refusal, parse_duration

if TYPE_CHECKING:
    from config.launch import Launch
    from config.settings import Settings, Venue

HOST = "127.0.0.1"
RUNS = ("sim", "replay")
LATER = {
    "shadow": "shadow mode needs the live venue connection and its preflight",
    "paper": "paper mode needs the live venue connection and the paper executor",
    "testnet": "testnet mode needs venue keys, preflight and the go-live marker",
    "live": "live mode needs venue keys, preflight, freeze and the signed go-live marker",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What stood on the command line, as text."""

    mode: str = "sim"
    data: str | None = None
    speed: str | None = None
    lasts: str | None = None
    faults: str = ""
    seed: int | None = None
    config: str | None = None
    home: str | None = None
    http_port: int | None = None
    venue_url: str | None = None
    report: str | None = None


def check_mode(mode: str) -> None:
    """Raises Refusal USAGE unless this release runs the mode."""
    if mode in RUNS:
        return
    if mode in LATER:
        raise Refusal(USAGE, f"{LATER[mode]}, which arrive with a later release; this one runs {' and '.join(RUNS)}")
    near = difflib.get_close_matches(mode, [*RUNS, *LATER], n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join([*RUNS, *LATER])}"
    raise Refusal(USAGE, f"unknown mode {mode!r}; {hint}")


def settings(wishes: Wishes) -> Settings:
    """The validated settings, with the command line on top. Raises Refusal BAD_CONFIG with all faults."""
    from config.loading import ConfigError, load

    overrides = {"server.http_port": wishes.http_port, "simulator.seed": wishes.seed}
    try:
        return load(Path(wishes.config) if wishes.config else None, mode=wishes.mode, overrides=overrides)
    except ConfigError as error:
        raise Refusal(BAD_CONFIG, str(error)) from error


def launch(wishes: Wishes, chosen: Settings) -> Launch:
    """The launch these wishes come to, with free ports and data that is there.

    Raises:
        Refusal: USAGE, NO_INPUT or UNAVAILABLE, each with a sentence.
    """
    from config.launch import Launch

    data = ""
    if wishes.mode == "replay":
        folder = recording(wishes.data)
        chosen, data = chosen.model_copy(update={"venues": recorded_venues(chosen, folder)}), str(folder)
        lost = [a for a in chosen.accounts if a.venue not in {venue.id for venue in chosen.venues}]
        if lost:
            raise Refusal(
                NO_INPUT, f"account {lost[0].name} trades on {lost[0].venue}, which {folder} holds no file of"
            )
    elif wishes.data:
        raise Refusal(USAGE, "--data belongs to --mode replay")
    elif wishes.faults or wishes.speed:
        raise Refusal(USAGE, f"--{'faults' if wishes.faults else 'speed'} belongs to --mode replay")
    outside = (wishes.venue_url or "").rstrip("/")
    if outside and not outside.startswith((f"http://{HOST}:", "http://localhost:")):
        raise Refusal(USAGE, f"--venue-url {outside!r} is not a simulator on this machine; it reads http://{HOST}:PORT")
    venue_port = 0 if outside else free_port(chosen.simulator.port, "the simulator", "simulator.port in server.yaml")
    return Launch(
        settings=chosen,
        home=str(resolve(wishes.home, chosen.server.home)),
        started_ns=time.time_ns(),
        started_s=time.monotonic(),
        http_port=free_port(chosen.server.http_port, "health and metrics", "--http-port"),
        venue_url=outside or f"http://{HOST}:{venue_port}",
        venue_port=venue_port,
        probe_ports=probe_ports(),
        data=data,
        speed=speed(wishes.speed),
        for_s=parse_duration(wishes.lasts) if wishes.lasts else None,
        faults=faults(wishes.faults),
        report=_report(wishes.report),
        seed=chosen.simulator.seed,
    )


def make_home(home: Path) -> None:
    """Create the home for its owner. Raises Refusal BAD_CONFIG when that is not possible."""
    try:
        for part in ("run", "logs", "state", "journal", "reports", "vitals"):
            (home / part).mkdir(parents=True, exist_ok=True, mode=0o700)
        if not os.access(home / "run", os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise Refusal(
            BAD_CONFIG, f"cannot keep state in {home}: {error.strerror}; name another place with --home"
        ) from error


def recording(data: str | None) -> Path:
    """The folder of a recording. Raises Refusal USAGE without one, NO_INPUT when it holds nothing to play."""
    if not data:
        raise Refusal(USAGE, "--mode replay needs --data DIR, a folder of recorded frames (spot_btcusdt_….gz)")
    folder = Path(data).expanduser().absolute()
    if not folder.is_dir():
        raise Refusal(NO_INPUT, f"{folder}: no such folder; --data names a folder of recorded frames")
    files = sorted(folder.glob("*.gz"))
    if not files:
        raise Refusal(NO_INPUT, f"{folder} holds no *.gz recording; expected files like spot_btcusdt_20240808.gz")
    for file in files:
        with file.open("rb") as stream:
            if stream.read(2) != b"\x1f\x8b":
                raise Refusal(NO_INPUT, f"{file} is not a gzip file ({file.stat().st_size} bytes); copy it again")
    return folder


def recorded_venues(chosen: Settings, folder: Path) -> tuple[Venue, ...]:
    """The configured venues, cut down to the symbols this folder has files of. Raises Refusal NO_INPUT when none is."""
    names = {tuple(file.name.split("_")[:2]) for file in folder.glob("*.gz")}
    kept = []
    for venue in chosen.venues:
        symbols = tuple(
            symbol
            for symbol in venue.symbols
            if (venue.product, symbol.split(":")[0].replace("/", "").lower()) in names
        )
        if symbols:
            kept.append(venue.model_copy(update={"symbols": symbols}))
    if not kept:
        wanted = ", ".join(
            f"{v.product}_{s.split(':')[0].replace('/', '').lower()}" for v in chosen.venues for s in v.symbols
        )
        raise Refusal(NO_INPUT, f"{folder} holds no recording of a configured instrument; looked for {wanted}")
    return tuple(kept)


def free_port(port: int, purpose: str, remedy: str) -> int:
    """The port itself when it is free, a free one for 0. Raises Refusal UNAVAILABLE when it is taken or not ours."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            why = (
                "is taken by another program"
                if error.errno == errno.EADDRINUSE
                else f"cannot be used: {error.strerror}"
            )
            raise Refusal(UNAVAILABLE, f"port {port} for {purpose} {why}; choose another with {remedy}") from error
        return int(probe.getsockname()[1])


def probe_ports() -> dict[str, int]:
    """A free port for each brain that can be asked whether it speaks: all held until all are chosen, so they differ."""
    with contextlib.ExitStack() as held:
        found = {}
        for name in ("risk_brain", "ceo_brain", "ai_engine"):
            probe = held.enter_context(socket.create_server((HOST, 0)))
            found[name] = int(probe.getsockname()[1])
        return found


def speed(text: str | None) -> float:
    """A replay speed: 1 as recorded, "10x", "max" is 0. Raises Refusal USAGE."""
    if text is None:
        return 1.0
    if text == "max":
        return 0.0
    try:
        value = float(text.removesuffix("x"))
    except ValueError:
        value = -1.0
    if not 0 <= value <= 10_000:
        raise Refusal(
            USAGE, f"--speed {text!r} is no speed; 1 is as recorded, 10 ten times that, max as fast as possible"
        )
    return value


def faults(text: str) -> str:
    """The fault plan as it was given. Raises Refusal USAGE, naming the wrong part."""
    if text:
        from actors.venues.simulator.faults import parse_plan

        try:
            parse_plan(text)
        except ValueError as error:
            raise Refusal(USAGE, f"--faults: {error}") from error
    return text


def _report(text: str | None) -> str:
    if not text:
        return ""
    path = Path(text).expanduser().absolute()
    if not path.parent.is_dir():
        raise Refusal(USAGE, f"--report: the folder {path.parent} does not exist")
    return str(path)

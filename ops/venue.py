"""`qt venue`: run an exchange simulator outside the tree, tell one to misbehave, or park it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from supervisor.terminal import NO_INPUT, NOT_READY, OK, REFUSED, UNAVAILABLE, USAGE, Refusal

ASK_S = 5.0


def serve(home: Path, port: int, data: str | None, speed: str | None, faults: str, seed: int | None) -> int:
    """A simulator in the foreground until SIGINT or SIGTERM; its truth is kept in `home/venue`."""
    from actors.venues.simulator.main import serve as serve_venue
    from ops import prepare

    configured = prepare.settings(prepare.Wishes(seed=seed)).simulator
    folder = str(prepare.recording(data)) if data else ""
    deposit = str(configured.starting_balance)
    port = prepare.free_port(port, "the simulator", "--port")
    (home / "venue").mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        serve_venue(
            listening=lambda taken: print(f"venue on http://127.0.0.1:{taken}", flush=True),
            home=str(home / "venue"),
            port=port,
            data=folder,
            speed=prepare.speed(speed),
            faults=prepare.faults(faults),
            seed=configured.seed,
            deposits={f"{product}:{configured.currency}": deposit for product in ("spot", "usdm")},
        )
    except FileNotFoundError as error:
        raise Refusal(NO_INPUT, f"the simulator cannot play {folder}: {error}") from error
    except OSError as error:
        raise Refusal(UNAVAILABLE, f"the simulator cannot listen on port {port}: {error}") from error
    except ValueError as error:
        raise Refusal(NO_INPUT, f"the simulator cannot play {folder or 'its market'}: {error}") from error
    return OK


def fault(home: Path, url: str | None, kind: str, fields: list[str]) -> int:
    """Order a fault: `qt venue fault gap count=3 product=spot`. Prints the simulator's answer."""
    order: dict[str, Any] = {"kind": kind}
    for field in fields:
        name, equals, text = field.partition("=")
        if not equals:
            raise Refusal(USAGE, f"{field!r} is no field; write NAME=VALUE, as in count=3 product=spot seconds=2.5")
        order[name] = _value(text)
    print(json.dumps(_post(_url(home, url), "fault", order)))
    return OK


def park(home: Path, url: str | None, parked: bool, product: str = "") -> int:
    """Take the simulated venue off the air (connections refused), or bring it back."""
    print(json.dumps(_post(_url(home, url), "park", {"parked": parked, "product": product})))
    return OK


def _url(home: Path, url: str | None) -> str:
    if url:
        return url.rstrip("/")
    from config.launch import load
    from config.loading import ConfigError

    try:
        return load(home).venue_url
    except ConfigError as error:
        raise Refusal(NOT_READY, f"{error}; or name the simulator with --url http://127.0.0.1:PORT") from error


def _post(url: str, path: str, document: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(f"{url}/_venue/{path}", json.dumps(document).encode(), method="POST")
    try:
        with urllib.request.urlopen(request, timeout=ASK_S) as response:
            answer: dict[str, Any] = json.load(response)
            return answer
    except urllib.error.HTTPError as error:
        body = error.read().decode(errors="replace")
        text = json.loads(body).get("text", body) if body.startswith("{") else body
        raise Refusal(REFUSED, f"the simulator refused: {text}") from error
    except (OSError, ValueError) as error:
        raise Refusal(NOT_READY, f"no simulator answers on {url}: {error}") from error


def _value(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text

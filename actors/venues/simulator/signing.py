"""Binance's signature and clock rules, as pure functions over the bytes that were received.

GET and DELETE are signed over the raw query string, POST and PUT over the raw form body; nothing is decoded, sorted or
encoded again before the check (developers.binance.com, "Request security").
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

from actors.venues.simulator.errors import VenueError, missing

MAX_AHEAD_MS = 1000
MAX_RECV_WINDOW_MS = 60_000


def signature(payload: bytes, secret: str) -> str:
    """HMAC-SHA256 in lower-case hex."""
    return hmac.new(secret.encode(), payload, hashlib.sha256).hexdigest()


def check_signature(raw: bytes, secret: str) -> None:
    """Raise -1022 unless `raw` ends in `&signature=` of everything before it."""
    payload, mark, given = raw.rpartition(b"&signature=")
    if not mark:
        raise missing("signature")
    if not hmac.compare_digest(signature(payload, secret).encode(), given.strip().lower()):
        raise VenueError(-1022, "Signature for this request is not valid.")


def check_signed_parameters(parameters: Mapping[str, Any], secret: str) -> None:
    """The WebSocket API's form: `k=v` joined by `&` in alphabetical order, without the signature itself."""
    payload = "&".join(f"{k}={_text(parameters[k])}" for k in sorted(parameters) if k != "signature")
    if not hmac.compare_digest(signature(payload.encode(), secret), str(parameters.get("signature", ""))):
        raise VenueError(-1022, "Signature for this request is not valid.")


def check_clock(parameters: Mapping[str, Any], now_ms: int) -> None:
    """Raise -1021 unless `timestamp < now + 1000` and `now - timestamp <= recvWindow` (default 5000)."""
    try:
        timestamp = int(parameters["timestamp"])
        window = int(float(parameters.get("recvWindow", 5000)))
    except KeyError:
        raise missing("timestamp") from None
    except ValueError:
        raise VenueError(
            -1100, "Illegal characters found in parameter 'timestamp'; legal range is '^[0-9]{1,20}$'."
        ) from None
    if window > MAX_RECV_WINDOW_MS:
        raise VenueError(-1131, f"recvWindow must be less than {MAX_RECV_WINDOW_MS}.")
    if timestamp >= now_ms + MAX_AHEAD_MS:
        raise VenueError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
    if now_ms - timestamp > window:
        raise VenueError(-1021, "Timestamp for this request is outside of the recvWindow.")


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

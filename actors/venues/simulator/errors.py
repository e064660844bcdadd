"""The venue's refusals: Binance's codes, texts and HTTP statuses. ccxt maps by text first, so the words matter."""

from __future__ import annotations


class VenueError(Exception):
    """What the client gets instead of an answer: `{"code": code, "msg": text}` with this HTTP status."""

    def __init__(self, code: int, text: str, status: int = 400) -> None:
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text
        self.status = status


def unknown_symbol() -> VenueError:
    return VenueError(-1121, "Invalid symbol.")


def missing(parameter: str) -> VenueError:
    return VenueError(-1102, f"Mandatory parameter '{parameter}' was not sent, was empty/null, or malformed.")


def filter_failure(name: str) -> VenueError:
    return VenueError(-1013, f"Filter failure: {name}")

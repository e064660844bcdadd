"""User streams: who may hear which account. Spot asks on the WebSocket API, USD-M brings a listen key in the URL.

A dead listen key is accepted and stays silent, as at the real venue: noticing that is the client's work.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from actors.venues.simulator.accounts import Truth
from actors.venues.simulator.errors import VenueError, missing
from actors.venues.simulator.instruments import USDM
from actors.venues.simulator.signing import check_clock, check_signed_parameters
from actors.venues.simulator.streams import Connection, Hub

log = logging.getLogger(__name__)


class UserStreams:
    """Attaches connections to accounts and detaches them when their key dies."""

    def __init__(self, hub: Hub, truth: Truth, secrets: Mapping[str, str]) -> None:
        self._hub, self._truth, self._secrets = hub, truth, secrets
        self._numbers = itertools.count()

    def attach(self, connection: Connection, listen_key: str) -> None:
        """USD-M: hear the key's account, or nothing when the key is not alive."""
        key = self._truth.listen_keys.get(listen_key)
        connection.listen_key = listen_key
        if key is not None and key.expires_ms > _now_ms():
            connection.account = key.account
        else:
            log.warning("connection %d came with a dead listen key: it will hear nothing", connection.number)

    def request(self, connection: Connection, text: str) -> None:
        """One request of the spot WebSocket API."""
        number: Any = None
        try:
            message = msgspec.json.decode(text)
            number = message.get("id")
            result = self._answer(connection, message.get("method", ""), message.get("params") or {})
            connection.push_json({"id": number, "status": 200, "result": result})
        except VenueError as refusal:
            error = {"code": refusal.code, "msg": refusal.text}
            connection.push_json({"id": number, "status": refusal.status, "error": error})
        except (msgspec.DecodeError, AttributeError) as bad:
            error = {"code": -1100, "msg": f"Malformed request: {bad}"}
            connection.push_json({"id": number, "status": 400, "error": error})

    def kill_listen_keys(self) -> int:
        """All living listen keys die now: their streams get `listenKeyExpired` and then nothing."""
        living = [key for key in self._truth.listen_keys.values() if key.expires_ms]
        for key in living:
            key.expires_ms = 0
            self._truth.keep(key)
        self._truth.commit(time.time_ns())
        self.expire()
        return len(living)

    def expire(self) -> None:
        """Detach the connections whose listen key is no longer alive; called once a second."""
        now_ms = _now_ms()
        for connection in self._hub.connections.values():
            if not connection.account or connection.product != USDM:
                continue
            key = self._truth.listen_keys.get(connection.listen_key)
            if key is None or key.expires_ms <= now_ms:
                connection.push_json({"e": "listenKeyExpired", "E": now_ms, "listenKey": connection.listen_key})
                connection.account = ""

    def _answer(self, connection: Connection, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        match method:
            case "userDataStream.subscribe.signature":
                account = str(parameters.get("apiKey", ""))
                if not account:
                    raise missing("apiKey")
                secret = self._secrets.get(account)
                if secret is None:
                    raise VenueError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
                check_clock(parameters, _now_ms())
                check_signed_parameters(parameters, secret)
                connection.account = account
                connection.subscription_id = next(self._numbers)
                return {"subscriptionId": connection.subscription_id}
            case "userDataStream.unsubscribe":
                connection.account, connection.subscription_id = "", None
                return {}
            case "time":
                return {"serverTime": _now_ms()}
            case "ping":
                return {}
        raise VenueError(-1000, f"The simulator's WebSocket API has no method {method!r}.")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000

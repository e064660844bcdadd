"""The HTTP port: `/health /livez /readyz /metrics /status.json` on 127.0.0.1, from a status that a side thread fetches.

Picture: a shop window. The loop only shows what lies in it; one worker thread asks the root once a second and puts the
newest answer there, so neither a slow root nor a slow client ever blocks the other. A status older than a few seconds
is shown with its age and counts as unknown, and unknown is never ready.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from aiohttp import web

from actors.meter import CONTENT_TYPE, Meter, Slots
from actors.rules import gateway as rules
from actors.venues.loop import LoopThread
from actors.venues.words import PortFailed
from supervisor.message import Message
from supervisor.runtime.client import Client, Unreachable

HOST = "127.0.0.1"
ASK_S = 1.0
BIND_S = 5.0
MAX_BODY = 1024  # nobody has anything to tell this server

log = logging.getLogger(__name__)


class CannotListen(OSError):
    """The address is taken or not ours. The text names it and says what to do."""


class HttpPort:
    """One server in a thread of its own; listening when the constructor returns.

    Raises:
        CannotListen: the address is taken, or nothing listened within five seconds.
    """

    def __init__(
        self, post: Callable[[Message], None], home: Path, http_port: int, meter: Meter, poll_every_s: float
    ) -> None:
        self.port = http_port
        self._meter = meter
        self._every_s = poll_every_s
        self._status: dict[str, Any] | None = None
        self._at = 0.0
        self._problem = "the root was not asked yet"
        self._client = Client(home)
        self._asker = ThreadPoolExecutor(1, thread_name_prefix="gateway-ask")
        self._listening: Future[None] = Future()
        self._post = post
        self._thread = LoopThread("gateway-http", self._main, self._failed, self._unhandled)
        try:
            self._listening.result(BIND_S)
        except (OSError, TimeoutError) as error:
            self.close()
            raise CannotListen(
                f"cannot listen on {HOST}:{http_port}: {error or 'no answer from the loop'}; "
                "choose another with --http-port, or 0 for a free one"
            ) from error

    def close(self) -> None:
        self._thread.stop()
        self._asker.shutdown(wait=True, cancel_futures=True)
        self._client.close()

    async def _main(self) -> None:
        app = web.Application(client_max_size=MAX_BODY)
        app.add_routes(
            [
                web.get("/health", self._health),
                web.get("/livez", self._livez),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
                web.get("/status.json", self._status_json),
            ]
        )
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.5)
        await runner.setup()
        try:
            site = web.TCPSite(runner, HOST, self.port)
            try:
                await site.start()
            except OSError as error:
                self._listening.set_exception(error)
                return
            self.port = int(runner.addresses[0][1])
            self._listening.set_result(None)
            await self._poll()
        finally:
            await runner.cleanup()

    async def _poll(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                answer = await loop.run_in_executor(self._asker, lambda: self._client.ask("status", ASK_S))
                if answer.get("ok") is False:
                    self._problem = str(answer.get("text") or "the root refused the question")
                else:
                    self._status, self._at, self._problem = answer, time.monotonic(), ""
            except Unreachable as error:
                self._problem = str(error)
            await asyncio.sleep(self._every_s)

    def _failed(self, error: BaseException) -> None:
        self._post(PortFailed(text=f"the HTTP port ended: {type(error).__name__}: {error}"))

    def _unhandled(self, context: dict[str, Any]) -> None:
        log.warning("http port: %s: %s", context.get("message"), context.get("exception"))

    def _age_s(self) -> float | None:
        return time.monotonic() - self._at if self._status is not None else None

    def _judge(self) -> rules.Health:
        return rules.health(self._status, self._age_s())

    def _reasons(self, health: rules.Health) -> list[str]:
        if health.word == "UNKNOWN":
            return [self._problem or "the status is too old"]
        return [trouble.sentence() for trouble in health.troubles]

    async def _health(self, request: web.Request) -> web.Response:
        health = self._judge()
        page = {
            "schema": 1,
            "health": health.word,
            "ready": health.ready,
            "verdicts": health.verdicts,
            "reasons": self._reasons(health),
            "status_age_s": self._age_s(),
        }
        return _json(page, 503 if health.word in ("UNKNOWN", "DOWN") else 200)

    async def _livez(self, request: web.Request) -> web.Response:
        return _json({"schema": 1, "alive": True})

    async def _readyz(self, request: web.Request) -> web.Response:
        health = self._judge()
        required = [t.sentence() for t in health.troubles if t.required] if health.word != "UNKNOWN" else None
        reasons = [] if health.ready else self._reasons(health) if required is None else required
        return _json({"schema": 1, "ready": health.ready, "reasons": reasons}, 200 if health.ready else 503)

    async def _metrics(self, request: web.Request) -> web.Response:
        body = self._meter.exposition(self._status, self._age_s())
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    async def _status_json(self, request: web.Request) -> web.Response:
        if self._status is None:
            return _json({"schema": 1, "error": self._problem}, 503)
        return _json({**self._status, "status_age_s": self._age_s()})


def open(
    post: Callable[[Message], None],
    *,
    home: str,
    http_port: int,
    slots: Slots,
    children: tuple[str, ...] = (),
    poll_every_s: float = 1.0,
) -> HttpPort:
    """The factory that `actors.gateway` is given. Raises as `HttpPort`."""
    return HttpPort(post, Path(home), http_port, Meter(slots, children), poll_every_s)


def _json(page: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(text=json.dumps(page), status=status, content_type="application/json")

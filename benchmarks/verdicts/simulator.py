"""A dependency on loopback with a fault switch: a venue, a database, the target of a check.

The picture: a telephone whose line can be cut. It answers 200 until told otherwise: another status, silence, or nobody
there at all (`down`: the port is closed, so a call is refused; `up` takes the same port again). It counts its calls.
Its threads live in the bench, so a root or a node that is paused does not pause it.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any

HOST = "127.0.0.1"
SILENT_S = 60.0


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that was killed in the middle of its call is part of the play."""


class Simulator:
    """`url` stays the same for its whole life. `seed`: of its dice."""

    def __init__(self, name: str, seed: int = 0) -> None:
        self.name = name
        self.calls = 0
        self.status, self.body, self.silent = 200, "ok", False
        self.delay_s = 0.0  # real seconds before each answer
        self.share_bad, self._chance = 0.0, Random(seed)  # of the calls answered 500, at random
        self.tls: Path | None = None
        self.ban_after = 0  # calls answered as told, then 418 for all: a venue that counts strikes; 0 never
        self._server: _Server | None = None
        self._over = threading.Event()
        with socket.socket() as chosen:
            chosen.bind((HOST, 0))
            self.port: int = chosen.getsockname()[1]
        self.up()

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://{HOST}:{self.port}/"

    def answer(self, status: int, body: str = "") -> None:
        """From now on this status, to every path."""
        self.status, self.body, self.silent = status, body, False

    def silence(self) -> None:
        """Calls are accepted and never answered."""
        self.silent = True

    def down(self) -> None:
        """Nobody listens: calls are refused."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def up(self) -> None:
        """Listen again on the same port."""
        if self._server is None:
            outer = self

            class Handler(BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    outer._serve(self)

                def do_POST(self) -> None:
                    outer._serve(self)

                def do_HEAD(self) -> None:
                    outer._serve(self)

                def log_message(self, format: str, *args: Any) -> None:
                    """Quiet."""

            self._server = _Server((HOST, self.port), Handler)
            if self.tls is not None:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(self.tls)
                self._server.socket = context.wrap_socket(
                    self._server.socket, server_side=True, do_handshake_on_connect=False
                )
            threading.Thread(
                target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name=f"sim-{self.name}", daemon=True
            ).start()

    def secure(self, pem: Path) -> None:
        """From now on speak TLS with this key and certificate (certificates.py)."""
        self.tls = pem
        self.down()
        self.up()

    def close(self) -> None:
        self._over.set()
        self.down()

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        self.calls += 1
        self._over.wait(self.delay_s)
        until = time.monotonic() + SILENT_S
        while self.silent and time.monotonic() < until and not self._over.wait(0.05):
            pass
        banned = 0 < self.ban_after < self.calls
        body = (b"banned" if banned else self.body.encode()) or b"-"
        status = 500 if self._chance.random() < self.share_bad else self.status
        request.send_response(418 if banned else status)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)

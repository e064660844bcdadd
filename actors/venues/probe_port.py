"""A door at which a brain can be asked whether it lives: `GET` anything on 127.0.0.1, 200 while it speaks, 503 if not.

Picture: a porter who only knows when the master of the house was last heard. It is a declared check's other end and
decides nothing. A port that is taken costs the brain its porter and not its life: the check then says so.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time

HOST = "127.0.0.1"
SILENT_S = 5.0  # after so long without a word the answer is 503
PATIENCE_S = 1.0  # for one visitor; one is served after the other
MOST = 1024  # bytes of a question
BACKLOG = 16

log = logging.getLogger(__name__)


class ProbePort:
    """One thread and one socket; `said` is called by the actor, from its own thread."""

    def __init__(self, name: str, port: int) -> None:
        self._name, self._at, self._server = name, time.monotonic(), None
        if not port:
            return
        try:
            self._server = socket.create_server((HOST, port), backlog=BACKLOG)
        except OSError as error:
            log.warning("%s cannot be asked on %s:%s: %s; it works all the same", name, HOST, port, error.strerror)
            return
        threading.Thread(target=self._serve, args=(self._server,), name=f"{name}-probe", daemon=True).start()

    def said(self) -> None:
        """It has spoken."""
        self._at = time.monotonic()

    def close(self) -> None:
        if self._server is not None:
            with contextlib.suppress(OSError):  # a thread in `accept` is woken by this only
                self._server.shutdown(socket.SHUT_RDWR)
            self._server.close()

    def _serve(self, server: socket.socket) -> None:
        while True:
            try:
                visitor, _ = server.accept()
            except OSError:  # closed
                return
            with visitor, contextlib.suppress(OSError):  # a visitor who leaves early is no fault of ours
                visitor.settimeout(PATIENCE_S)
                visitor.recv(MOST)
                visitor.sendall(self._answer())

    def _answer(self) -> bytes:
        age_s = time.monotonic() - self._at
        status = "200 OK" if age_s <= SILENT_S else "503 Service Unavailable"
        body = f"{self._name} spoke {age_s:.1f} s ago\n"
        head = f"HTTP/1.0 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
        return (head + body).encode()


def open(name: str, port: int) -> ProbePort:
    """Listen for one brain; port 0: nobody asks."""
    return ProbePort(name, port)

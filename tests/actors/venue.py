"""A simulated venue in a process of its own, for tests that speak to it with unmodified ccxt."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAM = """
import json, sys
from actors.venues.simulator.main import serve
serve(listening=lambda port: print(port, flush=True), **json.loads(sys.argv[1]))
"""


class Venue:
    """Its url, and its control door under `/_venue/`."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process, self.port, self.url = process, port, f"http://127.0.0.1:{port}"

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/_venue/{path}", timeout=10) as answer:
            return json.load(answer)

    def fault(self, kind: str, **document: Any) -> int:
        """Order a fault; on how many connections it acted at once."""
        body = json.dumps({"kind": kind, **document}).encode()
        request = urllib.request.Request(f"{self.url}/_venue/fault", body, method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(json.load(answer)["injected"])

    def price(self, product: str, symbol: str, side: str = "bids") -> float:
        return float(self.get(f"book?product={product}&symbol={symbol}&levels=1")[side][0][0])


@contextmanager
def venue(home: Path, **settings: Any) -> Iterator[Venue]:
    """Started, listening, and ended with the block. `port=` starts it again at the same place."""
    arguments = json.dumps({"home": str(home), **settings})
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, arguments], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.strip().isdigit(), f"the venue did not start: {line!r}"
        yield Venue(process, int(line))
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)

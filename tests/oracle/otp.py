"""The other side of the oracle: an Erlang emulator with Debian's real `supervisor`, kept running for a whole session.

It is found on the PATH and asked which OTP it is; `oracle.erl` is compiled at test time, and with it a copy of the
installed supervisor source in which two things are changed and counted: the module's name, and the one reading of the
monotonic clock, which becomes the script's. Without the source no script can turn the clock; all others still run, on
the `supervisor` that the installation itself uses.
"""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any, TypeAlias

HERE = Path(__file__).parent
CLOCK = "erlang:monotonic_time(1)"  # the one reading, in add_restart/1: whole seconds
PATCHES = (
    ("-module(supervisor).", "-module(oracle_supervisor)."),
    ("gen_server:start_link(supervisor, {self,", "gen_server:start_link(oracle_supervisor, {self,"),
    (CLOCK, "oracle:now_s()"),
)
LARGEST = 1 << 24  # bytes of one reply; anything longer is a mistake, not a script

Page: TypeAlias = tuple[str, tuple[str, ...], tuple[str, ...]]
"""What one event came to: the answer, what happened in order, and then every child's state in start order."""


class OracleFailed(RuntimeError):
    """The Erlang side broke; says what it had to say."""


def patched(source: str) -> str:
    """The supervisor with a clock to be turned. Raises when the source is not the one that was understood."""
    for old, new in PATCHES:
        if source.count(old) != 1:
            raise OracleFailed(f"supervisor.erl has {source.count(old)} times {old!r}, expected once: look at it again")
        source = source.replace(old, new)
    return source


class Otp:
    """`run` plays a script on real supervisors. One emulator, one scheduler; `close` ends it."""

    def __init__(self, erl: str, workshop: Path) -> None:
        erlc = shutil.which("erlc")
        if erlc is None:
            raise OracleFailed("erl is installed and erlc is not; Debian has both in erlang-base")
        self.version = ""
        stdlib, kernel = self._rooms(erl)
        source = stdlib / "src" / "supervisor.erl"
        self.turns_clock = source.is_file()
        files = [HERE / "oracle.erl"]
        if self.turns_clock:
            files.append(workshop / "oracle_supervisor.erl")
            files[-1].write_text(patched(source.read_text("latin-1")), "latin-1")
        made = subprocess.run(
            [erlc, "-I", str(kernel / "include"), "-o", str(workshop), *map(str, files)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if made.returncode:
            raise OracleFailed(f"erlc: {made.stdout}{made.stderr}")
        main = ["-eval", "oracle:main()."]
        self._said = (workshop / "stderr").open("w+")
        self._process = subprocess.Popen(
            [erl, "+S", "1:1", "+A", "1", "-noinput", "-boot", "start_clean", "-pa", str(workshop), *main],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
        )
        self.version = str(self._read())

    @staticmethod
    def _rooms(erl: str) -> tuple[Path, Path]:
        """Where stdlib and kernel are installed."""
        ask = 'io:format("~s~n~s", [code:lib_dir(stdlib), code:lib_dir(kernel)]), halt().'
        told = subprocess.run(
            [erl, "-noinput", "-boot", "start_clean", "-eval", ask],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        stdlib, kernel = told.stdout.split("\n")
        return Path(stdlib), Path(kernel)

    def run(self, term: str) -> list[Page]:
        """The pages of one script: boot, every event, the end."""
        assert self._process.stdin is not None
        data = term.encode("ascii")
        self._process.stdin.write(struct.pack(">I", len(data)) + data)
        self._process.stdin.flush()
        return [(answer, tuple(entries), tuple(states)) for answer, entries, states in self._read()]

    def _read(self) -> Any:
        assert self._process.stdout is not None
        head = self._process.stdout.read(4)
        if len(head) == 4 and (length := struct.unpack(">I", head)[0]) <= LARGEST:
            return json.loads(self._process.stdout.read(length))
        self._process.kill()
        self._process.wait()
        self._said.seek(0)
        raise OracleFailed(f"the emulator ended: {self._said.read()[-2000:]}")

    def close(self) -> None:
        """End of its input is the end of it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._said.close()

"""What the nodes run with, as one digest: our Python files, watched files (models), the configuration's own digest.

Zygotes import once, so another digest means that they hold old code; and a child that was parked for a crash deserves
another try only when it would run with something else. A look costs about 2 ms for 300 files: not for every tick.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence

from supervisor.plan import Plan

CODE = (".py",)


class Inputs:
    """`digest` is what a node that is started now runs with, as of the last look."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.digest = self._look()

    def changed(self) -> bool:
        """Look; what is found counts from now on. True when it is something else than before."""
        before, self.digest = self.digest, self._look()
        return before != self.digest

    def _look(self) -> str:
        plan = self._plan
        return f"{plan.config_digest}/{stamp(plan.own_roots, CODE)}/{stamp(plan.watched)}"


def stamp(places: Sequence[str], suffixes: tuple[str, ...] = ("",)) -> str:
    """Sixteen digits over name, size and time of change of every file there. Hidden and cache folders do not count."""
    summed = hashlib.blake2b(digest_size=8)
    for path, marks in sorted(_files(places, suffixes)):
        summed.update(f"{path}\0{marks}\n".encode(errors="surrogateescape"))
    return summed.hexdigest()


def _files(places: Sequence[str], suffixes: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    left = list(places)
    while left:
        place = left.pop()
        try:
            entries = list(os.scandir(place))
        except NotADirectoryError:  # a single file that is watched by its own name
            status = os.stat(place)  # noqa: PTH116 - as below: a Path per file costs more than the look
            yield place, f"{status.st_size}:{status.st_mtime_ns}"
            continue
        except OSError:
            continue  # not there: other than there
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    if not entry.name.startswith((".", "__")):
                        left.append(entry.path)
                elif entry.name.endswith(suffixes):
                    status = entry.stat()
                    yield entry.path, f"{status.st_size}:{status.st_mtime_ns}"
            except OSError:  # deleted while we look
                continue

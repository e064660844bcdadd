"""Where in the source a thing stands, as `file:line`: what a fault is worth at 3 a.m. Files below here are relative."""

from __future__ import annotations

import ast
import inspect
import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_OURS = str(Path(__file__).resolve().parents[1]) + "/"
_NOT_THEIRS = ("/importlib/", "<frozen", "/site-packages/", _OURS)


def place(file: str, line: int) -> str:
    """`actors/feed.py:71`."""
    path = Path(file)
    here = Path.cwd()
    return f"{path.relative_to(here) if path.is_relative_to(here) else path}:{line}"


def of(thing: Any) -> str:
    """Where this class, function or method is defined; its module's file when that is all there is to know."""
    code = getattr(thing, "__code__", None)
    if code is not None:
        return place(code.co_filename, code.co_firstlineno)
    try:
        return place(inspect.getfile(thing), inspect.getsourcelines(thing)[1])
    except (OSError, TypeError):  # built in, or made at run time
        return str(getattr(thing, "__module__", None) or "?")


def of_error(error: BaseException) -> str:
    """The innermost line of theirs that an exception passed, or where their file cannot be read; "" for none."""
    if isinstance(error, SyntaxError) and error.filename:
        return place(error.filename, error.lineno or 1)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not any(part in frame.filename for part in _NOT_THEIRS):
            return place(frame.filename, frame.lineno or 1)
    return ""


class Source:
    """The file that declares a tree. `line_of` finds the line that names a child, so that a fault of a spec, which is
    only a value, can be told with the place it was written. The file is read when there is a fault to place."""

    def __init__(self, build: Any) -> None:
        self._build = build
        self._names: list[tuple[re.Pattern[str], str]] | None = None

    def line_of(self, id: str) -> str:
        """Where a call names this child in its first argument or as `id=`; the build function when none does."""
        if self._names is None:
            self._names = list(self._read())
        return next((where for pattern, where in self._names if pattern.fullmatch(id)), of(self._build))

    def _read(self) -> Iterator[tuple[re.Pattern[str], str]]:
        try:
            file = inspect.getfile(self._build)
            tree = ast.parse(Path(file).read_text())
        except (OSError, TypeError, SyntaxError):
            return
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and (first := _first_name(node)) is not None and (pattern := _pattern(first)):
                yield re.compile(pattern), place(file, first.lineno)


def _first_name(call: ast.Call) -> ast.expr | None:
    named = [keyword.value for keyword in call.keywords if keyword.arg == "id"]
    found = named or call.args[:1]
    return found[0] if found else None


def _pattern(node: ast.expr) -> str:
    """A text, or an f-string with something fixed in it, as a regular expression; "" for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return re.escape(node.value)
    if isinstance(node, ast.JoinedStr) and any(isinstance(part, ast.Constant) for part in node.values):
        parts = (re.escape(str(p.value)) if isinstance(p, ast.Constant) else ".+" for p in node.values)
        return "".join(parts)
    return ""

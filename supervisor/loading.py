"""Import paths to objects: `load("package.module:name")`. Specs name what to start; this opens it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


class CannotLoad(ImportError):
    """The path names nothing that can be loaded. The text says which part is missing."""


def load(path: str | Callable[..., Any]) -> Any:
    """The object at `"package.module:name"`; a callable is returned as it is, so tests can pass their own.

    Raises:
        CannotLoad: malformed path, or a module without that name. Errors inside the module itself pass through.
    """
    if not isinstance(path, str):
        return path
    module_name, _, name = path.partition(":")
    if not module_name or not name:
        raise CannotLoad(f'{path!r} is no import path; it must read "package.module:name"')
    module = importlib.import_module(module_name)
    try:
        return getattr(module, name)
    except AttributeError:
        raise CannotLoad(f"{path}: module {module_name} has no {name}") from None

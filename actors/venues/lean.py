"""ccxt without its hundred exchanges: what the emergency stop loads instead of all of them (25 MB, and twice as fast).

`import ccxt` runs a package file that imports every exchange there is. The emergency stop talks to one or two, lives in
a process of its own for weeks, and shares no memory with the zygotes. So the package is entered here by its path only,
and a name is looked up when it is asked for: first among ccxt's errors, then as the exchange of that name. The modules
that are loaded are ccxt's own, unmodified.
"""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any


def enter() -> None:
    """Put the lean package in place; does nothing when ccxt is loaded already.

    Raises:
        ModuleNotFoundError: ccxt is not installed.
    """
    if "ccxt" in sys.modules:
        return
    spec = find_spec("ccxt")
    if spec is None:
        raise ModuleNotFoundError("ccxt is not installed; the emergency stop reaches the venues through it")
    package: ModuleType = module_from_spec(spec)  # with its path and name, without running its __init__

    def look_up(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        errors = importlib.import_module("ccxt.base.errors")
        if hasattr(errors, name):
            return getattr(errors, name)
        try:
            return getattr(importlib.import_module(f"ccxt.{name}"), name)
        except ModuleNotFoundError as error:
            raise AttributeError(f"ccxt has neither an error nor an exchange named {name}") from error

    package.__getattr__ = look_up  # type: ignore[method-assign]  # PEP 562
    sys.modules["ccxt"] = package

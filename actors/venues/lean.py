"""ccxt without its hundred exchanges: 55 MB less for the venue zygote, 25 for the emergency stop, and a faster start.

`import ccxt.pro` runs package files that import every exchange there is, three times (plain, async, websocket). Ours
are two. So the packages are entered by their path only and a name is looked up when it is asked for: among ccxt's
errors, then as the exchange of that name. The modules that are loaded are ccxt's own, unmodified; `tests/venues` runs
on them.
"""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any

PACKAGES = ("ccxt", "ccxt.async_support", "ccxt.pro")
BASES = {"Exchange": "base.exchange", "Precise": "base.precise"}  # what the packages export besides


class LeanPackage(ModuleType):
    """A ccxt package whose `__init__` was not run. `package.binance` is the class, as ccxt's own modules expect."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        errors = importlib.import_module("ccxt.base.errors")
        if hasattr(errors, name):
            return getattr(errors, name)
        try:
            module = importlib.import_module(f"{self.__name__}.{BASES.get(name, name)}")
        except ModuleNotFoundError as error:
            raise AttributeError(f"{self.__name__} has neither an error nor an exchange named {name}") from error
        return getattr(module, name, module)

    def __setattr__(self, name: str, value: Any) -> None:
        # The import system binds a submodule to its package; the real __init__ then hides it behind its class.
        if isinstance(value, ModuleType) and isinstance(getattr(value, name, None), type):
            value = getattr(value, name)
        super().__setattr__(name, value)


def enter() -> None:
    """Put the lean packages in place; does nothing when ccxt is loaded already.

    Raises:
        ModuleNotFoundError: ccxt is not installed.
    """
    if "ccxt" in sys.modules:
        return
    for name in PACKAGES:
        spec = find_spec(name)
        if spec is None:
            raise ModuleNotFoundError(f"{name} is not installed; the venues are reached through it")
        package = module_from_spec(spec)  # with its path and name, without running its __init__
        package.__class__ = LeanPackage
        sys.modules[name] = package

"""The emergency stop's ccxt: the same exchange, the same errors, without the hundred others."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from actors.venues import exchange
venue = exchange.plain("usdm", "http://127.0.0.1:9", "key-of-sixteen-ch", "secret")
import ccxt
from ccxt.base.errors import InsufficientFunds
assert ccxt.InsufficientFunds is InsufficientFunds
assert type(venue).__mro__[0].__module__ == "ccxt.binanceusdm"
try:
    venue.fetch_balance()
except ccxt.NetworkError as error:
    print("refused", type(error).__name__)
try:
    ccxt.no_such_exchange
except AttributeError as error:
    print(error)
print(len([name for name in sys.modules if name.startswith("ccxt")]))
"""


def test_the_lean_package_builds_unmodified_exchanges_and_loads_no_others() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)

    refused, unknown, modules = done.stdout.splitlines()

    assert refused in ("refused NetworkError", "refused ExchangeNotAvailable")
    assert unknown == "ccxt has neither an error nor an exchange named no_such_exchange"
    assert int(modules) < 40


def test_websocket_exchanges_are_built_twice_over_the_same_lean_packages() -> None:
    program = (
        "import sys\n"
        "from actors.venues import exchange\n"
        "import ccxt.pro.binance, ccxt.pro.binanceusdm\n"  # what the zygote does
        "for product in ('spot', 'usdm', 'spot'):\n"
        "    venue = exchange.stream(product, 'http://127.0.0.1:9')\n"
        "    print(type(venue).__module__, venue.has['watchOrderBook'])\n"
        "print(len([name for name in sys.modules if name.startswith('ccxt')]))\n"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    *built, modules = done.stdout.splitlines()
    assert built == ["ccxt.pro.binance True", "ccxt.pro.binanceusdm True", "ccxt.pro.binance True"]
    assert int(modules) < 80

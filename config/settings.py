"""What may be configured, and the bounds an operator gets: one frozen pydantic model per section.

Picture: the YAML files are a form, this is the form's printed part. A section carries the name of the child it belongs
to; a default here equals the shipped file (a test keeps it so). Hard bounds stand at the field; a profile's ceilings
lie inside them and are compared in `faults`, which looks at the whole form at once. Nothing here reads a file (that is
`config/loading.py`) and no child imports this module: children get plain values from `actors/tree.py`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

Mode = Literal["sim", "replay", "shadow", "paper", "testnet", "live"]
PROFILES = ("MICRO", "SMALL", "FULL")
MODELS = 4  # members of the ensemble


def _decimal(value: object) -> object:
    """YAML numbers become money by their shortest text, never by their binary expansion; text passes through."""
    if isinstance(value, bool):
        raise ValueError("must be a number, not yes or no")  # noqa: TRY004  (pydantic collects ValueError only)
    return Decimal(repr(value)) if isinstance(value, int | float) else value


def _tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


Money = Annotated[Decimal, BeforeValidator(_decimal), Field(strict=False, allow_inf_nan=False)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
Symbol = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{2,12}/[A-Z0-9]{2,12}(:[A-Z0-9]{2,12})?$")]
Symbols = Annotated[tuple[Symbol, ...], BeforeValidator(_tuple), Field(min_length=1, max_length=50)]


class Section(BaseModel):
    """Base of every section: unknown fields refused, no silent conversion, frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Server(Section):
    http_port: int = Field(default=8000, ge=0, le=65535)  # health and metrics on 127.0.0.1; 0 takes a free one
    home: str = Field(default="var", min_length=1)  # state on disk; QT_HOME and --home win


class Simulator(Section):
    seed: int = Field(default=7, ge=0, le=2**63 - 1)
    port: int = Field(default=0, ge=0, le=65535)  # 0 takes a free one
    starting_balance: Money = Field(default=Decimal(10000), gt=0, le=Decimal(10**9))
    currency: str = Field(default="USDT", pattern=r"^[A-Z0-9]{2,12}$")


class Venue(Section):
    id: Name  # the ccxt id
    product: Literal["spot", "usdm"]
    symbols: Symbols


class Feed(Section):
    book_stale_after_s: float = Field(default=2.0, ge=0.2, le=60)
    trades_stale_after_s: float = Field(default=30.0, ge=1, le=3600)


class CrossExchange(Section):
    stale_after_s: float = Field(default=2.0, ge=0.2, le=60)  # a leg older than this gives no reading


class AiEngine(Section):
    quorum: int = Field(default=3, ge=1, le=MODELS)  # of the four models
    cooldown_s: float = Field(default=5.0, ge=0, le=3600)  # between two signals of one instrument


class StrategyBrain(Section):
    strategy: Literal["momentum"] = "momentum"
    entry_expires_s: float = Field(default=2.0, ge=0.2, le=60)  # an intent older than this is not worth sending
    stop_volatilities: float = Field(
        default=3.0, ge=0.5, le=20
    )  # distance of the stop, in standard deviations of the horizon
    min_stop_bps: float = Field(default=10.0, ge=1, le=1000)
    cooldown_s: float = Field(default=20.0, ge=0, le=86400)  # after a trade of one instrument


class Account(Section):
    name: Name
    venue: Name


class OrderLimits(Section):
    """Read by risk_brain, enforced by risk_gate. Shares are of equity; the profile's ceilings come on top."""

    max_positions: int = Field(default=2, ge=0, le=100)
    max_order_notional: Money = Field(default=Decimal(1000), ge=0)
    max_gross_notional: Money = Field(default=Decimal(2000), ge=0)
    max_leverage: Money = Field(default=Decimal(1), gt=0, le=Decimal(125))
    risk_per_trade: Money = Field(default=Decimal("0.002"), ge=0, le=Decimal("0.1"))
    day_loss_limit: Money = Field(default=Decimal("0.005"), gt=0, le=Decimal("0.2"))
    max_divergence_bps: float = Field(default=50.0, gt=0, le=1000)
    orders_per_minute: int = Field(default=30, ge=1, le=600)


class ExitBrain(Section):
    take_profit_r: float = Field(default=2.0, ge=0.2, le=20)  # in multiples of the risk at entry
    max_holding_s: float = Field(default=60.0, ge=5, le=14 * 86400)


class CeoBrain(Section):
    # all green for this long before the mode may rise; the venues of this release, simulators, need no more
    recovery_s: float = Field(default=1.0, ge=1, le=3600)


class Probes(Section):
    """Where the declared check of a brain asks; empty: at the brain's own port. For a port that is forwarded."""

    risk_brain: str = ""
    ceo_brain: str = ""
    ai_engine: str = ""


class Gateway(Section):
    poll_every_s: float = Field(default=1.0, ge=0.2, le=10)  # how often the port asks the root for its status


class Profile(Section):
    """The ceilings of a capital profile. These bounds are the highest any profile may have."""

    max_positions: int = Field(ge=0, le=20)
    max_order_notional: Money = Field(ge=0, le=Decimal(100000))
    max_gross_notional: Money = Field(ge=0, le=Decimal(500000))
    max_leverage: Money = Field(gt=0, le=Decimal(5))
    risk_per_trade: Money = Field(ge=0, le=Decimal("0.02"))
    day_loss_limit: Money = Field(gt=0, le=Decimal("0.05"))


def _profile(positions: int, order: int, gross: int, leverage: int, risk: str, day_loss: str) -> Profile:
    return Profile(
        max_positions=positions,
        max_order_notional=Decimal(order),
        max_gross_notional=Decimal(gross),
        max_leverage=Decimal(leverage),
        risk_per_trade=Decimal(risk),
        day_loss_limit=Decimal(day_loss),
    )


_SHIPPED_PROFILES = {
    "MICRO": _profile(2, 1000, 2500, 1, "0.002", "0.005"),
    "SMALL": _profile(5, 5000, 25000, 1, "0.005", "0.01"),
    "FULL": _profile(10, 50000, 250000, 3, "0.01", "0.02"),
}
_SHIPPED_VENUES = (
    Venue(id="binance", product="spot", symbols=("BTC/USDT", "ETH/USDT", "SOL/USDT")),
    Venue(id="binanceusdm", product="usdm", symbols=("BTC/USDT:USDT", "ETH/USDT:USDT", "SOL/USDT:USDT")),
)


class Settings(Section):
    """The whole form. `mode` comes from the command line, everything else from the files."""

    mode: Mode = "sim"
    profile: Literal["MICRO", "SMALL", "FULL"] = "MICRO"
    profiles: dict[str, Profile] = Field(default=_SHIPPED_PROFILES, max_length=20)
    server: Server = Server()
    simulator: Simulator = Simulator()
    venues: Annotated[tuple[Venue, ...], BeforeValidator(_tuple)] = Field(
        default=_SHIPPED_VENUES, min_length=1, max_length=10
    )
    accounts: Annotated[tuple[Account, ...], BeforeValidator(_tuple)] = Field(
        default=(Account(name="main", venue="binanceusdm"),), min_length=1, max_length=1
    )
    feed: Feed = Feed()
    cross_exchange: CrossExchange = CrossExchange()
    ai_engine: AiEngine = AiEngine()
    strategy_brain: StrategyBrain = StrategyBrain()
    order_limits: OrderLimits = OrderLimits()
    exit_brain: ExitBrain = ExitBrain()
    ceo_brain: CeoBrain = CeoBrain()
    gateway: Gateway = Gateway()
    probes: Probes = Probes()

    def ceiling(self) -> Profile:
        """The profile in force."""
        return self.profiles[self.profile]

    def instruments(self) -> tuple[tuple[str, str], ...]:
        """Every (venue id, symbol), in the order of the file."""
        return tuple((venue.id, symbol) for venue in self.venues for symbol in venue.symbols)

    def bases(self) -> tuple[str, ...]:
        """Bases that trade on more than one product: what `cross_exchange` compares, in the order of the file."""
        seen: dict[str, set[str]] = {}
        for venue in self.venues:
            for symbol in venue.symbols:
                seen.setdefault(symbol.split("/")[0], set()).add(venue.id)
        return tuple(base for base, venues in seen.items() if len(venues) > 1)


Path = tuple[str | int, ...]


def faults(settings: Settings) -> Iterator[tuple[Path, str]]:
    """What no single field can see: (path, problem) for every contradiction, nothing for a sound form."""
    limits = settings.order_limits
    if settings.profile not in settings.profiles:
        yield ("profile",), f"{settings.profile} is not among the profiles ({', '.join(settings.profiles)})"
    else:
        for name, ceiling in settings.ceiling():
            value = getattr(limits, name)
            if value > ceiling:
                yield ("order_limits", name), f"{value} exceeds profile {settings.profile}'s {ceiling}"
    if limits.max_order_notional > limits.max_gross_notional:
        yield (
            ("order_limits", "max_order_notional"),
            f"{limits.max_order_notional} exceeds max_gross_notional {limits.max_gross_notional}",
        )
    for i, venue in enumerate(settings.venues):
        if venue.id in [other.id for other in settings.venues[:i]]:
            yield ("venues", i, "id"), f"{venue.id} is listed twice"
        for j, symbol in enumerate(venue.symbols):
            where: Path = ("venues", i, "symbols", j)
            if symbol in venue.symbols[:j]:
                yield where, f"{symbol} is listed twice"
            if (":" in symbol) != (venue.product == "usdm"):
                shape = "BTC/USDT:USDT" if venue.product == "usdm" else "BTC/USDT"
                yield where, f"{symbol} is not a {venue.product} symbol; those read like {shape}"
    for i, account in enumerate(settings.accounts):
        if account.name in [other.name for other in settings.accounts[:i]]:
            yield ("accounts", i, "name"), f"{account.name} is listed twice"
        known = {venue.id: venue.product for venue in settings.venues}
        if account.venue not in known:
            yield ("accounts", i, "venue"), f"{account.venue} is not among the venues ({', '.join(known)})"
        elif known[account.venue] != "usdm":
            yield ("accounts", i, "venue"), f"{account.venue} is a spot venue; this release trades usdm accounts only"


def digest(settings: Settings) -> str:
    """SHA-256 over everything that decides behaviour; where the home lies on this machine does not count."""

    def plain(value: Any) -> Any:
        if isinstance(value, Decimal):
            return format(value.normalize(), "f")
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        return value

    form = plain(settings.model_dump())
    del form["server"]["home"]
    return hashlib.sha256(json.dumps(form, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

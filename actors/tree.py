"""The whole server, as a table of contents: who lives here, under which strategy, in which order, on which settings.

Started top to bottom by readiness, stopped bottom to top. A new actor is one file and one line here. Nothing runs in
this file and the root never imports it: a scratch process calls `build`, checks everything and writes the plan.
"""

from __future__ import annotations

import secrets
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

from actors.messages.market import ReplayFinished
from actors.venues.simulator.instruments import known as steps_of
from config import launch as launches
from config.launch import Launch
from config.settings import Account, Venue, digest
from supervisor.message import Provenance
from supervisor.plan import ChainLink, Draft
from supervisor.spec import (
    Backoff,
    Budget,
    Canary,
    Check,
    ChildSpec,
    Dependency,
    Promise,
    SupervisorSpec,
    ZygoteSpec,
    child,
    supervise,
)
from supervisor.words import Strategy

HOUSE = Path(__file__).resolve().parents[1]
VERSION = "0.1.0"
OUTSIDE = (
    "Hold", "RiskLimits", "TradingMode", "CrossReading", "SignalCount", "FeedReport",  # also heard by qt
    "FormerWords",  # the recorder's note to its next life
)  # fmt: skip

HOLD_EVERY_S = 5.0
SAFETY: dict[str, Any] = {"safety": True, "backoff": Backoff(initial_s=0.1, cap_s=2.0)}
ROLES = (
    ZygoteSpec(
        role="core",
        imports=(
            "supervisor.runtime.node",
            "actors.cross_exchange",
            "actors.strategy_brain",
            "actors.risk_gate",
            "actors.risk_brain",
            "actors.ceo_brain",
            "actors.ledger",
            "actors.exit_brain",
            "actors.recorder",
            "actors.alerts",
        ),
    ),
    ZygoteSpec(
        role="model",
        imports=("supervisor.runtime.node", "actors.ai_engine"),
        prepare="models_onnx.predictor:prepare",
    ),
    ZygoteSpec(
        role="venue",
        imports=(
            "supervisor.runtime.node",
            "actors.venues.exchange",  # first: it enters ccxt by the lean door
            "ccxt.pro.binance",
            "ccxt.pro.binanceusdm",
            "actors.feed",
            "actors.execution",
            "actors.simulator",
            "actors.gateway",
            "actors.venues.market_port",
            "actors.venues.account_port",
            "actors.venues.sim_port",
            "actors.venues.http_port",
        ),
    ),
)


def build(home: str) -> Draft:
    """The tree of the launch that `qt up` wrote into this home."""
    return draft(launches.load(Path(home)))


def draft(launch: Launch) -> Draft:
    """The tree and what the plan needs besides. The same launch gives the same tree, but for the signing keys."""
    return Draft(
        tree=tree(launch),
        zygotes=ROLES,
        # a simulator outside the tree tells nobody here that its recording is over
        outside=OUTSIDE if launch.venue_port else (*OUTSIDE, ReplayFinished.__name__),
        mode=launch.mode,
        chains=chains(launch),
        provenance={"sim": Provenance.SYNTHETIC, "replay": Provenance.REPLAY}.get(launch.mode, Provenance.LIVE),
        version=VERSION,
        config_digest=digest(launch.settings),
        seed=launch.seed,
        # by name: installed, the folder above holds everybody's packages
        own_roots=tuple(str(HOUSE / package) for package in ("actors", "config", "models_onnx", "ops", "supervisor")),
        watched=(str(HOUSE / "models_onnx"),),
        environment={
            "QT_HOME": launch.home,
            "ORT_DISABLE_TELEMETRY": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
        },
        ess_argv=(sys.executable, "-m", "actors.ess", "--home", launch.home),
    )


def tree(launch: Launch) -> SupervisorSpec:
    """The house."""
    accounts = launch.settings.accounts
    return supervise(
        "root",
        Strategy.ONE_FOR_ONE,
        [
            supervise("venues", Strategy.ONE_FOR_ONE, [simulator(launch)] if launch.venue_port else []),
            supervise(
                "safety",
                Strategy.ONE_FOR_ONE,
                [item for account in accounts for item in (ledger(launch, account), desk(launch, account))],
            ),
            supervise(
                "policy",
                Strategy.ONE_FOR_ONE,
                [item for account in accounts for item in (risk_brain(launch, account), ceo_brain(launch))],
            ),
            supervise(
                "market",
                Strategy.ONE_FOR_ONE,
                [*(feed(launch, venue) for venue in launch.settings.venues), cross_exchange(launch)],
            ),
            supervise(
                "signals",
                Strategy.REST_FOR_ONE,
                [ai_engine(launch), *(strategy_brain(launch, account) for account in accounts)],
            ),
            supervise("watch", Strategy.ONE_FOR_ONE, [gateway(launch), alerts(launch), recorder(launch)]),
        ],
    )


def chains(launch: Launch) -> tuple[tuple[ChainLink, ...], ...]:
    """From the market to the wish, for each account. A strategy without a signal is rightly silent."""
    if launch.mode != "sim":
        return ()
    return tuple(
        (
            ChainLink(child=f"feed:{account.venue}", gives="Tick"),
            ChainLink(child="ai_engine", gives="Hold"),
            ChainLink(child="strategy_brain", sometimes=True),
            ChainLink(child=f"risk_gate:{account.name}", passes="OrderApproved", refuses="OrderDenied", sometimes=True),
        )
        for account in launch.settings.accounts
    )


def names(launch: Launch) -> tuple[str, ...]:
    """The children whose series must exist from the first scrape on, `gateway` itself not among them."""
    accounts = [account.name for account in launch.settings.accounts]
    desks = [f"{role}:{name}" for name in accounts for role in ("risk_gate", "execution", "exit_brain")]
    feeds = [f"feed:{venue.id}" for venue in launch.settings.venues]
    brains = ["risk_brain", "ceo_brain", "cross_exchange", "ai_engine", "strategy_brain"]
    venue = ["sim:binance"] if launch.venue_port else []
    return (*venue, "ledger", *desks, *feeds, *brains, "alerts", "recorder")


def desk(launch: Launch, account: Account) -> SupervisorSpec:
    """What stands between a wish and the venue, for one account: below relies on above."""
    return supervise(
        f"desk:{account.name}",
        Strategy.REST_FOR_ONE,
        [risk_gate(launch, account), execution(launch, account), exit_brain(launch, account)],
    )


# ---------------------------------------------------------------------- children, in the order of the tree


def simulator(launch: Launch) -> ChildSpec:
    settings = launch.settings.simulator
    return child(
        "sim:binance",
        "actors.simulator:Simulator",
        role="venue",
        home=str(Path(launch.home) / "venue"),
        started_ns=launch.started_ns,
        port=launch.venue_port,
        data=launch.data,
        speed=launch.speed,
        faults=launch.faults,
        seed=launch.seed,
        symbols=bases(launch),
        deposits={
            f"{venue.product}:{settings.currency}": str(settings.starting_balance) for venue in launch.settings.venues
        },
    )


def ledger(launch: Launch, account: Account) -> ChildSpec:
    return child(
        "ledger",
        "actors.ledger:Ledger",
        spec={**SAFETY, "promises": (Promise(topic="AccountState", at_least_every_s=1.0),)},
        account=account.name,
        venue=account.venue,
        currency=launch.settings.simulator.currency,
    )


def risk_gate(launch: Launch, account: Account) -> ChildSpec:
    return child(
        f"risk_gate:{account.name}",
        "actors.risk_gate:RiskGate",
        spec={
            **SAFETY,
            "phases": ("stop-intake",),
            "canaries": (Canary(name="forbidden", expect="INSTRUMENT_UNKNOWN QTY_PRECISION"),),
        },
        account=account.name,
        venue=account.venue,
        instruments=instruments(launch, account),
        approval_key=approval_key(account),
        home=launch.home,
        approval_expires_s=0.5 * pace(launch),
    )


def execution(launch: Launch, account: Account) -> ChildSpec:
    venue = venue_of(launch, account)
    return child(
        f"execution:{account.name}",
        "actors.execution:Execution",
        role="venue",
        spec={**SAFETY, "shutdown_s": 10.0, "depends": needs(launch, venue)},
        account=account.name,
        venue=venue.id,
        product=venue.product,
        symbols=venue.symbols,
        approval_key=approval_key(account),
        home=launch.home,
        currency=launch.settings.simulator.currency,
        url=launch.venue_url or None,
    )


def exit_brain(launch: Launch, account: Account) -> ChildSpec:
    settings = launch.settings
    return child(
        f"exit_brain:{account.name}",
        "actors.exit_brain:ExitBrain",
        spec={**SAFETY, "promises": (Promise(topic="ExitsGuarded", at_least_every_s=1.0),)},
        account=account.name,
        venue=account.venue,
        instruments=instruments(launch, account),
        min_stop_bps=settings.strategy_brain.min_stop_bps,
        take_profit_r=settings.exit_brain.take_profit_r,
        max_holding_s=settings.exit_brain.max_holding_s,
    )


def risk_brain(launch: Launch, account: Account) -> ChildSpec:
    limits = launch.settings.order_limits
    return child(
        "risk_brain",
        "actors.risk_brain:RiskBrain",
        spec={
            "promises": (Promise(topic="RiskLimits", at_least_every_s=1.0),),
            "checks": probe(launch, "risk_brain"),
        },
        probe_port=launch.probe_ports.get("risk_brain", 0),
        account=account.name,
        max_positions=limits.max_positions,
        max_order_notional=limits.max_order_notional,
        max_gross_notional=limits.max_gross_notional,
        max_leverage=limits.max_leverage,
        risk_per_trade=limits.risk_per_trade,
        day_loss_limit=limits.day_loss_limit,
        max_divergence_bps=limits.max_divergence_bps,
        orders_per_minute=limits.orders_per_minute,
        valid_s=3.0 * pace(launch),
    )


def ceo_brain(launch: Launch) -> ChildSpec:
    return child(
        "ceo_brain",
        "actors.ceo_brain:CeoBrain",
        spec={
            "promises": (Promise(topic="TradingMode", at_least_every_s=1.0),),
            "checks": probe(launch, "ceo_brain"),
        },
        probe_port=launch.probe_ports.get("ceo_brain", 0),
        account=launch.settings.accounts[0].name,
        recovery_s=launch.settings.ceo_brain.recovery_s,
        valid_s=3.0 * pace(launch),
        home=launch.home,
    )


def feed(launch: Launch, venue: Venue) -> ChildSpec:
    settings = launch.settings.feed
    return child(
        f"feed:{venue.id}",
        "actors.feed:Feed",
        role="venue",
        spec={
            "backoff": Backoff(initial_s=0.25, cap_s=30.0),
            "budget": Budget(intensity=10, period_s=120.0),
            "promises": (
                Promise(topic="FeedState", at_least_every_s=1.0),
                Promise(topic="FeedReport", at_least_every_s=1.0),
                *ticks(launch, venue),
            ),
            "depends": needs(launch, venue),
        },
        venue=venue.id,
        product=venue.product,
        symbols=venue.symbols,
        url=launch.venue_url or None,
        limits={
            "book_stale_after_s": settings.book_stale_after_s,
            "trades_stale_after_s": settings.trades_stale_after_s,
        },
        # The player holds every frame until both products are subscribed, so a feed must not wait for its first book.
        ready_within_s=0.2 if launch.mode == "replay" else 10.0,
    )


def cross_exchange(launch: Launch) -> ChildSpec:
    pairs = {
        base: {
            venue.product: f"{venue.id}:{symbol}"
            for venue in launch.settings.venues
            for symbol in venue.symbols
            if symbol.split("/")[0] == base
        }
        for base in launch.settings.bases()
    }
    return child(
        "cross_exchange",
        "actors.cross_exchange:CrossExchange",
        spec={"promises": (Promise(topic="CrossReading", at_least_every_s=1.0),)},
        pairs=pairs,
        stale_after_s=launch.settings.cross_exchange.stale_after_s,
    )


def ai_engine(launch: Launch) -> ChildSpec:
    settings = launch.settings.ai_engine
    return child(
        "ai_engine",
        "actors.ai_engine:AiEngine",
        role="model",
        spec={
            "promises": (
                Promise(topic="SignalCount", at_least_every_s=1.0),
                # most of what it says is HOLD, of which four a second are published: with ticks and without, it is ill
                Promise(
                    topic="Hold",
                    at_least_every_s=max(HOLD_EVERY_S, launch.settings.feed.book_stale_after_s),
                    when="Tick",
                ),
            ),
            "canaries": (Canary(name="golden", expect="golden"),),
            "checks": probe(launch, "ai_engine"),
        },
        probe_port=launch.probe_ports.get("ai_engine", 0),
        models_dir=None,
        instruments=[f"{v.id}:{s}" for v in launch.settings.venues if v.product == "usdm" for s in v.symbols],
        quorum=settings.quorum,
        cooldown_s=settings.cooldown_s,
    )


def strategy_brain(launch: Launch, account: Account) -> ChildSpec:
    settings, limits = launch.settings.strategy_brain, launch.settings.order_limits
    return child(
        "strategy_brain",
        "actors.strategy_brain:StrategyBrain",
        spec={"phases": ("stop-strategies",)},
        account=account.name,
        venue=account.venue,
        strategy=settings.strategy,
        instruments=instruments(launch, account),
        risk_per_trade=limits.risk_per_trade,
        max_order_notional=limits.max_order_notional,
        entry_expires_s=settings.entry_expires_s * pace(launch),
        stop_volatilities=settings.stop_volatilities,
        min_stop_bps=settings.min_stop_bps,
        cooldown_s=settings.cooldown_s,
    )


def gateway(launch: Launch) -> ChildSpec:
    return child(
        "gateway",
        "actors.gateway:Gateway",
        role="venue",
        spec={"required": False},
        home=launch.home,
        http_port=launch.http_port,
        instruments=launch.settings.instruments(),
        accounts=[account.name for account in launch.settings.accounts],
        children=names(launch),
        poll_every_s=launch.settings.gateway.poll_every_s,
    )


def alerts(launch: Launch) -> ChildSpec:
    return child("alerts", "actors.alerts:Alerts", spec={"required": False}, home=launch.home)


def recorder(launch: Launch) -> ChildSpec:
    return child(
        "recorder",
        "actors.recorder:Recorder",
        spec={"required": False},
        home=launch.home,
        mode=launch.mode,
        started_ns=launch.started_ns,
        report=launch.report or None,
        ends=None if launch.for_s is None else (launch.started_s, launch.for_s),
        instruments=[f"{venue}:{symbol}" for venue, symbol in launch.settings.instruments()],
    )


# ---------------------------------------------------------------------- what several of them need


_KEYS: dict[str, str] = {}


def approval_key(account: Account) -> str:
    """The gate signs with it and the executor verifies: drawn anew for each plan, known to these two nodes only."""
    return _KEYS.setdefault(account.name, secrets.token_hex(32))


def needs(launch: Launch, venue: Venue) -> tuple[Dependency, ...]:
    """The venue's product, asked by its own ping; a simulator of ours is no other child's fault when it is down."""
    paths = {"spot": "/api.binance.com/api/v3/ping", "usdm": "/fapi.binance.com/fapi/v1/ping"}
    check = Check(target=launch.venue_url + paths[venue.product]) if launch.venue_url else None
    owner = "sim:binance" if launch.venue_port else ""
    return (Dependency(name=f"venue:{venue.id}", check=check, child=owner),)


def probe(launch: Launch, name: str) -> tuple[Check, ...]:
    """A brain's declared check. It is a question and no verdict: it may be wrong, and then that is said of it."""
    port = launch.probe_ports.get(name)
    own = f"http://127.0.0.1:{port}/health" if port else ""
    target = str(getattr(launch.settings.probes, name)) or own
    return (Check(target=target, expect=name),) if target else ()


def ticks(launch: Launch, venue: Venue) -> tuple[Promise, ...]:
    """A tick of each instrument, and not always the same one. A recording has the pauses that its market had."""
    if launch.mode != "sim":
        return ()
    every_s = launch.settings.feed.book_stale_after_s
    return tuple(
        Promise(topic="Tick", key=f"{venue.id}:{symbol}", at_least_every_s=every_s, changing=True)
        for symbol in venue.symbols
    )


def pace(launch: Launch) -> float:
    """How many seconds of market time pass in one of ours: what was valid for 3 s must not expire in transit."""
    if launch.mode != "replay":
        return 1.0
    return max(1.0, launch.speed or 1000.0)


def bases(launch: Launch) -> tuple[str, ...]:
    return tuple(dict.fromkeys(symbol.split("/")[0] for _, symbol in launch.settings.instruments()))


def venue_of(launch: Launch, account: Account) -> Venue:
    return next(venue for venue in launch.settings.venues if venue.id == account.venue)


def instruments(launch: Launch, account: Account) -> dict[str, dict[str, Decimal]]:
    """Tick, lot and minimum notional of the account's instruments: Binance's steps, which the simulators keep, too."""
    venue = venue_of(launch, account)
    found = {}
    for symbol in venue.symbols:
        steps = steps_of(venue.product, symbol.split(":")[0].replace("/", ""))
        found[symbol] = {"tick_size": steps.tick, "lot_size": steps.lot, "min_notional": steps.min_notional}
    return found

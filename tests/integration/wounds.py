"""The real house in sim mode with wounds that a file in the home opens, and its absence heals.

loop      the next message of ceo_brain never ends (the file is taken away first, so its next life is well)
broken    alerts dies in its start, of a method that does not exist
wish      the strategy wishes for an entry and for an exit every half second, whatever the models say
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec

from actors import tree
from actors.alerts import Alerts
from actors.ceo_brain import CeoBrain
from actors.messages.orders import OrderIntent, OrderKind, Side
from actors.strategy_brain import StrategyBrain
from supervisor.message import Message
from supervisor.plan import Draft
from supervisor.spec import Check, ChildSpec, DynamicSpec, NodeStart, SupervisorSpec
from tests.integration.trees import going_round_in_circles


class LoopingBrain(CeoBrain):
    """Goes round in circles once."""

    def handle(self, message: Message) -> None:
        wound = _home() / "loop"
        if wound.exists():
            wound.unlink()
            going_round_in_circles()
        super().handle(message)


class Beat(Message, frozen=True, kw_only=True):
    """When the next wish is due."""


class WishfulStrategy(StrategyBrain):
    """Asks the gate all the time, so that a test can read what it answers."""

    def init(self, **settings: Any) -> None:
        super().init(**settings)
        self.asked = 0
        self.ctx.after(0.5, Beat())

    def handle(self, message: Message) -> None:
        if not isinstance(message, Beat):
            super().handle(message)
            return
        self.ctx.after(0.5, Beat())
        if not (_home() / "wish").exists():
            return
        self.asked += 1
        symbol, instrument = next(iter(self.instruments.items()))
        now_ns = round(self.ctx.now() * 1e9)
        for reduce_only in (False, True):
            self.ctx.publish(
                OrderIntent(
                    intent_id=f"wish-{self.ctx.incarnation}-{self.asked}-{reduce_only}",
                    account=self.account,
                    strategy=self.strategy,
                    venue=self.venue,
                    symbol=symbol,
                    side=Side.BUY,
                    kind=OrderKind.MARKET,
                    quantity=instrument.lot_size,
                    reduce_only=reduce_only,
                    created_ns=now_ns,
                    expires_ns=now_ns + 2_000_000_000,
                )
            )


class BrokenBridge(Alerts):
    """The predecessor's own death, while the wound is open."""

    def init(self, **settings: Any) -> None:
        if (_home() / "broken").exists():
            cast(Any, object()).start()
        super().init(**settings)


def build(home: str) -> Draft:
    """The house of the launch in this home. The check of risk_brain asks a port at which nobody listens."""
    draft = tree.build(home)
    wrong = (Check(target="http://127.0.0.1:9/health", every_s=0.5, timeout_s=1.0),)
    changed = {
        "ceo_brain": lambda spec: _played_by(spec, LoopingBrain),
        "alerts": lambda spec: _played_by(spec, BrokenBridge),
        "strategy_brain": lambda spec: _played_by(spec, WishfulStrategy),
        "risk_brain": lambda spec: msgspec.structs.replace(spec, checks=wrong),
    }
    return msgspec.structs.replace(draft, tree=_with(draft.tree, changed))


def _with(above: SupervisorSpec, changed: dict[str, Callable[[ChildSpec], ChildSpec]]) -> SupervisorSpec:
    found: list[ChildSpec | SupervisorSpec | DynamicSpec] = []
    for item in above.children:
        if isinstance(item, SupervisorSpec):
            found.append(_with(item, changed))
        else:
            found.append(changed[item.id](item) if isinstance(item, ChildSpec) and item.id in changed else item)
    return msgspec.structs.replace(above, children=tuple(found))


def _played_by(spec: ChildSpec, kind: type) -> ChildSpec:
    start = spec.start
    assert isinstance(start, NodeStart)
    actor = msgspec.structs.replace(start.actors[0], path=f"{__name__}:{kind.__name__}")
    return msgspec.structs.replace(spec, start=msgspec.structs.replace(start, actors=(actor,)))


def _home() -> Path:
    return Path(os.environ["QT_HOME"])

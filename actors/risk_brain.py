"""Says once a second what may be risked: the configured limits and a multiplier from the account's state.

Picture: the ledger speaks, the rule (`actors/rules/limits.py`) gives a number between 0 and 1, `RiskLimits` carries it
with its end of validity. A silent ledger is a zero with a reason. A fall is said at once, not with the next second.

It keeps no positions, decides no mode, and denies nothing: the gate reads its limits.
"""

from __future__ import annotations

from decimal import Decimal

from actors.messages.account import AccountState
from actors.messages.control import RiskLimits, SecondPassed
from actors.rules.limits import Appetite, appetite
from actors.rules.money import to_decimal
from actors.venues.ports import OpensProbe, Probed
from supervisor.actor import Actor
from supervisor.loading import load
from supervisor.message import Message

ACCOUNT_AGE_S = 3.0
EVERY_S = 1.0


class RiskBrain(Actor):
    """The limits of one account."""

    subscribes = (AccountState,)
    publishes = (RiskLimits,)

    def init(  # the arguments are this actor's settings
        self,
        *,
        account: str,
        max_positions: int,
        max_order_notional: Decimal | str,
        max_gross_notional: Decimal | str,
        max_leverage: Decimal | str,
        risk_per_trade: Decimal | str,
        day_loss_limit: Decimal | str,
        max_divergence_bps: float,
        orders_per_minute: int,
        valid_s: float = 3.0,
        probe_port: int = 0,
        probe: str | OpensProbe = "actors.venues.probe_port:open",
    ) -> None:
        """Take the limits; say them at once, with a multiplier of 0 until the ledger spoke.

        Args:
            day_loss_limit: share of the day's starting equity.
            probe_port: where a declared check may ask, 0 for nowhere.
            valid_s: of `ctx.now()` time that a word may be used; in replay that time runs at the replay's speed.

        Raises:
            ValueError: a limit that is no finite number in its range; names it.
        """
        self.account = account
        self.max_positions, self.orders_per_minute = max_positions, orders_per_minute
        self.max_order_notional = to_decimal(max_order_notional)
        self.max_gross_notional = to_decimal(max_gross_notional)
        self.max_leverage = to_decimal(max_leverage)
        self.risk_per_trade = to_decimal(risk_per_trade)
        self.day_loss_limit = to_decimal(day_loss_limit)
        self.max_divergence_bps = float(to_decimal(max_divergence_bps))
        if self.day_loss_limit <= 0 or not valid_s > 0:
            raise ValueError(f"risk_brain day_loss_limit {day_loss_limit}, valid_s {valid_s}: wanted above 0")
        self.valid_s = valid_s
        self.state: AccountState | None = None
        self.state_at_s = self.ctx.monotonic()
        self.said: Appetite | None = None
        self.version = 0
        self.probe: Probed = load(probe)(self.ctx.name, probe_port)
        self._say()
        self.ctx.after(EVERY_S, SecondPassed())

    def handle(self, message: Message) -> None:
        match message:
            case AccountState():
                if message.account == self.account:
                    self.state, self.state_at_s = message, self.ctx.monotonic()
                    if self.said is None or self._appetite().multiplier != self.said.multiplier:
                        self._say()
            case SecondPassed():
                self.ctx.after(EVERY_S, SecondPassed())
                self._say()
            case _:
                raise TypeError(f"{self.ctx.name} got {type(message).__name__}, which no risk brain expects")

    def terminate(self, reason: str) -> None:
        self.probe.close()

    def _appetite(self) -> Appetite:
        return appetite(self.state, self.ctx.monotonic() - self.state_at_s, ACCOUNT_AGE_S, self.day_loss_limit)

    def _say(self) -> None:
        self.said = self._appetite()
        self.version += 1
        self.ctx.publish(
            RiskLimits(
                account=self.account,
                version=self.version,
                max_positions=self.max_positions,
                max_order_notional=self.max_order_notional,
                max_gross_notional=self.max_gross_notional,
                max_leverage=self.max_leverage,
                risk_per_trade=self.risk_per_trade,
                day_loss_limit=self.day_loss_limit,
                max_divergence_bps=self.max_divergence_bps,
                orders_per_minute=self.orders_per_minute,
                multiplier=self.said.multiplier,
                reason=self.said.reason,
                valid_until_ns=round((self.ctx.now() + self.valid_s) * 1e9),
            )
        )
        self.probe.said()
        self.ctx.progress("limits")

"""Words of control: limits, mode, the emergency stop, and what brains say about themselves."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

from supervisor.message import Delivery, Message


class Mode(StrEnum):
    """The operating mode of the house, strictest last. Exits and cancels are possible in every one."""

    RUN = "RUN"
    REDUCE_ONLY = "REDUCE_ONLY"
    HALT_NEW = "HALT_NEW"
    STOP = "STOP"


class TradingMode(Message, frozen=True, kw_only=True):
    """The CEO brain's word, once a second. Missing or old means REDUCE_ONLY."""

    delivery: ClassVar[Delivery] = Delivery.LATEST

    mode: Mode
    reason: str
    valid_until_ns: int


class RiskLimits(Message, frozen=True, kw_only=True):
    """The risk brain's snapshot of what may be risked now, at least once a second. Old means: nothing may."""

    delivery: ClassVar[Delivery] = Delivery.LATEST

    account: str
    version: int
    max_positions: int
    max_order_notional: Decimal
    max_gross_notional: Decimal
    max_leverage: Decimal
    risk_per_trade: Decimal  # share of equity
    day_loss_limit: Decimal  # share of the day's starting equity
    max_divergence_bps: float
    orders_per_minute: int
    multiplier: Decimal  # 0..1, scales sizes down under stress
    reason: str
    valid_until_ns: int

    def key(self) -> str:
        return self.account


class ExitsGuarded(Message, frozen=True, kw_only=True):
    """The exit brain's word, once a second: it lives and minds this account's positions. Old means: nothing enters."""

    delivery: ClassVar[Delivery] = Delivery.LATEST

    account: str

    def key(self) -> str:
        return self.account


class EssState(StrEnum):
    """The emergency stop's latch; the file decides, these are its words."""

    INACTIVE = "INACTIVE"
    TRIGGERED = "TRIGGERED"
    CANCELLING = "CANCELLING"
    FLATTENING = "FLATTENING"
    LOCKED = "LOCKED"


class Alert(Message, frozen=True, kw_only=True):
    """Something a person should know, at most once per cause and minute."""

    delivery: ClassVar[Delivery] = Delivery.EVERY

    severity: str  # "info", "warning", "critical"
    subject: str
    text: str
    at_ns: int


class StopServer(Message, frozen=True, kw_only=True):
    """To the root: end the whole server in order. Sent by the recorder when a replay is over or `--for` has passed."""

    delivery: ClassVar[Delivery] = Delivery.SYSTEM

    reason: str
    exit_code: int = 0


class SecondPassed(Message, frozen=True, kw_only=True):
    """A private timer word shared by the actors that say something once a second (ctx.after)."""

    delivery: ClassVar[Delivery] = Delivery.SYSTEM

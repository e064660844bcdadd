"""Owns the operating mode of the house and says it once a second, and at once when it changes.

Picture: it remembers the last word of each witness (limits, reconciliation, ledger, feeds, the emergency stop's latch)
and when it came; what is too old counts as unknown. The decision table and the way back up are
`actors/rules/mode.py`. It denies no order: the gate reads the mode, and a silent CEO brain means REDUCE_ONLY there.
"""

from __future__ import annotations

from actors.messages.account import AccountState, Reconciled
from actors.messages.control import Mode, RiskLimits, SecondPassed, TradingMode
from actors.messages.market import FeedState, FeedStatus
from actors.rules.mode import Evidence, Held, step
from actors.rules.readings import recalled_age_s
from actors.venues.ports import LatchPort, OpensLatch, OpensProbe, Probed
from actors.venues.words import LatchSeen
from supervisor.actor import Actor
from supervisor.loading import load
from supervisor.message import Message

FRESH_S = 3.0  # what is said at least once a second
RECONCILED_FRESH_S = 180.0  # execution compares once a minute; the gate's limit, too
EVERY_S = 1.0
MAX_FEEDS = 1_000


class CeoBrain(Actor):
    """The mode, from the evidence of one account."""

    subscribes = (RiskLimits, Reconciled, FeedState, AccountState)
    publishes = (TradingMode,)

    def init(  # the arguments are this actor's settings
        self,
        *,
        account: str,
        recovery_s: float,
        home: str,
        valid_s: float = 3.0,
        latch: str | OpensLatch = "actors.latch:watch",
        probe_port: int = 0,
        probe: str | OpensProbe = "actors.venues.probe_port:open",
    ) -> None:
        """Look at the latch and what was reconciled; begin in REDUCE_ONLY, or STOP.

        Args:
            probe_port: where a declared check may ask, 0 for nowhere.
            recovery_s: how long a better mode must be earned before it is taken.
            home: where the emergency stop's latch lies.
            valid_s: of `ctx.now()` time that a word may be used; in replay that time runs at the replay's speed.
        """
        if not (recovery_s >= 0 and valid_s > 0):
            raise ValueError(f"ceo_brain recovery_s {recovery_s}, valid_s {valid_s}: wanted from 0, and above 0")
        self.account, self.recovery_s, self.valid_s = account, recovery_s, valid_s
        self.held = Held()
        self.limits: RiskLimits | None = None
        self.limits_at_s = 0.0  # monotonic, like all `_at_s`
        self.state: AccountState | None = None
        self.state_at_s = 0.0
        self.reconciled: Reconciled | None = None
        self.reconciled_at_s = 0.0
        self.feeds: dict[str, tuple[FeedStatus, float]] = {}
        for word in self.ctx.recall(Reconciled):
            if word.account == account:  # perhaps a former run's: it is as old as it says
                self.reconciled = word
                self.reconciled_at_s = self.ctx.monotonic() - recalled_age_s(word.at_ns, self.ctx.now())
        self.latch: LatchPort = load(latch)(self.ctx.post, home=home)
        self.ess, self.ess_reason = self.latch.now.state, self.latch.now.reason
        self.probe: Probed = load(probe)(self.ctx.name, probe_port)
        self._look()
        self._say()
        self.ctx.after(EVERY_S, SecondPassed())

    def handle(self, message: Message) -> None:
        match message:
            case RiskLimits():
                if message.account == self.account:
                    self.limits, self.limits_at_s = message, self.ctx.monotonic()
            case AccountState():
                if message.account == self.account:
                    self.state, self.state_at_s = message, self.ctx.monotonic()
            case Reconciled():
                if message.account == self.account:
                    self.reconciled, self.reconciled_at_s = message, self.ctx.monotonic()
            case FeedState():
                if message.key() in self.feeds or len(self.feeds) < MAX_FEEDS:
                    self.feeds[message.key()] = (message.status, self.ctx.monotonic())
            case LatchSeen():
                self.ess, self.ess_reason = message.state, message.reason
            case SecondPassed():
                self.ctx.after(EVERY_S, SecondPassed())
                self._look()
                self._say()
                return
            case _:
                raise TypeError(f"{self.ctx.name} got {type(message).__name__}, which no CEO brain expects")
        if self._look():
            self._say()

    def terminate(self, reason: str) -> None:
        self.latch.close()
        self.probe.close()

    def _look(self) -> bool:
        """Ask the rule; True when the mode changed."""
        before: Mode = self.held.mode
        self.held = step(self.held, self._evidence(), self.ctx.monotonic(), self.recovery_s)
        return self.held.mode is not before

    def _evidence(self) -> Evidence:
        now_s = self.ctx.monotonic()
        limits, state, reconciled = self.limits, self.state, self.reconciled
        if limits is not None and (now_s - self.limits_at_s > FRESH_S or self.ctx.now() * 1e9 > limits.valid_until_ns):
            limits = None
        if state is not None and now_s - self.state_at_s > FRESH_S:
            state = None
        if reconciled is not None and now_s - self.reconciled_at_s > RECONCILED_FRESH_S:
            reconciled = None
        heard = [status for status, at_s in self.feeds.values() if now_s - at_s <= FRESH_S]
        return Evidence(
            ess=self.ess,
            ess_reason=self.ess_reason,
            multiplier=limits.multiplier if limits else None,
            limits_reason=limits.reason if limits else "",
            reconciled=reconciled.ok if reconciled else None,
            differences=reconciled.differences if reconciled else (),
            ledger_reconciled=state.reconciled if state else None,
            live_feeds=sum(status is FeedStatus.LIVE for status in heard) if heard else None,
        )

    def _say(self) -> None:
        self.ctx.publish(
            TradingMode(
                mode=self.held.mode,
                reason=self.held.reason,
                valid_until_ns=round((self.ctx.now() + self.valid_s) * 1e9),
            )
        )
        self.probe.said()
        self.ctx.progress("mode")

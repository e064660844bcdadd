"""The operating mode of the house, as a decision table: every row that applies names a mode, the strictest one wins.

What is not known gives REDUCE_ONLY, what is known to be bad gives HALT_NEW, the emergency stop gives STOP; only when no
row applies the house may RUN. Downward at once; upward only after the same better target stood for `recovery_s`, so
that a flapping feed never opens the door. Exits and cancels are possible in every mode. No clock: `now` is passed in.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from actors.messages.control import EssState, Mode

STRICTNESS = {mode: rank for rank, mode in enumerate(Mode)}  # RUN 0 … STOP 3


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What the CEO brain knows now. None is "unknown": never heard, or too old."""

    ess: EssState
    ess_reason: str = ""
    multiplier: Decimal | None = None  # of valid, fresh risk limits
    limits_reason: str = ""
    reconciled: bool | None = None  # what execution said last
    differences: tuple[str, ...] = ()
    ledger_reconciled: bool | None = None  # of a fresh AccountState
    live_feeds: int | None = None  # None: no feed has spoken lately


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """The mode in force, and the better one that waits for its time."""

    mode: Mode = Mode.REDUCE_ONLY
    reason: str = "nothing is known yet"
    target: Mode | None = None  # less strict than `mode`
    target_since: float = 0.0


def target(evidence: Evidence) -> tuple[Mode, str]:
    """The mode this evidence asks for, with the reasons of that mode ("" for RUN)."""
    rows = _rows(evidence)
    if not rows:
        return Mode.RUN, ""
    strictest = max((mode for mode, _ in rows), key=STRICTNESS.__getitem__)
    return strictest, "; ".join(reason for mode, reason in rows if mode is strictest)


def _rows(evidence: Evidence) -> list[tuple[Mode, str]]:
    rows: list[tuple[Mode, str]] = []
    if evidence.ess is not EssState.INACTIVE:
        rows.append((Mode.STOP, f"the emergency stop is {evidence.ess}: {evidence.ess_reason or 'no reason given'}"))
    if evidence.multiplier is None:
        rows.append((Mode.REDUCE_ONLY, "the risk limits are unknown or old"))
    elif evidence.multiplier <= 0:
        rows.append((Mode.HALT_NEW, f"the risk brain allows no risk: {evidence.limits_reason or 'no reason given'}"))
    if evidence.reconciled is None:
        rows.append((Mode.REDUCE_ONLY, "the account was not compared with the venue yet, or too long ago"))
    elif not evidence.reconciled:
        wrong = "; ".join(evidence.differences[:3]) or "no difference named"
        rows.append((Mode.HALT_NEW, f"books and venue differ: {wrong}"))
    if evidence.ledger_reconciled is None:
        rows.append((Mode.REDUCE_ONLY, "the ledger is silent"))
    elif not evidence.ledger_reconciled:
        rows.append((Mode.HALT_NEW, "the ledger says the account is not reconciled"))
    if evidence.live_feeds is None:
        rows.append((Mode.REDUCE_ONLY, "no feed has spoken lately"))
    elif evidence.live_feeds <= 0:
        rows.append((Mode.HALT_NEW, "no feed is LIVE"))
    return rows


def step(held: Held, evidence: Evidence, now: float, recovery_s: float) -> Held:
    """The mode after looking at this evidence at monotonic time `now`."""
    wanted, reason = target(evidence)
    if STRICTNESS[wanted] >= STRICTNESS[held.mode]:
        return Held(mode=wanted, reason=reason)
    if wanted is not held.target:
        held = msgspec.structs.replace(held, target=wanted, target_since=now)
    if now - held.target_since >= recovery_s:
        return Held(mode=wanted, reason=reason)
    return held

"""The operating mode as a decision table, and the ratchet: down at once, up only after a spell of green. Pure.

Picture: every fact that is missing pulls the mode down to a step of its own; the strictest step wins. Nothing pulls it
up but time: each step up needs `recovery_s` without a reason to be lower. Exits and cancels are possible in every mode.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from actors.messages.control import EssState, Mode

STRICTNESS = (Mode.RUN, Mode.REDUCE_ONLY, Mode.HALT_NEW, Mode.STOP)


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """One account as the CEO brain knows it. Ages are monotonic seconds, infinite when never heard."""

    account: str
    limits_age_s: float
    state_age_s: float
    reconciled: bool


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    mode: Mode
    reason: str


def wanted(ess: EssState, accounts: Iterable[Fact], feeds: Iterable[tuple[str, bool]], fresh_s: float) -> Wanted:
    """What the facts allow now. `feeds`: (instrument, LIVE and heard lately)."""
    pulls: list[Wanted] = []
    if ess is not EssState.INACTIVE:
        pulls.append(Wanted(mode=Mode.STOP, reason=f"the emergency stop is {ess}"))
    known = list(accounts)
    if not known:
        pulls.append(Wanted(mode=Mode.HALT_NEW, reason="no account is configured"))
    for fact in known:
        if fact.limits_age_s > fresh_s:
            pulls.append(Wanted(mode=Mode.HALT_NEW, reason=f"no fresh risk limits for account {fact.account}"))
        if fact.state_age_s > fresh_s:
            pulls.append(Wanted(mode=Mode.HALT_NEW, reason=f"the ledger is silent about account {fact.account}"))
        elif not fact.reconciled:
            pulls.append(Wanted(mode=Mode.HALT_NEW, reason=f"account {fact.account} is not reconciled with its venue"))
    if not any(live for _, live in feeds):
        pulls.append(Wanted(mode=Mode.REDUCE_ONLY, reason="no feed is LIVE"))
    if not pulls:
        return Wanted(mode=Mode.RUN, reason="all green")
    return max(pulls, key=lambda pull: STRICTNESS.index(pull.mode))  # the first of the strictest


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """The mode in force, and since when (monotonic) nothing has asked for it."""

    mode: Mode
    reason: str
    easier_since_s: float | None = None


START = Standing(mode=Mode.HALT_NEW, reason="just started")


def step(standing: Standing, want: Wanted, now_s: float, recovery_s: float) -> Standing:
    """The mode after hearing what the facts allow: downward at once, upward when they have allowed it long enough.

    Any change of what is allowed to something stricter than before starts the spell of green again.
    """
    if STRICTNESS.index(want.mode) >= STRICTNESS.index(standing.mode):
        return Standing(mode=want.mode, reason=want.reason)
    since_s = now_s if standing.easier_since_s is None else standing.easier_since_s
    if now_s - since_s >= recovery_s:
        return Standing(mode=want.mode, reason=want.reason)
    return Standing(mode=standing.mode, reason=standing.reason, easier_since_s=since_s)

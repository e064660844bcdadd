"""Every number of the judge, and the watch on the watcher.

Names and seeds are those of docs/health.md: a limit is a seed, times the observer's local-health factor, inside its
clamp. `Observer` is folded from the root's own ticks: an observer that was late was blind, and what a blind observer
did not see is not evidence. Pure: the caller passes the times in.
"""

from __future__ import annotations

import msgspec

TICK_S = 0.1  # the root looks this often
BEAT_S = 0.5  # an actor's loop turns at least this often, idle or not
LATE_S = 0.5  # a tick later than this voids what was seen
SETTLE_MIN_S, SETTLE_MAX_S = 2.0, 15.0  # quiet time after a stall
SUSPECT_S = 3.0  # silence that starts an investigation
STOPPED_S = 1.0  # state T for this long, two looks at least, is no job-control blink
GIL_S = 10.0  # the interpreter lock held with the CPU busy
UNINTERRUPTIBLE_S = 10.0  # kernel sleep D
MARK_S = 20.0  # no movement while starting
START_CAP = 10.0  # times the start budget, while it moves
FRESH_S = 10.0  # a function witness older than this proves nothing
QUEUE_GOAL_S = 1.0  # the oldest waiting message is older: the child is late
CHECK_FRESH = 3.0  # times its period: an older check answer is forgotten
UNSURE_S = 60.0  # alert time for UNSURE
CORRELATED_S = 3.0  # suspicions this close together are one event
CANARY_S = 10.0  # a correlated suspicion that lasted this long may be tried out on one child
CPU_IDLE = 0.02  # share of one core below which a process does not run
CPU_SPIN = 0.3  # share of one core wanted (used or queued for) above which it spins
RUN_QUEUE = 0.5  # share of the window spent runnable but not running: starved
FACTOR_MAX = 8.0
FACTOR_EASE_S = 10.0  # the local-health factor falls by one after so many clean seconds


class Observer(msgspec.Struct, frozen=True, kw_only=True):
    """The root's own fitness to judge. `valid_since` may lie in the future: until then the root only looks.

    `factor` is Lifeguard's local health (Dadgar et al., DSN 2018), 1 to 8: it stretches every limit.
    """

    valid_since: float = 0.0
    late_s: float = 0.0  # of the last tick
    stall_s: float = 0.0  # length of the last stall, 0 if there was none
    factor: float = 1.0
    eased_at: float = 0.0

    def tick(self, due: float, now: float, *, asleep_s: float = 0.0) -> Observer:
        """Fold one tick that was due at `due` and came at `now`; `asleep_s`: boottime gained on monotonic since."""
        late = max(0.0, now - due)
        if late > LATE_S or asleep_s > LATE_S:
            stall = max(late, asleep_s)
            settle = min(max(stall / 2 + 2 * BEAT_S, SETTLE_MIN_S), SETTLE_MAX_S)
            return Observer(
                valid_since=now + settle,
                late_s=late,
                stall_s=stall,
                factor=min(self.factor + 1.0, FACTOR_MAX),
                eased_at=now + settle,
            )
        factor, eased_at = self.factor, self.eased_at
        if factor > 1.0 and now - eased_at >= FACTOR_EASE_S:
            factor, eased_at = factor - 1.0, now
        return Observer(
            valid_since=self.valid_since, late_s=late, stall_s=self.stall_s, factor=factor, eased_at=eased_at
        )

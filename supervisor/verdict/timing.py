"""Every number of the judge, and the watch on the watcher.

Names and seeds are those of docs/health.md: a limit is a seed, times the observer's local-health factor, inside its
clamp. `Timing.scaled` lets a whole house live faster or slower; what physics gives (a scheduler's lateness, the time
CPU shares need) has floors there. `Observer` is folded from the root's own ticks: an observer that was late was blind,
and what a blind observer did not see is not evidence. Pure: the caller passes the times in.
"""

from __future__ import annotations

import msgspec

LATE_LEAST_S = 0.25  # a busy scheduler alone makes a tick this late
SHARES_LEAST_S = 0.15  # fewer readings than this tell no share: the kernel counts in its own ticks


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """The limits one house lives by, in seconds unless said otherwise. `scale`: real time per time of the seeds."""

    scale: float = 1.0
    tick_s: float = 0.1  # the root looks this often
    beat_s: float = 0.5  # an actor's loop turns at least this often, idle or not
    late_s: float = 0.5  # a tick later than this voids what was seen
    settle_min_s: float = 2.0  # quiet time after a stall
    settle_max_s: float = 15.0
    suspect_s: float = 3.0  # silence that starts an investigation
    stopped_s: float = 1.0  # state T for this long, two looks at least, is no job-control blink
    gil_s: float = 10.0  # the interpreter lock held with the CPU busy
    uninterruptible_s: float = 10.0  # kernel sleep D
    mark_s: float = 20.0  # no movement while starting
    fresh_s: float = 10.0  # a function witness older than this proves nothing
    queue_goal_s: float = 1.0  # the oldest waiting message is older: the child is late
    correlated_s: float = 3.0  # suspicions this close together are one event
    early_ready_s: float = 30.0  # it said ready and may take so long to its first output
    drain_s: float = 60.0  # a limit that will be reached within so long is one that is reached
    again_s: float = 600.0  # a trouble that is back sooner after a restart for it is one that a restart does not help
    flap_s: float = 120.0  # `flaps` changes between good and bad within so long are one trouble
    canary_s: float = 10.0  # a correlated suspicion that lasted this long may be tried out on one child
    factor_ease_s: float = 10.0  # the local-health factor falls by one after so many clean seconds
    shares_s: float = 1.0  # CPU shares need readings over this time
    point_every_s: float = 0.5  # spacing of the remembered kernel readings
    start_cap: float = 10.0  # times the start budget, while it moves
    check_fresh: float = 3.0  # times its period: an older check answer is forgotten
    cpu_idle: float = 0.02  # share of one core below which a process does not run
    cpu_spin: float = 0.3  # share of one core wanted (used or queued for) above which it spins
    run_queue: float = 0.5  # share of the window spent runnable but not running: starved
    flaps: int = 4
    outlier: float = 5.0  # times the median of its equals
    factor_max: float = 8.0

    def scaled(self, x: float) -> Timing:
        """All times, times `x`; counts and shares stay, and so do the floors that physics gives."""
        times = {
            name: getattr(self, name) * x for name in self.__struct_fields__ if name.endswith("_s") and name != "late_s"
        }
        times["shares_s"] = max(times["shares_s"], SHARES_LEAST_S)
        return msgspec.structs.replace(self, scale=self.scale * x, late_s=max(self.late_s * x, LATE_LEAST_S), **times)


SEEDS = Timing()


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What was learned of one child (learning.py): limits that replace a smaller seed; 0 where the seed is enough."""

    suspect_s: float = 0.0
    hang_s: float = 0.0
    gil_s: float = 0.0
    start_s: float = 0.0


class Observer(msgspec.Struct, frozen=True, kw_only=True):
    """The root's own fitness to judge. `valid_since` may lie in the future: until then the root only looks.

    `factor` is Lifeguard's local health (Dadgar et al., DSN 2018), 1 to 8: it stretches every limit.
    """

    valid_since: float = 0.0
    late_s: float = 0.0  # of the last tick
    stall_s: float = 0.0  # length of the last stall, 0 if there was none
    factor: float = 1.0
    eased_at: float = 0.0

    def tick(self, due: float, now: float, *, asleep_s: float = 0.0, timing: Timing = SEEDS) -> Observer:
        """Fold one tick that was due at `due` and came at `now`; `asleep_s`: boottime gained on monotonic since."""
        late = max(0.0, now - due)
        if late > timing.late_s or asleep_s > timing.late_s:
            stall = max(late, asleep_s)
            settle = min(max(stall / 2 + 2 * timing.beat_s, timing.settle_min_s), timing.settle_max_s)
            return Observer(
                valid_since=now + settle,
                late_s=late,
                stall_s=stall,
                factor=min(self.factor + 1.0, timing.factor_max),
                eased_at=now + settle,
            )
        factor, eased_at = self.factor, self.eased_at
        if factor > 1.0 and now - eased_at >= timing.factor_ease_s:
            factor, eased_at = factor - 1.0, now
        return Observer(
            valid_since=self.valid_since, late_s=late, stall_s=self.stall_s, factor=factor, eased_at=eased_at
        )

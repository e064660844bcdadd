"""Looks at the perpetuals and says BUY, SELL or HOLD: features, models and vote in one handler, with no hop between.

Picture: one `_Instrument` per configured perpetual holds its features and what is known about its feed. A tick updates
the features, one run of the merged models answers, the vote decides. What must not be decided on (no word from the
feed, a gap, warming up, a broken number) is a HOLD with that reason; HOLD is final. Signals of one side of one
instrument keep a distance; in between they are HOLD, too. It knows no account, no order and no position.

Nothing needs recalling: after a restart the features warm up for 10 s, longer than the pause between signals.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from actors.messages.control import Alert, SecondPassed
from actors.messages.market import CrossReading, FeedState, FeedStatus, Tick, Value
from actors.messages.signals import Action, Hold, Signal, SignalCount, Vote
from actors.rules.ensemble import Decision, Pool, Reason, combine
from actors.rules.features import SCHEMA_HASH, SLOT_NS, WARMUP_SLOTS, BadTick, Features
from actors.venues.ports import OpensProbe, Probed
from models_onnx.predictor import Answers, BadInput, Predictor
from supervisor.actor import Actor
from supervisor.loading import load
from supervisor.message import Message

_THIRD = 1.0 / 3.0
_ALERT_EVERY_S = 60.0
_MAX_ALERT_CAUSES = 100


class _Instrument:
    """What the engine knows about one perpetual."""

    def __init__(self, key: str) -> None:
        self.venue, _, self.symbol = key.partition(":")
        self.base = self.symbol.partition("/")[0]
        self.features = Features()
        self.feed = "no word from its feed yet"  # "" while LIVE
        self.feed_at_s = 0.0  # monotonic, of the last word from the feed
        self.basis_bps: float | None = None
        self.basis_until_s = 0.0  # monotonic
        self.signalled_ns: dict[Action, int] = {}  # event time of the last signal per side
        self.held_at_s = float("-inf")  # monotonic, of the last published HOLD
        self.signals: Counter[Action] = Counter()
        self.holds: Counter[str] = Counter()  # by reason
        self.runs = 0  # since the last SignalCount
        self.run_s = 0.0


class AiEngine(Actor):
    """The ensemble as an actor."""

    subscribes = (Tick, CrossReading, FeedState)
    publishes = (Signal, Hold, SignalCount, Alert)

    def init(  # the arguments are this actor's settings
        self,
        models_dir: str | None,
        instruments: Sequence[str],
        predictor: str | Callable[[str | None, str], Predictor] = "models_onnx.predictor:inherited",
        *,
        confidence: float | None = None,
        cost_bps: float | None = None,
        quorum: int = 3,
        quorum_weight: float = 0.6,
        cooldown_s: float = 5.0,
        hold_every_s: float = 0.25,
        feed_silence_s: float = 5.0,
        basis_age_s: float = 3.0,
        probe_port: int = 0,
        probe: str | OpensProbe = "actors.venues.probe_port:open",
    ) -> None:
        """Load and verify the models.

        Args:
            models_dir: folder of the models; None for the shipped ones.
            instruments: "venue:symbol" keys of the perpetuals to decide on, e.g. "binanceusdm:BTC/USDT:USDT".
            predictor: opens the models: called with `models_dir` and the feature schema's hash.
            confidence: floor of the pooled probability; None takes the one the models were calibrated to.
            cost_bps: fees of a round trip; None takes the models' own.
            quorum: members that must have an opinion.
            quorum_weight: share of the weight that must.
            cooldown_s: least event time between two signals of one side of one instrument.
            hold_every_s: least time between two published HOLDs of one instrument; all of them are counted.
            feed_silence_s: without a FeedState for so long, a feed is not trusted.
            basis_age_s: an older basis reading is no reading.
            probe_port: where a declared check may ask, 0 for nowhere.

        Raises:
            ModelRefused: the models are not what their manifest says, or made for other features.
            ValueError: settings no vote can be held under.
        """
        keys = list(instruments)
        wrong = [key for key in keys if not all(key.partition(":")[::2])]
        if wrong or not keys or len(set(keys)) != len(keys):
            raise ValueError(f'ai_engine instruments {keys}: wanted one or more distinct "venue:symbol" keys')
        if not 0.0 <= cooldown_s <= WARMUP_SLOTS * SLOT_NS / 1e9:
            raise ValueError(
                f"ai_engine cooldown_s {cooldown_s}: wanted 0 to {WARMUP_SLOTS * SLOT_NS / 1e9:g}, the warm-up that"
                " stands in for it after a restart"
            )
        self._predictor: Predictor = load(predictor)(models_dir, SCHEMA_HASH)
        calibration = self._predictor.manifest.calibration
        self._pool = Pool(
            weights=self._predictor.weights,
            confidence=calibration.confidence if confidence is None else confidence,
            move_up_bps=calibration.move_up_bps,
            move_down_bps=calibration.move_down_bps,
            cost_bps=calibration.cost_bps if cost_bps is None else cost_bps,
            quorum=quorum,
            quorum_weight=quorum_weight,
        )
        self._horizon_s = calibration.horizon_s
        self._cooldown_ns = round(cooldown_s * 1e9)
        self._hold_every_s = hold_every_s
        self._feed_silence_s = feed_silence_s
        self._basis_age_s = basis_age_s
        self._instruments = {key: _Instrument(key) for key in keys}
        self._probe: Probed = load(probe)(self.ctx.name, probe_port)
        self._alerted: dict[str, float] = {}  # cause -> monotonic time
        self.ctx.after(1.0, SecondPassed())

    def handle(self, message: Message) -> None:
        if isinstance(message, Tick):
            instrument = self._instruments.get(message.key())
            if instrument is not None:
                self._decide(instrument, message)
        elif isinstance(message, FeedState):
            instrument = self._instruments.get(message.key())
            if instrument is not None:
                self._take_feed_state(instrument, message)
        elif isinstance(message, CrossReading):
            self._take_reading(message)
        elif isinstance(message, SecondPassed):
            self._count()

    def _decide(self, instrument: _Instrument, tick: Tick) -> None:
        ctx = self.ctx
        at_ns = ctx.envelope().event_ns
        now_s = ctx.monotonic()
        features = instrument.features
        try:
            features.update(tick, at_ns, instrument.basis_bps if now_s <= instrument.basis_until_s else None)
            if instrument.feed or now_s - instrument.feed_at_s > self._feed_silence_s:
                self._hold(instrument, Reason.DATA_STALE.value, at_ns, now_s)
                return
            inputs = features.inputs()
            if inputs is None:
                self._hold(instrument, Reason.WARMING_UP.value, at_ns, now_s)
                return
            answers = self._predictor.run(*inputs)
        except (BadTick, BadInput) as error:
            self._alert(f"{instrument.venue}:{instrument.symbol}", str(error), at_ns, now_s)
            self._hold(instrument, Reason.DATA_INVALID.value, at_ns, now_s)
            return
        decision = combine(answers, self._pool, (tick.ask - tick.bid) / tick.bid * 1e4)
        instrument.runs += 1
        instrument.run_s += ctx.monotonic() - now_s
        ctx.progress("decision")
        if self._predictor.faults:
            for name, fault in self._predictor.faults.items():
                self._alert(name, f"the model {name} abstains: {fault}", at_ns, now_s)
        if decision.action is Action.HOLD:
            self._hold(instrument, decision.reason, at_ns, now_s, decision)
        elif 0 <= at_ns - instrument.signalled_ns.get(decision.action, -(1 << 62)) < self._cooldown_ns:
            self._hold(instrument, Reason.COOLDOWN.value, at_ns, now_s, decision)
        else:
            self._signal(instrument, tick, decision, answers, at_ns)

    def _signal(self, instrument: _Instrument, tick: Tick, decision: Decision, answers: Answers, at_ns: int) -> None:
        instrument.signalled_ns[decision.action] = at_ns
        instrument.signals[decision.action] += 1
        faults = self._predictor.faults
        votes = tuple(
            Vote(model=name, abstained=faults.get(name, "no answer"))
            if answer is None
            else Vote(model=name, p_up=answer[0], p_flat=answer[1], p_down=answer[2])
            for name, answer in zip(self._predictor.names, answers, strict=True)
        )
        self.ctx.publish(
            Signal(
                signal_id=f"{instrument.venue}:{instrument.symbol}:{at_ns}",
                venue=instrument.venue,
                symbol=instrument.symbol,
                action=decision.action,
                p_up=decision.p_up,
                p_flat=decision.p_flat,
                p_down=decision.p_down,
                confidence=decision.confidence,
                agreement=decision.agreement,
                votes=votes,
                reason=(
                    f"{decision.confidence:.0%} for {decision.action} over {self._horizon_s:g} s,"
                    f" {decision.agreement:.0%} of the voters agree, {decision.edge_bps:.1f} bps expected after costs"
                ),
                bid=tick.bid,
                ask=tick.ask,
                volatility=instrument.features.volatility * self._horizon_s**0.5,
                event_ns=at_ns,
            ),
            event_ns=at_ns,
        )

    def _hold(
        self, instrument: _Instrument, reason: str, at_ns: int, now_s: float, decision: Decision | None = None
    ) -> None:
        """Count it; publish it unless the last one went out a moment ago."""
        instrument.holds[reason] += 1
        if now_s - instrument.held_at_s < self._hold_every_s:
            return
        instrument.held_at_s = now_s
        self.ctx.publish(
            Hold(
                venue=instrument.venue,
                symbol=instrument.symbol,
                reason=reason,
                p_up=_THIRD if decision is None else decision.p_up,
                p_flat=_THIRD if decision is None else decision.p_flat,
                p_down=_THIRD if decision is None else decision.p_down,
                event_ns=at_ns,
            ),
            event_ns=at_ns,
        )

    def _take_feed_state(self, instrument: _Instrument, state: FeedState) -> None:
        now_s = self.ctx.monotonic()
        instrument.feed_at_s = now_s
        if state.status is FeedStatus.LIVE:
            instrument.feed = ""
            return
        instrument.feed = f"{state.status}: {state.reason}"
        instrument.features.reset()  # what comes after a gap does not continue what was before
        self._hold(instrument, Reason.DATA_STALE.value, self.ctx.envelope().event_ns, now_s)

    def _take_reading(self, reading: CrossReading) -> None:
        basis = reading.basis_bps
        for instrument in self._instruments.values():
            if instrument.base == reading.base:
                if isinstance(basis, Value):
                    instrument.basis_bps = basis.value
                    instrument.basis_until_s = self.ctx.monotonic() + self._basis_age_s - basis.age_s
                else:
                    instrument.basis_bps = None

    def _count(self) -> None:
        self._probe.said()
        for instrument in self._instruments.values():
            self.ctx.publish(
                SignalCount(
                    venue=instrument.venue,
                    symbol=instrument.symbol,
                    buy=instrument.signals[Action.BUY],
                    sell=instrument.signals[Action.SELL],
                    hold=instrument.holds.total(),
                    hold_reasons=dict(instrument.holds),
                    inference_us=instrument.run_s / instrument.runs * 1e6 if instrument.runs else 0.0,
                )
            )
            instrument.runs, instrument.run_s = 0, 0.0
        self.ctx.after(1.0, SecondPassed())

    def _alert(self, cause: str, text: str, at_ns: int, now_s: float) -> None:
        """Tell a person, once a minute per cause."""
        if now_s - self._alerted.get(cause, float("-inf")) < _ALERT_EVERY_S:
            return
        if len(self._alerted) >= _MAX_ALERT_CAUSES:
            self._alerted.clear()
        self._alerted[cause] = now_s
        self.ctx.publish(Alert(severity="warning", subject=f"ai_engine {cause}", text=text, at_ns=at_ns))

    def canary(self, name: str) -> str:
        """`golden`: one input whose answer is known, through the models as they are loaded now."""
        if name != "golden":
            raise ValueError(f"ai_engine knows no canary {name!r}, only golden")
        return self._predictor.golden()

    def terminate(self, reason: str) -> None:
        """Sessions end with the process."""
        self._probe.close()

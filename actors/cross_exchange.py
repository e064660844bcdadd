"""Compares the products of one base: basis of perpetual over spot, its usual value, and the distance from it.

Picture: one `Pair` of legs per base; ticks and the feeds' words about themselves go in, a `CrossReading` comes out when
its kind changes, at most ten times a second while ticks come, and once a second in any case. What is not known is said
to be stale or unavailable. Ages are those of receipt; recorded time plays no part. A restart begins a new median.
"""

from __future__ import annotations

from collections.abc import Mapping

from actors.messages.control import SecondPassed
from actors.messages.market import CrossReading, FeedState, FeedStatus, Tick
from actors.rules.divergence import Pair
from supervisor.actor import Actor
from supervisor.message import Message

PRODUCTS = ("spot", "usdm")
SAY_EVERY_S = 0.1


class _Said:
    """What was published last about a pair."""

    def __init__(self) -> None:
        self.at = float("-inf")
        self.kind: tuple[type, ...] = ()


class CrossExchange(Actor):
    """Child `cross_exchange`."""

    subscribes = (Tick, FeedState)
    publishes = (CrossReading,)

    def init(self, pairs: Mapping[str, Mapping[str, str]], stale_after_s: float = 2.0) -> None:
        """`pairs`: base → {"spot": "binance:BTC/USDT", "usdm": "binanceusdm:BTC/USDT:USDT"}.

        A base of which only one product is configured has readings, too: Unavailable, naming the missing leg.

        Raises:
            ValueError: a leg of another name, an instrument in two legs, a limit that is no time.
        """
        if not 0 < stale_after_s < float("inf"):
            raise ValueError(f"cross_exchange stale_after_s is {stale_after_s}; it must be positive and finite")
        self._pairs: dict[str, Pair] = {}
        self._said: dict[str, _Said] = {}
        self._legs: dict[str, tuple[str, str]] = {}  # instrument key -> base, product
        for base, legs in pairs.items():
            if not set(legs) <= set(PRODUCTS):
                raise ValueError(f"cross_exchange pair {base} has the legs {sorted(legs)}; wanted {list(PRODUCTS)}")
            self._pairs[base], self._said[base] = Pair(base, stale_after_s), _Said()
            for product in set(PRODUCTS) - set(legs):
                self._pairs[base].feed(product, "not configured", self.ctx.monotonic())
            for product, key in legs.items():
                if key in self._legs:
                    raise ValueError(f"cross_exchange: {key} is a leg of {self._legs[key][0]} and of {base}")
                self._legs[key] = (base, product)
        self._second()

    def handle(self, message: Message) -> None:
        now = self.ctx.monotonic()
        match message:
            case Tick():
                leg = self._legs.get(message.key())
                if leg is not None:
                    base, product = leg
                    self._pairs[base].tick(product, message.bid, message.ask, now)
                    if now - self._said[base].at >= SAY_EVERY_S:
                        self._say(base, now)
            case FeedState():
                leg = self._legs.get(message.key())
                if leg is not None:
                    base, product = leg
                    live = message.status is FeedStatus.LIVE
                    fault = "" if live else f"{message.status}: {message.reason}"
                    self._pairs[base].feed(product, fault, now)
                    self._say(base, now, only_if_changed=True)
            case SecondPassed():
                self._second()

    def _second(self) -> None:
        now = self.ctx.monotonic()
        for base in self._pairs:
            self._say(base, now)
        self.ctx.after(1.0, SecondPassed())

    def _say(self, base: str, now: float, *, only_if_changed: bool = False) -> None:
        word, said = self._pairs[base].reading(now), self._said[base]
        kind = (type(word.basis_bps), type(word.divergence_bps))
        if only_if_changed and kind == said.kind:
            return
        said.at, said.kind = now, kind
        self.ctx.publish(word)
        self.ctx.progress("reading")

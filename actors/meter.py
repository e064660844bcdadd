"""The meter: plain slots that one actor turns, read by a Prometheus collector in another thread.

The only room that knows prometheus_client. Slots are ordinary numbers in dicts keyed by labels, made in full at the
start, so every series exists at zero before the first event. Reading takes a copy of each dict; a scrape may be one
event apart between two series, never half of one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from actors.rules.orders import Refused
from actors.rules.risk_gate import Code
from supervisor.words import VerdictKind

CONTENT_TYPE = CONTENT_TYPE_LATEST
MOST_SERIES = 5000  # of one metric; more labels than this are a mistake of the caller and are dropped, counted
UNKNOWN = float("nan")

Labels = tuple[str, ...]

# name -> (help, label names); counters end in _total
FEED_COUNTERS = {
    "qt_feed_frames_total": "Book and trade frames that ccxt handed over",
    "qt_feed_events_total": "Of these, frames that were handled",
    "qt_feed_conflated_total": "Of these, frames replaced by a newer one before they were handled",
    "qt_feed_deltas_total": "Book deltas applied",
    "qt_feed_gaps_total": "Sequence gaps found in the book",
    "qt_feed_resyncs_total": "Times a book was built anew",
    "qt_feed_malformed_total": "Frames that could not be read",
}
INSTRUMENT = ("venue", "symbol")
ACTIONS = ("BUY", "SELL", "HOLD")


class Slots:
    """What the gateway has counted. Written by its actor's thread only."""

    def __init__(self, instruments: Iterable[Labels], accounts: Iterable[str]) -> None:
        instruments, accounts = list(instruments), list(accounts)
        self.feed: dict[str, dict[Labels, float]] = {name: dict.fromkeys(instruments, 0.0) for name in FEED_COUNTERS}
        self.signals: dict[Labels, float] = {(*i, action): 0.0 for i in instruments for action in ACTIONS}
        self.inference_s: dict[Labels, float] = dict.fromkeys(instruments, UNKNOWN)
        self.orders: dict[Labels, float] = {(account,): 0.0 for account in accounts}
        self.fills: dict[Labels, float] = dict(self.orders)
        self.denied: dict[Labels, float] = dict(self.orders)
        self.denials: dict[Labels, float] = {(a, str(code)): 0.0 for a in accounts for code in (*Code, *Refused)}
        self.equity: dict[Labels, float] = dict.fromkeys(self.orders, UNKNOWN)
        self.day_change: dict[Labels, float] = dict.fromkeys(self.orders, UNKNOWN)
        self.positions: dict[Labels, float] = dict(self.orders)
        self.account_known: dict[Labels, float] = dict(self.orders)
        self.dropped_series = 0

    def add(self, slot: dict[Labels, float], labels: Labels, amount: float = 1.0) -> None:
        self.put(slot, labels, slot.get(labels, 0.0) + amount)

    def put(self, slot: dict[Labels, float], labels: Labels, value: float) -> None:
        if labels not in slot and len(slot) >= MOST_SERIES:
            self.dropped_series += 1
            return
        slot[labels] = value


class Meter(Collector):
    """Renders slots and the newest status. The series of `children` exist before the first status."""

    def __init__(self, slots: Slots, children: Iterable[str] = ()) -> None:
        self._slots = slots
        self._children = list(children)
        self._status: dict[str, Any] | None = None
        self._age_s: float | None = None
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def exposition(self, status: dict[str, Any] | None, age_s: float | None) -> bytes:
        """The page for `/metrics`; `age_s` is how old the status is. One caller at a time."""
        self._status, self._age_s = status, age_s
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Called by the registry."""
        slots = self._slots
        yield from self._server()
        yield from self._tree()
        for name, text in FEED_COUNTERS.items():
            yield _counter(name, text, INSTRUMENT, slots.feed[name])
        yield _counter("qt_signals_total", "Decisions of the ensemble", (*INSTRUMENT, "action"), slots.signals)
        yield _gauge("qt_inference_seconds", "Mean inference time of the last second", INSTRUMENT, slots.inference_s)
        account = ("account",)
        yield _counter("qt_orders_total", "Orders submitted to a venue", account, slots.orders)
        yield _counter("qt_fills_total", "Fills", account, slots.fills)
        yield _counter("qt_orders_denied_total", "Orders denied by our own gate", account, slots.denied)
        yield _counter("qt_denials_total", "Denied orders by code", ("account", "code"), slots.denials)
        yield _gauge("qt_equity", "Equity in the account currency; NaN if unknown", account, slots.equity)
        yield _gauge("qt_day_change_ratio", "Equity against the day's start; NaN if unknown", account, slots.day_change)
        yield _gauge("qt_positions", "Open positions", account, slots.positions)
        yield _gauge("qt_account_reconciled", "1 when books and venue are known to agree", account, slots.account_known)
        dropped: dict[Labels, float] = {(): float(slots.dropped_series)}
        yield _counter("qt_series_dropped_total", "Series refused because a metric had too many labels", (), dropped)

    def _server(self) -> Iterator[Metric]:
        server = (self._status or {}).get("server", {})
        info = tuple(str(server.get(name, "")) for name in ("version", "mode", "config_digest"))
        yield _gauge("qt_build_info", "Always 1", ("version", "mode", "config_digest"), {info: 1.0})
        uptime = float(server["uptime_s"]) if "uptime_s" in server else UNKNOWN
        yield _gauge("qt_uptime_seconds", "Since the server started", (), {(): uptime})
        age = UNKNOWN if self._age_s is None else self._age_s
        yield _gauge("qt_status_age_seconds", "Age of the status behind the child series; NaN if none", (), {(): age})

    def _tree(self) -> Iterator[Metric]:
        children = {name: {} for name in self._children} | {
            str(child.get("name")): child for child in (self._status or {}).get("children", [])
            if child.get("kind") != "supervisor"
        }  # fmt: skip
        one = ("child",)

        def of(read: Any) -> dict[Labels, float]:
            return {(name,): read(child) for name, child in children.items()}

        yield _gauge("qt_child_up", "1 when the child is ready", one, of(lambda c: float(bool(c.get("ready")))))
        yield _gauge(
            "qt_child_required", "1 when the server needs it", one, of(lambda c: float(bool(c.get("required"))))
        )
        yield _counter(
            "qt_child_restarts_total", "Restarts since the server started", one,
            of(lambda c: float((c.get("restarts") or {}).get("total") or 0)),
        )  # fmt: skip
        yield _gauge("qt_child_incarnation", "Which life this is", one, of(lambda c: float(c.get("incarnation") or 0)))
        yield _gauge("qt_child_age_seconds", "Since its state began", one, of(lambda c: _number(c.get("age_s"))))
        yield _gauge(
            "qt_child_mailbox_messages", "Messages waiting", one,
            of(lambda c: _number((c.get("mailbox") or {}).get("depth"))),
        )  # fmt: skip
        yield _gauge(
            "qt_child_mailbox_oldest_seconds", "Age of the oldest waiting message", one,
            of(lambda c: _number((c.get("mailbox") or {}).get("oldest_s"))),
        )  # fmt: skip
        yield _gauge("qt_child_cpu_ratio", "Share of one core", one, of(lambda c: _number(c.get("cpu_ratio"))))
        yield _gauge(
            "qt_child_resident_bytes", "Resident memory", one, of(lambda c: _number(c.get("rss_mib")) * 1024 * 1024)
        )
        verdicts: dict[Labels, float] = {
            (name, str(kind)): float(child.get("verdict") == kind)
            for name, child in children.items()
            for kind in VerdictKind
        }
        yield _gauge("qt_verdict", "1 for the verdict that stands", ("unit", "verdict"), verdicts)
        counts = (self._status or {}).get("server", {}).get("counts") or {}
        by_cause = _counts(counts.get("restarts"))
        yield _counter("qt_restarts_total", "Restarts by what made them needed", ("unit", "cause"), by_cause)
        faults: dict[Labels, float] = {
            (unit, why): float(children.get(unit, {}).get("verdict") == VerdictKind.CHECK_FAULT
                               and children[unit].get("cause") == why)
            for unit, why in _counts(counts.get("check_faults"))
        }  # fmt: skip
        yield _gauge("qt_check_fault", "1 while a declared check is at fault", ("unit", "reason"), faults)
        false: dict[Labels, float] = {(): float(counts.get("false_restarts") or 0)}
        yield _counter("qt_false_restarts_total", "Restarts that healed nothing: a check was at fault", (), false)


def _counts(rows: list[list[Any]] | None) -> dict[Labels, float]:
    """Rows of (label, label, count) as the root counts them, at most `MOST_SERIES`."""
    return {(str(first), str(second)): float(count) for first, second, count in (rows or [])[:MOST_SERIES]}


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else UNKNOWN


def _counter(name: str, text: str, labels: Labels, values: dict[Labels, float]) -> Metric:
    return _fill(CounterMetricFamily(name.removesuffix("_total"), text, labels=labels), values)


def _gauge(name: str, text: str, labels: Labels, values: dict[Labels, float]) -> Metric:
    return _fill(GaugeMetricFamily(name, text, labels=labels), values)


def _fill(family: CounterMetricFamily | GaugeMetricFamily, values: dict[Labels, float]) -> Metric:
    for labels, value in list(values.items()):
        family.add_metric(labels, value)
    return family

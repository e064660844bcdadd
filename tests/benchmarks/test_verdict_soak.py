"""The night watch of the soak: what the server wrote down counts as what was polled; no accusation, no complaint."""

from __future__ import annotations

from typing import Any

from benchmarks.verdicts.soak import Log


def record(kind: str, verdict: str = "", cause: str = "") -> dict[str, Any]:
    fields = {"kind": kind, "id": "worker", "at": 1.0, "sentence": "worker is so", "cause": cause}
    return {**fields, "verdict": verdict} if verdict else fields


def test_a_verdict_between_two_polls_is_read_from_the_servers_own_record() -> None:
    log = Log()
    log.wrote([record("started"), record("verdict", "HUNG", "actor-stuck"), record("verdict", "HEALTHY")])
    assert [(one["name"], one["verdict"], one["cause"]) for one in log.recorded] == [("worker", "HUNG", "actor-stuck")]


def test_answers_without_an_accusation_are_counted_apart() -> None:
    log = Log()
    log.wrote([record("verdict", "UNSURE"), record("verdict", "OBSERVER_STALL"), record("verdict", "UNSURE")])
    log.wrote([record("verdict", "BUSY", "starved")])
    assert (log.recorded, log.no_accusation) == ([], {"UNSURE": 2, "OBSERVER_STALL": 1})

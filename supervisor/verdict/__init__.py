"""Verdicts: what the supervisor believes about a child, why, and what may be done. Pure; see judge.py."""

from supervisor.verdict.evidence import (
    ActorSample,
    CheckResult,
    Evidence,
    History,
    KernelSample,
    Look,
    Ping,
    PromiseSample,
)
from supervisor.verdict.fingerprint import Prior, fingerprint, prior
from supervisor.verdict.judge import Action, Verdict, correlate, judge, suspicious
from supervisor.verdict.timing import SEEDS, Observer, Timing

__all__ = [
    "SEEDS",
    "Action",
    "ActorSample",
    "CheckResult",
    "Evidence",
    "History",
    "KernelSample",
    "Look",
    "Observer",
    "Ping",
    "Prior",
    "PromiseSample",
    "Timing",
    "Verdict",
    "correlate",
    "fingerprint",
    "judge",
    "prior",
    "suspicious",
]

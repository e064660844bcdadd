"""What is compared in other words, and what is not compared: every remaining difference, each with its reason.

The oracle holds two supervisors against each other that were never meant to be called alike. `CODES` puts our answers
into OTP's words; `DIFFERENCES` names what the comparison translates, and what the drawn scripts leave out. Nothing else
is translated or left out. Where we depart from OTP on purpose there is a switch in `supervisor.spec.Law`: all are off
here, and `test_deviations.py` turns each on to show what it changes.
"""

from __future__ import annotations

CODES: dict[str, dict[str, str]] = {
    "terminate": {"stopped": "ok", "stopping": "ok"},  # idempotent in both; we say that it was down already
    "restart": {"already_started": "running"},  # our verb is `start`, and has one word for both
    "delete": {},
    "add": {},
    "remove": {},
}

DIFFERENCES: dict[str, str] = {
    # translated
    "an ordered start is answered before it is over": "ours is accepted with ok and told by its records; the driver "
    "waits for the outcome and answers start_failed where OTP does",
    "a temporary child that is down stays visible": "as stopped, so that a person sees why; OTP has dropped its spec. "
    "The driver does not show it, answers not_found for it, and removes it before one of its name is added",
    "time is finer than a second": "OTP's window counts whole seconds, so scripts turn the clock by whole seconds. "
    "Where one looks at the state `restarting`, an attempt waits an instant and periods are half a second longer",
    "a supervisor is no process": "it comes and goes in the records; so it cannot be killed alone, and no script does",
    "a start is answered in two steps": "started, then ready; the driver says both at once. A start function that "
    "returns, throws, exits, talks nonsense or leaves a dead process behind is one thing to us: an end before ready",
    "exit(normal), exit(shutdown), exit({shutdown, _})": "normal, shutdown and shutdown with a detail; all else is "
    "crashed, and exit(kill) from outside is killed",
    "a budget per child": "OTP has none: here it is too large to matter",
    "children of a dynamic supervisor have names": "simple_one_for_one knows them by pid; the oracle keeps the names "
    "and answers for a name that is taken",
    "which of the children that are stopped in parallel is dead first": "means nothing, so those deaths are sorted",
    "two deaths at once": "OTP hears of the second when it has done all that the first demands; we hear of it at once, "
    "for our loop never waits. The driver tells it when OTP would hear of it, or as the answer to a stop",
    # left out
    "shutdown => 0": "asks and kills in the same moment, so which of them is seen is chance; ours kills (brutal_kill)",
    "a worker that never leaves under shutdown => infinity": "waits for ever in both",
    "a start function that returns ignore": "our starts end in ready or in an end (5, 10-12)",
    "orders to what is below a supervisor that is down": "OTP has nobody to ask; we remember them",
    "count_children": "a sum over the states, which are compared",
    "code_change": "our specs change with a new tree (96-100)",
}

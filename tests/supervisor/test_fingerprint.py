"""Equal deaths have equal fingerprints, different ones do not; the prior reads the innermost cause."""

from __future__ import annotations

import signal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.verdict import Prior, fingerprint, prior
from supervisor.verdict.fingerprint import told_apart
from supervisor.words import CrashRecord, ExitKind, ExitReason

CRASH = CrashRecord(
    phase="init",
    exceptions=("RuntimeError", "KeyError"),
    message="no account 'main'",
    frame="actors.feed:Feed.init",
    location="feed.py:41",
    traceback="Traceback …",
)
DEATH = ExitReason(kind=ExitKind.CRASHED, code=1, crash=CRASH)


def test_a_fingerprint_is_a_sentence_a_person_can_compare() -> None:
    assert fingerprint(DEATH) == "init | code 1 | RuntimeError < KeyError | actors.feed:Feed.init"


@given(
    message=st.text(max_size=40),
    line=st.integers(1, 9999),
    traceback=st.text(max_size=40),
    detail=st.text(max_size=10),
)
def test_line_numbers_texts_and_tracebacks_do_not_change_it(
    message: str, line: int, traceback: str, detail: str
) -> None:
    crash = msgspec.structs.replace(CRASH, message=message, location=f"feed.py:{line}", traceback=traceback)

    assert fingerprint(msgspec.structs.replace(DEATH, crash=crash, detail=detail)) == fingerprint(DEATH)


@pytest.mark.parametrize(
    "change",
    [
        {"phase": "steady"},
        {"exceptions": ("RuntimeError", "ValueError")},
        {"exceptions": ("RuntimeError",)},
        {"frame": "actors.feed:Feed.handle"},
    ],
)
def test_another_phase_cause_or_place_is_another_death(change: dict[str, object]) -> None:
    other = msgspec.structs.replace(DEATH, crash=msgspec.structs.replace(CRASH, **change))

    assert fingerprint(other) != fingerprint(DEATH)


@pytest.mark.parametrize(
    ("reason", "phase", "words"),
    [
        (ExitReason(kind=ExitKind.KILLED, signal=signal.SIGKILL), "steady", "steady | SIGKILL | ? | ?"),
        (ExitReason(kind=ExitKind.KILLED, signal=signal.SIGSEGV), "", "? | SIGSEGV | ? | ?"),
        (ExitReason(kind=ExitKind.KILLED, signal=250), "", "? | signal 250 | ? | ?"),
        (ExitReason(kind=ExitKind.CRASHED, code=3), "init", "init | code 3 | ? | ?"),
        (ExitReason(kind=ExitKind.START_TIMEOUT), "init", "init | start_timeout | ? | ?"),
        (DEATH, "steady", "init | code 1 | RuntimeError < KeyError | actors.feed:Feed.init"),
    ],
)
def test_without_last_words_the_kernel_and_the_phase_must_do(reason: ExitReason, phase: str, words: str) -> None:
    assert fingerprint(reason, phase) == words


@pytest.mark.parametrize("number", sorted(set(signal.Signals) - {signal.SIGRTMIN, signal.SIGRTMAX}))
def test_signals_bear_the_names_of_this_machine(number: signal.Signals) -> None:
    assert fingerprint(ExitReason(kind=ExitKind.KILLED, signal=number)) == f"? | {number.name} | ? | ?"


@pytest.mark.parametrize(
    ("exceptions", "message", "phase", "guess"),
    [
        (("AttributeError",), "", "import", Prior.CODE),
        (("ModuleNotFoundError",), "No module named 'x'", "import", Prior.CODE),
        (("RuntimeError", "NameError"), "", "steady", Prior.CODE),
        (("TypeError",), "", "init", Prior.CODE),
        (("KeyError",), "", "init", Prior.CONFIG),
        (("FileNotFoundError",), "", "init", Prior.CONFIG),
        (("ValidationError",), "", "init", Prior.CONFIG),
        (("ValidationError",), "", "steady", Prior.DATA),
        (("ValueError",), "", "first-work", Prior.DATA),
        (("JSONDecodeError",), "", "init", Prior.DATA),
        (("ccxt.base.errors.AuthenticationError",), "", "init", Prior.CREDENTIAL),
        (("HTTPError",), "HTTP Error 401: Unauthorized", "init", Prior.CREDENTIAL),
        (("OSError",), "[Errno 98] Address already in use", "init", Prior.CONFLICT),
        (("ZMQError",), "Address already in use", "init", Prior.CONFLICT),
        (("BlockingIOError",), "", "init", Prior.CONFLICT),
        (("MemoryError",), "", "steady", Prior.EXHAUSTION),
        (("OSError",), "[Errno 28] No space left on device", "steady", Prior.EXHAUSTION),
        (("OSError",), "[Errno 24] Too many open files", "steady", Prior.EXHAUSTION),
        (("RuntimeError",), "can't start new thread", "steady", Prior.EXHAUSTION),
        (("ConnectionRefusedError",), "", "init", Prior.UPSTREAM),
        (("StartFailed", "ClientConnectorError", "ConnectionRefusedError"), "", "init", Prior.UPSTREAM),
        (("RateLimitExceeded",), "", "steady", Prior.UPSTREAM),
        (("ExchangeError",), "binance 503 Service Unavailable", "steady", Prior.UPSTREAM),
        (("gaierror",), "", "init", Prior.UPSTREAM),
        (("ConnectionError", "AttributeError"), "", "steady", Prior.CODE),  # the innermost cause decides
        (("ConnectionRefusedError", "Weird"), "", "steady", Prior.UPSTREAM),  # unless it says nothing
        (("CannotLoad",), "actors.feed:Fed: module actors.feed has no Fed", "import", Prior.CODE),
        (("Weird",), "", "steady", Prior.UNKNOWN),
        (("ValueError",), "", "", Prior.UNKNOWN),
        (("RuntimeError",), "boom", "steady", Prior.UNKNOWN),
        ((), "", "", Prior.UNKNOWN),
    ],
)
def test_the_prior_of_a_chain(exceptions: tuple[str, ...], message: str, phase: str, guess: Prior) -> None:
    assert prior(exceptions, message=message, phase=phase) is guess


def told(*exceptions: str, phase: str = "steady", in_hand: str = "") -> ExitReason:
    crash = CrashRecord(
        phase=phase, exceptions=exceptions, message="", frame="", location="", traceback="", in_hand_id=in_hand
    )
    return ExitReason(kind=ExitKind.CRASHED, code=1, crash=crash)


@pytest.mark.parametrize(
    ("reason", "leans", "whose"),
    [
        (told("JSONDecodeError"), True, "upstream"),
        (told("json.decoder.JSONDecodeError", phase="first-work"), True, "upstream"),
        (told("RuntimeError", "UnicodeDecodeError"), True, "upstream"),
        (told("JSONDecodeError"), False, "data"),  # it leans on nothing: a file of its own
        (told("JSONDecodeError", phase="init"), True, "data"),  # before the first work it reads files
        (told("JSONDecodeError", in_hand="x:Order:7"), True, "data"),  # one message of ours
        (told("KeyError"), True, "data"),  # this may be its own bug, and a bug is parked
        (told("AttributeError"), True, "code"),
        (ExitReason(kind=ExitKind.CRASHED, code=1), True, ""),
    ],
)
def test_what_no_parser_can_read_is_the_fault_of_whom_it_asked(reason: ExitReason, leans: bool, whose: str) -> None:
    assert told_apart(reason, leans=leans).prior == whose


@pytest.mark.parametrize(
    ("reason", "whose"),
    [
        (told("OperationalError"), "upstream"),  # a class that nobody knows: what it needs is down, and explains it
        (ExitReason(kind=ExitKind.CRASHED, code=1), "upstream"),  # a program says no more than that
        (told("AttributeError"), "code"),  # one that says something is believed
        (ExitReason(kind=ExitKind.KILLED, signal=9), ""),  # a kill is no end of its own making
    ],
)
def test_an_end_that_says_nothing_while_what_it_needs_is_down_looks_like_that(reason: ExitReason, whose: str) -> None:
    assert told_apart(reason, leans=True, down=True).prior == whose
    assert told_apart(reason, leans=True).prior == ("code" if whose == "code" else "")

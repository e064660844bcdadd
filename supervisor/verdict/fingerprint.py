"""Are two deaths the same death, and whose fault does it look like?

The loose fingerprint (docs/health.md) is phase, exit, exception classes with causes, innermost own frame without line
number: an edit elsewhere in the file does not change it, another bug does. It is a readable string, because a person
compares two of them at night. `prior` is only a first guess from class names; it explains, it never convicts.
"""

from __future__ import annotations

import re
from enum import StrEnum

import msgspec

from supervisor.words import ExitReason


class Prior(StrEnum):
    """Whose fault an exception looks like."""

    CODE = "code"
    CONFIG = "config"
    CREDENTIAL = "credential"
    CONFLICT = "conflict"
    EXHAUSTION = "exhaustion"
    UPSTREAM = "upstream"
    DATA = "data"
    CLOCK = "clock"  # our time is refused
    UNKNOWN = "unknown"


def fingerprint(reason: ExitReason, phase: str = "") -> str:
    """`init | code 1 | RuntimeError < KeyError | actors.feed:init`: what, caused by what, where.

    `phase` counts only where no crash record tells it. Parts nobody knows read `?`, so two SIGKILLs without last words
    have equal fingerprints; whether such a kill counts at all is the tree's rule, not ours.
    """
    crash = reason.crash
    parts = (
        (crash.phase if crash is not None else phase) or "?",
        exit_words(reason),
        " < ".join(crash.exceptions) if crash is not None and crash.exceptions else "?",
        (crash.frame if crash is not None else "") or "?",
    )
    return " | ".join(parts)


def exit_words(reason: ExitReason) -> str:
    """`SIGSEGV`, `code 1`, or the kind of exit where the kernel told neither."""
    if reason.signal is not None:
        return _SIGNALS.get(reason.signal, f"signal {reason.signal}")
    return f"code {reason.code}" if reason.code is not None else str(reason.kind)


def prior(exceptions: tuple[str, ...], *, message: str = "", phase: str = "") -> Prior:
    """First guess from the chain (outermost first): the innermost cause that says something decides.

    `message` is the outermost exception's text; it is asked only where a class covers several worlds (OSError).
    `phase` decides between a bad configuration (before the first message) and bad data (after it).
    """
    for name in reversed(exceptions):
        guess = _of_class(name.rpartition(".")[2], message, phase)
        if guess is not Prior.UNKNOWN:
            return guess
    return Prior.UNKNOWN


def told_apart(reason: ExitReason, phase: str = "", *, leans: bool = False, down: bool = False) -> ExitReason:
    """The same end, with its fingerprint and whose fault it looks like written on it. `leans`: it declares something
    that it depends on; `down`: that is known to be down, which explains an end that says nothing else."""
    guess = Prior.UPSTREAM if leans and unreadable(reason) else looks_like(reason)
    if down and guess is Prior.UNKNOWN and reason.signal is None:
        guess = Prior.UPSTREAM
    return msgspec.structs.replace(
        reason, fingerprint=fingerprint(reason, phase), prior="" if guess is Prior.UNKNOWN else str(guess)
    )


def looks_like(reason: ExitReason) -> Prior:
    """Whose fault an end looks like: as it was written down, else from its last words, its signal, its detail."""
    if reason.prior:
        return Prior(reason.prior)
    crash = reason.crash
    if crash is not None:
        return prior(crash.exceptions, message=crash.message, phase=crash.phase)
    if exit_words(reason) in ("SIGXCPU", "SIGXFSZ"):
        return Prior.EXHAUSTION
    return prior(("Exception",), message=reason.detail) if reason.detail else Prior.UNKNOWN


def unreadable(reason: ExitReason) -> bool:
    """It ended at work over something that no parser can read, and over no message of ours: what it asked for from
    outside came like that. A `KeyError` may be its own bug, a `JSONDecodeError` after the start hardly ever is."""
    crash = reason.crash
    if crash is None or crash.in_hand_id or crash.phase not in ("first-work", "steady"):
        return False
    names = (name.rpartition(".")[2] for name in reversed(crash.exceptions))
    telling = next((name for name in names if _of_class(name, crash.message, crash.phase) is not Prior.UNKNOWN), "")
    return telling in _UNREADABLE


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Linux numbers from 1 on x86-64 and arm64; the module `signal` has no place in a pure room
_SIGNAL_NAMES = """
    HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU
    URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS
"""
_SIGNALS = {number: f"SIG{name}" for number, name in enumerate(_SIGNAL_NAMES.split(), start=1)}
_CODE = _words(
    """
    CannotLoad ImportError ModuleNotFoundError SyntaxError IndentationError TabError NameError UnboundLocalError
    AttributeError NotImplementedError RecursionError
    """
)
_CONFIG = _words(
    """
    FileNotFoundError NotADirectoryError IsADirectoryError PermissionError InvalidSpec ConfigError
    ConfigurationError DuplicateKeyError YAMLError ScannerError ParserError
    """
)
_CREDENTIAL = _words("AuthenticationError PermissionDenied AccountSuspended AccountNotEnabled")
_CONFLICT = _words("BusyError LockedError BlockingIOError FileExistsError")
_EXHAUSTION = _words("MemoryError FullError")
_UPSTREAM = _words(  # the standard library, aiohttp, and the NetworkError family of ccxt
    """
    ConnectionError ConnectionRefusedError ConnectionResetError ConnectionAbortedError TimeoutError gaierror
    herror SSLError SSLCertVerificationError SSLEOFError IncompleteRead RemoteDisconnected CannotSendRequest
    ClientConnectorError ClientConnectionError ClientOSError ServerDisconnectedError ServerTimeoutError
    ConnectionTimeoutError SocketTimeoutError ClientConnectorDNSError ClientConnectorSSLError
    ClientConnectorCertificateError WSServerHandshakeError NetworkError ExchangeNotAvailable OnMaintenance
    RequestTimeout DDoSProtection RateLimitExceeded
    """
)
_CLOCK = _words("InvalidNonce")
_UNREADABLE = _words("JSONDecodeError DecodeError UnicodeDecodeError BadResponse NullResponse")
_DATA = _UNREADABLE | _words("InvalidOperation")
# bad input of the start before the first message, bad input of the stream after it
_INPUT = _words("KeyError ValueError IndexError TypeError ValidationError ZeroDivisionError OverflowError")
# classes that cover several worlds: their message decides
_WIDE = (
    (Prior.CLOCK, re.compile(r"recvwindow|-1021\b|timestamp.{0,40}(ahead|behind|outside)|clock skew", re.I)),
    (Prior.CONFLICT, re.compile(r"address (already )?in use|errno 98\b|already locked|lock is held|is locked", re.I)),
    (
        Prior.EXHAUSTION,
        re.compile(
            r"errno (12|23|24|27|28|99|122)\b|too many open files|no space left|file too large|cannot allocate memory|"
            r"cannot assign requested|address not available|can't start new thread",
            re.I,
        ),
    ),
    (Prior.CREDENTIAL, re.compile(r"\b(401|403)\b|unauthori[sz]ed|forbidden|invalid (api.?key|signature)", re.I)),
    (Prior.UPSTREAM, re.compile(r"\b(429|50[0234])\b|errno (101|104|110|111|113)\b|timed out", re.I)),
)
_WIDE_CLASSES = _words(
    """
    OSError IOError RuntimeError ZMQError HTTPError ClientResponseError ExchangeError Exception
    """
)


def _of_class(name: str, message: str, phase: str) -> Prior:
    for guess, names in (
        (Prior.CODE, _CODE),
        (Prior.CONFIG, _CONFIG),
        (Prior.CREDENTIAL, _CREDENTIAL),
        (Prior.CONFLICT, _CONFLICT),
        (Prior.EXHAUSTION, _EXHAUSTION),
        (Prior.UPSTREAM, _UPSTREAM),
        (Prior.DATA, _DATA),
        (Prior.CLOCK, _CLOCK),
    ):
        if name in names:
            return guess
    if name in _INPUT:
        if phase in ("import", "init"):
            return Prior.CODE if name == "TypeError" else Prior.CONFIG
        return Prior.DATA if phase in ("first-work", "steady") else Prior.UNKNOWN
    if name in _WIDE_CLASSES:
        for guess, pattern in _WIDE:
            if pattern.search(message):
                return guess
    return Prior.UNKNOWN


_DOES = (  # what a dependency does; the first that fits
    ("planned", re.compile(r"maintenance|planned|scheduled", re.I)),
    ("rate", re.compile(r"\b(429|418)\b|rate.?limit|too many requests|ddos|\bban", re.I)),
    ("credential", re.compile(r"\b(401|403)\b|authenticat|unauthori[sz]ed|permissiondenied|api.?key", re.I)),
    ("tls", re.compile(r"ssl|tls|certificate", re.I)),
    ("names", re.compile(r"gaierror|resol(ve|ution)|getaddrinfo|name or service|dns", re.I)),
    ("refused", re.compile(r"refused|errno 111\b|nothing listens", re.I)),
    ("data", re.compile(r"decodeerror|malformed|badresponse|nullresponse|cannot be (read|parsed)", re.I)),
    ("timeout", re.compile(r"time(d )?.?out|no answer|did not answer|errno 110\b", re.I)),
    ("error", re.compile(r"\b50\d\b|handler error|unavailable|disconnected|reset|aborted|notavailable", re.I)),
)
DOES = ("", *(word for word, _ in _DOES), "down")


def upstream_cause(exceptions: tuple[str, ...], message: str) -> str:
    """What a dependency does to us, in one word of the list: from the innermost class outwards, then the text."""
    for text in (*reversed(exceptions), message):
        found = next((word for word, pattern in _DOES if pattern.search(text)), "")
        if found and found != "error":
            return "rate" if found == "refused" and re.search(r"\b(429|418)\b", message) else found
    text = " ".join((*exceptions, message))
    return next((word for word, pattern in _DOES if pattern.search(text)), "down")

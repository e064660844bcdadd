"""The answer to `why NAME` as a page for a person: evidence, what was done, what was withheld, what comes next."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from supervisor.terminal import age

FLAGS = {
    "check_blind": "its check says healthy and is wrong",
    "recurrent": "seen before, with the same fingerprint",
}


def lines(answer: dict[str, Any], now: float, last_restart: bool = False) -> Iterable[str]:
    """The answer as a page. Unknown parts are not hidden: they come last, as they are."""
    said = answer.get("verdict")
    verdict: dict[str, Any] = said if isinstance(said, dict) else {}
    kind = verdict.get("kind") or said or ""
    if not last_restart:
        cause = verdict.get("cause") or answer.get("cause")
        marks = "".join(f", {FLAGS.get(flag, flag)}" for flag in verdict.get("flags") or [])
        known = verdict.get("age_s")
        stood = f", for {age(known)}" if known is not None else ""
        yield f"{answer.get('name', '?')}: {kind}{f' ({cause})' if cause else ''}{stood}{marks}"
        sentence = verdict.get("reason") or answer.get("reason")
        if sentence:
            yield f"  {sentence}"
        for title, key, none in (
            ("evidence for", "evidence_for", "none"),
            ("evidence against", "evidence_against", "none"),
        ):
            yield f"{title}:"
            found = verdict.get(key) or answer.get(key) or []
            yield from (f"  - {sentence}" for sentence in found) if found else (f"  {none}",)
        done = str(verdict.get("action") or answer.get("action") or "none")
        rule = f" (rule {verdict['rule']})" if verdict.get("rule") else ""
        yield f"advised:   {'nothing' if done == 'none' else done}{rule}"
        yield f"withheld:  {verdict.get('withheld') or answer.get('withheld') or 'nothing'}"
        review = verdict.get("next_review") or answer.get("next_review")
        if review is not None:
            yield f"next look: {review if isinstance(review, str) else 'in ' + age(_ahead(float(review), now))}"
        deed = answer.get("last_deed")
        yield f"done:      {_deed(deed, now) if deed else 'nothing'}"
        for sentence in answer.get("flow") or []:
            yield f"flow:      {sentence}"
        for poison in answer.get("set_aside") or []:
            yield f"set aside: {poison.get('message')}, {poison.get('why')}; its sender's journal still has it"
    restart = answer.get("last_restart")
    if restart:
        yield "last restart:"
        yield from _block({key: restart[key] for key in ("sentence", "cause") if key in restart})
        judged = restart.get("verdict")
        if isinstance(judged, dict):
            yield f"  it was judged: {judged.get('sentence', '')}"
            yield from (f"  - for: {sentence}" for sentence in judged.get("evidence_for") or [])
            yield from (f"  - against: {sentence}" for sentence in judged.get("evidence_against") or [])
            if judged.get("rule"):
                yield f"  rule: {judged['rule']}"
    elif last_restart:
        yield f"{answer.get('name', '?')} was not restarted since the server started"
    last = answer.get("last_exit")
    if last:
        yield "last exit:"
        yield from _block(last)
    for event in [] if last_restart else answer.get("events") or answer.get("history") or []:
        if isinstance(event, dict):
            clock = time.strftime("%H:%M:%S", time.localtime(float(event.get("at") or 0)))
            yield f"  {clock} {event.get('sentence', event)}"
        else:
            yield f"  {event}"


def _deed(deed: dict[str, Any], now: float) -> str:
    by = f", by rule {deed['rule']}" if deed.get("rule") else ""
    return f"{deed.get('done')} ({age(max(0.0, now - float(deed.get('at') or now)))} ago{by})"


def _ahead(review: float, now: float) -> float:
    return max(0.0, review - now) if review > 1e6 else review


def _block(value: Any, indent: str = "  ") -> Iterable[str]:
    if not isinstance(value, dict):
        yield from (indent + line for line in str(value).splitlines())
        return
    if value.get("sentence"):
        yield indent + str(value["sentence"])
    for key, item in value.items():
        if key in ("sentence", "traceback", "crash") or item in (None, "", [], ()):
            continue
        text = ", ".join(map(str, item)) if isinstance(item, list) else str(item)
        yield f"{indent}{key}: {text}"
    crash = value.get("crash")
    if isinstance(crash, dict):
        yield from _block({key: item for key, item in crash.items() if key not in value}, indent)
    if value.get("traceback"):
        yield from (indent + "| " + line for line in str(value["traceback"]).rstrip().splitlines())

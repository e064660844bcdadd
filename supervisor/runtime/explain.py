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
    """The answer as a page."""
    if not last_restart:
        verdict = answer["verdict"]
        kind, cause = verdict["kind"], verdict["cause"]
        marks = "".join(f", {FLAGS.get(flag, flag)}" for flag in verdict.get("flags") or [])
        known = verdict.get("age_s")
        stood = f", for {age(known)}" if known is not None else ""
        yield f"{answer.get('name', '?')}: {kind}{f' ({cause})' if cause else ''}{stood}{marks}"
        if verdict["reason"]:
            yield f"  {verdict['reason']}"
        for title, key in (("evidence for", "evidence_for"), ("evidence against", "evidence_against")):
            yield f"{title}:"
            found = verdict.get(key)
            yield from (f"  - {sentence}" for sentence in found) if found else ("  none",)
        done = str(verdict.get("action") or "none")
        rule = f" (rule {verdict['rule']})" if verdict.get("rule") else ""
        yield f"advised:   {'nothing' if done == 'none' else done}{rule}"
        yield f"withheld:  {verdict.get('withheld') or 'nothing'}"
        review = verdict.get("next_review")
        if review is not None:
            yield f"next look: in {age(review)}"
        if answer.get("tried_out_s") is not None:
            yield f"tried out: in {age(answer['tried_out_s'])}"
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
    for event in [] if last_restart else answer.get("events") or []:
        clock = time.strftime("%H:%M:%S", time.localtime(event["at"]))
        yield f"  {clock} {event['sentence']}"


def _deed(deed: dict[str, Any], now: float) -> str:
    by = f", by rule {deed['rule']}" if deed.get("rule") else ""
    return f"{deed.get('done')} ({age(max(0.0, now - float(deed.get('at') or now)))} ago{by})"


def _block(value: dict[str, Any], indent: str = "  ") -> Iterable[str]:
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

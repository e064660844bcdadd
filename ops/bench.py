"""`qt bench verdicts`: the labelled fault catalogue against a real root, as a table or JSON. Needs a source checkout.

Progress goes to stderr, one line a run; the report to stdout, once. The benches stand beside the product, not in it: an
installed wheel has none and says so.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ops import HOUSE
from supervisor.terminal import BAD_CONFIG, NO_INPUT, OK, REFUSED, USAGE, Refusal

if TYPE_CHECKING:
    from benchmarks.verdicts.story import Outcome

LOADS = ("idle", "2x", "8x")
SLOWEST, FASTEST = 10.0, 0.05


def verdicts(
    catalogue: str | None,
    only: str,
    seeds: int,
    load: str,
    scale: float,
    output: str,
    keep: str | None,
    again: int = 0,
    recorded: str | None = None,
) -> int:
    """Play, judge again, score, print. Exit 0 when every gate holds, 1 when one fails or a scenario is broken, 78 when
    all are. Without `keep` the recordings are thrown away at the end; with `recorded` those of this folder are scored
    and nothing is played."""
    if not (HOUSE / "benchmarks" / "verdicts").is_dir():
        raise Refusal(NO_INPUT, f"there is no bench in {HOUSE}; the source has it, an installed package has not")
    if load not in LOADS:
        raise Refusal(USAGE, f"--load {load!r} is unknown; known are {', '.join(LOADS)}")
    if not FASTEST <= scale <= SLOWEST:
        raise Refusal(USAGE, f"--scale is {scale:g}; it must be between {FASTEST:g} and {SLOWEST:g}")
    if str(HOUSE) not in sys.path:
        sys.path.insert(0, str(HOUSE))
    from benchmarks.verdicts import baselines, rejudge, runner, scenario, score

    folder = Path(catalogue).expanduser() if catalogue else HOUSE / "benchmarks" / "verdicts" / "catalogue"
    try:
        found, faults = scenario.catalogue(folder, only)
    except scenario.InvalidScenario as error:
        raise Refusal(BAD_CONFIG, str(error)) from error
    for fault in faults:
        print(fault, file=sys.stderr)
    if not found:
        raise Refusal(BAD_CONFIG, f"there is no scenario to play in {folder}")
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # also where a shell started us in the background, with SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    began = time.monotonic()
    told: list[Outcome] = []

    def said(one: Outcome) -> None:
        told.append(one)
        what = one.void or score.complaint(one).partition(": ")[2] or f"{one.final}, {one.deed}"
        print(f"{len(told):>4}/{len(found) * seeds} {one.id:<5} seed {one.seed}  {what}", file=sys.stderr, flush=True)

    with contextlib.ExitStack() as stack:
        kept = Path(keep) if keep else Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="qtv-kept-")))
        if recorded:
            kept = Path(recorded).expanduser()
            outcomes = list(rejudge.outcomes(kept, found, load))
        else:
            outcomes = runner.play_all(found, folder, scale=scale, seeds=seeds, load_=load, keep=kept, said=said)
        figures = score.score(outcomes)
        played = {f"{one.id}-{load}-{one.seed}" for one in outcomes if not one.void}
        columns = baselines.columns(rejudge.recordings(kept, found, played))
        judged = rejudge.again(rejudge.recordings(kept, found, played), again) if again else None
    false = judged is not None and judged.false_spared.count > 0
    if output == "json":
        told_all = report(figures, outcomes, faults, load, scale, seeds)
        print(json.dumps({**told_all, **also(columns, judged)}, indent=1))
    else:
        print("\n".join(score.lines(figures)))
        print("\n".join(rejudge.lines(judged)) if judged is not None else "not judged again (--again N does)")
        print("\n".join(baselines.lines(columns, figures)))
        played_s = f"{time.monotonic() - began:.0f} s"
        what = f"recorded in {kept}" if recorded else f"{len(found)} scenarios, {seeds} seeds, scale {scale:g}"
        print(f"{len(outcomes)} runs, {what}, load {load}: {played_s}")
    return OK if figures.passed and not faults and not false else REFUSED


def also(columns: Any, judged: Any) -> dict[str, Any]:
    """The part of the report that comes from the recordings."""
    import msgspec

    return {"baselines": msgspec.to_builtins(columns), "again": msgspec.to_builtins(judged)}


def report(figures: Any, outcomes: list[Any], faults: list[str], load: str, scale: float, seeds: int) -> dict[str, Any]:
    """JSON, schema 1: the figures, and every run for whoever wants to count otherwise."""
    import msgspec

    told: dict[str, Any] = msgspec.to_builtins(figures)
    runs = msgspec.to_builtins(outcomes)
    return {**told, "load": load, "scale": scale, "seeds": seeds, "broken": faults, "outcomes": runs}

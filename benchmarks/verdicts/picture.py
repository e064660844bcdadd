"""A report as a Markdown page and as a picture: who did what is right, group by group of the catalogue. Pure.

The picture is one table of shades: a row for each group of faults, a column for each judge; full green is always right,
white is never. SVG is text, so it needs no library and can be read in a diff.

    python -m benchmarks.verdicts.picture report.json --svg docs/verdicts.svg > report.md
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any

from benchmarks.verdicts.score import OVERHEAD

GROUPS = {
    "A": "exits", "B": "start failures, crash loops", "C": "hangs", "D": "slow, overloaded", "E": "starting",
    "F": "check fails, function works", "G": "check passes, function does not", "H": "observer faults",
    "I": "upstream faults", "J": "resources", "K": "clocks", "L": "flapping, poison, storms",
    "M": "identity, lifecycle", "N": "nothing is wrong",
}  # fmt: skip
OURS = "this supervisor"
LEFT, TOP, CELL_W, CELL_H = 250, 96, 104, 26
FULL, EMPTY = (31, 122, 77), (250, 250, 247)


def columns(report: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Judge -> its right deeds by group, ours first."""
    others = {name: told["groups"] for name, told in report["baselines"].items()}
    return {OURS: report["groups"], **others}


def svg(report: Mapping[str, Any]) -> str:
    """The table of shades. Each cell says right/played."""
    found = columns(report)
    groups = sorted(report["groups"])
    width, height = LEFT + CELL_W * len(found) + 20, TOP + CELL_H * (len(groups) + 1) + 46
    box = f'viewBox="0 0 {width} {height}"'
    played = f"{report['runs']} runs, load {report['load']}, scale {report['scale']:g}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} font-family="sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        _text(14, 24, "Right deeds by group of faults", size=16, weight="bold"),
        _text(14, 44, f"{played}; the others judge the same recordings"),
    ]
    for number, name in enumerate(found):
        head, _, tail = name.partition(" (")
        x = LEFT + CELL_W * number + CELL_W / 2
        parts.append(_text(x, TOP - 26, head, anchor="middle", weight="bold" if name == OURS else "normal"))
        parts.append(_text(x, TOP - 11, tail.rstrip(")"), anchor="middle", colour="#666666"))
    for row, group in enumerate(groups):
        y = TOP + CELL_H * row
        parts.append(_text(14, y + 17, f"{group}  {GROUPS.get(group, '')}"))
        for number, told in enumerate(found.values()):
            parts.append(_cell(LEFT + CELL_W * number, y, told.get(group)))
    y = TOP + CELL_H * len(groups) + 8
    parts.append(_text(14, y + 17, "all", weight="bold"))
    for number, told in enumerate(found.values()):
        whole = {"count": sum(one["count"] for one in told.values()), "n": sum(one["n"] for one in told.values())}
        parts.append(_cell(LEFT + CELL_W * number, y, whole))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _cell(x: float, y: float, told: Mapping[str, Any] | None) -> str:
    if not told or not told["n"]:
        return ""
    share = told["count"] / told["n"]
    shade = tuple(round(low + (high - low) * share) for low, high in zip(EMPTY, FULL, strict=True))
    ink = "#ffffff" if share > 0.55 else "#333333"
    box = f'<rect x="{x + 1}" y="{y + 1}" width="{CELL_W - 2}" height="{CELL_H - 2}" rx="3" fill="rgb{shade}"/>'
    return box + _text(x + CELL_W / 2, y + 17, f"{told['count']}/{told['n']}", anchor="middle", colour=ink)


def _text(
    x: float,
    y: float,
    said: str,
    *,
    anchor: str = "start",
    size: int = 12,
    weight: str = "normal",
    colour: str = "#222222",
) -> str:
    how = f'text-anchor="{anchor}" font-size="{size}" font-weight="{weight}" fill="{colour}"'
    return f'<text x="{x:g}" y="{y:g}" {how}>{escape(said)}</text>'


def markdown(report: Mapping[str, Any]) -> Iterable[str]:
    """The report as a page: gates, matrices, judges, times, and a sentence for each run that was not right."""
    played = f"{report['seeds']} seeds, load {report['load']}, scale {report['scale']:g}"
    yield f"{report['runs']} runs ({len(report['void'])} void), {played}."
    holds = {True: "holds", False: "**fails**", None: "not measured"}
    gates = [(g["name"], _figure(g["value"]), f"{g['limit']:g}", holds[g["holds"]]) for g in report["gates"]]
    yield from _table(("gate", "value", "limit", ""), gates)
    yield from _matrix("truth \\ believed at the end", report["confusion"])
    yield from _matrix("truth \\ done", report["deeds"])
    spared, false = report["false_restarts_spared"], report["false_restarts"]
    share = f"{report['deeds_right']:.1%}"
    rows = [(OURS, share, f"{false['count']} of {false['n']}", f"{spared['count']} of {spared['n']}")]
    for name, one in report["baselines"].items():
        told, beside = one["false"], one["false_spared"]
        right = f"{one['right']['count'] / max(1, one['right']['n']):.1%}"
        rows.append((name, right, f"{told['count']} of {told['n']}", f"{beside['count']} of {beside['n']}"))
    yield from _table(("who judged", "right deed", "false restarts", "in F, H, I, N"), rows)
    for title, field in (
        ("seconds to the first suspicion", "to_suspicion"),
        ("seconds to the verdict", "to_verdict"),
        ("seconds to the action", "to_action"),
        ("seconds until it works again", "to_recovery"),
    ):
        times = [
            (name, str(told["n"]), *(f"{told[which]:.2f}" for which in ("median_s", "p95_s", "p99_s", "most_s")))
            for name, told in report[field].items()
        ]
        yield from _table((title, "n", "median", "p95", "p99", "most"), times)
    yield from _service(report["service"])
    yield f"{OVERHEAD[0].upper()}{OVERHEAD[1:]}."
    yield ""
    again = report.get("again")
    if again:
        told = again["false_spared"]
        under = f", so under {told['bound']:.2%} (3/n)" if told["bound"] is not None else ""
        yield f"Judged again {again['trials']} times on worse days: {told['count']} of {told['n']} trials in F, H, I, N"
        yield f"advised to end a life{under}."
        yield ""
    yield from (f"* {sentence}" for sentence in (*report["void"], *report["wrong"]))


def _service(told: Mapping[str, Any]) -> Iterable[str]:
    beside = f"{told['bystander_hours']:.2f} bystander-hours"
    apart = "none" if told["recurrence_h"] is None else f"one in {told['recurrence_h']:.3g} h"
    rate, accuracy = told["false_restarts_per_unit_hour"], told["query_accuracy"]
    rows = [
        ("false restarts an hour and unit", _figure(rate), f"{told['unit_hours']:.2f} unit-hours"),
        ("mistakes about bystanders", apart, beside),
        ("query accuracy", "-" if accuracy is None else f"{accuracy:.3%}", beside),
    ]
    yield from _table(("in time", "", "watched"), rows)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _matrix(title: str, rows: Mapping[str, Mapping[str, int]]) -> Iterable[str]:
    names = sorted({name for row in rows.values() for name in row})
    yield from _table((title, *names), [(truth, *(str(row.get(n, "")) for n in names)) for truth, row in rows.items()])


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterable[str]:
    yield ""
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(row) + " |"
    yield ""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("report", type=Path, help="what `qt bench verdicts -o json` printed")
    parser.add_argument("--svg", type=Path, help="write the picture there")
    given = parser.parse_args()
    report = json.loads(given.report.read_text())
    if given.svg:
        given.svg.write_text(svg(report))
    print("\n".join(markdown(report)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

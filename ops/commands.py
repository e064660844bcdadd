"""The verbs of `qt`. Only words and options stand here; every verb's work is imported when it is asked for.

So `qt events` never pays for the market's libraries, and a broken verb breaks only itself.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

import typer

from supervisor.terminal import OK, USAGE, Refusal

# Unknown verb or option, missing argument. typer carries its own copy of click and exports only this class's child.
USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Quantum Trader: a supervised, headless trading server.",
)
journal_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Look inside what was recorded.")
venue_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Drive exchange simulators.")
ess_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The emergency stop.")
bench_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Measure the supervisor (source checkout).")
app.add_typer(journal_app, name="journal")
app.add_typer(venue_app, name="venue")
app.add_typer(ess_app, name="ess")
app.add_typer(bench_app, name="bench")

Home = Annotated[str | None, typer.Option("--home", help="State on disk; else $QT_HOME, else ./var.")]
Output = Annotated[str, typer.Option("-o", "--output", help="table, wide or json (scripts: json only).")]
Plain = Annotated[str, typer.Option("-o", "--output", help="text or json (scripts: json only).")]
Mode = Annotated[str, typer.Option("--mode", help="sim or replay.")]
Config = Annotated[str | None, typer.Option("--config", help="Folder of *.yaml; else the shipped one.")]
Data = Annotated[str | None, typer.Option("--data", help="Folder of recorded frames (replay).")]
Child = Annotated[str, typer.Argument(metavar="NAME", help="A child's name, as qt status shows it.")]
MaybeChild = Annotated[str | None, typer.Argument(metavar="[NAME]", help="Only this child.")]
Url = Annotated[str | None, typer.Option("--url", help="The simulator; else the one of the last start.")]


def _home(home: str | None) -> Path:
    from ops.home import resolve

    return resolve(home)


def _one_of(value: str, allowed: tuple[str, ...], option: str) -> str:
    if value not in allowed:
        raise Refusal(USAGE, f"{option} {value!r} is unknown; known are {', '.join(allowed)}")
    return value


@app.command()
def up(
    mode: Mode = "sim",
    data: Data = None,
    speed: Annotated[str | None, typer.Option(help="1 as recorded, 10 ten times that, max (replay).")] = None,
    lasts: Annotated[str | None, typer.Option("--for", metavar="DURATION", help="End after 90s, 5m, 2h.")] = None,
    faults: Annotated[str, typer.Option(help="Injected into a replay: gap:10,dup:200,garble:50.")] = "",
    seed: Annotated[int | None, typer.Option(help="Of the built-in market.")] = None,
    config: Config = None,
    home: Home = None,
    http_port: Annotated[int | None, typer.Option(help="Health and metrics on 127.0.0.1; 0 takes a free one.")] = None,
    venue_url: Annotated[str | None, typer.Option(help="A simulator outside the tree: http://127.0.0.1:PORT.")] = None,
    report: Annotated[str | None, typer.Option(help="Write a JSON summary there at the end.")] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return when the server is ready.")] = False,
    live: Annotated[bool, typer.Option("--live/--no-live", help="The live view, on terminals.")] = True,
) -> int:
    """Run the server. Exit 0 orderly, 64 usage, 66 no data, 69 port taken, 70 gave up, 75 second server, 78 config."""
    from ops.prepare import Wishes
    from ops.up import run

    wishes = Wishes(
        mode=mode, data=data, speed=speed, lasts=lasts, faults=faults, seed=seed, config=config, home=home,
        http_port=http_port, venue_url=venue_url, report=report,
    )  # fmt: skip
    return run(wishes, detach=detach, live=live)


@app.command()
def check(mode: Mode = "sim", data: Data = None, config: Config = None) -> int:
    """Prove settings, models and wiring without starting anything. Exit 0 sound, 78 not."""
    from ops.check import run
    from ops.prepare import Wishes

    return run(Wishes(mode=mode, data=data, config=config))


@app.command()
def status(
    name: MaybeChild = None,
    output: Output = "table",
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Once a second, until Ctrl-C.")] = False,
    home: Home = None,
) -> int:
    """The tree: state, verdict, restarts, reason. Exit 0 all required ready, 3 not, 4 cannot tell."""
    from ops.status import FORMATS, run

    return run(_home(home), name, _one_of(output, FORMATS, "--output"), watch)


@app.command()
def why(
    name: Child,
    output: Plain = "text",
    last_restart: Annotated[bool, typer.Option("--last-restart", help="Only why it was restarted last.")] = False,
    home: Home = None,
) -> int:
    """The evidence for and against a verdict, what was done, what was withheld, what comes next."""
    from ops.why import run

    return run(_home(home), name, _one_of(output, ("text", "json"), "--output"), last_restart)


@app.command()
def start(name: Child, home: Home = None) -> int:
    """Start a stopped child."""
    return _order("start", name, home)


@app.command()
def stop(name: Child, home: Home = None) -> int:
    """Stop a child; it stays down until started."""
    return _order("stop", name, home)


@app.command()
def restart(name: Child, home: Home = None) -> int:
    """Stop a child and start it again."""
    return _order("restart", name, home)


@app.command()
def release(name: Child, home: Home = None) -> int:
    """Let a quarantined child try again."""
    return _order("release", name, home)


@app.command()
def add(
    supervisor: Annotated[str, typer.Argument(metavar="SUPERVISOR", help="A dynamic supervisor with a template.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the new child; unique in the whole tree.")],
    home: Home = None,
) -> int:
    """Start one more child of a dynamic supervisor, from its template."""
    from supervisor.runtime.verbs import order

    return order(_home(home), "add", name, supervisor=supervisor)


@app.command()
def remove(name: Child, home: Home = None) -> int:
    """Stop a child that was added, and forget it; a child of the plan must be stopped already."""
    return _order("remove", name, home)


def _order(verb: str, name: str, home: str | None) -> int:
    from supervisor.runtime.verbs import order

    return order(_home(home), verb, name)


@app.command()
def wait(
    name: MaybeChild = None,
    until: Annotated[str, typer.Option("--for", help="ready or down.")] = "ready",
    timeout: Annotated[str, typer.Option(help="30s, 2m …")] = "30s",
    home: Home = None,
) -> int:
    """Wait until the server (or one child) is ready, or until it is down. Exit 3 at the deadline."""
    from ops.control import wait as wait_for
    from supervisor.terminal import parse_duration

    return wait_for(_home(home), until, name, parse_duration(timeout))


@app.command()
def down(
    timeout: Annotated[str, typer.Option(help="How long to wait for the end.")] = "60s",
    force: Annotated[bool, typer.Option("--force", help="Give up the phases; the tree still stops in order.")] = False,
    home: Home = None,
) -> int:
    """End the server in order. Exit 1 when a phase that may not fail has failed and the server stays up."""
    from supervisor.runtime.verbs import down as end
    from supervisor.terminal import parse_duration

    return end(_home(home), parse_duration(timeout), force)


@app.command()
def tail(
    topics: Annotated[
        list[str] | None, typer.Argument(metavar="[TOPIC…]", help="Prefixes: Tick:binance, Order.")
    ] = None,
    output: Plain = "text",
    count: Annotated[int | None, typer.Option("-n", "--count", min=1, help="End after so many.")] = None,
    home: Home = None,
) -> int:
    """What the nodes say to each other, as any foreign client would read it."""
    from ops.tail import run

    return run(_home(home), topics or [], _one_of(output, ("text", "json"), "--output"), count)


@app.command()
def events(
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Wait for more.")] = False,
    output: Plain = "text",
    after: Annotated[int, typer.Option(min=0, help="Only events after this number.")] = 0,
    home: Home = None,
) -> int:
    """What the supervisor did, and why."""
    from ops.events import run

    return run(_home(home), follow, _one_of(output, ("text", "json"), "--output"), after)


@app.command()
def vitals(name: MaybeChild = None, output: Plain = "text", home: Home = None) -> int:
    """The dials of every actor, read from shared memory; works on a wedged server."""
    from ops.vitals import run

    return run(_home(home), name, _one_of(output, ("text", "json"), "--output"))


@journal_app.command("verify")
def journal_verify(name: MaybeChild = None, home: Home = None) -> int:
    """Check every journal (or one). Exit 1 when something is wrong."""
    from ops.journal import verify

    return verify(_home(home), name)


@journal_app.command("tail")
def journal_tail(
    name: MaybeChild = None,
    count: Annotated[int, typer.Option("-n", "--count", min=1, max=100_000)] = 20,
    output: Plain = "text",
    home: Home = None,
) -> int:
    """The newest records."""
    from ops.journal import tail as newest

    return newest(_home(home), name, count, _one_of(output, ("text", "json"), "--output"))


@venue_app.command("serve")
def venue_serve(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    data: Data = None,
    speed: Annotated[str | None, typer.Option(help="Of a recording.")] = None,
    faults: Annotated[str, typer.Option(help="Injected into a recording: gap:10,dup:200.")] = "",
    seed: Annotated[int | None, typer.Option(min=0, help="Of the built-in market.")] = None,
    home: Home = None,
) -> int:
    """Run a simulator in the foreground, outside the tree (then: qt up --venue-url …)."""
    from ops.venue import serve

    return serve(_home(home), port, data, speed, faults, seed)


@venue_app.command("fault")
def venue_fault(
    kind: Annotated[
        str, typer.Argument(help="gap, dup, garble, reject, delay, timeout, status, close, stall, clear …")
    ],
    fields: Annotated[list[str] | None, typer.Argument(metavar="[NAME=VALUE…]")] = None,
    url: Url = None,
    home: Home = None,
) -> int:
    """Tell the simulator to misbehave."""
    from ops.venue import fault

    return fault(_home(home), url, kind, fields or [])


@venue_app.command("park")
def venue_park(
    parked: Annotated[bool, typer.Option("--park/--unpark", help="Off the air, or back.")] = True,
    product: Annotated[str, typer.Option(help="Only spot, or only usdm.")] = "",
    url: Url = None,
    home: Home = None,
) -> int:
    """Take the simulated venue off the air, or bring it back."""
    from ops.venue import park

    return park(_home(home), url, parked, product)


Reason = Annotated[str, typer.Option("--reason", help="Why; kept with the latch.")]


@ess_app.command("trigger")
def ess_trigger(
    reason: Reason = "",
    timeout: Annotated[str, typer.Option(help="How long to wait for flat.")] = "60s",
    home: Home = None,
) -> int:
    """Block all new risk at once, cancel everything, close every position. Exit 0 when flat and locked."""
    from ops.ess import trigger
    from supervisor.terminal import parse_duration

    return trigger(_home(home), reason, parse_duration(timeout))


@ess_app.command("status")
def ess_status(output: Plain = "text", home: Home = None) -> int:
    """The latch and the process behind it. Exit 0 inactive, 3 stopped."""
    from ops.ess import status as show

    return show(_home(home), _one_of(output, ("text", "json"), "--output"))


@ess_app.command("reset")
def ess_reset(
    reason: Reason = "",
    confirm: Annotated[str, typer.Option("--confirm", help="The word RESET.")] = "",
    home: Home = None,
) -> int:
    """Allow trading again after an emergency stop: a person, with a reason."""
    from ops.ess import reset

    return reset(_home(home), reason, confirm)


@bench_app.callback()
def bench() -> None:
    """Measure the supervisor against what is known to be true."""


@bench_app.command("verdicts")
def bench_verdicts(
    catalogue: Annotated[str | None, typer.Option("--catalogue", help="Folder of scenarios; else the shipped.")] = None,
    only: Annotated[str, typer.Option("--only", help="Some of them: A01,C*.")] = "",
    seeds: Annotated[int, typer.Option("--seeds", min=1, max=1000, help="Runs of each, at other moments.")] = 1,
    load: Annotated[str, typer.Option("--load", help="idle, 2x or 8x: busy processes per core.")] = "idle",
    scale: Annotated[float, typer.Option("--scale", help="Of all times; 0.1 lives ten times faster.")] = 1.0,
    keep: Annotated[str | None, typer.Option("--keep", help="Folder for the evidence of every run.")] = None,
    again: Annotated[int, typer.Option("--again", min=0, help="Judge each recording again, so often shaken.")] = 0,
    recorded: Annotated[str | None, typer.Option("--from", help="Score what was kept there; play nothing.")] = None,
    output: Plain = "text",
) -> int:
    """Labelled faults against a real root. Exit 0 when every gate holds, 1 when one fails, 78 without a scenario."""
    from ops.bench import verdicts

    output = _one_of(output, ("text", "json"), "--output")
    return verdicts(catalogue, only, seeds, load, scale, output, keep, again, recorded)


def run() -> int:
    """Do what the command line says; a usage error is a sentence and 64."""
    try:
        code = app(standalone_mode=False)
    except USAGE_ERROR as error:
        print(_usage(error), file=sys.stderr)
        return USAGE
    except typer.Abort:
        return 130
    return code if isinstance(code, int) else OK


def _usage(error: Any) -> str:
    """`qt: No such command 'statuss'; did you mean status? See qt --help`; the whole help when no verb was given."""
    text = str(error.format_message()).rstrip(".? ")
    if text.startswith("Usage:"):
        return text
    verb = " ".join(str(getattr(error.ctx, "command_path", "")).split()[1:])
    return f"qt: {text}; see qt {verb} --help".replace("  ", " ")

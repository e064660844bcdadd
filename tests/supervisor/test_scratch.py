"""What the scratch process finds before anything starts: each kind of fault is one sentence with file and line."""

from __future__ import annotations

import contextlib
import io
import itertools
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from supervisor import plan as plans
from supervisor.cards import from_template
from supervisor.loading import load
from supervisor.runtime import places, scratch
from supervisor.spec import templates
from tests.supervisor.toys import PROJECT

PRELUDE = """\
from __future__ import annotations
from collections.abc import Callable
from typing import Any, ClassVar, Protocol
from supervisor.actor import Actor
from supervisor.message import Delivery, Message
from supervisor.plan import Draft
from supervisor.spec import *
from supervisor.words import Strategy

HERE = __name__
class Fact(Message, frozen=True, kw_only=True):
    delivery: ClassVar[Delivery] = Delivery.EVERY
class Venue(Protocol):
    symbol: str
    def start(self, url: str) -> None: ...
class Quiet(Actor):
    def handle(self, message: Message) -> None: ...
def build():
    return supervise("house", Strategy.ONE_FOR_ONE, children())
"""

# What is declared; then the sentence, `@` standing for the place of the line that ends in `# here`.
FAULTS = {
    "a collaborator without the start that the actor will call: the bug that founded this house": (
        """
        class Bridge:  # there
            def __init__(self) -> None:
                self.symbol = "BTC"
            def begin(self, url: str) -> None: ...
            def stop(self) -> None: ...
        class Feed(Quiet):
            def init(self, venue: str | Callable[[], Venue]) -> None: ...  # here
        def children():
            return [child("feed", f"{HERE}:Feed", venue=f"{HERE}:Bridge")]
        """,
        "@ house/feed: init(venue=…) wants .start, which Bridge (there) does not have; it has begin, stop, symbol",
    ),
    "the same, handed over as an object": (
        """
        class Bridge:  # there
            symbol = "BTC"
        class Feed(Quiet):
            def init(self, venue: Venue) -> None: ...  # here
        def children():
            return [child("feed", f"{HERE}:Feed", venue=Bridge())]
        """,
        "@ house/feed: init(venue=…) wants .start, which Bridge (there) does not have; it has symbol",
    ),
    "a collaborator whose method cannot be called as it will be": (
        """
        class Bridge:
            symbol: str
            def start(self) -> None: ...  # there
        def open() -> Bridge: ...
        class Feed(Quiet):
            def init(self, venue: str | Callable[[], Venue]) -> None: ...  # here
        def children():
            return [child("feed", f"{HERE}:Feed", venue=f"{HERE}:open")]
        """,
        "@ house/feed: init(venue=…) will call .start(url), which .start of Bridge (there) does not take: "
        "too many positional arguments",
    ),
    "a port that does not take what it will be opened with": (
        """
        class Opens(Protocol):
            def __call__(self, post: Any, *, url: str) -> Venue: ...
        class Bridge(Venue): ...
        def open(post: Any, address: str = "") -> Bridge: ...  # there
        class Feed(Quiet):
            def init(self, venue: str | Opens) -> None: ...  # here
        def children():
            return [child("feed", f"{HERE}:Feed", venue=f"{HERE}:open")]
        """,
        "@ house/feed: init(venue=…) will be called as (post, *, url), which 'MODULE:open' (there) does not take: "
        "got an unexpected keyword argument 'url'",
    ),
    "a port that does not say what it returns": (
        """
        def open(): ...  # there
        class Feed(Quiet):
            def init(self, venue: str | Callable[[], Venue]) -> None: ...  # here
        def children():
            return [child("feed", f"{HERE}:Feed", venue=f"{HERE}:open")]
        """,
        "@ house/feed: init(venue=…): 'MODULE:open' (there) does not say what it returns; annotate it",
    ),
    "an actor that does not say what it needs of its port": (
        """
        def open() -> Venue: ...
        class Feed(Quiet):
            def init(self, venue: str | Callable[..., Any]) -> None: ...  # here
        def children():
            return [child("feed", f"{HERE}:Feed", venue=f"{HERE}:open")]
        """,
        "@ house/feed: init(venue=…) does not say what it needs of what 'MODULE:open' returns; "
        "annotate it with a Protocol",
    ),
    "an import path that is followed without a word on what for": (
        """
        from supervisor.loading import load
        class Feed(Quiet):
            def init(self, venue: str) -> None:  # here
                self.venue = load(venue)()
        def children():
            return [child("feed", f"{HERE}:Feed", venue=f"{HERE}:Quiet")]
        """,
        "@ house/feed: init(venue=…) is opened with load, and does not say what it needs; annotate it with a Protocol",
    ),
    "an object of whose needed members nothing is said": (
        """
        class Bridge: ...  # there
        class Feed(Quiet):
            def init(self, venue: Any) -> None: ...  # here
        def children():
            return [child("feed", f"{HERE}:Feed", venue=Bridge())]
        """,
        "@ house/feed: init(venue=…) does not say what it needs of Bridge (there); annotate it with a Protocol",
    ),
    "a port that is not there": (
        """
        class Feed(Quiet):
            def init(self, venue: str | Callable[[], Venue]) -> None: ...  # here
        def children():
            return [child("feed", f"{HERE}:Feed", venue=f"{HERE}:opne")]
        """,
        "@ house/feed: init(venue=…): MODULE:opne: module MODULE has no opne",
    ),
    "an actor class that is not there": (
        """
        def children():
            return [
                child(
                    "feed", f"{HERE}:Fead"),  # here
            ]
        """,
        "@ house/feed: MODULE:Fead: module MODULE has no Fead",
    ),
    "an actor whose module raises when it is imported": (
        """
        import sys, types
        def children():
            return [child("feed", "raises_at_import:Feed")]
        """,
        "raises_at_import.py:2 house/feed: raises_at_import:Feed cannot be imported: "
        "ZeroDivisionError: division by zero",
    ),
    "a class that is no actor": (
        """
        class Feed: ...  # here
        def children():
            return [child("feed", f"{HERE}:Feed")]
        """,
        "@ house/feed: MODULE:Feed is no Actor class",
    ),
    "a constructor that raises": (
        """
        class Feed(Quiet):
            def __init__(self) -> None:
                self.x = {}["key"]  # here
        def children():
            return [child("feed", f"{HERE}:Feed")]
        """,
        "@ house/feed: MODULE:Feed() cannot be constructed: KeyError: 'key'",
    ),
    "an argument that init does not know": (
        """
        class Feed(Quiet):
            def init(self, *, symbols: list[str], url: str = "") -> None: ...  # here
        def children():
            return [child("feed", f"{HERE}:Feed", symbols=[], ur1="")]
        """,
        "@ house/feed: MODULE:Feed.init: got an unexpected keyword argument 'ur1'; did you mean url?",
    ),
    "an argument that is missing": (
        """
        class Feed(Quiet):
            def init(self, *, symbols: list[str], url: str) -> None: ...  # here
        def children():
            return [child("feed", f"{HERE}:Feed", symbols=[])]
        """,
        "@ house/feed: MODULE:Feed.init: missing a required argument: 'url'",
    ),
    "a setting of another type": (
        """
        class Feed(Quiet):
            def init(self, *, symbols: list[str], every_s: float | None) -> None: ...  # here
        def children():
            return [child("feed", f"{HERE}:Feed", symbols=["a", 2], every_s=1)]
        """,
        "@ house/feed: init(symbols=…) is ['a', 2]: Expected `str`, got `int` - at `$[1]`",
    ),
    "an actor that hears and cannot handle": (
        """
        class Feed(Actor):  # here
            subscribes = (Fact,)
        class Teller(Quiet):
            publishes = (Fact,)
        def children():
            return [child("feed", f"{HERE}:Feed"), child("teller", f"{HERE}:Teller")]
        """,
        "@ house/feed: MODULE:Feed subscribes to Fact and has no handle",
    ),
    "a subscription to something that is no message": (
        """
        class Feed(Quiet):  # here
            subscribes = ("Fact",)
        def children():
            return [child("feed", f"{HERE}:Feed")]
        """,
        "@ house/feed: MODULE:Feed.subscribes holds 'Fact', which is no Message class",
    ),
    "a word that nobody says": (
        """
        class Feed(Quiet):  # here
            subscribes = (Fact,)
        def children():
            return [child("feed", f"{HERE}:Feed")]
        """,
        "@ Fact: heard by feed, said by nobody in this tree",
    ),
    "a word that only children of a template say": (
        """
        class Feed(Quiet):  # here
            subscribes = (Fact,)
        class Teller(Quiet):
            publishes = (Fact,)
        def children():
            pool = make(DynamicSpec, id="pool", template=child("one", f"{HERE}:Teller"))
            return [child("feed", f"{HERE}:Feed"), pool]
        """,
        "@ Fact: heard by feed, said only by one, which comes at run time and can be heard from outside only",
    ),
    "a promise of another word": (
        """
        class Feed(Quiet):  # here
            subscribes = (Fact,)
            publishes = (Fact,)
        def children():
            return [child("feed", f"{HERE}:Feed", spec={"promises": (Promise(topic="Fakt", at_least_every_s=1.0),)})]
        """,
        "@ feed: promises Fakt, which it does not publish; did you mean Fact?",
    ),
    "a promise without a time": (
        """
        class Feed(Quiet):
            subscribes = (Fact,)
            publishes = (Fact,)
        def children():
            promise = Promise(topic="Fact", at_least_every_s=0.0)
            return [child("feed", f"{HERE}:Feed", spec={"promises": (promise,)})]  # here
        """,
        "@ house/feed: promises Fact every 0.0 s; it must be positive and finite",
    ),
    "a check that cannot be asked": (
        """
        def children():
            check = Check(kind="http", target="localhost:8000/health")
            return [child("feed", f"{HERE}:Quiet", spec={"checks": (check,)})]  # here
        """,
        "@ house/feed: http check: 'localhost:8000/health' must read http://host:port/path",
    ),
    "a field of a spec, told where the child was written": (
        """
        def children():
            return [child(f"feed:{venue}", f"{HERE}:Quiet", spec={"shutdown_s": -1.0}) for venue in ["a"]]  # here
        """,
        "@ house/feed:a: shutdown_s is -1.0; it must be 0 (brutal kill) or more",
    ),
    "a spec that cannot even be made": (
        """
        def children():
            return [child("feed", f"{HERE}:Quiet", spec={"shutdwon_s": 1.0})]  # here
        """,
        "@ ChildSpec feed: unknown field shutdwon_s; did you mean shutdown_s?",
    ),
    "an actor inside a node": (
        """
        class Feed(Quiet):
            def init(self, url: str) -> None: ...  # here
        def children():
            return [node("policy", Strategy.ONE_FOR_ONE, [member("feed", f"{HERE}:Feed")])]
        """,
        "@ house/policy/feed: MODULE:Feed.init: missing a required argument: 'url'",
    ),
    "what a dynamic supervisor would start": (
        """
        class Feed(Quiet):
            def init(self, url: str) -> None: ...  # here
        def children():
            return [make(DynamicSpec, id="pool", template=child("one", f"{HERE}:Feed"))]
        """,
        "@ house/pool/one: MODULE:Feed.init: missing a required argument: 'url'",
    ),
}
COUNT = itertools.count()


def write(folder: Path, text: str) -> str:
    """A module of its own with this house in it; its name."""
    name = f"toy_house_{next(COUNT)}"
    (folder / f"{name}.py").write_text(PRELUDE + textwrap.dedent(text))
    return name


def faults(name: str, home: Path) -> list[str]:
    """What `--check` says of it, line by line."""
    printed = io.StringIO()
    with contextlib.redirect_stderr(printed):
        code = scratch.main(["--check", "--home", str(home), "--build", f"{name}:build"])
    assert code == 78
    return printed.getvalue().splitlines()


def marked(name: str, text: str, mark: str) -> str:
    lines = (PRELUDE + textwrap.dedent(text)).splitlines()
    return next((f"{name}.py:{n}" for n, line in enumerate(lines, 1) if line.endswith(f"# {mark}")), "")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "raises_at_import.py").write_text("zero = 0\nbroken = 1 / zero\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize("what", FAULTS)
def test_each_kind_of_fault_is_a_sentence_with_its_place(folder: Path, what: str) -> None:
    text, sentence = FAULTS[what]
    name = write(folder, text)
    sentence = sentence.replace("@", marked(name, text, "here")).replace("(there)", f"({marked(name, text, 'there')})")
    sentence = sentence.replace("MODULE", name)
    assert faults(name, folder) == [sentence]


def test_a_sound_house_has_no_faults_and_its_members_speak_from_their_nodes_socket(folder: Path) -> None:
    name = write(
        folder,
        """
        class Bridge:
            def __init__(self) -> None:
                self.symbol = "BTC"
            def start(self, url: str, *, patience_s: float = 1.0) -> None: ...
        class Teller(Quiet):
            publishes = (Fact,)
            def init(self, venue: str | Callable[[], Venue], every_s: float = 1, names: tuple[str, ...] = ()): ...
        class Hearer(Quiet):
            subscribes = (Fact,)
        def children():
            teller = member("teller", f"{HERE}:Teller", venue=f"{HERE}:Bridge", names=["a"])
            return [node("inside", Strategy.ONE_FOR_ONE, [teller]), child("hearer", f"{HERE}:Hearer")]
        """,
    )
    build = load(f"{name}:build")
    plan = scratch.compile_plan(
        scratch.draft_of(build, {}, folder), home=folder, sockets="/tmp/s", source=places.Source(build)
    )
    [route] = plan.routes["hearer"]
    assert (route.sender, route.endpoint) == ("teller", "ipc:///tmp/s/inside")
    assert plan.zygotes[0].imports == ("supervisor.runtime.node", name)


def test_a_child_that_is_added_hears_what_its_template_hears(folder: Path) -> None:
    name = write(
        folder,
        """
        class Teller(Quiet):
            publishes = (Fact,)
        class Hearer(Quiet):
            subscribes = (Fact,)
        def children():
            pool = make(DynamicSpec, id="pool", template=child("one", f"{HERE}:Hearer"))
            return [child("teller", f"{HERE}:Teller"), pool]
        """,
    )
    build = load(f"{name}:build")
    draft = scratch.draft_of(build, {}, folder)
    plan = scratch.compile_plan(draft, home=folder, sockets="/tmp/s")
    added = from_template(next(template for _, template in templates(plan.tree)), "w1")
    boot = plans.boot_of(plan, added, 1, {})
    assert [(route.sender, route.topics) for route in boot.routes] == [("teller", ("Fact",))]


def test_five_faults_in_one_house_are_five_sentences_in_one_run_and_nothing_is_written(folder: Path) -> None:
    founding, *_ = FAULTS
    cases = [founding, "a setting of another type", "a constructor that raises", "a check that cannot be asked"]
    # One house of four broken children and a wrong role, each from the table.
    text, children = "", []
    for n, what in enumerate(cases):
        body, _, made = textwrap.dedent(FAULTS[what][0]).partition("def children():\n")
        text += body.replace("Feed", f"Feed{n}")
        text += f"def children{n}():\n" + made.replace("Feed", f"Feed{n}").replace('"feed"', f'"feed{n}"')
        children.append(f"*children{n}()")
    text += f"def children():\n    return [{', '.join(children)}, child('lost', f'{{HERE}}:Quiet', role='nobody')]\n"
    text += "def draft():\n    return Draft(tree=build(), zygotes=(ZygoteSpec(role='core'),))\n"
    name = write(folder, text)
    argv = [sys.executable, "-m", "supervisor", "check", f"{name}:draft"]
    environment = {"PATH": "/usr/bin", "PYTHONPATH": f"{PROJECT}:{folder}"}
    done = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 78
    said = done.stderr.splitlines()
    assert [line.split(": ")[0].split("/")[-1] for line in said] == ["feed0", "feed1", "feed2", "feed3", "lost"]
    assert all(line.startswith(f"{name}.py:") for line in said)
    assert "wants .start, which Bridge" in said[0]
    assert "role 'nobody' has no zygote; known are core" in said[4]
    assert not plans.plan_path(folder).exists()


def test_a_build_function_that_raises_is_a_fault_like_any_other(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = write(folder, "def children():\n    raise LookupError('no venue')\n")
    assert scratch.main(["--home", str(folder), "--build", f"{name}:build"]) == 78
    line = len(PRELUDE.splitlines()) + 2
    assert capsys.readouterr().err == f"{name}.py:{line} {name}:build: LookupError: no venue\n"
    assert scratch.main(["--home", str(folder), "--build", f"{name}:biuld"]) == 78
    assert capsys.readouterr().err == f"{name}:biuld: module {name} has no biuld\n"

"""From `config/*.yaml` to `Settings`, or to every reason why not, each with file and line.

Picture: three sieves. YAML itself (duplicate keys, syntax), the form (`config/settings.py`, field by field), the whole
(profile ceilings, names that must exist). All faults of the last two are reported at once; a broken section never hides
the faults of a sound one. Nothing is reloaded by itself, and state never lives in these files.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from config.settings import Settings, digest, faults

__all__ = ["ConfigError", "default_dir", "digest", "load"]

LARGEST = 1_000_000  # bytes of one file
MOST_VALUES = 20_000  # in all files, aliases counted as often as they are used
MOST_SHOWN = 50  # faults in one error
COMMAND_LINE = "(command line)"

Place = tuple[str | int, ...]


class ConfigError(ValueError):
    """The configuration cannot be used. `problems` has one sentence per fault, `str()` all of them, one per line."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        more = [f"… and {len(problems) - MOST_SHOWN} more"] if len(problems) > MOST_SHOWN else []
        super().__init__("\n".join(problems[:MOST_SHOWN] + more))


def default_dir() -> Path:
    """The shipped configuration: the folder this file stands in."""
    return Path(__file__).resolve().parent


def load(
    config_dir: Path | None = None, *, mode: str = "sim", overrides: Mapping[str, object] | None = None
) -> Settings:
    """Read every `*.yaml` of the folder, put `overrides` ("server.http_port": 8001) on top, validate.

    Raises:
        ConfigError: with all faults, each as `file:line path: problem; did you mean …?`.
    """
    folder = config_dir or default_dir()
    if not folder.is_dir():
        raise ConfigError([f"{folder}: no such folder; --config names the folder that holds risk_settings.yaml"])
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise ConfigError([f"{folder}: no *.yaml file in it; --config names the folder that holds risk_settings.yaml"])
    form: dict[str, Any] = {}
    lines: dict[Place, str] = {}
    problems: list[str] = []
    for file in files:
        _read(file, form, lines, problems)
    _override(form, lines, {"mode": mode, **(overrides or {})})
    settings, found = _validate(form, lines)
    problems += found
    if problems or settings is None:
        raise ConfigError(problems)
    return settings


def _read(file: Path, form: dict[str, Any], lines: dict[Place, str], problems: list[str]) -> None:
    """Add the sections of one file to the form and note where each value stands."""
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import DuplicateKeyError
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        if file.stat().st_size > LARGEST:
            problems.append(f"{file}: {file.stat().st_size} bytes; a configuration file has at most {LARGEST}")
            return
        tree = YAML(typ="rt", pure=True).load(file.read_text(encoding="utf-8"))
    except DuplicateKeyError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        what = str(error.problem).split(" with value")[0].removeprefix("found duplicate key ")
        problems.append(f"{file}:{line} duplicate key {what}; one of the two has to go, nobody can say which counts")
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problems.append(f"{file}:{mark.line + 1 if mark else 0} not valid YAML: {error.problem or error.context}")
    except (YAMLError, RecursionError) as error:
        problems.append(f"{file}: not valid YAML: {' '.join(str(error).split())[:200] or 'nested too deeply'}")
    except UnicodeDecodeError as error:
        problems.append(f"{file}: not UTF-8 text (byte {error.start}); save it as UTF-8")
    except OSError as error:
        problems.append(f"{file}: cannot be read: {error.strerror}")
    else:
        if tree is None:
            return
        if not isinstance(tree, dict):
            problems.append(f"{file}:1 a list or a word; a configuration file holds sections (name: values)")
            return
        mine: dict[Place, str] = {}
        try:
            plain = _plain(tree, (), file, mine)
        except RecursionError:
            problems.append(f"{file}: more than {MOST_VALUES} values, or an anchor that holds itself; write them out")
            return
        for name, section in plain.items():
            if name in form:
                problems.append(f"{mine[(name,)]} {name}: this section already stands in {lines[(name,)]}")
                continue
            form[name] = section
            lines.update({place: where for place, where in mine.items() if place[0] == name})


def _plain(node: Any, place: Place, file: Path, lines: dict[Place, str]) -> Any:
    """The node without ruamel's decorations; `lines` learns `file:line` of every key and list item.

    Raises:
        RecursionError: too many values (aliases of aliases multiply) or too deep.
    """
    if len(lines) > MOST_VALUES:
        raise RecursionError
    marks: Any = node
    if isinstance(node, dict):
        plain = {}
        for key, value in node.items():
            at = marks.lc.key(key)[0] if key in (marks.lc.data or {}) else marks.lc.line  # a merged key has no line
            lines[(*place, str(key))] = f"{file}:{at + 1}"
            plain[str(key)] = _plain(value, (*place, str(key)), file, lines)
        return plain
    if isinstance(node, list):
        for i in range(len(node)):
            lines[(*place, i)] = f"{file}:{marks.lc.item(i)[0] + 1}"
        return [_plain(value, (*place, i), file, lines) for i, value in enumerate(node)]
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


def _override(form: dict[str, Any], lines: dict[Place, str], overrides: Mapping[str, object]) -> None:
    for dotted, value in overrides.items():
        if value is None:
            continue
        *sections, name = dotted.split(".")
        target = form
        for section in sections:
            inner = target.setdefault(section, {})
            if not isinstance(inner, dict):
                break  # a fault of the file, which the form reports
            target = inner
        else:
            target[name] = value
            lines[tuple(dotted.split("."))] = COMMAND_LINE


def _validate(form: dict[str, Any], lines: dict[Place, str]) -> tuple[Settings | None, list[str]]:
    """The settings, and every fault of form and whole. Broken sections fall back to defaults for the second look."""
    try:
        settings = Settings.model_validate(form)
        broken: set[str] = set()
        problems = []
    except ValidationError as error:
        details = error.errors(include_url=False)
        broken = {str(item["loc"][0]) for item in details}
        problems = [_sentence(item, lines) for item in details]
        sound = {name: value for name, value in form.items() if name not in broken}
        settings = Settings.model_validate(sound)
    for place, problem in faults(settings):
        if str(place[0]) not in broken:
            problems.append(f"{_where(place, lines)} {_dotted(place)}: {problem}")
    return (None if problems else settings), problems


def _sentence(item: Any, lines: dict[Place, str]) -> str:
    place: Place = tuple(item["loc"])
    value = item.get("input")
    problem = str(item["msg"]).removeprefix("Value error, ")
    problem = problem[0].lower() + problem[1:]
    if item["type"] == "extra_forbidden":
        known = _fields(place[:-1])
        near = difflib.get_close_matches(str(place[-1]), known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
        problem = f"unknown field; {hint}"
    elif item["type"] == "missing":
        problem = "is missing"
    elif isinstance(value, bool | int | float | str | Decimal) or value is None:
        problem = f"{_shown(value)}: {problem}"
        if item["type"] == "literal_error" and isinstance(value, str):
            choices = [word.strip("' ") for word in item["ctx"]["expected"].replace(" or ", ", ").split(",")]
            near = difflib.get_close_matches(value.upper() if choices[0].isupper() else value, choices, n=1)
            problem += f"; did you mean {near[0]}?" if near else ""
    return f"{_where(place, lines)} {_dotted(place)}: {problem}"


def _shown(value: object) -> str:
    if isinstance(value, Decimal):
        return str(value)
    return "empty" if value is None else json.dumps(value, ensure_ascii=False)[:80]


def _dotted(place: Place) -> str:
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _where(place: Place, lines: dict[Place, str]) -> str:
    """Where it stands, or where the nearest enclosing section does."""
    for end in range(len(place), 0, -1):
        if place[:end] in lines:
            return lines[place[:end]]
    return "default"


def _fields(place: Place) -> list[str]:
    """The field names that are allowed at this place of the form."""
    kind: Any = Settings
    for part in place:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            field = kind.model_fields.get(str(part))
            kind = field.annotation if field else None
        else:
            # tuple[Venue, ...] or dict[str, Profile]: the element class
            kind = next((a for a in get_args(kind)[::-1] if isinstance(a, type) and issubclass(a, BaseModel)), None)
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else []

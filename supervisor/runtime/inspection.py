"""One actor looked at before it starts: its class, the arguments it will get, and the collaborators they lead to.

What an actor will need of a collaborator stands in the annotations of its `init`, as a Protocol:

    class Venue(Protocol):
        def start(self, url: str) -> None: ...

    class Bridge(Actor):
        def init(self, venue: str | Callable[[], Venue]) -> None: ...     # an import path, or a function

So the import path is followed, and what it promises to return is held against the Protocol, member by member and
signature by signature, without calling it. The bug that founded this house, a collaborator without the `start` that
the actor calls, is one sentence here and would be a crash loop later. An annotation that says nothing (`Any`) is
refused: unknown is never a pass. Values are held against their annotations as well, but not converted.
"""

from __future__ import annotations

import ast
import collections.abc
import contextlib
import difflib
import inspect
import pickle
import textwrap
import types
import typing
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from supervisor.actor import Actor
from supervisor.loading import CannotLoad, load
from supervisor.message import Message
from supervisor.runtime import places
from supervisor.spec import ActorStart

_AS_THEY_ARE = (bytes, bytearray, Decimal, date, datetime, timedelta)  # a text is none of these
REMEDY = "annotate it with a Protocol"
_SAYS_NOTHING = (Any, inspect.Parameter.empty, None)


class Fault(NamedTuple):
    """`place` is "" when only the tree knows where it was written."""

    place: str
    text: str


def look(start: ActorStart) -> tuple[type[Actor] | None, list[Fault]]:
    """The class, if there is one, and everything that is wrong."""
    try:
        kind = load(start.path)
    except CannotLoad as error:
        return None, [Fault("", str(error))]
    except (Exception, SystemExit) as error:  # noqa: BLE001  whatever a module raises at import is theirs to hear of
        return None, [Fault(places.of_error(error), f"{start.path} cannot be imported: {_named(error)}")]
    if not (isinstance(kind, type) and issubclass(kind, Actor)):
        return None, [Fault(places.of(kind), f"{start.path} is no Actor class")]
    faults = list(_words(start.path, kind))
    if faults:
        return None, faults
    if kind.subscribes and kind.handle is Actor.handle:
        heard = ", ".join(word.__name__ for word in kind.subscribes)
        faults.append(Fault(places.of(kind), f"{start.path} subscribes to {heard} and has no handle"))
    try:
        kind()
    except Exception as error:  # noqa: BLE001  see its import
        where = places.of_error(error) or places.of(kind)
        faults.append(Fault(where, f"{start.path}() cannot be constructed: {_named(error)}"))
    return kind, faults + list(_arguments(start, kind))


def _words(path: str, kind: type[Actor]) -> Iterator[Fault]:
    for name in ("subscribes", "publishes"):
        for word in getattr(kind, name):
            if not (isinstance(word, type) and issubclass(word, Message)):
                yield Fault(places.of(kind), f"{path}.{name} holds {word!r}, which is no Message class")


def _arguments(start: ActorStart, kind: type[Actor]) -> Iterator[Fault]:
    where = places.of(kind.init)
    try:
        arguments: dict[str, Any] = pickle.loads(start.arguments) if start.arguments else {}
    except Exception as error:  # noqa: BLE001  unpickling imports what was pickled
        yield Fault("", f"the arguments of {start.path} cannot be read back: {_named(error)}")
        return
    signature = inspect.signature(kind.init)
    try:
        bound = signature.bind(None, **arguments)
    except TypeError as error:
        unknown = [key for key in arguments if key not in signature.parameters]
        near = [name for key in unknown for name in difflib.get_close_matches(key, signature.parameters, n=1)]
        hint = f"; did you mean {near[0]}?" if near else ""
        yield Fault(where, f"{start.path}.init: {error}{hint}")
        return
    bound.apply_defaults()
    try:
        hints = typing.get_type_hints(kind.init)
    except NameError as error:
        yield Fault(where, f"{start.path}.init: its annotations cannot be read: {error}")
        return
    for name in sorted(_opened_by(kind)):
        if name in bound.arguments and not any(map(_is_collaborator, _options(hints.get(name, Any)))):
            yield Fault(where, f"init({name}=…) is opened with load, and does not say what it needs; {REMEDY}")
    for name, value in bound.arguments.items():
        if name != "self" and signature.parameters[name].kind is not inspect.Parameter.VAR_KEYWORD:
            for text in _against(f"init({name}=…)", value, hints.get(name, Any)):
                yield Fault(where, text)


def _opened_by(kind: type[Actor]) -> set[str]:
    """The parameters that `init` follows as import paths: `load(port)`."""
    if "load" not in kind.init.__code__.co_names:
        return set()
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(kind.init)))
    except (OSError, SyntaxError):
        return set()
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name))
    loads = (call.args[0] for call in calls if isinstance(call.func, ast.Name) and call.func.id == "load" and call.args)
    return {argument.id for argument in loads if isinstance(argument, ast.Name)}


def _options(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def _against(whose: str, value: Any, hint: Any) -> Iterator[str]:
    """What is wrong with a value that is to be what its annotation says."""
    options = _options(hint)
    collaborators = [option for option in options if _is_collaborator(option)]
    if collaborators and value is not None:
        yield from _collaborator(whose, value, collaborators[0])
        return
    if Any in options:
        if not _is_data(value):
            yield f"{whose} does not say what it needs of {_told(type(value))}; {REMEDY}"
        return
    wrong: list[str] = []
    for option in options:
        problem = _value(value, option)
        if problem is None:
            return
        wrong.append(problem)
    shown = repr(value) if len(repr(value)) < 80 else repr(value)[:77] + "…"
    yield f"{whose} is {shown}: {wrong[0] if len(wrong) == 1 else f'it must be {_spelled(hint)}'}"


def _value(value: Any, option: Any) -> str | None:
    """Why the value is not of this type; None when it is, or nobody can tell."""
    if option in (None, type(None)):
        return None if value is None else "it must be None"
    try:
        msgspec.convert(value, option, builtin_types=_AS_THEY_ARE)
    except msgspec.ValidationError as error:
        with contextlib.suppress(TypeError):  # a class that msgspec does not know is its own judge
            if isinstance(value, typing.get_origin(option) or option) and not typing.get_args(option):
                return None
        return str(error)
    except TypeError:  # not a type that can be looked into
        return None
    return None


def _is_data(value: Any) -> bool:
    """Plain values have nothing that could be missing when it is called."""
    try:
        msgspec.to_builtins(value)
    except (TypeError, ValueError):
        return type(value).__module__ == "builtins" and not isinstance(value, type | types.FunctionType)
    return True


def _is_collaborator(option: Any) -> bool:
    return typing.get_origin(option) is collections.abc.Callable or _is_protocol(option)


def _collaborator(whose: str, value: Any, wanted: Any) -> Iterator[str]:
    """An object, a function or an import path of one, against the Protocol or Callable it is to be."""
    named = repr(value) if isinstance(value, str) else f"{getattr(value, '__qualname__', type(value).__qualname__)}"
    if isinstance(value, str):
        try:
            value = load(value)
        except CannotLoad as error:
            yield f"{whose}: {error}"
            return
        except (Exception, SystemExit) as error:  # noqa: BLE001  see `look`
            at = places.of_error(error)
            yield f"{whose}: {named} cannot be imported: {_named(error)}{f' ({at})' if at else ''}"
            return
    call = vars(wanted).get("__call__") if _is_protocol(wanted) else None
    if _is_protocol(wanted) and call is None:
        yield from _members(whose, value if isinstance(value, type) else type(value), wanted, value)
        return
    if not callable(value):
        yield f"{whose} is to be called, and {named} is a {type(value).__name__}"
        return
    takes: inspect.Signature | None
    if call is not None:
        takes, gives = inspect.signature(call), typing.get_type_hints(call).get("return", Any)
    else:
        parameters, gives = typing.get_args(wanted)
        takes = None if parameters is Ellipsis else _positional(len(parameters))
    if takes is not None and (problem := _cannot_take(value, takes, skip=1 if call is not None else 0)):
        yield f"{whose} will be called as {_shape(takes)}, which {named} ({places.of(value)}) does not take: {problem}"
    if gives is Any:
        yield f"{whose} does not say what it needs of what {named} returns; {REMEDY}"
        return
    if gives in (None, type(None)):
        return
    try:
        made = value if isinstance(value, type) else typing.get_type_hints(value).get("return", Any)
    except NameError as error:
        yield f"{whose}: the annotations of {named} ({places.of(value)}) cannot be read: {error}"
        return
    if made in _SAYS_NOTHING:
        yield f"{whose}: {named} ({places.of(value)}) does not say what it returns; annotate it"
    elif isinstance(made, type):
        yield from _members(whose, made, gives)


def _members(whose: str, given: type, wanted: Any, instance: object = None) -> Iterator[str]:
    """Each member of the Protocol that the class lacks or cannot be called as."""
    if not _is_protocol(wanted):
        if isinstance(wanted, type) and not issubclass(given, wanted):
            yield f"{whose} wants {wanted.__qualname__}, and gets {_told(given)}"
        return
    wants = _protocol_members(wanted)
    has = set(dir(given)) - set(dir(object)) | set(getattr(instance, "__dict__", ()))
    if not has.issuperset(wants):
        has |= _set_in_methods(given)
    missing = [name for name in wants if name not in has]
    if missing:
        names = ", ".join(f".{name}" for name in missing)
        shown = ", ".join(sorted(name for name in has if not name.startswith("_"))) or "nothing public"
        yield f"{whose} wants {names}, which {_told(given)} does not have; it has {shown}"
    for name, member in wants.items():
        own = inspect.getattr_static(given, name, None)
        if isinstance(member, types.FunctionType) and isinstance(own, types.FunctionType):
            takes = inspect.signature(member)
            if problem := _cannot_take(own, takes):
                yield (
                    f"{whose} will call .{name}{_shape(takes)}, which .{name} of {given.__qualname__} "
                    f"({places.of(own)}) does not take: {problem}"
                )


def _set_in_methods(kind: type) -> set[str]:
    """What its instances have besides the members of the class: annotated, or set as `self.name = …` in any method."""
    names: set[str] = set()
    for base in kind.__mro__[:-1]:
        names.update(inspect.get_annotations(base))
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        except (OSError, TypeError, SyntaxError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name):
                names.update([node.attr] if node.value.id == "self" else [])
    return names


def _protocol_members(protocol: type) -> dict[str, Any]:
    """name -> function, property or, for a mere annotation, None."""
    members: dict[str, Any] = {}
    for base in reversed([base for base in protocol.__mro__ if _is_protocol(base)]):
        members.update(dict.fromkeys(inspect.get_annotations(base)))
        members.update({name: member for name, member in vars(base).items() if not name.startswith("_")})
    return members


def _is_protocol(kind: Any) -> bool:
    return isinstance(kind, type) and bool(getattr(kind, "_is_protocol", False)) and kind is not typing.Protocol


def _cannot_take(function: Callable[..., Any], call: inspect.Signature, skip: int = 0) -> str:
    """Why this function cannot be called with all parameters of that signature; `skip` leaves out its `self`."""
    positional: list[None] = []
    named: dict[str, None] = {}
    for parameter in list(call.parameters.values())[skip:]:
        if parameter.kind is parameter.KEYWORD_ONLY:
            named[parameter.name] = None
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            positional.append(None)
    try:
        inspect.signature(function).bind(*positional, **named)
    except (TypeError, ValueError) as error:
        return str(error)
    return ""


def _positional(count: int) -> inspect.Signature:
    kind = inspect.Parameter.POSITIONAL_ONLY
    return inspect.Signature([inspect.Parameter(f"argument_{n}", kind) for n in range(1, count + 1)])


def _shape(signature: inspect.Signature) -> str:
    """`(post, *, url)`: names only."""
    bare = [p.replace(annotation=p.empty, default=p.empty) for p in signature.parameters.values() if p.name != "self"]
    return str(inspect.Signature(bare)).replace(", /", "")


def _told(kind: type) -> str:
    return f"{kind.__qualname__} ({places.of(kind)})"


def _spelled(hint: Any) -> str:
    return str(hint) if typing.get_args(hint) else getattr(hint, "__name__", str(hint))


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"

"""From the annotations of a face's method to the shapes in which its parameters and its result travel."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final

from keystead.access.accounts import SecretIdInfo
from keystead.access.token_text import AccessToken, NewSecondFactor, NewSecretId
from keystead.access.tokens import TokenInfo
from keystead.api import vocabulary
from keystead.api.problems import problem, read_problem
from keystead.api.shapes import (
    BYTES,
    NUMBER,
    TEXT,
    TRUTH,
    WHOLE,
    Anything,
    ByName,
    Choice,
    Duration,
    Given,
    Many,
    Maybe,
    Moment,
    Row,
    Schema,
    Shape,
)
from keystead.api.structures import Member, Secret, Structure, TextOr, structure_members
from keystead.crypto.envelope import Envelope
from keystead.errors import KeysteadError
from keystead.secrets.labels import Keep
from keystead.secrets.value import SecretValue
from keystead.services.paging import Page

_SIMPLE: Final[Mapping[Any, Shape]] = types.MappingProxyType(
    {
        str: TEXT,
        int: WHOLE,
        bool: TRUTH,
        float: NUMBER,
        bytes: BYTES,
        Any: Anything(),
        object: Anything(),
        type(None): Given("null", {"type": "null"}, lambda _: None, lambda _: None),
        SecretValue: Secret(),
        NewSecondFactor: Given(
            "a second factor",
            {
                "type": "object",
                "properties": {name: {"type": "string"} for name in ("name", "secret", "uri")},
                "required": ["name", "secret", "uri"],
            },
            lambda value: {"name": value.name, "secret": value.reveal(), "uri": value.reveal_uri()},
            lambda found: NewSecondFactor(found["secret"], found["uri"], found["name"]),
        ),
        Envelope: Anything(only_object=True),
        KeysteadError: Given("a problem", {"$ref": "#/components/schemas/Problem"}, problem, read_problem),
    }
)
_LISTS: Final = (list, Iterable, Sequence)
_OPEN: Final = (Any, object)


def hints_of(function: Callable[..., Any] | type) -> dict[str, Any]:
    """The types of a function's parameters and of its result (`return`), or of a structure's members."""
    return typing.get_type_hints(function, localns=vocabulary.NAMES)


def shape_of(hint: Any) -> Shape:
    """The shape of a type.

    Raises:
        TypeError: it does not travel, such as a callback or a path of this machine.
    """
    if hint in _SIMPLE:
        return _SIMPLE[hint]
    made = _BY_ORIGIN.get(typing.get_origin(hint))
    if made is not None:
        return made(typing.get_args(hint))
    if isinstance(hint, type):
        return _named(hint)
    raise TypeError(f"{hint} does not travel")


def _row(inner: tuple[Any, ...]) -> Shape:
    if len(inner) == 2 and inner[1] is Ellipsis:
        return Many(shape_of(inner[0]), tuple)
    return Row(tuple(shape_of(part) for part in inner))


def _object(inner: tuple[Any, ...]) -> Shape:
    return Anything(only_object=True) if inner[1] in _OPEN else ByName(shape_of(inner[1]))


def _list(inner: tuple[Any, ...]) -> Shape:
    return Many(shape_of(inner[0]))


def _named(kind: type) -> Shape:
    if issubclass(kind, Enum):
        return Choice(tuple(str(member.value) for member in kind), kind)
    if kind is datetime:
        return Moment()
    if kind in (AccessToken, NewSecretId):
        return _shown(kind)
    if is_dataclass(kind) or hasattr(kind, "_fields"):
        hints = hints_of(kind)
        return Structure(
            kind, [Member(name, name, shape_of(hints[name]), must) for name, must in structure_members(kind)]
        )
    raise TypeError(f"{kind} does not travel")


def _page(inner: tuple[Any, ...]) -> Shape:
    items = Many(shape_of(inner[0]))
    return Structure(Page, [Member("items", "items", items, True), Member("next", "next", Maybe(TEXT), True)])


def _shown(kind: type) -> Shape:
    """What is given out once: its text, and what is known of it."""
    name = "token" if kind is AccessToken else "secret_id"
    info = shape_of(TokenInfo if kind is AccessToken else SecretIdInfo)
    schema: Schema = {
        "type": "object",
        "properties": {name: {"type": "string"}, "info": info.schema},
        "required": [name, "info"],
    }
    return Given(
        "what was given out",
        schema,
        lambda value: {name: value.reveal(), "info": info.encode(value.info)},
        lambda found: kind(found[name], info.decode(found["info"])),
    )


def _union(parts: tuple[Any, ...]) -> Shape:
    kinds = [part for part in parts if part not in (type(None), Keep)]
    shape = _one_of(kinds)
    return Maybe(shape) if type(None) in parts else shape


def _one_of(kinds: list[Any]) -> Shape:
    if len(kinds) == 1:
        return shape_of(kinds[0])
    for kind, shape in _DECIDING:
        if kind in kinds:
            return shape
    if set(kinds) == {str, int}:
        return Given("text or a whole number", {"type": ["string", "integer"]}, lambda value: value, _text_or_whole)
    return _text_or(kinds)


def _text_or(kinds: list[Any]) -> Shape:
    """Text, or an object or bytes; or a list of texts."""
    others = [kind for kind in kinds if kind not in (str, bytes, SecretValue)]
    mapping = [shape_of(kind) for kind in others if typing.get_origin(kind) is Mapping]
    lists = [kind for kind in others if typing.get_origin(kind) in _LISTS]
    if str not in kinds or len(others) > 1 or len(mapping) + len(lists) < len(others):
        raise TypeError(f"one of {kinds} does not travel")
    if lists:
        return _TEXTS
    inner = mapping[0] if mapping else None
    return TextOr(with_object=inner if isinstance(inner, ByName | Anything) else None, with_bytes=bytes in kinds)


def _text_of(value: str | AccessToken) -> str:
    return value if isinstance(value, str) else value.reveal()


def _text_or_whole(found: Any) -> str | int:
    if type(found) not in (str, int):
        raise ValueError("text or a whole number")
    return found  # type: ignore[no-any-return]


_BY_ORIGIN: Final[Mapping[Any, Callable[[tuple[Any, ...]], Shape]]] = types.MappingProxyType(
    {
        typing.Union: _union,
        types.UnionType: _union,
        typing.Literal: lambda values: Choice(tuple(str(value) for value in values)),
        tuple: _row,
        dict: _object,
        Mapping: _object,
        Page: _page,
        **dict.fromkeys(_LISTS, _list),
    }
)
_MANY_TEXTS: Final = Many(TEXT)
_TEXTS: Final = Given(
    "text or a list of texts",
    {"anyOf": [TEXT.schema, _MANY_TEXTS.schema]},
    lambda value: value if isinstance(value, str) else list(value),
    lambda found: found if isinstance(found, str) else _MANY_TEXTS.decode(found),
)
_DECIDING: Final[tuple[tuple[type, Shape], ...]] = (
    (AccessToken, Given("the text of an access token", {"type": "string"}, _text_of, TEXT.decode)),
    (timedelta, Duration()),
    (datetime, Moment()),
)
"""What stands in a union and decides how all of it travels."""


def parameters_of(function: Callable[..., Any], renamed: Mapping[str, str], *, without: str = "") -> list[Member]:
    """The parameters of a method, and how they travel. `renamed` gives some of them another name there, and the one
    `without` stays.

    What may be left alone (`Keep`) is left out, and so is what has its default.
    """
    hints = hints_of(function)
    return [
        Member(name, renamed.get(name, name), shape_of(hints[name]), parameter.default is inspect.Parameter.empty)
        for name, parameter in inspect.signature(function).parameters.items()
        if name not in ("self", without)
    ]


def result_of(function: Callable[..., Any], renamed: Mapping[str, str]) -> Shape:
    """How what a method gives travels."""
    hint = hints_of(function)["return"]
    if hint is Any:
        return TextOr(with_object=Anything(only_object=True), with_bytes=True)
    shape = shape_of(hint)
    return shape.renamed(renamed) if isinstance(shape, Structure) else shape

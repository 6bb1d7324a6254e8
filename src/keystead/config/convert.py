"""From a setting's text to its declared type. No problem that is raised here repeats the text."""

from __future__ import annotations

import enum
import json
import re
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from math import inf, isfinite
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

from keystead.clock import parse_duration
from keystead.config.declare import SecretStr
from keystead.config.references import is_reference
from keystead.config.sizes import ByteSize
from keystead.config.urls import URL, SecretURL
from keystead.errors import UsageError
from keystead.secrets.value import SecretValue

Convert: TypeAlias = "Callable[[str], Any]"

BOOL_WORDS: Mapping[str, bool] = types.MappingProxyType(
    {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
)
_is_int = re.compile(r"\s*[+-]?[0-9]{1,40}\s*").fullmatch
_is_float = re.compile(r"\s*[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,3})?\s*").fullmatch


class Json:
    """Marks a field whose text is JSON: `limits: Annotated[Any, Json]`."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How one declared type is filled.

    `convert` takes a setting's text (None: the text itself is the value); `accepts` says whether a value that is not
    text, or stands in a JSON list, is of the type; `wrap` takes a SecretValue, and is there for types of secrets only.
    What is `flat` may be an item of a list or a value of a mapping.
    """

    words: str
    convert: Convert | None
    accepts: Callable[[object], bool]
    wrap: Callable[[SecretValue], Any] | None = None
    optional: bool = False
    flat: bool = True

    def read(self, text: str) -> Any:
        """The value of a text.

        Raises:
            UsageError: the text is none of the type's.
        """
        return text if self.convert is None else self.convert(text)


def kind_of(annotation: object) -> Kind | None:
    """How the type is filled; None where it is none of the types that a configuration has."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return JSON if Json in arguments[1:] else kind_of(arguments[0])
    if origin in (Union, types.UnionType):
        return _optional(arguments)
    if origin is Literal:
        return _choice({str(choice): choice for choice in arguments})
    if origin is None and isinstance(annotation, type):
        return _SIMPLE.get(annotation) or _class(annotation)
    return _collection(origin, arguments)


def _class(annotation: type) -> Kind | None:
    if issubclass(annotation, enum.Enum):
        by_value = {str(member.value): member for member in annotation}
        return _choice({**annotation.__members__, **by_value})
    return _collection(annotation, ())


def _collection(origin: Any, arguments: tuple[Any, ...]) -> Kind | None:
    if origin in _LISTS:
        return _list(origin, arguments)
    return _mapping(arguments) if origin in (dict, Mapping) else None


def _stripped(convert: Convert) -> Convert:
    return lambda text: convert(text.strip())


def _to_bool(text: str) -> bool:
    value = BOOL_WORDS.get(text)
    if value is None:
        value = BOOL_WORDS.get(text.strip().lower())
    if value is None:
        raise UsageError("not a truth value", hint="write one of true, yes, on, 1, false, no, off, 0")
    return value


def _to_int(text: str) -> int:
    if not _is_int(text):
        raise UsageError("not a whole number", hint="write digits only, such as 8080")
    return int(text)


def _to_float(text: str) -> float:
    value = float(text) if _is_float(text) else inf
    if not isfinite(value):
        raise UsageError("not a number", hint="write it as 0.75 or 1e-3")
    return value


def _to_duration(text: str) -> timedelta:
    return timedelta(milliseconds=parse_duration(text.strip(), what="the value", allow_zero=True))


def _to_secret_value(value: SecretValue) -> SecretValue:
    text_or_bytes(value)
    return value


def _to_secret_str(value: SecretValue) -> SecretStr:
    return SecretStr(_text_of(value), name=value.name, version=value.version)


def _to_secret_url(value: SecretValue) -> SecretURL:
    return SecretURL(_text_of(value), name=value.name, version=value.version)


def text_or_bytes(value: SecretValue) -> str | bytes:
    """What the secret holds.

    Raises:
        UsageError: it is empty, which no secret of an application is meant to be.
    """
    revealed = value.reveal()
    if not revealed:
        raise UsageError("empty", hint="give the secret a value, or declare the field Optional")
    return revealed


def _text_of(value: SecretValue) -> str:
    revealed = text_or_bytes(value)
    if isinstance(revealed, bytes):
        raise UsageError("bytes and not text", hint="declare the field SecretValue")
    return revealed


def _no_constant(_name: str) -> None:
    raise ValueError


def _to_json(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=_each_once)
    except (ValueError, RecursionError):
        pass  # raised below, outside, so that the text does not travel along as the error's context
    raise UsageError("not JSON", hint='write one JSON value, such as {"a": 1}, with each name once')


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _is_a(*kinds: type) -> Callable[[object], bool]:
    # a bool is an int to Python and never to a person
    return lambda value: isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))


def _anything(_value: object) -> bool:
    return True


_SIMPLE: Mapping[type, Kind] = types.MappingProxyType(
    {
        str: Kind("text", None, _is_a(str)),
        int: Kind("a whole number", _to_int, _is_a(int)),
        float: Kind("a number", _to_float, _is_a(int, float)),
        bool: Kind("a truth value", _to_bool, _is_a(bool)),
        timedelta: Kind("a duration", _to_duration, _is_a(timedelta)),
        ByteSize: Kind("a size", _stripped(ByteSize.parse), _is_a(ByteSize)),
        URL: Kind("a URL", _stripped(URL), _is_a(URL)),
        Path: Kind("a path", Path, _is_a(Path)),
        SecretValue: Kind("a secret", SecretValue, _is_a(SecretValue), wrap=_to_secret_value),
        SecretStr: Kind("a secret text", SecretStr, _is_a(SecretStr), wrap=_to_secret_str),
        SecretURL: Kind("a secret URL", SecretURL, _is_a(SecretURL), wrap=_to_secret_url),
    }
)
JSON = Kind("JSON", _to_json, _anything)
_LISTS: Mapping[Any, Callable[[list[Any]], Any]] = types.MappingProxyType(
    {list: list, tuple: tuple, set: set, frozenset: frozenset}
)


def _optional(arguments: tuple[Any, ...]) -> Kind | None:
    others = [argument for argument in arguments if argument is not type(None)]
    kind = kind_of(others[0]) if len(others) == 1 else None
    return None if kind is None else optional_kind(kind)


def optional_kind(kind: Kind) -> Kind:
    """The kind, or None, which empty text stands for."""
    return Kind(
        kind.words,
        lambda text: kind.read(text) if text else None,
        lambda value: value is None or kind.accepts(value),
        kind.wrap,
        optional=True,
        flat=kind.flat,
    )


def _choice(choices: Mapping[str, Any]) -> Kind:
    listed = ", ".join(choices)

    def convert(text: str) -> Any:
        if text.strip() not in choices:
            raise UsageError(f"not one of {listed}", hint="the spelling counts, upper and lower case too")
        return choices[text.strip()]

    return Kind(f"one of {listed}", convert, lambda value: any(value is choice for choice in choices.values()))


def _list(origin: Any, arguments: tuple[Any, ...]) -> Kind | None:
    if origin is tuple and arguments and (len(arguments) != 2 or arguments[1] is not Ellipsis):
        return None
    item = kind_of(arguments[0] if arguments else str)
    if item is None or not item.flat or (item.wrap is not None and origin in (set, frozenset)):
        return None
    build = _LISTS[origin]

    def convert(text: str) -> Any:
        if text.lstrip().startswith("["):
            return build([_json_item(item, value, f"item {at}") for at, value in enumerate(_to_json(text), 1)])
        parts = [part.strip() for part in text.split(",")] if text.strip() else []
        return build([_text_item(item, part, at) for at, part in enumerate(parts, 1)])

    wrap = None if item.wrap is None else lambda value: convert(_text_of(value))

    def accepts(value: object) -> bool:
        return isinstance(value, origin) and all(item.accepts(each) for each in value)

    return Kind(f"a list, each {item.words}", convert, accepts, wrap, flat=False)


def _text_item(item: Kind, text: str, at: int) -> Any:
    if not text:
        raise UsageError(f"item {at} is empty", hint="separate items by one comma each")
    return _named(item, text, f"item {at}")


def _json_item(item: Kind, value: object, what: str) -> Any:
    if isinstance(value, str):
        return _named(item, value, what)
    if not item.accepts(value):
        raise UsageError(f"{what} is not {item.words}")
    return value


def _named(item: Kind, text: str, what: str) -> Any:
    if is_reference(text):
        raise UsageError(f"{what} is a reference to a secret", hint="a reference is the whole of a setting")
    try:
        return item.read(text)
    except UsageError as error:
        message, hint = error.message, error.hint
    raise UsageError(f"{what}: {message}", hint=hint)


def _mapping(arguments: tuple[Any, ...]) -> Kind | None:
    value_type = arguments[1] if arguments else Any
    item = JSON if value_type in (Any, object) else kind_of(value_type)
    if item is None or not item.flat or item.wrap is not None or (arguments and arguments[0] is not str):
        return None

    def convert(text: str) -> dict[str, Any]:
        found = _to_json(text)
        if not isinstance(found, dict):
            raise UsageError("not a JSON object", hint='write {"name": value}')
        if item is JSON:
            return found
        return {name: _json_item(item, value, f"value {at}") for at, (name, value) in enumerate(found.items(), 1)}

    return Kind("a JSON object", convert, _is_a(dict), flat=False)

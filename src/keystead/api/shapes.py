"""How values of one type travel as JSON: encoding, strict decoding, and the JSON Schema that says so.

Bytes are standard base64 in its one spelling. What may be text or bytes travels under two names: text as `NAME`, bytes
as `NAME_base64`. A length of time is text such as `90d`. A member that is not there has the default; null is None.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final, Protocol

from keystead.clock import format_duration
from keystead.errors import UsageError

Schema = dict[str, Any]
ABSENT: Final = object()
BASE64: Final = "_base64"


class Travels(Protocol):
    """How values of one type travel."""

    def encode(self, value: Any) -> Any:
        """The JSON value of a value of this type."""

    def decode(self, found: Any) -> Any:
        """The value of a JSON value.

        Raises:
            ValueError: it is none of this type.
        """

    def from_text(self, text: str) -> Any:
        """The value of a text in a query string. Raises ValueError."""

    def put(self, body: dict[str, Any], name: str, value: Any) -> None:
        """Add a value to a JSON object."""

    def take(self, body: Mapping[str, Any], name: str) -> Any:
        """The value in a JSON object, ABSENT where it is not there.

        Raises:
            UsageError: it is none of this type; the message names the member and not the value.
        """

    def names(self, name: str) -> tuple[str, ...]:
        """The members that a value of this type may take in a JSON object."""

    def members(self, name: str) -> dict[str, Schema]:
        """The same with their schemas."""


class Shape(Travels):
    """One type. `what` says in an error what was expected; `schema` is its JSON Schema."""

    def __init__(self, what: str = "a value", schema: Schema | None = None) -> None:
        self.what = what
        self.schema: Schema = schema or {}

    def encode(self, value: Any) -> Any:
        return value

    def decode(self, found: Any) -> Any:
        return found

    def from_text(self, text: str) -> Any:
        return self.decode(text)

    def put(self, body: dict[str, Any], name: str, value: Any) -> None:
        body[name] = self.encode(value)

    def take(self, body: Mapping[str, Any], name: str) -> Any:
        found = body.get(name, ABSENT)
        return ABSENT if found is ABSENT else self._checked(name, self.decode, found)

    def read_text(self, name: str, text: str) -> Any:
        """The value of a text in a query string. Raises UsageError, as `take` does."""
        return self._checked(name, self.from_text, text)

    def names(self, name: str) -> tuple[str, ...]:
        return (name,)

    def members(self, name: str) -> dict[str, Schema]:
        return {name: self.schema}

    def _checked(self, name: str, read: Callable[[Any], Any], found: Any) -> Any:
        try:
            return read(found)
        except UsageError:
            raise
        except (ValueError, TypeError):
            pass
        # Outside the handler, whose error may hold what was given.
        raise UsageError(f"{name} must be {self.what}", hint="see the API reference for this operation")


class Plain(Shape):
    """Text, whole number, truth or number: what JSON has itself."""

    def __init__(self, kind: type, what: str, name: str) -> None:
        super().__init__(what, {"type": name})
        self._kind = kind

    def decode(self, found: Any) -> Any:
        if type(found) is not self._kind and not (self._kind is float and type(found) is int):
            raise ValueError(self.what)
        return found

    def from_text(self, text: str) -> Any:
        if self._kind is bool:
            return {"true": True, "false": False}[text] if text in {"true", "false"} else self.decode(text)
        if self._kind is int:
            if not text.isascii() or not text.isdigit() or len(text) > 18:
                raise ValueError(self.what)
            return int(text)
        return self.decode(text)


class Whole(Plain):
    """A whole number, in the bounds that JSON keeps exact."""

    def __init__(self) -> None:
        super().__init__(int, "a whole number", "integer")


class Base64(Shape):
    """Bytes."""

    def __init__(self) -> None:
        super().__init__("standard base64 with padding", {"type": "string", "contentEncoding": "base64"})

    def encode(self, value: bytes) -> str:
        return base64.b64encode(value).decode("ascii")

    def decode(self, found: Any) -> bytes:
        if type(found) is not str:
            raise ValueError(self.what)
        return from_base64(found)


class Anything(Shape):
    """Any JSON value, or any object."""

    def __init__(self, *, only_object: bool = False) -> None:
        super().__init__("a JSON object" if only_object else "a JSON value", {"type": "object"} if only_object else {})
        self._only_object = only_object

    def encode(self, value: Any) -> Any:
        return dict(value) if isinstance(value, Mapping) else value

    def decode(self, found: Any) -> Any:
        if self._only_object and not isinstance(found, dict):
            raise ValueError(self.what)
        return found


class Choice(Shape):
    """One of some texts; of an Enum, its members by their values."""

    def __init__(self, values: tuple[str, ...], make: Callable[[str], Any] = str) -> None:
        super().__init__(" or ".join(values), {"type": "string", "enum": list(values)})
        self._values = values
        self._make = make

    def encode(self, value: Any) -> str:
        return str(value.value if isinstance(value, Enum) else value)

    def decode(self, found: Any) -> Any:
        if type(found) is not str or found not in self._values:
            raise ValueError(self.what)
        return self._make(found)


class Maybe(Shape):
    """A value of another type, or null."""

    def __init__(self, inner: Shape) -> None:
        super().__init__(f"{inner.what} or null", {"anyOf": [inner.schema, {"type": "null"}]} if inner.schema else {})
        self.inner = inner

    def encode(self, value: Any) -> Any:
        return None if value is None else self.inner.encode(value)

    def decode(self, found: Any) -> Any:
        return None if found is None else self.inner.decode(found)

    def from_text(self, text: str) -> Any:
        return self.inner.from_text(text)

    def put(self, body: dict[str, Any], name: str, value: Any) -> None:
        if value is None:
            body[name] = None
        else:
            self.inner.put(body, name, value)

    def take(self, body: Mapping[str, Any], name: str) -> Any:
        if name in body and body[name] is None:
            if any(other in body for other in self.inner.names(name) if other != name):
                raise UsageError(f"{name} is null, and given under another name too", hint="give one of the two")
            return None
        return self.inner.take(body, name)

    def names(self, name: str) -> tuple[str, ...]:
        return self.inner.names(name)

    def members(self, name: str) -> dict[str, Schema]:
        inner = self.inner.members(name)
        return {**inner, name: {"anyOf": [inner[name], {"type": "null"}]} if inner[name] else {}}


class Many(Shape):
    """A list of values of another type; `make` makes the collection."""

    def __init__(self, inner: Shape, make: Callable[[list[Any]], Any] = list) -> None:
        super().__init__(f"a list, each item {inner.what}", {"type": "array", "items": inner.schema})
        self._inner = inner
        self._make = make

    def encode(self, value: Any) -> list[Any]:
        if isinstance(value, (str, bytes)):
            raise TypeError(self.what)  # one, where a list of its letters was not meant
        return [self._inner.encode(item) for item in value]

    def decode(self, found: Any) -> Any:
        if not isinstance(found, list):
            raise ValueError(self.what)
        return self._make([self._inner.decode(item) for item in found])

    def from_text(self, text: str) -> Any:
        return self._make([self._inner.from_text(part) for part in text.split(",")])


class Row(Shape):
    """A tuple of fixed length."""

    def __init__(self, inner: tuple[Shape, ...]) -> None:
        schemas, count = [shape.schema for shape in inner], len(inner)
        super().__init__(
            f"a list of {count} values",
            {"type": "array", "items": {"anyOf": schemas}, "minItems": count, "maxItems": count},
        )
        self._inner = inner

    def encode(self, value: Any) -> list[Any]:
        return [shape.encode(item) for shape, item in zip(self._inner, value, strict=True)]

    def decode(self, found: Any) -> Any:
        if not isinstance(found, list) or len(found) != len(self._inner):
            raise ValueError(self.what)
        return tuple(shape.decode(item) for shape, item in zip(self._inner, found, strict=True))


class ByName(Shape):
    """An object whose members have any names and one type; in a query string `NAME.MEMBER=...`."""

    def __init__(self, inner: Shape) -> None:
        super().__init__(
            f"an object, each member {inner.what}", {"type": "object", "additionalProperties": inner.schema}
        )
        self._inner = inner

    def encode(self, value: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self._inner.encode(item) for name, item in value.items()}

    def decode(self, found: Any) -> dict[str, Any]:
        if not isinstance(found, dict):
            raise ValueError(self.what)
        return {name: self._inner.decode(item) for name, item in found.items()}


class Duration(Shape):
    """A length of time."""

    def __init__(self) -> None:
        super().__init__("text such as 30s, 5m or 90d", {"type": "string", "pattern": "^([0-9]{1,12}(ms|[smhdw]))+$"})

    def encode(self, value: timedelta | str) -> str:
        return value if isinstance(value, str) else format_duration(value // timedelta(milliseconds=1))

    def decode(self, found: Any) -> str:
        if type(found) is not str:
            raise ValueError(self.what)
        return found  # which the method reads, that can say what it is the length of


class Moment(Shape):
    """A point in time."""

    def __init__(self) -> None:
        super().__init__("a date and time in the form of RFC 3339", {"type": "string", "format": "date-time"})

    def encode(self, value: datetime | str) -> str:
        return value if isinstance(value, str) else value.isoformat()

    def decode(self, found: Any) -> str:
        if type(found) is not str:
            raise ValueError(self.what)
        return found


class Given(Shape):
    """A type with a form of its own: two functions and a schema."""

    def __init__(self, what: str, schema: Schema, encode: Callable[[Any], Any], decode: Callable[[Any], Any]) -> None:
        super().__init__(what, schema)
        self._encode = encode
        self._decode = decode

    def encode(self, value: Any) -> Any:
        return self._encode(value)

    def decode(self, found: Any) -> Any:
        return self._decode(found)


def from_base64(text: str) -> bytes:
    """The bytes of standard base64 with padding, in the one spelling that they have.

    Raises:
        ValueError: it is anything else.
    """
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError):
        data = None
    if data is None or (text.endswith("=") and not _ends_in_zeros(data, text)):
        raise ValueError("not base64")
    return data


def _ends_in_zeros(data: bytes, text: str) -> bool:
    """Whether the bits that padding leaves over are 0: the reader takes any."""
    return binascii.b2a_base64(data[-(len(data) % 3) :], newline=False).decode("ascii") == text[-4:]


TEXT: Final = Plain(str, "text", "string")
TRUTH: Final = Plain(bool, "true or false", "boolean")
NUMBER: Final = Plain(float, "a number", "number")
WHOLE: Final = Whole()
BYTES: Final = Base64()

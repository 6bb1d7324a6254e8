"""The shapes that are made of others: text or something else, secrets, dataclasses and named tuples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Final, NamedTuple

from keystead.api.shapes import ABSENT, BASE64, BYTES, Anything, ByName, Schema, Shape
from keystead.errors import UsageError
from keystead.secrets.value import SecretValue


class TextOr(Shape):
    """Text, or an object; `with_bytes` bytes too, as a member under a second name, elsewhere as `{"base64": ...}`."""

    def __init__(self, *, with_object: ByName | Anything | None, with_bytes: bool) -> None:
        text, what = {"type": "string"}, "text"
        others: list[tuple[str, Schema]] = [] if with_object is None else [(with_object.what, with_object.schema)]
        if with_bytes and with_object is None:
            others = [("bytes as an object with base64", _IN_BASE64)]
        super().__init__(
            " or ".join([what, *(name for name, _ in others)]),
            {"anyOf": [text, *(schema for _, schema in others)]} if others else text,
        )
        self._object = with_object
        self._bytes = with_bytes

    def encode(self, value: Any) -> Any:
        value = value.reveal() if isinstance(value, SecretValue) else value
        if isinstance(value, Mapping) and self._object is not None:
            return self._object.encode(value)
        if isinstance(value, bytes):
            return {"base64": BYTES.encode(value)}
        return value

    def decode(self, found: Any) -> Any:
        if isinstance(found, dict):
            if self._object is not None:
                return self._object.decode(found)
            if self._bytes and set(found) == {"base64"}:
                return BYTES.decode(found["base64"])
        if type(found) is not str:
            raise ValueError(self.what)
        return found

    def put(self, body: dict[str, Any], name: str, value: Any) -> None:
        value = value.reveal() if isinstance(value, SecretValue) else value
        if self._bytes and isinstance(value, bytes):
            body[name + BASE64] = BYTES.encode(value)
        else:
            body[name] = self.encode(value)

    def take(self, body: Mapping[str, Any], name: str) -> Any:
        if not self._bytes or (second := body.get(name + BASE64, ABSENT)) is ABSENT:
            return super().take(body, name)
        if name in body:
            raise UsageError(f"{name} and {name}{BASE64} contradict each other", hint="give one of the two")
        return BYTES.take({name + BASE64: second}, name + BASE64)

    def names(self, name: str) -> tuple[str, ...]:
        return (name, name + BASE64) if self._bytes else (name,)

    def members(self, name: str) -> dict[str, Schema]:
        return {name: self.schema, name + BASE64: BYTES.schema} if self._bytes else {name: self.schema}


class Secret(Shape):
    """The value of a secret, with its name and version."""

    def __init__(self) -> None:
        members = {"name": {"type": "string"}, "version": {"type": "integer"}, **_VALUE.members("value")}
        super().__init__("a secret", {"type": "object", "properties": members, "required": ["name", "version"]})

    def encode(self, value: SecretValue) -> dict[str, Any]:
        body: dict[str, Any] = {"name": value.name, "version": value.version}
        _VALUE.put(body, "value", value)
        return body

    def decode(self, found: Any) -> SecretValue:
        if not isinstance(found, dict):
            raise ValueError(self.what)
        return SecretValue(_VALUE.take(found, "value"), name=found.get("name", ""), version=found.get("version", 0))


class Member(NamedTuple):
    """One member of a structure, or one parameter of a method, and its name in JSON."""

    attribute: str
    name: str
    shape: Shape
    required: bool


class Structure(Shape):
    """A dataclass or named tuple, member by member."""

    def __init__(self, kind: type, members: list[Member]) -> None:
        properties: dict[str, Schema] = {}
        required = []
        for _, name, shape, must in members:
            added = shape.members(name)
            properties |= added
            if len(added) == 1 and must:
                required.append(name)
        super().__init__(
            "a JSON object",
            {"title": kind.__name__, "type": "object", "properties": properties, "required": required},
        )
        self._kind = kind
        self._members = members

    def renamed(self, names: Mapping[str, str]) -> Structure:
        """The same with some of its members under other names."""
        return Structure(self._kind, [m._replace(name=names.get(m.attribute, m.name)) for m in self._members])

    def encode(self, value: Any) -> dict[str, Any]:
        body: dict[str, Any] = {}
        for attribute, name, shape, _ in self._members:
            shape.put(body, name, getattr(value, attribute))
        return body

    def decode(self, found: Any) -> Any:
        if not isinstance(found, dict):
            raise ValueError(self.what)
        values = {attribute: shape.take(found, name) for attribute, name, shape, _ in self._members}
        return self._kind(**{name: value for name, value in values.items() if value is not ABSENT})


def structure_members(kind: type) -> list[tuple[str, bool]]:
    """Names of the members of a dataclass or named tuple, and whether each must be given."""
    if is_dataclass(kind):
        return [(f.name, f.default is MISSING and f.default_factory is MISSING) for f in fields(kind)]
    return [(name, name not in kind._field_defaults) for name in kind._fields]  # type: ignore[attr-defined]


_IN_BASE64: Final[Schema] = {
    "type": "object",
    "properties": {"base64": BYTES.schema},
    "required": ["base64"],
    "additionalProperties": False,
}
_VALUE: Final = TextOr(with_object=None, with_bytes=True)

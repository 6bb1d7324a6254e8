"""What the schemas say of members beyond their type: the bounds that the services keep, by the members' names."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from keystead.api.shapes import Schema

_NAME: Final = r"^(?!\.{1,2}(/|$))[A-Za-z0-9_+=.@-]+(/(?!\.{1,2}(/|$))[A-Za-z0-9_+=.@-]+)*$"
_ACCESSOR: Final = {"pattern": "^acc_[0-9a-f]{32}$"}

BOUNDS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "limit": {"minimum": 1, "maximum": 1_000},
        "count": {"minimum": 0, "maximum": 100_000},
        "days": {"minimum": 7, "maximum": 365},
        "key_version": {"minimum": 1, "maximum": 2**31 - 1},
        "version": {"minimum": 1, "maximum": 2**31 - 1},
        "expected_version": {"minimum": 0, "maximum": 2**31 - 1},
        "accessor": _ACCESSOR,
        "index": {"minimum": 0, "maximum": 2**32 - 1},
        "code": {"pattern": "^[0-9]{6}$"},
    }
)
PATHS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "name": {"pattern": _NAME, "minLength": 1, "maxLength": 256},
        "alias": {"pattern": _NAME, "minLength": 1, "maxLength": 256},
        "role": {"pattern": "^[a-z0-9][a-z0-9._@+-]{0,126}$"},
        "accessor": _ACCESSOR,
    }
)
"""The same of what stands in a path."""

_LEFT: Final[Schema] = {"type": ["integer", "null"], "description": "ms until it ends; null: it does not"}
ADDED: Final[Mapping[str, Mapping[str, Schema]]] = MappingProxyType(
    {
        "kms.get_secret": {"expires_in_ms": _LEFT},
        "kms.whoami": {"expires_in_ms": _LEFT, "renewable": {"type": "boolean"}},
        "tokens.renew": {"expires_in_ms": _LEFT},
    }
)
"""What answers have beyond what their methods give, by operation: for clients, whose clocks are others."""


def bounded(name: str, schema: Schema) -> Schema:
    """A member's schema with its bounds, where those are of its type."""
    bounds = BOUNDS.get(name)
    if bounds is None:
        return schema
    if "anyOf" in schema:
        return {**schema, "anyOf": [bounded(name, inner) for inner in schema["anyOf"]]}
    fits = schema.get("type") == ("string" if "pattern" in bounds else "integer")
    return {**schema, **bounds} if fits else schema

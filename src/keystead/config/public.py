"""What of a configuration may be shown: fields marked public, and connections without their credentials."""

from __future__ import annotations

import enum
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

from keystead.clock import format_duration
from keystead.config.masking import MASK, mask_uri
from keystead.config.schema import Schema
from keystead.config.urls import SecretURL
from keystead.secrets.value import SecretValue

_WITH_CREDENTIAL = re.compile(r"://[^/?#]*@")
_NAMES = ("_url", "_uri", "_dsn", "_urls", "_uris")


def public_values(schema: Schema, instance: Any) -> dict[str, Any]:
    """The fields that the schema marks public, by name, as values that JSON has."""
    return {field.name: as_json(getattr(instance, field.name)) for field in schema.fields if field.public}


def as_json(value: Any) -> Any:
    """The value as JSON has it: durations and other types of one text as that text, a size as its bytes.

    A URI with a credential, which a model's own types let through, is masked: marked public or not, that is none.
    """
    if isinstance(value, enum.Enum):
        return as_json(value.value)
    if isinstance(value, timedelta):
        return format_duration(value // timedelta(milliseconds=1))
    if isinstance(value, int | float | type(None)):
        return int(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(value, list | tuple | set | frozenset):
        return [as_json(item) for item in value]
    if isinstance(value, dict):
        return {str(name): as_json(item) for name, item in value.items()}
    text = str(value)
    return mask_uri(text) if _WITH_CREDENTIAL.search(text) else text


def connections(schema: Schema, instance: Any) -> dict[str, str]:
    """The fields that hold a URI, by name, each with every credential masked; of several URIs one behind the other."""
    found: dict[str, str] = {}
    for field in schema.fields:
        value = getattr(instance, field.name)
        masked = [_masked(field.name, item) for item in _items(value)]
        shown = [text for text in masked if text is not None]
        if shown:
            found[field.name] = ", ".join(shown)
    return found


def _items(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    return list(value) if isinstance(value, list | tuple) else [value]


def _masked(name: str, value: Any) -> str | None:
    if isinstance(value, SecretURL):
        return value.masked()
    if isinstance(value, SecretValue) or hasattr(value, "get_secret_value"):
        value = value.get_secret_value()
    if isinstance(value, Path | bool | int | float | type(None) | enum.Enum):
        return None
    if isinstance(value, bytes):
        return MASK if name.lower().endswith(_NAMES) else None
    text = str(value) if isinstance(value, str) or hasattr(value, "unicode_string") else ""
    return mask_uri(text) if "://" in text or (text and name.lower().endswith(_NAMES)) else None

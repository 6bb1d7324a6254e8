"""A slot's metadata, read strictly: whoever can write to the store's file may have written it."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import TypeAlias

from keystead.errors import IntegrityError

Metadata: TypeAlias = dict[str, "str | int"]

SALT_LENGTH = 16
_FINGERPRINT = re.compile(r"[0-9a-f]{8}")
_HINT = "the store's file was changed or damaged; restore it from a backup, or open by another slot"


def broken(problem: str) -> IntegrityError:
    """The error for metadata that keystead did not write."""
    return IntegrityError(f"a key slot's metadata is not what keystead wrote: {problem}", hint=_HINT)


def require_fields(metadata: Mapping[str, str | int], *names: str) -> None:
    """Exactly these fields, no more and no fewer.

    Raises:
        IntegrityError: a field missing or too many.
    """
    if set(metadata) != set(names):
        raise broken(f"it must hold {', '.join(sorted(names))}")


def salt_text(salt: bytes) -> str:
    """A salt as metadata keeps it."""
    return base64.b64encode(salt).decode()


def salt_field(metadata: Mapping[str, str | int]) -> bytes:
    """The 16 bytes of `salt`.

    Raises:
        IntegrityError: not canonical base64 of 16 bytes.
    """
    text = metadata.get("salt")
    try:
        salt = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except (binascii.Error, ValueError):
        salt = b""
    if len(salt) != SALT_LENGTH or salt_text(salt) != text:
        raise broken(f"salt must be base64 of {SALT_LENGTH} bytes")
    return salt


def fingerprint_field(metadata: Mapping[str, str | int]) -> str:
    """The 8 hex digits of `fingerprint`.

    Raises:
        IntegrityError: anything else.
    """
    text = metadata.get("fingerprint")
    if not isinstance(text, str) or not _FINGERPRINT.fullmatch(text):
        raise broken("fingerprint must be 8 hex digits")
    return text


def number_field(metadata: Mapping[str, str | int], name: str) -> int:
    """A whole number.

    Raises:
        IntegrityError: anything else, a truth value included.
    """
    value = metadata.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise broken(f"{name} must be a whole number")
    return value

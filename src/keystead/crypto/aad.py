"""Additional authenticated data, made canonical: one meaning, one spelling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from keystead.errors import UsageError

AAD: TypeAlias = "bytes | str | Mapping[str, str] | None"

BINDING_VERSION = 1
MAX_FIELD = 0xFFFFFFFE
_LENGTHS = tuple(length.to_bytes(4, "big") for length in range(256))


def join_fields(*fields: bytes | str | int | None) -> bytes:
    """Fields behind their 4-byte big-endian lengths, so that no two tuples give the same bytes.

    Text is UTF-8, an integer its decimal text; None is told apart from empty by the length 0xffffffff.

    Raises:
        ValueError: a field of 4 GiB or more.
    """
    parts: list[bytes] = []
    for field in fields:
        if field is None:
            parts.append(b"\xff\xff\xff\xff")
            continue
        data = field if type(field) is bytes else str(field).encode()
        length = len(data)
        if length < 256:
            parts += (_LENGTHS[length], data)
        elif length <= MAX_FIELD:
            parts += (length.to_bytes(4, "big"), data)
        else:
            raise ValueError("a field of an AAD must be shorter than 4 GiB")
    return b"".join(parts)


def bind(kind: str, *fields: bytes | str | int | None) -> bytes:
    """The AAD of what the store keeps: a version byte, the record's kind, then its length-prefixed fields."""
    return bytes((BINDING_VERSION,)) + join_fields(kind, *fields)


def canonical_aad(aad: AAD) -> bytes:
    """A caller's AAD as bytes: bytes as they are, text in UTF-8, a mapping sorted and length-prefixed, None empty.

    Raises:
        UsageError: another type, a mapping that is not of text to text, or text that has no UTF-8 form.
    """
    if aad is None:
        return b""
    if isinstance(aad, bytes):
        return aad
    try:
        if isinstance(aad, str):
            return aad.encode()
        if isinstance(aad, Mapping):
            return _canonical_mapping(aad)
        problem = "an AAD must be bytes, text, or a mapping of text to text"
    except UnicodeEncodeError:
        problem = "an AAD holds a character that is no Unicode text (half a surrogate pair)"
    # raised outside: the error of the codec holds the AAD
    raise UsageError(problem)


def _canonical_mapping(aad: Mapping[str, str]) -> bytes:
    for name, value in aad.items():
        if not (isinstance(name, str) and isinstance(value, str)):
            raise UsageError("an AAD mapping must be of text to text")
    items: list[str] = []
    for name in sorted(aad):
        items += (name, aad[name])
    return join_fields(*items)

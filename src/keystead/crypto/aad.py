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
        parts += (_LENGTHS[length] if length < 256 else _long(length), data)
    return b"".join(parts)


def _long(length: int) -> bytes:
    if length > MAX_FIELD:
        raise ValueError("a field of an AAD must be shorter than 4 GiB")
    return length.to_bytes(4, "big")


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
        if type(aad) is dict or isinstance(aad, Mapping):
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
    # As `join_fields` does it, in the fewest steps: each encryption under a context comes through here.
    parts: list[bytes] = []
    for name in sorted(aad):
        key, text = str(name).encode(), str(aad[name]).encode()
        length, size = len(key), len(text)
        parts += (
            _LENGTHS[length] if length < 256 else _long(length),
            key,
            _LENGTHS[size] if size < 256 else _long(size),
            text,
        )
    return b"".join(parts)

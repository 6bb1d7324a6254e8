"""Keys derived from a named key, one for each context."""

from __future__ import annotations

from typing import Final

from keystead.crypto.aad import join_fields
from keystead.crypto.kdf import derive
from keystead.errors import UsageError

MIN_DERIVED: Final = 16
MAX_DERIVED: Final = 8_160
"""255 blocks of SHA-256, the most that HKDF gives (RFC 5869 section 2.3)."""
MAX_CONTEXT: Final = 65_536
_LABEL: Final = b"keystead/named-key/context"


def derive_context_key(material: bytes | bytearray, context: bytes, length: int) -> bytes:
    """`length` bytes (16 to 8,160) for this context by HKDF-SHA256; the same each time for the same three.

    The length is part of the derivation, so that a shorter key is not the beginning of a longer one. `material` is
    that of a symmetric named key, 32 bytes or more; `context` is at most 65,536 bytes and may be public.

    Raises:
        UsageError: a length or context out of bounds.
        ValueError: material of fewer than 32 bytes.
    """
    if len(material) < 32:
        raise ValueError("the material to derive from is 32 bytes or more")
    if not MIN_DERIVED <= length <= MAX_DERIVED:
        raise UsageError(f"a derived key is {MIN_DERIVED} to {MAX_DERIVED} bytes")
    if len(context) > MAX_CONTEXT:
        raise UsageError(f"the context of a derived key is at most {MAX_CONTEXT} bytes")
    return derive(material, salt=b"", info=_LABEL + join_fields(length, context), length=length)

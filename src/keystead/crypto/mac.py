"""Keyed hashes (HMAC-SHA256, RFC 2104) and plain SHA-256."""

from __future__ import annotations

import hashlib
import hmac

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC


def mac(key: bytes | bytearray, message: bytes) -> bytes:
    """HMAC-SHA256, 32 bytes."""
    return hmac.digest(key, message, "sha256")


class MacKey:
    """HMAC-SHA256 under one key, set up once for many messages."""

    __slots__ = ("_keyed",)

    def __init__(self, key: bytes | bytearray) -> None:
        self._keyed = HMAC(key, SHA256())

    def mac(self, message: bytes) -> bytes:
        """The 32-byte code of a message."""
        keyed = self._keyed.copy()
        keyed.update(message)
        return keyed.finalize()


def same(left: bytes, right: bytes) -> bool:
    """Whether two byte strings are equal, in time that does not depend on where they differ."""
    return hmac.compare_digest(left, right)


def sha256(data: bytes) -> bytes:
    """SHA-256 (FIPS 180-4), 32 bytes."""
    return hashlib.sha256(data).digest()

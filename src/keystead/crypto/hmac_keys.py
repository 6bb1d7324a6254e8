"""HMAC (RFC 2104, FIPS 198-1) under a named key: full tags only, compared in constant time."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from typing import Final, NoReturn

from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.hmac import HMAC

from keystead.crypto.types import MATERIAL_LENGTH, KeyType
from keystead.errors import UsageError

_HASHES: Final[Mapping[KeyType, type[HashAlgorithm]]] = {
    KeyType.HMAC_SHA_256: SHA256,
    KeyType.HMAC_SHA_384: SHA384,
    KeyType.HMAC_SHA_512: SHA512,
}


class HmacKey:
    """HMAC under one key, set up once and copied for each message. It prints nothing and refuses pickle and copy.

    `start()` gives a copy that takes `update(message)` once and `finalize()`, for the hot path.

    Raises:
        UsageError: a type that is not HMAC, or material of another length than the type's.
    """

    __slots__ = ("_keyed", "key_type", "start")

    def __init__(self, key_type: KeyType, material: bytes | bytearray) -> None:
        if key_type not in _HASHES:
            raise UsageError(f"a key of type {key_type.value} does not authenticate messages")
        if len(material) != MATERIAL_LENGTH[key_type]:
            raise UsageError(f"material for a key of type {key_type.value} is {MATERIAL_LENGTH[key_type]} bytes")
        self.key_type = key_type
        self._keyed = HMAC(material, _HASHES[key_type]())
        self.start: Callable[[], HMAC] = self._keyed.copy

    def mac(self, message: bytes) -> bytes:
        """The tag of a message: 32, 48 or 64 bytes."""
        keyed = self._keyed.copy()
        keyed.update(message)
        return keyed.finalize()

    def verify(self, message: bytes, tag: bytes) -> bool:
        """Whether this is the whole tag of the message; a shortened one is none."""
        return hmac.compare_digest(self.mac(message), tag)

    def __repr__(self) -> str:
        return f"<{self.key_type.value} key>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a MAC key is not pickled or copied")

"""What callers give to the operations of named keys, checked."""

from __future__ import annotations

from collections.abc import Mapping

from keystead.crypto.types import ENCRYPTION, SIGNING, Algorithm, KeyType
from keystead.errors import UsageError
from keystead.keys.named.ring import LoadedKey


def chosen_algorithm(key: LoadedKey, asked: str | None, table: Mapping[KeyType, tuple[Algorithm, ...]]) -> Algorithm:
    """The algorithm that was asked for, or the type's own. Raises UsageError."""
    permitted = table[key.kind]
    if asked is None:
        return permitted[0]
    if asked not in permitted:
        raise UsageError(
            f"key {key.head.name} is of type {key.kind}, and not for {asked!s:.40}",
            hint=f"use {', '.join(permitted)}",
        )
    return Algorithm(asked)


def pair_type(kind: str) -> KeyType:
    """The type of a key pair. Raises UsageError."""
    if kind not in SIGNING and kind not in ENCRYPTION and not str(kind).startswith(("ecdh-", "ml-kem-")):
        raise UsageError("not a type of key pair", hint="for example ed25519, ecdsa-p256, rsa-3072 or ml-kem-768")
    return KeyType(kind)


def require_bytes(data: object) -> None:
    """Nothing, for bytes. Raises UsageError."""
    if type(data) is not bytes:
        raise not_bytes()


def not_bytes() -> UsageError:
    """What is raised for anything else than bytes."""
    return UsageError("data must be bytes", hint="encode text first")

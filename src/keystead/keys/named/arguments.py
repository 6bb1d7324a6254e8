"""What callers give to the operations of named keys, checked."""

from __future__ import annotations

from collections.abc import Mapping

from keystead.crypto.aad import AAD
from keystead.crypto.types import Algorithm, KeyType
from keystead.errors import UsageError
from keystead.keys.named.ring import LoadedKey
from keystead.keys.named.rules import PAIRS


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


def require_fixed(key: LoadedKey, algorithm: str | None) -> None:
    """Nothing, where no algorithm was asked of a type that has one only. Raises UsageError."""
    if algorithm is not None:
        raise UsageError(f"the type of key {key.head.name} fixes how it encrypts", hint="leave algorithm out")


def require_no_context(context: AAD) -> None:
    """Nothing, where nothing is to be bound. Raises UsageError."""
    if context is not None:
        raise UsageError("an RSA ciphertext binds no context", hint="leave context out, or use a symmetric key")


def pair_type(kind: str) -> KeyType:
    """The type of a key pair. Raises UsageError."""
    if isinstance(kind, str) and kind in PAIRS:
        return KeyType(kind)
    raise UsageError("not a type of key pair", hint=f"use one of {', '.join(sorted(PAIRS))}")


def require_bytes(data: object) -> None:
    """Nothing, for bytes. Raises UsageError."""
    if type(data) is not bytes:
        raise not_bytes()


def not_bytes() -> UsageError:
    """What is raised for anything else than bytes."""
    return UsageError("data must be bytes", hint="encode text first")

"""What the operations of named keys give."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from keystead.errors import KeysteadError


class Signature(NamedTuple):
    """A signature, the version that made it, and how."""

    signature: bytes
    version: int
    algorithm: str


class Mac(NamedTuple):
    """A MAC and the version that made it."""

    mac: bytes
    version: int


@dataclass(frozen=True, slots=True)
class GeneratedKey:
    """A fresh key for a caller: its material, None where it was not asked for, and the same encrypted."""

    plaintext: bytes | None = field(repr=False)
    ciphertext: bytes = field(repr=False)
    public: bytes | None = None


@dataclass(frozen=True, slots=True)
class SharedSecret:
    """What encapsulation gives: a secret, and the ciphertext from which only the private key makes it again."""

    secret: bytes = field(repr=False)
    ciphertext: bytes


class BatchItem(NamedTuple):
    """What came of one item of a batch: a value, or the error that the single call would have raised."""

    value: Any
    error: KeysteadError | None

"""Plain hashes for callers: SHA-2 (FIPS 180-4) and SHA-3 (FIPS 202)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class DigestAlgorithm(StrEnum):
    """A hash that may be asked for; none that is broken is among them."""

    SHA_256 = "sha-256"
    SHA_384 = "sha-384"
    SHA_512 = "sha-512"
    SHA3_256 = "sha3-256"
    SHA3_384 = "sha3-384"
    SHA3_512 = "sha3-512"


_NAMES: Final[Mapping[DigestAlgorithm, str]] = {
    DigestAlgorithm.SHA_256: "sha256",
    DigestAlgorithm.SHA_384: "sha384",
    DigestAlgorithm.SHA_512: "sha512",
    DigestAlgorithm.SHA3_256: "sha3_256",
    DigestAlgorithm.SHA3_384: "sha3_384",
    DigestAlgorithm.SHA3_512: "sha3_512",
}


def digest(algorithm: DigestAlgorithm, data: bytes) -> bytes:
    """The hash of `data`: 32, 48 or 64 bytes."""
    return hashlib.new(_NAMES[algorithm], data, usedforsecurity=True).digest()

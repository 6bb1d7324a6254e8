"""The two spellings of an ECDSA signature: DER (RFC 3279) and r ‖ s of fixed length (IEEE P1363, RFC 7518)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from keystead.crypto.types import KeyType
from keystead.errors import UsageError

_HALF: Final[Mapping[KeyType, int]] = {
    KeyType.ECDSA_P256: 32,
    KeyType.ECDSA_P384: 48,
    KeyType.ECDSA_P521: 66,
    KeyType.ECDSA_SECP256K1: 32,
}


def der_to_raw(key_type: KeyType, signature: bytes) -> bytes:
    """A DER signature of a key of this ECDSA type as r ‖ s, each as long as the curve's order: 64, 96 or 132 bytes.

    Raises:
        UsageError: not DER in its one spelling, or numbers too large for this curve.
    """
    half = _half(key_type)
    with suppress(ValueError, OverflowError):
        r, s = decode_dss_signature(signature)
        if r >= 0 and s >= 0 and encode_dss_signature(r, s) == signature:
            return r.to_bytes(half, "big") + s.to_bytes(half, "big")
    raise UsageError(f"this is not a DER signature of a key of type {key_type.value}")


def raw_to_der(key_type: KeyType, signature: bytes) -> bytes:
    """A signature r ‖ s of a key of this ECDSA type as DER; whether it is good is for `verify` to say.

    Raises:
        UsageError: another length than 64, 96 or 132 bytes for this curve.
    """
    half = _half(key_type)
    if len(signature) != 2 * half:
        raise UsageError(f"a signature of a key of type {key_type.value} is {2 * half} bytes, not {len(signature)}")
    return encode_dss_signature(int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big"))


def _half(key_type: KeyType) -> int:
    if key_type not in _HALF:
        raise UsageError(f"a key of type {key_type.value} does not sign by ECDSA")
    return _HALF[key_type]

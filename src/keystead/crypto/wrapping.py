"""Wrapping a key under another key: AES-256-GCM with a random nonce and the key's metadata as AAD."""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keystead.crypto.material import KEY_LENGTH, KeyMaterial, random_bytes
from keystead.errors import DecryptionError

_VERSION = b"\x01"
_NONCE = 12
WRAPPED_LENGTH = 1 + _NONCE + KEY_LENGTH + 16


def wrap_key(wrapping_key: bytes | bytearray, material: KeyMaterial, aad: bytes) -> bytes:
    """Version byte, nonce, encrypted 32 bytes, tag: 61 bytes. `wrapping_key` is 32 bytes."""
    if len(wrapping_key) != KEY_LENGTH:
        raise ValueError("a wrapping key is 32 bytes")
    nonce = random_bytes(_NONCE)
    return _VERSION + nonce + AESGCM(wrapping_key).encrypt(nonce, material.view(), aad)


def unwrap_key(wrapping_key: bytes | bytearray, wrapped: bytes, aad: bytes) -> KeyMaterial:
    """The wrapped key.

    Raises:
        DecryptionError: another length, version, wrapping key or AAD; nothing tells which.
    """
    if len(wrapping_key) != KEY_LENGTH:
        raise ValueError("a wrapping key is 32 bytes")
    if len(wrapped) != WRAPPED_LENGTH or wrapped[:1] != _VERSION:
        raise DecryptionError
    buffer = bytearray(KEY_LENGTH)
    try:
        AESGCM(wrapping_key).decrypt_into(wrapped[1 : 1 + _NONCE], wrapped[1 + _NONCE :], aad, buffer)
    except InvalidTag:
        raise DecryptionError from None
    material = KeyMaterial(buffer)
    buffer[:] = bytes(KEY_LENGTH)
    return material

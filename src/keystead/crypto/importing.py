"""Wrapped import: key material that crosses to keystead under a key of its own.

    offset  length  part
    0       512     RSA-OAEP (SHA-256, MGF1 with SHA-256, no label) of a fresh 32-byte AES key, under an RSA-4096 key
    512     n       AES-256 key wrap with padding (RFC 5649) of the material, under that AES key

This is what PKCS #11 calls CKM_RSA_AES_KEY_WRAP, so that hardware modules and `openssl` can make it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.keywrap import (
    InvalidUnwrap,
    aes_key_unwrap_with_padding,
    aes_key_wrap_with_padding,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from keystead.crypto.asymmetric import load_public
from keystead.crypto.keypair import PrivateKey
from keystead.crypto.material import random_bytes
from keystead.crypto.types import Algorithm, KeyType
from keystead.errors import DecryptionError, UsageError

WRAPPING_TYPE: Final = KeyType.RSA_4096
MAX_MATERIAL: Final = 16_384
_RSA_LENGTH: Final = 512
_KEY_LENGTH: Final = 32
# RFC 5649 makes 16 bytes of a material of 1 to 8, and whole 8-byte blocks with 8 bytes more of a longer one.
_MIN_WRAPPED: Final = 16
_MAX_WRAPPED: Final = MAX_MATERIAL + 8


def wrap_for_import(public_key: bytes | str, material: bytes | bytearray) -> bytes:
    """Material of 1 to 16,384 bytes, wrapped for the holder of the RSA-4096 key whose SubjectPublicKeyInfo this is.

    `public_key` is DER or PEM.

    Raises:
        UsageError: a public key of another type, or material of no bytes or too many.
    """
    if not isinstance(material, bytes | bytearray) or not 0 < len(material) <= MAX_MATERIAL:
        raise UsageError(f"key material to import is 1 to {MAX_MATERIAL} bytes")
    public = load_public(WRAPPING_TYPE, spki_der(public_key))
    key = random_bytes(_KEY_LENGTH)
    wrapped = aes_key_wrap_with_padding(key, bytes(material))
    return public.encrypt(key, Algorithm.RSAES_OAEP_SHA_256) + wrapped


def spki_der(public_key: bytes | str) -> bytes:
    """A SubjectPublicKeyInfo in DER, of DER or PEM; whether it is a key is for `load_public` to say.

    Raises:
        UsageError: neither bytes nor text, or PEM that is none.
    """
    data = public_key.encode() if isinstance(public_key, str) else public_key
    if not isinstance(data, bytes):
        raise UsageError("a public key is bytes or text", hint="give what keystead key public prints")
    if not data.lstrip().startswith(b"-----BEGIN PUBLIC KEY-----"):
        return data
    try:
        return load_pem_public_key(data).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        pass
    raise UsageError("what looks like a public key in PEM is none", hint="give what keystead key public prints")


def unwrap_import(private: PrivateKey, blob: bytes) -> bytearray:
    """The material of an import, unchecked (`asymmetric.check_material` comes next); its owner zeroes it.

    Raises:
        DecryptionError: it was not wrapped for this key, or is not whole; nothing tells which.
        ValueError: a private key that is not RSA-4096.
    """
    if private.key_type is not WRAPPING_TYPE:
        raise ValueError("imports are wrapped under an RSA-4096 key")
    wrapped = blob[_RSA_LENGTH:]
    if type(blob) is bytes and _MIN_WRAPPED <= len(wrapped) <= _MAX_WRAPPED:
        key = private.decrypt(blob[:_RSA_LENGTH], Algorithm.RSAES_OAEP_SHA_256)
        if len(key) == _KEY_LENGTH:
            with suppress(InvalidUnwrap, ValueError):
                return bytearray(aes_key_unwrap_with_padding(key, wrapped))
    raise DecryptionError

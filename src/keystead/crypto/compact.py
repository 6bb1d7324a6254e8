"""Compact ciphertext v2: the binary, committing format of docs/formats.md.

    offset  length  part
    0       2       magic "ks"
    2       1       version 0x02
    3       1       algorithm: 0x01 AES-256-GCM, 0x02 AES-256-GCM-SIV, 0x03 ChaCha20-Poly1305,
                    0x04 AES-256-GCM-SIV, deterministic; each with HKDF-SHA256 and a 32-byte commitment
    4       8       data-key reference
    12      16      salt
    28      32      commitment
    60      12      nonce
    72      n       ciphertext
    72 + n  16      tag

One HKDF call with the key, the salt and the label of algorithm and purpose gives the message key and the commitment.
The AAD of the cipher is the 72 header bytes followed by the caller's AAD. A key has one type, and a header with an
algorithm of another type is refused: whoever writes a ciphertext does not choose how it is opened.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TypeVar

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESGCMSIV, ChaCha20Poly1305

from keystead.crypto.kdf import derive_into
from keystead.crypto.mac import same
from keystead.crypto.material import KEY_LENGTH, random_bytes, random_nonce, zero
from keystead.crypto.purpose import Purpose, label
from keystead.crypto.types import KeyType
from keystead.errors import DecryptionError, EnvelopeError

MAGIC: Final = b"ks\x02\x01"
REFERENCE_LENGTH: Final = 8
SALT_LENGTH: Final = 16
PREFIX_LENGTH: Final = 60
HEADER_LENGTH: Final = 72
OVERHEAD: Final = HEADER_LENGTH + 16
TEXT_PREFIX: Final = "ks2_"
_ZERO_NONCE: Final = bytes(12)
_Cipher = AESGCM | AESGCMSIV | ChaCha20Poly1305


class _Suite(NamedTuple):
    """One algorithm of the header: its byte, its word in the derivation label, its cipher."""

    byte: bytes
    name: str
    cipher: type[_Cipher]


_GCM: Final = _Suite(b"\x01", "aes-256-gcm", AESGCM)
_GCM_SIV: Final = _Suite(b"\x02", "aes-256-gcm-siv", AESGCMSIV)
_CHACHA: Final = _Suite(b"\x03", "chacha20-poly1305", ChaCha20Poly1305)
_DETERMINISTIC: Final = _Suite(b"\x04", "aes-256-gcm-siv-deterministic", AESGCMSIV)
# The algorithms that a key of each type opens; the first is the one under which it seals with random nonces.
_SUITES: Final[Mapping[KeyType, Mapping[bytes, _Suite]]] = {
    KeyType.AES_256_GCM: {_GCM.byte: _GCM},
    KeyType.AES_256_GCM_SIV: {_GCM_SIV.byte: _GCM_SIV, _DETERMINISTIC.byte: _DETERMINISTIC},
    KeyType.CHACHA20_POLY1305: {_CHACHA.byte: _CHACHA},
}


class MessageKey:
    """The cipher's key and constant header under one data key or named key, purpose and salt.

    `encrypt(nonce, data, aad)` and `decrypt(nonce, data, aad)` are the cipher's bound methods, for the hot path.
    """

    __slots__ = ("_decrypt_into", "decrypt", "encrypt", "prefix")

    def __init__(self, prefix: bytes, message_key: bytes | bytearray, cipher_type: type[_Cipher] = AESGCM) -> None:
        cipher = cipher_type(message_key)
        self.prefix = prefix
        self.encrypt: Callable[[bytes, bytes, bytes], bytes] = cipher.encrypt
        self.decrypt: Callable[[bytes, bytes, bytes], bytes] = cipher.decrypt
        self._decrypt_into: Callable[[bytes, bytes, bytes, bytearray], int] = cipher.decrypt_into

    def seal(self, data: bytes, aad: bytes) -> bytes:
        """A compact ciphertext under a fresh random nonce."""
        nonce = random_nonce(12)
        header = self.prefix + nonce
        return header + self.encrypt(nonce, data, header + aad)

    def open(self, blob: bytes, aad: bytes) -> bytes:
        """The plaintext of a ciphertext under this constant header: this key, purpose, salt and algorithm.

        Raises:
            DecryptionError: its header is another, or it does not authenticate.
        """
        if blob[:60] != self.prefix:
            raise DecryptionError
        try:
            return self.decrypt(blob[60:72], blob[72:], blob[:72] + aad)
        except InvalidTag:
            raise DecryptionError from None

    def open_into(self, blob: bytes, aad: bytes) -> bytearray:
        """The same into a buffer, which its owner zeroes: for key material."""
        if blob[:60] != self.prefix:
            raise DecryptionError
        buffer = bytearray(len(blob) - OVERHEAD)
        try:
            self._decrypt_into(blob[60:72], blob[72:], blob[:72] + aad, buffer)
        except (InvalidTag, ValueError):
            raise DecryptionError from None
        return buffer


class DeterministicKey(MessageKey):
    """A message key that seals the same plaintext and AAD to the same ciphertext, with an all-zero nonce.

    AES-GCM-SIV stays sound when a nonce repeats, and then tells that two messages are equal, and nothing else
    (RFC 8452 section 9).
    """

    __slots__ = ()

    def seal(self, data: bytes, aad: bytes) -> bytes:
        """The one compact ciphertext of this plaintext and AAD under this key."""
        header = self.prefix + _ZERO_NONCE
        return header + self.encrypt(_ZERO_NONCE, data, header + aad)


_Key = TypeVar("_Key", bound=MessageKey)


def _derive(data_key: bytes | bytearray, salt: bytes, purpose: Purpose, suite: _Suite) -> bytearray:
    if len(data_key) != KEY_LENGTH:
        raise ValueError(f"a data key is {KEY_LENGTH} bytes")
    both = bytearray(64)
    derive_into(both, data_key, salt=salt, info=label("v2", purpose, suite.name))
    return both


def _message_key(made: type[_Key], prefix: bytes, both: bytearray, suite: _Suite) -> _Key:
    message_key = both[:32]
    key = made(prefix, message_key, suite.cipher)
    zero(message_key)
    zero(both)
    return key


def _new(
    made: type[_Key], suite: _Suite, material: bytes | bytearray, *, reference: bytes, purpose: Purpose, salt: bytes
) -> _Key:
    if len(reference) != REFERENCE_LENGTH or len(salt) != SALT_LENGTH:
        raise ValueError("a reference is 8 bytes and a salt 16")
    both = _derive(material, salt, purpose, suite)
    return _message_key(made, MAGIC[:3] + suite.byte + reference + salt + bytes(both[32:]), both, suite)


def new_message_key(
    reference: bytes,
    data_key: bytes | bytearray,
    purpose: Purpose,
    salt: bytes | None = None,
    key_type: KeyType = KeyType.AES_256_GCM,
) -> MessageKey:
    """A message key to encrypt with, under a fresh random salt unless the store keeps one for this purpose.

    `key_type` is one of `types.CIPHERS`, and `data_key` the 32 bytes of a data key or of a named key's version.
    """
    salt = random_bytes(SALT_LENGTH) if salt is None else salt
    suite = next(iter(_SUITES[key_type].values()))
    return _new(MessageKey, suite, data_key, reference=reference, purpose=purpose, salt=salt)


def new_deterministic_key(
    reference: bytes, material: bytes | bytearray, purpose: Purpose, salt: bytes
) -> DeterministicKey:
    """A key of type AES-256-GCM-SIV to encrypt deterministically with; `salt` is kept with the key and never changes.

    Its ciphertexts say so in their header, so that `message_key_for` opens them for a key of that type.
    """
    return _new(DeterministicKey, _DETERMINISTIC, material, reference=reference, purpose=purpose, salt=salt)


def message_key_for(
    prefix: bytes, data_key: bytes | bytearray, purpose: Purpose, key_type: KeyType = KeyType.AES_256_GCM
) -> MessageKey:
    """The message key of a constant header; the commitment is compared before a cipher is made.

    Raises:
        DecryptionError: the header's algorithm is not of this type, or it does not commit to this key and purpose.
    """
    suite = _SUITES[key_type].get(prefix[3:4])
    if suite is None:
        raise DecryptionError
    both = _derive(data_key, prefix[12:28], purpose, suite)
    if not same(bytes(both[32:]), prefix[28:60]):
        zero(both)
        raise DecryptionError
    made = DeterministicKey if suite is _DETERMINISTIC else MessageKey
    return _message_key(made, prefix, both, suite)


def check_form(blob: bytes, key_type: KeyType = KeyType.AES_256_GCM) -> None:
    """Return if the form is that of a v2 ciphertext under a key of this type.

    Raises:
        EnvelopeError: it is not; `field` names the part.
    """
    if type(blob) is not bytes:
        raise EnvelopeError("ciphertext", "must be bytes")
    if blob[:2] != MAGIC[:2]:
        raise EnvelopeError("magic", "is not that of a compact ciphertext")
    if blob[2:3] != MAGIC[2:3]:
        raise EnvelopeError("version", "is not one that this keystead reads")
    if blob[3:4] not in _SUITES[key_type]:
        raise EnvelopeError("algorithm", f"is not one of a key of type {key_type}")
    if len(blob) < OVERHEAD:
        raise EnvelopeError("ciphertext", f"is shorter than {OVERHEAD} bytes")


def to_text(blob: bytes) -> str:
    """The text form: `ks2_` and base64url without padding."""
    return TEXT_PREFIX + urlsafe_b64encode(blob).rstrip(b"=").decode("ascii")


def from_text(text: str) -> bytes:
    """The binary form of a text form; one spelling only.

    Raises:
        EnvelopeError: another prefix or spelling.
    """
    if type(text) is not str or not text.startswith(TEXT_PREFIX):
        raise EnvelopeError("text", f"must begin with {TEXT_PREFIX}")
    body = text[len(TEXT_PREFIX) :]
    try:
        blob = urlsafe_b64decode(body + "=" * (-len(body) % 4))
    except (Base64Error, ValueError):
        raise EnvelopeError("text", "is not base64url") from None
    if to_text(blob) != text:
        raise EnvelopeError("text", "is not the one base64url spelling of its bytes")
    return blob

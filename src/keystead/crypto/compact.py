"""Compact ciphertext v2: the binary, committing format of docs/formats.md.

    offset  length  part
    0       2       magic "ks"
    2       1       version 0x02
    3       1       algorithm 0x01: AES-256-GCM, HKDF-SHA256, 32-byte commitment
    4       8       data-key reference
    12      16      salt
    28      32      commitment
    60      12      nonce
    72      n       ciphertext
    72 + n  16      tag

One HKDF call with the data key, the salt and the purpose's label gives the message key and the commitment. The AAD of
the cipher is the 72 header bytes followed by the caller's AAD.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keystead.crypto.kdf import derive_into
from keystead.crypto.mac import same
from keystead.crypto.material import KEY_LENGTH, random_bytes, random_nonce, zero
from keystead.crypto.purpose import Purpose, label
from keystead.errors import DecryptionError, EnvelopeError

MAGIC: Final = b"ks\x02\x01"
REFERENCE_LENGTH: Final = 8
SALT_LENGTH: Final = 16
PREFIX_LENGTH: Final = 60
HEADER_LENGTH: Final = 72
OVERHEAD: Final = HEADER_LENGTH + 16
TEXT_PREFIX: Final = "ks2_"


class MessageKey:
    """The AES key and constant header under one data key, purpose and salt.

    `encrypt(nonce, data, aad)` and `decrypt(nonce, data, aad)` are the cipher's bound methods, for the hot path.
    """

    __slots__ = ("decrypt", "encrypt", "prefix")

    def __init__(self, prefix: bytes, message_key: bytes | bytearray) -> None:
        cipher = AESGCM(message_key)
        self.prefix = prefix
        self.encrypt: Callable[[bytes, bytes, bytes], bytes] = cipher.encrypt
        self.decrypt: Callable[[bytes, bytes, bytes], bytes] = cipher.decrypt

    def seal(self, data: bytes, aad: bytes) -> bytes:
        """A compact ciphertext under a fresh random nonce."""
        nonce = random_nonce(12)
        header = self.prefix + nonce
        return header + self.encrypt(nonce, data, header + aad)

    def open(self, blob: bytes, aad: bytes) -> bytes:
        """The plaintext of a ciphertext whose constant header is this key's.

        Raises:
            DecryptionError: it does not authenticate.
        """
        try:
            return self.decrypt(blob[60:72], blob[72:], blob[:72] + aad)
        except InvalidTag:
            raise DecryptionError from None


def _derive(data_key: bytes | bytearray, salt: bytes, purpose: Purpose) -> bytearray:
    if len(data_key) != KEY_LENGTH:
        raise ValueError(f"a data key is {KEY_LENGTH} bytes")
    both = bytearray(64)
    derive_into(both, data_key, salt=salt, info=label("v2", purpose))
    return both


def _message_key(prefix: bytes, both: bytearray) -> MessageKey:
    message_key = both[:32]
    made = MessageKey(prefix, message_key)
    zero(message_key)
    zero(both)
    return made


def new_message_key(
    reference: bytes, data_key: bytes | bytearray, purpose: Purpose, salt: bytes | None = None
) -> MessageKey:
    """A message key to encrypt with, under a fresh random salt unless the store keeps one for this purpose."""
    salt = random_bytes(SALT_LENGTH) if salt is None else salt
    if len(reference) != REFERENCE_LENGTH or len(salt) != SALT_LENGTH:
        raise ValueError("a reference is 8 bytes and a salt 16")
    both = _derive(data_key, salt, purpose)
    return _message_key(MAGIC + reference + salt + bytes(both[32:]), both)


def message_key_for(prefix: bytes, data_key: bytes | bytearray, purpose: Purpose) -> MessageKey:
    """The message key of a constant header; the commitment is compared before a cipher is made.

    Raises:
        DecryptionError: the header does not commit to this data key and purpose.
    """
    both = _derive(data_key, prefix[12:28], purpose)
    if not same(bytes(both[32:]), prefix[28:60]):
        zero(both)
        raise DecryptionError
    return _message_key(prefix, both)


def check_form(blob: bytes) -> None:
    """Return if the form is that of a v2 ciphertext.

    Raises:
        EnvelopeError: it is not; `field` names the part.
    """
    if type(blob) is not bytes:
        raise EnvelopeError("ciphertext", "must be bytes")
    if blob[:2] != MAGIC[:2]:
        raise EnvelopeError("magic", "is not that of a compact ciphertext")
    if blob[2:3] != MAGIC[2:3]:
        raise EnvelopeError("version", "is not one that this keystead reads")
    if blob[3:4] != MAGIC[3:4]:
        raise EnvelopeError("algorithm", "is not one that this keystead reads")
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

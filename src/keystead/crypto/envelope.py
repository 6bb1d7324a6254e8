"""Envelope v1: the JSON object of docs/formats.md, for people who put ciphertext into their own database."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping
from typing import Any, Final, TypedDict

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keystead.crypto.kdf import derive
from keystead.crypto.mac import same
from keystead.crypto.material import random_bytes
from keystead.crypto.purpose import Purpose, label
from keystead.errors import DecryptionError, EnvelopeError

ALGORITHM: Final = "aes-256-gcm"
MAX_TEXT: Final = 128 * 1024 * 1024
_FIELDS: Final = frozenset(("v", "alg", "keyId", "iv", "tag", "ciphertext", "aad", "timestamp"))
_REQUIRED: Final = _FIELDS - {"aad"}
_MAX_TIMESTAMP: Final = 1 << 53


class Envelope(TypedDict):
    """The fields of an envelope v1; `iv`, `tag`, `ciphertext` and `aad` are standard base64 with padding."""

    v: int
    alg: str
    keyId: str
    iv: str
    tag: str
    ciphertext: str
    aad: str
    timestamp: int


class EnvelopeKey:
    """The AES key of envelopes under one data key: HKDF-SHA256 of it with an empty salt and a fixed label."""

    __slots__ = ("_decrypt", "_encrypt", "key_id")

    def __init__(self, key_id: str, data_key: bytes | bytearray) -> None:
        cipher = AESGCM(derive(data_key, salt=b"", info=label("v1", Purpose.CALLER)))
        self.key_id = key_id
        self._encrypt: Callable[[bytes, bytes, bytes], bytes] = cipher.encrypt
        self._decrypt: Callable[[bytes, bytes, bytes], bytes] = cipher.decrypt

    def seal(self, plaintext: bytes, aad: bytes, now_ms: int) -> Envelope:
        """A new envelope under a fresh random 12-byte iv."""
        iv = random_bytes(12)
        sealed = self._encrypt(iv, plaintext, aad)
        return {
            "v": 1,
            "alg": ALGORITHM,
            "keyId": self.key_id,
            "iv": b64encode(iv).decode("ascii"),
            "tag": b64encode(sealed[-16:]).decode("ascii"),
            "ciphertext": b64encode(sealed[:-16]).decode("ascii"),
            "aad": b64encode(aad).decode("ascii") if aad else "",
            "timestamp": now_ms,
        }

    def open(self, parts: EnvelopeParts, aad: bytes | None) -> bytes:
        """The plaintext. `aad=None` accepts the envelope's own; otherwise it must match, in constant time.

        Raises:
            DecryptionError: any of iv, tag, ciphertext and aad is not what was sealed; nothing tells which.
        """
        matches = aad is None or same(aad, parts[4])
        try:
            plaintext = self._decrypt(parts[1], parts[2] + parts[3], parts[4])
        except InvalidTag:
            raise DecryptionError from None
        if not matches:
            raise DecryptionError
        return plaintext


EnvelopeParts = tuple[str, bytes, bytes, bytes, bytes]
"""Key id, iv, ciphertext, tag, aad."""


def _decode(name: str, value: object) -> bytes:
    if type(value) is not str:
        raise EnvelopeError(name, "must be base64 text")
    try:
        data = b64decode(value, validate=True)
    except (Base64Error, ValueError):
        raise EnvelopeError(name, "is not standard base64 with padding") from None
    # A strict decoder still takes trailing bits that encode nothing; one value has one spelling here. They can only
    # hide in the last group of four, and only if it is padded.
    if value[-1:] == "=" and b64encode(data[-(len(data) % 3) :]).decode("ascii") != value[-4:]:
        raise EnvelopeError(name, "is not the one base64 spelling of its bytes")
    return data


def parse(envelope: Mapping[str, Any] | str | bytes) -> EnvelopeParts:
    """Check the form of an envelope, given as mapping or JSON text, and decode its parts.

    Raises:
        EnvelopeError: anything wrong with form; its `field` names the field.
    """
    fields = _from_text(envelope) if isinstance(envelope, (str, bytes)) else envelope
    try:
        version, algorithm, key_id = fields["v"], fields["alg"], fields["keyId"]
        iv, tag, ciphertext = fields["iv"], fields["tag"], fields["ciphertext"]
        timestamp = fields["timestamp"]
    except KeyError as missing:
        raise EnvelopeError(str(missing.args[0]), "is missing") from None
    except TypeError:
        raise EnvelopeError("envelope", "must be a JSON object or its text") from None
    own_aad = fields.get("aad")
    if len(fields) != 8 and fields.keys() - _FIELDS:
        raise EnvelopeError("envelope", "has a field that envelope v1 does not know")
    if type(version) is not int or version != 1:
        raise EnvelopeError("v", "must be 1")
    if type(algorithm) is not str or algorithm != ALGORITHM:
        raise EnvelopeError("alg", f"must be {ALGORITHM}")
    if type(key_id) is not str or not 0 < len(key_id) <= 128:
        raise EnvelopeError("keyId", "must be text of 1 to 128 characters")
    if type(timestamp) is not int or not 0 <= timestamp < _MAX_TIMESTAMP:
        raise EnvelopeError("timestamp", "must be milliseconds since the epoch")
    iv_bytes, tag_bytes = _decode("iv", iv), _decode("tag", tag)
    if len(iv_bytes) != 12:
        raise EnvelopeError("iv", "must be 12 bytes")
    if len(tag_bytes) != 16:
        raise EnvelopeError("tag", "must be 16 bytes")
    return key_id, iv_bytes, _decode("ciphertext", ciphertext), tag_bytes, _decode("aad", own_aad) if own_aad else b""


def _from_text(text: str | bytes) -> Mapping[str, Any]:
    if len(text) > MAX_TEXT:
        raise EnvelopeError("envelope", f"is longer than {MAX_TEXT} characters")
    try:
        decoded = text.decode("utf-8") if isinstance(text, bytes) else text
        value = json.loads(
            decoded, object_pairs_hook=_unique, parse_float=_no_float, parse_constant=_no_float, parse_int=_small_int
        )
    except EnvelopeError:
        raise
    except (ValueError, RecursionError):
        raise EnvelopeError("envelope", "is not JSON") from None
    if not isinstance(value, dict):
        raise EnvelopeError("envelope", "must be a JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise EnvelopeError(name if name in _FIELDS else "envelope", "has a field twice")
            seen.add(name)
    return fields


def _no_float(_text: str) -> Any:
    raise EnvelopeError("envelope", "holds a number that is not a whole number")


def _small_int(text: str) -> int:
    if len(text) > 19:
        raise EnvelopeError("envelope", "holds a number that is too large")
    return int(text)

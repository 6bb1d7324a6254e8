"""Envelope v1: the JSON object of docs/formats.md, for people who put ciphertext into their own database."""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Mapping
from hmac import compare_digest
from json import JSONDecoder
from operator import itemgetter
from typing import Any, Final, NoReturn, TypedDict

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keystead.crypto.kdf import derive_into
from keystead.crypto.material import KEY_LENGTH, random_nonce, zero
from keystead.crypto.purpose import Purpose, label
from keystead.errors import DecryptionError, EnvelopeError

ALGORITHM: Final = "aes-256-gcm"
MAX_TEXT: Final = 128 * 1024 * 1024
MAX_KEY_ID: Final = 128
_REQUIRED: Final = ("v", "alg", "keyId", "iv", "tag", "ciphertext", "timestamp")
_required: Final = itemgetter(*_REQUIRED)
_FIELDS: Final = frozenset((*_REQUIRED, "aad"))
_MAX_TIMESTAMP: Final = 1 << 53
# How a last group of one byte and of two bytes may end: the bits that encode nothing are zero.
_ENDS_OF_ONE: Final = frozenset(f"{last}==" for last in "AQgw")
_ENDS_OF_TWO: Final = frozenset(f"{last}=" for last in "AEIMQUYcgkosw048")
_ABSENT: Final = object()


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


EnvelopeParts = tuple[str, bytes, bytes, bytes, bytes]
"""Key id, iv, ciphertext, tag, aad."""


class EnvelopeKey:
    """The AES key of envelopes under one data key: HKDF-SHA256 of it with an empty salt and a fixed label.

    Raises:
        ValueError: a data key other than 32 bytes.
    """

    __slots__ = ("_decrypt", "_encrypt", "key_id")

    def __init__(self, key_id: str, data_key: bytes | bytearray) -> None:
        if len(data_key) != KEY_LENGTH:
            raise ValueError(f"a data key is {KEY_LENGTH} bytes")
        message_key = bytearray(KEY_LENGTH)
        derive_into(message_key, data_key, salt=b"", info=label("v1", Purpose.CALLER))
        cipher = AESGCM(message_key)
        zero(message_key)
        self.key_id = key_id
        self._encrypt: Callable[[bytes, bytes, bytes], bytes] = cipher.encrypt
        self._decrypt: Callable[[bytes, bytes, bytes], bytes] = cipher.decrypt

    def seal(self, plaintext: bytes, aad: bytes, now_ms: int) -> Envelope:
        """A new envelope under a fresh random 12-byte iv."""
        iv = random_nonce(12)
        sealed = self._encrypt(iv, plaintext, aad)
        # 12 bytes fill 16 characters without padding, so iv and tag share one encoding and are cut apart.
        both = b2a_base64(iv + sealed[-16:], newline=False).decode("ascii")
        return {
            "v": 1,
            "alg": ALGORITHM,
            "keyId": self.key_id,
            "iv": both[:16],
            "tag": both[16:],
            "ciphertext": b2a_base64(sealed[:-16], newline=False).decode("ascii"),
            "aad": b2a_base64(aad, newline=False).decode("ascii") if aad else "",
            "timestamp": now_ms,
        }

    def open(self, parts: EnvelopeParts, aad: bytes | None) -> bytes:
        """The plaintext. `aad=None` accepts the envelope's own; otherwise it must match, in constant time.

        Raises:
            DecryptionError: any of iv, tag, ciphertext and aad is not what was sealed; nothing tells which.
        """
        _, iv, ciphertext, tag, own_aad = parts
        matches = aad is None or compare_digest(aad, own_aad)
        try:
            plaintext = self._decrypt(iv, ciphertext + tag, own_aad)
        except InvalidTag:
            raise DecryptionError from None
        if not matches:
            raise DecryptionError
        return plaintext


def parse(envelope: Mapping[str, Any] | str | bytes) -> EnvelopeParts:
    """Check the form of an envelope, given as mapping or JSON text, and decode its parts.

    Raises:
        EnvelopeError: anything wrong with form; its `field` names the field.
    """
    fields = envelope if type(envelope) is dict else _mapping(envelope)
    try:
        version, algorithm, key_id, iv, tag, ciphertext, timestamp = _required(fields)
    except KeyError:
        missing = next((name for name in _REQUIRED if name not in fields), "envelope")
        raise EnvelopeError(missing, "is missing") from None
    aad = fields.get("aad", _ABSENT)
    if len(fields) != (7 if aad is _ABSENT else 8):
        raise EnvelopeError("envelope", "has a field that envelope v1 does not know")
    if type(version) is not int or version != 1:
        raise EnvelopeError("v", "must be 1")
    if type(algorithm) is not str or algorithm != ALGORITHM:
        raise EnvelopeError("alg", f"must be {ALGORITHM}")
    if type(key_id) is not str or not 0 < len(key_id) <= MAX_KEY_ID or not (key_id.isascii() and key_id.isprintable()):
        raise EnvelopeError("keyId", f"must be 1 to {MAX_KEY_ID} printable ASCII characters")
    if type(timestamp) is not int or not 0 <= timestamp < _MAX_TIMESTAMP:
        raise EnvelopeError("timestamp", "must be milliseconds since the epoch")
    both = b""
    # One decoding for both where the lengths already fit; anything else is taken apart to name the field.
    if type(iv) is str and type(tag) is str and len(iv) == 16 and len(tag) == 24 and tag[-3:] in _ENDS_OF_ONE:
        try:
            both = a2b_base64(iv + tag)
        except ValueError:
            both = b""
    if len(both) != 28:
        _refuse_iv_or_tag(iv, tag)
    own_aad = _decode("aad", aad) if aad and aad is not _ABSENT else _no_aad(aad)
    return key_id, both[:12], _decode("ciphertext", ciphertext), both[12:], own_aad


def _no_aad(aad: object) -> bytes:
    if aad is _ABSENT or aad is None or (type(aad) is str and aad == ""):
        return b""
    raise EnvelopeError("aad", "must be base64 text, null or missing")


def _refuse_iv_or_tag(iv: object, tag: object) -> NoReturn:
    if len(_decode("iv", iv)) != 12:
        raise EnvelopeError("iv", "must be 12 bytes")
    _decode("tag", tag)
    raise EnvelopeError("tag", "must be 16 bytes")


def _decode(name: str, value: object) -> bytes:
    if type(value) is not str:
        raise EnvelopeError(name, "must be base64 text")
    try:
        data = a2b_base64(value)
    except (Base64Error, ValueError):
        raise EnvelopeError(name, "is not standard base64 with padding") from None
    # The decoder passes over foreign characters, which leaves too few bytes for the text. Padding in the wrong place,
    # or bits that encode nothing, show in the last characters.
    length = len(data)
    if (length + 2) // 3 * 4 != len(value):
        raise EnvelopeError(name, "is not standard base64 with padding")
    rest = length % 3
    if (rest == 1 and value[-3:] not in _ENDS_OF_ONE) or (rest == 2 and value[-2:] not in _ENDS_OF_TWO):
        raise EnvelopeError(name, "is not the one base64 spelling of its bytes")
    return data


def _mapping(envelope: object) -> Mapping[str, Any]:
    if isinstance(envelope, (str, bytes)):
        return _from_text(envelope)
    if isinstance(envelope, Mapping):
        return envelope
    raise EnvelopeError("envelope", "must be a JSON object or its text")


def _from_text(text: str | bytes) -> Mapping[str, Any]:
    if len(text) > MAX_TEXT:
        raise EnvelopeError("envelope", f"is longer than {MAX_TEXT} characters")
    value: Any = _ABSENT
    try:
        value = _DECODER.decode(text.decode("utf-8") if isinstance(text, bytes) else text)
    except EnvelopeError:
        raise
    except (ValueError, RecursionError):
        pass  # raised below, outside: the reader's error holds the text, which may be no envelope but plaintext
    if value is _ABSENT:
        raise EnvelopeError("envelope", "is not JSON")
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


_DECODER: Final = JSONDecoder(
    object_pairs_hook=_unique, parse_float=_no_float, parse_constant=_no_float, parse_int=_small_int
)

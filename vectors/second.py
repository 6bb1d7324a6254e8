"""A second implementation of docs/formats.md, put together from HMAC and bare ciphers with salts and nonces given.

Nothing here imports keystead, so that an error in either implementation shows.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode, urlsafe_b64encode
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESGCMSIV, ChaCha20Poly1305

PURPOSES = ("caller", "secret", "stream", "backup", "audit", "named-key", "second-factor", "answer")
FORM = "EnvelopeError"
FORGED = "DecryptionError"

Case = dict[str, Any]

SUITES: dict[str, tuple[bytes, Any]] = {
    "aes-256-gcm": (b"\x01", AESGCM),
    "aes-256-gcm-siv": (b"\x02", AESGCMSIV),
    "chacha20-poly1305": (b"\x03", ChaCha20Poly1305),
    "aes-256-gcm-siv-deterministic": (b"\x04", AESGCMSIV),
}
"""Algorithm byte and cipher of each algorithm of a compact ciphertext, by its word in the label."""


def pattern(name: str, length: int) -> bytes:
    """Bytes that look random and are the same every time."""
    blocks = (hashlib.sha256(f"{name}/{number}".encode()).digest() for number in range(length // 32 + 1))
    return b"".join(blocks)[:length]


def hkdf(key: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869 with SHA-256."""
    extracted = hmac.digest(salt or bytes(32), key, "sha256")
    block, okm, number = b"", b"", 1
    while len(okm) < length:
        block = hmac.digest(extracted, block + info + bytes((number,)), "sha256")
        okm += block
        number += 1
    return okm[:length]


def info(form: str, purpose: str, algorithm: str = "aes-256-gcm") -> bytes:
    """The label of a format, algorithm and purpose."""
    return f"keystead/{form}/{algorithm}/{purpose}".encode()


def b64(data: bytes) -> str:
    """Standard base64."""
    return b64encode(data).decode()


def flip(data: bytes, bit: int) -> bytes:
    """`data` with one bit changed; bit 0 is the lowest of the first byte."""
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def fields(*values: bytes | str | int | None) -> bytes:
    """Length-prefixed fields."""
    out = b""
    for value in values:
        if value is None:
            out += b"\xff" * 4
        else:
            data = value if isinstance(value, bytes) else str(value).encode()
            out += len(data).to_bytes(4, "big") + data
    return out


DATA_KEY = pattern("data key", 32)
OTHER_KEY = pattern("another data key", 32)
REFERENCE = pattern("reference", 8)


def envelope_key(data_key: bytes = DATA_KEY) -> bytes:
    """The AES key of envelopes v1."""
    return hkdf(data_key, b"", info("v1", "caller"), 32)


def envelope(plaintext: bytes, aad: bytes, iv: bytes, timestamp: int) -> Case:
    """An envelope v1 under DATA_KEY."""
    sealed = AESGCM(envelope_key()).encrypt(iv, plaintext, aad)
    return {
        "v": 1,
        "alg": "aes-256-gcm",
        "keyId": "default-1707000000000",
        "iv": b64(iv),
        "tag": b64(sealed[-16:]),
        "ciphertext": b64(sealed[:-16]),
        "aad": b64(aad),
        "timestamp": timestamp,
    }


def compact(
    plaintext: bytes,
    aad: bytes,
    purpose: str,
    salt: bytes,
    nonce: bytes,
    *,
    key: bytes = DATA_KEY,
    algorithm: str = "aes-256-gcm",
) -> bytes:
    """A compact ciphertext v2."""
    both = hkdf(key, salt, info("v2", purpose, algorithm), 64)
    byte, cipher = SUITES[algorithm]
    header = b"ks\x02" + byte + REFERENCE + salt + both[32:] + nonce
    sealed: bytes = cipher(both[:32]).encrypt(nonce, plaintext, header + aad)
    return header + sealed


def text_form(blob: bytes) -> str:
    """The text form of a compact ciphertext."""
    return "ks2_" + urlsafe_b64encode(blob).decode().rstrip("=")


def stream(plaintext: bytes, aad: bytes, size: int, salt: bytes, purpose: str = "stream") -> tuple[bytes, list[bytes]]:
    """Header and sealed chunks of a stream."""
    both = hkdf(DATA_KEY, salt, info("stream", purpose), 64)
    header = b"ks\x81\x01" + REFERENCE + salt + both[32:] + size.to_bytes(4, "big")
    bound, cipher = hashlib.sha256(header + aad).digest(), AESGCM(both[:32])
    pieces = [plaintext[at : at + size] for at in range(0, len(plaintext), size)] or [b""]
    return header, [
        cipher.encrypt(number.to_bytes(11, "big") + bytes((number == len(pieces) - 1,)), piece, bound)
        for number, piece in enumerate(pieces)
    ]


def wrap(key: bytes, material: bytes, nonce: bytes, aad: bytes) -> bytes:
    """A wrapped key."""
    return b"\x01" + nonce + AESGCM(key).encrypt(nonce, material, aad)

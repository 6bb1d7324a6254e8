"""Known answers of the primitives, asked once at start: a broken library is refused before it touches any data."""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keystead.crypto.kdf import derive
from keystead.crypto.mac import mac, same
from keystead.errors import IntegrityError

_KEY: Final = bytes(range(32))
_NONCE: Final = bytes(range(12))
_AAD: Final = b"self-check"
_PLAINTEXT: Final = b"known answer, both ways"
_SEALED: Final = bytes.fromhex("2c6cb96cabc5a375fe36f2f99dc91a02f7bea74391022c4b88ff0019fb47b7e8df8e6678a60c6d")
_OKM: Final = bytes.fromhex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865")
_HMAC: Final = bytes.fromhex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")


def run() -> None:
    """Return if AES-256-GCM, HKDF-SHA256 and HMAC-SHA256 give their known answers and a false tag is refused.

    Raises:
        IntegrityError: one does not; the message names it. No key of the caller is touched.
    """
    cipher = AESGCM(_KEY)
    _require(cipher.encrypt(_NONCE, _PLAINTEXT, _AAD) == _SEALED, "AES-256-GCM encryption")
    try:
        opened = cipher.decrypt(_NONCE, _SEALED, _AAD)
    except InvalidTag:
        opened = b""
    _require(opened == _PLAINTEXT, "AES-256-GCM decryption")
    for forged, aad in ((_SEALED[:-1] + bytes((_SEALED[-1] ^ 1,)), _AAD), (_SEALED, _AAD + b"!")):
        try:
            cipher.decrypt(_NONCE, forged, aad)
        except InvalidTag:
            continue
        _require(False, "the refusal of a false AES-256-GCM tag")
    # RFC 5869 test case 1 and RFC 4231 test case 2.
    okm = derive(b"\x0b" * 22, salt=bytes(range(13)), info=bytes(range(0xF0, 0xFA)), length=42)
    _require(okm == _OKM, "HKDF-SHA256")
    _require(mac(b"Jefe", b"what do ya want for nothing?") == _HMAC, "HMAC-SHA256")
    _require(same(_HMAC, _HMAC) and not same(_HMAC, _OKM[:32]), "the comparison of secrets")


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise IntegrityError(
            f"the cryptographic self-check failed: {what}",
            why="the installed cryptography library, or the processor, does not compute what the standard says",
            hint="reinstall the package cryptography, and try another machine",
        )

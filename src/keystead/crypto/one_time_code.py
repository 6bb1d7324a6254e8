"""One-time codes by time (RFC 6238) as authenticator apps make them: SHA-1, six digits, 30 seconds."""

from __future__ import annotations

from base64 import b32encode
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from keystead.crypto.mac import same
from keystead.crypto.material import random_bytes

SECRET_LENGTH: Final = 20
DIGITS: Final = 6
STEP_SECONDS: Final = 30
WINDOW: Final = 1
"""How many steps a clock may differ, before and behind."""
ISSUER: Final = "keystead"


def new_secret() -> bytes:
    """20 random bytes, as long as the hash (RFC 4226, section 4)."""
    return random_bytes(SECRET_LENGTH)


def matching_step(secret: bytes | bytearray, code: str, now_ms: int) -> int | None:
    """The step that a code is of, within the window; None where it is of none.

    Every step of the window is looked at, whichever fits. Of two steps that have the same code the newest is given, so
    that whoever keeps it as the last one used leaves neither to be used again.
    """
    codes, now, found = _codes(secret), now_ms // (STEP_SECONDS * 1000), None
    shown = code.encode()
    for step in range(max(0, now - WINDOW), now + WINDOW + 1):
        if same(codes.generate(step * STEP_SECONDS), shown):
            found = step
    return found


def text_of(secret: bytes | bytearray) -> str:
    """The secret in base32, as a person types it into an app."""
    return b32encode(secret).decode()


def otpauth_uri(secret: bytes | bytearray, account: str) -> str:
    """What an app reads out of a picture: `otpauth://totp/keystead:ACCOUNT?...`."""
    return _codes(secret).get_provisioning_uri(account, ISSUER)


def _codes(secret: bytes | bytearray) -> TOTP:
    return TOTP(secret, DIGITS, SHA1(), STEP_SECONDS)  # noqa: S303 - as a MAC, and the only one that all apps know

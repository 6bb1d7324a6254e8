"""What a derived key is for. The purpose comes from the code that calls, never from a header."""

from __future__ import annotations

from enum import StrEnum


class Purpose(StrEnum):
    """One key, one purpose: each has its own derivation label, so no ciphertext of one opens as another."""

    CALLER = "caller"
    SECRET = "secret"
    STREAM = "stream"
    BACKUP = "backup"
    AUDIT = "audit"
    NAMED_KEY = "named-key"
    SECOND_FACTOR = "second-factor"
    ANSWER = "answer"


def label(form: str, purpose: Purpose, algorithm: str = "aes-256-gcm") -> bytes:
    """The HKDF info of format, algorithm and purpose, as docs/formats.md gives it."""
    return f"keystead/{form}/{algorithm}/{purpose.value}".encode()

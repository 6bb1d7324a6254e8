"""Base64url without padding (RFC 7515 appendix C), in its one spelling."""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from typing import Final

_TEXT: Final = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)
_TO_STANDARD: Final = str.maketrans("-_", "+/")
_TO_URL: Final = str.maketrans("+/", "-_", "=")


def decode(text: str) -> bytes:
    """The bytes that `text` spells.

    Raises:
        ValueError: a sign outside the alphabet, padding, an impossible length, or unused bits that are not zero, by
            which one value would have several spellings.
    """
    if not _TEXT.fullmatch(text) or len(text) % 4 == 1:
        raise ValueError("not base64url")
    data = a2b_base64(text.translate(_TO_STANDARD) + "=" * (-len(text) % 4))
    if encode(data) != text:
        raise ValueError("not base64url in its one spelling")
    return data


def encode(data: bytes) -> str:
    """`data` as base64url without padding."""
    return b2a_base64(data, newline=False).decode("ascii").translate(_TO_URL)

"""The master key as text: 32 bytes in standard base64, one spelling only."""

from __future__ import annotations

import base64
import re
from typing import ClassVar

from keystead.crypto.kdf import derive
from keystead.crypto.mac import same
from keystead.crypto.material import KEY_LENGTH, KeyMaterial, random_bytes
from keystead.errors import MasterKeyInvalid

_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_HEX = re.compile(r"[0-9A-Fa-f]{64}")
_PERIODS = (1, 2, 4, 8, 16)
_HINT = "give the store's own master key; for a new store, `keystead generate-master-key` prints one"


class MasterKey(KeyMaterial):
    """The 32 bytes of a master key; it prints nothing and refuses pickle and copy."""

    __slots__ = ()
    kind: ClassVar[str] = "master-key"

    def __repr__(self) -> str:
        return "<master key>"


def fingerprint(key: KeyMaterial, *, kind: str = MasterKey.kind) -> str:
    """8 hex digits that name a key without telling it; keys of two kinds never share a derivation."""
    return derive(key.view(), salt=b"", info=f"keystead/slot/{kind}/fingerprint".encode(), length=4).hex()


def generate_master_key() -> str:
    """A fresh master key as base64 text of 44 characters, without a newline."""
    while True:
        key = random_bytes(KEY_LENGTH)
        if not _weakness(key):
            return base64.b64encode(key).decode()


def parse_master_key(text: str, *, source: str, from_file: bool = False) -> MasterKey:
    """The master key that `text` spells.

    `source` is the variable or file that gave the text, for the message. Text that is the whole of a file
    (`from_file=True`) may end with exactly one newline, since editors and `echo` put it there; text from anywhere
    else may not.

    Raises:
        MasterKeyInvalid: anything but canonical base64 of 32 bytes; bytes that repeat; 32 printable characters.
            The message names the source, the bytes found and needed, and never the value.
    """
    value = text[:-1] if from_file and text.endswith("\n") else text
    if not value:
        raise _refusal(source, "0 bytes", "it is empty")
    problem = _spelling(value)
    if problem:
        size = len(value.encode("utf-8", "surrogatepass"))
        raise _refusal(source, f"{size} bytes of text that are no base64", problem)
    key = base64.b64decode(value, validate=True)
    if len(key) != KEY_LENGTH:
        why = "it looks like hex, which is not guessed at" if _HEX.fullmatch(value) else ""
        raise _refusal(source, f"{len(key)} bytes", why)
    if not same(base64.b64encode(key), value.encode()):
        raise _refusal(
            source, f"{len(key)} bytes", "the base64 text ends in bits that mean nothing, so it was mistyped"
        )
    weakness = _weakness(key)
    if weakness:
        raise _refusal(source, f"{len(key)} bytes", weakness)
    return MasterKey(key)


def _spelling(value: str) -> str:
    """What keeps `value` from being standard base64 with padding; empty where nothing does."""
    if not value.isascii():
        return "it holds characters outside ASCII"
    if value.endswith("\n"):
        return "it ends with a newline; one newline is accepted at the end of a file and nowhere else"
    if any(character.isspace() for character in value):
        return "it holds white space or a line break"
    if "-" in value or "_" in value:
        return "it uses the URL-safe alphabet; standard base64 has + and /"
    if not _BASE64.fullmatch(value):
        return "it holds characters that standard base64 has not, or padding in the middle"
    return "its padding is missing or wrong" if len(value) % 4 else ""


def _weakness(key: bytes) -> str:
    """Why 32 bytes cannot be the output of a random generator; empty where nothing shows."""
    if any(same(key[:period] * (KEY_LENGTH // period), key) for period in _PERIODS):
        return "its bytes repeat, so it is not random"
    if all(0x20 <= byte <= 0x7E for byte in key):
        return "all of them are printable characters: this is a passphrase, not a random key"
    return ""


def _refusal(source: str, found: str, why: str) -> MasterKeyInvalid:
    return MasterKeyInvalid(
        f"the master key from {source} cannot be used: found {found}, needed {KEY_LENGTH} random bytes in base64",
        why=why,
        hint=_HINT,
    )

"""The recovery kit: a credential of its own that a person keeps on paper."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import ClassVar, NoReturn

from keystead.crypto.mac import same, sha256
from keystead.crypto.material import KEY_LENGTH, KeyMaterial, random_bytes, zero
from keystead.errors import MasterKeyInvalid
from keystead.seal.master_key import fingerprint
from keystead.seal.metadata import SALT_LENGTH, fingerprint_field, require_fields, salt_field
from keystead.seal.providers.key import KeyProvider

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base32: no I, L, O, U
_READ_AS = (*zip(_ALPHABET, _ALPHABET, strict=True), ("O", "0"), ("I", "1"), ("L", "1"))
_DIGITS = {form: _ALPHABET.index(digit) for typed, digit in _READ_AS for form in (typed, typed.lower())}
_VERSION = b"\x01"
_LINES = 3
_LINE_DATA = 11
_LINE_CHECK = 4
_LINE_CHARACTERS = 24
_GROUP = 4
_BEGIN = "=== recovery key ==="
_END = "=== end of recovery key ==="
_BEGIN_MARK = re.compile(re.escape(_BEGIN), re.IGNORECASE)
_END_MARK = re.compile(re.escape(_END), re.IGNORECASE)
_STORE = "Store:"
MAX_TEXT = 16_384
_HINT = "compare each group with the kit; O and 0, and I, L and 1, count as the same"


class RecoveryKit:
    """32 random bytes of its own, never the master key, and the store they were made for.

    `store_id` serves messages only and is empty where the text did not name it. It prints no key and refuses pickle
    and copy.
    """

    __slots__ = ("key", "store_id")
    kind: ClassVar[str] = "recovery"

    def __init__(self, key: KeyMaterial, *, store_id: str) -> None:
        self.key = key
        self.store_id = store_id

    @classmethod
    def generate(cls, *, store_id: str) -> RecoveryKit:
        """A fresh kit."""
        return cls(KeyMaterial.generate(), store_id=store_id)

    def code(self) -> tuple[str, ...]:
        """The key as three lines of six groups of four characters; each line ends in a checksum of its own."""
        payload = bytearray(_VERSION + self.key.view())
        lines = tuple(_spell(number, payload[number * _LINE_DATA :][:_LINE_DATA]) for number in range(_LINES))
        zero(payload)
        return lines

    def document(self, *, slot_id: str, created_ms: int) -> str:
        """The kit as text to print and put away: whose it is, the key, what to do with it."""
        lines = (
            "KEYSTEAD RECOVERY KIT",
            "",
            f"{_STORE} {self.store_id}",
            f"Slot: {slot_id}",
            f"Fingerprint: {fingerprint(self.key, kind=self.kind)}",
            f"Made: {datetime.fromtimestamp(created_ms / 1000, UTC):%Y-%m-%d}",
            "",
            "Whoever holds this page and the store can read every secret in it. Print it",
            "or write it down, put it where the store's machine cannot reach it, and",
            "delete the file.",
            "",
            _BEGIN,
            *(f"    {line}" for line in self.code()),
            _END,
            "",
            "When the master key is lost:",
            "  1. keystead init --recover KIT    KIT is this file, or one with the three",
            "                                    lines typed in; a new master key is made",
            "  2. keystead slots list            shows the slot of the lost key",
            "  3. keystead slots remove ID       removes it",
            "When this page may have been seen by others:",
            "  1. keystead slots add --recovery-file FILE    makes a new kit",
            f"  2. keystead slots remove {slot_id}",
            "",
        )
        return "\n".join(lines)

    def forget(self) -> None:
        """Overwrite the key."""
        self.key.forget()

    def __repr__(self) -> str:
        return f"<recovery kit of store {self.store_id or 'unknown'}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a recovery kit is not pickled or copied")


class RecoveryProvider(KeyProvider):
    """Wraps as a master key does, under the label `keystead/slot/recovery`."""

    def __init__(self, kit: RecoveryKit, *, salt: bytes) -> None:
        super().__init__(kit.key, kind=RecoveryKit.kind, salt=salt)

    @classmethod
    def create(cls, kit: RecoveryKit) -> RecoveryProvider:
        """A provider for a new slot, with a fresh salt."""
        return cls(kit, salt=random_bytes(SALT_LENGTH))

    @classmethod
    def of_slot(cls, kit: RecoveryKit, metadata: Mapping[str, str | int]) -> RecoveryProvider:
        """The provider of a slot that was made earlier.

        Raises:
            IntegrityError: metadata of another form.
        """
        require_fields(metadata, "salt", "fingerprint")
        fingerprint_field(metadata)
        return cls(kit, salt=salt_field(metadata))


def parse_recovery_kit(text: str) -> RecoveryKit:
    """The kit that `text` spells: the whole document, or its three lines alone.

    Case, white space, hyphens and dashes do not count; O is read as 0, I and L as 1. Each line has a checksum, so
    that a typing mistake is found and its line named.

    Raises:
        MasterKeyInvalid: another number of characters, a character that does not belong, or a checksum that does not
            hold. The message never holds what was typed.
    """
    if len(text) > MAX_TEXT:
        raise _refusal(f"it has more than {MAX_TEXT} characters")
    values = _values(_between_marks(text))
    expected = _LINES * _LINE_CHARACTERS
    if len(values) != expected:
        raise _refusal(f"found {len(values)} characters, needed {expected}")
    payload = bytearray()
    wrong: list[str] = []
    for number in range(_LINES):
        line = _line_bytes(values[number * _LINE_CHARACTERS :][:_LINE_CHARACTERS])
        if not same(_checksum(number, line[:_LINE_DATA]), bytes(line[_LINE_DATA:])):
            wrong.append(str(number + 1))
        payload += line[:_LINE_DATA]
        zero(line)
    try:
        if wrong:
            raise _refusal(f"there is a typing mistake in line {' and in line '.join(wrong)} of {_LINES}")
        if payload[:1] != _VERSION:
            raise _refusal("it is of a later version than this keystead reads")
        return RecoveryKit(KeyMaterial(payload[1 : 1 + KEY_LENGTH]), store_id=_store_named(text))
    finally:
        zero(payload)


def _between_marks(text: str) -> str:
    begin = _BEGIN_MARK.search(text)
    if begin is None:
        return text
    end = _END_MARK.search(text, begin.end())
    if end is None:
        raise _refusal("the line that ends the recovery key is missing")
    return text[begin.end() : end.start()]


def _store_named(text: str) -> str:
    for line in text.splitlines():
        if line.startswith(_STORE):
            return line.removeprefix(_STORE).strip()[:128]
    return ""


def _values(text: str) -> list[int]:
    values: list[int] = []
    for character in text:
        if character in _DIGITS:
            values.append(_DIGITS[character])
        elif not (character.isspace() or character == "\ufeff" or unicodedata.category(character) == "Pd"):
            line, place = divmod(len(values), _LINE_CHARACTERS)
            raise _refusal(f"line {line + 1}, group {place // _GROUP + 1} holds a character that no kit has")
    return values


def _spell(number: int, data: bytearray) -> str:
    line = int.from_bytes(data + _checksum(number, data), "big")
    text = "".join(_ALPHABET[line >> shift & 31] for shift in range(5 * (_LINE_CHARACTERS - 1), -1, -5))
    return "-".join(text[place : place + _GROUP] for place in range(0, _LINE_CHARACTERS, _GROUP))


def _line_bytes(values: list[int]) -> bytearray:
    line = 0
    for value in values:
        line = line << 5 | value
    return bytearray(line.to_bytes(_LINE_DATA + _LINE_CHECK, "big"))


def _checksum(number: int, data: bytearray) -> bytes:
    return sha256(b"keystead/recovery-kit" + bytes((number,)) + data)[:_LINE_CHECK]


def _refusal(why: str) -> MasterKeyInvalid:
    return MasterKeyInvalid("the recovery kit cannot be read", why=why, hint=_HINT)

"""Key derivation: HKDF-SHA256 (RFC 5869) and Argon2id (RFC 9106)."""

from __future__ import annotations

import threading
import unicodedata
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keystead.crypto.material import KEY_LENGTH
from keystead.errors import UsageError


def derive(key: bytes | bytearray, *, salt: bytes, info: bytes, length: int = KEY_LENGTH) -> bytes:
    """HKDF-SHA256 extract and expand (RFC 5869 section 2). `info` is the label that keeps purposes apart."""
    return HKDF(algorithm=SHA256(), length=length, salt=salt, info=info).derive(key)


def derive_into(buffer: bytearray, key: bytes | bytearray, *, salt: bytes, info: bytes) -> None:
    """The same, filling `buffer`, which its owner zeroes once a cipher holds the key."""
    HKDF(algorithm=SHA256(), length=len(buffer), salt=salt, info=info).derive_into(key, buffer)


class Argon2Parameters(NamedTuple):
    """Cost of Argon2id: passes, lanes and memory in KiB; checked on reading too, so that a store cannot lower them."""

    iterations: int = 3
    lanes: int = 4
    memory_kib: int = 65_536

    def problem(self) -> str | None:
        """What is out of bounds, checked before any memory is taken; None where all is well."""
        if not 2 <= self.iterations <= 16:
            return "iterations must be 2 to 16"
        if not 1 <= self.lanes <= 16:
            return "lanes must be 1 to 16"
        if not 19_456 <= self.memory_kib <= 1_048_576:
            return "memory must be 19456 to 1048576 KiB"
        return None


class Turn:
    """Whose turn it is to derive from a passphrase: one thread's at a time, in the whole process.

    OpenSSL has as many threads for Argon2 as there are processors, for all derivations together. One takes them one by
    one and gives none back before its end, so that two at once can each wait for ever for what the other holds. What
    one leaves idle is little: a derivation alone uses all processors. A fork waits for its end (`storage/forks.py`).
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def hold(self) -> None:
        """Return when no other thread derives, and keep it so."""
        self._lock.acquire()

    def let_go(self) -> None:
        """Let others derive again."""
        self._lock.release()


TURN: Final = Turn()
RFC_9106_LOW_MEMORY: Final = Argon2Parameters()
"""RFC 9106 section 4, second recommended option."""


def derive_from_passphrase(passphrase: str, *, salt: bytes, parameters: Argon2Parameters) -> bytes:
    """32 bytes from a passphrase (normalized to NFKC, nothing trimmed) by Argon2id.

    Raises:
        ValueError: parameters out of bounds, or a salt other than 16 bytes.
        UsageError: a passphrase with characters that are no Unicode text (half a surrogate pair).
    """
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id  # noqa: PLC0415 - only passphrases pay its import

    problem = parameters.problem()
    if problem:
        raise ValueError(problem)
    if len(salt) != 16:
        raise ValueError("the salt must be 16 bytes")
    secret = _as_utf8(unicodedata.normalize("NFKC", passphrase))
    kdf = Argon2id(
        salt=salt,
        length=KEY_LENGTH,
        iterations=parameters.iterations,
        lanes=parameters.lanes,
        memory_cost=parameters.memory_kib,
    )
    TURN.hold()
    try:
        return kdf.derive(secret)
    finally:
        TURN.let_go()


def _as_utf8(passphrase: str) -> bytes:
    try:
        return passphrase.encode()
    except UnicodeEncodeError:
        pass  # raised below, outside: the error of the codec holds the passphrase
    raise UsageError("the passphrase holds a character that is no Unicode text")

"""The shortest way through encryption and decryption, as functions that are good for one period.

A period ends by the clock, or with whatever ends the session or changes the keys; then, and for anything out of the
ordinary (another header, a tag that fails), a call goes the `slow` way, which checks everything, records, and makes
functions for the next period. What is left here is a clock, a count and the cipher: at 64 bytes every attribute that
is looked up shows in the figures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from keystead.audit.counts import Counts, UseCounter
from keystead.crypto.aad import AAD, canonical_aad
from keystead.crypto.compact import HEADER_LENGTH, OVERHEAD, PREFIX_LENGTH, MessageKey
from keystead.crypto.material import random_nonce
from keystead.errors import UsageError


class Hot(NamedTuple):
    """A function for one period, and what ends the period early."""

    crypt: Callable[..., bytes]
    end: Callable[[], None]


class Period(NamedTuple):
    """Until when (monotonic seconds) and on which counter uses may go the short way."""

    monotonic: Callable[[], float]
    until: float
    counts: Counts
    counter: UseCounter


Slow = Callable[[bytes, AAD], bytes]


def hot_encrypt(key: MessageKey, period: Period, slow: Slow) -> Hot:
    """Encryption under one message key."""
    prefix, cipher = key.prefix, key.encrypt
    monotonic, until, counts, counter = period
    tick, resume = counter.tick, counts.resume

    def encrypt(data: bytes, *, aad: AAD = None) -> bytes:
        if monotonic() >= until:
            return slow(data, aad)
        nonce = random_nonce(12)
        header = prefix + nonce
        # Before the use is counted: under an AAD that has no bytes nothing is encrypted.
        if aad is None:
            bound = header
        else:
            try:
                bound = header + aad  # type: ignore[operator]
            except TypeError:
                bound = header + canonical_aad(aad)
        tick()
        if not counter.open:
            resume(counter)
        try:
            return header + cipher(nonce, data, bound)
        except TypeError:
            raise not_bytes() from None

    def end() -> None:
        nonlocal until
        until = -1.0

    return Hot(encrypt, end)


def hot_decrypt(key: MessageKey, period: Period, slow: Slow) -> Hot:
    """Decryption of what has one constant header."""
    prefix, cipher, least = key.prefix, key.decrypt, OVERHEAD
    constant, head, nonce, rest = (
        slice(PREFIX_LENGTH),
        slice(HEADER_LENGTH),
        slice(PREFIX_LENGTH, None),
        slice(HEADER_LENGTH, None),
    )
    monotonic, until, counts, counter = period
    tick, resume = counter.tick, counts.resume

    def decrypt(blob: bytes, *, aad: AAD = None) -> bytes:
        if blob[constant] != prefix or monotonic() >= until or len(blob) < least:
            return slow(blob, aad)
        tick()
        if not counter.open:
            resume(counter)
        header = blob[head]
        if aad is None:
            bound = header
        else:
            try:
                bound = header + aad  # type: ignore[operator]
            except TypeError:
                bound = header + canonical_aad(aad)
        try:
            return cipher(header[nonce], blob[rest], bound)
        except Exception:
            # Whatever it was, the slow way meets it again, says what it is and records it.
            return slow(blob, aad)

    def end() -> None:
        nonlocal until
        until = -1.0

    return Hot(decrypt, end)


def not_bytes() -> UsageError:
    """What is raised for data of another type."""
    return UsageError("data must be bytes", hint="encode text first, or use encrypt_data")

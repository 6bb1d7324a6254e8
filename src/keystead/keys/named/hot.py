"""The shortest way through encryption, decryption and MACs under named keys, for one session.

As in `keystead.keys.hot`, a call within a period costs a look-up, a clock, a count and the cipher. Whatever is out of
the ordinary goes the `slow` way, which checks everything, records, and puts the key into the table for its period.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from keystead.audit.counts import UseCounter
from keystead.crypto.aad import AAD, canonical_aad
from keystead.crypto.compact import HEADER_LENGTH, PREFIX_LENGTH
from keystead.crypto.hmac_keys import HmacKey
from keystead.crypto.material import random_nonce
from keystead.keys.named.results import Mac, Signature


class Sealing(NamedTuple):
    """Until when (monotonic seconds), and on which counter, a key may encrypt; `counted` is where that stood."""

    until: float
    counter: UseCounter
    tick: Callable[[], int]
    prefix: bytes
    crypt: Callable[..., bytes]
    counted: int
    version: int


class Opening(NamedTuple):
    """The same for what opens ciphertexts: by constant header, under which a tag was verified. `key` is whose."""

    until: float
    counter: UseCounter
    tick: Callable[[], int]
    ciphers: dict[bytes, Callable[..., bytes]]
    key: object


class Making(NamedTuple):
    """The same for the version that makes MACs."""

    until: float
    counter: UseCounter
    tick: Callable[[], int]
    start: Callable[[], Any]
    version: int


class Checking(NamedTuple):
    """The same for every version that may verify MACs."""

    until: float
    counter: UseCounter
    tick: Callable[[], int]
    starts: tuple[Callable[[], Any], ...]


class Signing(NamedTuple):
    """The same for the version that signs, and its algorithm's name."""

    until: float
    counter: UseCounter
    tick: Callable[[], int]
    sign: Callable[[bytes], bytes]
    version: int
    algorithm: str


class Verifying(NamedTuple):
    """The same for the one version that may verify signatures; several go the slow way."""

    until: float
    counter: UseCounter
    tick: Callable[[], int]
    verify: Callable[[bytes, bytes], bool]


OPENERS: Final = 64
Resume = Callable[[UseCounter], None]
Clock = Callable[[], float]


class Tables:
    """By name, what a session may do the short way until the period ends."""

    __slots__ = ("checking", "making", "opening", "sealing", "signing", "verifying")

    def __init__(self) -> None:
        self.sealing: dict[str, Sealing] = {}
        self.opening: dict[str, Opening] = {}
        self.making: dict[str, Making] = {}
        self.checking: dict[str, Checking] = {}
        self.signing: dict[str, Signing] = {}
        self.verifying: dict[str, Verifying] = {}

    def clear(self) -> None:
        """Nothing goes the short way any more."""
        for name in self.__slots__:
            getattr(self, name).clear()

    def opens(self, name: str, until: float, counter: UseCounter, key: object, *cipher: Any) -> Opening:
        """What opens, with one more header and its cipher than was known of this key."""
        former = self.opening.get(name)
        known = former.ciphers if former is not None and former.key is key and len(former.ciphers) < OPENERS else {}
        return Opening(until, counter, counter.tick, {**known, cipher[0]: cipher[1]}, key)


def hot_encrypt(
    table: dict[str, Sealing], monotonic: Clock, resume: Resume, slow: Callable[..., bytes]
) -> Callable[..., bytes]:
    """`encrypt` of a face, over the table of keys that a session encrypts under."""
    find = table.get

    def encrypt(
        name: str, data: bytes, *, context: AAD = None, version: int | None = None, algorithm: str | None = None
    ) -> bytes:
        bound = find(name) if type(name) is str else None
        if bound is None or version is not None or algorithm is not None or monotonic() >= bound[0]:
            return slow(name, data, context, version, algorithm)
        if type(data) is not bytes:
            return slow(name, data, context, version, algorithm)
        _, counter, tick, prefix, cipher, _, _ = bound
        nonce = random_nonce(12)
        header = prefix + nonce
        # Before the use is counted: under a context that has no bytes nothing is encrypted.
        aad = header if context is None else header + (context if type(context) is bytes else canonical_aad(context))
        tick()
        if not counter.open:
            resume(counter)
        return header + cipher(nonce, data, aad)

    return encrypt


def hot_decrypt(
    table: dict[str, Opening], monotonic: Clock, resume: Resume, slow: Callable[..., bytes]
) -> Callable[..., bytes]:
    """`decrypt` of a face, over the table of keys that a session decrypts under."""
    find = table.get
    constant, head = slice(PREFIX_LENGTH), slice(HEADER_LENGTH)
    nonce, rest = slice(PREFIX_LENGTH, None), slice(HEADER_LENGTH, None)

    def decrypt(
        name: str, blob: bytes, *, context: AAD = None, version: int | None = None, algorithm: str | None = None
    ) -> bytes:
        bound = find(name) if type(name) is str else None
        if bound is None or version is not None or algorithm is not None or monotonic() >= bound[0]:
            return slow(name, blob, context, version, algorithm)
        _, counter, tick, ciphers, _ = bound
        plaintext = None
        try:
            cipher = ciphers[blob[constant]]
            header = blob[head]
            if context is None:
                aad = header
            elif type(context) is bytes:
                aad = header + context
            else:
                aad = header + canonical_aad(context)
            plaintext = cipher(header[nonce], blob[rest], aad)
        except Exception:  # noqa: S110 - whatever it was, the slow way meets it again, says what it is and records it
            pass
        # Outside the handler, whose error would hold what was given in the place of a ciphertext. Equal bytes in
        # another type of buffer are found too, and are for the slow way to refuse.
        if plaintext is None or type(blob) is not bytes:
            return slow(name, blob, context, version, algorithm)
        tick()
        if not counter.open:
            resume(counter)
        return plaintext

    return decrypt


def hot_mac(table: dict[str, Making], monotonic: Clock, resume: Resume, slow: Callable[..., Mac]) -> Callable[..., Mac]:
    """`mac` of a face, over the table of keys that a session makes MACs under."""
    find, new = table.get, tuple.__new__

    def mac(name: str, message: bytes, *, version: int | None = None) -> Mac:
        bound = find(name) if type(name) is str else None
        if bound is None or version is not None or type(message) is not bytes or monotonic() >= bound[0]:
            return slow(name, message, version)
        _, counter, tick, start, number = bound
        tick()
        if not counter.open:
            resume(counter)
        made = start()
        made.update(message)
        # As `Mac(...)` makes it, without the function in between.
        return new(Mac, (made.finalize(), number))

    return mac


def hot_verify_mac(
    table: dict[str, Checking], monotonic: Clock, resume: Resume, slow: Callable[..., bool]
) -> Callable[..., bool]:
    """`verify_mac` of a face, over the table of keys that a session verifies MACs under."""
    find, same = table.get, hmac.compare_digest

    def verify_mac(name: str, message: bytes, tag: bytes, *, version: int | None = None) -> bool:
        bound = find(name) if type(name) is str else None
        if bound is None or version is not None or monotonic() >= bound[0]:
            return slow(name, message, tag, version)
        if type(message) is not bytes or type(tag) is not bytes:
            return slow(name, message, tag, version)
        _, counter, tick, starts = bound
        tick()
        if not counter.open:
            resume(counter)
        good = False
        # Each is tried, so that the time does not tell which version it was.
        for start in starts:
            made = start()
            made.update(message)
            if same(made.finalize(), tag):
                good = True
        return good

    return verify_mac


def hot_sign(
    table: dict[str, Signing], monotonic: Clock, resume: Resume, slow: Callable[..., Signature]
) -> Callable[..., Signature]:
    """`sign` of a face, over the table of keys that a session signs with."""
    find = table.get

    def sign(
        name: str, message: bytes, *, algorithm: str | None = None, version: int | None = None, prehashed: bool = False
    ) -> Signature:
        bound = find(name) if type(name) is str else None
        if bound is None or algorithm is not None or version is not None or prehashed or monotonic() >= bound[0]:
            return slow(name, message, algorithm, version, prehashed=prehashed)
        if type(message) is not bytes:
            return slow(name, message, algorithm, version, prehashed=prehashed)
        _, counter, tick, make, number, how = bound
        tick()
        if not counter.open:
            resume(counter)
        return Signature(make(message), number, how)

    return sign


def hot_verify(
    table: dict[str, Verifying], monotonic: Clock, resume: Resume, slow: Callable[..., bool]
) -> Callable[..., bool]:
    """`verify` of a face, over the table of keys that a session verifies signatures with."""
    find = table.get

    def verify(
        name: str,
        message: bytes,
        signature: bytes,
        *,
        algorithm: str | None = None,
        version: int | None = None,
        prehashed: bool = False,
    ) -> bool:
        bound = find(name) if type(name) is str else None
        if bound is None or algorithm is not None or version is not None or prehashed or monotonic() >= bound[0]:
            return slow(name, message, signature, algorithm, version, prehashed=prehashed)
        if type(message) is not bytes or type(signature) is not bytes:
            return slow(name, message, signature, algorithm, version, prehashed=prehashed)
        _, counter, tick, check = bound
        tick()
        if not counter.open:
            resume(counter)
        return check(message, signature)

    return verify


def starts(keys: list[HmacKey]) -> tuple[Callable[[], Any], ...]:
    """What begins a MAC under each key."""
    return tuple(key.start for key in keys)

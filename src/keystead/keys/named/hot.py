"""The shortest way through encryption and MACs under named keys, for one session.

As in `keystead.keys.hot`, a call within a period costs a look-up, a clock, a count and the cipher. Whatever is out of
the ordinary goes the `slow` way, which checks everything, records, and puts the key into the table for its period.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from keystead.audit.counts import UseCounter
from keystead.crypto.aad import AAD, canonical_aad
from keystead.crypto.material import random_nonce


class Bound(NamedTuple):
    """Until when (monotonic seconds), and on which counter, a key may be used so; `counted` is where that stood."""

    until: float
    counter: UseCounter
    tick: Callable[[], int]
    prefix: bytes
    crypt: Callable[..., bytes]
    counted: int


Table = dict[str, Bound]


def hot_encrypt(
    table: Table, monotonic: Callable[[], float], resume: Callable[[UseCounter], None], slow: Callable[..., bytes]
) -> Callable[..., bytes]:
    """`encrypt` of a face, over the table of keys that a session encrypts under."""
    find = table.get

    def encrypt(
        name: str, data: bytes, *, context: AAD = None, version: int | None = None, algorithm: str | None = None
    ) -> bytes:
        bound = find(name)
        if bound is None or version is not None or algorithm is not None or monotonic() >= bound[0]:
            return slow(name, data, context, version, algorithm)
        _, counter, tick, prefix, cipher, _ = bound
        tick()
        if not counter.open:
            resume(counter)
        nonce = random_nonce(12)
        header = prefix + nonce
        aad = header if context is None else header + (context if type(context) is bytes else canonical_aad(context))
        try:
            return header + cipher(nonce, data, aad)
        except TypeError:
            return slow(name, data, context, version, algorithm)

    return encrypt

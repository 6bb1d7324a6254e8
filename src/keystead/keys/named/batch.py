"""Many encryptions or MACs in one call: what the period knows is asked once a slice, and uses are counted once a slice.

A slice goes the short way only while the key is in its session's table for the period. What opens a period, what is
out of the ordinary and what fails goes the way of a single call, which checks, counts and records it. A policy that
looks at the call leaves nothing in the table, so that it is asked for each item.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import repeat
from typing import Any, Final, Protocol, TypeVar

from keystead.audit.counts import UseCounter
from keystead.crypto.aad import AAD, canonical_aad
from keystead.crypto.material import random_bytes
from keystead.errors import KeysteadError
from keystead.keys.named.hot import Clock, Making, Sealing
from keystead.keys.named.results import BatchItem, Mac

SLICE: Final = 64
"""At most so many items pass on one look at session and key: a tenth of a millisecond of short ones."""
SHORT: Final = 4096
Item = Mapping[str, Any]
_ITEM: Final = partial(tuple.__new__, BatchItem)


class Short(Protocol):
    """What a table for a period holds."""

    @property
    def until(self) -> float: ...
    @property
    def counter(self) -> UseCounter: ...


S = TypeVar("S", bound=Short)


def in_slices(
    items: Sequence[Item],
    single: Callable[[Item], BatchItem],
    find: Callable[[], S | None],
    monotonic: Clock,
    work: Callable[[S, Sequence[Item]], list[Any]],
) -> list[BatchItem]:
    """The answer to each item. `work` gives a slice's values, with None for what is to go the way of a single call."""
    answers: list[BatchItem] = []
    while len(answers) < len(items):
        at = len(answers)
        bound = find()
        if bound is None or monotonic() >= bound.until:
            answers.append(single(items[at]))
            continue
        some = items[at : at + SLICE]
        values = work(bound, some)
        short = len(values) - values.count(None)
        refused = _counted(bound.counter, short)
        if refused is None and short == len(values):
            answers += map(_ITEM, zip(values, repeat(None)))
            continue
        answers += [
            single(item) if value is None else BatchItem(value if refused is None else None, refused)
            for item, value in zip(some, values, strict=True)
        ]
    return answers


def _counted(counter: UseCounter, uses: int) -> KeysteadError | None:
    """Count before the answers leave; the error of a log that cannot be written, which refuses them."""
    try:
        counter.use_many(uses)
    except KeysteadError as error:
        return error
    return None


def sealed(bound: Sealing, items: Sequence[Item]) -> list[bytes | None]:
    """Compact ciphertexts, their nonces of one call of the generator."""
    prefix, cipher = bound.prefix, bound.crypt
    nonces = random_bytes(12 * len(items))
    context: AAD = None
    binding, at = b"", 0
    values: list[bytes | None] = []
    for item in items:
        nonce = nonces[at : at + 12]
        at += 12
        value = None
        try:
            data = item["data"]
            given = None if len(item) == 1 else item["context"]
            if type(data) is bytes and len(item) <= 2 and len(data) <= SHORT:
                if given is not context:
                    context, binding = given, canonical_aad(given)
                header = prefix + nonce
                value = header + cipher(nonce, data, header + binding)
        except Exception:
            # Whatever it was, a single call meets it again and says what it is.
            context, binding = None, b""
        values.append(value)
    return values


def macs(bound: Making, items: Sequence[Item]) -> list[Mac | None]:
    """MACs of messages."""
    start, number = bound.start, bound.version
    values: list[Mac | None] = []
    new = tuple.__new__
    for item in items:
        message = item.get("message")
        if type(message) is not bytes or len(item) != 1 or len(message) > SHORT:
            values.append(None)
            continue
        made = start()
        made.update(message)
        values.append(new(Mac, (made.finalize(), number)))
    return values

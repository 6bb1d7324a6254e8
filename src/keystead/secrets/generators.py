"""Rules by which new values are made: `random:32`, `hex:64`, `words:6`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from keystead.crypto.material import random_bytes
from keystead.errors import UsageError
from keystead.secrets.words import words

_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_DIGITS = "0123456789abcdef"
_RULE = re.compile(r"([a-z]+):([1-9][0-9]{0,4})")


class _Kind(NamedTuple):
    least: int
    most: int
    symbols: Callable[[], Sequence[str]]
    separator: str


_KINDS = {
    # the least of each stands up to guessing against a server; a key that is attacked offline wants more
    "random": _Kind(16, 4096, lambda: _CHARACTERS, ""),
    "hex": _Kind(32, 4096, lambda: _DIGITS, ""),
    "words": _Kind(4, 64, words, "-"),
}


class Rule(NamedTuple):
    """How to make a value: a kind, and how many characters, hexadecimal digits or words of it."""

    kind: str
    amount: int

    def __str__(self) -> str:
        return f"{self.kind}:{self.amount}"

    def generate(self) -> str:
        """A fresh value; each one is equally likely."""
        kind = _KINDS[self.kind]
        return kind.separator.join(_pick(kind.symbols(), self.amount))

    def entropy_bits(self) -> float:
        """The logarithm to base 2 of how many values there are."""
        return self.amount * math.log2(len(_KINDS[self.kind].symbols()))


def parse_rule(text: str) -> Rule:
    """The rule that the text spells.

    `random:N` gives N characters of A-Z a-z 0-9 (16 to 4096), `hex:N` N lower-case hexadecimal digits (32 to 4096),
    `words:N` N words joined by `-` (4 to 64, 11 bits each).

    Raises:
        UsageError: another spelling, or N out of bounds.
    """
    match = _RULE.fullmatch(text) if isinstance(text, str) else None
    if match is None or match[1] not in _KINDS:
        raise UsageError("not a rule for making values", hint="write random:32, hex:64 or words:6")
    name, amount = match[1], int(match[2])
    kind = _KINDS[name]
    if not kind.least <= amount <= kind.most:
        raise UsageError(f"{name}:{amount} is out of bounds", hint=f"{name} takes {kind.least} to {kind.most}")
    return Rule(name, amount)


def _pick(symbols: Sequence[str], count: int) -> list[str]:
    """`count` symbols, each drawn with equal chance; there are at most 65,536."""
    # what lies above the greatest multiple of the number of symbols would favour the first ones, so it is drawn anew
    bound = 65_536 - 65_536 % len(symbols)
    picked: list[str] = []
    while len(picked) < count:
        drawn = random_bytes(2 * (count - len(picked)))
        numbers = (int.from_bytes(drawn[at : at + 2], "big") for at in range(0, len(drawn), 2))
        picked.extend(symbols[number % len(symbols)] for number in numbers if number < bound)
    return picked

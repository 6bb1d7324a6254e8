"""A set of outbox numbers that stays small for millions of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_PAGE: Final = 1 << 16


class Numbers:
    """Numbers from 1; each costs a bit where they stand close together."""

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}

    def add(self, number: int) -> bool:
        """Add a number; whether it was new."""
        page, place = divmod(number, _PAGE)
        bits = self._pages.get(page)
        if bits is None:
            bits = self._pages[page] = bytearray(_PAGE // 8)
        byte, mask = place >> 3, 1 << (place & 7)
        new = not bits[byte] & mask
        bits[byte] |= mask
        return new

    def seen(self, number: int) -> bool:
        """Whether a number was added."""
        page, place = divmod(number, _PAGE)
        bits = self._pages.get(page)
        return bits is not None and bool(bits[place >> 3] & 1 << (place & 7))

    def missing(self, last: int) -> Iterator[int]:
        """The numbers from 1 to `last` that were not added, in order."""
        return (number for number in range(1, last + 1) if not self.seen(number))

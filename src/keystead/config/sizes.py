"""Sizes in bytes, as people write them."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Self

from keystead.config.hooks import instance_schema
from keystead.errors import UsageError

_UNITS = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_SIZE = re.compile(r"([0-9]{1,19})(?:\.([0-9]{1,9}))? ?([A-Za-z]{1,3})")
_WRITTEN = ("TiB", "TB", "GiB", "GB", "MiB", "MB", "KiB", "kB")
MAX_SIZE = 2**63 - 1


class ByteSize(int):
    """A number of bytes; `str()` gives the shortest text that `parse` reads back as the same number."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """`512B`, `64KiB`, `10MB`, `1.5GiB`. A bare number is refused, since nobody can see its unit.

        Units: B; kB (or KB), MB, GB, TB by 1000; KiB, MiB, GiB, TiB by 1024.

        Raises:
            UsageError: another spelling, part of a byte, or more than 2^63 - 1.
        """
        match = _SIZE.fullmatch(text)
        unit = _UNITS.get(match[3]) if match else None
        if match is None or unit is None:
            raise UsageError(
                "not a size",
                hint="give a number and a unit, such as 64KiB or 10MB (units B kB MB GB TB KiB MiB GiB TiB)",
            )
        fraction = match[2] or ""
        size, part_of_a_byte = divmod(int(match[1] + fraction) * unit, 10 ** len(fraction))
        if part_of_a_byte:
            raise UsageError("not a whole number of bytes", hint="give a size that is one")
        if size > MAX_SIZE:
            raise UsageError("the size is too large", hint="give less than 8 EiB")
        return cls(size)

    def __str__(self) -> str:
        exact = [f"{self // _UNITS[unit]}{unit}" for unit in _WRITTEN if self and self % _UNITS[unit] == 0]
        return min([*exact, f"{int(self)}B"], key=len)

    def __repr__(self) -> str:
        return f"ByteSize({int(self)})"

    def __format__(self, spec: str) -> str:
        return str(self) if not spec else format(int(self), spec)

    __get_pydantic_core_schema__: ClassVar[Any] = classmethod(instance_schema)

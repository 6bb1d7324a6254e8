"""The only reader of the time, and the one spelling of durations."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from typing import Protocol

from keystead.errors import UsageError

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_DURATION = re.compile(r"(?:[0-9]{1,12}(?:ms|[smhdw]))+")
_PART = re.compile(r"([0-9]+)(ms|[smhdw])")
MAX_DURATION_MS = 100 * 365 * _UNITS_MS["d"]


class Clock(Protocol):
    """What the rest of the package knows of time."""

    def now_ms(self) -> int:
        """Milliseconds since the epoch, UTC, never going back within a process."""

    def monotonic(self) -> float:
        """Seconds on a clock that only goes forward, time asleep included."""

    def ahead_ms(self) -> int:
        """How far wall time has run ahead of what the monotonic clock accounts for since the start, at least 0."""


def _since_boot_ms() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


class SystemClock:
    """The machine's time: the greater of wall time and start plus time since boot, so that it never goes back."""

    def __init__(self) -> None:
        self._boot_ms = time.time_ns() // 1_000_000 - _since_boot_ms()

    def now_ms(self) -> int:
        wall = time.time_ns() // 1_000_000
        accounted = self._boot_ms + time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
        return wall if wall > accounted else accounted

    def ahead_ms(self) -> int:
        return max(0, time.time_ns() // 1_000_000 - self._boot_ms - _since_boot_ms())

    monotonic = staticmethod(time.monotonic)


def parse_duration(value: timedelta | str, *, what: str = "duration", allow_zero: bool = False) -> int:
    """A timedelta, or text such as `90d` or `1h30m`, in milliseconds.

    Units are ms, s, m, h, d, w. A bare number is refused, since nobody can see its unit.

    Raises:
        UsageError: another spelling, zero or negative (unless `allow_zero`), or more than 100 years.
    """
    if isinstance(value, timedelta):
        ms = value // timedelta(milliseconds=1)
    elif isinstance(value, str) and _DURATION.fullmatch(value):
        ms = sum(int(number) * _UNITS_MS[unit] for number, unit in _PART.findall(value))
    else:
        raise UsageError(
            f"{what} is not a duration",
            hint="give a timedelta, or text such as 30s, 5m, 1h30m or 90d (units ms s m h d w)",
        )
    if ms < 0 or (ms == 0 and not allow_zero) or ms > MAX_DURATION_MS:
        raise UsageError(f"{what} is out of bounds", hint="give more than nothing and at most 100 years")
    return ms


def format_duration(ms: int) -> str:
    """Milliseconds as the shortest exact text that `parse_duration` reads back."""
    parts = []
    for unit in ("d", "h", "m", "s", "ms"):
        number, ms = divmod(ms, _UNITS_MS[unit])
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"

"""A clock that a test sets."""

from __future__ import annotations

from threading import Lock


class ManualClock:
    """A `keystead.clock.Clock` that stands still until it is told to move.

    `start_ms` is milliseconds since the epoch. Like the real clock, `now_ms` never goes back.
    """

    def __init__(self, start_ms: int = 1_700_000_000_000) -> None:
        self._start_ms = start_ms
        self._wall_ms = start_ms
        self._elapsed_ms = 0
        self._lock = Lock()

    def now_ms(self) -> int:
        """The greater of wall time and start plus elapsed time, in milliseconds since the epoch."""
        with self._lock:
            return max(self._wall_ms, self._start_ms + self._elapsed_ms)

    def monotonic(self) -> float:
        """Seconds that have elapsed by `advance`."""
        with self._lock:
            return self._elapsed_ms / 1000

    def ahead_ms(self) -> int:
        """How far the jumps have put wall time ahead of elapsed time, at least 0."""
        with self._lock:
            return max(0, self._wall_ms - self._start_ms - self._elapsed_ms)

    def advance(self, ms: int) -> None:
        """Let `ms` milliseconds go by, on every clock there is.

        Raises:
            ValueError: a negative number.
        """
        if ms < 0:
            raise ValueError("time does not go back; use jump for a wall clock that was set")
        with self._lock:
            self._wall_ms += ms
            self._elapsed_ms += ms

    def jump(self, ms: int) -> None:
        """Set the wall clock forward (or back, with a negative number) by `ms` milliseconds; no time goes by."""
        with self._lock:
            self._wall_ms += ms

"""How many requests a second an address or a principal has answered, by one worker."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

MAX_KNOWN: Final = 10_000
BURST_SECONDS: Final = 2.0


class Bucket:
    """Tokens for each name, refilled with time; `rate` is a second's, 0 for any number. Thread-safe."""

    def __init__(self, rate: int, monotonic: Callable[[], float]) -> None:
        self._rate = rate
        self._monotonic = monotonic
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, name: str) -> int | None:
        """None where a request may be answered now, else after how many seconds one is."""
        if not self._rate:
            return None
        most = self._rate * BURST_SECONDS
        # Whoever came while another has taken the name out would find it with all its tokens.
        with self._lock:
            now = self._monotonic()
            left, since = self._left.pop(name, (most, now))
            left = min(most, left + (now - since) * self._rate)
            late = None if left >= 1 else math.ceil((1 - left) / self._rate)
            self._left[name] = (left - 1 if late is None else left, now)
            if len(self._left) > MAX_KNOWN:
                self._left.popitem(last=False)
        return late

    def give_back(self, name: str) -> None:
        """What was taken last is not used after all."""
        if not self._rate:
            return
        with self._lock:
            if (kept := self._left.get(name)) is not None:
                self._left[name] = (kept[0] + 1, kept[1])


class Rates:
    """Both bounds. `not_answered` gives a principal back what a request took that is asked about again."""

    def __init__(self, per_address: int, per_principal: int, monotonic: Callable[[], float]) -> None:
        self.address = Bucket(per_address, monotonic).take
        principals = Bucket(per_principal, monotonic)
        self.principal, self.not_answered = principals.take, principals.give_back

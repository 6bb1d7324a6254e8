"""However many threads ask at once, no more requests are answered than the bound says."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from keystead.server.rates import BURST_SECONDS, Bucket
from keystead.testing import ManualClock

RATE = 500
MOST = int(RATE * BURST_SECONDS)


@pytest.fixture
def switching() -> Iterator[None]:
    """Threads that take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("switching")
def test_threads_that_take_together_get_what_one_would_get() -> None:
    clock = ManualClock()
    bucket = Bucket(RATE, clock.monotonic)

    def taken(times: int) -> int:
        return sum(bucket.take("who") is None for _ in range(times))

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(taken, [2_000] * 4)) == MOST
        clock.advance(1_000)
        assert sum(threads.map(taken, [2_000] * 4)) == RATE


@pytest.mark.usefixtures("switching")
def test_what_threads_give_back_can_be_taken_once_more() -> None:
    bucket = Bucket(RATE, ManualClock().monotonic)

    def tried(times: int) -> None:
        for _ in range(times):
            if bucket.take("who") is None:
                bucket.give_back("who")

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(tried, [2_000] * 4))
    assert sum(bucket.take("who") is None for _ in range(2 * MOST)) == MOST

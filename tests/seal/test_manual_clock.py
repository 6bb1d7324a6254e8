"""The clock that tests set keeps the promises of the real one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.clock import Clock
from keystead.testing import ManualClock


def test_it_stands_still_until_told_to_move() -> None:
    clock: Clock = ManualClock()
    assert (clock.now_ms(), clock.monotonic(), clock.ahead_ms()) == (1_700_000_000_000, 0.0, 0)
    assert ManualClock(5).now_ms() == 5


def test_time_goes_by_on_every_clock() -> None:
    clock = ManualClock(1_000)
    clock.advance(2_500)
    assert (clock.now_ms(), clock.monotonic(), clock.ahead_ms()) == (3_500, 2.5, 0)
    with pytest.raises(ValueError, match="back"):
        clock.advance(-1)


def test_a_jump_moves_the_wall_alone() -> None:
    clock = ManualClock(1_000)
    clock.jump(60_000)
    assert (clock.now_ms(), clock.monotonic(), clock.ahead_ms()) == (61_000, 0.0, 60_000)
    clock.jump(-90_000)
    assert (clock.now_ms(), clock.ahead_ms()) == (1_000, 0)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10**9))))
def test_time_that_goes_by_never_goes_back(steps: list[tuple[bool, int]]) -> None:
    clock = ManualClock()
    for by_jump, ms in steps:
        before = (clock.now_ms(), clock.monotonic())
        if by_jump:
            clock.jump(ms)
        else:
            clock.advance(ms)
        assert (clock.now_ms(), clock.monotonic()) >= before
        assert clock.ahead_ms() >= 0

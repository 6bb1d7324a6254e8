"""Blocks double, grants never pass the bound, and rotation is due in time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.keys.limits import (
    DEFAULT_MAX_AGE_MS,
    FIRST_BLOCK,
    LARGEST_BLOCK,
    MESSAGE_LIMIT,
    ROTATE_AT_MESSAGES,
    SALT_MESSAGE_LIMIT,
    RotationReason,
    grant,
    is_refill_due,
    next_block,
    rotation_due,
)

NOW = 1_700_000_000_000


def test_the_bounds_are_those_of_the_design() -> None:
    assert (MESSAGE_LIMIT, SALT_MESSAGE_LIMIT, FIRST_BLOCK, LARGEST_BLOCK) == (2**31, 2**30, 64, 2**20)
    assert DEFAULT_MAX_AGE_MS == 90 * 86_400_000


def test_blocks_start_at_64_and_double_up_to_the_largest() -> None:
    blocks = [next_block(0)]
    while blocks[-1] < LARGEST_BLOCK:
        blocks.append(next_block(blocks[-1]))
    assert blocks == [2**power for power in range(6, 21)]
    assert next_block(LARGEST_BLOCK) == LARGEST_BLOCK


@given(st.integers(0, 2**33), st.integers(0, LARGEST_BLOCK))
def test_a_grant_never_passes_the_bound(reserved: int, wanted: int) -> None:
    granted = grant(reserved, wanted)
    assert 0 <= granted <= wanted
    assert granted == 0 or reserved + granted <= MESSAGE_LIMIT
    assert granted == wanted or reserved + wanted > MESSAGE_LIMIT


@pytest.mark.parametrize(("left", "due"), [(64, False), (33, False), (32, True), (0, True)])
def test_a_block_is_refilled_at_half(left: int, due: bool) -> None:
    assert is_refill_due(left, 64) is due


def test_a_key_rotates_at_its_age_and_not_before() -> None:
    assert rotation_due(NOW, NOW + DEFAULT_MAX_AGE_MS - 1, DEFAULT_MAX_AGE_MS, 0) is None
    assert rotation_due(NOW, NOW + DEFAULT_MAX_AGE_MS, DEFAULT_MAX_AGE_MS, 0) is RotationReason.AGE
    assert rotation_due(NOW, NOW + 10 * DEFAULT_MAX_AGE_MS, None, 0) is None


def test_a_key_rotates_by_messages_before_any_process_is_refused() -> None:
    assert rotation_due(NOW, NOW, None, ROTATE_AT_MESSAGES - 1) is None
    assert rotation_due(NOW, NOW, None, ROTATE_AT_MESSAGES) is RotationReason.MESSAGES
    assert grant(ROTATE_AT_MESSAGES, LARGEST_BLOCK) == LARGEST_BLOCK

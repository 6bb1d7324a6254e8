"""kill -9 at writing system calls: what was acknowledged is there, nothing is there by halves, the log verifies.

A part of the places in each run of the suite; `python tests/faults/campaign.py kills` takes every one.
"""

from __future__ import annotations

import pytest
from tests.faults.injection import Point
from tests.faults.kills import CHANGES, Kills

PLACES = 14
SLOW = {"backup": 6, "restore": 6}  # a passphrase is derived several times a run


@pytest.mark.parametrize("change", CHANGES)
def test_a_kill_at_any_write_leaves_a_whole_store_that_has_what_was_acknowledged(kills: Kills, change: str) -> None:
    """T21, T36: each run reopens the store, reads it whole, writes, and verifies the audit log with its keys."""
    places = SLOW.get(change, PLACES)
    runs = list(kills.run(change, places))
    assert len(runs) == places
    # A call that only the background thread of the clean run made may be in no other run; those end whole.
    missed = [point for point, outcome in runs if not outcome.killed]
    assert len(missed) <= places // 7, missed


def test_a_place_that_no_other_run_comes_to_is_killed_at_the_one_before_it(kills: Kills) -> None:
    # A data key's rotation flushes some seven times; no thread beside it makes twice as many of that.
    point, outcome = kills.kill_near("rotate_data_key", Point("fdatasync", 16, 1))
    assert outcome.killed
    assert point.nth < 16

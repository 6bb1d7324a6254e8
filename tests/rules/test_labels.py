"""Labels move as documented, and a TTL ends when it says."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.clock import MAX_DURATION_MS
from keystead.errors import SecretNotFound, UsageError
from keystead.secrets.labels import (
    DEFAULT_DESTROY_AFTER_MS,
    DEFAULT_GRACE_MS,
    DEFAULT_JUMP_LIMIT_MS,
    KEEP,
    Labels,
    after_rotation,
    expiry,
    is_destroy_due,
    is_expired,
    resolve_ttl,
    resolve_version,
)

DAY = 86_400_000
NOW = 1_700_000_000_000
times = st.integers(0, 2**45)
graces = st.integers(1, 30 * DAY)


def test_the_first_version_is_current_and_nothing_is_previous() -> None:
    assert after_rotation(Labels(), 1, NOW) == Labels(current=1)


def test_the_former_current_version_is_previous_for_a_day() -> None:
    moved = after_rotation(Labels(current=1), 2, NOW)
    assert moved == Labels(current=2, previous=1, previous_until_ms=NOW + DAY)
    assert DEFAULT_GRACE_MS == DAY


@given(st.integers(1, 1000), times, graces)
def test_previous_is_readable_until_just_before_its_end(version: int, now: int, grace: int) -> None:
    labels = after_rotation(Labels(current=version), version + 1, now, grace)
    end = now + grace
    assert resolve_version("A", labels, end - 1, label="previous") == version
    with pytest.raises(SecretNotFound, match="grace"):
        resolve_version("A", labels, end, label="previous")
    assert resolve_version("A", labels, end) == version + 1


@pytest.mark.parametrize(("grace", "compromised"), [(0, False), (DAY, True), (0, True)])
def test_without_grace_or_after_a_compromise_nothing_is_previous(grace: int, compromised: bool) -> None:
    before = Labels(current=2, previous=1, previous_until_ms=NOW + DAY)
    assert after_rotation(before, 3, NOW, grace, compromised) == Labels(current=3)


@given(st.lists(graces, min_size=1, max_size=10))
def test_after_any_number_of_rotations_previous_is_the_version_before(pauses: list[int]) -> None:
    labels, now = Labels(), NOW
    for version, pause in enumerate(pauses, start=1):
        labels = after_rotation(labels, version, now)
        now += pause
        assert labels.current == version
        assert labels.previous == (version - 1 or None)


def test_pending_stays_until_its_version_or_a_later_one_is_current() -> None:
    assert after_rotation(Labels(current=1, pending=3), 2, NOW).pending == 3
    assert after_rotation(Labels(current=1, pending=2), 2, NOW).pending is None
    assert after_rotation(Labels(current=1, pending=2), 3, NOW).pending is None
    assert resolve_version("A", Labels(current=1, pending=2), NOW, label="pending") == 2


@pytest.mark.parametrize("version", [1, 2])
def test_a_version_never_comes_back_as_a_new_one(version: int) -> None:
    with pytest.raises(UsageError):
        after_rotation(Labels(current=2), version, NOW)


def test_a_negative_grace_is_refused() -> None:
    with pytest.raises(UsageError):
        after_rotation(Labels(current=1), 2, NOW, -1)


def test_version_and_label_contradict_each_other() -> None:
    with pytest.raises(UsageError, match="both"):
        resolve_version("A", Labels(current=1), NOW, version=1, label="current")


def test_a_version_is_its_own_number_and_neither_means_current() -> None:
    labels = Labels(current=5)
    assert resolve_version("A", labels, NOW, version=2) == 2
    assert resolve_version("A", labels, NOW) == 5
    assert resolve_version("A", labels, NOW, label="current") == 5


@pytest.mark.parametrize("label", ["current", "previous", "pending"])
def test_a_label_that_is_not_set_is_not_found(label: str) -> None:
    with pytest.raises(SecretNotFound, match=label):
        resolve_version("A", Labels(), NOW, label=label)


def test_an_unknown_label_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="current, previous, pending"):
        resolve_version("A", Labels(current=1), NOW, label="latest")


@given(times, st.integers(1, MAX_DURATION_MS))
def test_a_version_is_over_at_exactly_its_expiry(now: int, ttl: int) -> None:
    expires = expiry(now, ttl)
    assert expires == now + ttl
    assert not is_expired(expires, expires - 1)
    assert is_expired(expires, expires)


def test_without_a_ttl_nothing_expires_and_nothing_is_destroyed() -> None:
    assert expiry(NOW, None) is None
    assert not is_expired(None, 2**62)
    assert not is_destroy_due(None, 2**62, ahead_ms=0)


def test_an_expired_version_is_destroyed_seven_days_later() -> None:
    due = NOW + DEFAULT_DESTROY_AFTER_MS
    assert DEFAULT_DESTROY_AFTER_MS == 7 * DAY
    assert not is_destroy_due(NOW, due - 1, ahead_ms=0)
    assert is_destroy_due(NOW, due, ahead_ms=0)
    assert is_destroy_due(NOW, NOW + 1, ahead_ms=0, destroy_after_ms=1)


def test_nothing_is_destroyed_by_a_clock_that_jumped() -> None:
    assert is_destroy_due(NOW, NOW + 400 * DAY, ahead_ms=DEFAULT_JUMP_LIMIT_MS)
    assert not is_destroy_due(NOW, NOW + 400 * DAY, ahead_ms=DEFAULT_JUMP_LIMIT_MS + 1)
    assert is_expired(NOW, NOW + 400 * DAY)


@pytest.mark.parametrize("keep", [None, 5000])
def test_keep_means_the_length_of_the_version_before(keep: int | None) -> None:
    assert resolve_ttl(KEEP, keep=keep) == keep
    assert repr(KEEP) == "KEEP"


@pytest.mark.parametrize(
    ("ttl", "ms"), [(None, None), ("90d", 90 * DAY), ("1h30m", 5_400_000), (timedelta(minutes=5), 300_000)]
)
def test_a_ttl_is_a_timedelta_text_or_none(ttl, ms: int | None) -> None:
    assert resolve_ttl(ttl, keep=1) == ms


@given(st.integers(1, 36_500))
def test_ttl_days_are_days(days: int) -> None:
    assert resolve_ttl(KEEP, days, keep=1) == days * DAY


@pytest.mark.parametrize(
    "ttl", [0, 300, 1.5, True, "", "300", "0s", "-5m", "1.5h", timedelta(0), timedelta(-1), "200000d"]
)
def test_these_are_no_ttls(ttl) -> None:
    with pytest.raises(UsageError):
        resolve_ttl(ttl, keep=None)


@pytest.mark.parametrize("days", [0, -1, 1.5, 1.0, True, "30", 36_501, 10**12])
def test_these_are_no_ttl_days(days) -> None:
    with pytest.raises(UsageError):
        resolve_ttl(KEEP, days, keep=None)


@pytest.mark.parametrize("ttl", [None, "5m", timedelta(days=1)])
def test_ttl_with_ttl_days_is_a_contradiction(ttl) -> None:
    with pytest.raises(UsageError, match="both"):
        resolve_ttl(ttl, 1, keep=None)

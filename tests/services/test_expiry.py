"""TTL, expiry and destruction by time, on a clock that is set."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from tests.services.conftest import DAY_MS, Open, recorded, within

from keystead.errors import SecretExpired, SecretNotFound, SessionEnded, UsageError
from keystead.node import ticker
from keystead.node.settings import Settings
from keystead.secrets.labels import KEEP
from keystead.services.connection import Connection
from keystead.services.kms import KMSService
from keystead.testing import ManualClock

EXPIRED = ("secret_expired", "secret/API_KEY", "success")
DESTROYED = ("secret_destroyed", "secret/API_KEY", "success")


def bytes_of(path: Path) -> list[bool]:
    """Whether each version's ciphertext is still there."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT ciphertext IS NOT NULL FROM secret_versions ORDER BY name, version")
        return [bool(there) for (there,) in rows]


@pytest.mark.parametrize(
    ("how", "ms"),
    [
        ({"ttl": "90d"}, 90 * DAY_MS),
        ({"ttl": "1h30m"}, 5_400_000),
        ({"ttl": timedelta(minutes=5)}, 300_000),
        ({"ttl_days": 2}, 2 * DAY_MS),
        ({"ttl": None}, None),
        ({}, None),
    ],
)
def test_a_ttl_is_a_timedelta_text_or_days(
    kms: KMSService, clock: ManualClock, how: dict[str, object], ms: int | None
) -> None:
    info = kms.store_secret("API_KEY", "x", **how)  # type: ignore[arg-type]
    assert info.ttl_ms == ms
    assert info.expires_ms == (None if ms is None else clock.now_ms() + ms)


@pytest.mark.parametrize("ttl", ["5", "", "5 minutes", "-5m", "0s", 300, 1.5, timedelta(0), timedelta(seconds=-1)])
def test_a_ttl_of_another_form_is_refused_and_nothing_stored(kms: KMSService, ttl: object) -> None:
    with pytest.raises(UsageError):
        kms.store_secret("API_KEY", "x", ttl=ttl)  # type: ignore[arg-type]
    with pytest.raises(SecretNotFound):
        kms.get_secret("API_KEY")


@pytest.mark.parametrize("ttl", ["5m", None])
def test_ttl_and_ttl_days_together_contradict_each_other(kms: KMSService, ttl: str | None) -> None:
    with pytest.raises(UsageError, match="ttl_days"):
        kms.store_secret("API_KEY", "x", ttl=ttl, ttl_days=5)


def test_storing_and_rotating_start_the_ttl_anew_with_the_same_length_unless_told(
    kms: KMSService, clock: ManualClock
) -> None:
    kms.store_secret("API_KEY", "1", ttl="10d")
    clock.advance(9 * DAY_MS)
    assert kms.rotate_secret("API_KEY", "2").expires_ms == clock.now_ms() + 10 * DAY_MS
    clock.advance(9 * DAY_MS)
    assert kms.store_secret("API_KEY", "3").expires_ms == clock.now_ms() + 10 * DAY_MS
    clock.advance(9 * DAY_MS)
    assert kms.store_secret("API_KEY", "4", ttl=KEEP).expires_ms == clock.now_ms() + 10 * DAY_MS
    assert kms.store_secret("API_KEY", "5", ttl="1d").expires_ms == clock.now_ms() + DAY_MS
    assert kms.store_secret("API_KEY", "6", ttl=None).expires_ms is None
    assert kms.rotate_secret("API_KEY", "7").expires_ms is None


def test_a_ttl_belongs_to_its_version(kms: KMSService, clock: ManualClock) -> None:
    kms.store_secret("API_KEY", "1", ttl="1h")
    kms.store_secret("API_KEY", "2", ttl="10h")
    clock.advance(3_600_000)
    assert kms.get_secret("API_KEY").reveal() == "2"
    with pytest.raises(SecretExpired, match="API_KEY#1"):
        kms.get_secret("API_KEY", version=1)
    with pytest.raises(SecretExpired):
        kms.get_secret("API_KEY", label="previous")


def test_expired_is_unreadable_at_once_with_the_sweeper_off_and_the_first_read_records_it(
    kms: KMSService, clock: ManualClock, path: Path
) -> None:
    kms.store_secret("API_KEY", "x", ttl="1h")
    clock.advance(3_599_999)
    assert kms.get_secret("API_KEY").reveal() == "x"
    clock.advance(1)
    events = recorded(kms)
    for _ in range(2):
        with pytest.raises(SecretExpired, match="API_KEY#1"):
            kms.get_secret("API_KEY")
        with pytest.raises(SecretExpired):
            kms.get_secret("API_KEY", version=1)
    assert events.count(EXPIRED) == 1
    assert bytes_of(path) == [True]


def test_a_call_of_the_sweeper_records_what_expired_once(kms: KMSService, clock: ManualClock) -> None:
    kms.store_secret("API_KEY", "x", ttl="1h")
    kms.store_secret("OTHER", "x", ttl="2h")
    clock.advance(3_600_000)
    events = recorded(kms)
    kms.node.maintain()
    kms.node.maintain()
    assert events == [EXPIRED]


def test_whoever_calls_for_a_sweep_is_told_what_it_did_and_is_in_its_records(
    kms: KMSService, clock: ManualClock
) -> None:
    by: list[tuple[str, str]] = []
    kms.on_event(["secret_expired", "secret_destroyed"], lambda facts: by.append((facts["event"], facts["session"])))
    kms.store_secret("API_KEY", "x", ttl="5m")
    assert kms.sweep() == (0, 0)
    clock.advance(300_000)
    assert kms.sweep() == (1, 0)
    clock.advance(7 * DAY_MS)
    swept = kms.sweep()
    assert (swept.expired, swept.destroyed) == (0, 1)
    assert by == [("secret_expired", kms.session_id), ("secret_destroyed", kms.session_id)]
    kms.revoke_session(kms.session_id)
    with pytest.raises(SessionEnded):
        kms.sweep()


def test_the_timer_records_what_expired(opened: Open, clock: ManualClock) -> None:
    kms = opened(settings=Settings(sweep_interval_ms=1000)).kms
    events = recorded(kms)
    kms.store_secret("API_KEY", "x", ttl="1h")
    clock.advance(3_600_000)
    kms.node.ticker.soon(lambda: None)
    assert within(lambda: EXPIRED in events)


def test_only_another_version_makes_an_expired_name_readable_again(kms: KMSService, clock: ManualClock) -> None:
    kms.store_secret("API_KEY", "1", ttl="1h")
    clock.advance(3_600_000)
    assert kms.rotate_secret("API_KEY", "2").version == 2
    assert kms.get_secret("API_KEY").reveal() == "2"
    with pytest.raises(SecretExpired):
        kms.get_secret("API_KEY", version=1)
    clock.advance(3_600_000)
    events = recorded(kms)
    kms.node.maintain()
    assert events == [EXPIRED]


def test_an_expired_version_is_destroyed_seven_days_later_and_not_before(
    kms: KMSService, clock: ManualClock, path: Path
) -> None:
    kms.store_secret("API_KEY", "x", ttl="1h")
    clock.advance(3_600_000)
    events = recorded(kms)
    kms.node.maintain()
    clock.advance(7 * DAY_MS - 1)
    kms.node.maintain()
    assert (events, bytes_of(path)) == ([EXPIRED], [True])
    clock.advance(1)
    kms.node.maintain()
    assert (events, bytes_of(path)) == ([EXPIRED, DESTROYED], [False])
    with pytest.raises(SecretExpired):
        kms.get_secret("API_KEY")
    assert kms.list_versions("API_KEY").items[0].state == "destroyed"


def test_the_time_until_destruction_is_a_setting(opened: Open, clock: ManualClock, path: Path) -> None:
    kms = opened(settings=Settings(destroy_expired_after_ms=0, sweep_interval_ms=DAY_MS * 999)).kms
    kms.store_secret("API_KEY", "x", ttl="1h")
    clock.advance(3_600_000)
    kms.node.maintain()
    assert bytes_of(path) == [False]


def test_after_a_jump_of_the_clock_expired_is_unreadable_but_nothing_is_destroyed_or_remembered(
    opened: Open, path: Path, key: str
) -> None:
    wrong = ManualClock()
    kms = opened(clock=wrong).kms
    kms.store_secret("API_KEY", "x", ttl="1h")
    wrong.jump(30 * DAY_MS)
    events = recorded(kms)
    with pytest.raises(SecretExpired):
        kms.get_secret("API_KEY")
    kms.node.maintain()
    assert (EXPIRED in events, DESTROYED in events, bytes_of(path)) == (False, False, [True])
    assert any("clock jumped ahead by 30d" in notice for notice in kms.get_status().notices)
    wrong.jump(-30 * DAY_MS)
    assert not any("clock jumped" in notice for notice in kms.get_status().notices)
    assert kms.get_secret("API_KEY").reveal() == "x"


def test_a_small_correction_of_the_clock_is_no_jump(kms: KMSService, clock: ManualClock) -> None:
    kms.store_secret("API_KEY", "x", ttl="30m")
    clock.jump(3_000_000)
    events = recorded(kms)
    kms.node.maintain()
    assert events == [EXPIRED]


def test_a_clock_that_is_set_back_brings_nothing_back(kms: KMSService, clock: ManualClock) -> None:
    kms.store_secret("API_KEY", "x", ttl="1h")
    clock.advance(3_600_000)
    clock.jump(-DAY_MS)
    with pytest.raises(SecretExpired):
        kms.get_secret("API_KEY")


def test_the_status_counts_what_expired_and_lists_tell_it(store: Connection, clock: ManualClock) -> None:
    kms = store.kms
    kms.store_secret("A", "x", ttl="1h")
    kms.store_secret("B", "x")
    assert kms.get_status().expired_secrets_count == 0
    clock.advance(3_600_000)
    status = kms.get_status()
    assert (status.secrets_count, status.expired_secrets_count) == (2, 1)
    assert [info.name for info in kms.list_secrets(expired=True).items] == ["A"]
    assert [info.name for info in kms.list_secrets(expired=False).items] == ["B"]
    assert [info.expired for info in kms.list_secrets().items] == [True, False]


def test_a_record_that_was_edited_stops_the_sweeper_for_no_other_secret_and_is_told_once(
    kms: KMSService, clock: ManualClock, path: Path
) -> None:
    for name in ("API_KEY", "A_BAD", "V_BAD", "Z_BAD"):
        kms.store_secret(name, "x", ttl="1h")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE secrets SET ttl_ms = 7 WHERE name = 'A_BAD'")
        connection.execute("UPDATE secrets SET labels = x'00' WHERE name = 'Z_BAD'")
        connection.execute("UPDATE secret_versions SET encoding = x'00' WHERE name = 'V_BAD'")
        connection.commit()
    events = recorded(kms)
    clock.advance(3_600_000)
    kms.node.maintain()
    failed = [("secret_expired", f"secret/{name}", "failed") for name in ("A_BAD", "Z_BAD")]
    assert sorted(events) == sorted([EXPIRED, ("secret_expired", "secret/V_BAD", "success"), *failed])
    clock.advance(7 * DAY_MS)
    kms.node.maintain()
    kms.node.maintain()
    assert events[4:] == [DESTROYED, ("secret_destroyed", "secret/V_BAD", "failed")]
    assert bytes_of(path) == [False, True, True, True]


def test_a_record_that_was_edited_does_not_keep_the_data_key_from_rotating(
    opened: Open, clock: ManualClock, path: Path
) -> None:
    kms = opened(settings=Settings(data_key_max_age_ms=DAY_MS, sweep_interval_ms=DAY_MS * 999)).kms
    kms.store_secret("API_KEY", "x", ttl="1h")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE secrets SET ttl_ms = 7")
        connection.commit()
    clock.advance(2 * DAY_MS)
    kms.node.maintain()
    assert [key.state for key in kms.list_data_keys().items] == ["deactivated", "active"]


def test_the_timer_works_also_where_nothing_else_is_done(
    opened: Open, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ticker, "TICK_SECONDS", 0.01)
    kms = opened(settings=Settings(sweep_interval_ms=1000)).kms
    events = recorded(kms)
    kms.store_secret("API_KEY", "x", ttl="10h")
    clock.advance(6_000)
    time.sleep(0.5)  # by then the thread has nothing to do
    clock.advance(36_000_000)
    assert within(lambda: EXPIRED in events)


def test_opening_a_store_begins_with_what_is_due_so_that_short_lived_processes_sweep_too(
    opened: Open, clock: ManualClock, path: Path
) -> None:
    opened().kms.store_secret("API_KEY", "x", ttl="1h")
    clock.advance(3_600_000)
    events = recorded(opened().kms)
    assert within(lambda: EXPIRED in events)
    clock.advance(7 * DAY_MS)
    opened()
    assert within(lambda: bytes_of(path) == [False])


def test_processes_that_start_under_a_clock_set_wrong_destroy_nothing_that_had_not_expired(
    opened: Open, clock: ManualClock, path: Path
) -> None:
    """They see no jump. What expired for their clock only is there when the clock is right again."""
    opened().kms.store_secret("API_KEY", "x", ttl="90d")
    for days in (100, 101, 106):
        wrong = ManualClock(clock.now_ms() + days * DAY_MS)
        for _ in range(2):
            kms = opened(clock=wrong).kms
            kms.node.maintain()
            with pytest.raises(SecretExpired):
                kms.get_secret("API_KEY")
    assert bytes_of(path) == [True]
    assert opened().kms.get_secret("API_KEY").reveal() == "x"


def test_a_deleted_secret_that_expires_is_destroyed_too(kms: KMSService, clock: ManualClock, path: Path) -> None:
    kms.store_secret("API_KEY", "x", ttl="1h")
    kms.delete_secret("API_KEY")
    clock.advance(3_600_000 + 7 * DAY_MS)
    kms.node.maintain()
    assert bytes_of(path) == [False]


def test_a_former_version_is_destroyed_after_its_own_expiry(kms: KMSService, clock: ManualClock, path: Path) -> None:
    kms.store_secret("API_KEY", "x", ttl="1h")
    kms.store_secret("API_KEY", "y", ttl="90d")
    clock.advance(3_600_000 + 7 * DAY_MS)
    kms.node.maintain()
    assert bytes_of(path) == [False, True]

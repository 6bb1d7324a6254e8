"""The cached reads of SecretsManager: counted, bounded, coalesced, and dropped in time."""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from tests.services.conftest import Open, recorded

from keystead.errors import SecretDeleted, SecretExpired, SecretNotFound, SessionEnded, UsageError
from keystead.secrets.cache import ENTRY_OVERHEAD, ValueCache
from keystead.secrets.read import Found
from keystead.secrets.value import SecretValue
from keystead.services.connection import Connection
from keystead.services.secrets_manager import HOT_LENGTH, HOT_NAMES, SecretsManager
from keystead.testing import ManualClock


def reads(store: Connection) -> list[str]:
    """The targets of reads from the store, from now on."""
    seen: list[str] = []
    store.kms.on_event("secret_retrieved", lambda facts: seen.append(facts["target"]))
    return seen


def test_the_store_is_read_once_and_each_cached_read_is_counted(store: Connection) -> None:
    store.kms.store_secret("API_KEY", "x")
    seen = reads(store)
    first = store.secrets.get_secret("API_KEY")
    for _ in range(99):
        assert store.secrets.get_secret("API_KEY") is first
    assert seen == ["secret/API_KEY"]
    status = store.secrets.get_status()
    assert (status.hits, status.misses, status.hit_rate, status.entries) == (99, 1, 0.99, 1)
    assert store.kms.get_status().cache["entries"] == 1


def test_the_count_of_cached_reads_is_in_the_audit_log(store: Connection) -> None:
    store.kms.store_secret("API_KEY", "x")
    for _ in range(8):
        store.secrets.get_secret("API_KEY")
    store.kms.node.counts.flush()
    log = b"".join(file.read_bytes() for file in sorted(store.kms.node.location.audit.rglob("*.jsonl")))
    opening = [line for line in log.splitlines() if b'"cache_hit"' in line and b"at least 1" in line]
    counted = [line for line in log.splitlines() if b'"uses_counted"' in line and b'"cache_hit"' in line]
    assert (len(opening), len(counted)) == (1, 1)
    assert b'"uses":7' in counted[0]
    store.secrets.get_secret("API_KEY")
    store.kms.node.counts.flush()
    assert store.secrets.get_status().hits == 8


def test_each_version_and_label_is_cached_under_its_own_name(store: Connection, clock: ManualClock) -> None:
    store.kms.store_secret("API_KEY", "1")
    store.kms.rotate_secret("API_KEY", "2", grace="10s")
    seen = reads(store)
    for _ in range(3):
        assert store.secrets.get_secret("API_KEY").reveal() == "2"
        assert store.secrets.get_secret("API_KEY", version=1).reveal() == "1"
        assert store.secrets.get_secret("API_KEY", label="previous").reveal() == "1"
    assert len(seen) == 3
    clock.advance(10_000)
    assert store.secrets.get_secret("API_KEY", label="previous", default=None) is None
    assert store.secrets.get_secret("API_KEY", version=1).reveal() == "1"


@pytest.mark.parametrize("ttl", [5, 5.0, "5s", timedelta(seconds=5)])
def test_a_cached_value_is_read_again_after_the_ttl(opened: Open, clock: ManualClock, ttl: Any) -> None:
    store = opened(cache_ttl=ttl)
    store.kms.store_secret("API_KEY", "x")
    clock.advance(1_000)
    store.kms.get_status()
    seen = reads(store)
    for step in (0, 2_500, 2_499):
        clock.advance(step)
        store.secrets.get_secret("API_KEY")
    assert len(seen) == 1
    clock.advance(1)
    store.secrets.get_secret("API_KEY")
    assert len(seen) == 2


def test_a_ttl_of_nothing_reads_the_store_each_time(opened: Open) -> None:
    store = opened(cache_ttl=0)
    store.kms.store_secret("API_KEY", "x")
    seen = reads(store)
    for _ in range(3):
        store.secrets.get_secret("API_KEY")
    assert len(seen) == 3


@pytest.mark.parametrize("ttl", [-1, True, "5", "soon", timedelta(-1), float("nan"), float("inf"), None])
def test_a_ttl_of_another_form_is_refused(store: Connection, ttl: Any) -> None:
    with pytest.raises(UsageError):
        SecretsManager(store.kms, ttl)


CHANGES: dict[str, tuple[Callable[[Connection], object], object]] = {
    "rotated": (lambda store: store.kms.rotate_secret("API_KEY", "new"), "new"),
    "rotated by the manager": (lambda store: store.secrets.rotate_secret("API_KEY", "new"), "new"),
    "stored": (lambda store: store.kms.store_secret("API_KEY", "new"), "new"),
    "set": (lambda store: store.secrets.set_secret("API_KEY", "new"), "new"),
    "deleted": (lambda store: store.kms.delete_secret("API_KEY"), SecretDeleted),
    "destroyed": (lambda store: store.kms.destroy_secret("API_KEY"), SecretDeleted),
    "closed": (lambda store: store.close(), SessionEnded),
}


@pytest.mark.parametrize("change", CHANGES)
def test_cached_values_are_dropped_at_once_when_they_are(store: Connection, change: str) -> None:
    store.kms.store_secret("API_KEY", "old")
    for _ in range(3):
        assert store.secrets.get_secret("API_KEY").reveal() == "old"
    make, expected = CHANGES[change]
    make(store)
    assert store.secrets._hot == {}
    assert store.kms._opened.cache.get(("API_KEY", None, None)) is None  # type: ignore[union-attr]
    if isinstance(expected, str):
        assert store.secrets.get_secret("API_KEY").reveal() == expected
        return
    with pytest.raises(expected):  # type: ignore[call-overload]
        store.secrets.get_secret("API_KEY")


def test_an_expired_value_is_dropped_from_the_cache_once_it_is_recorded(store: Connection, clock: ManualClock) -> None:
    store.kms.store_secret("API_KEY", "x", ttl="1h")
    for _ in range(3):
        store.secrets.get_secret("API_KEY")
    clock.advance(3_600_000)
    with pytest.raises(SecretExpired):
        store.secrets.get_secret("API_KEY", default="y")
    assert store.kms.node.cache.size() == (0, 0)
    assert store.secrets._hot == {}


def test_a_cleared_cache_asks_the_store(store: Connection) -> None:
    store.kms.store_secret("API_KEY", "x")
    seen = reads(store)
    for _ in range(3):
        store.secrets.get_secret("API_KEY")
    store.secrets.clear_cache()
    assert store.secrets.get_status().entries == 0
    store.secrets.get_secret("API_KEY")
    assert len(seen) == 2


# Bounds


def entry(value: str) -> Any:
    from keystead.secrets.cache import Entry

    return Entry(Found(SecretValue(value), None), 1, 0.0)


def test_the_cache_is_bounded_in_entries_and_the_oldest_make_room() -> None:
    cache = ValueCache(max_entries=10)
    for number in range(25):
        cache.put((f"N{number}", None, None), entry("x"), cache.token)
    assert cache.size()[0] == 10
    assert cache.get(("N14", None, None)) is None
    assert cache.get(("N15", None, None)) is not None
    assert cache.figures.evicted == 15


def test_the_cache_is_bounded_in_bytes() -> None:
    cache = ValueCache(max_bytes=10_000)
    for number in range(50):
        cache.put((f"N{number}", None, None), entry("x" * 900), cache.token)
    entries, size = cache.size()
    assert size <= 10_000
    assert entries == 10_000 // (900 + 3 + ENTRY_OVERHEAD)
    cache.put(("HUGE", None, None), entry("x" * 20_000), cache.token)
    assert cache.size() == (0, 0)
    for number in range(3):
        cache.put(("SAME", None, None), entry("x" * (number + 1)), cache.token)
    assert cache.size() == (1, 3 + 4 + ENTRY_OVERHEAD)


@pytest.mark.parametrize("value", ["\U0001f511" * 16_000, "\u00fc" * 30_000, "x" * 64_000, b"\xff" * 64_000])
def test_the_bound_in_bytes_is_of_memory_and_not_of_characters(value: str | bytes) -> None:
    cache = ValueCache(max_bytes=1_000_000)
    for number in range(50):
        cache.put((f"N{number}", None, None), entry(value), cache.token)
    assert cache.size()[0] * sys.getsizeof(value) <= 1_000_000 < 50 * sys.getsizeof(value)
    assert cache.size()[0] >= 8


def test_what_is_served_without_any_check_is_bounded_too(store: Connection) -> None:
    names = [f"N{number}" for number in range(HOT_NAMES + 10)]
    store.kms.store_secrets(dict.fromkeys(names, "x"))
    store.kms.store_secret("LONG", "x" * (HOT_LENGTH + 1))
    store.secrets.get_secrets([*names, "LONG"])
    for name in [*names, "LONG"]:
        store.secrets.get_secret(name)
    assert 0 < len(store.secrets._hot) <= HOT_NAMES
    assert "LONG" not in store.secrets._hot
    assert store.secrets.get_secret("LONG").reveal() == "x" * (HOT_LENGTH + 1)


# Threads


def test_concurrent_misses_of_one_secret_read_the_store_once(store: Connection) -> None:
    store.kms.store_secret("API_KEY", "x")
    seen = reads(store)
    reading, go = threading.Event(), threading.Event()
    get = type(store.kms.node.reader).get

    def slow(self: object, *what: Any) -> Any:
        reading.set()
        assert go.wait(30)
        return get(self, *what)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(8) as pool:
        patch.setattr(type(store.kms.node.reader), "get", slow)
        answers = [pool.submit(store.secrets.get_secret, "API_KEY") for _ in range(8)]
        assert reading.wait(30)
        go.set()
        assert [answer.result(30).reveal() for answer in answers] == ["x"] * 8
    assert seen == ["secret/API_KEY"]
    assert store.secrets.get_status().misses == 1


def test_concurrent_misses_of_a_secret_that_is_not_there_all_fail(store: Connection) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: store.secrets.get_secret("NOWHERE", default=None), range(16)))
    assert answers == [None] * 16


def test_a_value_read_before_a_change_is_not_kept_after_it(store: Connection) -> None:
    store.kms.store_secret("API_KEY", "old")
    get = type(store.kms.node.reader).get

    def overtaken(self: object, *what: Any) -> Any:
        found = get(self, *what)  # type: ignore[arg-type]
        store.kms.rotate_secret("API_KEY", "new")
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(store.kms.node.reader), "get", overtaken)
        assert store.secrets.get_secret("API_KEY").reveal() == "old"
    for _ in range(3):
        assert store.secrets.get_secret("API_KEY").reveal() == "new"


def test_a_cached_value_is_not_heated_when_it_changed_between_look_up_and_answer(store: Connection) -> None:
    store.kms.store_secret("API_KEY", "old")
    store.secrets.get_secret("API_KEY")
    hit = type(store.secrets)._hit

    def overtaken(self: SecretsManager, *what: Any) -> Any:
        store.kms.rotate_secret("API_KEY", "new")
        return hit(self, *what)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(store.secrets), "_hit", overtaken)
        store.secrets.get_secret("API_KEY")
    assert store.secrets.get_secret("API_KEY").reveal() == "new"


def test_misses_are_counted_and_stand_in_the_log_beside_what_was_read(store: Connection) -> None:
    for name in ("API_KEY", "DB_KEY", "JWT_KEY"):
        store.kms.store_secret(name, "x")
    counted: list[tuple[str, int]] = []

    def note(facts: dict[str, Any]) -> None:
        if facts["detail"]["event"] == "cache_miss":
            counted.append((facts["target"], facts["detail"]["uses"]))

    store.kms.on_event("uses_counted", note)
    events = recorded(store.kms)
    for _ in range(4):
        store.secrets.clear_cache()
        store.secrets.get_secret("API_KEY")
    assert [event for event, _, _ in events if event != "secret_retrieved"] == ["cache_miss"]
    store.secrets.get_secrets(["API_KEY", "DB_KEY", "JWT_KEY"])
    store.kms.node.counts.flush()
    assert dict(counted) == {"secret/API_KEY": 4, "secret/*": 2}
    assert store.secrets.get_status().misses == 6


def test_a_read_that_fails_is_recorded_and_a_hit_is_not_recorded_again(store: Connection) -> None:
    store.kms.store_secret("API_KEY", "x")
    events = recorded(store.kms)
    for _ in range(10):
        store.secrets.get_secret("API_KEY")
    assert [event for event, _, _ in events if event != "cache_hit"] == ["cache_miss", "secret_retrieved"]


def test_an_old_value_is_not_served_even_for_a_moment_after_it_was_dropped(store: Connection) -> None:
    store.kms.store_secret("API_KEY", "old")
    store.secrets.get_secret("API_KEY")
    served: list[Any] = []
    guarded = type(store.kms.node.cache).if_unchanged

    def watched(self: ValueCache, token: int, do: Callable[[], None]) -> None:
        store.kms.rotate_secret("API_KEY", "new")
        guarded(self, token, do)
        served.append(store.secrets._hot.get("API_KEY"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ValueCache, "if_unchanged", watched)
        store.secrets.get_secret("API_KEY")
    assert served == [None]


def test_the_token_rises_only_when_everything_that_was_dropped_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = ValueCache()
    for number in range(3):
        cache.put(("N", number, None), entry("x"), cache.token)
    before, during = cache.token, []
    remove = ValueCache._remove
    monkeypatch.setattr(ValueCache, "_remove", lambda self, key: (during.append(self.token), remove(self, key)))
    cache.drop(["N"])
    assert (during, cache.token) == ([before] * 3, before + 1)


def test_a_value_that_was_dropped_while_the_store_was_asked_is_not_served_in_its_place(store: Connection) -> None:
    from keystead.errors import StoreBusy

    store.kms.store_secret("API_KEY", "old")
    store.secrets.get_secret("API_KEY")

    def busy(*_: object) -> None:
        store.kms.node.cache.drop(["API_KEY"])
        raise StoreBusy("another process was faster")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(store.kms.node.reader), "get", busy)
        patch.setattr(type(store.secrets), "_may_serve", lambda *_: False)
        with pytest.raises(StoreBusy):
            store.secrets.get_secret("API_KEY")


def test_a_manager_rotates_a_compromised_value_without_a_grace(store: Connection) -> None:
    store.secrets.set_secret("A", "one")
    store.secrets.rotate_secret("A", "two", grace="1h")
    assert store.secrets.get_secret("A", label="previous") == "one"
    store.secrets.rotate_secret("A", "three", compromised=True)
    with pytest.raises(SecretNotFound):
        store.secrets.get_secret("A", label="previous")


def test_a_lock_of_those_who_miss_is_kept_while_they_read_and_no_longer() -> None:
    cache, key = ValueCache(), ("name", 7, None)
    with cache.loading(key):
        held = weakref.ref(cache.loading(key))
        assert cache.loading(key) is held()
        assert cache.loading(("name", 8, None)) is not held()
    assert held() is None

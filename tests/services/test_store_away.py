"""A store that is busy, gone, replaced or damaged while it is open."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.services.conftest import BY_HAND, Open, recorded

import keystead
from keystead.errors import (
    KeyExhausted,
    SecretExpired,
    SecretNotFound,
    SessionEnded,
    StoreBusy,
    StoreNotFound,
    StoreUnavailable,
)
from keystead.services.connection import Connection
from keystead.testing import ManualClock

GRACE_S = 300
# What a process does that recovers the log: it locks the bytes of the shared memory by which readers and writers
# exclude each other, and writes the index of the log anew.
LOCKING = """
import fcntl, os, sys
fd = os.open(sys.argv[1] + "-shm", os.O_RDWR)
fcntl.lockf(fd, fcntl.LOCK_EX, 8, 120)
index = os.pread(fd, 96, 0)
os.pwrite(fd, bytes(96), 0)
print("locked", flush=True)
sys.stdin.read()
os.pwrite(fd, index, 0)
"""
Busy = Callable[[], object]


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keystead.storage.sqlite.BUSY_SECONDS", 0.05)
    monkeypatch.setattr("keystead.storage.sqlite.READ_BUSY_SECONDS", 0.05)


@pytest.fixture
def warm(opened: Open, short_waits: None) -> Connection:
    """A store whose API_KEY is cached, and whose data keys are in use."""
    store = opened(settings=replace(BY_HAND, stale_grace_ms=GRACE_S * 1000), cache_ttl="10s")
    store.kms.store_secret("API_KEY", "x", ttl="1h")
    store.kms.store_secret("UNREAD", "x")
    for _ in range(2):
        store.secrets.get_secret("API_KEY")
    return store


@contextmanager
def unreadable(path: Path) -> Iterator[None]:
    """Another process recovers the log, and nobody can read."""
    process = subprocess.Popen(
        [sys.executable, "-c", LOCKING, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield
    finally:
        process.communicate()


@contextmanager
def unwritable(path: Path) -> Iterator[None]:
    """Another connection holds the write lock, without keystead's queue."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield


def test_while_another_writes_reading_goes_on_and_writing_says_busy(warm: Connection, path: Path) -> None:
    with unwritable(path):
        assert warm.kms.get_secret("UNREAD").reveal() == "x"
        assert warm.secrets.get_secret("API_KEY").reveal() == "x"
        assert warm.kms.decrypt(warm.kms.encrypt(b"x")) == b"x"
        with pytest.raises(StoreBusy):
            warm.kms.store_secret("API_KEY", "y")
        with pytest.raises(KeyExhausted):
            warm.kms.encrypt_data("x")
    assert warm.kms.store_secret("API_KEY", "y").version == 2
    assert warm.kms.decrypt_data(warm.kms.encrypt_data("x")) == "x"


def test_an_expired_value_is_refused_also_while_its_expiry_cannot_be_recorded(
    warm: Connection, path: Path, clock: ManualClock
) -> None:
    clock.advance(3_600_000)
    with unwritable(path):
        for _ in range(2):
            with pytest.raises(SecretExpired):
                warm.kms.get_secret("API_KEY")


def test_while_the_store_cannot_be_read_what_is_held_is_served_announced_and_counted(
    warm: Connection, path: Path, clock: ManualClock
) -> None:
    blob = warm.kms.encrypt(b"x")
    assert warm.kms.decrypt(blob) == b"x"
    clock.advance(2_000)
    events = recorded(warm.kms)
    with unreadable(path):
        assert warm.secrets.get_secret("API_KEY").reveal() == "x"
        clock.advance(20_000)
        assert warm.secrets.get_secret("API_KEY").reveal() == "x"
        assert warm.secrets.get_secrets(["API_KEY"])["API_KEY"].reveal() == "x"
        assert warm.kms.decrypt(blob) == b"x"
        assert warm.kms.decrypt(warm.kms.encrypt(b"y")) == b"y"
        for call in (
            lambda: warm.secrets.get_secret("UNREAD"),
            lambda: warm.secrets.get_secret("UNREAD", default="y"),
            lambda: warm.secrets.get_secrets(["API_KEY", "UNREAD"]),
            lambda: warm.secrets.get_secrets(["UNREAD"], missing="skip"),
            lambda: warm.secrets.get_secret("NEVER_HELD", default="y"),
        ):
            with pytest.raises((StoreBusy, StoreUnavailable)):
                call()
    assert events.count(("stale_served", "secret/API_KEY", "success")) >= 2
    assert warm.secrets.get_status().stale_served >= 2
    assert any("does not answer" in notice for notice in warm.kms.notices)
    clock.advance(1_000)
    assert warm.secrets.get_secret("UNREAD").reveal() == "x"
    assert warm.kms.get_status().store_answers


def test_the_service_without_a_store_is_bounded(warm: Connection, path: Path, clock: ManualClock) -> None:
    blob = warm.kms.encrypt(b"x")
    clock.advance(2_000)
    with unreadable(path):
        warm.secrets.get_secret("API_KEY")
        clock.advance(GRACE_S * 1000 - 10_000)
        assert warm.secrets.get_secret("API_KEY").reveal() == "x"
        clock.advance(20_000)
        for _ in range(2):
            with pytest.raises((StoreBusy, StoreUnavailable)):
                warm.secrets.get_secret("API_KEY")
            with pytest.raises((StoreBusy, StoreUnavailable)):
                warm.kms.decrypt(blob)
            clock.advance(2_000)
    clock.advance(2_000)
    assert warm.secrets.get_secret("API_KEY").reveal() == "x"


def test_the_service_without_a_store_never_gives_what_expired(
    opened: Open, short_waits: None, path: Path, clock: ManualClock
) -> None:
    store = opened(cache_ttl="1s")
    store.kms.store_secret("API_KEY", "x", ttl="30s")
    store.secrets.get_secret("API_KEY")
    clock.advance(29_999)
    with unreadable(path):
        assert store.secrets.get_secret("API_KEY").reveal() == "x"
        clock.advance(1)
        with pytest.raises((StoreBusy, StoreUnavailable, SecretExpired)):
            store.secrets.get_secret("API_KEY")


def test_the_service_without_a_store_never_gives_what_is_known_to_have_changed(
    opened: Open, short_waits: None, path: Path, clock: ManualClock
) -> None:
    store, other = opened(), opened()
    store.kms.store_secret("API_KEY", "old")
    for _ in range(2):
        store.secrets.get_secret("API_KEY")
    other.kms.rotate_secret("API_KEY", "new")
    clock.advance(1_000)
    store.kms.get_status()
    with unreadable(path), pytest.raises((StoreBusy, StoreUnavailable)):
        store.secrets.get_secret("API_KEY")


def test_a_revoked_session_is_served_nothing_from_memory(warm: Connection, path: Path, clock: ManualClock) -> None:
    warm.kms.revoke_session(warm.kms.session_id)
    with unreadable(path), pytest.raises(SessionEnded):
        warm.secrets.get_secret("API_KEY")


def test_not_every_call_waits_for_a_store_that_does_not_answer(
    warm: Connection, path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = warm.kms.node
    clock.advance(2_000)
    with unreadable(path):
        warm.secrets.get_secret("API_KEY")
        asked = []
        monkeypatch.setattr(node.store, "read", lambda: asked.append(1))
        for _ in range(100):
            warm.secrets.get_secret("API_KEY")
    assert asked == []


@pytest.mark.parametrize("how", ["removed", "replaced", "damaged"])
def test_a_store_that_is_missing_foreign_or_damaged_ends_service(
    warm: Connection, path: Path, clock: ManualClock, key: str, tmp_path: Path, how: str
) -> None:
    blob = warm.kms.encrypt(b"x")
    warm.kms.decrypt(blob)
    if how == "removed":
        path.unlink()
    elif how == "replaced":
        with keystead.connect(tmp_path / "other.db", master_key=key) as other:
            other.kms.store_secret("API_KEY", "foreign")
        (tmp_path / "other.db").replace(path)
    else:
        # Enough that nothing is served from the pages that SQLite itself holds.
        warm.kms.node.store.checkpoint()
        with path.open("r+b") as file:
            file.write(b"\x00" * path.stat().st_size)
            os.fsync(file.fileno())
        with closing(sqlite3.connect(path)) as connection, pytest.raises(sqlite3.Error):
            connection.execute("SELECT * FROM store")
        for reader in warm.kms.node.store._readers:
            sqlite3.Connection.execute(reader, "PRAGMA shrink_memory")
    clock.advance(1_000)
    for _ in range(2):
        for call in (
            lambda: warm.secrets.get_secret("API_KEY"),
            lambda: warm.kms.get_secret("API_KEY"),
            lambda: warm.kms.decrypt(blob),
            lambda: warm.kms.store_secret("API_KEY", "y"),
        ):
            with pytest.raises((StoreNotFound, StoreUnavailable)):
                call()
        clock.advance(2_000)


def test_a_name_never_falls_back_to_the_environment_because_the_store_is_away(
    warm: Connection, path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNREAD", "from the environment")
    monkeypatch.setenv("NEVER_HELD", "from the environment")
    assert warm.secrets.get_secret("NEVER_HELD").reveal() == "from the environment"
    clock.advance(2_000)
    with unreadable(path):
        for name in ("UNREAD", "NEVER_HELD"):
            with pytest.raises((StoreBusy, StoreUnavailable)):
                warm.secrets.get_secret(name)


def test_a_store_that_comes_back_in_the_same_file_is_served_again(
    opened: Open, short_waits: None, path: Path, clock: ManualClock, tmp_path: Path
) -> None:
    store = opened()
    store.kms.store_secret("API_KEY", "x")
    shutil.move(path, tmp_path / "aside")
    clock.advance(1_000)
    with pytest.raises(StoreNotFound):
        store.secrets.get_secret("API_KEY")
    shutil.move(tmp_path / "aside", path)
    assert store.secrets.get_secret("API_KEY").reveal() == "x"
    with pytest.raises(SecretNotFound):
        store.secrets.get_secret("NEVER_HELD")

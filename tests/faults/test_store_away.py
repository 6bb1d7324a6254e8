"""Stores that are away: removed, replaced, locked, of something else; and what many threads leave behind."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.faults.checks import value

import keystead
from keystead.errors import KeysteadError, StoreBusy, StoreNotFound, StoreUnavailable
from keystead.services.connection import Connection
from keystead.storage import sqlite
from keystead.testing import ManualClock

KEY = keystead.generate_master_key()


def store_at(folder: Path, clock: ManualClock | None = None) -> Connection:
    store = keystead.connect(folder / "app.db", master_key=KEY, clock=clock)
    store.kms.store_secret("NAME", "first")
    return store


def in_thread(work: Callable[[], Any]) -> Any:
    """What `work` gives, or the error it raised, in a thread of its own."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(work())
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_store_that_was_taken_away_ends_service_within_the_freshness(tmp_path: Path, how: str) -> None:
    """Section 7: a missing or foreign store ends service, also what is held in memory; the way on is named."""
    clock = ManualClock()
    with store_at(tmp_path, clock) as store:
        assert store.secrets.get_secret("NAME").reveal() == "first"
        if how == "removed":
            (tmp_path / "app.db").unlink()
        else:
            other = tmp_path / "other"
            other.mkdir()
            store_at(other).close()
            (other / "app.db").replace(tmp_path / "app.db")
        clock.advance(1_000)
        for use in (
            lambda: store.secrets.get_secret("NAME"),
            lambda: store.kms.get_secret("NAME"),
            lambda: store.kms.encrypt(b"x"),
            lambda: store.kms.store_secret("NAME", "second"),
        ):
            with pytest.raises(StoreNotFound, match="removed or replaced"):
                use()


def test_no_thread_takes_an_older_copy_that_was_put_in_the_place_of_the_open_file(tmp_path: Path) -> None:
    """T18: a thread that begins after the exchange must not open the copy as if it were the store."""
    with store_at(tmp_path) as store:
        store.kms.node.store.checkpoint()
        shutil.copy(tmp_path / "app.db", tmp_path / "old.db")
        store.kms.rotate_secret("NAME", "second")
        (tmp_path / "old.db").replace(tmp_path / "app.db")
        found = in_thread(lambda: store.kms.get_secret("NAME").reveal())
        assert isinstance(found, StoreNotFound)


def test_a_store_that_another_program_locks_is_busy_and_works_again_when_it_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keystead.storage.sqlite.BUSY_SECONDS", 0.05)
    monkeypatch.setattr("keystead.storage.sqlite.READ_BUSY_SECONDS", 0.05)
    with store_at(tmp_path) as store:
        store.kms.close()
        with keystead.connect(tmp_path / "app.db", master_key=KEY) as again:
            with closing(sqlite3.connect(tmp_path / "app.db", isolation_level=None)) as locker:
                locker.execute("BEGIN IMMEDIATE")
                with pytest.raises(StoreBusy):
                    again.kms.store_secret("NAME", "second")
                assert value(again, "NAME") == "first"
                locker.execute("ROLLBACK")
            assert again.kms.store_secret("NAME", "second").version == 2


@pytest.mark.parametrize("journal_mode", ["delete", "wal"])
def test_a_database_of_something_else_is_refused_untouched(tmp_path: Path, journal_mode: str) -> None:
    """T32: not a byte of it changes, and nothing is left beside it."""
    with closing(sqlite3.connect(tmp_path / "app.db")) as other:
        other.execute(f"PRAGMA journal_mode={journal_mode}")
        other.execute("CREATE TABLE somebody (elses TEXT)")
        other.commit()
    before = (tmp_path / "app.db").read_bytes()
    with pytest.raises(StoreUnavailable, match="something else"):
        keystead.connect(tmp_path / "app.db", master_key=KEY)
    assert (tmp_path / "app.db").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["app.db"]


@pytest.mark.parametrize(
    "content", [b"not a database at all, but a text" * 40, b"SQLite format 3\x00" + b"\xff" * 4080]
)
def test_a_file_that_is_no_database_is_refused_untouched(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "app.db").write_bytes(content)
    with pytest.raises(StoreUnavailable):
        keystead.connect(tmp_path / "app.db", master_key=KEY)
    assert (tmp_path / "app.db").read_bytes() == content


@pytest.mark.parametrize("kind", ["folder", "dangling link", "fifo"])
def test_a_path_that_cannot_be_a_store_is_an_error_and_no_wait(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "app.db"
    if kind == "folder":
        (path / "app.db").mkdir(parents=True)
        path = path / "app.db"
        (path / "keystead.db").mkdir()
    elif kind == "dangling link":
        path.symlink_to(tmp_path / "nowhere" / "app.db")
    else:
        os.mkfifo(path)
    with pytest.raises(KeysteadError):
        keystead.connect(path, master_key=KEY)


def test_every_connection_keeps_the_log_and_waits_for_the_disk(tmp_path: Path) -> None:
    """Measured: only WAL with FULL, of the modes that we may take, lost nothing at any point of a crash."""
    with store_at(tmp_path) as store:
        inside = store.kms.node.store
        with inside.write() as writer:
            for connection in (writer, inside.read()):
                asked = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
                assert asked == ["wal", 2]


@pytest.mark.parametrize("pragma", ["journal_mode=DELETE", "synchronous=NORMAL", "synchronous=OFF"])
def test_a_store_that_cannot_be_kept_safely_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pragma: str
) -> None:
    """As on a file system without shared memory, where SQLite answers another mode than it was asked for."""
    store_at(tmp_path).close()
    name = pragma.partition("=")[0]
    others = [other for other in sqlite._PRAGMAS if name not in other]
    monkeypatch.setattr(sqlite, "_PRAGMAS", (*others, f"PRAGMA {pragma}"))
    with pytest.raises(StoreUnavailable, match="cannot be kept safely"):
        keystead.connect(tmp_path / "app.db", master_key=KEY)


def test_a_newer_schema_is_refused_untouched(tmp_path: Path) -> None:
    """T32."""
    store_at(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "app.db")) as newer:
        newer.execute("PRAGMA user_version = 9999")
    before = (tmp_path / "app.db").read_bytes()
    with pytest.raises(KeysteadError, match="newer") as caught:
        keystead.connect(tmp_path / "app.db", master_key=KEY)
    assert caught.value.code == "KS3004"
    assert (tmp_path / "app.db").read_bytes() == before


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_hundreds_of_threads_one_after_the_other_leave_no_descriptors_behind(tmp_path: Path) -> None:
    with store_at(tmp_path) as store:
        in_thread(lambda: store.kms.get_secret("NAME"))
        before = descriptors()
        for _ in range(200):
            assert in_thread(lambda: store.kms.get_secret("NAME").reveal()) == "first"
        assert descriptors() <= before + 6


def test_destroying_beside_a_writing_thread_fails_neither(tmp_path: Path) -> None:
    """The checkpoint that takes destroyed bytes out of the log must wait for a transaction of another thread."""
    with store_at(tmp_path) as store:
        store.kms.store_secrets({f"GONE_{number}": "x" for number in range(20)})
        errors: list[Exception] = []
        stopping = threading.Event()

        def write() -> None:
            turn = 0
            while not stopping.is_set():
                turn += 1
                try:
                    store.kms.store_secret(f"KEPT_{turn % 5}", "y" * 2_000)
                except Exception as error:
                    errors.append(error)
                    return

        thread = threading.Thread(target=write)
        thread.start()
        try:
            for number in range(20):
                store.kms.destroy_secret(f"GONE_{number}")
        finally:
            stopping.set()
            thread.join()
        assert errors == []

"""T18: the whole file put back to an older state, where the audit log, or a process that has it open, knows better."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.faults.checks import audit_report

import keystead
from keystead.errors import RollbackDetected
from keystead.services.connection import Connection
from keystead.services.kms import KMSService
from keystead.testing import ManualClock

KEY = keystead.generate_master_key()
CHANGES: dict[str, Callable[[Connection], object]] = {
    "a secret": lambda store: store.kms.rotate_secret("API_KEY", "new"),
    "a revocation": lambda store: store.kms.revoke_session("ses_" + "0" * 32),
    "messages of a data key": lambda store: [store.kms.encrypt_data("x") for _ in range(100)],
}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "app.db"
    with keystead.connect(path, master_key=KEY) as store:
        store.kms.store_secret("API_KEY", "old")
    shutil.copy(path, tmp_path / "old.db")
    return path


def put_back(database: Path) -> None:
    """As an operator with SQLite's own tools does it to a database that others have open."""
    with closing(sqlite3.connect(database.with_name("old.db"))) as old, closing(sqlite3.connect(database)) as now:
        old.backup(now)


@pytest.mark.parametrize("what", CHANGES)
def test_an_old_copy_is_found_at_the_next_opening_whatever_was_changed_since(database: Path, what: str) -> None:
    with keystead.connect(database, master_key=KEY) as store:
        CHANGES[what](store)
    put_back(database)
    with pytest.raises(RollbackDetected, match="accept-rollback"):
        keystead.connect(database, master_key=KEY)


def test_after_an_accepted_rollback_no_message_is_made_whose_number_was_lost(database: Path) -> None:
    """Counts only err upwards: the old copy's count is too low, so its data key encrypts nothing more."""
    with keystead.connect(database, master_key=KEY) as store:
        CHANGES["messages of a data key"](store)
        (counted,) = store.kms.list_data_keys().items
    put_back(database)
    with KMSService(database, master_key=KEY, accept_rollback=True) as kms:
        former, active = kms.list_data_keys().items
        assert (former.id, former.state) == (counted.id, "deactivated") and former.messages < counted.messages
        assert kms.encrypt_data("x")["keyId"] == active.id
        assert kms.audit.verify().ok


@pytest.mark.parametrize("what", CHANGES)
def test_a_process_that_has_the_store_open_serves_and_writes_nothing_of_an_old_copy(database: Path, what: str) -> None:
    clock = ManualClock()
    with keystead.connect(database, master_key=KEY, clock=clock) as store:
        CHANGES[what](store)
        blob = store.kms.encrypt(b"x")
        store.secrets.get_secret("API_KEY")
        put_back(database)
        with pytest.raises(RollbackDetected):
            store.kms.store_secret("OTHER", "x")
        clock.advance(1_000)
        for _ in range(2):
            for call in (
                lambda: store.secrets.get_secret("API_KEY"),
                lambda: store.kms.get_secret("API_KEY"),
                lambda: store.kms.decrypt(blob),
                lambda: store.kms.encrypt_data("x"),
            ):
                with pytest.raises(RollbackDetected):
                    call()
            clock.advance(2_000)
    with pytest.raises(RollbackDetected):
        keystead.connect(database, master_key=KEY)


def test_processes_that_have_the_store_open_go_on_after_a_rollback_was_accepted(database: Path) -> None:
    clock = ManualClock()
    with keystead.connect(database, master_key=KEY, clock=clock) as store:
        store.kms.rotate_secret("API_KEY", "new")
        put_back(database)
        with KMSService(database, master_key=KEY, accept_rollback=True):
            pass
        clock.advance(1_000)
        assert store.secrets.get_secret("API_KEY").reveal() == "old"
        store.kms.rotate_secret("API_KEY", "newer")
        report = audit_report(store)
        assert report.ok, report.problems

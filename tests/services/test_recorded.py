"""Section 11.6: no operation without its audit record, also one that changed nothing, found nothing or failed early."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.services.conftest import Open, recorded

import keystead
from keystead.audit.reader import tail
from keystead.clock import SystemClock
from keystead.errors import RollbackDetected, StoreNotFound, WrongMasterKey
from keystead.services.connection import Connection
from keystead.services.kms import KMSService
from keystead.testing import ManualClock


def records(store: Connection) -> list[Any]:
    return [entry.record for entry in tail(store.kms.node.location.audit, 1000)]


def test_a_session_has_a_record_of_its_beginning_and_of_its_end(store: Connection) -> None:
    with KMSService.on(store.kms.node, principal="bob") as bob:
        session = bob.session_id
    bob.close()
    of_bob = [(record.event, record.target) for record in records(store) if record.principal == "local:bob"]
    assert of_bob == [("session_opened", f"session/{session}"), ("session_closed", f"session/{session}")]


def test_closing_a_store_ends_each_session_with_a_record(opened: Open, store: Connection) -> None:
    other = opened(principal="eve")
    other.close()
    events = [record.event for record in records(store) if record.principal == "local:eve"]
    assert events == ["session_opened", "session_closed"]


def test_a_change_that_found_nothing_to_change_is_recorded_as_such(store: Connection) -> None:
    store.kms.store_secret("API_KEY", "x")
    store.kms.undelete_secret("API_KEY")
    store.kms.delete_secret("API_KEY")
    store.kms.delete_secret("API_KEY")
    changed = [(record.event, record.detail.get("changed")) for record in records(store)[-3:]]
    assert changed == [("secret_undeleted", 0), ("secret_deleted", None), ("secret_deleted", 0)]
    assert store.kms.audit.verify().ok


def test_names_that_a_batch_looked_for_in_vain_are_recorded(store: Connection) -> None:
    assert store.secrets.get_secrets(["GUESS_1", "GUESS_2"], missing="skip") == {}
    last = records(store)[-1]
    assert (last.event, last.detail) == ("secrets_listed", {"absent": 2, "names": "GUESS_1,GUESS_2"})


def test_a_store_that_is_gone_leaves_a_record_of_each_failure(
    store: Connection, path: Path, clock: ManualClock
) -> None:
    events = recorded(store.kms)
    path.rename(path.with_name("aside.db"))
    clock.advance(1_000)
    with pytest.raises(StoreNotFound):
        store.kms.get_secret("API_KEY")
    assert events == [("kms_error", "secret/API_KEY", "failed")]


def test_a_failed_start_names_who_started(path: Path, store: Connection) -> None:
    with pytest.raises(WrongMasterKey):
        KMSService(path, master_key=keystead.generate_master_key(), principal="mallory").initialize()
    with pytest.raises(WrongMasterKey):
        keystead.connect(path, master_key=keystead.generate_master_key(), clock=SystemClock())
    failed = [record.principal for record in records(store) if record.event == "kms_error"]
    assert failed[0] == "local:mallory" and failed[1].startswith("local:")


def test_an_old_copy_names_who_opened_it(opened: Open, path: Path, key: str) -> None:
    store = opened()
    old = path.read_bytes()
    store.kms.store_secret("API_KEY", "x")
    store.close()
    path.write_bytes(old)
    with pytest.raises(RollbackDetected):
        KMSService(path, master_key=key, principal="mallory").initialize()
    assert [record.principal for record in records_of(path) if record.event == "kms_error"] == ["local:mallory"]


def records_of(path: Path) -> list[Any]:
    return [entry.record for entry in tail(path.with_name(path.name + ".audit"), 1000)]

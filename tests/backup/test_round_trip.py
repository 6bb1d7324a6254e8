"""What a backup brings back: everything, under another master key, with an audit log that goes on."""

from __future__ import annotations

import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.backup.conftest import DAY_MS, PASSPHRASE, Place, audit_report, content, last_records, reading

import keystead
from keystead.errors import SecretDeleted, SecretExpired, SecretNotFound, WrongMasterKey
from keystead.node import backup as backup_module
from keystead.services.connection import Connection
from keystead.services.kms import KMSService
from keystead.testing import ManualClock


def fill(kms: KMSService, clock: ManualClock) -> None:
    kms.store_secret("TEXT", "größer ✓")
    kms.store_secret("BYTES", b"\x00\xff\x00")
    kms.store_secret("TAGGED", "value", tags={"team": "shop", "tier": "2"})
    for number in range(4):
        kms.store_secret("app/rotated", f"value {number}")
        clock.advance(1000)
    kms.rotate_data_key()
    kms.rotate_secret("app/rotated", "newest")
    kms.store_secret("GENERATED", generate="hex:64")
    kms.store_secret("SHORT", "lived", ttl="1h")
    kms.store_secret("LONG", "lived", ttl_days=30)
    kms.store_secret("DELETED", "gone")
    kms.delete_secret("DELETED")
    kms.store_secret("DESTROYED", "gone")
    kms.destroy_secret("DESTROYED")
    kms.store_secret("HALF", "one")
    kms.store_secret("HALF", "two")
    kms.destroy_secret("HALF", version=1)
    clock.advance(2 * 3_600_000)


def test_everything_that_the_store_shows_comes_back(
    store: Connection, place: Place, clock: ManualClock, tmp_path: Path
) -> None:
    fill(store.kms, clock)
    before = content(store)
    written = store.kms.backup(tmp_path / "b", passphrase=PASSPHRASE)
    new = place("new.db")
    restored = new.kms.restore(tmp_path / "b", passphrase=PASSPHRASE)
    assert content(new) == before
    assert before["app/rotated"][2] == {"current": "newest", "previous": "value 3"}
    assert before["SHORT"][2]["current"] is SecretExpired
    assert restored == written
    assert (written.secrets, written.data_keys, written.bytes) == (10, 2, (tmp_path / "b").stat().st_size)
    assert content(store) == before


def test_deleted_secrets_are_still_deleted_and_can_be_brought_back(
    store: Connection, place: Place, clock: ManualClock, tmp_path: Path
) -> None:
    fill(store.kms, clock)
    store.kms.backup(tmp_path / "b", passphrase=PASSPHRASE)
    new = place("new.db").kms
    new.restore(tmp_path / "b", passphrase=PASSPHRASE)
    for name in ("DELETED", "DESTROYED"):
        with pytest.raises(SecretDeleted):
            new.get_secret(name)
    new.undelete_secret("DELETED")
    assert new.get_secret("DELETED").reveal() == "gone"
    assert reading(lambda: new.get_secret("HALF", version=1)) is SecretDeleted


def test_ttls_rules_tags_and_labels_go_on_where_they_were(
    store: Connection, place: Place, clock: ManualClock, tmp_path: Path
) -> None:
    fill(store.kms, clock)
    store.kms.backup(tmp_path / "b", passphrase=PASSPHRASE)
    new = place("new.db").kms
    new.restore(tmp_path / "b", passphrase=PASSPHRASE)
    assert [info.name for info in new.list_secrets(tags={"team": "shop"}).items] == ["TAGGED"]
    former = new.get_secret("GENERATED").reveal()
    assert new.rotate_secret("GENERATED").version == 2
    assert new.get_secret("GENERATED").reveal() != former
    clock.advance(2 * DAY_MS)
    assert reading(lambda: new.get_secret("app/rotated", label="previous")) is SecretNotFound
    clock.advance(29 * DAY_MS)
    assert reading(lambda: new.get_secret("LONG")) is SecretExpired


def test_ciphertexts_made_before_open_after_it(kms: KMSService, place: Place, tmp_path: Path) -> None:
    envelope = kms.encrypt_data("words", aad="ada")
    compact = kms.encrypt(b"blob", aad={"user": "ada"})
    sealed = io.BytesIO()
    kms.encrypt_stream(io.BytesIO(b"file" * 1000), sealed)
    kms.rotate_data_key()
    newer = kms.encrypt(b"newer")
    kms.backup(tmp_path / "b", passphrase=PASSPHRASE)
    new = place("new.db").kms
    new.restore(tmp_path / "b", passphrase=PASSPHRASE)
    assert new.decrypt_data(envelope, aad="ada") == "words"
    assert new.decrypt(compact, aad={"user": "ada"}) == b"blob"
    assert new.decrypt(newer) == b"newer"
    opened = io.BytesIO()
    new.decrypt_stream(io.BytesIO(sealed.getvalue()), opened)
    assert opened.getvalue() == b"file" * 1000


def test_the_counts_of_messages_never_fall(kms: KMSService, place: Place, tmp_path: Path) -> None:
    for _ in range(100):
        kms.encrypt_data("x")
    before = kms.list_data_keys().items[0].messages
    kms.backup(tmp_path / "b", passphrase=PASSPHRASE)
    new = place("new.db").kms
    new.restore(tmp_path / "b", passphrase=PASSPHRASE)
    assert before >= 100
    assert new.list_data_keys().items[0].messages >= before
    new.encrypt_data("x")
    assert new.list_data_keys().items[0].messages > before


def test_a_revoked_session_stays_revoked(kms: KMSService, place: Place, tmp_path: Path) -> None:
    kms.revoke_session("ses_" + "a" * 32)
    kms.backup(tmp_path / "b", passphrase=PASSPHRASE)
    new = place("new.db").kms
    new.restore(tmp_path / "b", passphrase=PASSPHRASE)
    rows = new.node.store.read().execute("SELECT session_id FROM revoked_sessions").fetchall()
    assert rows == [("ses_" + "a" * 32,)]


def test_only_the_new_places_key_opens_the_restored_store(
    store: Connection, place: Place, key: str, tmp_path: Path
) -> None:
    store.kms.store_secret("A", "value")
    store.kms.slots.add(keystead.Passphrase("old passphrase of the old place"), label="spare")
    store.kms.backup(tmp_path / "b", passphrase=PASSPHRASE)
    new_key = keystead.generate_master_key()
    new = place("new.db", master_key=new_key)
    new.kms.restore(tmp_path / "b", passphrase=PASSPHRASE)
    assert [slot.label for slot in new.kms.slots.list().items] == ["master key"]
    new.close()
    for old in (key, keystead.Passphrase("old passphrase of the old place")):
        with pytest.raises(WrongMasterKey):
            place("new.db", master_key=old)
    assert place("new.db", master_key=new_key).secrets.get_secret("A").reveal() == "value"


def test_a_store_opened_by_a_passphrase_is_restored_under_that_passphrase(
    store: Connection, place: Place, tmp_path: Path
) -> None:
    store.kms.store_secret("A", "value")
    store.kms.backup(tmp_path / "b", passphrase=PASSPHRASE)
    credential = keystead.Passphrase("the passphrase of the new place")
    new = place("new.db", master_key=credential)
    new.kms.restore(tmp_path / "b", passphrase=PASSPHRASE)
    new.close()
    assert place("new.db", master_key=credential).secrets.get_secret("A").reveal() == "value"


def test_the_restored_store_keeps_its_own_audit_log_which_verifies_and_goes_on(
    store: Connection, place: Place, tmp_path: Path
) -> None:
    store.kms.store_secret("A", "value")
    store.kms.backup(tmp_path / "b", passphrase=PASSPHRASE)
    new = place("new.db")
    new.kms.restore(tmp_path / "b", passphrase=PASSPHRASE)
    report = audit_report(new)
    assert report.ok, report.problems
    new.kms.store_secret("B", "after")
    new.close()
    again = place("new.db")
    report = audit_report(again)
    assert report.ok, report.problems
    restored = last_records(again, "backup_restored")
    assert [(record.outcome, record.detail["secrets"]) for record in restored] == [("success", 1)]
    assert restored[0].detail["from"] == store.kms.node.root.store_id.hex()
    assert [record.target for record in last_records(again, "secret_stored")] == ["secret/B"]


def test_a_backup_is_recorded_with_its_path_and_form(kms: KMSService, store: Connection, tmp_path: Path) -> None:
    kms.backup(tmp_path / "b", passphrase=PASSPHRASE)
    kms.backup(tmp_path / "s", passphrase=PASSPHRASE, shreddable=True)
    found = [
        (record.outcome, record.detail["path"], record.detail["form"])
        for record in last_records(store, "backup_created")
    ]
    assert found == [("success", str(tmp_path / "b"), "ordinary"), ("success", str(tmp_path / "s"), "shreddable")]


def test_a_restored_store_is_backed_up_and_restored_again(store: Connection, place: Place, tmp_path: Path) -> None:
    store.kms.store_secret("A", "value")
    source = store
    for number in range(3):
        source.kms.backup(tmp_path / f"b{number}", passphrase=PASSPHRASE, shreddable=number == 1)
        new = place(f"new{number}.db")
        new.kms.restore(tmp_path / f"b{number}", passphrase=PASSPHRASE, shred_keys=source.kms.node.location.shred_keys)
        new.kms.rotate_secret("A", f"value {number}")
        source = new
    versions = [source.kms.get_secret("A", version=number).reveal() for number in (1, 2, 3, 4)]
    assert versions == ["value", "value 0", "value 1", "value 2"]


def test_the_manager_serves_restored_values_at_once(store: Connection, place: Place, tmp_path: Path) -> None:
    store.kms.store_secret("A", "value")
    store.secrets.backup_secrets(tmp_path / "b", passphrase=PASSPHRASE)
    new = place("new.db")
    assert new.secrets.get_secret("A", default=None) is None
    new.secrets.restore_secrets(tmp_path / "b", passphrase=PASSPHRASE)
    assert new.secrets.get_secret("A").reveal() == "value"
    assert new.config_loader is not None


def test_a_folder_store_goes_into_a_file_store_and_back(place: Place, tmp_path: Path) -> None:
    folder = place(".keystead")
    folder.kms.store_secret("A", "value")
    folder.kms.backup(tmp_path / "b", passphrase=PASSPHRASE, shreddable=True)
    assert (tmp_path / ".keystead" / "shred-keys").is_dir()
    file = place("file.db").kms
    file.restore(tmp_path / "b", passphrase=PASSPHRASE, shred_keys=tmp_path / ".keystead" / "shred-keys")
    assert file.get_secret("A").reveal() == "value"
    file.backup(tmp_path / "c", passphrase=PASSPHRASE, shreddable=True)
    assert (tmp_path / "file.db.shred-keys").is_dir()


def test_an_empty_store_is_backed_up_too(kms: KMSService, place: Place, tmp_path: Path) -> None:
    assert kms.backup(tmp_path / "b", passphrase=PASSPHRASE).secrets == 0
    new = place("new.db").kms
    new.restore(tmp_path / "b", passphrase=PASSPHRASE)
    assert new.list_data_keys() == kms.list_data_keys()
    assert new.store_secret("A", "works").version == 1


OF_SCHEMA_2 = {
    "migrations", "store", "key_slots", "data_keys", "secrets", "secret_versions", "secret_tags", "revoked_sessions",
    "audit_chains", "audit_outbox",
}  # fmt: skip


def test_a_backup_of_an_earlier_schema_is_brought_up_to_date(
    store: Connection, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.kms.store_secret("A", "value")
    take = backup_module.take_snapshot

    def earlier(of: object) -> bytes:
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            connection.deserialize(take(of))
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            later = [name for name in tables if name not in OF_SCHEMA_2 and not name.startswith("sqlite_")]
            for statement in (
                *(f"DROP TABLE {name}" for name in later),
                "DELETE FROM migrations WHERE number > 2",
                "PRAGMA user_version = 2",
            ):
                connection.execute(statement)
            return connection.serialize()

    monkeypatch.setattr(backup_module, "take_snapshot", earlier)
    store.kms.backup(tmp_path / "b", passphrase=PASSPHRASE)
    monkeypatch.undo()
    new = place("new.db").kms
    new.restore(tmp_path / "b", passphrase=PASSPHRASE)
    assert new.get_secret("A").reveal() == "value"
    new.backup(tmp_path / "c", passphrase=PASSPHRASE)
    assert len(new.affected_by_destroying(new.list_data_keys().items[0].id).backups) == 1


def test_a_report_is_json_with_the_same_names(kms: KMSService, tmp_path: Path) -> None:
    report = kms.backup(tmp_path / "b", passphrase=PASSPHRASE)
    assert json.loads(json.dumps(report.as_dict()))["store_id"] == report.store_id

"""Backups in shreddable form: destroying a data key reaches them, and nothing else does."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest
from tests.backup.conftest import DAY_MS, PASSPHRASE, Place, audit_report, content, last_records, reading

from keystead.crypto.wrapping import unwrap_key
from keystead.errors import (
    BackupError,
    DataKeyNotFound,
    DecryptionError,
    FileUnavailable,
    KeyStateError,
    SecretDeleted,
    UsageError,
)
from keystead.node import backup as backup_module
from keystead.node.backup_file import read_backup
from keystead.services.connection import Connection
from keystead.services.kms import KMSService
from keystead.storage.data_keys import SqliteDataKeys
from keystead.testing import ManualClock


@pytest.fixture
def two_keys(store: Connection) -> tuple[str, str]:
    """OLD under the first data key, NEW under the second, BOTH with a version under each; the keys' ids."""
    kms = store.kms
    first = kms.list_data_keys().items[0].id
    kms.store_secrets({"OLD": "old value", "BOTH": "first"})
    second = kms.rotate_data_key().id
    kms.store_secrets({"NEW": "new value", "BOTH": "second"})
    return first, second


def shred_file(kms: KMSService, key_id: str) -> Path:
    return kms.node.location.shred_keys / kms.node.ring.by_id(key_id).reference.hex()


def test_with_its_shred_keys_everything_comes_back(
    store: Connection, two_keys: tuple[str, str], place: Place, tmp_path: Path
) -> None:
    before = content(store)
    written = store.kms.backup(tmp_path / "s", passphrase=PASSPHRASE, shreddable=True)
    new = place("new.db")
    restored = new.kms.restore(
        tmp_path / "s", passphrase=PASSPHRASE, shred_keys=str(store.kms.node.location.shred_keys)
    )
    assert content(new) == before
    assert restored == written
    assert (written.shreddable, written.destroyed_keys, written.destroyed_versions) == (True, 0, 0)


def test_a_week_old_backup_holds_nothing_of_a_key_that_was_destroyed_since_and_all_else(
    store: Connection, two_keys: tuple[str, str], place: Place, clock: ManualClock, tmp_path: Path
) -> None:
    kms, (first, second) = store.kms, two_keys
    envelope, blob = kms.encrypt_data("still there"), kms.encrypt(b"still there")
    kms.backup(tmp_path / "s", passphrase=PASSPHRASE, shreddable=True)
    file = shred_file(kms, first)
    clock.advance(7 * DAY_MS)
    assert file.exists()
    assert kms.destroy_data_key(first).state == "destroyed"
    assert not file.exists()
    assert shred_file(kms, second).exists()

    new = place("new.db")
    report = new.kms.restore(tmp_path / "s", passphrase=PASSPHRASE, shred_keys=kms.node.location.shred_keys)
    assert (report.destroyed_keys, report.destroyed_versions) == (1, 2)
    assert reading(lambda: new.kms.get_secret("OLD")) is SecretDeleted
    assert reading(lambda: new.kms.get_secret("BOTH", version=1)) is SecretDeleted
    assert new.kms.get_secret("BOTH").reveal() == "second"
    assert new.kms.get_secret("NEW").reveal() == "new value"
    assert new.kms.decrypt_data(envelope) == new.kms.decrypt(blob).decode() == "still there"
    found = new.kms.list_data_keys().items
    assert [(item.id, item.state) for item in found] == [(first, "destroyed"), (second, "active")]
    assert [version.state for version in new.kms.list_versions("BOTH").items] == ["destroyed", "live"]
    detail = last_records(new, "backup_restored")[0].detail
    assert (detail["destroyed_keys"], detail["destroyed_versions"]) == (1, 2)
    assert audit_report(new).ok


def test_what_a_destroyed_key_encrypted_for_callers_does_not_open_after_a_restore(
    store: Connection, place: Place, tmp_path: Path
) -> None:
    kms = store.kms
    envelope, blob = kms.encrypt_data("lost"), kms.encrypt(b"lost")
    first = kms.list_data_keys().items[0].id
    kms.rotate_data_key()
    kms.backup(tmp_path / "s", passphrase=PASSPHRASE, shreddable=True)
    kms.destroy_data_key(first)
    new = place("new.db").kms
    new.restore(tmp_path / "s", passphrase=PASSPHRASE, shred_keys=kms.node.location.shred_keys)
    for open_ in (lambda: new.decrypt_data(envelope), lambda: new.decrypt(blob)):
        with pytest.raises((KeyStateError, DecryptionError)):
            open_()


def test_an_ordinary_backup_still_opens_what_was_destroyed_and_the_tool_says_so_before(
    store: Connection, two_keys: tuple[str, str], place: Place, clock: ManualClock, tmp_path: Path
) -> None:
    kms, (first, _) = store.kms, two_keys
    kms.backup(tmp_path / "o", passphrase=PASSPHRASE)
    clock.advance(1000)
    kms.backup(tmp_path / "s", passphrase=PASSPHRASE, shreddable=True)
    affected = kms.affected_by_destroying(first)
    folder = str(kms.node.location.shred_keys)
    found = [(backup.path, backup.created_ms, backup.shred_keys) for backup in affected.backups]
    assert found == [
        (str(tmp_path / "o"), clock.now_ms() - 1000, None),
        (str(tmp_path / "s"), clock.now_ms(), folder),
    ]
    assert [backup.path for backup in affected.stays_readable_in()] == [str(tmp_path / "o")]
    assert sorted(affected.versions) == [("BOTH", 1), ("OLD", 1)]
    kms.destroy_data_key(first)
    new = place("new.db").kms
    new.restore(tmp_path / "o", passphrase=PASSPHRASE)
    assert new.get_secret("OLD").reveal() == "old value"


def test_a_backup_made_after_a_key_was_destroyed_is_not_listed_for_it(
    kms: KMSService, two_keys: tuple[str, str], tmp_path: Path
) -> None:
    first, second = two_keys
    kms.destroy_data_key(first)
    kms.backup(tmp_path / "b", passphrase=PASSPHRASE)
    assert kms.affected_by_destroying(first).backups == []
    assert len(kms.affected_by_destroying(second).backups) == 1


def test_a_restored_store_knows_its_backups_and_that_destroying_there_does_not_reach_them(
    kms: KMSService, two_keys: tuple[str, str], place: Place, tmp_path: Path
) -> None:
    first, _ = two_keys
    kms.backup(tmp_path / "s", passphrase=PASSPHRASE, shreddable=True)
    new = place("new.db").kms
    new.restore(tmp_path / "s", passphrase=PASSPHRASE, shred_keys=kms.node.location.shred_keys)
    affected = new.affected_by_destroying(first)
    assert [(backup.path, backup.shred_keys) for backup in affected.stays_readable_in()] == [
        (str(tmp_path / "s"), str(kms.node.location.shred_keys))
    ]
    new.destroy_data_key(first)
    again = place("again.db").kms
    again.restore(tmp_path / "s", passphrase=PASSPHRASE, shred_keys=kms.node.location.shred_keys)
    assert again.get_secret("OLD").reveal() == "old value"


# What is in the file, and what is not


def test_passphrase_and_root_key_open_no_data_key_of_it(
    kms: KMSService, two_keys: tuple[str, str], tmp_path: Path
) -> None:
    kms.backup(tmp_path / "s", passphrase=PASSPHRASE, shreddable=True)
    opened = read_backup(tmp_path / "s", PASSPHRASE)
    rows = SqliteDataKeys(kms.node.store.read()).all()
    held = {record.reference: record for record in opened.content.data_keys}
    assert len(held) == len(rows) == 2
    shred_keys = [shred_file(kms, key_id).read_bytes() for key_id in two_keys]
    for row in rows:
        record = held[row.reference]
        assert record.wrapped is not None
        assert row.wrapped is not None
        # Neither the row nor a free page has the wrapping under the root key.
        assert row.wrapped[1:] not in opened.snapshot
        assert not [key for key in shred_keys if key in opened.snapshot]
        aads = (
            record.aad(opened.content.row.store_id),
            b"",
            backup_module.under_shred_key.__globals__["_aad"](row, b""),
        )
        for aad in aads:
            with pytest.raises(DecryptionError):
                unwrap_key(opened.root.wrapping_key(), record.wrapped, aad)


def test_shred_keys_differ_and_one_does_not_open_another_key(
    store: Connection, two_keys: tuple[str, str], place: Place, tmp_path: Path
) -> None:
    kms, (first, second) = store.kms, two_keys
    kms.backup(tmp_path / "s", passphrase=PASSPHRASE, shreddable=True)
    one, two = shred_file(kms, first), shred_file(kms, second)
    assert len({one.read_bytes(), two.read_bytes()}) == 2
    folder = tmp_path / "swapped"
    shutil.copytree(kms.node.location.shred_keys, folder)
    shutil.copy(two, folder / one.name)
    new = place("new.db")
    with pytest.raises(BackupError, match=f"shred key {one.name}.*not the one"):
        new.kms.restore(tmp_path / "s", passphrase=PASSPHRASE, shred_keys=folder)
    assert len(new.kms.list_data_keys().items) == 1


def test_shred_keys_are_private_whatever_the_umask_and_stay_the_same(
    kms: KMSService, two_keys: tuple[str, str], tmp_path: Path
) -> None:
    former = os.umask(0)
    try:
        kms.backup(tmp_path / "s", passphrase=PASSPHRASE, shreddable=True)
    finally:
        os.umask(former)
    folder = kms.node.location.shred_keys
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert sorted(map(len, before.values())) == [0, 32, 32]
    kms.rotate_data_key()
    kms.backup(tmp_path / "s2", passphrase=PASSPHRASE, shreddable=True)
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert len(after) == 4
    assert before.items() <= after.items()


def test_an_ordinary_backup_makes_no_shred_key(kms: KMSService, tmp_path: Path) -> None:
    kms.backup(tmp_path / "o", passphrase=PASSPHRASE)
    assert not kms.node.location.shred_keys.exists()


# The folder of shred keys


def test_without_the_folder_a_shreddable_backup_is_refused(
    kms: KMSService, two_keys: tuple[str, str], place: Place, tmp_path: Path
) -> None:
    kms.backup(tmp_path / "s", passphrase=PASSPHRASE, shreddable=True)
    new = place("new.db").kms
    with pytest.raises(UsageError, match="shred_keys="):
        new.restore(tmp_path / "s", passphrase=PASSPHRASE)
    with pytest.raises(FileUnavailable, match="mistyped"):
        new.restore(tmp_path / "s", passphrase=PASSPHRASE, shred_keys=tmp_path / "mistyped")
    with pytest.raises(FileUnavailable, match="Not a directory"):
        new.restore(tmp_path / "s", passphrase=PASSPHRASE, shred_keys=tmp_path / "s")
    assert (
        new.restore(tmp_path / "s", passphrase=PASSPHRASE, shred_keys=kms.node.location.shred_keys).destroyed_keys == 0
    )


def test_the_wrong_folder_is_told_from_one_whose_keys_were_destroyed(
    kms: KMSService, two_keys: tuple[str, str], place: Place, tmp_path: Path
) -> None:
    kms.backup(tmp_path / "s", passphrase=PASSPHRASE, shreddable=True)
    other = place("other.db").kms
    other.backup(tmp_path / "other", passphrase=PASSPHRASE, shreddable=True)
    (tmp_path / "empty").mkdir()
    new = place("new.db")
    before = content(new)
    for folder in (tmp_path / "empty", other.node.location.shred_keys):
        with pytest.raises(BackupError, match="does not hold the shred keys of the store"):
            new.kms.restore(tmp_path / "s", passphrase=PASSPHRASE, shred_keys=folder)
    assert content(new) == before


@pytest.mark.parametrize("damage", [b"x" * 31, b"x" * 33, b"x" * 32, b"x"])
def test_a_damaged_shred_key_is_no_destroyed_one(
    kms: KMSService, two_keys: tuple[str, str], place: Place, tmp_path: Path, damage: bytes
) -> None:
    kms.backup(tmp_path / "s", passphrase=PASSPHRASE, shreddable=True)
    shred_file(kms, two_keys[0]).write_bytes(damage)
    new = place("new.db")
    with pytest.raises(BackupError, match="shred key"):
        new.kms.restore(tmp_path / "s", passphrase=PASSPHRASE, shred_keys=kms.node.location.shred_keys)
    assert len(new.kms.list_data_keys().items) == 1


@pytest.mark.parametrize("rest", [None, b"", bytes(32)])
def test_a_shred_key_that_was_removed_or_overwritten_is_a_destroyed_one(
    kms: KMSService, two_keys: tuple[str, str], place: Place, tmp_path: Path, rest: bytes | None
) -> None:
    kms.backup(tmp_path / "s", passphrase=PASSPHRASE, shreddable=True)
    file = shred_file(kms, two_keys[0])
    file.unlink() if rest is None else file.write_bytes(rest)
    new = place("new.db").kms
    report = new.restore(tmp_path / "s", passphrase=PASSPHRASE, shred_keys=kms.node.location.shred_keys)
    assert (report.destroyed_keys, report.destroyed_versions) == (1, 2)


def test_with_every_key_destroyed_the_restored_store_has_a_fresh_one_and_works(
    store: Connection, two_keys: tuple[str, str], place: Place, tmp_path: Path
) -> None:
    kms = store.kms
    kms.backup(tmp_path / "s", passphrase=PASSPHRASE, shreddable=True)
    kms.rotate_data_key()
    for key_id in two_keys:
        kms.destroy_data_key(key_id)
    new = place("new.db")
    report = new.kms.restore(tmp_path / "s", passphrase=PASSPHRASE, shred_keys=kms.node.location.shred_keys)
    assert (report.destroyed_keys, report.destroyed_versions) == (2, 4)
    assert [item.state for item in new.kms.list_data_keys().items] == ["destroyed", "destroyed", "active"]
    assert reading(lambda: new.kms.get_secret("NEW")) is SecretDeleted
    new.kms.store_secret("NEW", "again")
    new.close()
    assert place("new.db").kms.get_secret("NEW").reveal() == "again"


def test_an_ordinary_backup_asks_for_no_shred_keys_and_minds_none(
    kms: KMSService, two_keys: tuple[str, str], place: Place, tmp_path: Path
) -> None:
    kms.backup(tmp_path / "o", passphrase=PASSPHRASE)
    new = place("new.db").kms
    assert new.restore(tmp_path / "o", passphrase=PASSPHRASE, shred_keys=tmp_path / "nowhere").destroyed_keys == 0
    assert new.get_secret("OLD").reveal() == "old value"


# Destroying


def test_a_shred_key_is_overwritten_before_it_is_removed(
    kms: KMSService, two_keys: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also on the disk: without a flush between the two, only the removal may come there."""
    kms.backup(tmp_path / "s", passphrase=PASSPHRASE, shreddable=True)
    file, flush, flushed = shred_file(kms, two_keys[0]), os.fsync, []
    number = file.stat().st_ino

    def flushing(handle: int) -> None:
        if os.fstat(handle).st_ino == number:
            flushed.append(file.read_bytes())
        flush(handle)

    os.link(file, tmp_path / "the same bytes on the disk")
    monkeypatch.setattr(os, "fsync", flushing)
    kms.destroy_data_key(two_keys[0])
    assert flushed == [bytes(32)]
    assert (tmp_path / "the same bytes on the disk").read_bytes() == bytes(32)


def test_a_key_whose_shred_key_cannot_be_removed_is_not_told_destroyed_and_the_next_open_goes_on(
    store: Connection,
    two_keys: tuple[str, str],
    place: Place,
    key: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kms, (first, _) = store.kms, two_keys
    kms.backup(tmp_path / "s", passphrase=PASSPHRASE, shreddable=True)
    file = shred_file(kms, first)
    saved = file.read_bytes()
    file.unlink()
    file.mkdir()
    with pytest.raises(FileUnavailable, match="cannot remove a shred key"):
        kms.destroy_data_key(first)
    assert [item.state for item in kms.list_data_keys().items] == ["scrubbing", "active"]
    assert [record.outcome for record in last_records(store, "data_key_destroyed")] == ["failed"]
    assert reading(lambda: kms.get_secret("OLD")) is SecretDeleted
    store.close()
    file.rmdir()
    file.write_bytes(saved)
    again = place("app.db", master_key=key)
    again.kms.node.maintain()
    assert [item.state for item in again.kms.list_data_keys().items] == ["destroyed", "active"]
    assert not file.exists()


def test_destroying_without_any_shreddable_backup_needs_no_folder(kms: KMSService, two_keys: tuple[str, str]) -> None:
    assert kms.destroy_data_key(two_keys[0]).state == "destroyed"
    assert not kms.node.location.shred_keys.exists()


def test_a_key_destroyed_while_a_backup_is_being_written_is_not_readable_from_it(
    store: Connection,
    two_keys: tuple[str, str],
    place: Place,
    key: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, _ = two_keys
    other = place("app.db", master_key=key)
    take = backup_module.take_snapshot

    def late(of: Any) -> bytes:
        snapshot = take(of)
        assert other.kms.destroy_data_key(first).state in ("destroyed", "scrubbing")
        monkeypatch.setattr(backup_module, "take_snapshot", take)
        return snapshot

    monkeypatch.setattr(backup_module, "take_snapshot", late)
    store.kms.backup(tmp_path / "s", passphrase=PASSPHRASE, shreddable=True)
    folder = store.kms.node.location.shred_keys
    assert len([path for path in folder.iterdir() if not path.name.startswith("store-")]) == 1
    new = place("new.db").kms
    report = new.restore(tmp_path / "s", passphrase=PASSPHRASE, shred_keys=folder)
    assert report.destroyed_keys == 1
    assert reading(lambda: new.get_secret("OLD")) is SecretDeleted


def test_a_key_made_while_a_backup_begins_has_its_shred_key_too(
    store: Connection,
    two_keys: tuple[str, str],
    place: Place,
    key: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = place("app.db", master_key=key)
    take = backup_module.take_snapshot

    def late(of: Any) -> bytes:
        monkeypatch.setattr(backup_module, "take_snapshot", take)
        other.kms.rotate_data_key()
        other.kms.store_secret("LATE", "value")
        return take(of)

    monkeypatch.setattr(backup_module, "take_snapshot", late)
    assert store.kms.backup(tmp_path / "s", passphrase=PASSPHRASE, shreddable=True).data_keys == 3
    new = place("new.db").kms
    new.restore(tmp_path / "s", passphrase=PASSPHRASE, shred_keys=store.kms.node.location.shred_keys)
    assert new.get_secret("LATE").reveal() == "value"
    newest = new.list_data_keys().items[-1].id
    assert [backup.path for backup in new.affected_by_destroying(newest).backups] == [str(tmp_path / "s")]


def test_affected_names_an_unknown_key(kms: KMSService) -> None:
    with pytest.raises(DataKeyNotFound):
        kms.affected_by_destroying("default-0")


def test_after_a_rekey_a_shreddable_backup_is_whole(
    store: Connection, two_keys: tuple[str, str], place: Place, tmp_path: Path
) -> None:
    kms = store.kms
    kms.backup(tmp_path / "before", passphrase=PASSPHRASE, shreddable=True)
    kms.rekey(kms.own_credential())
    kms.backup(tmp_path / "after", passphrase=PASSPHRASE, shreddable=True)
    for name in ("before", "after"):
        new = place(f"{name}.db").kms
        new.restore(tmp_path / name, passphrase=PASSPHRASE, shred_keys=kms.node.location.shred_keys)
        assert new.get_secret("OLD").reveal() == "old value"

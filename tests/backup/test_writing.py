"""How the file of a backup comes about: private, whole or not at all, read back, and never in another's place."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from tests.backup.conftest import PASSPHRASE, Place, last_records

from keystead.errors import AuditUnavailable, BackupError, FileUnavailable, StoreExists, StoreUnavailable, UsageError
from keystead.node import backup_file
from keystead.node.backup_file import read_backup
from keystead.services.connection import Connection
from keystead.services.kms import KMSService


@pytest.fixture(params=["nameless", "named"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With files that have no name until they are whole, and on a disk that knows none."""
    if request.param == "named":
        monkeypatch.setattr(backup_file, "_NAMELESS", 0)
    return str(request.param)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "backups"
    made.mkdir()
    return made


def test_a_backup_is_private_whatever_the_umask(kms: KMSService, folder: Path, way: str) -> None:
    former = os.umask(0)
    try:
        kms.backup(folder / "b", passphrase=PASSPHRASE)
    finally:
        os.umask(former)
    assert stat.S_IMODE((folder / "b").stat().st_mode) == 0o600
    assert [item.name for item in folder.iterdir()] == ["b"]
    assert read_backup(folder / "b", PASSPHRASE).content.secrets == 0


@pytest.mark.parametrize("kind", ["file", "folder", "link", "dangling link"])
def test_what_is_there_is_never_overwritten(kms: KMSService, folder: Path, way: str, kind: str) -> None:
    target = folder / "b"
    if kind == "file":
        target.write_bytes(b"mine")
    elif kind == "folder":
        target.mkdir()
    else:
        target.symlink_to(folder / "elsewhere")
        if kind == "link":
            (folder / "elsewhere").write_bytes(b"mine")
    before = sorted(folder.iterdir())
    with pytest.raises(StoreExists, match="is there already"):
        kms.backup(target, passphrase=PASSPHRASE)
    assert sorted(folder.iterdir()) == before
    assert kind == "folder" or not target.exists() or target.read_bytes() == b"mine"


def test_a_file_that_appears_meanwhile_stays_as_it_is(
    kms: KMSService, folder: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_name = backup_file.NewFile.give_name

    def late(file: backup_file.NewFile) -> None:
        (folder / "b").write_bytes(b"mine")
        give_name(file)

    monkeypatch.setattr(backup_file.NewFile, "give_name", late)
    with pytest.raises(StoreExists):
        kms.backup(folder / "b", passphrase=PASSPHRASE)
    assert (folder / "b").read_bytes() == b"mine"
    assert [item.name for item in folder.iterdir()] == ["b"]


def spoiling(monkeypatch: pytest.MonkeyPatch, spoil: Any) -> None:
    """Let `spoil` act on the open file when all was written into it."""
    seal = backup_file.seal_stream

    def sealed(source: Any, target: Any, sealer: Any) -> int:
        total = seal(source, target, sealer)
        spoil(target)
        return total

    monkeypatch.setattr(backup_file, "seal_stream", sealed)


def no_room(_: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def one_bit(file: Any) -> None:
    file.seek(900)
    byte = file.read(1)
    file.seek(900)
    file.write(bytes([byte[0] ^ 1]))


def cut(file: Any) -> None:
    file.truncate(2000)


@pytest.mark.parametrize(
    ("spoil", "error"),
    [(no_room, FileUnavailable), (one_bit, BackupError), (cut, BackupError)],
    ids=lambda x: x.__name__,
)
@pytest.mark.parametrize("shreddable", [False, True])
def test_a_disk_that_fails_leaves_nothing_and_is_recorded(
    store: Connection, folder: Path, way: str, monkeypatch: pytest.MonkeyPatch, spoil: Any, error: Any, shreddable: bool
) -> None:
    spoiling(monkeypatch, spoil)
    with pytest.raises(error, match="b"):
        store.kms.backup(folder / "b", passphrase=PASSPHRASE, shreddable=shreddable)
    assert list(folder.iterdir()) == []
    assert [record.outcome for record in last_records(store, "backup_created")] == ["failed"]
    assert store.kms.affected_by_destroying(store.kms.list_data_keys().items[0].id).backups == []
    monkeypatch.undo()
    store.kms.backup(folder / "b", passphrase=PASSPHRASE)
    assert read_backup(folder / "b", PASSPHRASE).size == (folder / "b").stat().st_size


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_flush_that_fails_leaves_nothing(
    kms: KMSService, folder: Path, way: str, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Each of the two is flushed: what is in the file, and then its name."""

    class Os:
        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

        @staticmethod
        def fsync(fd: int) -> None:
            if stat.S_ISDIR(os.fstat(fd).st_mode) == (what == "folder"):
                raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(backup_file, "os", Os())
    with pytest.raises(FileUnavailable, match="Input/output"):
        kms.backup(folder / "b", passphrase=PASSPHRASE)
    assert list(folder.iterdir()) == []


def test_a_backup_that_cannot_be_recorded_is_taken_back(
    kms: KMSService, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise AuditUnavailable("the log is full")

    monkeypatch.setattr(kms.node.journal, "append", refuse)
    with pytest.raises(AuditUnavailable):
        kms.backup(folder / "b", passphrase=PASSPHRASE)
    assert list(folder.iterdir()) == []


def test_a_folder_that_is_not_there_is_named(kms: KMSService, tmp_path: Path) -> None:
    with pytest.raises(FileUnavailable, match="missing/b"):
        kms.backup(tmp_path / "missing" / "b", passphrase=PASSPHRASE)


@pytest.mark.parametrize("weak", ["", "short", "password"])
def test_a_weak_passphrase_is_refused_before_anything_is_written(kms: KMSService, folder: Path, weak: str) -> None:
    with pytest.raises(UsageError):
        kms.backup(folder / "b", passphrase=weak)
    assert list(folder.iterdir()) == []


def test_a_store_that_cannot_be_written_is_backed_up_all_the_same_and_the_report_says_it_does_not_know(
    store: Connection, place: Place, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full or failing disk is when a backup to another is wanted most."""
    store.kms.store_secret("A", "value")

    def full(*_: object, **__: object) -> Any:
        raise StoreUnavailable("no room")

    monkeypatch.setattr(store.kms.node.store, "write", full)
    assert store.kms.backup(folder / "b", passphrase=PASSPHRASE).listed is False
    with pytest.raises(StoreUnavailable):
        store.kms.backup(folder / "s", passphrase=PASSPHRASE, shreddable=True)
    monkeypatch.undo()
    assert [item.name for item in folder.iterdir()] == ["b"]
    new = place("new.db")
    new.kms.restore(folder / "b", passphrase=PASSPHRASE)
    assert new.secrets.get_secret("A").reveal() == "value"


def windows(value: bytes) -> list[bytes]:
    return [value[at : at + 8] for at in range(len(value) - 7)]


@pytest.mark.parametrize("shreddable", [False, True])
def test_no_plaintext_name_or_key_byte_is_in_the_file(
    store: Connection, key: str, folder: Path, shreddable: bool
) -> None:
    kms = store.kms
    values = [os.urandom(20).hex() for _ in range(5)]
    for number, value in enumerate(values):
        kms.store_secret(f"CANARY_NAME_{number}", value, tags={"canary-tag": "canary-tag-value"})
    kms.rotate_data_key()
    kms.store_secret("CANARY_NAME_0", values[0])
    kms.backup(folder / "b", passphrase=PASSPHRASE, shreddable=shreddable)
    data = (folder / "b").read_bytes()
    node = kms.node
    keys = [bytes(node.root.root().view()), bytes(node.root.integrity().view()), bytes(node.root.audit().view())]
    keys += [bytes(material.view()) for material in node.ring._materials.values()]
    keys += [path.read_bytes() for path in node.location.shred_keys.glob("????????????????")] if shreddable else []
    assert len(keys) == (7 if shreddable else 5)
    texts = [*values, "CANARY_NAME_", "canary-tag", key, PASSPHRASE, "root_key", "SQLite format 3"]
    for secret in [*keys, *(text.encode() for text in texts)]:
        assert not [window for window in windows(secret) if window in data]

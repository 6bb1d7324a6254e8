"""What is no backup, a damaged one, or not for this store is refused, and nothing is changed."""

from __future__ import annotations

import io
import os
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.backup.conftest import BY_HAND, PASSPHRASE, Place, audit_report, content, last_records

import keystead
from keystead.crypto import stream
from keystead.errors import BackupError, FileUnavailable, KeysteadError, StoreBusy, StoreExists, UsageError
from keystead.node import backup as backup_module
from keystead.node import backup_file
from keystead.node.backup_file import HEADER_LENGTH, read_backup
from keystead.services.connection import Connection
from keystead.services.kms import KMSService


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Two backups of one store, of more than one chunk each, under one passphrase."""
    folder = tmp_path_factory.mktemp("pair")
    with keystead.connect(folder / "app.db", master_key=keystead.generate_master_key(), settings=BY_HAND) as store:
        store.kms.store_secrets({f"NAME_{number}": os.urandom(60_000) for number in range(12)})
        for name in ("a", "b"):
            store.kms.backup(folder / name, passphrase=PASSPHRASE)
            store.kms.store_secret("BETWEEN", "the two")
    return [(folder / name).read_bytes() for name in ("a", "b")]


def refuses(data: bytes, tmp_path: Path) -> str:
    """The text of the BackupError with which these bytes are refused."""
    (tmp_path / "bad").write_bytes(data)
    with pytest.raises(BackupError) as caught:
        read_backup(tmp_path / "bad", PASSPHRASE)
    return str(caught.value)


def flipped(data: bytes, place: int, bit: int = 0) -> bytes:
    return data[:place] + bytes([data[place] ^ (1 << bit)]) + data[place + 1 :]


def test_every_sampled_flip_behind_the_header_is_refused(pair: list[bytes], tmp_path: Path) -> None:
    whole = pair[0]
    chance = random.Random(4)
    head = HEADER_LENGTH + stream.HEADER_LENGTH
    places = {*range(HEADER_LENGTH, head), len(whole) - 1, *chance.sample(range(head, len(whole)), 120)}
    for place in sorted(places):
        assert "nothing was changed" in refuses(flipped(whole, place, chance.randrange(8)), tmp_path)
    assert read_backup_of(whole, tmp_path).content.secrets == 12


def read_backup_of(data: bytes, tmp_path: Path) -> backup_file.Backup:
    (tmp_path / "good").write_bytes(data)
    return read_backup(tmp_path / "good", PASSPHRASE)


def test_every_flip_in_the_header_is_refused(
    pair: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each flip of parameters or salt asks for another Argon2id; what counts is that its key is another.
    monkeypatch.setattr(backup_file, "derive_from_passphrase", lambda *_, **how: os.urandom(32))
    for place in range(HEADER_LENGTH):
        for bit in (0, 4, 7):
            assert refuses(flipped(pair[0], place, bit), tmp_path)
    monkeypatch.undo()
    # The time, under the very same key.
    for place in range(37, HEADER_LENGTH):
        assert refuses(flipped(pair[0], place), tmp_path)


def test_parameters_that_would_take_all_memory_are_refused_before_any_is_taken(
    pair: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> bytes:
        raise AssertionError("derived")

    monkeypatch.setattr(backup_file, "derive_from_passphrase", never)
    for at in (9, 13, 17):
        text = refuses(pair[0][:at] + b"\xff\xff\xff\xff" + pair[0][at + 4 :], tmp_path)
        assert "a header that keystead does not write" in text


def test_every_truncation_and_what_follows_the_end_is_refused(pair: list[bytes], tmp_path: Path) -> None:
    whole = pair[0]
    body = HEADER_LENGTH + stream.HEADER_LENGTH
    chunk = stream.DEFAULT_CHUNK + stream.TAG_LENGTH
    assert len(whole) > body + 2 * chunk
    lengths = [0, 1, 8, 9, 44, 45, 46, body - 1, body, body + 15, body + chunk, body + 2 * chunk, len(whole) - 1]
    for length in lengths:
        assert refuses(whole[:length], tmp_path)
    for more in (b"\0", b"\0" * 16, whole[body:], whole):
        assert refuses(whole + more, tmp_path)


def test_parts_of_two_backups_do_not_go_together(pair: list[bytes], tmp_path: Path) -> None:
    one, two = pair
    body = HEADER_LENGTH + stream.HEADER_LENGTH
    chunk = stream.DEFAULT_CHUNK + stream.TAG_LENGTH
    for cut in (22, 37, HEADER_LENGTH, body, body + chunk, body + 2 * chunk):
        assert refuses(one[:cut] + two[cut:], tmp_path)
        assert refuses(two[:cut] + one[cut:], tmp_path)
    first, second = one[body : body + chunk], one[body + chunk : body + 2 * chunk]
    assert refuses(one[:body] + second + first + one[body + 2 * chunk :], tmp_path)
    assert refuses(one[:body] + first + first + one[body + 2 * chunk :], tmp_path)
    assert refuses(one[:body] + second + one[body + 2 * chunk :], tmp_path)


def test_another_passphrase_is_refused_without_telling_it_from_damage(pair: list[bytes], tmp_path: Path) -> None:
    (tmp_path / "good").write_bytes(pair[0])
    with pytest.raises(BackupError) as caught:
        read_backup(tmp_path / "good", PASSPHRASE + "s")
    assert str(caught.value).replace("good", "bad") == refuses(flipped(pair[0], 200), tmp_path)
    assert PASSPHRASE not in str(caught.value)


@given(st.binary(max_size=300))
@settings(max_examples=150, deadline=None)
def test_no_bytes_at_all_are_taken_for_a_backup(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(data)
    with pytest.raises(BackupError, match="is no keystead backup"):
        read_backup(path, PASSPHRASE)


def test_files_of_something_else_are_refused_by_name(kms: KMSService, tmp_path: Path) -> None:
    sealed = tmp_path / "sealed"
    kms.encrypt_stream(io.BytesIO(b"x" * 500), sealed)
    compact = tmp_path / "compact"
    compact.write_bytes(kms.encrypt(b"x" * 500))
    for path in (sealed, compact, kms.node.location.database):
        with pytest.raises(BackupError, match=f"{path.name} is no keystead backup"):
            read_backup(path, PASSPHRASE)


def test_a_backup_of_a_later_version_is_refused_as_such(pair: list[bytes], tmp_path: Path) -> None:
    assert "of a version that this keystead does not read" in refuses(pair[0][:8] + b"\x02" + pair[0][9:], tmp_path)


def test_what_cannot_be_read_is_named(kms: KMSService, place: Place, tmp_path: Path) -> None:
    new = place("new.db").kms
    (tmp_path / "folder").mkdir()
    for name in ("missing", "folder", "folder/missing"):
        with pytest.raises(FileUnavailable, match=name):
            new.restore(tmp_path / name, passphrase=PASSPHRASE)


def image(snapshot: bytes, *statements: str) -> bytes:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.deserialize(snapshot)
        for statement in statements:
            connection.execute(statement)
        return connection.serialize()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda fields, data: (fields, image(data, "PRAGMA user_version = 9999")), "schema 9999"),
        (lambda fields, data: (fields, image(data, "PRAGMA application_id = 1")), "no sound keystead database"),
        (lambda fields, data: (fields, image(data, "DELETE FROM store")), "holds no store"),
        (lambda fields, data: (fields, b"no database at all" * 500), "no database"),
        (lambda fields, data: ({**fields, "store_id": "00" * 16}, data), "what its manifest says"),
        (lambda fields, data: ({**fields, "form": "other"}, data), "what its manifest says"),
        (lambda fields, data: ({**fields, "root_key": "A" * 43 + "="}, data), "not its store's"),
        (lambda fields, data: ({**fields, "root_key": "AAAA"}, data), "no manifest"),
        (lambda fields, data: ({name: fields[name] for name in fields if name != "form"}, data), "no manifest"),
        (
            lambda fields, data: (fields, image(data, "UPDATE store SET integrity_wrapped = audit_wrapped")),
            "do not belong together",
        ),
    ],
)
def test_a_content_that_does_not_hold_together_is_refused_though_it_is_authentic(
    kms: KMSService, tmp_path: Path, change: Callable[..., tuple[dict[str, str], bytes]], why: str
) -> None:
    kms.backup(tmp_path / "b", passphrase=PASSPHRASE)
    made = read_backup(tmp_path / "b", PASSPHRASE)
    root_key = backup_module.base64.b64encode(made.root.root().view()).decode()
    fields = {"form": "ordinary", "store_id": made.content.row.store_id.hex(), "root_key": root_key}
    fields, snapshot = change(fields, made.snapshot)
    with backup_file.NewFile(tmp_path / "c") as file:
        assert backup_file.fill(file, PASSPHRASE, fields, snapshot, 0) > len(snapshot)
        file.give_name()
    with pytest.raises(BackupError, match=why):
        read_backup(tmp_path / "c", PASSPHRASE)


# The store that is restored into


def test_a_refused_restore_changes_nothing_and_is_recorded(
    store: Connection, place: Place, pair: list[bytes], tmp_path: Path
) -> None:
    new = place("new.db")
    before = (content(new), new.kms.slots.list(), new.kms.node.root.store_id)
    for data in (flipped(pair[0], 5000), pair[0][:-1], b"", pair[0][:1000] + pair[1][1000:]):
        (tmp_path / "bad").write_bytes(data)
        with pytest.raises(BackupError):
            new.kms.restore(tmp_path / "bad", passphrase=PASSPHRASE)
    (tmp_path / "good").write_bytes(pair[0])
    with pytest.raises(BackupError):
        new.kms.restore(tmp_path / "good", passphrase="another one altogether, and long")
    assert (content(new), new.kms.slots.list(), new.kms.node.root.store_id) == before
    found = [(record.outcome, record.detail["error"]) for record in last_records(new, "backup_restored")]
    assert found == [("failed", "BackupError")] * 5
    assert audit_report(new).ok
    assert new.kms.restore(tmp_path / "good", passphrase=PASSPHRASE).secrets == 12


@pytest.mark.parametrize("state", ["live", "deleted", "destroyed"])
def test_a_store_that_has_held_a_secret_is_not_restored_into(
    store: Connection, place: Place, tmp_path: Path, state: str
) -> None:
    store.kms.backup(tmp_path / "b", passphrase=PASSPHRASE)
    new = place("new.db")
    new.kms.store_secret("MINE", "stays")
    if state == "deleted":
        new.kms.delete_secret("MINE")
    if state == "destroyed":
        new.kms.destroy_secret("MINE")
    before = content(new)
    with pytest.raises(StoreExists, match="not empty"):
        new.kms.restore(tmp_path / "b", passphrase=PASSPHRASE)
    assert content(new) == before


@pytest.mark.parametrize("how", ["envelope", "compact", "stream"])
def test_a_store_that_has_encrypted_is_not_restored_into_since_that_would_be_lost(
    store: Connection, place: Place, tmp_path: Path, how: str
) -> None:
    store.kms.backup(tmp_path / "b", passphrase=PASSPHRASE)
    new = place("new.db")
    if how == "envelope":
        new.kms.encrypt_data("x")
    elif how == "compact":
        new.kms.encrypt(b"x")
    else:
        new.kms.encrypt_stream(io.BytesIO(b"x"), io.BytesIO())
    with pytest.raises(StoreExists, match="could not be decrypted"):
        new.kms.restore(tmp_path / "b", passphrase=PASSPHRASE)
    new.close()
    again = place("new.db")
    with pytest.raises(StoreExists, match="could not be decrypted"):
        again.kms.restore(tmp_path / "b", passphrase=PASSPHRASE)


def test_a_store_that_is_open_elsewhere_is_not_restored_into(store: Connection, place: Place, tmp_path: Path) -> None:
    store.kms.store_secret("A", "value")
    store.kms.backup(tmp_path / "b", passphrase=PASSPHRASE)
    new, other = place("new.db"), place("new.db")
    with pytest.raises(StoreBusy, match="open elsewhere"):
        new.kms.restore(tmp_path / "b", passphrase=PASSPHRASE)
    other.close()
    new.kms.restore(tmp_path / "b", passphrase=PASSPHRASE)
    assert new.secrets.get_secret("A").reveal() == "value"
    assert audit_report(new).ok


def test_a_service_on_a_node_of_others_cannot_restore(kms: KMSService, tmp_path: Path) -> None:
    kms.backup(tmp_path / "b", passphrase=PASSPHRASE)
    with pytest.raises(UsageError, match="shared node"):
        KMSService.on(kms.node).restore(tmp_path / "b", passphrase=PASSPHRASE)


def test_an_error_of_a_restore_holds_neither_passphrase_nor_key(
    place: Place, pair: list[bytes], tmp_path: Path
) -> None:
    (tmp_path / "bad").write_bytes(flipped(pair[0], 3000))
    with pytest.raises(KeysteadError) as caught:
        place("new.db").kms.restore(tmp_path / "bad", passphrase=PASSPHRASE)
    assert PASSPHRASE not in f"{caught.value!r}{caught.value}{caught.value.__cause__}{caught.value.__context__}"

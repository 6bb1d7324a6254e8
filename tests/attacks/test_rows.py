"""Somebody who can write the file, and holds no key: every column edited, rows swapped and copied.

Never is a value given that is not the one stored. A column that decides about something is found out when it was
edited; the few that decide nothing are listed with what they are for.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from tests.attacks.stores import Made, report

from keystead.errors import (
    DataError,
    DataKeyNotFound,
    IntegrityError,
    KeyStateError,
    KeysteadError,
    OperatorError,
    SecretNotFound,
)
from keystead.storage.schema import migrations

NOT_DECISIVE = {
    "audit_chains.created_ms": "when a chain was registered, for a person",
    "audit_outbox.number": "rows stand here only between a crash and the next open; tests/audit tries them",
    "audit_outbox.chain": "see number",
    "audit_outbox.content": "see number",
    "backups.backup_id": "which backups are known, for whoever destroys a key; it opens nothing",
    "backups.path": "see backup_id",
    "backups.created_ms": "see backup_id",
    "backups.shred_keys": "see backup_id",
    "backup_keys.reference": "see backup_id",
    "backup_keys.backup_id": "see backup_id",
    "migrations.name": "the file of a migration, for a person; its number and checksum decide",
    "migrations.applied_ms": "when a migration was run, for a person",
    "revoked_sessions.session_id": "a process that saw a revocation has ended the session; it has no key afterwards",
    "revoked_sessions.revoked_ms": "when, for a person",
    "secret_tags.tag": "an index for listing by tag; tags themselves are in the head and under its MAC",
    "secret_tags.value": "see tag",
    "secret_tags.name": "see tag",
    "secrets.current": "an index for the join; the labels in the head, under its MAC, decide",
    "store.id": "a constant",
    "store.created_ms": "when the store was made, for a person",
    "store.root_generation": "a number for a person; the root key's check value is what is compared",
    "store.keys_generation": "a hint to look again; who edits it delays news of a change, as deleting the file would",
}
# Each of their columns is tried in tests/access, those of grants in tests/policy.
ELSEWHERE = {"access_tokens", "users", "login_failures", "roles", "secret_ids", "auth_methods", "key_grants"}
VALUES = {"null": None, "text": "x", "blob": b"\x00x", "number": 7, "negative": -1, "fraction": 1.5, "nothing": b""}
SPOKEN = ("get", "many", "previous", "compact", "envelope", "undeleted", "expired", "after")


def columns() -> list[tuple[str, str]]:
    connection = sqlite3.connect(":memory:")
    for migration in migrations():
        connection.executescript(migration.sql)
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = [(table, "number") for table in ("migrations",)] + [("migrations", "name"), ("migrations", "checksum")]
    found.append(("migrations", "applied_ms"))
    for table in tables:
        if not table.startswith("sqlite_") and table not in ELSEWHERE:
            found += [(table, row[1]) for row in connection.execute(f"PRAGMA table_info({table})")]
    connection.close()
    return found


COLUMNS = columns()


def changed_alike(made: Made, table: str, column: str) -> list[str]:
    """Edits that keep the column's type: what somebody who knows the schema would write."""
    (kind,) = {kind for (kind,) in made.rows(f"SELECT typeof({column}) FROM {table}") if kind != "null"} or {"none"}
    return {
        "integer": [f"UPDATE OR IGNORE {table} SET {column} = coalesce({column}, 0) + 1000"],
        "text": [f"UPDATE OR IGNORE {table} SET {column} = {column} || 'x'"],
        "blob": [
            f"UPDATE OR IGNORE {table} SET {column} = CAST(substr({column}, 1, length({column}) - 1)"
            f" || CASE substr({column}, -1) WHEN x'01' THEN x'02' ELSE x'01' END AS BLOB)"
        ],
        "none": [],
    }[kind]


def wrong_values(asked: dict[str, Any], answers: dict[str, Any]) -> dict[str, Any]:
    """Values given that are other than the right ones; errors are no values."""
    return {
        what: value
        for what, value in asked.items()
        if what.startswith(SPOKEN) and not isinstance(value, type) and value != answers[what]
    }


def errors(asked: dict[str, Any], answers: dict[str, Any]) -> set[type]:
    return {value for what, value in asked.items() if isinstance(value, type) and value is not answers.get(what)}


def test_every_column_is_either_tried_as_decisive_or_listed_with_what_it_is_for() -> None:
    names = {f"{table}.{column}" for table, column in COLUMNS}
    assert set(NOT_DECISIVE) - names <= {name for name in NOT_DECISIVE if name.startswith("backup")}
    assert len(names - set(NOT_DECISIVE)) >= 45


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_an_edited_column_gives_no_wrong_value_and_is_found_where_it_decides(
    made: Made, answers: dict[str, Any], tmp_path: Path, table: str, column: str
) -> None:
    """T03, T04, T17, R57-10, R57-11: with the right type and with others; no other error than keystead's comes out."""
    edits: list[Any] = list(changed_alike(made, table, column))
    edits += [(f"UPDATE OR IGNORE {table} SET {column} = ?", (value,)) for value in VALUES.values()]
    for number, edit in enumerate(edits):
        copy = made.copy(tmp_path / str(number))
        before = copy.rows(f"SELECT * FROM {table}")
        try:
            copy.edit(edit)
        except sqlite3.IntegrityError:
            continue
        if copy.rows(f"SELECT * FROM {table}") == before:
            continue
        asked = copy.ask()
        assert wrong_values(asked, answers) == {}, edit
        if f"{table}.{column}" not in NOT_DECISIVE:
            found = errors(asked, answers)
            assert found, edit
            assert all(issubclass(error, KeysteadError) for error in found), edit


@pytest.mark.parametrize(("table", "column"), [one for one in COLUMNS if ".".join(one) not in NOT_DECISIVE])
def test_an_edited_column_that_decides_is_named_by_verify_before_anybody_uses_it(
    made: Made, tmp_path: Path, table: str, column: str
) -> None:
    """Of a store that still opens; one whose root or active key was edited does not."""
    for number, edit in enumerate(changed_alike(made, table, column)):
        copy = made.copy(tmp_path / str(number))
        copy.edit(edit)
        try:
            store = copy.open()
        except KeysteadError:
            continue
        with store:
            assert not store.kms.audit.verify().ok, edit


def test_two_secrets_do_not_trade_values_by_trading_rows(mine: Made) -> None:
    """T03, T04: the ciphertexts alone, and the whole version rows."""
    for columns in ("ciphertext", "ciphertext, created_ms, expires_ms, encoding, key_reference"):
        copy = mine.copy(mine.folder.parent / f"by {len(columns)}")
        values = {
            name: copy.rows(f"SELECT {columns} FROM secret_versions WHERE name = '{name}'")[0]
            for name in ("TWIN_A", "TWIN_B")
        }
        changes = ", ".join(f"{column} = ?" for column in columns.split(", "))
        for name, other in (("TWIN_A", "TWIN_B"), ("TWIN_B", "TWIN_A")):
            copy.edit((f"UPDATE secret_versions SET {changes} WHERE name = '{name}'", values[other]))
        with copy.open() as store:
            for name in ("TWIN_A", "TWIN_B"):
                with pytest.raises(IntegrityError, match=name):
                    store.kms.get_secret(name)


def test_an_older_version_does_not_stand_in_for_a_newer_one(mine: Made) -> None:
    """T04: the first version's ciphertext, or its whole row, under the second one's number."""
    mine.edit(
        "DELETE FROM secret_versions WHERE name = 'ROTATED' AND version = 2",
        "UPDATE secret_versions SET version = 2 WHERE name = 'ROTATED' AND version = 1",
    )
    with mine.open() as store:
        for which in ({}, {"version": 2}, {"version": 1}, {"label": "previous"}):
            with pytest.raises(IntegrityError):
                store.kms.get_secret("ROTATED", **which)


def test_a_secret_copied_to_another_name_is_not_opened_there(mine: Made) -> None:
    """T04, T05: the head and its version, copied and renamed."""
    names = [row[1] for row in mine.rows("PRAGMA table_info(secrets)")]
    rest = ", ".join(name for name in names if name != "name")
    mine.edit(
        f"INSERT INTO secrets (name, {rest}) SELECT 'COPIED', {rest} FROM secrets WHERE name = 'PLAIN'",
        "INSERT INTO secret_versions SELECT 'COPIED', version, key_reference, created_ms, expires_ms, encoding,"
        " ciphertext, destroyed_ms FROM secret_versions WHERE name = 'PLAIN'",
        "UPDATE secrets SET name = 'RENAMED' WHERE name = 'TAGGED'",
        "UPDATE secret_versions SET name = 'RENAMED' WHERE name = 'TAGGED'",
    )
    with mine.open() as store:
        for name in ("COPIED", "RENAMED"):
            with pytest.raises(IntegrityError):
                store.kms.get_secret(name)
        with pytest.raises(IntegrityError):
            store.kms.list_secrets()


def test_rows_of_another_store_under_the_same_master_key_are_refused(made: Made, tmp_path: Path) -> None:
    """T04: one master key, two stores, everything of a secret and its data key carried over."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, other = Made(tmp_path / "a"), Made(tmp_path / "b")
    one.edit(
        f"ATTACH '{other.database}' AS other",
        "DELETE FROM secrets WHERE name = 'PLAIN'",
        "DELETE FROM secret_versions WHERE name = 'PLAIN'",
        "INSERT INTO secrets SELECT * FROM other.secrets WHERE name = 'PLAIN'",
        "INSERT INTO secret_versions SELECT * FROM other.secret_versions WHERE name = 'PLAIN'",
    )
    with one.open() as store, pytest.raises(IntegrityError):
        store.kms.get_secret("PLAIN")


@pytest.mark.parametrize("table", ["data_keys", "key_slots", "store", "secret_versions", "audit_chains"])
def test_a_row_taken_out_is_an_error_and_never_a_wrong_or_missing_answer(
    made: Made, answers: dict[str, Any], tmp_path: Path, table: str
) -> None:
    copy = made.copy(tmp_path / "store")
    copy.edit(f"DELETE FROM {table}")
    asked = copy.ask()
    assert wrong_values(asked, answers) == {}
    found = errors(asked, answers)
    assert found
    missing = {SecretNotFound, DataKeyNotFound, KeyStateError}  # the last: the only key left is the active one
    assert all(issubclass(error, DataError | OperatorError) for error in found - missing)


def test_a_version_row_taken_out_does_not_make_room_for_a_default(mine: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """Section 11.5: a name that the store holds is never answered by a default or by the environment."""
    mine.edit("DELETE FROM secret_versions WHERE name = 'PLAIN'")
    monkeypatch.setenv("PLAIN", "from the environment")
    with mine.open() as store, pytest.raises(IntegrityError):
        store.secrets.get_secret("PLAIN", "a default")


def test_a_value_taken_away_is_not_told_as_destroyed(mine: Made) -> None:
    mine.edit("UPDATE secret_versions SET ciphertext = NULL WHERE name = 'PLAIN'")
    with mine.open() as store, pytest.raises(IntegrityError, match="not destroyed"):
        store.kms.get_secret("PLAIN")


def test_an_edited_expiry_is_found_and_not_believed(mine: Made) -> None:
    """T29: neither a longer life nor an end that was never set."""
    mine.edit(
        "UPDATE secret_versions SET expires_ms = 1 WHERE name = 'PLAIN'",
        "UPDATE secret_versions SET expires_ms = expires_ms + 100000000000 WHERE name IN ('EXPIRED', 'ENDS')",
    )
    with mine.open() as store:
        for name in ("PLAIN", "EXPIRED", "ENDS"):
            with pytest.raises(IntegrityError):
                store.kms.get_secret(name)


def test_a_data_key_that_was_taken_back_to_active_protects_nothing(mine: Made) -> None:
    """T07, R57-11: state and dates of a data key are bound into its wrapping."""
    mine.edit(
        "UPDATE data_keys SET state = CASE state WHEN 'active' THEN 'deactivated' ELSE 'active' END",
        "UPDATE store SET keys_generation = keys_generation + 1",
    )
    with mine.open() as store:
        for use in (lambda: store.kms.encrypt(b"x"), lambda: store.kms.encrypt_data("x"), store.kms.rotate_data_key):
            with pytest.raises(IntegrityError):
                use()
        assert report(store).ok

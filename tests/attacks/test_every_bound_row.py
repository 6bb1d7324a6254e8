"""Each column of each row that a MAC or a key binds, edited: `audit verify` names the row before anybody uses it."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.access.conftest import CHEAP, PASSWORD
from tests.attacks.stores import KEY
from tests.methods import issuing

import keystead
from keystead.errors import AuthenticationFailed, KeysteadError, Sealed
from keystead.services.audit_operations import verify_without_keys
from keystead.services.connection import Connection
from keystead.testing import ManualClock

TABLES = {
    "data_keys": "data-key",
    "secrets": "secret",
    "secret_versions": "secret",
    "named_keys": "key",
    "named_key_versions": "key",
    "key_aliases": "alias",
    "policies": "policy",
    "key_grants": "grant",
    "access_tokens": "token",
    "users": "user",
    "login_failures": "failed-logins",
    "roles": "role",
    "secret_ids": "secret-id",
    "auth_methods": "auth-method",
}
INDEX = {"secrets.current"}  # for a join only; the labels in the head decide
KEPT = {"text": "coalesce({0}, '') || 'x'", "blob": "CAST({0} || x'01' AS BLOB)"}
OTHER = {"text": "x'00'", "blob": "'x'", "integer": "'x'", "null": "'x'"}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a row in each of the tables."""
    path = tmp_path_factory.mktemp("filled") / "app.db"
    with keystead.connect(path, master_key=KEY, clock=ManualClock(issuing.NOW_MS), settings=CHEAP) as store:
        fill(store)
        assert store.kms.audit.verify().ok
    return path


def fill(store: Connection) -> None:
    kms = store.kms
    kms.store_secret("A", "first", tags={"team": "ours"}, ttl="90d")
    kms.rotate_secret("A", "second")
    for name, kind in (("sealing", "aes-256-gcm"), ("signing", "ed25519")):
        kms.keys.create(name, type=kind)
        kms.keys.rotate(name)
    kms.keys.set_alias("front", "sealing")
    kms.grants.create("sealing", "user:ada", ["encrypt"])
    statement = {"id": "one", "effect": "allow", "actions": ["secret:read"], "resources": ["secret/A"]}
    kms.policies.write("readers", {"version": 1, "statements": [statement]})
    kms.identities.create_user("ada", PASSWORD, policies=["readers"])
    kms.identities.enroll_second_factor("ada")
    kms.identities.create_role("ci", secret_id_uses=5)
    kms.identities.create_secret_id("ci")
    kms.tokens.create(["readers"], name="app", uses=7)
    kms.identities.write_auth_method("github", "jwt", issuing.config().to_json())
    with pytest.raises(AuthenticationFailed):
        store.login("password", name="ada", password="another one")


def edits(path: Path, table: str) -> list[str]:
    """A change of each column to its own type, as somebody would write who knows the schema, and one to another."""
    found = []
    with closing(sqlite3.connect(path)) as connection:
        for _, column, *_ in connection.execute(f"PRAGMA table_info({table})"):
            (kind,) = connection.execute(f"SELECT typeof({column}) FROM {table}").fetchone()
            alike = KEPT.get(kind, "coalesce({0}, 4000000000000) + 1").format(column)
            if f"{table}.{column}" not in INDEX:
                found += [f"UPDATE {table} SET {column} = {value}" for value in (alike, OTHER[kind])]
    return found


@pytest.mark.parametrize("table", TABLES)
def test_an_edit_of_any_column_is_named(filled: Path, tmp_path: Path, table: str) -> None:
    changes = edits(filled, table)
    tried = 0
    for number, edit in enumerate(changes):
        path = tmp_path / str(number) / "app.db"
        shutil.copytree(filled.parent, path.parent)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            try:
                connection.execute(edit)
            except sqlite3.IntegrityError:
                continue  # the schema itself refuses it
        assert named(path, TABLES[table]), edit
        tried += 1
    assert tried >= len(changes) // 2


def named(path: Path, kind: str) -> bool:
    """Whether verifying names a row of this kind; a store that does not open any more has named it by that."""
    try:
        store = keystead.connect(path, master_key=KEY, clock=ManualClock(issuing.NOW_MS), settings=CHEAP)
    except KeysteadError:
        return True
    with store:
        told = [problem.what for problem in store.kms.audit.verify().problems]
    return any(what.startswith(f"{kind}/") and "is not what keystead wrote" in what for what in told)


NO_TEXT = "CAST(x'41fffe' AS TEXT)"


@pytest.mark.parametrize("table", TABLES)
def test_what_is_no_text_in_any_column_is_told_and_keeps_nothing_else_from_being_told(
    filled: Path, tmp_path: Path, table: str
) -> None:
    with closing(sqlite3.connect(filled)) as connection:
        columns = [column for _, column, *_ in connection.execute(f"PRAGMA table_info({table})")]
    for column in columns:
        path = tmp_path / column / "app.db"
        shutil.copytree(filled.parent, path.parent)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("UPDATE policies SET document = document || ' ' WHERE name = 'readers'")
            connection.execute(f"UPDATE OR IGNORE {table} SET {column} = {NO_TEXT}")
        assert verify_without_keys(path).records, column
        try:
            store = keystead.connect(path, master_key=KEY, clock=ManualClock(issuing.NOW_MS), settings=CHEAP)
        except KeysteadError:
            continue
        with store:
            told = [problem.what for problem in store.kms.audit.verify().problems]
        if f"{table}.{column}" not in INDEX:
            assert any(what.startswith((f"{TABLES[table]}/", f"a row of kind {TABLES[table]}")) for what in told), (
                column
            )
        assert table == "policies" or any(what.startswith("policy/readers") for what in told), column


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE sqlite_sequence SET seq = 'x'",
        "UPDATE sqlite_sequence SET seq = NULL",
        "UPDATE sqlite_sequence SET seq = 1e400",
        "UPDATE audit_chains SET count = 'x'",
        f"UPDATE audit_chains SET hash = {NO_TEXT}",
        "INSERT INTO audit_chains VALUES ('../..', 1, 0, '', x'')",
        "INSERT INTO audit_chains VALUES ('0' || char(0), 1, 0, '', x'')",
        "INSERT INTO audit_outbox VALUES (99999, '0001', 'text')",
        "INSERT INTO policies VALUES (NULL, '', 1, 1, 1, x'')",
        f"UPDATE access_tokens SET principal = {NO_TEXT}",
        f"UPDATE secret_ids SET role = {NO_TEXT}",
        "UPDATE store SET root_generation = 'x'",
    ],
)
def test_a_store_whose_rows_are_of_no_type_of_theirs_is_told_of_and_no_error_of_pythons(
    filled: Path, tmp_path: Path, edit: str
) -> None:
    path = tmp_path / "copy" / "app.db"
    shutil.copytree(filled.parent, path.parent)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(edit)
    assert verify_without_keys(path).records
    try:
        store = keystead.connect(path, master_key=KEY, clock=ManualClock(issuing.NOW_MS), settings=CHEAP)
    except KeysteadError:
        return
    with store:
        assert not store.kms.audit.verify().ok


def test_where_another_process_replaced_the_root_key_nothing_is_named_falsely(filled: Path, tmp_path: Path) -> None:
    shutil.copytree(filled.parent, tmp_path / "store")
    path, clock = tmp_path / "store" / "app.db", ManualClock(issuing.NOW_MS)
    with keystead.connect(path, master_key=KEY, clock=clock, settings=CHEAP) as store:
        with keystead.connect(path, master_key=KEY, clock=clock, settings=CHEAP) as other:
            other.kms.rekey(other.kms.own_credential())
        for _ in range(2):  # before this process has seen it, and after
            with pytest.raises(Sealed, match="open the store again"):
                store.kms.audit.verify()
    with keystead.connect(path, master_key=KEY, clock=clock, settings=CHEAP) as store:
        assert store.kms.audit.verify().ok

"""The whole content of a store as bytes, and putting such content into an empty store."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Final

from keystead.errors import BackupError, StoreExists
from keystead.keys.lifecycle import KeyState
from keystead.keys.model import DataKeyRecord
from keystead.storage.data_keys import SqliteDataKeys
from keystead.storage.named_keys import SqliteNamedKeys
from keystead.storage.schema import migrations, upgrade
from keystead.storage.secrets import SqliteSecrets
from keystead.storage.sqlite import APPLICATION_ID, SqliteStore
from keystead.storage.store_row import SqliteStoreRow, StoreRow

# What a restored store takes over. Slots and the audit log's rows are its own.
_TABLES: Final = (
    "data_keys",
    "secrets",
    "secret_versions",
    "secret_tags",
    "named_keys",
    "named_key_versions",
    "key_aliases",
    "revoked_sessions",
    "backups",
    "backup_keys",
    "policies",
    "access_tokens",
    "users",
    "login_failures",
    "roles",
    "secret_ids",
    "auth_methods",
    "key_grants",
)


@dataclass(frozen=True, slots=True)
class Content:
    """What a snapshot holds: the row of its store, its data keys (oldest first), how many secrets and versions."""

    row: StoreRow
    data_keys: Sequence[DataKeyRecord]
    secrets: int
    versions: int

    def wrapped(self) -> set[bytes]:
        """The references of the data keys that it holds, and not only as destroyed ones."""
        return {record.reference for record in self.data_keys if record.wrapped is not None}


def _in_memory() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    # No part of a snapshot goes into a temporary file.
    connection.execute("PRAGMA temp_store=MEMORY")
    return connection


def take_snapshot(store: SqliteStore) -> bytes:
    """A consistent image of the database, also while others write; it holds no free page's former content."""
    with store.translated(), store.undivided(), closing(_in_memory()) as copy:
        store.read().backup(copy)
        copy.execute("DELETE FROM audit_outbox")
        copy.execute("DELETE FROM key_slots")
        copy.execute("VACUUM")
        return copy.serialize()


@contextmanager
def _opened(snapshot: bytes) -> Iterator[sqlite3.Connection]:
    with closing(_in_memory()) as connection:
        try:
            connection.deserialize(snapshot)
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            application = connection.execute("PRAGMA application_id").fetchone()[0]
            sound = connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        except sqlite3.Error as error:
            raise BackupError("the backup holds no database that can be read", why=str(error)) from None
        if application != APPLICATION_ID or not sound:
            raise BackupError("the backup holds no sound keystead database")
        known = migrations()[-1].number
        if version > known:
            raise BackupError(
                f"the backup has schema {version}, and this keystead knows schemas up to {known}",
                hint="restore it with the keystead that wrote it, or a newer one",
            )
        if version < known:
            upgrade(connection, 0, "the backup")
        yield connection


def describe(snapshot: bytes) -> Content:
    """What a snapshot holds.

    Raises:
        BackupError: it is no sound database of this schema or an earlier one.
    """
    with _opened(snapshot) as connection:
        row = SqliteStoreRow(connection).get()
        if row is None:
            raise BackupError("the backup holds no store")
        counts = [
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("secrets", "secret_versions")
        ]
        return Content(row, SqliteDataKeys(connection).all(), *counts)


def with_data_keys(
    snapshot: bytes, replaced: Callable[[DataKeyRecord], DataKeyRecord], now_ms: int
) -> tuple[bytes, int]:
    """The snapshot with other data-key records, no trace of the former ones, and how many versions went with a key.

    `replaced` gives each record's successor; the stored versions under a key that it destroyed are destroyed too.
    """
    gone = 0
    with _opened(snapshot) as connection:
        keys, secrets = SqliteDataKeys(connection), SqliteSecrets(connection)
        for record in keys.all():
            successor = replaced(record)
            keys.update(successor)
            if successor.state is KeyState.DESTROYED:
                for name, version in list(secrets.under_key(record.reference)):
                    secrets.destroy_version(name, version, now_ms)
                    gone += 1
                gone += SqliteNamedKeys(connection).destroy_under(record.reference, now_ms)
        connection.execute("VACUUM")
        return connection.serialize(), gone


def put_snapshot(
    transaction: sqlite3.Connection, snapshot: bytes, audit_wrapped: Callable[[StoreRow], bytes]
) -> StoreRow:
    """Put a snapshot's rows into an empty store, inside a transaction; the row of the store it was taken of.

    The store keeps its own audit log and audit key, which `audit_wrapped` wraps anew under the root key of that row.

    Raises:
        StoreExists: the store holds secrets, or has held some.
        BackupError: the snapshot cannot be used.
    """
    held = ("secrets", "named_keys", "policies")
    if any(transaction.execute(f"SELECT EXISTS (SELECT 1 FROM {table})").fetchone()[0] for table in held):
        raise StoreExists("the store is not empty", hint="restore into a new place, then compare")
    with _opened(snapshot) as source:
        row = SqliteStoreRow(source).get()
        if row is None:
            raise BackupError("the backup holds no store")
        transaction.execute("DELETE FROM store")
        transaction.execute("DELETE FROM key_slots")
        for table in _TABLES:
            transaction.execute(f"DELETE FROM {table}")
            columns = [info[1] for info in transaction.execute(f"PRAGMA table_info({table})")]
            names, marks = ", ".join(columns), ", ".join("?" * len(columns))
            transaction.executemany(
                f"INSERT INTO {table} ({names}) VALUES ({marks})", source.execute(f"SELECT {names} FROM {table}")
            )
        SqliteStoreRow(transaction).insert(row)
        SqliteStoreRow(transaction).replace_root(
            row.root_generation, row.root_check, (row.integrity_wrapped, audit_wrapped(row))
        )
        return row

"""The one migration path: which migrations a file has, and running those it lacks in one transaction."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import NamedTuple

from keystead.clock import Clock
from keystead.crypto.mac import sha256
from keystead.errors import IntegrityError, SchemaTooNew, StoreUnavailable
from keystead.storage.sqlite import APPLICATION_ID, SqliteStore

_NAME = re.compile(r"(\d{4})_[a-z_]+\.sql")


class Migration(NamedTuple):
    """One step of the schema: its number, file name and SQL text."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, in hex."""
        return sha256(self.sql.encode()).hex()


def migrations() -> list[Migration]:
    """All migrations of this package, in order."""
    found = []
    # importlib.resources would cost every process that opens a store 5 ms of imports
    for item in Path(__file__).with_name("migrations").iterdir():
        match = _NAME.fullmatch(item.name)
        if match:
            found.append(Migration(int(match[1]), item.name, item.read_text("utf-8")))
    return sorted(found, key=lambda migration: migration.number)


def migrate(store: SqliteStore, clock: Clock) -> list[int]:
    """Bring the file to this package's schema; the numbers that were run.

    A store that lacks nothing is not written to.

    Raises:
        SchemaTooNew: the file has a migration that this package does not know; nothing was touched.
        IntegrityError: a migration was run with another text than this package has.
        StoreUnavailable: the file is a database of something else.
    """
    where = str(store.path.absolute())
    if _pending(store.read(), migrations(), where) == []:
        return []
    with store.write() as connection:
        return upgrade(connection, clock.now_ms(), where)


def upgrade(connection: sqlite3.Connection, now_ms: int, where: str) -> list[int]:
    """Run the migrations that the database of a connection lacks, and return their numbers; `where` is its name.

    Raises:
        SchemaTooNew, IntegrityError, StoreUnavailable: as for `migrate`.
    """
    known = migrations()
    pending = _pending(connection, known, where)
    if pending and pending[0].number == 1:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(
            "CREATE TABLE migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL,"
            " applied_ms INTEGER NOT NULL)"
        )
    for migration in pending:
        for statement in _statements(migration.sql):
            connection.execute(statement)
        connection.execute(
            "INSERT INTO migrations VALUES (?, ?, ?, ?)",
            (migration.number, migration.name, migration.checksum, now_ms),
        )
    connection.execute(f"PRAGMA user_version = {known[-1].number}")
    return [migration.number for migration in pending]


def is_empty(store: SqliteStore) -> bool:
    """Whether the file holds no table at all."""
    with store.translated():
        return bool(store.read().execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0)


def _pending(connection: sqlite3.Connection, known: list[Migration], where: str) -> list[Migration]:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables and application != APPLICATION_ID:
        raise StoreUnavailable(f"{where} is a database of something else", hint="give the path of a keystead store")
    if version > known[-1].number:
        raise SchemaTooNew(
            f"{where} has schema {version}, and this keystead knows schemas up to {known[-1].number}",
            hint="install the keystead that wrote it, or a newer one; nothing was touched",
        )
    if not tables:
        return known
    applied = dict(connection.execute("SELECT number, checksum FROM migrations"))
    for migration in known:
        if applied.get(migration.number, migration.checksum) != migration.checksum:
            raise IntegrityError(
                f"migration {migration.name} was run on {where} with another text",
                hint="use the keystead release that made this store",
            )
    return [migration for migration in known if migration.number not in applied]


def _statements(sql: str) -> list[str]:
    statements, pending = [], ""
    for line in sql.splitlines():
        pending += line + "\n"
        if sqlite3.complete_statement(pending):
            statements.append(pending)
            pending = ""
    if pending.strip():
        raise ValueError("a migration ends in the middle of a statement")
    return statements

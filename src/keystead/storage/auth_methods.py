"""The rows of auth methods."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from keystead.access.auth_methods import AuthMethodRecord
from keystead.errors import IntegrityError
from keystead.storage.rows import typed

_COLUMNS: Final = ", ".join(AuthMethodRecord._fields)
_MARKS: Final = ", ".join("?" * len(AuthMethodRecord._fields))


class SqliteAuthMethods:
    """Auth methods on one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def get(self, name: str) -> AuthMethodRecord | None:
        row = self._connection.execute(f"SELECT {_COLUMNS} FROM auth_methods WHERE name = ?", (name,)).fetchone()
        return None if row is None else _record(row)

    def page(self, limit: int, after: str) -> list[AuthMethodRecord]:
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM auth_methods WHERE name > ? ORDER BY name LIMIT ?", (after, limit)
        )
        return [_record(row) for row in rows]

    def put(self, record: AuthMethodRecord) -> None:
        self._connection.execute(f"INSERT OR REPLACE INTO auth_methods ({_COLUMNS}) VALUES ({_MARKS})", record)

    def delete(self, name: str) -> None:
        self._connection.execute("DELETE FROM auth_methods WHERE name = ?", (name,))


def _record(row: Sequence[Any]) -> AuthMethodRecord:
    try:
        return AuthMethodRecord(*typed(row, "tttiiib", "an auth method"))
    except IntegrityError:
        # A row of other types than keystead writes can be removed; one that no MAC fits says so where it is used.
        return AuthMethodRecord(str(row[0]), "", "", 0, 0, 0, b"")

"""The rows of grants."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from keystead.access.grants import GrantRecord
from keystead.errors import IntegrityError
from keystead.storage.rows import typed

_COLUMNS: Final = ", ".join(GrantRecord._fields)
_MARKS: Final = ", ".join("?" * len(GrantRecord._fields))
_FILTERS: Final = ("key_id", "grantee", "retiring")


class SqliteGrants:
    """Grants on one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def get(self, grant_id: str) -> GrantRecord | None:
        found = self._select("grant_id = ?", (grant_id,))
        return found[0] if found else None

    def of_key(self, key_id: str, grantee: str | None = None) -> list[GrantRecord]:
        if grantee is None:
            return self._select("key_id = ?", (key_id,))
        return self._select("key_id = ? AND grantee = ?", (key_id, grantee))

    def has_any(self, grantee: str) -> bool:
        query = "SELECT EXISTS (SELECT 1 FROM key_grants WHERE grantee = ?)"
        return bool(self._connection.execute(query, (grantee,)).fetchone()[0])

    def page(self, limit: int, after: str, which: tuple[str | None, str | None, str | None]) -> list[GrantRecord]:
        wanted = {column: value for column, value in zip(_FILTERS, which, strict=True) if value is not None}
        meant = " AND ".join(["grant_id > ?", *(f"{column} = ?" for column in wanted)])
        return self._select(f"{meant} ORDER BY grant_id LIMIT ?", (after, *wanted.values(), limit))

    def to(self, grantee: str) -> list[GrantRecord]:
        if grantee.endswith("/"):
            return self._select("grantee > ? AND grantee < ?", (grantee, grantee[:-1] + chr(ord("/") + 1)))
        return self._select("grantee = ?", (grantee,))

    def insert(self, record: GrantRecord) -> None:
        self._connection.execute(f"INSERT INTO key_grants ({_COLUMNS}) VALUES ({_MARKS})", record)

    def ended_before(self, before_ms: int, limit: int) -> list[GrantRecord]:
        return self._select("expires_ms < ? LIMIT ?", (before_ms, limit))

    def delete(self, grant_id: str) -> None:
        self._connection.execute("DELETE FROM key_grants WHERE grant_id = ?", (grant_id,))

    def _select(self, meant: str, values: Sequence[Any]) -> list[GrantRecord]:
        rows = self._connection.execute(f"SELECT {_COLUMNS} FROM key_grants WHERE {meant}", values)
        return [_record(row) for row in rows]


def _record(row: Sequence[Any]) -> GrantRecord:
    try:
        return GrantRecord(*typed(row, "tttTtTTTtiIb", "a grant"))
    except IntegrityError:
        # A row of other types than keystead writes can be removed, and allows nothing, since no MAC fits it.
        # Its id stays as it is in the file, which is by what it is removed.
        return GrantRecord(row[0], str(row[1]), "", None, "[]", None, None, None, "", 0, None)

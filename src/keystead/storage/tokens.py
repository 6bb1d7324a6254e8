"""The rows of access tokens."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Final

from keystead.access.tokens import TokenRecord
from keystead.errors import IntegrityError
from keystead.storage.rows import typed

_COLUMNS: Final = ", ".join(TokenRecord._fields)
_MARKS: Final = ", ".join("?" * len(TokenRecord._fields))
_KINDS: Final = "btTtttttt" + "iii" + "II" + "i" + "III" + "ib"
_SELECT: Final = f"SELECT {_COLUMNS} FROM access_tokens"
_ALL: Final = ", ".join(f"t.{name}" for name in TokenRecord._fields)
_CHUNK: Final = 500


class SqliteTokens:
    """Access tokens on one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def by_hash(self, hashed: bytes) -> TokenRecord | None:
        row = self._connection.execute(f"{_SELECT} WHERE hash = ?", (hashed,)).fetchone()
        return None if row is None else _record(row)

    def by_accessors(self, accessors: Sequence[str]) -> list[TokenRecord]:
        found: list[TokenRecord] = []
        for start in range(0, len(accessors), _CHUNK):
            part = accessors[start : start + _CHUNK]
            marks = ",".join("?" * len(part))
            found += map(_record, self._connection.execute(f"{_SELECT} WHERE accessor IN ({marks})", tuple(part)))
        return found

    def insert(self, record: TokenRecord) -> None:
        self._connection.execute(f"INSERT INTO access_tokens ({_COLUMNS}) VALUES ({_MARKS})", record)

    def put(self, records: Iterable[TokenRecord]) -> None:
        self._connection.executemany(f"INSERT OR REPLACE INTO access_tokens ({_COLUMNS}) VALUES ({_MARKS})", records)

    def page(self, after: str, limit: int, principal: str | None) -> list[TokenRecord]:
        one, values = ("", ()) if principal is None else ("principal = ? AND ", (principal,))
        rows = self._connection.execute(
            f"{_SELECT} WHERE {one}accessor > ? ORDER BY accessor LIMIT ?", (*values, after, limit)
        )
        return [_record(row) for row in rows]

    def tree(self, accessors: Sequence[str]) -> list[TokenRecord]:
        # UNION, not UNION ALL: rows that somebody made each other's parents must not keep this going for ever.
        found: dict[str, TokenRecord] = {}
        for start in range(0, len(accessors), _CHUNK):
            part = accessors[start : start + _CHUNK]
            roots = ",".join("(?)" for _ in part)
            rows = self._connection.execute(
                f"WITH RECURSIVE kin(accessor) AS (VALUES {roots} UNION SELECT c.accessor FROM access_tokens c"
                f" JOIN kin ON c.parent = kin.accessor) SELECT {_ALL} FROM kin JOIN access_tokens t USING (accessor)",
                tuple(part),
            )
            found.update((record.accessor, record) for record in _sound(rows))
        return list(found.values())

    def children(self, accessor: str) -> list[TokenRecord]:
        return _sound(self._connection.execute(f"{_SELECT} WHERE parent = ?", (accessor,)))

    def of_principal(self, principal: str) -> list[str]:
        rows = self._connection.execute("SELECT accessor FROM access_tokens WHERE principal = ?", (principal,))
        return [accessor for (accessor,) in rows]

    def of_principals_under(self, prefix: str) -> list[str]:
        behind = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        rows = self._connection.execute(
            "SELECT accessor FROM access_tokens WHERE principal >= ? AND principal < ?", (prefix, behind)
        )
        return [accessor for (accessor,) in rows]

    def ended_before(self, before_ms: int, limit: int) -> list[str]:
        rows = self._connection.execute(
            "SELECT accessor FROM access_tokens WHERE expires_ms < ?1"
            " UNION SELECT accessor FROM access_tokens WHERE revoked_ms < ?1 LIMIT ?2",
            (before_ms, limit),
        )
        return [accessor for (accessor,) in rows]

    def delete(self, accessors: Iterable[str]) -> None:
        self._connection.executemany("DELETE FROM access_tokens WHERE accessor = ?", ((one,) for one in accessors))


def _sound(rows: Iterable[Sequence[Any]]) -> list[TokenRecord]:
    """The records of rows that are none are left out: they prove nothing, and must not keep others from their end."""
    found = []
    for row in rows:
        with suppress(IntegrityError):
            found.append(_record(row))
    return found


def _record(row: Sequence[Any]) -> TokenRecord:
    return TokenRecord(*typed(row, _KINDS, f"access token {str(row[1])[:64]}"))

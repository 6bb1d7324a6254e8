"""The rows of requests that are to be done once, however often they are asked."""

from __future__ import annotations

import sqlite3
from typing import Final, NamedTuple

BATCH: Final = 1_000


class RequestRow(NamedTuple):
    """A request that changed something: keyed hashes of its key and of itself, and what was answered, encrypted.

    `answer` is None where the answer is not known: the change was made, and the process ended before it could be kept.
    """

    key: bytes
    request: bytes
    created_ms: int
    operation_id: str
    answer: bytes | None


class SqliteRequestKeys:
    """Request keys on one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def get(self, key: bytes) -> RequestRow | None:
        """The row of a key."""
        row = self._connection.execute(
            "SELECT key, request, created_ms, operation_id, answer FROM request_keys WHERE key = ?", (key,)
        ).fetchone()
        return None if row is None else RequestRow(*row)

    def insert(self, row: RequestRow) -> bool:
        """Add a row; False where its key is there already."""
        added = self._connection.execute("INSERT OR IGNORE INTO request_keys VALUES (?, ?, ?, ?, ?)", row)
        return added.rowcount == 1

    def put_answer(self, key: bytes, answer: bytes) -> None:
        """Keep what was answered."""
        self._connection.execute("UPDATE request_keys SET answer = ? WHERE key = ?", (answer, key))

    def any_before(self, before_ms: int) -> bool:
        """Whether there is a row older than that."""
        found = self._connection.execute(
            "SELECT EXISTS (SELECT 1 FROM request_keys WHERE created_ms < ?)", (before_ms,)
        )
        return bool(found.fetchone()[0])

    def forget_before(self, before_ms: int) -> None:
        """Remove a bounded batch of older rows."""
        self._connection.execute(
            "DELETE FROM request_keys WHERE key IN (SELECT key FROM request_keys WHERE created_ms < ? LIMIT ?)",
            (before_ms, BATCH),
        )

"""The policy rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from keystead.access.ports import PolicyRow
from keystead.errors import IntegrityError
from keystead.storage.rows import typed

_COLUMNS = "name, document, created_ms, updated_ms, version, mac"


class SqlitePolicies:
    """Policies on one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def get(self, name: str) -> PolicyRow | None:
        """One policy; None where there is none of this name."""
        found = self.named((name,))
        return found[0] if found else None

    def named(self, names: Iterable[str]) -> Sequence[PolicyRow]:
        """Those of these policies that are there."""
        wanted = tuple(names)
        marks = ",".join("?" * len(wanted))
        return [
            _row(row)
            for row in self._connection.execute(f"SELECT {_COLUMNS} FROM policies WHERE name IN ({marks})", wanted)
        ]

    def page(self, limit: int, after: str) -> Sequence[PolicyRow]:
        """Policies in the order of their names, from behind `after`."""
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM policies WHERE name > ? ORDER BY name LIMIT ?", (after, limit)
        )
        return [_row(row) for row in rows]

    def put(self, row: PolicyRow) -> None:
        """Add a policy, or put it in the place of the one of its name."""
        self._connection.execute(f"INSERT OR REPLACE INTO policies ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)", row)

    def delete(self, name: str) -> None:
        """Remove a policy."""
        self._connection.execute("DELETE FROM policies WHERE name = ?", (name,))


def _row(row: tuple[Any, ...]) -> PolicyRow:
    try:
        return PolicyRow(*typed(row, "ttiiib", "a policy"))
    except IntegrityError:
        # A row of other types than keystead writes: one that no MAC fits says so where it is used.
        return PolicyRow(str(row[0]), "", 0, 0, 0, b"")

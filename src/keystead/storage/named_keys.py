"""The rows of named keys."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from keystead.keys.named.model import KeyHead, KeyVersionRow
from keystead.keys.named.ports import AliasRow
from keystead.storage.rows import typed

_HEAD = (
    "name, key_id, type, usage, state, origin, deterministic, exportable, description, tags, latest, primary_version,"
    " min_encrypt, min_decrypt, rotation_ms, rotated_ms, destroy_ms, created_ms, updated_ms, epoch, mac"
)
_VERSION = "version, reference, salt, key_reference, created_ms, public, material, destroyed_ms"


class SqliteNamedKeys:
    """Named keys on one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def head(self, name: str) -> KeyHead | None:
        """The head of a key by its name."""
        row = self._connection.execute(f"SELECT {_HEAD} FROM named_keys WHERE name = ?", (name,)).fetchone()
        return None if row is None else _head(row)

    def by_id(self, key_id: str) -> KeyHead | None:
        """The head of a key by its id."""
        row = self._connection.execute(f"SELECT {_HEAD} FROM named_keys WHERE key_id = ?", (key_id,)).fetchone()
        return None if row is None else _head(row)

    def page(self, prefix: str, limit: int, after: str | None) -> Sequence[KeyHead]:
        """Heads in the order of their names, behind one."""
        rows = self._connection.execute(
            f"SELECT {_HEAD} FROM named_keys WHERE name > ? AND name >= ? AND name < ? ORDER BY name LIMIT ?",
            (after or "", prefix, prefix + "\x7f", limit),
        )
        return [_head(row) for row in rows]

    def put(self, head: KeyHead) -> None:
        """Add a head, or replace the one of this name, and raise the keys generation."""
        marks = ", ".join("?" * len(head))
        values = [int(value) if isinstance(value, bool) else value for value in head]
        self._connection.execute(f"INSERT OR REPLACE INTO named_keys ({_HEAD}) VALUES ({marks})", values)
        self._raise()

    def due(self, now_ms: int) -> Sequence[str]:
        """The names of keys whose rotation or destruction is due, whatever else their rows are made of."""
        rows = self._connection.execute(
            "SELECT name FROM named_keys WHERE (rotation_ms IS NOT NULL OR destroy_ms IS NOT NULL)"
            " AND ((state = 'active' AND rotated_ms + rotation_ms <= ?1)"
            " OR (state != 'destroyed' AND destroy_ms <= ?1))",
            (now_ms,),
        )
        return [name for (name,) in rows]

    def versions(self, key_id: str) -> Sequence[KeyVersionRow]:
        """Every version of a key, oldest first."""
        rows = self._connection.execute(
            f"SELECT {_VERSION} FROM named_key_versions WHERE key_id = ? ORDER BY version", (key_id,)
        )
        return [KeyVersionRow(*typed(row, "ibbbiBBI", "a version of a named key")) for row in rows]

    def add_version(self, key_id: str, row: KeyVersionRow) -> None:
        """Add a version."""
        self._connection.execute(
            f"INSERT INTO named_key_versions (key_id, {_VERSION}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (key_id, *row)
        )

    def rewrap(self, key_id: str, row: KeyVersionRow) -> None:
        """Replace a version's material, encrypted under another data key."""
        self._connection.execute(
            "UPDATE named_key_versions SET key_reference = ?, material = ? WHERE key_id = ? AND version = ?",
            (row.key_reference, row.material, key_id, row.version),
        )

    def destroy_versions(self, key_id: str, below: int | None, now_ms: int) -> int:
        """Overwrite the material of every version, or of those below a number; how many there were."""
        return self._connection.execute(
            "UPDATE named_key_versions SET material = NULL, destroyed_ms = ?"
            " WHERE key_id = ? AND destroyed_ms IS NULL AND (?3 IS NULL OR version < ?3)",
            (now_ms, key_id, below),
        ).rowcount

    def owner(self, reference: bytes) -> tuple[str, int] | None:
        """The id and version of the key that a ciphertext's reference is of."""
        row = self._connection.execute(
            "SELECT key_id, version FROM named_key_versions WHERE reference = ?", (reference,)
        ).fetchone()
        return None if row is None else (row[0], row[1])

    def under_key(self, reference: bytes) -> Sequence[tuple[str, str, int]]:
        """Id, name and version of what is encrypted under a data key."""
        rows = self._connection.execute(
            "SELECT v.key_id, k.name, v.version FROM named_key_versions v JOIN named_keys k ON k.key_id = v.key_id"
            " WHERE v.key_reference = ? AND v.material IS NOT NULL ORDER BY k.name, v.version",
            (reference,),
        )
        return [(key_id, name, version) for key_id, name, version in rows]

    def destroy_under(self, reference: bytes, now_ms: int) -> int:
        """Overwrite the material of what is encrypted under a data key; how many there were."""
        return self._connection.execute(
            "UPDATE named_key_versions SET material = NULL, destroyed_ms = ?"
            " WHERE key_reference = ? AND material IS NOT NULL",
            (now_ms, reference),
        ).rowcount

    def alias(self, alias: str) -> AliasRow | None:
        """An alias."""
        row = self._connection.execute(
            "SELECT alias, key_id, mac FROM key_aliases WHERE alias = ?", (alias,)
        ).fetchone()
        return None if row is None else AliasRow(*typed(row, "ttb", "an alias of a key"))

    def aliases(self, key_id: str) -> Sequence[str]:
        """The aliases of a key, sorted."""
        rows = self._connection.execute("SELECT alias FROM key_aliases WHERE key_id = ? ORDER BY alias", (key_id,))
        return [alias for (alias,) in rows]

    def put_alias(self, row: AliasRow) -> None:
        """Add an alias, or let it stand for another key."""
        self._connection.execute("INSERT OR REPLACE INTO key_aliases (alias, key_id, mac) VALUES (?, ?, ?)", row)
        self._raise()

    def remove_alias(self, alias: str) -> None:
        """Remove an alias."""
        self._connection.execute("DELETE FROM key_aliases WHERE alias = ?", (alias,))
        self._raise()

    def _raise(self) -> None:
        self._connection.execute("UPDATE store SET keys_generation = keys_generation + 1")


def _head(row: Sequence[Any]) -> KeyHead:
    typed(row, "ttttttiittiiiiIiIiiib", "the record of a named key")
    head = KeyHead(*row)
    return head._replace(deterministic=bool(head.deterministic), exportable=bool(head.exportable))

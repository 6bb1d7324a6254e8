"""The secret rows."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from keystead.secrets.model import Head, VersionRow
from keystead.secrets.ports import Filter
from keystead.storage.rows import typed

_HEAD = (
    "s.name, s.secret_id, s.latest, s.labels, s.ttl_ms, s.rule, s.tags, s.created_ms, s.updated_ms, s.expires_ms,"
    " s.expired_ms, s.deleted_ms, s.destroyed_ms, s.epoch, s.mac"
)
_HEAD_LENGTH = 15
_VERSION = "v.version, v.key_reference, v.created_ms, v.expires_ms, v.encoding, v.ciphertext, v.destroyed_ms"
_JOIN = (
    f"SELECT {_HEAD}, {_VERSION} FROM secrets s LEFT JOIN secret_versions v"
    " ON v.name = s.name AND v.version = s.current"
)
# typeof() reads the row's header alone, where any column behind a long ciphertext would read all its pages
_VALUE_GONE = (
    "EXISTS (SELECT 1 FROM secret_versions v WHERE v.name = s.name AND v.version = s.current"
    " AND typeof(v.ciphertext) = 'null')"
)
_BATCH = 500
_CURRENT = f"{_JOIN} WHERE s.name = ?"
_ONE_HEAD = f"SELECT {_HEAD} FROM secrets s WHERE s.name = ?"


class SqliteSecrets:
    """Secrets on one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def head(self, name: str) -> Head | None:
        """The head of a secret."""
        row = self._connection.execute(_ONE_HEAD, (name,)).fetchone()
        return None if row is None else Head(*row)

    def current(self, name: str) -> tuple[Head, VersionRow | None] | None:
        """The head and the current version, of one snapshot."""
        row = self._connection.execute(_CURRENT, (name,)).fetchone()
        return None if row is None else _both(row)

    def currents(self, names: Sequence[str]) -> list[tuple[Head, VersionRow | None]]:
        """The same for several names, in one query for each 500; names that are not there are left out."""
        found = []
        for start in range(0, len(names), _BATCH):
            batch = names[start : start + _BATCH]
            marks = ",".join("?" * len(batch))
            found += [_both(row) for row in self._connection.execute(f"{_JOIN} WHERE s.name IN ({marks})", batch)]
        return found

    def version(self, name: str, version: int) -> VersionRow | None:
        """One version."""
        row = self._connection.execute(
            f"SELECT {_VERSION} FROM secret_versions v WHERE v.name = ? AND v.version = ?",
            (name, version),
        ).fetchone()
        return None if row is None else _version(name, row)

    def versions(self, name: str, after: int = 0, limit: int | None = None) -> list[VersionRow]:
        """The versions of a secret behind a number, oldest first; all of them without a limit."""
        rows = self._connection.execute(
            f"SELECT {_VERSION} FROM secret_versions v WHERE v.name = ? AND v.version > ? ORDER BY v.version LIMIT ?",
            (name, after, -1 if limit is None else limit),
        )
        return [_version(name, row) for row in rows]

    def put(self, head: Head, *, retag: bool = False) -> None:
        """Insert or replace a head; with `retag` its tags are others than before, and their index is made anew."""
        self._connection.execute(
            "INSERT OR REPLACE INTO secrets (name, secret_id, latest, labels, ttl_ms, rule, tags, created_ms,"
            " updated_ms, expires_ms, expired_ms, deleted_ms, destroyed_ms, epoch, mac, current)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*head, head.current),
        )
        if retag:
            self._connection.execute("DELETE FROM secret_tags WHERE name = ?", (head.name,))
            self._connection.executemany(
                "INSERT INTO secret_tags (tag, value, name) VALUES (?, ?, ?)",
                [(tag, value, head.name) for tag, value in json.loads(head.tags).items()],
            )

    def add_version(self, name: str, row: VersionRow) -> None:
        """Add a version."""
        self._connection.execute("INSERT INTO secret_versions VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (name, *row))

    def destroy_version(self, name: str, version: int, now_ms: int) -> None:
        """Overwrite the ciphertext of a version."""
        self._connection.execute(
            "UPDATE secret_versions SET ciphertext = NULL, destroyed_ms = ? WHERE name = ? AND version = ?",
            (now_ms, name, version),
        )

    def page(self, chosen: Filter, now_ms: int, limit: int, after: str | None) -> list[tuple[Head, bool]]:
        """Up to `limit` heads in the order of names, from behind the name `after`; and whether the value is gone."""
        where = ["s.name > ?", "s.name >= ?", "s.name < ?"]
        values: list[Any] = [after or "", chosen.prefix, chosen.prefix + "\x7f"]
        where.append("(s.deleted_ms IS NOT NULL OR s.destroyed_ms IS NOT NULL)" if chosen.deleted else _PRESENT)
        if chosen.expired is not None:
            where.append("s.expires_ms <= ?" if chosen.expired else "(s.expires_ms IS NULL OR s.expires_ms > ?)")
            values.append(now_ms)
        for tag, value in chosen.tags.items():
            where.append("EXISTS (SELECT 1 FROM secret_tags t WHERE t.tag = ? AND t.value = ? AND t.name = s.name)")
            values += [tag, value]
        rows = self._connection.execute(
            f"SELECT {_HEAD}, {_VALUE_GONE} FROM secrets s WHERE {' AND '.join(where)} ORDER BY s.name LIMIT ?",
            (*values, limit),
        )
        return [(Head(*row[:_HEAD_LENGTH]), bool(row[_HEAD_LENGTH])) for row in rows]

    def newly_expired(self, now_ms: int, limit: int) -> list[str]:
        """Names whose current version expired and was not recorded as such."""
        rows = self._connection.execute(
            "SELECT name FROM secrets WHERE expires_ms <= ? AND expired_ms IS NULL AND destroyed_ms IS NULL"
            " AND deleted_ms IS NULL LIMIT ?",
            (now_ms, limit),
        )
        return [name for (name,) in rows]

    def destroyable(self, before_ms: int, limit: int) -> list[tuple[str, int]]:
        """Versions that expired before a time and still have a ciphertext; a current one, if that was recorded then."""
        rows = self._connection.execute(
            "SELECT v.name, v.version FROM secret_versions v JOIN secrets s ON s.name = v.name"
            " WHERE v.expires_ms <= ?1 AND v.destroyed_ms IS NULL"
            " AND (s.current IS NOT v.version OR coalesce(s.deleted_ms, s.expired_ms) <= ?1) LIMIT ?2",
            (before_ms, limit),
        )
        return list(rows)

    def under_key(self, reference: bytes) -> Iterable[tuple[str, int]]:
        """Names and versions whose ciphertext is under a data key."""
        return self._connection.execute(
            "SELECT name, version FROM secret_versions WHERE key_reference = ? AND destroyed_ms IS NULL"
            " ORDER BY name, version",
            (reference,),
        )

    def counts(self, now_ms: int) -> tuple[int, int]:
        """How many secrets there are that were not deleted, and how many of them have expired."""
        row = self._connection.execute(
            f"SELECT count(*), coalesce(sum(s.expires_ms <= ?), 0) FROM secrets s WHERE {_PRESENT}",
            (now_ms,),
        ).fetchone()
        return int(row[0]), int(row[1])


_PRESENT = "s.deleted_ms IS NULL AND s.destroyed_ms IS NULL"


def _version(name: str, row: tuple[Any, ...]) -> VersionRow:
    return VersionRow(*typed(row, "ibiItBI", f"a version of secret {name}"))


def _both(row: tuple[Any, ...]) -> tuple[Head, VersionRow | None]:
    head = Head(*row[:_HEAD_LENGTH])
    return head, None if row[_HEAD_LENGTH] is None else VersionRow(*row[_HEAD_LENGTH:])

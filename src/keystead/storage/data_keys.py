"""The data-key rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from keystead.keys.lifecycle import KeyState
from keystead.keys.model import DataKeyRecord
from keystead.storage.rows import damaged, typed

_STATES = frozenset(KeyState)
_COLUMNS = "key_id, reference, state, created_ms, state_ms, salt, wrapped, reserved, reserved_mac"


class SqliteDataKeys:
    """Data keys on one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def all(self) -> Sequence[DataKeyRecord]:
        """Every data key, oldest first."""
        rows = self._connection.execute(f"SELECT {_COLUMNS} FROM data_keys ORDER BY created_ms, rowid")
        return [_record(row) for row in rows]

    def get(self, key_id: str) -> DataKeyRecord | None:
        """One data key."""
        row = self._connection.execute(
            f"SELECT {_COLUMNS} FROM data_keys WHERE key_id = ?",
            (key_id,),
        ).fetchone()
        return None if row is None else _record(row)

    def insert(self, record: DataKeyRecord) -> None:
        """Add a data key and raise the keys generation."""
        self._connection.execute(
            f"INSERT INTO data_keys ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            _row(record),
        )
        self._raise()

    def update(self, record: DataKeyRecord) -> None:
        """Replace state, dates, wrapping and count of a data key and raise the keys generation."""
        self._connection.execute(
            "UPDATE data_keys SET state = ?, state_ms = ?, wrapped = ?, reserved = ?, reserved_mac = ?"
            " WHERE key_id = ?",
            (
                record.state.value,
                record.state_ms,
                record.wrapped,
                record.reserved,
                record.reserved_mac,
                record.key_id,
            ),
        )
        self._raise()

    def save_count(self, record: DataKeyRecord) -> None:
        """Replace only the count of a data key."""
        self._connection.execute(
            "UPDATE data_keys SET reserved = ?, reserved_mac = ? WHERE key_id = ?",
            (record.reserved, record.reserved_mac, record.key_id),
        )

    def _raise(self) -> None:
        self._connection.execute("UPDATE store SET keys_generation = keys_generation + 1")


def _row(record: DataKeyRecord) -> tuple[object, ...]:
    return (
        record.key_id,
        record.reference,
        record.state.value,
        record.created_ms,
        record.state_ms,
        record.salt,
        record.wrapped,
        record.reserved,
        record.reserved_mac,
    )


def _record(row: tuple[str, bytes, str, int, int, bytes, bytes | None, int, bytes]) -> DataKeyRecord:
    what = f"the record of data key {str(row[0])[:64]}"
    typed(row, "tbtiibBib", what)
    if row[2] not in _STATES:
        raise damaged(what)
    return DataKeyRecord(row[0], row[1], KeyState(row[2]), *row[3:])

"""The one row that says which store this is, its key slots, and the sessions that were revoked."""

from __future__ import annotations

import json
import sqlite3
from typing import NamedTuple

from keystead.seal.provider import Slot
from keystead.storage.rows import damaged, typed


class StoreRow(NamedTuple):
    """What a store is. `keys_generation` rises with every change of a data key."""

    store_id: bytes
    created_ms: int
    root_generation: int
    root_check: bytes
    integrity_wrapped: bytes
    audit_wrapped: bytes
    keys_generation: int


class SqliteStoreRow:
    """The store row on one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def get(self) -> StoreRow | None:
        """The row; None in a file that was migrated and never became a store."""
        row = self._connection.execute(
            "SELECT store_id, created_ms, root_generation, root_check, integrity_wrapped, audit_wrapped,"
            " keys_generation FROM store"
        ).fetchone()
        return None if row is None else StoreRow(*typed(row, "biibbbi", "the store's own row"))

    def insert(self, row: StoreRow) -> None:
        """Make the file a store."""
        self._connection.execute(
            "INSERT INTO store VALUES (1, ?, ?, ?, ?, ?, ?, ?)",
            (
                row.store_id,
                row.created_ms,
                row.root_generation,
                row.root_check,
                row.integrity_wrapped,
                row.audit_wrapped,
                row.keys_generation,
            ),
        )

    def replace_root(self, root_generation: int, root_check: bytes, wrapped: tuple[bytes, bytes]) -> None:
        """Put a new root key in the place of the old one; `wrapped` are the integrity and the audit key under it."""
        self._connection.execute(
            "UPDATE store SET root_generation = ?, root_check = ?, integrity_wrapped = ?, audit_wrapped = ?,"
            " keys_generation = keys_generation + 1",
            (root_generation, root_check, *wrapped),
        )

    def generations(self) -> tuple[int, int]:
        """The store's generation, and that of its keys.

        Every change commits with its audit record, so the last record's number is the store's generation.
        """
        row: tuple[int | None, int] = self._connection.execute(
            "SELECT (SELECT seq FROM sqlite_sequence WHERE name = 'audit_outbox'), keys_generation FROM store"
        ).fetchone()
        return row[0] or 0, row[1]


class SqliteSlots:
    """The key slots on one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def all(self) -> list[Slot]:
        """Every slot, oldest first."""
        rows = self._connection.execute(
            "SELECT slot_id, kind, label, created_ms, metadata, wrapped FROM key_slots ORDER BY created_ms, slot_id"
        )
        return [_slot(row) for row in rows]

    def insert(self, slot: Slot) -> None:
        """Add a slot."""
        metadata = json.dumps(dict(slot.metadata), sort_keys=True, separators=(",", ":"))
        self._connection.execute(
            "INSERT INTO key_slots VALUES (?, ?, ?, ?, ?, ?)",
            (slot.id, slot.kind, slot.label, slot.created_ms, metadata, slot.wrapped),
        )

    def delete(self, slot_id: str) -> None:
        """Remove a slot."""
        self._connection.execute("DELETE FROM key_slots WHERE slot_id = ?", (slot_id,))

    def replace_all(self, slots: list[Slot]) -> None:
        """Put these slots in the place of all others."""
        self._connection.execute("DELETE FROM key_slots")
        for slot in slots:
            self.insert(slot)


def _slot(row: tuple[str, str, str, int, str, bytes]) -> Slot:
    what = f"key slot {str(row[0])[:64]}"
    slot_id, kind, label, created_ms, metadata, wrapped = typed(row, "tttitb", what)
    try:
        fields = json.loads(metadata)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict) or not all(type(value) in (str, int) for value in fields.values()):
        raise damaged(what)
    return Slot(slot_id, kind, label, created_ms, fields, wrapped)


class SqliteRevocations:
    """The sessions that were revoked, on one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def among(self, session_ids: list[str]) -> set[str]:
        """Those of these sessions that were revoked."""
        marks = ",".join("?" * len(session_ids))
        rows = self._connection.execute(
            f"SELECT session_id FROM revoked_sessions WHERE session_id IN ({marks})", session_ids
        )
        return {session_id for (session_id,) in rows}

    def insert(self, session_id: str, now_ms: int) -> None:
        """Revoke a session; revoking it again changes nothing."""
        self._connection.execute("INSERT OR IGNORE INTO revoked_sessions VALUES (?, ?)", (session_id, now_ms))

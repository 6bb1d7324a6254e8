"""The rows that say which backups were begun, and which data keys each holds. They hold no key and open nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from keystead.keys.manage import KnownBackup


class SqliteBackups:
    """Known backups on one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def note(self, backup_id: bytes, backup: KnownBackup, references: Iterable[bytes]) -> None:
        """Note a backup and the data keys it holds, by reference; noting it again adds keys."""
        self._connection.execute(
            "INSERT OR IGNORE INTO backups VALUES (?, ?, ?, ?)",
            (backup_id, backup.path, backup.created_ms, backup.shred_keys),
        )
        self._connection.executemany(
            "INSERT OR IGNORE INTO backup_keys VALUES (?, ?)", ((reference, backup_id) for reference in references)
        )

    def forget(self, backup_id: bytes) -> None:
        """Take a note back: the backup came to nothing."""
        self._connection.execute("DELETE FROM backups WHERE backup_id = ?", (backup_id,))
        self._connection.execute("DELETE FROM backup_keys WHERE backup_id = ?", (backup_id,))

    def holding(self, reference: bytes) -> list[KnownBackup]:
        """The backups that hold a data key, oldest first."""
        rows = self._connection.execute(
            "SELECT b.path, b.created_ms, b.shred_keys FROM backup_keys k JOIN backups b USING (backup_id)"
            " WHERE k.reference = ? ORDER BY b.created_ms, b.path",
            (reference,),
        )
        return [KnownBackup(*row) for row in rows]

    def newest_ms(self) -> int | None:
        """When the newest backup was made (ms since the epoch); None where none is known."""
        newest: int | None = self._connection.execute("SELECT max(created_ms) FROM backups").fetchone()[0]
        return newest

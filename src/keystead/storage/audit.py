"""The audit rows: which chains there are, how far they reach, and the outbox of committed records."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from keystead.audit.ports import Head, OutboxRow
from keystead.storage.rows import typed


class AuditRows:
    """The audit rows of one connection or transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def register(self, chain: str, created_ms: int) -> None:
        """Note that a chain exists; registering it again changes nothing."""
        self._connection.execute("INSERT OR IGNORE INTO audit_chains VALUES (?, ?, 0, '', x'')", (chain, created_ms))

    def heads(self) -> dict[str, tuple[Head, bytes]]:
        """Each registered chain's last saved head and its MAC (b"" where none was saved)."""
        rows = self._connection.execute("SELECT chain, count, hash, mac FROM audit_chains ORDER BY chain")
        return {
            chain: (Head(chain, count, link), code)
            for chain, count, link, code in (typed(row, "titb", "the head of an audit chain") for row in rows)
        }

    def save_head(self, head: Head, mac: bytes) -> None:
        """Replace a chain's head unless a longer one is saved."""
        self._connection.execute(
            "UPDATE audit_chains SET count = ?, hash = ?, mac = ? WHERE chain = ? AND count <= ?",
            (head.count, head.hash, mac, head.chain, head.count),
        )

    def enqueue(self, chain: str, content: bytes) -> int:
        """Put a record into the outbox of this transaction; its number, which is never given again."""
        cursor = self._connection.execute("INSERT INTO audit_outbox (chain, content) VALUES (?, ?)", (chain, content))
        if cursor.lastrowid is None:
            raise AssertionError("an insert gives a number")
        return cursor.lastrowid

    def pending(self) -> list[OutboxRow]:
        """Every row of the outbox, by number."""
        rows = self._connection.execute("SELECT number, chain, content FROM audit_outbox ORDER BY number")
        return [OutboxRow(*typed(row, "itb", "a record in the store's outbox")) for row in rows]

    def delete(self, numbers: Iterable[int]) -> None:
        """Remove rows whose records the disk has in a journal."""
        self._connection.executemany("DELETE FROM audit_outbox WHERE number = ?", ((number,) for number in numbers))

    def last_number(self) -> int:
        """The highest number ever given, 0 where none was."""
        row = self._connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'audit_outbox'").fetchone()
        return int(typed(row, "i", "the number of the store's newest change")[0]) if row else 0

    def raise_number(self, number: int) -> None:
        """Let the next number be higher than `number`: after an accepted rollback, so that none is given twice."""
        if number > self.last_number():
            self._connection.execute("DELETE FROM sqlite_sequence WHERE name = 'audit_outbox'")
            self._connection.execute("INSERT INTO sqlite_sequence VALUES ('audit_outbox', ?)", (number,))


class Store(Protocol):
    """What is needed of a store."""

    def read(self) -> sqlite3.Connection:
        """This thread's connection for SELECT."""

    def write(self) -> AbstractContextManager[sqlite3.Connection]:
        """A transaction."""

    def translated(self) -> AbstractContextManager[None]:
        """The driver's errors as keystead's."""

    def at_one_moment(self) -> AbstractContextManager[None]:
        """What is read inside is the store as it was at the first read."""


class StoreAudit:
    """The audit room's ports on a store: a ChainRegistry and an Outbox, each call its own transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def register(self, chain: str, created_ms: int) -> None:
        """Note that a chain exists."""
        with self._store.write() as connection:
            AuditRows(connection).register(chain, created_ms)

    def heads(self) -> Mapping[str, tuple[Head, bytes]]:
        """Each registered chain's last saved head and its MAC."""
        with self._store.translated():
            return AuditRows(self._store.read()).heads()

    def save_head(self, head: Head, mac: bytes, moved: Sequence[int] = ()) -> None:
        """Replace a chain's head and delete the outbox rows `moved`, together."""
        with self._store.write() as connection:
            rows = AuditRows(connection)
            rows.save_head(head, mac)
            rows.delete(moved)

    def pending(self) -> Sequence[OutboxRow]:
        """Every row of the outbox, by number."""
        with self._store.translated():
            return AuditRows(self._store.read()).pending()

    def delete(self, numbers: Sequence[int]) -> None:
        """Remove rows whose records the disk has in a journal."""
        with self._store.write() as connection:
            AuditRows(connection).delete(numbers)

    def last_number(self) -> int:
        """The highest number ever given."""
        with self._store.translated():
            return AuditRows(self._store.read()).last_number()

"""What the tests run in processes of their own: `child.py ROOT DOING COUNT`; each acknowledged record is told."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from keystead.audit.checkpoints import AuditKeys
from keystead.audit.journal import Journal
from keystead.audit.outbox import recover_outbox
from keystead.audit.record import Event, Record
from keystead.clock import SystemClock
from keystead.storage.audit import AuditRows, StoreAudit
from keystead.storage.sqlite import SqliteStore


def main(root: Path, doing: str, count: int) -> None:
    clock = SystemClock()
    store = SqliteStore(root / "store.db", clock)
    ports = StoreAudit(store)
    journal = Journal.open(root / "audit", node="child", clock=clock, heads=ports)
    recover_outbox(journal, ports)
    journal.unlock(AuditKeys(b"m" * 32, b"s" * 32))
    for number in range(count):
        target = f"{os.getpid()}/{number}"
        if doing == "append":
            journal.append(Record(clock.now_ms(), "child", "", "p", Event.SECRET_RETRIEVED, target).content())
        else:
            content = Record(clock.now_ms(), "child", "", "p", Event.SECRET_STORED, target).content()
            chain, moved = journal.chain, journal.confirmed()
            with store.write() as connection:
                rows = AuditRows(connection)
                row = rows.enqueue(chain, content)
                rows.delete(moved)
            journal.forget(moved)
            journal.append_outbox((row, content))
        os.write(1, f"{target}\n".encode())
        if number % 3 == 2:
            journal.checkpoint()
    journal.close()


main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))

"""A real store, a real folder, and the smallest way to write and check a log."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from keystead.audit.checkpoints import AuditKeys
from keystead.audit.journal import Journal
from keystead.audit.record import Event, Record
from keystead.audit.report import Report
from keystead.audit.verify import verify
from keystead.storage.audit import AuditRows, StoreAudit
from keystead.storage.schema import migrate
from keystead.storage.sqlite import SqliteStore
from keystead.testing.clock import ManualClock


@dataclass
class Log:
    """An audit folder, its store, and what a node would do with them."""

    root: Path
    clock: ManualClock
    store: SqliteStore
    ports: StoreAudit
    keys: AuditKeys

    @property
    def folder(self) -> Path:
        return self.root / "audit"

    def open(self, *, keys: bool = True, **options: Any) -> Journal:
        journal = Journal.open(self.folder, node="node-1", clock=self.clock, heads=self.ports, **options)
        if keys:
            journal.unlock(self.keys)
        return journal

    def record(self, target: str = "API_KEY", **fields: Any) -> Record:
        self.clock.advance(1)
        made = Record(self.clock.now_ms(), "node-1", "ses_" + "0" * 32, "user:ada", Event.SECRET_RETRIEVED, target)
        return made._replace(**fields)

    def content(self, target: str = "API_KEY", **fields: Any) -> bytes:
        return self.record(target, **fields).content()

    def commit(self, journal: Journal, target: str = "API_KEY") -> tuple[int, bytes]:
        """A change's record, committed to the outbox and not moved."""
        content, chain = self.content(target, event=Event.SECRET_STORED), journal.chain
        with self.store.write() as connection:
            return AuditRows(connection).enqueue(chain, content), content

    def verify(self, **options: Any) -> Report:
        return verify(self.folder, heads=self.ports, outbox=self.ports, **{"keys": self.keys, **options})

    def file(self, chain: str = "0001", number: int = 1) -> Path:
        return self.folder / chain / f"{number:06d}.jsonl"

    def lines(self, chain: str = "0001") -> list[bytes]:
        return [
            line
            for path in sorted((self.folder / chain).glob("*.jsonl"))
            for line in path.read_bytes().split(b"\n")[:-1]
        ]


@pytest.fixture
def make_log() -> Iterator[Callable[[Path], Log]]:
    """Makes a log below a folder; its store is closed after the test."""
    stores: list[SqliteStore] = []

    def make(root: Path) -> Log:
        clock = ManualClock()
        store = SqliteStore(root / "store.db", clock)
        store.create_file()
        migrate(store, clock)
        stores.append(store)
        return Log(root, clock, store, StoreAudit(store), AuditKeys(b"m" * 32, b"s" * 32))

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def log(tmp_path: Path, make_log: Callable[[Path], Log]) -> Log:
    """An empty log on a new store."""
    return make_log(tmp_path)


@pytest.fixture
def child_script(log: Log) -> Callable[..., subprocess.Popen[bytes]]:
    """Runs child.py on the log in a process of its own, with a prefix such as strace."""

    def run(doing: str, count: int, *prefix: str) -> subprocess.Popen[bytes]:
        script = Path(__file__).with_name("child.py")
        command = [*prefix, sys.executable, str(script), str(log.root), doing, str(count)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    return run

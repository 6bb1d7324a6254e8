"""Reading and verifying the audit log."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from keystead.audit.checkpoints import AuditKeys
from keystead.clock import SystemClock
from keystead.errors import StoreNotFound, UsageError
from keystead.node.location import Location, locate
from keystead.node.settings import environment
from keystead.services.session_face import SessionFace
from keystead.storage.audit import StoreAudit
from keystead.storage.content import SqliteContent
from keystead.storage.sqlite import SqliteStore

if TYPE_CHECKING:
    from keystead.audit.reader import LogEntry
    from keystead.audit.report import Report

MOST_ENTRIES: Final = 100_000


class AuditOperations:
    """`kms.audit`: the log of what happened to this store."""

    def __init__(self, face: SessionFace) -> None:
        self._face = face

    def verify(self) -> Report:
        """Check every record, link, checkpoint MAC and signature, that the store's changes are all there, that its rows
        are as their last records left them, and that each row is what keystead wrote and each encrypted value opens.

        The report's `require_ok()` raises AuditBroken naming the first bad record.

        Raises:
            Sealed: another process replaced the root key: open the store again.
        """
        from keystead.audit.verify import verify  # noqa: PLC0415 - a rare call; opening a store does not pay for it
        from keystead.node.row_check import row_problems  # noqa: PLC0415 - as above

        node = self._face._node
        node.counts.flush()
        node.journal.checkpoint()
        keys = AuditKeys(*node.root.audit_keys())
        with node.gate.read(self._face._session, "audit:verify", "audit", "audit_verified") as detail:
            report = verify(
                node.location.audit,
                heads=node.audit_rows,
                outbox=node.audit_rows,
                content=SqliteContent(node.store),
                keys=keys,
            )
            report = replace(report, problems=(*report.problems, *row_problems(node)))
            detail["records"], detail["problems"] = report.records, len(report.problems)
            return report

    def tail(self, count: int = 20) -> list[LogEntry]:
        """The last records of all chains, oldest first.

        Raises:
            UsageError: more than 100,000 are asked for, or less than none.
        """
        from keystead.audit.reader import tail  # noqa: PLC0415 - a rare call; opening a store does not pay for it

        if not 0 <= count <= MOST_ENTRIES:
            raise UsageError(f"count must be 0 to {MOST_ENTRIES:,}")
        node = self._face._node
        with node.gate.read(self._face._session, "audit:read", "audit", "audit_read"):
            return tail(node.location.audit, count)

    def follow(self, stop: threading.Event, *, count: int = 0) -> Iterator[LogEntry]:
        """The last `count` records, then those that are written from now on, until `stop` is set."""
        from keystead.audit.reader import follow  # noqa: PLC0415 - a rare call; opening a store does not pay for it

        node = self._face._node
        with node.gate.read(self._face._session, "audit:read", "audit", "audit_read"):
            return follow(node.location.audit, stop, count=count)

    def public_key(self) -> bytes:
        """The 32-byte Ed25519 key by which an outsider verifies checkpoints."""
        node = self._face._node
        node.gate.admit(self._face._session, "audit:read", "audit")
        return AuditKeys(*node.root.audit_keys()).public_key()


def verify_without_keys(url: str | Path | None = None, *, public_key: bytes | None = None) -> Report:
    """Check form, links, heads and numbers of a store's log, with `public_key` (32 bytes) the signatures too, and that
    the store is as the log's last records left it.

    No master key is needed, and nothing is recorded.

    Raises:
        StoreNotFound, StoreUnavailable.
    """
    from keystead.audit.verify import verify  # noqa: PLC0415 - a rare call; opening a store does not pay for it

    location = _present(url)
    store = SqliteStore(location.database, SystemClock())
    try:
        rows = StoreAudit(store)
        content = SqliteContent(store)
        return verify(location.audit, heads=rows, outbox=rows, content=content, keys=None, public_key=public_key)
    finally:
        store.close()


def read_log(url: str | Path | None, count: int) -> list[LogEntry]:
    """The last records of a store's log, oldest first; no master key is needed. Raises StoreNotFound."""
    from keystead.audit.reader import tail  # noqa: PLC0415 - a rare call; opening a store does not pay for it

    return tail(_present(url).audit, count)


def follow_log(url: str | Path | None, count: int, stop: threading.Event | None = None) -> Iterator[LogEntry]:
    """The last `count` records of a store's log, then those that are written from now on, until `stop` is set.

    No master key is needed. Raises StoreNotFound.
    """
    from keystead.audit.reader import follow  # noqa: PLC0415 - a rare call; opening a store does not pay for it

    return follow(_present(url).audit, stop or threading.Event(), count=count)


def _present(url: str | Path | None) -> Location:
    location = locate(url, environment(), Path.cwd())
    if location.stored_bytes() == 0:
        raise StoreNotFound(f"there is no store at {location.database}", hint="check the path, or keystead init")
    return location

"""A store that was put back to an older state: found at its opening by the audit log, and while it is open."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from keystead.audit.files import chain_names
from keystead.audit.outbox import highest_sequence
from keystead.errors import RollbackDetected
from keystead.gate import Entry
from keystead.storage.audit import AuditRows

if TYPE_CHECKING:
    from keystead.node.node import Node


def require_not_put_back(database: Path, known: int, last: int) -> None:
    """Return if the store's `last` change is not before one that it was known to have.

    Raises:
        RollbackDetected: it is.
    """
    if last < known:
        raise RollbackDetected(
            f"the store {database} was put back to an older state while it was open: it had {known} changes, and has"
            f" {last}",
            hint="if on purpose: close it everywhere, then keystead audit accept-rollback; if not, find out who did",
        )


def check_rollback(node: Node, accept: bool) -> bool:
    """Compare a store that is being opened with its log; whether a rollback was found, and accepted.

    Raises:
        RollbackDetected: one was found, and is not accepted.
    """
    witnessed = highest_sequence(node.location.audit)
    known = node.audit_rows.last_number()
    if witnessed <= known:
        return False
    if not accept:
        raise RollbackDetected(
            f"the store {node.location.database} is older than its audit log: the log knows {witnessed} changes, the "
            f"store {known}",
            hint="if an old copy was put back on purpose: keystead audit accept-rollback; if not, find out who did",
        )
    entry = Entry(node.system.id, str(node.system.principal), "rollback_accepted", "store")
    entry.detail = {"store": known, "log": witnessed}
    with node.store.write() as connection:
        rows = AuditRows(connection)
        rows.raise_number(witnessed)
        for chain in chain_names(node.location.audit):
            rows.register(chain, node.clock.now_ms())
        queued = node.recorder.enqueue(connection, [entry])
    node.recorder.committed(queued)
    return True

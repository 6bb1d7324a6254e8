"""Commits that failed in a way that may hide success: noted when it happens, settled by the next process that opens.

The note is an empty file named after the operation, beside the audit chains: the store cannot be written at that
moment, and the journal, which also has a record, would have to be searched at each opening.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from keystead.audit.chain import parse_line
from keystead.audit.files import chain_names, lines_backward
from keystead.audit.record import Outcome, Record
from keystead.errors import OperatorError, OutcomeUnknown
from keystead.gate import Entry
from keystead.storage.audit import AuditRows

if TYPE_CHECKING:
    from keystead.node.node import Node

_FOLDER: Final = "unknown"
_OPERATION: Final = re.compile(r"op_[0-9a-f]{24}")


@contextmanager
def noting_unknown(audit_folder: Path) -> Iterator[None]:
    """Leave a note of an outcome that the block could not learn."""
    try:
        yield
    except OutcomeUnknown as error:
        with suppress(OSError):
            _note(audit_folder / _FOLDER, error.operation_id)
        raise


def _note(folder: Path, operation_id: str) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    os.close(os.open(folder / operation_id, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    folder_fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder_fd)
    finally:
        os.close(folder_fd)


def settle_unknown(node: Node) -> None:
    """Record of each noted operation whether it was committed; what cannot be settled waits for the next opening."""
    folder = node.journal.folder / _FOLDER
    try:
        notes = sorted(item.name for item in os.scandir(folder) if _OPERATION.fullmatch(item.name))
    except OSError:
        return
    if not notes:
        return
    with suppress(OperatorError, OSError):
        entries = []
        # In a transaction that commits something: what a recovery could still find of the failed commit ends with it.
        with node.write() as connection:
            waiting = [row.content for row in AuditRows(connection).pending()]
            done = {name for name in notes if _committed(node.journal.folder, waiting, name)}
            for name in notes:
                entry = Entry(node.system.id, str(node.system.principal), "outcome_settled", f"operation/{name}")
                entry.detail, entry.operation_id = {"committed": "yes" if name in done else "no"}, name
                entries.append(entry)
            queued = node.recorder.enqueue(connection, entries)
        node.recorder.committed(queued)
        for name in notes:
            (folder / name).unlink(missing_ok=True)


def _committed(audit_folder: Path, waiting: list[bytes], operation_id: str) -> bool:
    """Whether the change's own record is there, which is committed with it: in the outbox, or moved to a chain."""
    return any(
        record.operation_id == operation_id and record.outcome == Outcome.SUCCESS
        for record in _naming(audit_folder, waiting, operation_id.encode())
    )


def _naming(audit_folder: Path, waiting: list[bytes], operation_id: bytes) -> Iterator[Record]:
    for content in waiting:
        if operation_id in content:
            with suppress(ValueError):  # an edited row is for `audit verify` to name
                yield Record.parse(content)
    for chain in chain_names(audit_folder):
        for line in lines_backward(audit_folder / chain):
            if operation_id in line.data:
                with suppress(ValueError):
                    yield Record.parse(parse_line(line.data).content)

"""Records that were committed but not linked when their process died, and the highest number any journal has seen."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from keystead.audit.chain import Line, parse_line
from keystead.audit.files import chain_files, chain_names, lines_backward
from keystead.audit.journal import Journal
from keystead.audit.ports import Outbox, OutboxRow
from keystead.audit.record import Record
from keystead.audit.slots import lock_chain


def recover_outbox(journal: Journal, outbox: Outbox) -> list[int]:
    """Move the rows that dead processes left, and delete them when the disk has their records; their numbers.

    Called once after `Journal.open`, before this process commits anything. Each number is looked for in the journals
    first, so no record is linked twice. Rows of a process whose chain is locked are its own business.

    Raises:
        AuditUnavailable: the journal cannot be written; the rows stay.
    """
    done: list[int] = []
    own = journal.chain
    for chain in sorted({row.chain for row in outbox.pending()}):
        if chain == own:
            done += _move(journal, outbox, chain)
            continue
        with _dead(journal.folder, chain) as dead:
            if dead:
                done += _move(journal, outbox, chain)
    return done


def highest_sequence(folder: Path) -> int:
    """The highest outbox number that any chain in `folder` knows to be committed, from its last lines; 0 for none.

    A store whose last number is lower was put back to an earlier state.
    """
    return max((_last_sequence(folder / chain) for chain in chain_names(folder)), default=0)


def _last_sequence(chain_folder: Path) -> int:
    for item in _lines(chain_folder):
        return item.sequence
    return 0


def _lines(chain_folder: Path) -> Iterator[Line]:
    try:
        for item in lines_backward(chain_folder):
            try:
                yield parse_line(item.data)
            except ValueError:
                continue
    except OSError:
        return


def _move(journal: Journal, outbox: Outbox, chain: str) -> list[int]:
    # Read anew: under the chain's lock nobody else moves or deletes these rows.
    rows = [row for row in outbox.pending() if row.chain == chain and _is_record(row)]
    if not rows:
        return []
    found = _already_linked(journal.folder, rows)
    left = [(row.number, row.content) for row in rows if row.number not in found]
    if left:
        journal.append_outbox(*left)
    journal.sync()
    numbers = [row.number for row in rows]
    outbox.delete(numbers)
    journal.forget(numbers)
    return numbers


def _is_record(row: OutboxRow) -> bool:
    """Whether keystead may have written it. What it has not stays for `verify` to name, and breaks no chain."""
    try:
        Record.parse(row.content)
    except ValueError:
        return False
    return True


def _already_linked(folder: Path, rows: Sequence[OutboxRow]) -> set[int]:
    """Which rows stand in a chain, each made durable there.

    A line with a number carries a sequence at least as high, and a chain's sequences never fall, so each chain is read
    back only to where they are lower than every number looked for.
    """
    wanted = {row.number: row.content for row in rows}
    lowest = min(wanted)
    found: set[int] = set()
    for chain in chain_names(folder):
        here: set[int] = set()
        for line in _lines(folder / chain):
            if line.sequence < lowest:
                break
            if line.number is not None and wanted.get(line.number) == line.content:
                here.add(line.number)
        if here:
            _flush_files(folder / chain)
        found |= here
    return found


def _flush_files(chain_folder: Path) -> None:
    # A file is flushed before the next one begins, so only the last can hold what the disk has not.
    fd = os.open(chain_files(chain_folder)[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fdatasync(fd)
    finally:
        os.close(fd)


@contextmanager
def _dead(folder: Path, chain: str) -> Iterator[bool]:
    """Whether no process holds the chain, and hold it meanwhile."""
    if chain not in chain_names(folder):
        yield True
        return
    lock_fd = lock_chain(folder / chain)
    try:
        yield lock_fd is not None
    finally:
        if lock_fd is not None:
            os.close(lock_fd)

"""The journal of one process: the chain slot it holds, and the only way a record gets into a chain.

Chains are slots (`0001`, `0002`, ...). A journal locks the first free one and continues from its head, so that ten
thousand runs of a command leave one chain. A slot whose end is damaged, or behind the head that the store knows, is
left as it is for `verify` to name, and the next one is taken. A forked child lets go of its parent's slot and takes
one of its own at its first record.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

from keystead.audit.chain import make_line
from keystead.audit.checkpoints import AuditKeys, forged_heads, head_mac, make_checkpoint, restore_frontier
from keystead.audit.files import lines_backward, read_tail
from keystead.audit.ports import ChainRegistry, Head
from keystead.audit.record import Event, Record
from keystead.audit.slots import take_slot
from keystead.audit.tree import Frontier, leaf_hash
from keystead.audit.writer import FILE_BYTES, RESERVE_BYTES, Writer, unavailable
from keystead.clock import Clock
from keystead.crypto.mac import sha256
from keystead.errors import AuditUnavailable, OperatorError

MOVED_AT_ONCE = 256
"""Records of the outbox that one write takes: far less than the room that is kept for a full disk."""


class Journal:
    """Appends records to the chain that this process holds. Thread-safe; safe to use on both sides of a fork."""

    def __init__(
        self,
        folder: Path,
        *,
        node: str,
        clock: Clock,
        heads: ChainRegistry,
        fsync: Literal["group", "os"] = "os",
        file_bytes: int = FILE_BYTES,
        reserve_bytes: int = RESERVE_BYTES,
    ) -> None:
        self.folder = folder
        self.node = node
        self._clock = clock
        self._heads = heads
        self._group = fsync == "group"
        self._file_bytes = file_bytes
        self._reserve_bytes = reserve_bytes
        self._keys: AuditKeys | None = None
        self._sequence = 0
        self._closed = False
        self._start_without_slot()
        os.register_at_fork(after_in_child=_let_go_in_child(weakref.ref(self)))

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        node: str,
        clock: Clock,
        heads: ChainRegistry,
        fsync: Literal["group", "os"] = "os",
        file_bytes: int = FILE_BYTES,
        reserve_bytes: int = RESERVE_BYTES,
    ) -> Journal:
        """A journal in `folder` (made with mode 0700 where missing) that holds a chain slot.

        `fsync="group"` makes every append wait for the disk, several at once; "os" leaves that to the system and to
        `sync`. A file grows to `file_bytes`; `reserve_bytes` are kept behind its end for a full disk.

        Raises:
            AuditUnavailable: no chain can be written in this folder.
        """
        sizes = {"file_bytes": file_bytes, "reserve_bytes": reserve_bytes}
        journal = cls(folder, node=node, clock=clock, heads=heads, fsync=fsync, **sizes)
        journal.ready()
        return journal

    def _start_without_slot(self) -> None:
        self._lock = threading.Lock()
        self._sync_lock = threading.Lock()
        self._writer: Writer | None = None
        self._chain = ""
        self._count = self._start = self._covered = self._vouched = self._saved = 0
        self._link = b""
        self._tree: Frontier | None = None
        self._refused = False
        self._in_doubt = False
        self._waiting: list[tuple[int, bytes]] = []
        self._moved: list[tuple[int, int]] = []
        self._confirmed: list[int] = []

    @property
    def chain(self) -> str:
        """The chain slot that this process holds."""
        with self._lock:
            self._slot()
            return self._chain

    @property
    def head(self) -> Head:
        """The chain's end as written; the disk may have less of it."""
        with self._lock:
            self._slot()
            return self._head()

    def ready(self) -> None:
        """Return if a record can be written; asked before a change, and outside its transaction.

        Raises:
            AuditUnavailable: it cannot.
        """
        with self._lock:
            self._slot()
            if self._refused:
                self._move_waiting()
                self._note(Event.AUDIT_RECOVERED, {"after": "records were refused"})

    def append(self, content: bytes) -> None:
        """Link and write one record, which is the `content()` of a Record.

        Raises:
            AuditUnavailable: it cannot be written; nothing of it is there.
        """
        self.wait(self.append_many([content]))

    def append_many(self, contents: list[bytes]) -> int:
        """The same for some records at once, without waiting for the disk; how many the chain has then."""
        if any(b"\n" in content or not content.isascii() for content in contents):
            raise ValueError("an audit record is one line of ASCII")
        with self._lock:
            self._slot()
            self._move_waiting()
            self._write(*[(None, content) for content in contents])
            return self._count

    def wait(self, position: int) -> None:
        """With `fsync="group"`, return once the disk has the chain's first `position` records.

        Raises:
            AuditUnavailable: the flush failed.
        """
        if self._group:
            self._flush(position)

    def append_outbox(self, *rows: tuple[int, bytes]) -> None:
        """The same for records that were committed in the store's outbox, each behind its number there.

        Raises:
            AuditUnavailable: they cannot be written now; they stay in the outbox and are moved before the next record.
        """
        with self._lock:
            self._sequence = max(self._sequence, *(number for number, _ in rows))
            self._waiting += rows
            self._slot()
            self._move_waiting()
            position = self._count
        if self._group:
            self._flush(position)

    def note_sequence(self, number: int) -> None:
        """Tell the highest outbox number known to be committed; every later line carries the highest told."""
        with self._lock:
            self._sequence = max(self._sequence, number)

    @property
    def sequence(self) -> int:
        """The highest outbox number known to be committed: a store that has a lower one was put back."""
        return self._sequence

    def sync(self) -> Head:
        """Return the head that the disk has now, and let outbox rows up to it be deleted.

        A child that was forked and has written nothing has no chain yet: its head is Head("", 0, "").

        Raises:
            AuditUnavailable: the flush failed; this journal then takes nothing more.
        """
        return self._flush(None)

    def confirmed(self) -> tuple[int, ...]:
        """Outbox rows that this journal moved and the disk has: to be deleted in a later write's transaction."""
        with self._lock:
            return tuple(self._confirmed)

    def forget(self, numbers: Iterable[int]) -> None:
        """The rows were deleted, durably."""
        gone = set(numbers)
        with self._lock:
            self._confirmed = [number for number in self._confirmed if number not in gone]

    def unlock(self, keys: AuditKeys) -> None:
        """From now on checkpoints can be made, and a chain is left whose head in the store is forged."""
        with self._lock:
            self._keys = keys
            if self._writer is not None and self._chain in forged_heads(keys, self._heads.heads()):
                self._writer.close()
                self._writer = None

    def checkpoint(self) -> Head:
        """Write a checkpoint where records came since the last one, flush, and save the head in the store.

        Without keys it only flushes. A store that cannot take the head now gets it with the next checkpoint.

        Raises:
            AuditUnavailable: the checkpoint cannot be written.
        """
        return self._checkpoint(closing=False)

    def close(self) -> None:
        """Write the closing checkpoint, flush, and give the chain slot back; closing again does nothing.

        Raises:
            AuditUnavailable: the checkpoint cannot be written; the slot is given back all the same.
        """
        if self._closed:
            return
        try:
            if self._writer is not None:
                self._checkpoint(closing=True)
        finally:
            with self._sync_lock, self._lock:
                self._closed = True
                writer, self._writer = self._writer, None
                if writer is not None:
                    writer.close()

    def _checkpoint(self, *, closing: bool) -> Head:
        with self._lock:
            keys = self._keys
            if self._in_doubt:
                self._slot()
            self._move_waiting()
            if keys is not None and self._count > (self._start if closing else self._vouched):
                self._vouch(keys, closing)
        head = self.sync()
        if keys is not None:
            self._save(head, keys)
        return head

    def _vouch(self, keys: AuditKeys, closing: bool) -> None:
        if self._tree is None:
            backward = (item.data for item in lines_backward(self.folder / self._chain))
            try:
                self._tree = restore_frontier(backward, self._chain, self._count, keys)
            except (OSError, ValueError) as error:
                raise AuditUnavailable(
                    f"audit chain {self._chain} cannot be read for a checkpoint", why=str(error), hint="audit verify"
                ) from error
        record = make_checkpoint(
            keys,
            chain=self._chain,
            frontier=self._tree,
            link=self._link,
            time_ms=self._clock.now_ms(),
            node=self.node,
            closing=closing,
        )
        self._write((None, record.content()))
        self._vouched = self._count

    def _save(self, head: Head, keys: AuditKeys) -> None:
        moved = self.confirmed()
        if not head.chain or (head.count == self._saved and not moved):
            return
        try:
            self._heads.save_head(head, head_mac(keys, head), moved)
        except OperatorError as error:
            logging.getLogger("keystead").warning("the audit head was not saved: %s", error)
        else:
            self._saved = head.count
            self.forget(moved)

    def _flush(self, position: int | None) -> Head:
        # Whoever gets the lock first flushes for all who wait; they find their record covered.
        with self._sync_lock:
            with self._lock:
                writer, head = self._writer, self._head()
            if writer is None:
                return head
            if head.count > self._covered and (position is None or position > self._covered):
                try:
                    writer.sync()
                except OSError as error:
                    self._refused = True
                    raise unavailable(self.folder, error) from error
                with self._lock:
                    self._covered = head.count
                    self._confirmed += [number for number, place in self._moved if place <= head.count]
                    self._moved = [item for item in self._moved if item[1] > head.count]
        return head

    def _head(self) -> Head:
        return Head(self._chain, self._count, self._link.hex() if self._count else "")

    def _write(self, *records: tuple[int | None, bytes]) -> None:
        """The one place that links, all of them or none: under the lock, with a slot. Numbers are of what waits."""
        writer = self._slot()
        lines, link = [], self._link
        for index, (number, content) in enumerate(records, self._count):
            line, link = make_line(link, index, self._sequence, number, content)
            lines.append(line)
        # A signal may raise between any two steps.
        self._in_doubt = True
        try:
            writer.write(b"\n".join((*lines, b"")))
        except OSError as error:
            self._refused, self._in_doubt = True, False
            raise unavailable(self.folder, error) from error
        self._refused = False
        self._link = link
        self._count += len(lines)
        if self._tree is not None:
            for line in lines:
                self._tree.add(leaf_hash(line))
        self._have_moved(records[-1][0])
        self._in_doubt = False

    def _have_moved(self, last: int | None) -> None:
        """The records that wait, up to the one numbered `last`, are the chain's newest."""
        numbers = [number for number, _ in self._waiting]
        if last in numbers:
            moved = numbers[: numbers.index(last) + 1]
            self._moved += [(number, place) for place, number in enumerate(moved, self._count - len(moved) + 1)]
            del self._waiting[: len(moved)]

    def _resolve(self, writer: Writer) -> Writer:
        """Know the chain's end again, from the chain, after a write that a signal broke off."""
        tail = read_tail(self.folder, self._chain)
        if tail.path is None or not tail.sound:
            raise OSError(errno.EIO, f"the end of audit chain {self._chain} is not what was written")
        writer.resume(tail.path, tail.size)
        self._count, self._link, self._tree = tail.count, tail.link, None
        self._have_moved(tail.number)
        self._in_doubt = False
        return writer

    def _move_waiting(self) -> None:
        while self._waiting:
            self._write(*self._waiting[:MOVED_AT_ONCE])

    def _note(self, event: Event, detail: dict[str, str | int]) -> None:
        record = Record(self._clock.now_ms(), self.node, "", "system:audit", event, f"chain/{self._chain}")
        self._write((None, record._replace(detail=detail).content()))

    def _slot(self) -> Writer:
        if self._writer is not None and not self._in_doubt:
            return self._writer
        if self._closed:
            raise AuditUnavailable("the audit journal is closed", hint="open the store again")
        try:
            return self._take_slot() if self._writer is None else self._resolve(self._writer)
        except OSError as error:
            raise unavailable(self.folder, error) from error

    def _take_slot(self) -> Writer:
        known = self._heads.heads()
        chain, tail, lock_fd = take_slot(self.folder, known, forged_heads(self._keys, known))
        try:
            if tail.count == 0:
                self._heads.register(chain, self._clock.now_ms())
            writer = self._writer = Writer(
                self.folder / chain,
                tail.path,
                tail.size,
                lock_fd,
                file_bytes=self._file_bytes,
                reserve_bytes=self._reserve_bytes,
            )
        except BaseException:
            os.close(lock_fd)
            raise
        self._chain, self._count, self._link = chain, tail.count, tail.link
        self._start = self._vouched = tail.count
        self._saved = known[chain][0].count if chain in known else 0
        self._sequence = max(self._sequence, tail.sequence)
        if tail.torn:
            self._note(Event.AUDIT_RECOVERED, {"torn_bytes": len(tail.torn), "torn_sha256": sha256(tail.torn).hex()})
        return writer


def _let_go_in_child(journal: weakref.ref[Journal]) -> Callable[[], None]:
    def let_go() -> None:
        forked = journal()
        if forked is not None:
            writer = forked._writer
            forked._start_without_slot()
            if writer is not None:
                writer.close()

    return let_go

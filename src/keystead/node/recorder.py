"""From a gate's entry to the audit log, the standard logger and the application's callbacks."""

from __future__ import annotations

import logging
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from keystead.access.session import Session
from keystead.audit.counts import UseCounter
from keystead.audit.journal import Journal
from keystead.audit.log import log_event
from keystead.audit.record import Event, Record
from keystead.clock import Clock
from keystead.crypto.material import random_bytes
from keystead.errors import AuditUnavailable, UsageError
from keystead.gate import REQUEST_ID, Entry
from keystead.storage.audit import AuditRows
from keystead.storage.sqlite import Transaction

Callback = Callable[[dict[str, Any]], None]
Queued = list[tuple[int, bytes, Entry]]
_LOG = logging.getLogger("keystead")


class Recorder:
    """The recorder of one node. `woken` is called when a record was written, so that the disk is asked in time."""

    def __init__(self, journal: Journal, node: str, clock: Clock, woken: Callable[[], None]) -> None:
        self._journal = journal
        self.node = node
        self._clock = clock
        self._woken = woken
        self._callbacks: dict[str, tuple[Callback, ...]] = {}
        self._operations: Counter[str] = Counter()
        self._mine = threading.local()

    def ready(self) -> None:
        """Return if a record can be written.

        Raises:
            AuditUnavailable: none can.
        """
        self._journal.ready()

    def append(self, entry: Entry) -> None:
        """Write a record to the journal now."""
        self._write(self._content(entry))
        self._woken()
        self._tell(entry)

    def append_use(self, template: bytes, use: UseCounter) -> None:
        """Write the record of one use, where each has one; many of one kind in one request share theirs."""
        uses = getattr(self._mine, "uses", None)
        if uses is not None:
            uses[use] = uses.get(use, 0) + 1
        elif not self._write(template % (self._clock.now_ms(), REQUEST_ID.get().encode("ascii"))):
            self._woken()
        if _LOG.isEnabledFor(logging.DEBUG):
            log_event(use.event, use.target, "success", {})
        if use.event in self._callbacks:
            self.call_back(Entry(use.session, use.principal, use.event, use.target))

    def append_uses(self, use: UseCounter, uses: int) -> None:
        """Write one record of many uses that were made in one call."""
        counted = getattr(self._mine, "uses", None)
        if counted is not None:
            counted[use] = counted.get(use, 0) + uses
        elif not self._write(self._content(_of_many(use, uses))):
            self._woken()
        log_event(use.event, use.target, "success", {"uses": uses})
        self.call_back(_of_many(use, uses))

    def hold(self) -> None:
        """Keep what this thread records from now on, until `release`: for many answers that leave together."""
        self._mine.held = []

    def release(self) -> int:
        """Write what was kept, at once and in its order; up to which record of the chain the disk must have it.

        Raises:
            AuditUnavailable: nothing of it is there, and no answer may leave.
        """
        held, self._mine.held = self._mine.held, None
        if not held:
            return 0
        self._woken()
        return self._journal.append_many(held)

    @contextmanager
    def together(self) -> Iterator[None]:
        """What this thread records inside the block is written at once at its end, before the block is left: of uses
        of one kind one record, which says how many there were.

        Raises:
            AuditUnavailable: nothing of it is there; what was done inside must not be told.
        """
        self.hold()
        counted: dict[UseCounter, int] = {}
        self._mine.uses = counted
        try:
            yield
        finally:
            self._mine.uses = None
            for use, uses in counted.items():
                self._write(self._content(_of_many(use, uses)))
            self.wait(self.release())

    def wait(self, position: int) -> None:
        """Return once the disk has the chain's records up to this one, where the setting asks for that.

        Raises:
            AuditUnavailable.
        """
        self._journal.wait(position)

    def _write(self, content: bytes) -> bool:
        """Write now, or keep for `release`; whether it was kept."""
        held = getattr(self._mine, "held", None)
        if held is not None:
            held.append(content)
            return True
        self._journal.append(content)
        return False

    def append_record(self, record: Record) -> None:
        """Write a record that was made elsewhere, such as a count; `call_back` comes when no lock is held."""
        self._write(record.content())
        self._woken()
        log_event(record.event, record.target, record.outcome, record.detail)

    def enqueue(self, transaction: Transaction, entries: list[Entry]) -> Queued:
        """Put records into the outbox of a transaction."""
        chain, rows = self._journal.chain, AuditRows(transaction)
        queued = []
        for entry in entries:
            content = self._content(entry)
            queued.append((rows.enqueue(chain, content), content, entry))
        return queued

    def committed(self, queued: Any, *, quiet: bool = False) -> None:
        """The transaction is durable: move its records to the journal.

        With `quiet` no callback hears of it: for whoever holds a lock that a callback may need.

        They are safe in the outbox whatever happens here; what cannot be moved now is moved before the next change.
        """
        try:
            self._journal.append_outbox(*[(number, content) for number, content, _ in queued])
        except AuditUnavailable:
            numbers = ", ".join(str(number) for number, _, _ in queued)
            logging.getLogger("keystead").warning("audit records wait in the store's outbox: %s", numbers)
        self._woken()
        for _, _, entry in queued:
            self._tell(entry, quiet)

    def _content(self, entry: Entry) -> bytes:
        return Record(
            self._clock.now_ms(),
            self.node,
            entry.session,
            entry.principal,
            entry.event,
            entry.target,
            entry.outcome,
            REQUEST_ID.get(),
            entry.operation_id,
            entry.detail,
        ).content()

    def _tell(self, entry: Entry, quiet: bool = False) -> None:
        self._operations[entry.session] += 1
        log_event(entry.event, entry.target, entry.outcome, entry.detail)
        if not quiet:
            self.call_back(entry)

    def call_back(self, said: Entry | Record) -> None:
        """Call the application's callbacks on what was written; one that fails changes nothing."""
        for callback in self._callbacks.get(said.event, ()):
            facts = {
                "event": said.event,
                "target": said.target,
                "outcome": said.outcome,
                "session": said.session,
                "principal": said.principal,
                "detail": dict(said.detail),
            }
            try:
                callback(facts)
            except Exception:
                logging.getLogger("keystead").exception("a callback on %s failed; nothing else changed", said.event)

    def operations(self, session_id: str) -> int:
        """How many records a session has left here."""
        return self._operations[session_id]

    def forget(self, session_id: str) -> None:
        """Keep no figure any more of a session that has ended."""
        self._operations.pop(session_id, None)

    def on_event(self, session: Session, names: str | Iterable[str], callback: Callback) -> Callable[[], None]:
        """Call back after a record of one of these events was written; what ends that again.

        A session that has ended hears of nothing any more but what concerns itself.

        Raises:
            UsageError: a name that no event has, or nothing that can be called.
        """
        if not callable(callback) or not isinstance(names, Iterable):
            raise UsageError("on_event takes names of events and what is to be called")
        wanted = [names] if isinstance(names, str) else list(names)
        known = {event.value for event in Event}
        for name in wanted:
            if name not in known:
                raise UsageError(f"no event is named {name!r}", hint=f"events are {', '.join(sorted(known))}")

        def heard(facts: dict[str, Any]) -> None:
            if session.ended and facts["session"] != session.id:
                end()
            else:
                callback(facts)

        def end() -> None:
            for name in wanted:
                self._callbacks[name] = tuple(kept for kept in self._callbacks.get(name, ()) if kept is not heard)

        for name in wanted:
            self._callbacks[name] = (*self._callbacks.get(name, ()), heard)
        return end


def _of_many(use: UseCounter, uses: int) -> Entry:
    return Entry(use.session, use.principal, use.event, use.target, detail={"uses": uses})


def node_name() -> str:
    """What tells this process from others in the audit log: host and process id."""
    return f"{os.uname().nodename}:{os.getpid()}"


def new_operation_id() -> str:
    """A random id that names one change, also where its outcome is unknown."""
    return f"op_{random_bytes(12).hex()}"

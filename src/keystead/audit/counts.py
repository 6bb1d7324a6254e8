"""Counting what is too frequent for a record each: cached reads and uses of data keys in process.

Uses are counted per session, event and target. The first use in a period appends an opening record before its answer
leaves; `flush`, called each second by the node's ticker and at close, appends a `uses_counted` record with the number
of uses since the last one and ends the period. After a kill -9 an opening record without its count reads "at least 1".

No lock stands on the hot path, and no use is lost when threads race with `flush`:

    counter.tick()              # one atomic step of a C counter, never set back
    if not counter.open:        # only then: the slow path, under a lock
        counts.resume(counter)

Where each use has a record of its own, `tick` is what writes it, and a period stays open.

A use ticks before it looks at `open`; `flush` clears `open` before it reads the count. So a use that still saw the
period open is in the number that `flush` reads, and one that did not opens the next period itself. A use that was
refused because its opening record could not be written has ticked too: counts err upwards only.
"""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from collections import Counter, deque
from collections.abc import Callable
from itertools import islice

from keystead.audit.record import Event, Record, use_template
from keystead.clock import Clock


class UseCounter:
    """Counts the uses of one event and target by one session. Made by `Counts.use`.

    `tick` counts one use; `open` tells whether its period has an opening record.
    """

    __slots__ = ("_count", "_counts", "_reported", "event", "open", "period", "principal", "session", "target", "tick")

    def __init__(self, counts: Counts, event: str, target: str, session: str, principal: str) -> None:
        self.event = event
        self.target = target
        self.session = session
        self.principal = principal
        self.open = False
        self.period = 0
        self._counts = counts
        self._count = itertools.count()
        self._reported = 0
        self.tick: Callable[[], int] = self._count.__next__ if counts.each is None else counts.each.tick(self)

    def step(self) -> int:
        """Count one use, without a record."""
        return next(self._count)

    def skip(self, uses: int) -> None:
        """The same for that many."""
        _advance(self._count, uses)

    def use(self) -> None:
        """Count one use, with its opening record where it is the first of a period.

        Raises:
            AuditUnavailable: that record cannot be written; the use must be refused.
        """
        self.tick()
        if not self.open:
            self._counts.resume(self)

    def use_many(self, uses: int) -> None:
        """Count that many uses, the last of them by `use`; where each has a record, one that says how many there were.

        Raises:
            AuditUnavailable: as for `use`.
        """
        if uses < 1:
            return
        self.skip(uses - 1)
        if uses == 1 or self._counts.each is None:
            self.use()
        else:
            self.step()
            self._counts.each.many(self, uses)

    def total(self) -> int:
        """Uses so far, in all periods."""
        return _stand(self._count)

    def unreported(self) -> int:
        """Uses since the last count record."""
        return self.total() - self._reported

    def reported(self, uses: int) -> None:
        """That many uses are accounted for."""
        self._reported += uses


class EachUse:
    """A record for each use: what is the same in all records of one counter is written out once.

    `append` takes what `use_template` gives, and the counter; `append_many` the counter, and how many uses one record
    is for. Both raise AuditUnavailable where the record cannot be written.
    """

    def __init__(
        self, append: Callable[[bytes, UseCounter], None], append_many: Callable[[UseCounter, int], None]
    ) -> None:
        self._append = append
        self._append_many = append_many
        self._totals: dict[tuple[str, str], itertools.count[int]] = {}
        self.node = ""

    def tick(self, counter: UseCounter) -> Callable[[], int]:
        """What counts a use of this counter, and writes its record."""
        total = self._totals.setdefault((counter.session, counter.event), itertools.count())
        append, step, add = self._append, counter.step, total.__next__
        node, template = "", b""

        def tick() -> int:
            nonlocal node, template
            if node is not self.node:
                node = self.node
                template = use_template(node, counter.session, counter.principal, counter.event, counter.target)
            used = step()
            add()
            append(template, counter)
            return used

        return tick

    def many(self, counter: UseCounter, uses: int) -> None:
        """Write one record for that many uses of this counter, which has counted them."""
        _advance(self._totals.setdefault((counter.session, counter.event), itertools.count()), uses)
        self._append_many(counter, uses)

    def total(self, event: str, session: str) -> int:
        """Uses so far, of one event or session or (where they are "") of all."""
        kept = list(self._totals.items())
        return sum(_stand(uses) for (of, name), uses in kept if event in ("", name) and session in ("", of))

    def forget(self, session: str) -> None:
        """Count no more for a session that has ended."""
        for key in [key for key in list(self._totals) if key[0] == session]:
            self._totals.pop(key, None)


class Counts:
    """The counters of one process. `record` writes a record (to journal and log) or raises AuditUnavailable.

    With `each`, every use has a record of its own and nothing is counted. `tell` is called with each record that was
    written, under no lock, since whoever is told may use the service.
    """

    def __init__(
        self,
        record: Callable[[Record], None],
        *,
        clock: Clock,
        node: str,
        tell: Callable[[Record], None],
        each: EachUse | None = None,
    ) -> None:
        self.each = each
        self.name(node)
        self._record = record
        self._tell = tell
        self._clock = clock
        self._by_key: dict[tuple[str, str, str], UseCounter] = {}
        self._active: set[UseCounter] = set()
        self._periods = itertools.count(1)
        self._done: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        os.register_at_fork(after_in_child=_start_anew_in_child(weakref.ref(self)))

    def name(self, node: str) -> None:
        """What the records say of the process from now on."""
        self.node = node
        if self.each is not None:
            self.each.node = node

    def counter(self, event: str, target: str, session: str, principal: str) -> UseCounter:
        """The counter of a session's uses of a target, with nothing counted yet."""
        if self.each is not None:
            return self._always_open(UseCounter(self, event, target, session, principal))
        with self._lock:
            kept = self._by_key.get((session, event, target))
            if kept is None:
                kept = self._by_key[(session, event, target)] = UseCounter(self, event, target, session, principal)
            return kept

    def total(self, *, event: str = "", session: str = "") -> int:
        """Uses so far in this process, of one event or session or (with neither) of all."""
        with self._lock:
            live = [(counter.session, counter.event, counter.unreported()) for counter in self._active]
            done = [(*key, uses) for key, uses in self._done.items()]
        counted = sum(uses for of, name, uses in live + done if event in ("", name) and session in ("", of))
        return counted if self.each is None else counted + self.each.total(event, session)

    def use(self, event: str, target: str, session: str, principal: str) -> UseCounter:
        """Count one use and return its counter, whose `tick` and `open` serve the next ones.

        Raises:
            AuditUnavailable: the opening record cannot be written; the use must be refused.
        """
        if self.each is not None:
            counter = self._always_open(UseCounter(self, event, target, session, principal))
            counter.tick()
            return counter
        key = (session, event, target)
        with self._lock:
            counter = self._by_key.get(key)  # type: ignore[assignment]
            if counter is None:
                counter = self._by_key[key] = UseCounter(self, event, target, session, principal)
            counter.tick()
            opening = self._open(counter)
        if opening is not None:
            self._tell(opening)
        return counter

    def resume(self, counter: UseCounter) -> None:
        """Open the next period of a counter that was just ticked; nothing where another thread has.

        Raises:
            AuditUnavailable: the opening record cannot be written; the use must be refused.
        """
        with self._lock:
            opening = self._open(counter)
        if opening is not None:
            self._tell(opening)

    def flush(self) -> None:
        """Append a count record for every counter with uses since its last one, and end the periods.

        Raises:
            AuditUnavailable: a record cannot be written; what it would have said is kept for the next flush.
        """
        written: list[Record] = []
        try:
            with self._lock:
                for counter in list(self._active):
                    was_open, counter.open = counter.open, False
                    uses = counter.unreported()
                    if uses or was_open:
                        written.append(self._report(counter, uses))
                    else:
                        self._drop(counter)
        finally:
            for record in written:
                self._tell(record)

    def _open(self, counter: UseCounter) -> Record | None:
        """The opening record that was written; None where the period was open already."""
        if counter.open:
            return None
        self._active.add(counter)
        counter.period = next(self._periods)
        opening = self._made(counter, counter.event, {"period": counter.period, "uses": "at least 1"})
        self._record(opening)
        counter.open = True
        return opening

    def forget(self, session: str) -> None:
        """A session has ended: nothing is kept of what it did one by one."""
        if self.each is not None:
            self.each.forget(session)

    def _always_open(self, counter: UseCounter) -> UseCounter:
        counter.open = True
        return counter

    def _drop(self, counter: UseCounter) -> None:
        # Whoever still holds it comes back through `resume`; a second counter of the same key does no harm.
        self._active.discard(counter)
        key = (counter.session, counter.event, counter.target)
        if self._by_key.get(key) is counter:
            del self._by_key[key]

    def _report(self, counter: UseCounter, uses: int) -> Record:
        detail: dict[str, str | int] = {"event": counter.event, "period": counter.period, "uses": uses}
        record = self._made(counter, Event.USES_COUNTED, detail)
        self._record(record)
        counter.reported(uses)
        self._done[(counter.session, counter.event)] += uses
        return record

    def _made(self, counter: UseCounter, event: str, detail: dict[str, str | int]) -> Record:
        return Record(
            self._clock.now_ms(), self.node, counter.session, counter.principal, event, counter.target, detail=detail
        )

    def _start_anew(self) -> None:
        self._lock = threading.Lock()
        for counter in self._active:
            counter.open = False
            counter.reported(counter.unreported())
        self._active.clear()
        self._by_key.clear()


def _advance(count: itertools.count[int], uses: int) -> None:
    # Each step is one of the C counter, as `tick` takes it, so none is lost between threads.
    deque(islice(count, uses), 0)


def _stand(count: itertools.count[int]) -> int:
    # Reading a C counter without stepping it: its representation is `count(N)`.
    return int(repr(count)[6:-1])


def _start_anew_in_child(counts: weakref.ref[Counts]) -> Callable[[], None]:
    def start_anew() -> None:
        # What was counted before the fork is the parent's to report.
        forked = counts()
        if forked is not None:
            forked._start_anew()

    return start_anew

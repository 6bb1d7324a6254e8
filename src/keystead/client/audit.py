"""Following the log of a server, which is asked for what is new once a second."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Final

from keystead.audit.reader import LogEntry
from keystead.audit.record import Event
from keystead.services.audit_operations import MOST_ENTRIES, AuditOperations

POLL_SECONDS: Final = 1.0
WINDOW: Final = 200
"""How many of the newest records are asked for at first."""


def follow(audit: AuditOperations, session: str, stop: threading.Event, count: int) -> Iterator[LogEntry]:
    """The last `count` records, then those that are written from now on, until `stop` is set.

    Each asking leaves a record of the session that acts here; these are not given, since there would be one a second.
    """
    known = audit.tail(max(count, WINDOW))
    return _following(audit, session, stop, known, count)


def _following(
    audit: AuditOperations, session: str, stop: threading.Event, known: list[LogEntry], count: int
) -> Iterator[LogEntry]:
    yield from known[len(known) - min(count, len(known)) :]
    seen = {entry.chain: entry.index for entry in known}
    since = known[-1].record.time_ms if known else 0
    while not stop.wait(POLL_SECONDS):
        for entry in _fresh(audit, seen, since):
            seen[entry.chain] = entry.index
            if entry.record.event != Event.AUDIT_READ or entry.record.session != session:
                yield entry


def _fresh(audit: AuditOperations, seen: dict[str, int], since: int) -> list[LogEntry]:
    """What was not seen yet, oldest first: of a chain that is new, what is no older than the following."""
    asked = WINDOW
    while True:
        found = audit.tail(asked)
        fresh = [
            entry
            for entry in found
            if entry.index > seen.get(entry.chain, -1) and (entry.chain in seen or entry.record.time_ms >= since)
        ]
        # Where the oldest that came is new, there may be more before it.
        if len(found) < asked or asked == MOST_ENTRIES or not fresh or fresh[0] is not found[0]:
            return fresh
        asked = min(8 * asked, MOST_ENTRIES)

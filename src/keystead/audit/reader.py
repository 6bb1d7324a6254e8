"""Reading the log as it is, for people: its end, and what comes. Nothing is checked here; `verify` does that."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from keystead.audit.chain import parse_line
from keystead.audit.files import chain_files, chain_names, lines_backward, open_file
from keystead.audit.record import Record

POLL_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One record where it stands: its chain, its index there, its outbox number or None."""

    chain: str
    index: int
    number: int | None
    record: Record


def tail(folder: Path, count: int) -> list[LogEntry]:
    """The last `count` records of all chains together, oldest first. Lines that are no records are passed over."""
    found: list[LogEntry] = []
    for chain in chain_names(folder):
        entries = (entry for item in lines_backward(folder / chain) if (entry := _entry(chain, item.data)))
        found += itertools.islice(entries, count)
    return heapq.nlargest(count, found, key=_order)[::-1]


def follow(folder: Path, stop: threading.Event, *, count: int = 0) -> Iterator[LogEntry]:
    """The last `count` records, then those that are written from now on, merged by time as they come, until `stop` is
    set. None is left out in between, and none is given twice."""
    cursors: dict[str, _Cursor] = {chain: _Cursor(folder / chain, at_end=True) for chain in chain_names(folder)}
    shown = tail(folder, count)
    yield from shown
    known = {(entry.chain, entry.index) for entry in shown}
    while not stop.is_set():
        fresh: list[LogEntry] = []
        for chain in chain_names(folder):
            cursor = cursors.setdefault(chain, _Cursor(folder / chain, at_end=False))
            fresh += [entry for data in cursor.new_lines() if (entry := _entry(chain, data))]
        yield from (entry for entry in sorted(fresh, key=_order) if (entry.chain, entry.index) not in known)
        if not fresh:
            stop.wait(POLL_SECONDS)


def _entry(chain: str, data: bytes) -> LogEntry | None:
    try:
        line = parse_line(data)
        return LogEntry(chain, line.index, line.number, Record.parse(line.content))
    except ValueError:
        return None


def _order(entry: LogEntry) -> tuple[int, str, int]:
    return entry.record.time_ms, entry.chain, entry.index


class _Cursor:
    """How far one chain was read."""

    def __init__(self, chain_folder: Path, *, at_end: bool) -> None:
        self._folder = chain_folder
        files = chain_files(chain_folder)
        self._path: Path | None = None
        self._offset = 0
        if at_end and files:
            last = next(lines_backward(chain_folder), None)
            self._path = files[-1]
            if last is not None and last.path == self._path:
                self._offset = last.offset + len(last.data) + 1

    def new_lines(self) -> list[bytes]:
        found: list[bytes] = []
        files = chain_files(self._folder)
        for path in files[files.index(self._path) if self._path in files else 0 :]:
            if path != self._path:
                self._path, self._offset = path, 0
            with open_file(path) as file:
                file.seek(self._offset)
                data = file.read()
            whole = data[: data.rfind(b"\n") + 1]
            self._offset += len(whole)
            found += whole.split(b"\n")[:-1]
        return found

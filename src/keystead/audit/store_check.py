"""Comparing the store with its log: a row that keystead wrote once, and that was put back later, is authentic.

Each change of a secret or a named key leaves the digest of its head in its record, and each change of an alias, a
policy, an auth method or a grant that of its row (empty where it was deleted), so the newest record tells how it must
be now. What was destroyed or removed stays so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from keystead.audit.chain import parse_line
from keystead.audit.files import chain_names, lines
from keystead.audit.ports import OutboxRow, StoreContent
from keystead.audit.record import Event, Outcome, Record
from keystead.audit.report import Problem

_ENDINGS: Final = (
    Event.SECRET_DESTROYED,
    Event.KEY_DESTROYED,
    Event.DATA_KEY_SCRUBBING,
    Event.DATA_KEY_DESTROYED,
    Event.SLOT_REMOVED,
)
_TELLING: Final = (b'"head":"', *(b'"event":"%b"' % event.encode() for event in (*_ENDINGS, Event.BACKUP_RESTORED)))


class StoreCheck:
    """What the log says of the store up to the change `number`; changes in `excused` were given up by an operator."""

    def __init__(self, number: int, excused: Sequence[range]) -> None:
        self._number = number
        self._excused = excused
        self._heads: dict[str, tuple[int, str | None]] = {}
        self._ended: set[tuple[str, int]] = set()
        self._through: dict[str, int] = {}
        self._restored = 0

    def read(self, folder: Path, pending: Sequence[OutboxRow]) -> None:
        """Read the records of all chains, which were verified before, and those that wait in the outbox."""
        for chain in chain_names(folder):
            for raw in lines(folder / chain):
                if raw.whole and any(mark in raw.data for mark in _TELLING):
                    line = parse_line(raw.data)
                    self._add(line.number or 0, line.content)
        for row in pending:
            self._add(row.number, row.content)

    def _add(self, number: int, content: bytes) -> None:
        if not 0 < number <= self._number or any(number in lost for lost in self._excused):
            return
        record = Record.parse(content)
        head, version = record.detail.get("head"), record.detail.get("version", 0)
        through = record.detail.get("through", 0)
        if record.outcome != Outcome.SUCCESS:
            return
        if record.event == Event.BACKUP_RESTORED:
            self._restored = max(number, self._restored)
        elif isinstance(head, str) and number > self._heads.get(record.target, (0, ""))[0]:
            self._heads[record.target] = (number, head)
        alias = record.detail.get("alias")
        if isinstance(alias, str) and number > self._heads.get(f"alias/{alias}", (0, ""))[0]:
            self._heads[f"alias/{alias}"] = (number, _alias_digest(record))
        if record.event in _ENDINGS and isinstance(version, int) and isinstance(through, int):
            self._ended.add((record.target, version))
            self._through[record.target] = max(through, self._through.get(record.target, 0))

    def problems(self, content: StoreContent, heads: dict[str, str]) -> Iterator[Problem]:
        """Where the store is otherwise; `heads` are the digests that it has for the targets of secrets."""
        for target, (number, digest) in self._heads.items():
            if number < self._restored:
                continue  # the backup's rows stand in its place
            if digest == "":
                if target in heads:
                    yield Problem("", f"{target} is in the store again, and change {number} deleted it")
            elif target not in heads:
                yield Problem("", f"{target} is gone from the store, and change {number} is the last that is recorded")
            elif digest is not None and heads[target] != digest:
                yield Problem("", f"{target} is not as change {number} left it, the last that is recorded")
        # The secrets of a restored backup are recorded in the log of the store that they come from.
        for target in () if self._restored else sorted(heads.keys() - self._heads.keys()):
            yield Problem("", f"{target} is in the store, and no change of it is recorded")
        ended = self._ended.union((name, one) for name, last in self._through.items() for one in range(1, last + 1))
        for target, version in sorted(ended):
            if content.is_alive(target, version):
                what = f"version {version} of {target}" if version else target
                yield Problem("", f"{what} was destroyed or removed, and is in the store again")


def _alias_digest(record: Record) -> str | None:
    """The digest of an alias's row, "" where it was removed; None where it is not told, as the first records did."""
    digest = record.detail.get("alias_digest")
    return digest if isinstance(digest, str) else "" if record.event == Event.KEY_ALIAS_REMOVED else None

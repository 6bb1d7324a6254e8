"""Comparing the store with its log: a row that keystead wrote once, and that was put back later, is authentic.

Each change of a secret or a named key leaves the digest of its head in its record, and each change of an alias, a
policy, a user, a role, an auth method or a grant that of its row (empty where it was deleted), so the newest record
tells how it must be now; the first records of some changes did not. What was destroyed or removed stays so, and so do
access tokens that ended, and keys that others took the place of.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from keystead.audit.chain import parse_line
from keystead.audit.files import chain_names, lines
from keystead.audit.key_check import KeyCheck
from keystead.audit.ports import OutboxRow, StoreContent, StoreState
from keystead.audit.record import Event, Outcome, Record
from keystead.audit.report import Problem
from keystead.audit.token_check import TokenCheck

_ENDINGS: Final = (
    Event.SECRET_DESTROYED,
    Event.KEY_DESTROYED,
    Event.DATA_KEY_SCRUBBING,
    Event.DATA_KEY_DESTROYED,
    Event.SLOT_REMOVED,
)
_DELETIONS: Final = (Event.USER_DELETED, Event.ROLE_DELETED)
_ACCOUNTS: Final = (
    Event.USER_CREATED,
    Event.USER_CHANGED,
    Event.ROLE_CREATED,
    Event.ROLE_CHANGED,
    Event.SECOND_FACTOR_ENROLLED,
    Event.SECOND_FACTOR_CONFIRMED,
    Event.SECOND_FACTOR_REMOVED,
    Event.SECOND_FACTOR_VERIFIED,
)
_OTHERS: Final = (
    Event.BACKUP_RESTORED,
    Event.DATA_KEY_ROTATED,
    Event.MESSAGES_RESERVED,
    Event.ROOT_KEY_ROTATED,
    Event.SECRET_ID_CREATED,
    Event.SECRET_ID_DESTROYED,
    Event.TOKEN_CREATED,
    Event.TOKEN_REVOKED,
    Event.LOGIN_SUCCEEDED,
)
_TELLING: Final = (
    b'"head":"',
    *(b'"event":"%b"' % event.encode() for event in (*_ENDINGS, *_DELETIONS, *_ACCOUNTS, *_OTHERS)),
)


class StoreCheck:
    """What the log says of the store in a state; changes in `excused` were given up by an operator."""

    def __init__(self, state: StoreState, excused: Sequence[range]) -> None:
        self._number = state.newest
        self._now = state.heads
        self._excused = excused
        self._tokens = TokenCheck(state.tokens, state.secret_ids)
        self._keys = KeyCheck(state.data_keys, state.generation)
        self._heads: dict[str, tuple[int, str | None]] = {}
        self._ended: dict[tuple[str, int], int] = {}
        self._through: dict[str, tuple[int, int]] = {}
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
        if record.outcome != Outcome.SUCCESS:
            return
        self._tokens.add(number, record)
        self._keys.add(number, record)
        if record.event == Event.BACKUP_RESTORED:
            self._restored = max(number, self._restored)
        elif record.event in _DELETIONS:
            self._tell(record.target, number, "")
        elif isinstance(head := record.detail.get("head"), str):
            self._tell(record.target, number, head)
        elif record.event in _ACCOUNTS or (record.target.startswith("user/") and "second_factor" in record.detail):
            row = record.detail.get("row")
            self._tell(record.target, number, row if isinstance(row, str) else None)
        alias = record.detail.get("alias")
        if isinstance(alias, str):
            self._tell(f"alias/{alias}", number, _alias_digest(record))
        self._add_ending(number, record)

    def _tell(self, target: str, number: int, head: str | None) -> None:
        if number > self._heads.get(target, (0, ""))[0]:
            self._heads[target] = (number, head)

    def _add_ending(self, number: int, record: Record) -> None:
        target, version, through = record.target, record.detail.get("version", 0), record.detail.get("through", 0)
        if record.event == Event.SECRET_ID_DESTROYED:
            target = f"secret-id/{record.detail.get('accessor')}"
        elif record.event not in _ENDINGS:
            return
        if isinstance(version, int) and isinstance(through, int):
            self._ended[target, version] = max(number, self._ended.get((target, version), 0))
            self._through[target] = max((through, number), self._through.get(target, (0, 0)))

    def problems(self, content: StoreContent) -> Iterator[Problem]:
        """Where the store is otherwise."""
        heads = self._now
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
        ended = dict(self._ended)
        for name, (last, number) in self._through.items():
            ended.update(((name, one), number) for one in range(1, last + 1))
        for (target, version), number in sorted(ended.items()):
            # What ended before the restore may have come back with the backup.
            if number > self._restored and content.is_alive(target, version):
                what = f"version {version} of {target}" if version else target
                yield Problem("", f"{what} was destroyed or removed, and is in the store again")
        yield from self._keys.problems(self._restored)
        yield from self._tokens.problems(self._restored)


def _alias_digest(record: Record) -> str | None:
    """The digest of an alias's row, "" where it was removed; None where it is not told, as the first records did."""
    digest = record.detail.get("alias_digest")
    return digest if isinstance(digest, str) else "" if record.event == Event.KEY_ALIAS_REMOVED else None

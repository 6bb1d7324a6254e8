"""Checking one chain from its first line to its last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path

from keystead.audit.chain import Line, follows, genesis, parse_line
from keystead.audit.checkpoints import CHECKPOINT_EVENTS, AuditKeys, Checkpoint, check_head, read_checkpoint
from keystead.audit.files import RawLine, lines
from keystead.audit.numbers import Numbers
from keystead.audit.ports import Head
from keystead.audit.record import Event, Record
from keystead.audit.report import ChainReport, ChainStatus, Problem
from keystead.audit.tree import Frontier, leaf_hash
from keystead.errors import IntegrityError


class _Bad(Exception):
    """What is wrong with the line at hand."""


class ChainCheck:
    """The state of checking one chain; it stops at the first bad record.

    `numbers` gathers the outbox numbers of all chains, `rows` are the contents still in the outbox.
    """

    def __init__(
        self,
        chain: str,
        *,
        keys: AuditKeys | None,
        public_key: bytes | None,
        earlier: Sequence[Checkpoint],
        numbers: Numbers,
        rows: Mapping[int, bytes],
    ) -> None:
        self.chain = chain
        self.count = 0
        self.sequence = 0
        self.problems: list[Problem] = []
        self.accepted: list[tuple[int, range]] = []
        self._keys = keys
        self._public_key = public_key
        self._earlier = {checkpoint.size: checkpoint for checkpoint in earlier}
        self._numbers = numbers
        self._rows = rows
        self._link = genesis(chain)
        self._frontier = Frontier()
        self._head: Head | None = None
        self._torn: RawLine | None = None
        self._last: RawLine | None = None
        self._checkpoints = 0
        self._since_ms: int | None = None
        self._vouched_ms: int | None = None
        self._closed = self._cut = False

    def run(self, folder: Path, known: tuple[Head, bytes] | None) -> None:
        """Read the chain; `known` is the head that the store has of it, with its MAC."""
        self._check_known(known)
        raw: RawLine | None = None
        try:
            for checkpoint in self._earlier.values():
                self._check_vouched(checkpoint)
            for raw in lines(folder / self.chain):
                self._check_line(raw)
                self._last = raw
        except _Bad as bad:
            self.fail(str(bad), self._torn or raw)
            return
        except OSError as error:
            self.fail(f"cannot be read: {error.strerror}", raw)
            return
        reach = max([self._head.count if self._head else 0, *self._earlier])
        if reach > self.count:
            self._cut = True
            who = "the store" if self._head and self._head.count == reach else "an earlier checkpoint"
            self.fail(f"the chain ends here, and {who} knows it to have {reach} records", self._last, self.count - 1)

    def require_head(self, head: Head | None) -> None:
        """Note where the store has no head of a chain that holds two checkpoints: one was saved with the first."""
        if head is not None and head.count == 0 and self._checkpoints > 1 and not self.problems:
            self.fail(f"the store has no head of this chain any more, which has {self._checkpoints} checkpoints")

    def fail(self, what: str, raw: RawLine | None = None, index: int | None = None) -> None:
        """Note a problem, at a line where one is given."""
        if raw is None:
            self.problems.append(Problem(self.chain, what))
            return
        place = f"{self.chain}/{raw.path.name}"
        self.problems.append(Problem(self.chain, what, place, raw.line_number, self.count if index is None else index))

    def report(self) -> ChainReport:
        """What was found."""
        status = self._status()
        since = self._vouched_ms if self._since_ms is None else self._since_ms
        return ChainReport(
            chain=self.chain,
            status=status,
            head=Head(self.chain, self.count, self._link.hex() if self.count else ""),
            checkpoints=self._checkpoints,
            since_ms=since if status is ChainStatus.OPEN else None,
            torn=len(self._torn.data) if self._torn else 0,
        )

    def _status(self) -> ChainStatus:
        if self._cut:
            return ChainStatus.CUT
        if self.problems:
            return ChainStatus.BROKEN
        if self.count == 0:
            return ChainStatus.EMPTY
        return ChainStatus.CLOSED if self._closed and not self._torn else ChainStatus.OPEN

    def _check_known(self, known: tuple[Head, bytes] | None) -> None:
        if known is None or known[0].count == 0:
            return
        head, code = known
        if self._keys is not None:
            try:
                check_head(self._keys, head, code)
            except IntegrityError as error:
                self.fail(error.message)
                return
        self._head = head

    def _check_line(self, raw: RawLine) -> None:
        if self._torn is not None:
            raise _Bad("only a part of the record is there")
        if not raw.whole:
            # The last record of a killed process, or one that is being written now.
            self._torn = raw
            return
        try:
            line = parse_line(raw.data)
            record = Record.parse(line.content)
        except ValueError:
            raise _Bad("the line is no record") from None
        self._check_place(raw.data, line)
        if record.event in CHECKPOINT_EVENTS:
            self._check_checkpoint(record)
        else:
            self._closed = False
            self._since_ms = record.time_ms if self._since_ms is None else self._since_ms
            if lost := accepted_loss(record):
                self.accepted.append((line.number or 0, lost))
        self._frontier.add(leaf_hash(raw.data))
        self._link, self.sequence = line.link, line.sequence
        self._check_reached(self.count + 1)
        self.count += 1

    def _check_place(self, data: bytes, line: Line) -> None:
        if line.index != self.count:
            raise _Bad(f"the record calls itself {line.index}: records were taken out, added or moved")
        if not follows(self._link, data, line):
            raise _Bad("the record's link does not hold: it was changed, or does not belong here")
        if line.sequence < self.sequence or (line.number or 0) > line.sequence:
            raise _Bad("the record's change numbers go back")
        if line.number is None:
            return
        if not self._numbers.add(line.number):
            raise _Bad(f"change {line.number} was recorded before")
        if self._rows.get(line.number, line.content) != line.content:
            raise _Bad(f"change {line.number} stands otherwise in the outbox")

    def _check_checkpoint(self, record: Record) -> None:
        try:
            checkpoint = read_checkpoint(record, self.chain)
        except ValueError:
            raise _Bad("the checkpoint has another form") from None
        if (checkpoint.size, checkpoint.root, checkpoint.link) != (self.count, self._frontier.root(), self._link):
            raise _Bad("the checkpoint is of other records")
        self._check_vouched(checkpoint)
        self._checkpoints += 1
        self._since_ms, self._vouched_ms = None, record.time_ms
        self._closed = record.event == Event.AUDIT_CLOSED

    def _check_vouched(self, checkpoint: Checkpoint) -> None:
        try:
            if self._keys is not None:
                checkpoint.check_mac(self._keys)
            if self._public_key is not None:
                checkpoint.check_signature(self._public_key)
        except IntegrityError as error:
            raise _Bad(error.message) from None

    def _check_reached(self, count: int) -> None:
        if self._head is not None and count == self._head.count and self._link.hex() != self._head.hash:
            raise _Bad("the record is another than the store knows at this place")
        earlier = self._earlier.get(count)
        if earlier is not None and (earlier.root, earlier.link) != (self._frontier.root(), self._link):
            raise _Bad("the chain up to this record is another than the earlier checkpoint covers")


def accepted_loss(record: Record) -> range | None:
    """The changes that the record of an accepted rollback gave up; None of another record."""
    store, log = record.detail.get("store"), record.detail.get("log")
    if record.event == Event.ROLLBACK_ACCEPTED and isinstance(store, int) and isinstance(log, int):
        return range(store + 1, log + 1)
    return None


def given_up(checks: Iterable[ChainCheck]) -> list[range]:
    """The changes that the store lost, by the accepted rollbacks that stand in all chains.

    Where one was lost itself to a later one, the store was put back to a state that has again what it gave up.
    """
    lost: list[range] = []
    for number, changes in sorted(
        (each for check in checks for each in check.accepted), key=itemgetter(0), reverse=True
    ):
        if not any(number in later for later in lost):
            lost.append(changes)
    return lost

"""What verifying the log finds, as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from keystead.audit.ports import Head
from keystead.errors import AuditBroken


class ChainStatus(StrEnum):
    """How a chain ends.

    closed: by a closing checkpoint. open: with records (or an ordinary checkpoint) after which none closed it; a live
    process, or one that was killed. cut: before the place where the store or an earlier checkpoint knows it to reach.
    broken: a record is not what was written. empty: without a record.
    """

    CLOSED = "closed"
    OPEN = "open"
    CUT = "cut"
    BROKEN = "broken"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and where: `line` counts from 1 in `file`, `index` from 0 in the chain; "" and -1 if unknown, and
    for what is wrong in the store or between it and the log."""

    chain: str
    what: str
    file: str = ""
    line: int = -1
    index: int = -1

    def __str__(self) -> str:
        if not self.chain:
            return self.what
        where = f"chain {self.chain}"
        if self.index >= 0:
            where += f", record {self.index}"
        if self.file:
            where += f" ({self.file}, line {self.line})"
        return f"{where}: {self.what}"


@dataclass(frozen=True, slots=True)
class ChainReport:
    """One chain: how it ends, what it holds, its head; `since_ms` is the time of the first record that no checkpoint
    covers (of the last checkpoint where all are covered), None unless open; `torn` counts bytes of a last half line."""

    chain: str
    status: ChainStatus
    head: Head
    checkpoints: int
    since_ms: int | None
    torn: int


@dataclass(frozen=True, slots=True)
class Report:
    """What `verify` found. `pending` counts records still in the outbox; `digest` names this state of all chains."""

    chains: tuple[ChainReport, ...]
    problems: tuple[Problem, ...]
    records: int
    pending: int
    checked: str
    digest: str

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong. An open tail is not wrong."""
        return not self.problems

    def require_ok(self) -> None:
        """Return if nothing is wrong.

        Raises:
            AuditBroken: naming the first bad record.
        """
        if self.problems:
            first = self.problems[0]
            raise AuditBroken(
                f"the {'audit log' if first.chain else 'store'} does not verify: {first}",
                where=f"{first.chain}/{first.index}" if first.index >= 0 else first.chain,
                hint="keep the files as they are and compare them with a backup",
            )


def state_digest(chains: tuple[ChainReport, ...]) -> str:
    """SHA-256 in hex over every chain's name, count and last link: two logs in the same state have the same."""
    lines = (f"{report.head.chain} {report.head.count} {report.head.hash}\n" for report in chains)
    return sha256("".join(lines).encode()).hexdigest()

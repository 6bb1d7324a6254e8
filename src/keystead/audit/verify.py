"""Verifying the log: every line and link, every checkpoint, and what the store knows of it.

Three depths: with the keys (MACs, signatures and the store's heads), with the public key alone (signatures), with
neither (form and links). The chains are read once, as a stream, and nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

from keystead.audit.chain_check import ChainCheck, given_up
from keystead.audit.checkpoints import AuditKeys, Checkpoint
from keystead.audit.files import chain_names, is_chain_name
from keystead.audit.numbers import Numbers
from keystead.audit.ports import ChainRegistry, Head, Outbox, StoreContent
from keystead.audit.record import Record
from keystead.audit.report import Problem, Report, state_digest
from keystead.audit.store_check import StoreCheck
from keystead.errors import IntegrityError

T = TypeVar("T")


def verify(
    folder: Path,
    *,
    heads: ChainRegistry | None = None,
    outbox: Outbox | None = None,
    content: StoreContent | None = None,
    keys: AuditKeys | None = None,
    public_key: bytes | None = None,
    earlier: Sequence[Checkpoint] = (),
) -> Report:
    """Check every chain in `folder`, which may be written to meanwhile; a bad log is told in the report, not raised.

    `heads` and `outbox` add what the store knows of the log, and `content` what it holds, to be compared with the last
    records of it; `keys` or `public_key` who vouched, `earlier` checkpoints that an outsider kept: each chain must
    begin with exactly what they cover.
    """
    # The store first: while this reads, chains only grow, and a row leaves the outbox only for a chain.
    unread: list[Problem] = []
    known = _known_heads(heads, unread) if heads else {}
    last_number = _told(outbox.last_number, unread) or 0 if outbox else 0
    state = _told(content.state, unread) if content else None
    rows = {row.number: row.content for row in _told(outbox.pending, unread) or ()} if outbox else {}
    public = keys.public_key() if keys else public_key
    numbers = Numbers()
    checks: list[ChainCheck] = []
    names = {*chain_names(folder), *known, *(checkpoint.chain for checkpoint in earlier)}
    for chain in sorted(names, key=lambda name: (len(name), name)):
        kept = [checkpoint for checkpoint in earlier if checkpoint.chain == chain]
        check = ChainCheck(chain, keys=keys, public_key=public, earlier=kept, numbers=numbers, rows=rows)
        check.run(folder, known.get(chain))
        if heads and not unread and check.count and chain not in known and chain not in heads.heads():
            check.fail("the store does not know this chain")
        checks.append(check)
    _require_heads(checks, None if unread else heads)
    problems = [*unread, *(problem for check in checks for problem in check.problems)]
    if outbox and not problems:
        problems += _outbox_problems(outbox, rows, last_number, numbers, checks)
    if content and state and outbox and not problems:
        store = StoreCheck(state, given_up(checks))
        store.read(folder, outbox.pending())
        problems += store.problems(content)
    reports = tuple(check.report() for check in checks)
    return Report(
        chains=reports,
        problems=tuple(problems),
        records=sum(report.head.count for report in reports),
        pending=sum(not numbers.seen(number) for number in rows),
        checked="keys" if keys else "public key" if public else "links",
        digest=state_digest(reports),
    )


def _known_heads(heads: ChainRegistry, unread: list[Problem]) -> dict[str, tuple[Head, bytes]]:
    told = _told(heads.heads, unread) or {}
    known = {name: head for name, head in told.items() if is_chain_name(name)}
    if len(known) < len(told):
        unread.append(Problem("", "the store has the head of a chain by a name that is none"))
    return known


def _require_heads(checks: Sequence[ChainCheck], heads: ChainRegistry | None) -> None:
    # An accepted rollback leaves chains without a head until their next checkpoint.
    if heads and not any(check.accepted for check in checks):
        saved = heads.heads()
        for check in checks:
            check.require_head(saved[check.chain][0] if check.chain in saved else None)


def _told(ask: Callable[[], T], unread: list[Problem]) -> T | None:
    """What the store tells; None, and a problem, where a row that it is asked for is not what keystead wrote."""
    try:
        return ask()
    except IntegrityError as error:
        unread.append(Problem("", error.message))
        return None


def _outbox_problems(
    outbox: Outbox, rows: Mapping[int, bytes], last_number: int, numbers: Numbers, checks: Sequence[ChainCheck]
) -> Iterator[Problem]:
    for number, content in rows.items():
        try:
            Record.parse(content)
        except ValueError:
            yield Problem("", f"the outbox row of change {number} is no record")
    highest = max((check.sequence for check in checks), default=0)
    now_last = outbox.last_number()
    if highest > now_last:
        yield Problem(
            "", f"the journals know of change {highest}, the store only of {now_last}: the store was put back"
        )
    excused = given_up(checks)
    missing = (
        number
        for number in numbers.missing(last_number)
        if number not in rows and not any(number in lost for lost in excused)
    )
    first = list(islice(missing, 2))
    if first:
        more = " (and others)" if len(first) > 1 else ""
        yield Problem("", f"change {first[0]}{more} has no record in any chain, nor in the outbox")

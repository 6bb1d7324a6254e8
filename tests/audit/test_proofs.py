"""One record is proven to an outsider who has the public key and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from keystead.audit.proofs import check_consistency_proof, check_proof, checkpoints, prove, prove_consistency
from keystead.errors import AuditBroken, UsageError


@pytest.fixture
def closed(log: Any) -> Any:
    """A chain of eleven records in two sittings."""
    for sitting in range(2):
        journal = log.open()
        for number in range(4):
            journal.append(log.content(f"NAME_{sitting}{number}"))
        journal.close()
    return log


def test_every_covered_record_is_proven_by_the_public_key_alone(closed: Any) -> None:
    public = closed.keys.public_key()
    for index in range(9):
        record = check_proof(prove(closed.folder, "0001", index), public)
        assert record.content() in closed.lines()[index]


def test_a_record_that_no_checkpoint_covers_is_told(closed: Any) -> None:
    for index in (9, 100, -1):
        with pytest.raises(UsageError, match="covers"):
            prove(closed.folder, "0001", index)


def test_every_damage_to_a_proof_is_refused(closed: Any) -> None:
    public = closed.keys.public_key()
    proof = prove(closed.folder, "0001", 3)
    other = prove(closed.folder, "0001", 2)
    damaged = [
        replace(proof, index=2),
        replace(proof, chain="0002"),
        replace(proof, line=proof.line.replace("NAME_03", "NAME_99")),
        replace(proof, line=other.line),
        replace(proof, path=proof.path[1:]),
        replace(proof, path=proof.path[::-1]),
        replace(proof, path=("zz", *proof.path[1:])),
        replace(proof, checkpoint=proof.checkpoint.replace('"time":1', '"time":2')),
        replace(proof, checkpoint="{}"),
    ]
    for bad in damaged:
        with pytest.raises(AuditBroken):
            check_proof(bad, public)
    with pytest.raises(AuditBroken, match="signature"):
        check_proof(proof, b"\x01" * 32)


def test_a_later_checkpoint_is_proven_to_continue_an_earlier_one(closed: Any) -> None:
    public = closed.keys.public_key()
    first, last = checkpoints(closed.folder, "0001")
    proof = prove_consistency(closed.folder, first)
    assert check_consistency_proof(proof, public) == last
    with pytest.raises(AuditBroken):
        check_consistency_proof(replace(proof, path=proof.path[:-1]), public)
    with pytest.raises(AuditBroken):
        check_consistency_proof(replace(proof, earlier=proof.later, later=proof.earlier), public)


def test_a_checkpoint_that_the_chain_does_not_hold_has_no_continuation(closed: Any) -> None:
    first, _ = checkpoints(closed.folder, "0001")
    with pytest.raises(AuditBroken, match="does not hold"):
        prove_consistency(closed.folder, replace(first, size=first.size + 1))
    with pytest.raises(AuditBroken, match="another"):
        prove_consistency(closed.folder, replace(first, time_ms=first.time_ms + 1))


def test_a_proof_over_changed_records_is_not_given(closed: Any) -> None:
    closed.file().write_bytes(closed.file().read_bytes().replace(b"NAME_02", b"NAME_xx"))
    with pytest.raises(AuditBroken):
        prove(closed.folder, "0001", 1)

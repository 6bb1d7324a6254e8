"""Proofs for outsiders: that one record is in a chain, and that a later checkpoint continues an earlier one.

Whoever has the public key needs nothing else: no store, no keys, and not the chain.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from keystead.audit.chain import parse_line
from keystead.audit.checkpoints import CHECKPOINT_EVENTS, Checkpoint, read_checkpoint
from keystead.audit.files import lines
from keystead.audit.record import Record
from keystead.audit.tree import check_consistency, check_inclusion, consistency_proof, inclusion_proof, leaf_hash
from keystead.errors import AuditBroken, IntegrityError, UsageError


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """That `line` stands at `index` of `chain`: hashes (hex) up to the root that `checkpoint` (a content) signs."""

    chain: str
    index: int
    line: str
    path: tuple[str, ...]
    checkpoint: str


@dataclass(frozen=True, slots=True)
class ConsistencyProof:
    """That the records that `earlier` covers are the first ones of those that `later` covers; contents and hashes."""

    chain: str
    earlier: str
    later: str
    path: tuple[str, ...]


def checkpoints(folder: Path, chain: str) -> Iterator[Checkpoint]:
    """The checkpoints of a chain, in order, unchecked: what an outsider keeps one of."""
    for _, record in _checkpoint_records(_data(folder, chain)):
        yield read_checkpoint(record, chain)


def prove(folder: Path, chain: str, index: int) -> InclusionProof:
    """The proof that record `index` is in the chain, up to the chain's last checkpoint.

    Raises:
        UsageError: no checkpoint covers such a record yet.
        AuditBroken: the checkpoint is of other records than the chain has; `verify` tells more.
    """
    data = _data(folder, chain)
    found = list(_checkpoint_records(data))
    if not found or not 0 <= index < found[-1][0]:
        raise UsageError(
            f"no checkpoint of audit chain {chain} covers record {index}",
            hint="close the store, or wait for the next checkpoint",
        )
    size, record = found[-1]
    path = inclusion_proof([leaf_hash(line) for line in data[:size]], index)
    proof = InclusionProof(chain, index, _text(data[index]), _hex(path), _text(record.content()))
    _check_inclusion(proof, read_checkpoint(record, chain))
    return proof


def check_proof(proof: InclusionProof, public_key: bytes) -> Record:
    """The record that is proven, which the holder of the keys behind `public_key` vouched for.

    Raises:
        AuditBroken: the proof does not hold.
    """
    where = f"{proof.chain}/{proof.index}"
    checkpoint = _signed(proof.checkpoint, proof.chain, public_key, where)
    _check_inclusion(proof, checkpoint)
    try:
        line = parse_line(proof.line.encode("ascii"))
        record = Record.parse(line.content)
    except ValueError:
        raise AuditBroken("the proof is of no record", where=where) from None
    if line.index != proof.index:
        raise AuditBroken("the proof is of another record", where=where)
    return record


def prove_consistency(folder: Path, earlier: Checkpoint) -> ConsistencyProof:
    """The proof that the chain's last checkpoint continues the `earlier` one.

    Raises:
        AuditBroken: the chain does not hold the earlier checkpoint, or not the records that it covers.
    """
    data = _data(folder, earlier.chain)
    found = dict(_checkpoint_records(data))
    where = f"{earlier.chain}/{earlier.size}"
    if earlier.size not in found:
        raise AuditBroken(f"chain {earlier.chain} does not hold the earlier checkpoint", where=where)
    size = max(found)
    path = consistency_proof([leaf_hash(line) for line in data[:size]], earlier.size)
    first, last = _text(found[earlier.size].content()), _text(found[size].content())
    proof = ConsistencyProof(earlier.chain, first, last, _hex(path))
    if read_checkpoint(found[earlier.size], earlier.chain) != earlier:
        raise AuditBroken("the earlier checkpoint is another than the chain holds", where=where)
    _check_consistency(proof, earlier, read_checkpoint(found[size], earlier.chain))
    return proof


def check_consistency_proof(proof: ConsistencyProof, public_key: bytes) -> Checkpoint:
    """The later checkpoint, whose records begin with those of the earlier one; both are signed.

    Raises:
        AuditBroken: the proof does not hold.
    """
    earlier = _signed(proof.earlier, proof.chain, public_key, proof.chain)
    later = _signed(proof.later, proof.chain, public_key, proof.chain)
    _check_consistency(proof, earlier, later)
    return later


def _data(folder: Path, chain: str) -> list[bytes]:
    return [raw.data for raw in lines(folder / chain) if raw.whole]


def _checkpoint_records(data: Sequence[bytes]) -> Iterator[tuple[int, Record]]:
    for index, line in enumerate(data):
        if b'"event":"audit_c' not in line:
            continue
        try:
            record = Record.parse(parse_line(line).content)
        except ValueError:
            continue
        if record.event in CHECKPOINT_EVENTS and record.detail.get("size") == index:
            yield index, record


def _signed(content: str, chain: str, public_key: bytes, where: str) -> Checkpoint:
    try:
        checkpoint = read_checkpoint(Record.parse(content.encode("ascii")), chain)
        checkpoint.check_signature(public_key)
    except ValueError:
        raise AuditBroken("the proof holds no checkpoint", where=where) from None
    except IntegrityError as error:
        raise AuditBroken(error.message, where=where) from None
    return checkpoint


def _check_inclusion(proof: InclusionProof, checkpoint: Checkpoint) -> None:
    try:
        leaf = leaf_hash(proof.line.encode("ascii"))
        path = [bytes.fromhex(text) for text in proof.path]
        check_inclusion(leaf, proof.index, checkpoint.size, path, checkpoint.root)
    except ValueError as error:
        raise AuditBroken(f"the record is not proven: {error}", where=f"{proof.chain}/{proof.index}") from None


def _check_consistency(proof: ConsistencyProof, earlier: Checkpoint, later: Checkpoint) -> None:
    try:
        path = [bytes.fromhex(text) for text in proof.path]
        check_consistency(earlier.size, earlier.root, later.size, later.root, path)
    except ValueError as error:
        raise AuditBroken(f"the later checkpoint is no continuation: {error}", where=proof.chain) from None


def _text(data: bytes) -> str:
    return data.decode("ascii")


def _hex(path: Sequence[bytes]) -> tuple[str, ...]:
    return tuple(item.hex() for item in path)

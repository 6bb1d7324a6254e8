"""Checkpoints: what the holder of the keys vouches for at one point of a chain.

A checkpoint is a record whose detail gives the size of the tree so far, its RFC 6962 root, the last link, the tree's
frontier (so that the next checkpoint need not read the chain), an HMAC-SHA256 and an Ed25519 signature. Both cover
the same statement: `bind("audit-checkpoint", chain, event, size, root, link, time)`.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from keystead.audit.chain import parse_line
from keystead.audit.ports import Head
from keystead.audit.record import Event, Record
from keystead.audit.tree import HASH_LENGTH, Frontier, leaf_hash
from keystead.crypto import signatures
from keystead.crypto.aad import bind
from keystead.crypto.mac import mac, same
from keystead.errors import DecryptionError, IntegrityError

CHECKPOINT_EVENTS: Final = frozenset({Event.AUDIT_CHECKPOINT, Event.AUDIT_CLOSED})


@dataclass(frozen=True, slots=True)
class AuditKeys:
    """What makes checkpoints: 32 bytes of MAC key and a 32-byte Ed25519 seed."""

    mac_key: bytes = field(repr=False)
    signing_seed: bytes = field(repr=False)

    def public_key(self) -> bytes:
        """The 32 bytes that an outsider verifies with."""
        return signatures.public_key(self.signing_seed)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One checkpoint: `root` is over the first `size` records of `chain`, `link` the last of them."""

    chain: str
    event: str
    size: int
    root: bytes
    link: bytes
    time_ms: int
    roots: tuple[bytes, ...]
    mac: bytes
    signature: bytes

    def check_mac(self, keys: AuditKeys) -> None:
        """Return if it was made with these keys.

        Raises:
            IntegrityError: it was not.
        """
        if not same(mac(keys.mac_key, self._statement()), self.mac):
            raise IntegrityError(f"the checkpoint over {self.size} records of chain {self.chain} has a wrong MAC")

    def check_signature(self, public_key: bytes) -> None:
        """Return if it was signed by the holder of the seed behind `public_key`.

        Raises:
            IntegrityError: it was not.
        """
        try:
            signatures.verify(public_key, self._statement(), self.signature)
        except DecryptionError:
            raise IntegrityError(
                f"the checkpoint over {self.size} records of chain {self.chain} has a wrong signature"
            ) from None

    def _statement(self) -> bytes:
        return statement(self.chain, self.event, size=self.size, root=self.root, link=self.link, time_ms=self.time_ms)


def statement(chain: str, event: str, *, size: int, root: bytes, link: bytes, time_ms: int) -> bytes:
    """The bytes that MAC and signature of a checkpoint cover."""
    return bind("audit-checkpoint", chain, event, size, root, link, time_ms)


def make_checkpoint(
    keys: AuditKeys, *, chain: str, frontier: Frontier, link: bytes, time_ms: int, node: str, closing: bool
) -> Record:
    """The record that vouches for everything in `frontier`, of which `link` is the last."""
    event = Event.AUDIT_CLOSED if closing else Event.AUDIT_CHECKPOINT
    root = frontier.root()
    covered = statement(chain, event, size=frontier.size, root=root, link=link, time_ms=time_ms)
    detail: dict[str, str | int] = {
        "size": frontier.size,
        "root": root.hex(),
        "link": link.hex(),
        "frontier": b64encode(b"".join(frontier.roots)).decode(),
        "mac": mac(keys.mac_key, covered).hex(),
        "signature": signatures.sign(keys.signing_seed, covered).hex(),
    }
    return Record(time_ms, node, "", "system:audit", event, f"chain/{chain}", detail=detail)


def read_checkpoint(record: Record, chain: str) -> Checkpoint:
    """The checkpoint in a record of `chain`; MAC and signature are not checked, the frontier's root is.

    Raises:
        ValueError: the record holds none.
    """
    detail = record.detail
    if record.event not in CHECKPOINT_EVENTS:
        raise ValueError("not a checkpoint")
    try:
        size = detail["size"]
        texts = [detail[name] for name in ("root", "link", "mac", "signature", "frontier")]
        if not isinstance(size, int) or not all(isinstance(text, str) for text in texts):
            raise ValueError("not a checkpoint")
        root, link, code, signature = (bytes.fromhex(str(text)) for text in texts[:4])
        joined = b64decode(str(texts[4]), validate=True)
    except (KeyError, binascii.Error):
        raise ValueError("not a checkpoint") from None
    roots = tuple(joined[at : at + HASH_LENGTH] for at in range(0, len(joined), HASH_LENGTH))
    if Frontier(size, roots).root() != root or len(link) != HASH_LENGTH:
        raise ValueError("a checkpoint whose frontier has another root")
    return Checkpoint(chain, record.event, size, root, link, record.time_ms, roots, code, signature)


def restore_frontier(backward: Iterator[bytes], chain: str, count: int, keys: AuditKeys) -> Frontier:
    """The tree over a chain's `count` records, from the last checkpoint made with these keys and what follows it.

    `backward` gives the chain's lines from the last to the first, and is read no further than needed.

    Raises:
        ValueError: there are not `count` lines, or one has another form.
    """
    leaves: list[bytes] = []
    frontier = Frontier()
    for line in backward:
        leaves.append(leaf_hash(line))
        checkpoint = _vouched(line, chain, keys)
        if checkpoint is not None and checkpoint.size == count - len(leaves):
            frontier = Frontier(checkpoint.size, checkpoint.roots)
            break
    for leaf in reversed(leaves):
        frontier.add(leaf)
    if frontier.size != count:
        raise ValueError(f"the chain has {frontier.size} records, not {count}")
    return frontier


def _vouched(line: bytes, chain: str, keys: AuditKeys) -> Checkpoint | None:
    if b'"event":"audit_c' not in line:
        return None
    try:
        checkpoint = read_checkpoint(Record.parse(parse_line(line).content), chain)
        checkpoint.check_mac(keys)
    except (ValueError, IntegrityError):
        return None
    return checkpoint


def head_mac(keys: AuditKeys, head: Head) -> bytes:
    """The MAC under which the store keeps a chain's head."""
    return mac(keys.mac_key, bind("audit-head", head.chain, head.count, head.hash))


def check_head(keys: AuditKeys, head: Head, code: bytes) -> None:
    """Return if the store's head of a chain was saved with these keys.

    Raises:
        IntegrityError: it was not.
    """
    if not same(head_mac(keys, head), code):
        raise IntegrityError(f"the store's head of audit chain {head.chain} has a wrong MAC")


def forged_heads(keys: AuditKeys | None, known: Mapping[str, tuple[Head, bytes]]) -> frozenset[str]:
    """The chains whose heads, each with its MAC, were not saved with these keys; none where there are no keys."""
    if keys is None:
        return frozenset()
    return frozenset(
        chain for chain, (head, code) in known.items() if head.count and not same(head_mac(keys, head), code)
    )

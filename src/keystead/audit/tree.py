"""The Merkle tree of RFC 6962 section 2.1 over the records of a chain: roots, inclusion and consistency proofs.

Everything here takes hashes and returns hashes; leaves are hashed with `leaf_hash`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final

HASH_LENGTH: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """The hash of one entry."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """The tree so far, as the roots of its whole subtrees, largest first: what it takes to add and to give the root."""

    __slots__ = ("_roots", "size")

    def __init__(self, size: int = 0, roots: Iterable[bytes] = ()) -> None:
        self.size = size
        self._roots = list(roots)
        if size < 0 or len(self._roots) != size.bit_count() or any(len(r) != HASH_LENGTH for r in self._roots):
            raise ValueError("a frontier has one 32-byte root for each bit of its size")

    @property
    def roots(self) -> tuple[bytes, ...]:
        """The roots of the whole subtrees, largest first."""
        return tuple(self._roots)

    def add(self, leaf: bytes) -> None:
        """Append one leaf hash."""
        roots, size = self._roots, self.size
        while size & 1:
            leaf = sha256(b"\x01" + roots.pop() + leaf).digest()
            size >>= 1
        roots.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """The root of the tree over all leaves added."""
        if not self._roots:
            return EMPTY_ROOT
        root = self._roots[-1]
        for left in reversed(self._roots[:-1]):
            root = node_hash(left, root)
        return root


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.add(leaf)
    return frontier.root()


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The audit path of leaf `index` in the tree over `leaves` (RFC 6962 section 2.1.1).

    Raises:
        ValueError: there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise ValueError("there is no such leaf")
    path: list[bytes] = []
    low, high = 0, len(leaves)
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(tree_root(leaves[middle:high]))
            high = middle
        else:
            path.append(tree_root(leaves[low:middle]))
            low = middle
    return path[::-1]


def consistency_proof(leaves: Sequence[bytes], size: int) -> list[bytes]:
    """That the tree over the first `size` leaves is a beginning of the tree over all (RFC 6962 section 2.1.2).

    Raises:
        ValueError: `size` is not between 1 and the number of leaves.
    """
    if not 1 <= size <= len(leaves):
        raise ValueError("no consistency proof from this size")
    path: list[bytes] = []
    low, high, known = 0, len(leaves), True
    while size != high - low:
        middle = _split(high - low)
        if size <= middle:
            path.append(tree_root(leaves[low + middle : high]))
            high = low + middle
        else:
            path.append(tree_root(leaves[low : low + middle]))
            low, size, known = low + middle, size - middle, False
    if not known:
        path.append(tree_root(leaves[low:high]))
    return path[::-1]


def check_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Return if the leaf hash stands at `index` in the tree of `size` leaves with this root.

    Raises:
        ValueError: it does not, or the proof has another form.
    """
    if not 0 <= index < size or len(leaf) != HASH_LENGTH:
        raise ValueError("the index is outside the tree, or the leaf is no hash")
    last, remaining = size - 1, list(proof)[::-1]
    node = leaf
    while last:
        if index & 1 or index != last:
            sibling = _next(remaining)
            node = node_hash(sibling, node) if index & 1 else node_hash(node, sibling)
        index, last = index >> 1, last >> 1
    if remaining or node != root:
        raise ValueError("the inclusion proof does not lead to the root")


def check_consistency(size: int, root: bytes, later_size: int, later_root: bytes, proof: Sequence[bytes]) -> None:
    """Return if the tree of `size` leaves and `root` is a beginning of the later one.

    Raises:
        ValueError: it is not, or the proof has another form.
    """
    if not 1 <= size <= later_size:
        raise ValueError("the earlier tree is empty, or the later one smaller")
    if size == later_size:
        if proof or root != later_root:
            raise ValueError("the consistency proof does not fit")
        return
    index, last = size - 1, later_size - 1
    while index & 1:
        index, last = index >> 1, last >> 1
    remaining = list(proof)[::-1]
    old = new = _next(remaining) if index else root
    while last:
        if index & 1:
            sibling = _next(remaining)
            old, new = node_hash(sibling, old), node_hash(sibling, new)
        elif index != last:
            new = node_hash(new, _next(remaining))
        index, last = index >> 1, last >> 1
    if remaining or old != root or new != later_root:
        raise ValueError("the consistency proof does not lead to both roots")


def _split(size: int) -> int:
    return 1 << (size - 1).bit_length() - 1


def _next(remaining: list[bytes]) -> bytes:
    if not remaining:
        raise ValueError("the proof is too short")
    sibling = remaining.pop()
    if len(sibling) != HASH_LENGTH:
        raise ValueError("a proof holds 32-byte hashes")
    return sibling

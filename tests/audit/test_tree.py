"""RFC 6962 trees agree with the published vectors, and no damaged proof passes."""

from __future__ import annotations

import base64
import binascii
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.audit.tree import (
    EMPTY_ROOT,
    Frontier,
    check_consistency,
    check_inclusion,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    tree_root,
)

DATA = Path(__file__).resolve().parent.parent / "vectors" / "data"
OWN: dict[str, Any] = json.loads((DATA / "keystead_own/rfc6962_merkle.json").read_text("utf-8"))
PROBES: dict[str, Any] = json.loads((DATA / "merkle_transparency_dev/proof_probes.json").read_text("utf-8"))
LEAVES = [leaf_hash(bytes.fromhex(leaf)) for leaf in OWN["leaves"]]
ROOTS = [bytes.fromhex(root) for root in OWN["roots"]]


def test_roots_agree_with_the_vectors() -> None:
    assert [tree_root(LEAVES[:size]) for size in range(len(ROOTS))] == ROOTS
    assert ROOTS[0] == EMPTY_ROOT


def test_every_proof_of_the_vectors_is_made_and_accepted() -> None:
    for case in OWN["inclusion"]:
        proof = inclusion_proof(LEAVES[: case["size"]], case["index"])
        assert [item.hex() for item in proof] == case["proof"]
        check_inclusion(LEAVES[case["index"]], case["index"], case["size"], proof, ROOTS[case["size"]])
    for case in OWN["consistency"]:
        first, second = case["old"], case["new"]
        proof = consistency_proof(LEAVES[:second], first)
        assert [item.hex() for item in proof] == case["proof"]
        check_consistency(first, ROOTS[first], second, ROOTS[second], proof)
    assert len(OWN["inclusion"]) >= 36 and len(OWN["consistency"]) >= 28


def decoded(text: str | None) -> bytes:
    return base64.b64decode(text or "")


def accepts(name: str, case: dict[str, Any]) -> bool:
    try:
        proof = [decoded(item) for item in case["proof"] or []]
        if name.startswith("inclusion"):
            check_inclusion(decoded(case["leafHash"]), case["leafIdx"], case["treeSize"], proof, decoded(case["root"]))
        else:
            check_consistency(case["size1"], decoded(case["root1"]), case["size2"], decoded(case["root2"]), proof)
    except (ValueError, binascii.Error):
        return False
    return True


def test_all_published_probes_of_what_is_built_get_their_verdict() -> None:
    built = {name: case for name, case in PROBES.items() if name.startswith(("inclusion/", "consistency/"))}
    assert {name for name, case in built.items() if accepts(name, case) == case["wantErr"]} == set()
    assert len(built) == 196
    assert {name.partition("/")[0] for name in set(PROBES) - set(built)} == {"subtreeconsistency", "subtreeinclusion"}


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 70), st.data())
def test_every_leaf_and_every_beginning_is_provable_and_nothing_else(size: int, data: st.DataObject) -> None:
    leaves = [leaf_hash(bytes([number])) for number in range(size)]
    root = tree_root(leaves)
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(leaves, index)
    check_inclusion(leaves[index], index, size, proof, root)
    with pytest.raises(ValueError):
        check_inclusion(leaf_hash(b"other"), index, size, proof, root)
    with pytest.raises(ValueError):
        check_inclusion(leaves[index], index, size, [*proof, root], root)
    first = data.draw(st.integers(1, size))
    consistency = consistency_proof(leaves, first)
    check_consistency(first, tree_root(leaves[:first]), size, root, consistency)
    with pytest.raises(ValueError):
        check_consistency(first, leaf_hash(b"other"), size, root, consistency)


@given(st.integers(0, 200))
@settings(max_examples=40, deadline=None)
def test_a_frontier_that_was_stored_goes_on_as_before(size: int) -> None:
    leaves = [leaf_hash(bytes([number])) for number in range(201)]
    frontier = Frontier()
    for leaf in leaves[:size]:
        frontier.add(leaf)
    again = Frontier(size, frontier.roots)
    for leaf in leaves[size:]:
        again.add(leaf)
    assert again.root() == tree_root(leaves)
    assert len(frontier.roots) == size.bit_count()

"""The program in docs/audit.md, which knows nothing of keystead, finds what was done to a log."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from tests.docs.pages import blocks

import keystead

Verify = Callable[[Path, bytes], tuple[int, int]]


@pytest.fixture(scope="module")
def verify_chain() -> Verify:
    program = next(block.text for block in blocks("docs/audit.md") if "def verify_chain" in block.text)
    assert "import keystead" not in program
    names: dict[str, Any] = {}
    exec(program, names)
    return names["verify_chain"]  # type: ignore[no-any-return]


@pytest.fixture
def chain(tmp_path: Path) -> tuple[Path, bytes]:
    with keystead.connect(tmp_path / "app.db", master_key=keystead.generate_master_key()) as store:
        for number in range(5):
            store.kms.store_secret(f"S{number}", "value")
        store.kms.node.journal.checkpoint()
        store.kms.rotate_secret("S1", "other")
        key = store.kms.audit.public_key()
    return tmp_path / "app.db.audit" / "0001", key


def whole(folder: Path) -> list[bytes]:
    return (folder / "000001.jsonl").read_bytes().splitlines(keepends=True)


def linked_anew(folder: Path, lines: list[bytes]) -> None:
    """Write the lines with every link made anew, as whoever knows the format and no key can."""
    link = hashlib.sha256(b"keystead/audit/chain/" + folder.name.encode()).digest()
    made = []
    for index, line in enumerate(lines):
        body = re.sub(rb'^\{"i":\d+', b'{"i":%d' % index, line.rstrip(b"\n")[:-72])
        link = hashlib.sha256(link + body).digest()
        made.append(b'%b,"h":"%b"}\n' % (body, link.hex().encode()))
    (folder / "000001.jsonl").write_bytes(b"".join(made))


def test_it_accepts_a_log_as_it_was_written(verify_chain: Verify, chain: tuple[Path, bytes]) -> None:
    lines = whole(chain[0])
    assert verify_chain(*chain) == (len(lines), len(lines) - 1)


def test_it_finds_a_changed_record_wherever_it_stands(verify_chain: Verify, chain: tuple[Path, bytes]) -> None:
    lines = whole(chain[0])
    for index, line in enumerate(lines):
        changed = [*lines]
        changed[index] = re.sub(rb'"time":(\d)', lambda m: b'"time":%d' % (int(m[1]) % 9 + 1), line)
        assert changed[index] != line
        (chain[0] / "000001.jsonl").write_bytes(b"".join(changed))
        with pytest.raises(ValueError, match=f"line {index} "):
            verify_chain(*chain)


def test_it_finds_records_that_were_taken_out_or_moved(verify_chain: Verify, chain: tuple[Path, bytes]) -> None:
    lines = whole(chain[0])
    for changed in (lines[:2] + lines[3:], [lines[1], lines[0], *lines[2:]], [*lines[:3], lines[2], *lines[3:]]):
        (chain[0] / "000001.jsonl").write_bytes(b"".join(changed))
        with pytest.raises(ValueError, match="is not what was written"):
            verify_chain(*chain)


def test_it_finds_a_log_that_was_rewritten_with_all_links(verify_chain: Verify, chain: tuple[Path, bytes]) -> None:
    lines = whole(chain[0])
    linked_anew(chain[0], lines[:2] + lines[3:])
    with pytest.raises(ValueError, match="is of other records"):
        verify_chain(*chain)
    linked_anew(chain[0], lines)
    assert verify_chain(*chain)[0] == len(lines)


def test_it_refuses_checkpoints_of_another_key(verify_chain: Verify, chain: tuple[Path, bytes], tmp_path: Path) -> None:
    with keystead.connect(tmp_path / "other.db", master_key=keystead.generate_master_key()) as other:
        foreign = other.kms.audit.public_key()
    assert any(json.loads(line)["c"]["event"] == "audit_closed" for line in whole(chain[0]))
    with pytest.raises(InvalidSignature):
        verify_chain(chain[0], foreign)

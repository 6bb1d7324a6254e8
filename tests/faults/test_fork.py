"""Forks after use, as a server with preloaded workers makes them: both sides go on, and no nonce is made twice."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.faults.checks import audit_report

import keystead
from keystead.audit.record import Record

DRIVER = Path(__file__).with_name("driver_fork.py")
KEY = keystead.generate_master_key()
MESSAGES = 1_000_000


def driven(database: Path, mode: str, number: int = 4, file: str = "") -> list[Any]:
    """What the driver found, once it ended well."""
    done = subprocess.run(
        [sys.executable, str(DRIVER), mode, str(database), KEY, str(number), file],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def check_after(database: Path) -> list[Record]:
    """The log verifies with its keys; its records."""
    with keystead.connect(database, master_key=KEY) as store:
        report = audit_report(store)
        assert report.ok, report.problems
        assert report.pending == 0
    folder = database.with_name(database.name + ".audit")
    found = []
    for path in sorted(folder.rglob("*.jsonl")):
        for line in path.read_bytes().splitlines():
            content = json.loads(line)
            found.append(Record.parse(content["r"].encode()) if "r" in content else content)
    return found


def test_parent_and_children_do_everything_after_each_of_many_forks(tmp_path: Path) -> None:
    """T44: children that end by os._exit, by sys.exit, with and without closing the store."""
    assert driven(tmp_path / "app.db", "uses", 12) == [0] * 12
    check_after(tmp_path / "app.db")


def test_a_fork_of_a_fork_does_everything_too(tmp_path: Path) -> None:
    assert driven(tmp_path / "app.db", "grandchildren") == [0]
    check_after(tmp_path / "app.db")


def test_a_child_waits_for_no_lock_that_a_thread_of_its_parent_held(tmp_path: Path) -> None:
    """T44: for every lock of the package, a fork at the worst moment; none may be left that a child waits for."""
    found = driven(tmp_path / "app.db", "locks")
    assert [path for path, status in found if status != 0] == []
    names = " ".join(path for path, _ in found)
    for expected in (
        "ring._lock",
        "cache._lock",
        "_refresh_lock",
        "_journal._lock",
        "counts._lock",
        "Ticker",
        "Forks._lock",
    ):
        assert expected in names


def test_children_forked_while_threads_use_the_store_do_everything(tmp_path: Path) -> None:
    """T44: SQLite keeps locks in memory, so a fork waits until no thread is inside it."""
    assert driven(tmp_path / "app.db", "busy", 20) == [0] * 20
    check_after(tmp_path / "app.db")


@pytest.mark.parametrize("beside", ["short_lived", "copying"])
def test_children_forked_beside_connections_that_end_and_copies_for_backups_do_everything(
    tmp_path: Path, beside: str
) -> None:
    """T44: closing a connection and copying a store go through SQLite's locks too."""
    assert driven(tmp_path / "app.db", beside, 40) == [0] * 40
    check_after(tmp_path / "app.db")


def test_the_records_of_a_child_name_the_child(tmp_path: Path) -> None:
    driven(tmp_path / "app.db", "uses", 3)
    log = b"".join(path.read_bytes() for path in (tmp_path / "app.db.audit").rglob("*.jsonl")).decode()
    nodes = {line.split("OF_child_")[0].split(chr(34))[0] for line in log.splitlines() if "OF_child_" in line}
    assert nodes
    by_node: dict[str, set[str]] = {}
    for line in log.splitlines():
        for mark in ("child_0", "child_1", "child_2", "parent_0"):
            if f"OF_{mark}" in line:
                node = line.split("node")[1].split("request_id")[0]
                by_node.setdefault(mark, set()).add(node)
    assert all(len(names) == 1 for names in by_node.values())
    assert len({next(iter(names)) for names in by_node.values()}) == 4


@pytest.mark.parametrize("messages", [MESSAGES])
def test_no_nonce_is_used_twice_in_a_million_messages_of_four_processes(tmp_path: Path, messages: int) -> None:
    """T10: salts differ between processes, so that nonces need to differ only under the same one."""
    assert driven(tmp_path / "app.db", "nonces", messages // 4, str(tmp_path / "n")) == [[0, 0, 0, 0]]
    salts = set()
    for process in range(4):
        made = (tmp_path / f"n.{process}").read_bytes()
        assert len(made) == 28 * messages // 4
        pieces = {made[at : at + 28] for at in range(0, len(made), 28)}
        assert len(pieces) == messages // 4
        own = {made[at : at + 16] for at in range(0, len(made), 28)}
        assert not own & salts
        salts |= own
    assert len(salts) >= 4


def test_each_of_many_forks_encrypts_under_a_salt_of_its_own(tmp_path: Path) -> None:
    """T10, R38D-09: 64 copies of one process."""
    assert driven(tmp_path / "app.db", "salts", 64, str(tmp_path / "s")) == [0] * 64
    made = [(tmp_path / f"s.{turn}").read_bytes() for turn in range(64)]
    assert len({piece[:16] for piece in made}) == 64
    assert len({piece[16:] for piece in made}) == 64


def test_no_iv_of_an_envelope_is_used_twice_by_four_processes(tmp_path: Path) -> None:
    """T10: envelopes of all processes are under one key, so every iv of all of them differs."""
    assert driven(tmp_path / "app.db", "ivs", 20_000, str(tmp_path / "i")) == [[0, 0, 0, 0]]
    made = b"".join((tmp_path / f"i.{process}").read_bytes() for process in range(4))
    assert len({made[at : at + 12] for at in range(0, len(made), 12)}) == 80_000
    with keystead.connect(tmp_path / "app.db", master_key=KEY) as store:
        assert store.kms.list_data_keys().items[0].messages >= 80_000

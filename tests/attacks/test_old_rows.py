"""Somebody who can write the file puts back rows that keystead wrote once: authentic ones, but the log knows better."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.attacks.stores import DAY_MS, KEY, OTHER_KEY, Made

import keystead
from keystead.errors import AuditBroken
from keystead.seal.master_key import parse_master_key
from keystead.testing import ManualClock


@contextmanager
def put_back(made: Made, table: str, where: str) -> Iterator[None]:
    """The rows of a table as they were before the block."""
    rows = made.rows(f"SELECT * FROM {table} WHERE {where}")
    yield
    made.edit(f"DELETE FROM {table} WHERE {where}")
    with sqlite3.connect(made.database) as connection:
        connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)
    connection.close()


def problems(made: Made) -> list[str]:
    with made.open() as store:
        return [problem.what for problem in store.kms.audit.verify().problems]


def test_an_old_secret_put_back_is_read_and_verify_names_it(mine: Made) -> None:
    with put_back(mine, "secrets", "name = 'PLAIN'"), mine.open() as store:
        number = store.kms.rotate_secret("PLAIN", "newer").version
    with mine.open() as store:
        assert number == 2
        assert store.kms.get_secret("PLAIN") == "plain value"  # authentic: this is what only the log can tell
        report = store.kms.audit.verify()
        assert [problem.what.partition(" as ")[0] for problem in report.problems] == ["secret/PLAIN is not"]
        with pytest.raises(AuditBroken, match="secret/PLAIN"):
            report.require_ok()


def test_a_deletion_taken_back_by_its_row_is_named(mine: Made) -> None:
    with put_back(mine, "secrets", "name = 'PLAIN'"), mine.open() as store:
        store.kms.delete_secret("PLAIN")
    assert [what.partition(" is ")[0] for what in problems(mine)] == ["secret/PLAIN"]


def test_a_destroyed_version_that_has_its_value_again_is_named(mine: Made) -> None:
    with put_back(mine, "secret_versions", "name = 'ROTATED' AND version = 1"), mine.open() as store:
        store.kms.destroy_secret("ROTATED", version=1)
    with mine.open() as store:
        assert store.kms.get_secret("ROTATED", version=1) == "rotated one"
    assert problems(mine) == ["version 1 of secret/ROTATED was destroyed or removed, and is in the store again"]


def test_a_version_that_the_sweeper_destroyed_and_that_came_back_is_named(mine: Made) -> None:
    clock = ManualClock(mine.clock_ms)
    with put_back(mine, "secret_versions", "name = 'EXPIRED'"), mine.open(clock) as store:
        store.kms.node.maintain()
        clock.advance(30 * DAY_MS)
        store.kms.node.maintain()
        assert [item.state for item in store.kms.list_versions("EXPIRED").items] == ["destroyed"]
    assert problems(mine) == ["version 1 of secret/EXPIRED was destroyed or removed, and is in the store again"]


def test_an_old_version_is_named_also_where_its_name_was_destroyed_and_stored_again(mine: Made) -> None:
    with put_back(mine, "secret_versions", "name = 'ROTATED' AND version = 2"), mine.open() as store:
        store.kms.destroy_secret("ROTATED")
        store.kms.store_secret("ROTATED", "stored again")
    assert problems(mine) == ["version 2 of secret/ROTATED was destroyed or removed, and is in the store again"]


def test_a_destroyed_data_key_that_came_back_is_named(mine: Made) -> None:
    with put_back(mine, "data_keys", "key_id = (SELECT min(key_id) FROM data_keys)"), mine.open() as store:
        former = store.kms.list_data_keys().items[0].id
        store.kms.destroy_data_key(former)
    assert problems(mine) == [f"data-key/{former} was destroyed or removed, and is in the store again"]


def test_a_removed_slot_that_came_back_opens_the_store_and_is_named(mine: Made) -> None:
    with put_back(mine, "key_slots", "label = 'other'"), mine.open() as store:
        removed = store.kms.slots.remove("other").id
    mine.open(key=OTHER_KEY).close()
    assert problems(mine) == [f"slot/{removed} was destroyed or removed, and is in the store again"]


def test_a_secret_taken_out_and_one_that_nobody_stored_are_named(mine: Made) -> None:
    mine.edit("DELETE FROM secrets WHERE name = 'PLAIN'", "UPDATE secrets SET name = 'FOREIGN' WHERE name = 'BYTES'")
    found = problems(mine)
    told = [what.partition(" is ")[0] for what in found]
    assert told == ["secret/PLAIN", "secret/BYTES", "secret/FOREIGN", "secret/FOREIGN"]
    assert found[3] == "secret/FOREIGN is not what keystead wrote, and is refused where it is used"


def test_verifying_without_keys_names_them_too(mine: Made, tmp_path: Path) -> None:
    with put_back(mine, "secrets", "name = 'PLAIN'"), mine.open() as store:
        store.kms.rotate_secret("PLAIN", "newer")
    command = Path(sys.executable).with_name("keystead")
    line = [command, "--store", mine.database, "audit", "verify", "--without-key"]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 7
    assert "secret/PLAIN is not as change" in done.stderr


def test_what_an_accepted_rollback_gave_up_is_no_problem(mine: Made) -> None:
    old = mine.copy(mine.folder.parent / "old")
    with mine.open() as store:
        store.kms.rotate_secret("PLAIN", "newer")
        store.kms.destroy_secret("ROTATED", version=1)
        store.kms.slots.remove("other")
        store.kms.store_secret("LATER", "gone with the rollback")
    for item in mine.folder.glob("app.db*"):
        if item.is_file():
            item.unlink()
    mine.database.write_bytes(old.database.read_bytes())
    mine.database.chmod(0o600)
    clock = ManualClock(mine.clock_ms)
    with keystead.connect(mine.database, master_key=KEY, clock=clock, accept_rollback=True) as store:
        store.kms.store_secret("AFTER", "the rollback")
    assert problems(mine) == []


def test_a_restored_store_verifies_and_its_changes_are_compared_from_then_on(mine: Made, tmp_path: Path) -> None:
    with mine.open() as store:
        store.kms.backup(tmp_path / "backup", passphrase="seven plain words for the backup of a test")
    (tmp_path / "restored").mkdir()
    other = mine.copy(mine.folder.parent / "other")
    other.folder, other.database = tmp_path / "restored", tmp_path / "restored" / "app.db"
    with other.open() as store:
        store.kms.restore(tmp_path / "backup", passphrase="seven plain words for the backup of a test")
        store.kms.rotate_secret("PLAIN", "newer")
    assert problems(other) == []
    with put_back(other, "secrets", "name = 'PLAIN'"), other.open() as store:
        store.kms.rotate_secret("PLAIN", "newest")
    assert [what.partition(" as ")[0] for what in problems(other)] == ["secret/PLAIN is not"]


def test_verifying_while_another_process_writes_finds_nothing(mine: Made) -> None:
    code = (
        "import sys, keystead\n"
        "with keystead.connect(sys.argv[1], master_key=sys.argv[2]) as store:\n"
        "    print('ready', flush=True)\n"
        "    for turn in range(400):\n"
        "        store.kms.store_secret(f'BUSY_{turn % 7}', 'x' * turn or 'x')\n"
        "        if turn % 3 == 0: store.kms.destroy_secret(f'BUSY_{turn % 7}', version=store.kms.list_versions("
        "f'BUSY_{turn % 7}').items[-1].version)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, mine.database, KEY], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        rounds = 0
        with mine.open() as store:
            while writer.poll() is None:
                assert store.kms.audit.verify().problems == ()
                rounds += 1
    assert writer.returncode == 0
    assert rounds > 1


def test_a_cut_log_whose_head_in_the_store_was_made_to_fit_is_named_also_after_the_store_was_opened(mine: Made) -> None:
    """The last session's reads are taken out, which no number of a change tells."""
    with mine.open() as store:
        store.kms.node.maintain()
    with mine.open() as store:
        store.kms.get_secret("PLAIN")
    (journal,) = mine.folder.rglob("000001.jsonl")
    lines = journal.read_bytes().rstrip(b"\0").splitlines(keepends=True)
    reads = [place for place, line in enumerate(lines) if b"secret_retrieved" in line]
    kept = lines[: reads[-1]]
    assert all(b'"n":' not in line for line in lines[len(kept) :])
    journal.write_bytes(b"".join(kept))
    mine.edit(("UPDATE audit_chains SET count = ?, hash = ?", (len(kept), json.loads(kept[-1])["h"])))
    for _ in range(2):
        assert problems(mine) == ["the store's head of audit chain 0001 has a wrong MAC"]
    assert journal.read_bytes() == b"".join(kept)
    mine.edit("UPDATE audit_chains SET count = 0, hash = '', mac = x'' WHERE chain = '0001'")
    for _ in range(2):
        (found,) = problems(mine)
        assert found.startswith("the store has no head of this chain any more, which has ")
    assert journal.read_bytes() == b"".join(kept)


def put_store_back(made: Made, old: Made) -> None:
    """The database as it was in a copy; the log stays."""
    for item in made.folder.glob("app.db*"):
        if item.is_file():
            item.unlink()
    made.database.write_bytes(old.database.read_bytes())
    made.database.chmod(0o600)


def accept(made: Made) -> None:
    keystead.connect(made.database, master_key=KEY, clock=ManualClock(made.clock_ms), accept_rollback=True).close()


def test_what_an_accepted_rollback_gave_up_counts_again_where_a_later_one_brought_it_back(mine: Made) -> None:
    old = mine.copy(mine.folder.parent / "old")
    with mine.open() as store:
        store.kms.rotate_secret("PLAIN", "newer")
        store.kms.store_secret("LATER", "came back")
    newer = mine.copy(mine.folder.parent / "newer")
    with mine.open() as store:
        store.kms.store_secret("LAST", "gone for good")
    put_store_back(mine, old)
    accept(mine)
    with mine.open() as store:
        store.kms.store_secret("BETWEEN", "gone for good")
    between = mine.copy(mine.folder.parent / "between")
    assert problems(mine) == []
    put_store_back(mine, newer)
    accept(mine)
    assert problems(mine) == []
    with put_back(mine, "secrets", "name = 'LATER'"), mine.open() as store:
        store.kms.rotate_secret("LATER", "newest")
    assert [what.partition(" as ")[0] for what in problems(mine)] == ["secret/LATER is not"]
    put_store_back(mine, between)
    accept(mine)
    assert problems(mine) == []


def test_what_was_destroyed_before_a_restore_may_be_in_the_backup(tmp_path: Path) -> None:
    words = "seven plain words for the backup of a test"
    with keystead.connect(tmp_path / "app.db", master_key=KEY) as store:
        store.kms.backup(tmp_path / "backup", passphrase=words)
        (former,) = store.kms.list_data_keys().items
        store.kms.rotate_data_key()
        assert store.kms.destroy_data_key(former.id).state == "destroyed"
        store.kms.restore(tmp_path / "backup", passphrase=words)
    with keystead.connect(tmp_path / "app.db", master_key=KEY) as store:
        assert [item.id for item in store.kms.list_data_keys().items] == [former.id]
        store.kms.audit.verify().require_ok()


def test_a_rotation_of_the_data_key_taken_back_is_named(mine: Made) -> None:
    with put_back(mine, "data_keys", "1"), mine.open() as store:
        former = store.kms.list_data_keys().items[-1].id
        made = store.kms.rotate_data_key().id
    assert [what.partition(", and")[0] for what in problems(mine)] == [
        f"data-key/{made} is gone from the store",
        f"data-key/{former} is active again",
    ]


def test_a_count_of_messages_put_back_is_named(mine: Made) -> None:
    with mine.open() as store:
        store.kms.encrypt_data("reserves some")
    with put_back(mine, "data_keys", "1"), mine.open() as store:
        store.kms.encrypt_data("reserves more")
        active = store.kms.list_data_keys().items[-1].id
    assert [what.partition(" than")[0] for what in problems(mine)] == [f"data-key/{active} counts fewer messages"]


def test_a_root_key_put_back_that_was_replaced_opens_by_a_dropped_slot_and_is_named(mine: Made) -> None:
    with put_back(mine, "store", "1"), put_back(mine, "key_slots", "1"), put_back(mine, "data_keys", "1"):
        with mine.open() as store:
            slots = {item.id: item.label for item in store.kms.slots.list().items}
            (kept,) = [slot for slot, label in slots.items() if label != "other"]
            store.kms.rekey({kept: parse_master_key(KEY, source="a test")}, drop=["other"])
        assert problems(mine) == []
    with mine.open(key=OTHER_KEY) as store:
        (found,) = store.kms.audit.verify().problems
    assert found.what.startswith("the root key is not that of generation 2")

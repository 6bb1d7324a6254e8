"""Data keys: ids, states, rotation by hand, age and count, destruction, and counters that only err upwards."""

from __future__ import annotations

import io
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from tests.services.conftest import BY_HAND, DAY_MS, Open, recorded, within

from keystead.crypto.purpose import Purpose
from keystead.errors import (
    DataKeyNotFound,
    DecryptionError,
    KeyExhausted,
    KeyStateError,
    KeysteadError,
    SecretDeleted,
    StoreUnavailable,
    UsageError,
)
from keystead.keys.lifecycle import KeyState
from keystead.keys.limits import MESSAGE_LIMIT, ROTATE_AT_MESSAGES
from keystead.keys.model import counted
from keystead.services.connection import Connection
from keystead.services.kms import KMSService
from keystead.storage.data_keys import SqliteDataKeys
from keystead.testing import ManualClock


def announce(kms: KMSService) -> None:
    """Let the node look at its data keys as after a change elsewhere."""
    kms.node._generation = -1
    kms.node.keys_changed()


def reserve_all_but(kms: KMSService, left: int) -> None:
    """Let the active data key's count say that only so many messages are left."""
    root = kms.node.root
    with kms.node.write() as connection:
        rows = SqliteDataKeys(connection)
        record = kms.node.ring.active()
        rows.update(counted(record, MESSAGE_LIMIT - left, root.integrity_key(), root.store_id))
    announce(kms)


def test_an_id_is_the_millisecond_with_a_suffix_where_that_is_taken(kms: KMSService, clock: ManualClock) -> None:
    ids = [kms.list_data_keys().items[0].id, kms.rotate_data_key().id, kms.rotate_data_key().id]
    assert ids == [f"default-{clock.now_ms()}{suffix}" for suffix in ("", "-2", "-3")]
    clock.advance(5)
    assert kms.rotate_data_key().id == f"default-{clock.now_ms()}"
    assert [info.id for info in kms.list_data_keys().items][:3] == ids


def test_rotation_leaves_one_active_key_and_former_ones_decrypt_only(kms: KMSService) -> None:
    blob, envelope, stream = kms.encrypt(b"x"), kms.encrypt_data("x"), io.BytesIO()
    kms.encrypt_stream(io.BytesIO(b"x"), stream)
    kms.store_secret("API_KEY", "x")
    first = kms.list_data_keys().items[0]
    assert (first.state, first.rotation_due) == ("active", None)
    new = kms.rotate_data_key()
    found = kms.list_data_keys().items
    assert [(info.id, info.state) for info in found] == [(first.id, "deactivated"), (new.id, "active")]
    assert kms.encrypt_data("y")["keyId"] == new.id
    assert kms.encrypt(b"y")[4:12] != blob[4:12]
    assert kms.decrypt(blob) == b"x"
    assert kms.decrypt_data(envelope) == "x"
    stream.seek(0)
    assert kms.decrypt_stream(stream, io.BytesIO()) == 1
    assert kms.get_secret("API_KEY").reveal() == "x"
    assert kms.rotate_secret("API_KEY", "y").version == 2
    assert [version.data_key for version in kms.list_versions("API_KEY").items] == [first.id, new.id]


@pytest.mark.parametrize("state", [KeyState.SUSPENDED, KeyState.COMPROMISED])
def test_a_key_in_a_state_that_permits_nothing_opens_nothing(kms: KMSService, state: KeyState) -> None:
    blob, envelope = kms.encrypt(b"x"), kms.encrypt_data("x")
    former = kms.node.ring.active()
    kms.rotate_data_key()
    with kms.node.write() as connection:
        SqliteDataKeys(connection).update(former._replace(state=state))
    announce(kms)
    for call in (lambda: kms.decrypt(blob), lambda: kms.decrypt_data(envelope)):
        with pytest.raises(KeyStateError, match=state.value):
            call()


# Rotation that comes by itself


def test_a_data_key_rotates_by_itself_at_its_age(opened: Open, clock: ManualClock) -> None:
    kms = opened(settings=replace(BY_HAND, data_key_max_age_ms=90 * DAY_MS)).kms
    clock.advance(90 * DAY_MS - 1)
    kms.node.maintain()
    assert len(kms.list_data_keys().items) == 1
    clock.advance(1)
    assert kms.list_data_keys().items[0].rotation_due == kms.get_status().rotation_due == "age"
    events = recorded(kms)
    kms.node.maintain()
    kms.node.maintain()
    new = f"default-{clock.now_ms()}"
    assert [info.state for info in kms.list_data_keys().items] == ["deactivated", "active"]
    assert [event for event in events if event[0] == "data_key_rotated"] == [
        ("data_key_rotated", f"data-key/{new}", "success")
    ]
    assert kms.get_status().rotation_due is None


def test_two_processes_that_find_rotation_due_rotate_once(opened: Open, clock: ManualClock) -> None:
    one, two = opened(), opened()
    clock.advance(90 * DAY_MS)
    two.kms.list_data_keys()
    one.kms.node.maintain()
    two.kms.node.maintain()
    assert [info.state for info in one.kms.list_data_keys().items] == ["deactivated", "active"]


def test_a_data_key_rotates_by_itself_at_its_number_of_messages(kms: KMSService) -> None:
    reserve_all_but(kms, MESSAGE_LIMIT - ROTATE_AT_MESSAGES)
    assert kms.list_data_keys().items[0].rotation_due == "messages"
    kms.node.maintain()
    assert [info.state for info in kms.list_data_keys().items] == ["deactivated", "active"]
    assert kms.encrypt_data("x")["keyId"] == kms.list_data_keys().items[1].id


def test_the_last_messages_are_made_and_then_envelopes_fail_with_their_own_error(kms: KMSService) -> None:
    reserve_all_but(kms, 5)
    for _ in range(5):
        kms.encrypt_data("x")
    with pytest.raises(KeyExhausted, match="rotate"):
        kms.encrypt_data("x")
    assert kms.decrypt(kms.encrypt(b"x")) == b"x"
    kms.rotate_data_key()
    assert kms.decrypt_data(kms.encrypt_data("x")) == "x"


def test_with_no_message_left_and_no_store_only_envelopes_fail(
    kms: KMSService, monkeypatch: pytest.MonkeyPatch
) -> None:
    blob, envelope = kms.encrypt(b"x"), kms.encrypt_data("x")

    def away(*_: object) -> int:
        raise StoreUnavailable("the disk is gone")

    monkeypatch.setattr(kms.node.caller_keys._allowance, "_reserve", away)
    monkeypatch.setattr(kms.node.caller_keys._allowance, "_in_background", lambda job: job())
    for _ in range(63):
        kms.encrypt_data("x")
    with pytest.raises(KeyExhausted, match="the disk is gone"):
        kms.encrypt_data("x")
    assert (kms.decrypt(blob), kms.decrypt_data(envelope)) == (b"x", "x")
    assert kms.decrypt(kms.encrypt(b"y")) == b"y"


# Counters


def test_blocks_are_reserved_before_use_and_double_so_that_nobody_waits(kms: KMSService) -> None:
    kms.encrypt_data("x")
    assert kms.list_data_keys().items[0].messages == 64
    for _ in range(40):
        kms.encrypt_data("x")
    assert within(lambda: kms.node.ring._rows().all()[0].reserved == 64 + 128)


def messages(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT max(reserved) FROM data_keys").fetchone()[0])


COUNTING = """
import os, sys, keystead
store = keystead.connect(sys.argv[1], master_key=sys.argv[2])
for number in range(int(sys.argv[3])):
    store.kms.encrypt_data("x")
    if number % 50 == 0:
        os.write(1, b"%d\\n" % number)
os.write(1, b"done\\n")
sys.stdin.read()
"""


def test_counters_survive_kill_9_and_only_over_count(opened: Open, path: Path, key: str) -> None:
    opened(clock=None).close()
    made, least = 0, 64
    for count in (1, 30, 500):
        process = subprocess.Popen(
            [sys.executable, "-c", COUNTING, str(path), key, str(count)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        while process.stdout.readline() not in (b"done\n", b""):
            pass
        process.send_signal(signal.SIGKILL)
        process.communicate()
        made += count
        least = max(least, made)
        assert messages(path) >= least
    store = opened(clock=None)
    before = messages(path)
    store.kms.encrypt_data("x")
    assert messages(path) == before + 64
    assert store.kms.list_data_keys().items[0].messages >= made + 64


def test_a_forked_child_reserves_messages_of_its_own(opened: Open, path: Path) -> None:
    store = opened(clock=None)
    for _ in range(10):
        store.kms.encrypt_data("x")
    assert messages(path) == 64
    child = os.fork()
    if child == 0:
        status = 1
        try:
            store.kms.encrypt_data("x")
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert messages(path) == 128
    store.kms.encrypt_data("x")
    assert messages(path) == 128


def test_an_edited_count_is_found(kms: KMSService, path: Path) -> None:
    from keystead.errors import IntegrityError

    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE data_keys SET reserved = 0, reserved_mac = zeroblob(32)")
        connection.commit()
    with pytest.raises(IntegrityError, match="count"):
        kms.encrypt_data("x")


# Destruction


def test_the_active_key_and_an_unknown_one_are_not_destroyed(kms: KMSService) -> None:
    with pytest.raises(KeyStateError, match="active"):
        kms.destroy_data_key(kms.list_data_keys().items[0].id)
    for unknown, error in (("default-1", DataKeyNotFound), ("", UsageError), ("x" * 1000, UsageError)):
        with pytest.raises(error):
            kms.destroy_data_key(unknown)
        with pytest.raises(error):
            kms.affected_by_destroying(unknown)
    assert [info.state for info in kms.list_data_keys().items] == ["active"]


def test_everything_under_a_key_is_named_before_it_is_destroyed(kms: KMSService) -> None:
    kms.store_secret("B", "1")
    kms.store_secret("A", "1")
    kms.store_secret("A", "2")
    former = kms.list_data_keys().items[0].id
    kms.rotate_data_key()
    kms.store_secret("A", "3")
    affected = kms.affected_by_destroying(former)
    assert (affected.key_id, affected.versions) == (former, [("A", 1), ("A", 2), ("B", 1)])


def test_a_destroyed_key_takes_all_that_it_encrypted_with_it(kms: KMSService, path: Path) -> None:
    blob, envelope, stream = kms.encrypt(b"x"), kms.encrypt_data("x"), io.BytesIO()
    kms.encrypt_stream(io.BytesIO(b"x"), stream)
    kms.store_secret("LOST", "x")
    kms.store_secret("KEPT", "x")
    assert (kms.decrypt(blob), kms.decrypt_data(envelope)) == (b"x", "x")
    with closing(sqlite3.connect(path)) as connection:
        (wrapped,) = connection.execute("SELECT wrapped FROM data_keys").fetchone()
        ciphertexts = [row[0] for row in connection.execute("SELECT ciphertext FROM secret_versions")]
    former = kms.list_data_keys().items[0].id
    material = kms.node.ring._materials[former]
    kms.rotate_data_key()
    kms.store_secret("KEPT", "y")
    events = recorded(kms)
    assert kms.destroy_data_key(former).state == "destroyed"
    stream.seek(0)
    for call in (
        lambda: kms.decrypt(blob),
        lambda: kms.decrypt_data(envelope),
        lambda: kms.decrypt_stream(stream, io.BytesIO()),
    ):
        with pytest.raises(KeyStateError, match="destroyed"):
            call()
    with pytest.raises(SecretDeleted):
        kms.get_secret("LOST")
    assert kms.get_secret("KEPT").reveal() == "y"
    assert kms.affected_by_destroying(former).versions == []
    with pytest.raises(KeyStateError):
        kms.destroy_data_key(former)
    assert material.forgotten
    files = b"".join(file.read_bytes() for file in path.parent.rglob("*") if file.is_file())
    assert [secret for secret in (wrapped, *(each[60:] for each in ciphertexts)) if secret in files] == []
    assert [event for event, _, outcome in events if outcome == "success" and event.startswith("data_key_")][:2] == [
        "data_key_scrubbing",
        "data_key_destroyed",
    ]


READING = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN")
connection.execute("SELECT count(*) FROM secrets").fetchone()
print("reading", flush=True)
sys.stdin.read()
connection.execute("ROLLBACK")
print("over", flush=True)
sys.stdin.read()
"""


def test_with_a_reader_of_another_process_in_the_way_the_key_is_scrubbing_and_destroyed_afterwards(
    opened: Open, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keystead.storage.sqlite.BUSY_SECONDS", 0.2)
    kms = opened().kms
    blob = kms.encrypt(b"x")
    kms.store_secret("LOST", "x")
    former = kms.list_data_keys().items[0].id
    kms.rotate_data_key()
    reader = subprocess.Popen(
        [sys.executable, "-c", READING, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert reader.stdout is not None
    assert reader.stdout.readline() == "reading\n"
    try:
        assert kms.destroy_data_key(former).state == "scrubbing"
        assert kms.list_data_keys().items[0].state == "scrubbing"
        with pytest.raises(KeyStateError, match="scrubbing"):
            kms.decrypt(blob)
        with pytest.raises(SecretDeleted):
            kms.get_secret("LOST")
        kms.node.maintain()
        assert kms.list_data_keys().items[0].state == "scrubbing"
    finally:
        reader.communicate()
    kms.node.maintain()
    assert kms.list_data_keys().items[0].state == "destroyed"


def test_scrubbing_is_resumed_at_the_next_open(opened: Open, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keystead.storage.sqlite.BUSY_SECONDS", 0.2)
    store = opened()
    former = store.kms.list_data_keys().items[0].id
    store.kms.rotate_data_key()
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM secrets").fetchone()
        assert store.kms.destroy_data_key(former).state == "scrubbing"
        store.close()
    again = opened()
    assert within(lambda: again.kms.list_data_keys().items[0].state == "destroyed")


def test_another_process_drops_a_destroyed_key_within_one_second(opened: Open, clock: ManualClock) -> None:
    store, other = opened(), opened()
    store.kms.store_secret("LOST", "x")
    blob, envelope = store.kms.encrypt(b"x"), store.kms.encrypt_data("x")
    former = store.kms.list_data_keys().items[0].id
    clock.advance(1000)
    assert (other.kms.decrypt(blob), other.kms.decrypt_data(envelope)) == (b"x", "x")
    assert other.secrets.get_secret("LOST").reveal() == "x"
    material = other.kms.node.ring._materials[former]
    store.kms.rotate_data_key()
    store.kms.destroy_data_key(former)
    clock.advance(1000)
    for call in (lambda: other.kms.decrypt(blob), lambda: other.kms.decrypt_data(envelope)):
        with pytest.raises(KeyStateError):
            call()
    with pytest.raises(SecretDeleted):
        other.secrets.get_secret("LOST")
    assert material.forgotten


def test_references_that_are_made_up_open_nothing_and_evict_nothing(store: Connection) -> None:
    blob = store.kms.encrypt(b"x")
    assert store.kms.decrypt(blob) == b"x"
    kept = dict(store.kms.node.ring._reading)
    for number in range(300):
        forged = blob[:4] + number.to_bytes(8, "big") + blob[12:]
        with pytest.raises(DecryptionError):
            store.kms.decrypt(forged)
        salted = blob[:12] + number.to_bytes(16, "big") + blob[28:]
        with pytest.raises(KeysteadError):
            store.kms.decrypt(salted)
    assert dict(store.kms.node.ring._reading) == kept
    assert store.kms.decrypt(blob) == b"x"


def test_a_header_that_another_process_wrote_is_kept_only_after_a_tag_was_verified(store: Connection) -> None:
    ring = store.kms.node.ring
    others = [ring.sealing_key(Purpose.CALLER)[1].seal(b"x", b"") for _ in range(3)]
    kept = dict(ring._reading)
    for blob in others:
        with pytest.raises(DecryptionError):
            store.kms.decrypt(blob[:-1] + bytes([blob[-1] ^ 1]))
    assert dict(ring._reading) == kept
    assert [store.kms.decrypt(blob) for blob in others] == [b"x"] * 3
    assert len(ring._reading) == len(kept) + 3

"""A new root key, and what a process does that still holds the old one."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tests.services.conftest import Open

from keystead.errors import DecryptionError, Sealed, UsageError, WrongMasterKey
from keystead.seal.master_key import generate_master_key, parse_master_key
from keystead.seal.slots import SlotInfo
from keystead.services.connection import Connection
from keystead.services.kms import KMSService
from keystead.testing import ManualClock


def rekey(kms: KMSService, key: str) -> tuple[SlotInfo, ...]:
    credential = parse_master_key(key, source="a test")
    return kms.rekey({slot.id: credential for slot in kms.slots.list().items})


def by_label(kms: KMSService) -> list[SlotInfo]:
    return sorted(kms.slots.list().items, key=lambda slot: slot.label)


def wrappings(path: Path) -> list[bytes]:
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT wrapped FROM data_keys WHERE wrapped IS NOT NULL ORDER BY rowid")
        return [wrapped for (wrapped,) in rows]


def test_rekey_rewraps_the_data_keys_and_rewrites_no_secret(opened: Open, path: Path, key: str) -> None:
    kms = opened().kms
    kms.store_secret("API_KEY", "x")
    kms.rotate_data_key()
    blob, envelope, before = kms.encrypt(b"x"), kms.encrypt_data("x"), wrappings(path)
    with closing(sqlite3.connect(path)) as connection:
        secrets = connection.execute("SELECT * FROM secret_versions").fetchall()
    rekey(kms, key)
    after = wrappings(path)
    assert len(after) == 2
    assert set(before) & set(after) == set()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT * FROM secret_versions").fetchall() == secrets
    again = opened()
    for store in (kms, again.kms):
        assert store.get_secret("API_KEY").reveal() == "x"
        assert (store.decrypt(blob), store.decrypt_data(envelope)) == (b"x", "x")
        assert store.get_status().notices == store.notices
        assert not any("root key" in notice for notice in store.notices)
    assert again.kms.rotate_data_key().state == "active"
    assert kms.store_secret("API_KEY", "y").version == 2


def test_rekey_asks_for_every_slot_or_for_its_name_to_drop_it(opened: Open, key: str, path: Path) -> None:
    kms = opened().kms
    second = generate_master_key()
    kms.slots.add(parse_master_key(second, source="a test"), label="second")
    first, other = by_label(kms)
    credential = parse_master_key(key, source="a test")
    before = wrappings(path)
    with pytest.raises(UsageError, match="second"):
        kms.rekey({first.id: credential})
    with pytest.raises((WrongMasterKey, DecryptionError)):
        kms.rekey({first.id: credential, other.id: credential})
    with pytest.raises(UsageError, match="no slot"):
        kms.rekey({}, drop=[first.id, other.id])
    assert wrappings(path) == before
    assert [slot.label for slot in kms.rekey({first.id: credential}, drop=["second"])] == ["master key"]
    with pytest.raises(WrongMasterKey):
        opened(master_key=second)
    assert opened().kms.get_status().initialized


def test_rekey_without_credentials_opens_the_slot_that_the_store_was_opened_by(opened: Open, path: Path) -> None:
    kms = opened().kms
    before = wrappings(path)
    assert [slot.label for slot in kms.rekey()] == ["master key"]
    assert wrappings(path) != before
    kms.slots.add(parse_master_key(generate_master_key(), source="a test"), label="second")
    with pytest.raises(UsageError, match="second"):
        kms.rekey()
    assert [slot.label for slot in kms.rekey(drop=["second"])] == ["master key"]
    assert opened().kms.get_status().initialized


WRAPPING: dict[str, Callable[[Connection], object]] = {
    "rotating the data key": lambda store: store.kms.rotate_data_key(),
    "adding a slot": lambda store: store.kms.slots.add(
        parse_master_key(generate_master_key(), source="a test"), label="another"
    ),
    "removing a slot": lambda store: store.kms.slots.remove("second"),
    "another rekey": lambda store: store.kms.rekey({}, drop=["second"]),
}


@pytest.mark.parametrize("seen", [False, True], ids=["before it is seen", "after it is seen"])
@pytest.mark.parametrize("change", WRAPPING)
def test_after_a_rekey_by_another_process_this_one_says_to_open_again_and_writes_nothing_under_the_old_root(
    opened: Open, path: Path, key: str, clock: ManualClock, change: str, seen: bool
) -> None:
    store, other = opened(), opened()
    second = parse_master_key(generate_master_key(), source="a test")
    store.kms.slots.add(second, label="second")
    first, added = by_label(store.kms)
    store.kms.store_secret("API_KEY", "x")
    blob = store.kms.encrypt(b"x")
    clock.advance(1000)
    store.kms.get_status()
    other.kms.rekey({first.id: parse_master_key(key, source="a test"), added.id: second})
    before = wrappings(path)
    clock.advance(1000 if seen else 0)
    for _ in range(2):
        with pytest.raises(Sealed, match="open the store again"):
            WRAPPING[change](store)
    assert wrappings(path) == before
    assert (store.kms.decrypt(blob), store.kms.get_secret("API_KEY").reveal()) == (b"x", "x")
    again = opened()
    assert [info.state for info in again.kms.list_data_keys().items] == ["active"]
    assert again.kms.get_secret("API_KEY").reveal() == "x"
    assert len(again.kms.slots.list().items) == 2


def test_what_was_unwrapped_before_goes_on_and_what_was_not_says_to_open_again(
    opened: Open, key: str, clock: ManualClock
) -> None:
    store, other = opened(), opened()
    blob = store.kms.encrypt(b"x")
    store.kms.store_secret("API_KEY", "x")
    clock.advance(1000)
    rekey(other.kms, key)
    other.kms.rotate_data_key()
    new = other.kms.encrypt(b"y")
    other.kms.store_secret("NEW", "y")
    clock.advance(1000)
    assert store.kms.decrypt(blob) == b"x"
    assert store.secrets.get_secret("API_KEY").reveal() == "x"
    for call in (
        lambda: store.kms.decrypt(new),
        lambda: store.kms.encrypt(b"z"),
        lambda: store.kms.encrypt_data("z"),
        lambda: store.kms.get_secret("NEW"),
        lambda: store.kms.store_secret("API_KEY", "z"),
        lambda: store.kms.encrypt_stream(io.BytesIO(b"z"), io.BytesIO()),
    ):
        with pytest.raises(Sealed, match="open the store again"):
            call()
    status = store.kms.get_status()
    assert status.master_key_present is False
    assert any("open the store again" in notice for notice in status.notices)
    store.close()
    assert store.kms.initialize().decrypt(new) == b"y"

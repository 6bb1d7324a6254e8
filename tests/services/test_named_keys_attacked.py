"""Named keys and callers and files that mean no good: forged backups, names behind aliases, odd arguments, old rows."""

from __future__ import annotations

import contextlib
import copy
import itertools
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.services.conftest import DAY_MS, Open, recorded

import keystead
from keystead.access.principal import Principal
from keystead.errors import (
    AlreadyExists,
    BackupError,
    DecryptionError,
    IntegrityError,
    KeyNotFound,
    KeyStateError,
    UsageError,
)
from keystead.keys.named.form import NewKey
from keystead.keys.named.portable import _opened, _sealed
from keystead.keys.named.ports import AliasRow
from keystead.services.connection import Connection
from keystead.services.kms import KMSService
from keystead.services.named_keys import NamedKeyOperations
from keystead.storage.named_keys import SqliteNamedKeys
from keystead.testing import ManualClock

PHRASE = "correct horse battery staple"
CONTEXT = {"user": "ada"}


@pytest.fixture
def keys(store: Connection) -> NamedKeyOperations:
    return store.kms.keys


@pytest.fixture
def stranger(store: Connection) -> NamedKeyOperations:
    """The keys of a store as somebody sees them who may do nothing."""
    face = KMSService.on(store.kms.node)
    face._bound = store.kms.node.open_session(Principal("remote", "eve"))
    return face.keys


# Backups of one key


def head(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["head"].update(fields)


def version(at: int, **fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["versions"][at].update(fields)


FORGERIES: list[Callable[[dict[str, Any]], None]] = [
    head(state="bogus"),
    head(state="destroyed"),
    head(usage="bogus"),
    head(usage="mac"),
    head(type="rsa-2048", usage="sign"),
    head(type="rsa-4096", usage="import"),
    head(deterministic=True),
    head(exportable="no"),
    head(exportable=False),
    head(min_encrypt=7),
    head(min_decrypt=0),
    head(latest="x"),
    head(latest=1),
    head(tags="{oops"),
    head(tags="[1]"),
    head(description=[1]),
    head(rotation_ms=1),
    head(rotation_ms=-1),
    head(origin="imported", rotation_ms=30 * DAY_MS),
    head(origin="elsewhere"),
    head(destroy_ms=1),
    head(key_id="x" * 5000),
    head(key_id=5),
    head(created_ms=1 << 70),
    head(epoch=(1 << 63) - 1),
    head(name="a*b"),
    head(more=1),
    lambda content: content["head"].pop("state"),
    version(1, material="AAAAAAAAAAAAAAAAAAAAAA=="),
    version(1, material="?"),
    version(1, reference="00"),
    version(1, salt="00"),
    version(1, version=1),
    version(1, version=-1),
    version(1, version="2"),
    version(1, public="00"),
    lambda content: content["versions"][1].update(reference=content["versions"][0]["reference"]),
    lambda content: content.update(versions=[]),
    lambda content: content.update(versions=5),
    lambda content: content.update(head=[]),
]


def test_nothing_of_a_forged_backup_comes_into_the_store(store: Connection, opened: Open, tmp_path: Path) -> None:
    keys = store.kms.keys
    keys.create("orders", exportable=True, rotation="30d")
    keys.rotate("orders")
    content = _opened(keys.backup("orders", passphrase=PHRASE), PHRASE)
    there = keystead.connect(tmp_path / "there.db", master_key=keystead.generate_master_key())
    for number, forge in enumerate(FORGERIES):
        forged = copy.deepcopy(content)
        forge(forged)
        with pytest.raises(BackupError):
            there.kms.keys.restore(_sealed(forged, PHRASE), passphrase=PHRASE)
            pytest.fail(f"forgery {number} was restored")
    assert there.kms.keys.list().items == []
    assert there.kms.keys.restore(_sealed(content, PHRASE), passphrase=PHRASE).version == 2
    assert there.kms.audit.verify().ok
    there.close()


def test_a_public_key_in_a_backup_is_that_of_its_private_key(store: Connection, tmp_path: Path) -> None:
    keys = store.kms.keys
    for name in ("mine", "evil"):
        keys.create(name, type="ed25519", exportable=True)
    mine, evil = (_opened(keys.backup(name, passphrase=PHRASE), PHRASE) for name in ("mine", "evil"))
    mine["versions"][0]["public"] = evil["versions"][0]["public"]
    there = keystead.connect(tmp_path / "there.db", master_key=keystead.generate_master_key())
    with pytest.raises(BackupError):
        there.kms.keys.restore(_sealed(mine, PHRASE), passphrase=PHRASE)
    assert there.kms.keys.restore(_sealed(evil, PHRASE), passphrase=PHRASE).type == "ed25519"
    there.close()


def test_a_restore_does_not_take_the_references_of_another_key(store: Connection, tmp_path: Path) -> None:
    keys = store.kms.keys
    keys.create("orders", exportable=True)
    keys.create("other", exportable=True)
    content = _opened(keys.backup("orders", passphrase=PHRASE), PHRASE)
    content["head"]["key_id"] = "00000000-0000-4000-8000-000000000000"
    with pytest.raises(AlreadyExists, match="maybe under another name"):
        keys.restore(_sealed(content, PHRASE), passphrase=PHRASE, name="new")


def test_a_failed_restore_is_recorded(store: Connection) -> None:
    events = recorded(store.kms)
    with pytest.raises(BackupError):
        store.kms.keys.restore(b"no backup", passphrase=PHRASE, name="orders")
    assert ("key_restored", "key/orders", "failed") in events


# Names that a caller may not know


def test_a_stranger_who_knows_an_alias_is_not_told_which_key_it_stands_for(
    keys: NamedKeyOperations, stranger: NamedKeyOperations
) -> None:
    keys.create("orders-2026", exportable=True)
    keys.set_alias("orders", "orders-2026")
    blob = keys.encrypt("orders", b"data")
    calls: list[Callable[[], Any]] = [
        lambda: stranger.read("orders"),
        lambda: stranger.versions("orders"),
        lambda: stranger.encrypt("orders", b"x"),
        lambda: stranger.decrypt("orders", blob),
        lambda: stranger.rotate("orders"),
        lambda: stranger.export("orders"),
        lambda: stranger.backup("orders", passphrase=PHRASE),
        lambda: stranger.set_alias("orders", "orders"),
        lambda: stranger.remove_alias("orders"),
        lambda: stranger.import_key("new", b"x", wrapping_key="orders"),
    ]
    for call in calls:
        with pytest.raises(KeyNotFound) as caught:
            call()
        shown: BaseException | None = caught.value
        while shown is not None:
            assert "orders-2026" not in str(shown)
            shown = shown.__context__
        assert str(caught.value) == "no key 'orders' in this store; next: keystead key list"
        assert caught.value.refused


def test_a_ciphertext_does_not_tell_a_stranger_whose_it_is(
    keys: NamedKeyOperations, stranger: NamedKeyOperations
) -> None:
    keys.create("orders")
    blob = keys.encrypt("orders", b"data")
    of_none = blob[:4] + bytes(8) + blob[12:]
    told = []
    for given in (blob, of_none):
        with pytest.raises(DecryptionError) as caught:
            stranger.owner(given)
        told.append(str(caught.value))
    assert told[0] == told[1]


# Odd arguments


def test_what_a_key_does_not_take_is_refused_and_not_passed_over(keys: NamedKeyOperations) -> None:
    keys.create("orders")
    keys.create("box", type="rsa-2048", usage="encrypt")
    blob, block = keys.encrypt("orders", b"data"), keys.encrypt("box", b"data")
    keys.rotate("orders")
    with pytest.raises(UsageError, match="fixes how it encrypts"):
        keys.decrypt("orders", blob, algorithm="rsaes-oaep-sha-1")
    with pytest.raises(KeyNotFound, match="no version 9"):
        keys.decrypt("orders", blob, version=9)
    with pytest.raises(DecryptionError):
        keys.decrypt("orders", blob, version=2)
    assert keys.decrypt("orders", blob, version=1) == b"data"
    with pytest.raises(UsageError, match="binds no context"):
        keys.decrypt("box", block, context=CONTEXT)
    with pytest.raises(UsageError, match="binds no context"):
        keys.reencrypt("box", block, context=CONTEXT)
    for number in (True, 1.0, "1", 0, -1, []):
        with pytest.raises(UsageError, match="not a version"):
            keys.encrypt("orders", b"x", version=number)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["ecdh-p999", "ml-kem-512", "aes-256-gcm", "hmac-sha-256", "", None, [], 5])
def test_what_is_no_type_of_key_pair_is_a_usage_error(keys: NamedKeyOperations, kind: Any) -> None:
    keys.create("orders")
    with pytest.raises(UsageError, match="not a type of key pair"):
        keys.generate_data_key_pair("orders", kind)


def test_values_of_other_types_are_usage_errors(keys: NamedKeyOperations) -> None:
    keys.create("orders")
    calls: list[Callable[[Any], Any]] = [
        lambda _: keys.create("new", exportable="yes"),  # type: ignore[arg-type]
        lambda _: keys.create("new", type="aes-256-gcm-siv", deterministic=1),  # type: ignore[arg-type]
        lambda _: keys.schedule_destruction("orders", days=7.0),  # type: ignore[arg-type]
        lambda _: keys.digest(b"x", algorithm=[]),  # type: ignore[arg-type]
        lambda _: keystead.wrap_for_import("pem", "text"),  # type: ignore[arg-type]
        lambda _: keystead.wrap_for_import(None, b"x"),  # type: ignore[arg-type]
        lambda _: keys.restore(b"ksk\x01" + bytes(200), passphrase=None),  # type: ignore[arg-type]
    ]
    for call in calls:
        with pytest.raises(UsageError):
            call(None)
    assert keys.read("orders").state == "active"


def test_a_batch_reads_no_more_items_than_it_may_do(keys: NamedKeyOperations) -> None:
    keys.create("codes", type="hmac-sha-256")
    read = itertools.count()

    def endless() -> Iterator[dict[str, bytes]]:
        while next(read) < 5000:
            yield {"message": b""}

    with pytest.raises(UsageError, match="1 to 1,000"):
        keys.batch("mac", "codes", endless())
    assert next(read) == 1001


def test_rsa_ciphertexts_are_reencrypted_by_the_algorithms_that_are_asked_for(keys: NamedKeyOperations) -> None:
    keys.create("box", type="rsa-2048", usage="encrypt")
    keys.create("orders")
    old = keys.encrypt("box", b"data", algorithm="rsaes-oaep-sha-1")
    new = keys.reencrypt("box", old, algorithm="rsaes-oaep-sha-1", to_algorithm="rsaes-oaep-sha-256")
    assert keys.decrypt("box", new) == b"data"
    moved = keys.reencrypt("box", old, to="orders", algorithm="rsaes-oaep-sha-1", to_context=CONTEXT)
    assert keys.decrypt("orders", moved, context=CONTEXT) == b"data"
    with pytest.raises(UsageError, match="fixes how it encrypts"):
        keys.reencrypt("box", new, to="orders", to_algorithm="rsaes-oaep-sha-1")


def test_imported_material_is_zeroed_whether_it_was_taken_or_not(store: Connection) -> None:
    manager, session = store.kms.node.named.manager, store.kms._session
    for name, length in (("orders", 32), ("orders", 32), ("no name*", 32), ("other", 31)):
        material = bytearray(range(1, length + 1))
        with contextlib.suppress(AlreadyExists, UsageError):
            manager.create(session, name, NewKey("aes-256-gcm"), material)
        assert material == bytes(length)
    for name, length in (("orders", 32), ("orders", 31), ("nothing", 32)):
        material = bytearray(range(2, length + 2))
        with contextlib.suppress(KeyNotFound, UsageError):
            manager.rotate(session, name, material)
        assert material == bytes(length)
    assert store.kms.keys.read("orders").version == 2


# States


def test_nothing_is_opened_while_a_destruction_waits_and_a_deactivated_key_is_so_again(
    keys: NamedKeyOperations,
) -> None:
    keys.create("orders")
    blob = keys.encrypt("orders", b"data")
    keys.deactivate("orders")
    assert keys.schedule_destruction("orders", days=7).state == "suspended"
    assert keys.read("orders").state == keys.versions("orders").items[0].state == "suspended"
    with pytest.raises(KeyStateError, match="is suspended"):
        keys.decrypt("orders", blob)
    assert keys.cancel_destruction("orders").state == "deactivated"
    assert keys.decrypt("orders", blob) == b"data"
    with pytest.raises(KeyStateError):
        keys.encrypt("orders", b"data")


def test_a_deactivated_key_still_gives_what_others_data_is_opened_with(keys: NamedKeyOperations) -> None:
    keys.create("orders")
    keys.create("meet", type="ecdh-p256")
    keys.create("peer", type="ecdh-p256")
    peer = keys.public_key("peer").der
    derived, agreed = keys.derive("orders", CONTEXT), keys.agree("meet", peer)
    keys.rotate("orders")
    keys.configure("orders", min_encrypt=2)
    assert keys.derive("orders", CONTEXT, version=1) == derived
    keys.deactivate("orders")
    keys.deactivate("meet")
    assert keys.derive("orders", CONTEXT, version=1) == derived
    assert keys.agree("meet", peer) == agreed


@pytest.mark.parametrize("description", ["edited", b"of another type"])
def test_one_key_that_was_edited_keeps_no_other_from_what_is_due(
    opened: Open, clock: ManualClock, path: Path, description: str | bytes
) -> None:
    store = opened()
    for name in ("a", "b", "c"):
        store.kms.keys.create(name, rotation="30d")
    store.kms.keys.schedule_destruction("c", days=7)
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE named_keys SET description = ? WHERE name = 'a'", (description,))
    clock.advance(400 * DAY_MS)
    with pytest.raises(IntegrityError, match=r"record of (key a|a named key)"):
        store.kms.node.maintain()
    assert store.kms.keys.read("b").version == 2
    assert store.kms.keys.read("c").state == "destroyed"
    assert len(store.kms.list_data_keys().items) == 2
    opened().close()


# Aliases


def test_a_key_has_no_more_aliases_by_moving_them_to_it(keys: NamedKeyOperations) -> None:
    keys.create("a")
    keys.create("b")
    for number in range(50):
        keys.set_alias(f"alias-{number}", "a")
    keys.set_alias("mine", "b")
    for alias in ("mine", "new"):
        with pytest.raises(UsageError, match="at most 50"):
            keys.set_alias(alias, "a")
    assert keys.set_alias("alias-0", "a").name == "a"
    assert keys.read("mine").name == "b"


def test_an_old_alias_put_back_and_one_taken_out_are_named_by_verify(opened: Open, path: Path) -> None:
    store = opened()
    for name in ("a", "b"):
        store.kms.keys.create(name)
    store.kms.keys.set_alias("current", "a")
    store.kms.keys.set_alias("gone", "a")
    with sqlite3.connect(path) as raw:
        old = raw.execute("SELECT alias, key_id, mac FROM key_aliases WHERE alias = 'current'").fetchone()
    store.kms.keys.set_alias("current", "b")
    store.kms.keys.remove_alias("gone")
    assert store.kms.audit.verify().ok
    for edit, values in (
        ("INSERT OR REPLACE INTO key_aliases VALUES (?, ?, ?)", old),
        ("DELETE FROM key_aliases", ()),
    ):
        with sqlite3.connect(path) as raw:
            raw.execute(edit, values)
        report = store.kms.audit.verify()
        assert not report.ok
        assert "alias/current" in str(report.problems)


def test_an_alias_of_a_record_that_told_no_digest_is_known_to_verify(store: Connection, path: Path) -> None:
    """As the first records of aliases were; what came after them is compared as ever."""
    store.kms.keys.create("a")
    node = store.kms.node
    head = node.named.ring.find("a").head
    mac = node.named.manager.binder().alias_mac("old", head.key_id)
    with node.gate.change(node.system, "key:alias", "key/a", "key_alias_set") as change:
        SqliteNamedKeys(change.transaction).put_alias(AliasRow("old", head.key_id, mac))
        change.detail.update(alias="old", head=head.digest)
    assert store.kms.audit.verify().ok
    with sqlite3.connect(path) as raw:
        raw.execute("DELETE FROM key_aliases")
    assert "alias/old is gone" in str(store.kms.audit.verify().problems)

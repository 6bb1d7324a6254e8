"""`kms.keys`: named keys through the public face, on a real store."""

from __future__ import annotations

import itertools
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.services.conftest import DAY_MS, Open, recorded

import keystead
from keystead.crypto.asymmetric import generate, load_public
from keystead.crypto.importing import wrap_for_import
from keystead.crypto.types import ENCRYPTION, SIGNING, KeyType
from keystead.errors import (
    AlreadyExists,
    BackupError,
    DataKeyNotFound,
    DecryptionError,
    Denied,
    EnvelopeError,
    IntegrityError,
    KeyNotFound,
    KeyStateError,
    KeysteadError,
    UsageError,
)
from keystead.keys.named import manage
from keystead.keys.named.rules import HMAC, RSA, SYMMETRIC, USAGES, Operation, Usage, operations
from keystead.services.connection import Connection
from keystead.services.named_keys import NamedKeyOperations
from keystead.testing import ManualClock

CONTEXT = {"user": "ada", "table": "orders"}
PHRASE = "correct horse battery staple"


@pytest.fixture
def keys(store: Connection) -> NamedKeyOperations:
    return store.kms.keys


@pytest.mark.parametrize("kind", sorted(SYMMETRIC))
def test_what_is_encrypted_opens_with_its_key_and_context_and_with_no_other(
    keys: NamedKeyOperations, kind: KeyType
) -> None:
    keys.create("orders", type=kind)
    keys.create("other", type=kind)
    blob = keys.encrypt("orders", b"data", context=CONTEXT)
    assert keys.decrypt("orders", blob, context=CONTEXT) == b"data"
    assert keys.encrypt("orders", b"data", context=CONTEXT) != blob
    assert keys.owner(blob).name == "orders"
    for name, context in (("other", CONTEXT), ("orders", None), ("orders", {**CONTEXT, "user": "eve"})):
        with pytest.raises(DecryptionError):
            keys.decrypt(name, blob, context=context)
    for at in range(0, len(blob), 7):
        flipped = blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :]
        with pytest.raises((DecryptionError, EnvelopeError)):
            keys.decrypt("orders", flipped, context=CONTEXT)


def test_no_ciphertext_of_a_named_key_opens_as_one_of_a_data_key_or_the_other_way_round(store: Connection) -> None:
    store.kms.keys.create("orders")
    with pytest.raises(DecryptionError):
        store.kms.decrypt(store.kms.keys.encrypt("orders", b"data"))
    with pytest.raises(DecryptionError):
        store.kms.keys.decrypt("orders", store.kms.encrypt(b"data"))


def test_a_deterministic_key_gives_the_same_for_the_same_and_another_for_another(keys: NamedKeyOperations) -> None:
    keys.create("search", type="aes-256-gcm-siv", deterministic=True)
    first = keys.encrypt("search", b"ada@example.org", context=CONTEXT)
    assert keys.encrypt("search", b"ada@example.org", context=CONTEXT) == first
    assert keys.encrypt("search", b"eve@example.org", context=CONTEXT) != first
    assert keys.encrypt("search", b"ada@example.org") != first
    assert keys.decrypt("search", first, context=CONTEXT) == b"ada@example.org"
    with pytest.raises(UsageError, match="deterministic"):
        keys.create("no", type="aes-256-gcm", deterministic=True)


@pytest.mark.parametrize("kind", sorted(SIGNING.keys() - RSA))
def test_a_signature_verifies_and_nothing_near_it_does(keys: NamedKeyOperations, kind: KeyType) -> None:
    keys.create("signer", type=kind)
    made = keys.sign("signer", b"message")
    assert keys.verify("signer", b"message", made.signature)
    assert not keys.verify("signer", b"massage", made.signature)
    assert not keys.verify("signer", b"message", made.signature[:-1] + bytes([made.signature[-1] ^ 1]))
    keys.rotate("signer")
    assert keys.verify("signer", b"message", made.signature)
    assert not keys.verify("signer", b"message", made.signature, version=2)
    public = load_public(kind, keys.public_key("signer", version=1).der)
    assert public.verify(b"message", made.signature, SIGNING[kind][0])


def test_rsa_keys_are_for_one_thing_and_do_each_of_its_algorithms(keys: NamedKeyOperations) -> None:
    keys.create("signer", type="rsa-2048")
    keys.create("box", type="rsa-2048", usage="encrypt")
    for algorithm in SIGNING[KeyType.RSA_2048]:
        made = keys.sign("signer", b"message", algorithm=algorithm)
        assert made.algorithm == algorithm
        assert keys.verify("signer", b"message", made.signature, algorithm=algorithm)
    for algorithm in ENCRYPTION[KeyType.RSA_2048]:
        blob = keys.encrypt("box", b"data", algorithm=algorithm)
        assert keys.decrypt("box", blob, algorithm=algorithm) == b"data"
    old = keys.encrypt("box", b"data")
    keys.rotate("box")
    assert keys.decrypt("box", old) == b"data"
    with pytest.raises(UsageError, match="cannot encrypt"):
        keys.encrypt("signer", b"data")
    with pytest.raises(UsageError, match="cannot sign"):
        keys.sign("box", b"message")
    with pytest.raises(DecryptionError):
        keys.decrypt("box", bytes(256))


@pytest.mark.parametrize("kind", sorted(HMAC))
def test_a_mac_verifies_whole_and_across_rotations(keys: NamedKeyOperations, kind: KeyType) -> None:
    keys.create("mac", type=kind)
    made = keys.mac("mac", b"message")
    assert keys.verify_mac("mac", b"message", made.mac)
    assert not keys.verify_mac("mac", b"message", made.mac[:16])
    keys.rotate("mac")
    assert keys.mac("mac", b"message").version == 2
    assert keys.verify_mac("mac", b"message", made.mac)
    keys.configure("mac", min_encrypt=2, min_decrypt=2)
    assert not keys.verify_mac("mac", b"message", made.mac)


@pytest.mark.parametrize("kind", ["ml-kem-768", "ml-kem-1024"])
def test_encapsulation_gives_both_sides_one_secret(keys: NamedKeyOperations, kind: str) -> None:
    keys.create("kem", type=kind)
    made = keys.encapsulate("kem")
    assert keys.decapsulate("kem", made.ciphertext) == made.secret
    assert keys.decapsulate("kem", bytes(len(made.ciphertext))) != made.secret
    with pytest.raises(KeysteadError):
        keys.decapsulate("kem", b"short")


@pytest.mark.parametrize("kind", ["ecdh-p256", "ecdh-p384", "ecdh-p521"])
def test_two_keys_agree_on_one_secret(keys: NamedKeyOperations, kind: str) -> None:
    keys.create("a", type=kind)
    keys.create("b", type=kind)
    assert keys.agree("a", keys.public_key("b").der) == keys.agree("b", keys.public_key("a").der)
    keys.create("signer", type="ed25519")
    with pytest.raises(UsageError):
        keys.agree("a", keys.public_key("signer").der)


def test_a_data_key_comes_in_both_forms_or_only_encrypted(keys: NamedKeyOperations) -> None:
    keys.create("orders")
    made = keys.generate_data_key("orders", length=64, context=CONTEXT)
    assert keys.decrypt("orders", made.ciphertext, context=CONTEXT) == made.plaintext
    assert keys.generate_data_key("orders", with_plaintext=False).plaintext is None
    pair = keys.generate_data_key_pair("orders", "ecdsa-p256", context=CONTEXT)
    assert keys.decrypt("orders", pair.ciphertext, context=CONTEXT) == pair.plaintext
    assert pair.public is not None
    assert repr(made.plaintext)[2:-1] not in repr(made)
    assert len(keys.generate_data_key("orders", length=1).plaintext or b"") == 1
    for length in (0, 1025, True):
        with pytest.raises(UsageError):
            keys.generate_data_key("orders", length=length)


def test_derivation_gives_the_same_for_the_same_context_and_needs_one(keys: NamedKeyOperations) -> None:
    keys.create("orders")
    derived = keys.derive("orders", CONTEXT, length=48)
    assert len(derived) == 48
    assert keys.derive("orders", dict(reversed(CONTEXT.items())), length=48) == derived
    assert keys.derive("orders", {"user": "eve"}, length=48) != derived
    keys.rotate("orders")
    assert keys.derive("orders", CONTEXT, length=48) != derived
    assert keys.derive("orders", CONTEXT, length=48, version=1) == derived
    with pytest.raises(UsageError, match="context"):
        keys.derive("orders", None)


def test_reencryption_moves_to_the_newest_version_another_key_and_another_context(keys: NamedKeyOperations) -> None:
    keys.create("old")
    keys.create("new")
    blob = keys.encrypt("old", b"data", context=CONTEXT)
    keys.rotate("old")
    again = keys.reencrypt("old", blob, context=CONTEXT)
    keys.configure("old", min_encrypt=2, min_decrypt=2)
    assert keys.decrypt("old", again, context=CONTEXT) == b"data"
    with pytest.raises(KeyStateError, match="below its min_decrypt"):
        keys.decrypt("old", blob, context=CONTEXT)
    moved = keys.reencrypt("old", again, to="new", context=CONTEXT, to_context={"user": "eve"})
    assert keys.decrypt("new", moved, context={"user": "eve"}) == b"data"


# Versions, aliases, settings


def test_a_minimum_is_never_beyond_the_primary_version(keys: NamedKeyOperations) -> None:
    keys.create("orders")
    keys.rotate("orders")
    for encrypt, decrypt in ((3, 1), (1, 2), (0, 0), (3, 3)):
        with pytest.raises(UsageError):
            keys.configure("orders", min_encrypt=encrypt, min_decrypt=decrypt)
    with pytest.raises(KeyNotFound, match="no version 3"):
        keys.encrypt("orders", b"x", version=3)
    assert keys.decrypt("orders", keys.encrypt("orders", b"x", version=1)) == b"x"
    keys.configure("orders", min_encrypt=2)
    with pytest.raises(KeyStateError, match="min_encrypt"):
        keys.encrypt("orders", b"x", version=1)


def test_an_alias_stands_for_one_key_and_moves_between_keys_of_a_kind(keys: NamedKeyOperations) -> None:
    keys.create("orders-2026")
    keys.create("orders-2027")
    keys.create("signer", type="ed25519")
    assert keys.set_alias("orders", "orders-2026").aliases == ("orders",)
    blob = keys.encrypt("orders", b"data")
    assert keys.decrypt("orders-2026", blob) == b"data"
    keys.set_alias("orders", "orders-2027")
    with pytest.raises(DecryptionError):
        keys.decrypt("orders", blob)
    with pytest.raises(UsageError, match="another type"):
        keys.set_alias("orders", "signer")
    for taken in ("orders-2026", "orders"):
        with pytest.raises(AlreadyExists):
            keys.create(taken)
    with pytest.raises(AlreadyExists):
        keys.set_alias("signer", "orders-2026")
    keys.remove_alias("orders")
    with pytest.raises(KeyNotFound):
        keys.encrypt("orders", b"data")


def test_what_is_authorized_and_recorded_is_the_key_and_not_its_alias(store: Connection) -> None:
    keys = store.kms.keys
    keys.create("orders-2026")
    keys.set_alias("orders", "orders-2026")
    events = recorded(store.kms)
    keys.encrypt("orders", b"data")
    assert ("key_encrypted", "key/orders-2026", "success") in events


def test_keys_are_listed_in_pages_by_name(keys: NamedKeyOperations) -> None:
    for name in ("b", "a/1", "a/2", "c"):
        keys.create(name)
    page = keys.list(limit=2)
    assert ([info.name for info in page.items], page.next) == (["a/1", "a/2"], "a/2")
    assert [info.name for info in keys.list(limit=2, after=page.next).items] == ["b", "c"]
    assert [info.name for info in keys.list("a/").items] == ["a/1", "a/2"]
    assert [info.version for info in keys.versions("a/1").items] == [1]


@pytest.mark.parametrize("name", ["", "/a", "a//b", "a/../b", ".", "a b", "a\n", "é", "x" * 257, 7, None])
def test_a_name_that_is_none_is_a_usage_error_everywhere(keys: NamedKeyOperations, name: Any) -> None:
    for call in (keys.create, keys.read, keys.rotate, keys.suspend):
        with pytest.raises(UsageError):
            call(name)


# Life


def test_a_suspended_key_does_nothing_and_a_resumed_one_all_again(keys: NamedKeyOperations) -> None:
    keys.create("orders")
    blob = keys.encrypt("orders", b"data")
    keys.suspend("orders")
    for call in (lambda: keys.encrypt("orders", b"x"), lambda: keys.decrypt("orders", blob)):
        with pytest.raises(KeyStateError, match="suspended"):
            call()
    with pytest.raises(KeyStateError):
        keys.rotate("orders")
    keys.resume("orders")
    assert keys.decrypt("orders", blob) == b"data"
    keys.deactivate("orders")
    assert keys.decrypt("orders", blob) == b"data"
    with pytest.raises(KeyStateError, match="deactivated"):
        keys.encrypt("orders", b"x")
    keys.mark_compromised("orders")
    with pytest.raises(KeyStateError, match="compromised"):
        keys.decrypt("orders", blob)
    with pytest.raises(KeyStateError):
        keys.resume("orders")


def test_a_scheduled_destruction_waits_can_be_called_off_and_comes(opened: Open, clock: ManualClock) -> None:
    store = opened()
    keys = store.kms.keys
    keys.create("orders")
    blob = keys.encrypt("orders", b"data")
    with pytest.raises(UsageError):
        keys.schedule_destruction("orders", days=6)
    assert keys.schedule_destruction("orders", days=7).state == "suspended"
    with pytest.raises(KeyStateError, match="scheduled"):
        keys.resume("orders")
    clock.advance(7 * DAY_MS - 1)
    store.kms.node.maintain()
    assert keys.cancel_destruction("orders").state == "suspended"
    keys.resume("orders")
    assert keys.decrypt("orders", blob) == b"data"
    keys.schedule_destruction("orders", days=7)
    clock.advance(7 * DAY_MS)
    store.kms.node.maintain()
    assert keys.read("orders").state == "destroyed"
    assert [version.state for version in keys.versions("orders").items] == ["destroyed"]
    for call in (lambda: keys.decrypt("orders", blob), lambda: keys.resume("orders"), lambda: keys.rotate("orders")):
        with pytest.raises(KeyStateError):
            call()
    with pytest.raises(AlreadyExists):
        keys.create("orders")


def test_a_key_that_is_active_is_not_destroyed_at_once(keys: NamedKeyOperations) -> None:
    keys.create("orders")
    with pytest.raises(KeyStateError, match="suspend it first"):
        keys.destroy("orders")
    keys.suspend("orders")
    assert keys.destroy("orders").state == "destroyed"


def test_the_store_can_be_written_while_a_key_is_rotated(
    keys: NamedKeyOperations, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An RSA key takes seconds to make."""
    made = []

    def slowly(kind: KeyType) -> bytearray:
        with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as another:
            another.execute("BEGIN IMMEDIATE")
        made.append(kind)
        return generate(kind)

    monkeypatch.setattr(manage, "generate", slowly)
    keys.create("slow", type="rsa-2048")
    assert keys.rotate("slow").version == 2
    assert made == ["rsa-2048"] * 2
    with pytest.raises(KeyNotFound):
        keys.rotate("other")
    keys.suspend("slow")
    with pytest.raises(KeyStateError):
        keys.rotate("slow")
    assert made == ["rsa-2048"] * 2


def test_a_key_rotates_by_its_schedule_once(opened: Open, clock: ManualClock) -> None:
    one, two = opened(), opened()
    one.kms.keys.create("orders", rotation="30d")
    clock.advance(30 * DAY_MS - 1)
    one.kms.node.maintain()
    assert one.kms.keys.read("orders").version == 1
    clock.advance(1)
    one.kms.node.maintain()
    two.kms.node.maintain()
    assert two.kms.keys.read("orders").version == 2
    assert one.kms.keys.configure("orders", rotation=None).next_rotation_ms is None
    clock.advance(90 * DAY_MS)
    one.kms.node.maintain()
    assert one.kms.keys.read("orders").version == 2


def test_nothing_is_due_after_a_jump_of_the_clock(opened: Open, clock: ManualClock) -> None:
    store = opened()
    store.kms.keys.create("orders", rotation="30d")
    store.kms.keys.create("doomed")
    store.kms.keys.schedule_destruction("doomed", days=7)
    clock.jump(400 * DAY_MS)
    store.kms.node.maintain()
    assert store.kms.keys.read("orders").version == 1
    assert store.kms.keys.read("doomed").state == "suspended"


def test_another_process_sees_a_change_of_a_key_within_a_second(opened: Open, clock: ManualClock) -> None:
    one, two = opened(), opened()
    one.kms.keys.create("orders")
    assert two.kms.keys.encrypt("orders", b"x")
    one.kms.keys.suspend("orders")
    clock.advance(1001)
    with pytest.raises(KeyStateError):
        two.kms.keys.encrypt("orders", b"x")


def test_what_is_under_a_data_key_names_named_keys_and_goes_with_it(store: Connection) -> None:
    kms = store.kms
    kms.keys.create("orders")
    first = kms.list_data_keys().items[0].id
    kms.rotate_data_key()
    kms.keys.rotate("orders")
    assert kms.affected_by_destroying(first).named_keys == [("orders", 1)]
    kms.destroy_data_key(first)
    assert [version.state for version in kms.keys.versions("orders").items] == ["destroyed", "active"]
    assert kms.keys.decrypt("orders", kms.keys.encrypt("orders", b"x")) == b"x"
    with pytest.raises(DataKeyNotFound):
        kms.affected_by_destroying("default-0")


# Elsewhere


def test_material_is_imported_wrapped_and_rotated_by_importing(keys: NamedKeyOperations) -> None:
    keys.create("wrapping", type="rsa-4096", usage="import")
    pem = keys.public_key("wrapping").pem
    material = generate(KeyType.AES_256_GCM)
    wrapped = wrap_for_import(pem, bytes(material))
    info = keys.import_key("byok", wrapped, wrapping_key="wrapping", exportable=True)
    assert info.origin == "imported"
    assert keys.export("byok").material == bytes(material)
    with pytest.raises(UsageError, match="imported"):
        keys.rotate("byok")
    second = wrap_for_import(pem, bytes(generate(KeyType.AES_256_GCM)))
    assert keys.import_version("byok", second, wrapping_key="wrapping").version == 2
    for wrong in (wrapped[:-1] + bytes([wrapped[-1] ^ 1]), wrapped[:100], b""):
        with pytest.raises((DecryptionError, UsageError)):
            keys.import_key("no", wrong, wrapping_key="wrapping")
    with pytest.raises(UsageError):
        keys.import_key("no", wrap_for_import(pem, b"\x01" * 31), wrapping_key="wrapping")
    with pytest.raises(KeyNotFound):
        keys.read("no")


def test_only_an_exportable_key_is_exported_or_backed_up(keys: NamedKeyOperations) -> None:
    keys.create("inside")
    for call in (lambda: keys.export("inside"), lambda: keys.backup("inside", passphrase=PHRASE)):
        with pytest.raises(KeyStateError, match="not made exportable"):
            call()


def test_a_key_that_was_backed_up_opens_elsewhere_what_it_encrypted(opened: Open, tmp_path: Path) -> None:
    here, there = opened(), keystead.connect(tmp_path / "there.db", master_key=keystead.generate_master_key())
    here.kms.keys.create("orders", exportable=True, tags={"env": "prod"})
    blob = here.kms.keys.encrypt("orders", b"data")
    here.kms.keys.rotate("orders")
    backup = here.kms.keys.backup("orders", passphrase=PHRASE)
    info = there.kms.keys.restore(backup, passphrase=PHRASE)
    assert (info.version, info.tags) == (2, {"env": "prod"})
    assert there.kms.keys.decrypt("orders", blob) == b"data"
    with pytest.raises(AlreadyExists):
        there.kms.keys.restore(backup, passphrase=PHRASE, name="again")
    flipped = backup[:-1] + bytes([backup[-1] ^ 1])
    for source, phrase in ((backup, PHRASE + "x"), (flipped, PHRASE), (backup[:40], PHRASE), (b"", PHRASE)):
        with pytest.raises(BackupError):
            there.kms.keys.restore(source, passphrase=phrase, name="no")
    with pytest.raises(UsageError):
        here.kms.keys.backup("orders", passphrase="short")
    there.close()


# Many at once


def test_a_batch_answers_each_item_by_itself(keys: NamedKeyOperations) -> None:
    keys.create("orders")
    answers = keys.batch(
        "encrypt", "orders", [{"data": b"a"}, {"data": "text"}, {"data": b"c", "context": CONTEXT}, {}]
    )
    assert [type(answer.error).__name__ for answer in answers] == ["NoneType", "UsageError", "NoneType", "UsageError"]
    assert keys.decrypt("orders", answers[2].value, context=CONTEXT) == b"c"
    opened = keys.batch("decrypt", "orders", [{"blob": answers[0].value}, {"blob": answers[2].value}])
    assert opened[0].value == b"a"
    assert isinstance(opened[1].error, DecryptionError)
    for wrong in ([], [{"data": b"x"}] * 1001, {"data": b"x"}, ["x"]):
        with pytest.raises(UsageError):
            keys.batch("encrypt", "orders", wrong)
    with pytest.raises(UsageError):
        keys.batch("destroy", "orders", [{}])


# What an attacker with the file can do


@pytest.mark.parametrize(
    ("edit", "error"),
    [
        ("UPDATE named_keys SET min_decrypt = 0", IntegrityError),
        ("UPDATE named_keys SET exportable = 1", IntegrityError),
        ("UPDATE named_keys SET state = 'active', epoch = epoch + 1", IntegrityError),
        (
            "UPDATE named_key_versions SET reference = x'0000000000000000'"
            " WHERE key_id = (SELECT key_id FROM named_keys WHERE name = 'a')",
            DecryptionError,
        ),
        ("UPDATE named_key_versions SET created_ms = created_ms + 1", IntegrityError),
        ("UPDATE named_key_versions SET material = zeroblob(length(material))", KeysteadError),
        ("UPDATE named_key_versions SET material = NULL", IntegrityError),
        ("UPDATE key_aliases SET key_id = (SELECT key_id FROM named_keys WHERE name = 'b')", IntegrityError),
        ("UPDATE named_keys SET name = CASE name WHEN 'a' THEN 'b2' ELSE 'a' END", IntegrityError),
    ],
)
def test_an_edited_or_swapped_row_of_a_key_is_an_error_and_never_another_key(
    opened: Open, path: Path, edit: str, error: type[Exception]
) -> None:
    store = opened()
    store.kms.keys.create("a")
    store.kms.keys.create("b")
    store.kms.keys.set_alias("alias", "a")
    blob = store.kms.keys.encrypt("a", b"data")
    store.close()
    with sqlite3.connect(path) as raw:
        raw.execute(edit)
    with pytest.raises(error):
        opened().kms.keys.decrypt("alias", blob)


def test_an_authentic_old_head_that_was_put_back_is_named_by_verify(opened: Open, path: Path) -> None:
    store = opened()
    store.kms.keys.create("orders")
    with sqlite3.connect(path) as raw:
        old = raw.execute("SELECT * FROM named_keys").fetchone()
    store.kms.keys.suspend("orders")
    assert store.kms.audit.verify().ok
    store.close()
    with sqlite3.connect(path) as raw:
        raw.execute("DELETE FROM named_keys")
        raw.execute(f"INSERT INTO named_keys VALUES ({','.join('?' * len(old))})", old)
    report = opened().kms.audit.verify()
    assert not report.ok
    assert "key/orders" in str(report.problems)


# The table


def test_every_type_usage_and_operation_is_in_the_table_and_no_state_but_the_right_ones_permits_it(
    store: Connection,
) -> None:
    """The state table walked over every key type, operation and state; RSA's larger sizes stand for the smaller."""
    keys = store.kms.keys
    attempts: dict[Operation, Any] = {
        Operation.ENCRYPT: lambda n: keys.encrypt(n, b"x"),
        Operation.DECRYPT: lambda n: keys.decrypt(n, b"x"),
        Operation.REENCRYPT: lambda n: keys.reencrypt(n, b"x"),
        Operation.DATA_KEY: keys.generate_data_key,
        Operation.SIGN: lambda n: keys.sign(n, b"x"),
        Operation.VERIFY: lambda n: keys.verify(n, b"x", b"y"),
        Operation.MAC: lambda n: keys.mac(n, b"x"),
        Operation.VERIFY_MAC: lambda n: keys.verify_mac(n, b"x", b"y"),
        Operation.DERIVE: lambda n: keys.derive(n, "context"),
        Operation.AGREE: lambda n: keys.agree(n, b"x"),
        Operation.ENCAPSULATE: keys.encapsulate,
        Operation.DECAPSULATE: lambda n: keys.decapsulate(n, b"x"),
        Operation.UNWRAP_IMPORT: lambda n: keys.import_key("imported", b"x", wrapping_key=n),
        Operation.PUBLIC_KEY: keys.public_key,
        Operation.EXPORT: keys.export,
    }
    assert attempts.keys() == set(Operation)
    protects = {
        Operation.ENCRYPT,
        Operation.DATA_KEY,
        Operation.SIGN,
        Operation.MAC,
        Operation.ENCAPSULATE,
    }
    moves: dict[str, Any] = {
        "active": lambda n: None,
        "suspended": keys.suspend,
        "deactivated": keys.deactivate,
        "compromised": keys.mark_compromised,
        "destroyed": lambda n: (keys.suspend(n), keys.destroy(n)),
    }
    kinds = [kind for kind in KeyType if kind not in ("rsa-3072", "rsa-4096")]
    assert USAGES[KeyType.RSA_4096] == (*USAGES[KeyType.RSA_2048], Usage.IMPORT)
    number = itertools.count()
    for kind in kinds:
        for usage, (state, move) in itertools.product(USAGES[kind], moves.items()):
            if kind in RSA and state in ("deactivated", "compromised") and usage is not Usage.SIGN:
                continue  # each costs an RSA key, and the table knows states by usage no longer
            name = f"k{next(number)}"
            keys.create(name, type=kind, usage=usage, exportable=usage is not Usage.IMPORT)
            move(name)
            for operation, attempt in attempts.items():
                able = operation in operations(kind, usage)
                permitted = state == "active" or (state == "deactivated" and operation not in protects)
                outcome = _outcome(attempt, name)
                if not able:
                    expected: tuple[str, ...] = (
                        ("UsageError", "KeyStateError") if operation == "export" else ("UsageError",)
                    )
                    assert outcome in expected, (kind, usage, state, operation, outcome)
                elif permitted:
                    assert outcome not in ("KeyStateError", "cannot"), (kind, usage, state, operation, outcome)
                else:
                    assert outcome == "KeyStateError", (kind, usage, state, operation, outcome)


def _outcome(attempt: Any, name: str) -> str:
    try:
        attempt(name)
    except UsageError as error:
        return "UsageError" if "cannot" in str(error) else "refused data"
    except KeysteadError as error:
        return type(error).__name__
    return "done"


def test_a_stranger_is_told_that_a_key_does_not_exist(store: Connection) -> None:
    from keystead.access.principal import Principal
    from keystead.services.kms import KMSService

    store.kms.keys.create("orders")
    stranger = KMSService.on(store.kms.node)
    stranger._bound = store.kms.node.open_session(Principal("remote", "eve"))
    for call in (
        lambda: stranger.keys.encrypt("orders", b"x"),
        lambda: stranger.keys.read("orders"),
        lambda: stranger.keys.rotate("orders"),
        lambda: stranger.keys.encrypt("nothing", b"x"),
        lambda: stranger.keys.export("orders"),
    ):
        with pytest.raises(KeyNotFound, match=r"no key '(orders|nothing)' in this store"):
            call()
    with pytest.raises(Denied):
        stranger.keys.list()


def test_no_record_of_a_use_names_what_was_encrypted(store: Connection) -> None:
    canary = b"canary-7f3e9b"
    keys = store.kms.keys
    keys.create("orders")
    blob = keys.encrypt("orders", canary, context=CONTEXT)
    keys.decrypt("orders", blob, context=CONTEXT)
    with pytest.raises(DecryptionError):
        keys.decrypt("orders", blob)
    store.kms.node.counts.flush()
    folder = store.kms.node.journal.folder
    log = b"".join(file.read_bytes() for file in folder.rglob("*.jsonl"))
    assert b"key_encrypted" in log
    assert b"decryption_failed" in log
    assert canary not in log

"""The short way through named keys: it answers as the first call of a period, and forgets nothing of what is owed."""

from __future__ import annotations

from typing import Any

import pytest

from keystead.access.principal import Principal
from keystead.access.session import Authentication, Session
from keystead.errors import (
    AuditUnavailable,
    DecryptionError,
    Denied,
    EnvelopeError,
    KeyNotFound,
    KeyStateError,
    SessionEnded,
    UsageError,
)
from keystead.services.connection import Connection
from keystead.services.kms import KMSService

CONTEXT = {"user": "ada"}


@pytest.fixture
def warm(store: Connection) -> tuple[Any, bytes, bytes]:
    """Keys that all go the short way, a ciphertext and a MAC of b"data"."""
    keys = store.kms.keys
    keys.create("box")
    keys.create("mac", type="hmac-sha-256")
    keys.create("signer", type="ecdsa-p256")
    blob, tag = keys.encrypt("box", b"data", context=CONTEXT), keys.mac("mac", b"data").mac
    for _ in range(2):
        assert keys.decrypt("box", blob, context=CONTEXT) == b"data"
        assert keys.mac("mac", b"data") == (tag, 1)
        assert keys.verify_mac("mac", b"data", tag)
        signed = keys.sign("signer", b"data")
        assert signed[1:] == (1, "ecdsa-sha-256")
        assert keys.verify("signer", b"data", signed.signature)
        assert not keys.verify("signer", b"else", signed.signature)
    hot = keys._use().hot
    assert all(name in table for name, table in {"box": hot.sealing, "mac": hot.making}.items())
    assert "box" in hot.opening
    assert "mac" in hot.checking
    assert "signer" in hot.signing
    assert "signer" in hot.verifying
    return keys, blob, tag


def test_every_use_is_counted_once_whichever_way_it_went(warm: Any, store: Connection) -> None:
    keys, blob, tag = warm
    counts = store.kms.node.counts
    before = {event: counts.total(event=event) for event in ("key_encrypted", "key_mac_made")}
    assert before == {"key_encrypted": 1, "key_mac_made": 3}
    assert (counts.total(event="key_decrypted"), counts.total(event="key_mac_verified")) == (2, 2)
    assert (counts.total(event="key_signed"), counts.total(event="key_verified")) == (2, 4)
    keys.batch("encrypt", "box", [{"data": b"x"}] * 1000)
    keys.batch("mac", "mac", [{"message": b"x"}] * 130)
    keys.batch("decrypt", "box", [{"blob": blob, "context": CONTEXT}] * 7)
    keys.batch("verify_mac", "mac", [{"message": b"data", "tag": tag}] * 3)
    assert counts.total(event="key_encrypted") == 1001
    assert counts.total(event="key_mac_made") == 133
    assert (counts.total(event="key_decrypted"), counts.total(event="key_mac_verified")) == (9, 5)


def test_a_batch_has_a_nonce_and_a_context_for_each_item(warm: Any) -> None:
    keys, _, _ = warm
    contexts: list[Any] = [None, b"a", "b", {"c": "d"}, dict(CONTEXT), b""]
    items = [{"data": b"%d" % n, "context": contexts[n // 3 % 6]} for n in range(200)]
    answers = keys.batch("encrypt", "box", items)
    assert len({answer.value[60:72] for answer in answers}) == 200
    for item, answer in zip(items, answers, strict=True):
        assert keys.decrypt("box", answer.value, context=item["context"]) == item["data"]
    for answer, other in zip(answers[6:18:3], ({}, b"x", {"c": "d"}, b"a"), strict=True):
        with pytest.raises(DecryptionError):
            keys.decrypt("box", answer.value, context=other)


@pytest.mark.parametrize(
    ("operation", "name", "good", "wrong"),
    [
        (
            "encrypt",
            "box",
            {"data": b"x"},
            [{"data": "x"}, {"data": None}, {"data": bytearray(1)}, {"text": b"x"}, {}, {"data": b"x", "no": 1}],
        ),
        ("encrypt", "box", {"data": b"x"}, [{"data": b"x", "context": 7}, {"data": b"x", "context": {"a": 1}}]),
        ("mac", "mac", {"message": b"x"}, [{"message": "x"}, {"data": b"x"}, {}, {"message": b"x", "no": 1}]),
        ("mac", "mac", {"message": b"x"}, [{"message": bytearray(b"x")}]),
    ],
)
def test_an_item_that_is_wrong_fails_alone_in_its_place(
    warm: Any, operation: str, name: str, good: dict[str, Any], wrong: list[dict[str, Any]]
) -> None:
    keys, _, _ = warm
    for one in wrong:
        answers = keys.batch(operation, name, [good, one, {**good, "version": 1}, good])
        assert [type(answer.error) for answer in answers] == [type(None), UsageError, type(None), type(None)]
    assert isinstance(keys.batch(operation, name, [good, {**good, "version": 9}])[1].error, KeyNotFound)


def test_another_type_of_buffer_is_refused_on_either_way(warm: Any) -> None:
    keys, blob, tag = warm
    plain = keys.encrypt("box", b"data")
    assert keys.decrypt("box", plain) == b"data"
    for made in (bytearray, memoryview):
        with pytest.raises(EnvelopeError):
            keys.decrypt("box", made(plain))
        with pytest.raises(UsageError):
            keys.encrypt("box", made(b"data"))
        with pytest.raises(UsageError):
            keys.mac("mac", made(b"data"))
        with pytest.raises(UsageError):
            keys.verify_mac("mac", b"data", made(tag))
        with pytest.raises(UsageError):
            keys.sign("signer", made(b"data"))
        with pytest.raises(UsageError):
            keys.verify("signer", b"data", made(b"signature"))
    for wrong in (blob[:-1], blob[:70], blob[:60], b"", None, 7):
        with pytest.raises((DecryptionError, EnvelopeError)):
            keys.decrypt("box", wrong, context=CONTEXT)


def test_a_change_of_the_key_and_the_end_of_the_session_are_seen_at_once(warm: Any, store: Connection) -> None:
    keys, blob, tag = warm
    signature = keys.sign("signer", b"data").signature
    calls = (
        lambda: keys.sign("signer", b"data"),
        lambda: keys.verify("signer", b"data", signature),
        lambda: keys.encrypt("box", b"x"),
        lambda: keys.decrypt("box", blob, context=CONTEXT),
        lambda: keys.mac("mac", b"data"),
        lambda: keys.verify_mac("mac", b"data", tag),
    )
    for name in ("box", "mac", "signer"):
        keys.suspend(name)
    for call in calls:
        with pytest.raises(KeyStateError):
            call()
    for name in ("box", "mac", "signer"):
        keys.resume(name)
        keys.rotate(name)
    assert keys.verify_mac("mac", b"data", tag)
    assert keys.mac("mac", b"data").version == 2
    for _ in range(2):
        assert keys.sign("signer", b"data").version == 2
        assert keys.verify("signer", b"data", signature)
    keys.configure("mac", min_encrypt=2, min_decrypt=2)
    assert not keys.verify_mac("mac", b"data", tag)
    for call in calls:
        call()
    answers = keys.batch("encrypt", "box", [{"data": b"x"}] * 3)
    store.kms.revoke_session(store.kms._session.id)
    for call in calls:
        with pytest.raises(SessionEnded):
            call()
    answers = keys.batch("encrypt", "box", [{"data": b"x"}] * 3)
    assert [type(answer.error) for answer in answers] == [SessionEnded] * 3


def test_nothing_leaves_a_batch_where_its_first_use_cannot_be_recorded(
    warm: Any, store: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, _, _ = warm
    counts = store.kms.node.counts
    counts.flush()

    def fails(record: Any) -> None:
        raise AuditUnavailable("the audit journal cannot be written")

    monkeypatch.setattr(counts, "_record", fails)
    for operation, name, item in (("encrypt", "box", {"data": b"x"}), ("mac", "mac", {"message": b"x"})):
        answers = keys.batch(operation, name, [item] * 70)
        assert {(answer.value, type(answer.error)) for answer in answers} == {(None, AuditUnavailable)}
    monkeypatch.undo()


def test_a_policy_that_looks_at_the_context_is_asked_for_each_item_and_each_call(store: Connection) -> None:
    kms, node = store.kms, store.kms.node
    kms.keys.create("box")
    actions = ["key:encrypt", "key:decrypt"]
    one = {
        "effect": "allow",
        "actions": actions,
        "resources": ["key/box"],
        "conditions": {"context": {"equals": CONTEXT}},
    }
    kms.policies.write("hers", {"version": 1, "statements": [{"id": "hers", **one}]})
    session = Session.start(Principal("role", "shop"), node.clock.now_ms(), Authentication("token", ("hers",)))
    face = KMSService.on(node)
    face._bound = session
    mine, other = {"data": b"x", "context": CONTEXT}, {"data": b"x", "context": {"user": "eve"}}
    answers = face.keys.batch("encrypt", "box", [mine, mine, other, mine, {"data": b"x"}])
    refused = [answer.error is not None for answer in answers]
    assert refused == [False, False, True, False, True]
    assert all(isinstance(answer.error, Denied | KeyNotFound | None) for answer in answers)
    theirs = kms.keys.encrypt("box", b"x", context={"user": "eve"})
    assert face.keys.decrypt("box", answers[0].value, context=CONTEXT) == b"x"
    for _ in range(2):
        with pytest.raises((Denied, KeyNotFound)):
            face.keys.decrypt("box", theirs, context={"user": "eve"})

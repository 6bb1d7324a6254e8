"""What grants on named keys allow in a real store, and what they stand against."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.backup.conftest import PASSPHRASE, derive_once  # noqa: F401 - a fixture
from tests.policy.conftest import allow, deny, document
from tests.policy.grants.conftest import ADA, EVE, PROD, REFUSED, acting, edit
from tests.services.conftest import DAY_MS, Open

import keystead
from keystead.errors import Denied, GrantNotFound, KeyNotFound
from keystead.keys.named import grants as granting
from keystead.services.connection import Connection
from keystead.services.grant_operations import GrantOperations
from keystead.services.kms import KMSService
from keystead.testing import ManualClock

OF_AES = ("data-key", "decrypt", "derive", "encrypt", "reencrypt")


def test_who_has_a_grant_may_do_what_it_says_with_this_key_and_nothing_else(
    store: Connection, kms: KMSService, grants: GrantOperations
) -> None:
    ada = acting(store, ADA)
    with pytest.raises(KeyNotFound):
        ada.keys.encrypt("orders", b"x")
    made = grants.create("orders", ADA, ["encrypt", "decrypt"])
    assert (made.key, made.grantee, made.operations) == ("orders", ADA, ("decrypt", "encrypt"))
    assert ada.keys.decrypt("orders", ada.keys.encrypt("orders", b"x")) == b"x"
    # Now it is known to ada that the key is there, and no more.
    for call in (lambda: ada.keys.generate_data_key("orders"), lambda: ada.keys.read("orders")):
        with pytest.raises(Denied):
            call()
    with pytest.raises(Denied):
        ada.keys.rotate("orders")
    for name in ("cards", "nowhere"):
        with pytest.raises(KeyNotFound):
            ada.keys.encrypt(name, b"x")
    with pytest.raises(KeyNotFound):
        acting(store, EVE).keys.encrypt("orders", b"x")
    with pytest.raises(Denied):
        ada.keys.list()


@pytest.mark.parametrize(("operation", "call"), {
    "encrypt": lambda k: k.encrypt("orders", b"x"),
    "decrypt": lambda k: k.decrypt("orders", BLOB["sealed"]),
    "reencrypt": lambda k: k.reencrypt("orders", BLOB["sealed"], to="orders"),
    "data-key": lambda k: k.generate_data_key("orders"),
    "derive": lambda k: k.derive("orders", "context"),
    "read": lambda k: k.read("orders"),
    "sign": lambda k: k.sign("signer", b"x"),
    "verify": lambda k: k.verify("signer", b"x", b"y"),
    "public-key": lambda k: k.public_key("signer"),
}.items())  # fmt: skip
def test_each_operation_needs_its_own_name_in_the_grant(
    store: Connection, kms: KMSService, operation: str, call: Callable[[Any], Any]
) -> None:
    BLOB["sealed"] = kms.keys.encrypt("orders", b"x")
    key = "signer" if operation in ("sign", "verify", "public-key") else "orders"
    able = set(granting.MANAGING) | (set(OF_AES) if key == "orders" else {"sign", "verify", "public-key"})
    ada = acting(store, ADA)
    others = kms.grants.create(key, ADA, sorted(able - {operation}))
    with pytest.raises(Denied):
        call(ada.keys)
    kms.grants.revoke(key, others.id)
    # Encrypting under the key that a ciphertext goes to is asked for by itself.
    kms.grants.create(key, ADA, [operation, "encrypt"] if operation == "reencrypt" else [operation])
    assert call(ada.keys) is not None


BLOB: dict[str, bytes] = {}


@pytest.mark.parametrize("statement", [
    deny("key/orders"), deny("key/**", actions=("key:encrypt",)), deny("key/orders", source=["10.0.0.0/8"]),
    deny("key/*", tags=PROD), deny("**", context={"contains": {"a": "b"}}),
])  # fmt: skip
def test_a_deny_of_a_policy_wins_over_every_grant(
    store: Connection, kms: KMSService, grants: GrantOperations, statement: dict[str, Any]
) -> None:
    """Also one that cannot be told: the session has no source."""
    kms.policies.write("but", document(allow("secret/**"), statement))
    grants.create("orders", ADA, ["encrypt"])
    ada = acting(store, ADA, "but")
    with pytest.raises(REFUSED):
        ada.keys.encrypt("orders", b"x", context={"a": "b"})
    assert acting(store, ADA).keys.encrypt("orders", b"x", context={"a": "b"})


def test_a_policy_that_cannot_be_believed_denies_what_is_granted_too(
    store: Connection, kms: KMSService, grants: GrantOperations, path: Path
) -> None:
    kms.policies.write("some", document(deny("secret/**")))
    grants.create("orders", ADA, ["encrypt"])
    ada = acting(store, ADA, "some")
    assert ada.keys.encrypt("orders", b"x")
    edit(path, "UPDATE policies SET created_ms = 1")
    kms.store_secret("a", "x")
    with pytest.raises(REFUSED):
        ada.keys.encrypt("orders", b"x")


def test_a_grant_of_reading_is_one_of_keys_only(store: Connection, kms: KMSService, grants: GrantOperations) -> None:
    grants.create("orders", ADA, ["read"])
    session = acting(store, ADA)._session
    for action in ("secret:read", "policy:read", "user:read", "role:read"):
        assert not store.kms.node.policies.decide(session, action, "key/orders", None).allowed
    assert store.kms.node.policies.decide(session, "key:read", "key/orders", None).allowed


def test_a_grant_is_of_the_key_by_whatever_name_and_an_alias_that_moves_takes_none_along(
    store: Connection, kms: KMSService, grants: GrantOperations
) -> None:
    kms.keys.set_alias("current", "orders")
    made = grants.create("current", ADA, ["encrypt"])
    assert made.key == "orders"
    ada = acting(store, ADA)
    assert ada.keys.encrypt("current", b"x")
    # What is decided is asked by the key's own name.
    assert kms.policies.explain(ADA, "key:encrypt", "key/orders").allowed
    assert kms.policies.explain(ADA, "key:encrypt", "key/current").resource == "key/orders"
    kms.keys.set_alias("current", "cards")
    with pytest.raises(KeyNotFound):
        ada.keys.encrypt("current", b"x")
    assert ada.keys.encrypt("orders", b"x")


def test_a_constrained_grant_looks_at_the_encryption_context_of_each_call(
    store: Connection, kms: KMSService, grants: GrantOperations
) -> None:
    grants.create("orders", ADA, ["encrypt", "decrypt", "read"], context_subset=PROD)
    grants.create("cards", ADA, ["encrypt"], context_equals=PROD)
    ada = acting(store, ADA)
    both = PROD | {"more": "x"}
    for context, subset, equals in (
        (PROD, True, True), (both, True, False), ({"env": "dev"}, False, False), ({}, False, False),
        ({"ENV": "prod"}, False, False), (None, False, False), (b"env=prod", False, False), ("env", False, False),
        (PROD, True, True),
    ):  # fmt: skip
        for name, allowed in (("orders", subset), ("cards", equals)):
            if allowed:
                assert ada.keys.encrypt(name, b"x", context=context)
            else:
                with pytest.raises(Denied):
                    ada.keys.encrypt(name, b"x", context=context)
    assert ada.keys.read("orders")  # nothing that has a context
    answers = ada.keys.batch("encrypt", "orders", [{"data": b"x", "context": one} for one in (PROD, {}, both)])
    assert [answer.error is None for answer in answers] == [True, False, True]


def test_a_grant_without_constraints_is_taken_before_one_with_them_and_keeps_the_decision(
    store: Connection, kms: KMSService, grants: GrantOperations
) -> None:
    for _ in range(5):
        grants.create("orders", ADA, ["encrypt"], context_equals=PROD)
    engine, session = store.kms.node.policies, acting(store, ADA)._session
    facts: Any = {"context": PROD}
    assert engine.decide(session, "key:encrypt", "key/orders", facts).volatile
    grants.create("orders", ADA, ["encrypt"])
    assert not engine.decide(session, "key:encrypt", "key/orders", facts).volatile
    assert ("key:encrypt", "key/orders") in {(action, resource) for _, action, resource in engine._kept}


def test_a_grant_ends_at_the_last_moment_of_its_time(
    store: Connection, kms: KMSService, grants: GrantOperations, clock: ManualClock
) -> None:
    made = grants.create("orders", ADA, ["encrypt"], ttl="10s")
    ada = acting(store, ADA)
    clock.advance(9_999)
    assert ada.keys.encrypt("orders", b"x")
    clock.advance(1)
    with pytest.raises(REFUSED):
        ada.keys.encrypt("orders", b"x")
    assert grants.get("orders", made.id).expires_ms == clock.now_ms()
    clock.advance(2 * DAY_MS)
    kms.node.maintain()
    with pytest.raises(GrantNotFound):
        grants.get("orders", made.id)
    assert kms.audit.verify().ok


@pytest.mark.parametrize("end", ["revoke", "retire"])
def test_a_change_is_seen_at_once_here_and_within_a_second_elsewhere(
    store: Connection, kms: KMSService, opened: Open, clock: ManualClock, end: str
) -> None:
    there = opened()
    here, elsewhere = acting(store, ADA), acting(there, ADA)
    for who in (here, elsewhere):
        with pytest.raises(KeyNotFound):
            who.keys.encrypt("orders", b"x")
    made = kms.grants.create("orders", ADA, ["encrypt"])
    assert here.keys.encrypt("orders", b"x")
    clock.advance(1_000)
    for who in (here, elsewhere):
        assert who.keys.encrypt("orders", b"x")  # kept from now on, and nothing is asked of the store for a second
    getattr(kms.grants, end)("orders", made.id)
    with pytest.raises(KeyNotFound):
        here.keys.encrypt("orders", b"x")
    clock.advance(1_000)
    with pytest.raises(KeyNotFound):
        elsewhere.keys.encrypt("orders", b"x")


def test_a_session_without_grants_costs_one_question_to_the_store_a_period(
    store: Connection, kms: KMSService, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keystead.storage.grants import SqliteGrants

    asked: list[str] = []
    for name in ("has_any", "of_key"):
        real = getattr(SqliteGrants, name)
        monkeypatch.setattr(
            SqliteGrants, name, lambda self, *given, real=real, name=name: asked.append(name) or real(self, *given)
        )
    kms.policies.write("app", document(allow("key/orders", "secret/**")))
    ada = acting(store, ADA, "app")
    for _ in range(3):
        ada.keys.encrypt("orders", b"x")
        with pytest.raises(keystead.errors.SecretNotFound):
            ada.get_secret("a")
    assert asked == []
    for name in ("cards", "signer", "cards"):
        with pytest.raises(REFUSED):
            ada.keys.encrypt(name, b"x")
    assert asked == ["has_any"]

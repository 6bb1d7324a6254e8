"""Who may make grants, and what they may say."""

from __future__ import annotations

from typing import Any

import pytest
from tests.backup.conftest import PASSPHRASE, derive_once  # noqa: F401 - a fixture
from tests.policy.conftest import allow, document
from tests.policy.grants.conftest import ADA, BOB, EVE, PROD, REFUSED, acting, records

from keystead.errors import Denied, KeyNotFound, KeyStateError, UsageError
from keystead.keys.named import grants as granting
from keystead.services.connection import Connection
from keystead.services.grant_operations import GrantOperations
from keystead.services.kms import KMSService
from keystead.testing import ManualClock

HOUR_MS = 3_600_000


def test_the_same_under_a_name_is_given_back_and_anything_else_is_another_grant(
    kms: KMSService, grants: GrantOperations
) -> None:
    how: dict[str, Any] = {"name": "app", "retiring": EVE, "context_subset": PROD}
    first = grants.create("orders", ADA, ["encrypt", "decrypt"], **how)
    assert grants.create("orders", ADA, ("decrypt", "encrypt", "encrypt"), **how) == first
    others = [
        grants.create("cards", ADA, ["encrypt", "decrypt"], **how),
        grants.create("orders", EVE, ["encrypt", "decrypt"], **how),
        grants.create("orders", ADA, ["encrypt"], **how),
        *(grants.create("orders", ADA, ["encrypt", "decrypt"], **{**how, **change}) for change in (
            {"name": None}, {"name": "App"}, {"retiring": None}, {"retiring": BOB}, {"context_subset": None},
            {"context_subset": None, "context_equals": PROD}, {"context_equals": PROD}, {"ttl": "1h"},
        )),
    ]  # fmt: skip
    assert len({one.id for one in [first, *others]}) == 1 + len(others)
    grants.revoke("orders", first.id)
    assert grants.create("orders", ADA, ["encrypt", "decrypt"], **how).id != first.id


@pytest.mark.parametrize("given", [
    {"operations": []}, {"operations": "encrypt"}, {"operations": ["export"]}, {"operations": ["sign"]},
    {"operations": ["encrypt", "rotate"]}, {"operations": ["create-grant", "key:encrypt"]}, {"operations": [1]},
    {"operations": None}, {"grantee": "ada"}, {"grantee": ""}, {"grantee": None}, {"grantee": " user:ada"},
    {"retiring": "nobody"}, {"name": ""}, {"name": "a b"}, {"name": "a" * 257}, {"name": 5}, {"ttl": "0s"}, {"ttl": 5},
    {"context_equals": {}}, {"context_subset": {}}, {"context_subset": {str(at): "x" for at in range(9)}},
    {"context_subset": {"a": 1}}, {"context_subset": {"a": "x" * 385}}, {"context_subset": {"a": "\n"}},
    {"context_subset": "a=b"}, {"context_subset": PROD, "operations": ["read", "create-grant"]},
    {"context_equals": PROD, "operations": ["sign"], "key": "signer"}, {"operations": ["encrypt"], "key": "signer"},
])  # fmt: skip
def test_what_is_no_grant_is_refused_and_nothing_is_made(
    kms: KMSService, grants: GrantOperations, given: dict[str, Any]
) -> None:
    how = {"key": "orders", "grantee": ADA, "operations": ["encrypt"], **given}
    with pytest.raises(UsageError):
        grants.create(how.pop("key"), how.pop("grantee"), how.pop("operations"), **how)
    assert grants.list("orders").items == grants.list("signer").items == []


@pytest.mark.parametrize(("operations", "said"), [([], "at least one"), (["encrypt,decrypt"], "not an operation")])
def test_an_operation_that_is_none_is_told_from_a_list_of_none(
    kms: KMSService, grants: GrantOperations, operations: list[str], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        grants.create("orders", ADA, operations)


def test_a_constraint_holds_eight_pairs_and_a_key_a_bounded_number_of_grants(
    kms: KMSService, grants: GrantOperations, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = {str(at) * 384: "x" * 384 for at in range(8)}
    made = grants.create("orders", ADA, ["encrypt"], context_equals=pairs, context_subset=pairs)
    assert (made.context_equals, made.context_subset) == (pairs, pairs)
    monkeypatch.setattr(granting, "MAX_GRANTS", 3)
    for _ in range(2):
        grants.create("orders", ADA, ["encrypt"])
    with pytest.raises(UsageError, match="at most 3 grants"):
        grants.create("orders", ADA, ["encrypt"])
    assert grants.create("cards", ADA, ["encrypt"])


def test_grants_whose_time_is_over_keep_no_room(
    store: Connection, kms: KMSService, grants: GrantOperations, monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> None:
    monkeypatch.setattr(granting, "MAX_GRANTS", 3)
    kept = grants.create("orders", ADA, ["encrypt"])
    for _ in range(2):
        grants.create("orders", BOB, ["encrypt"], ttl="1h")
    clock.advance(HOUR_MS - 1)
    with pytest.raises(UsageError, match="at most 3 grants"):
        grants.create("orders", EVE, ["encrypt"])
    clock.advance(1)
    made = grants.create("orders", EVE, ["encrypt"], ttl="1h")
    assert {one.id for one in grants.list("orders").items} == {kept.id, made.id}
    assert len(records(store, "grant_ended")) == 2
    grants.create("orders", EVE, ["encrypt"], ttl="1h")
    clock.jump(2 * HOUR_MS)
    with pytest.raises(UsageError, match="at most 3 grants"):
        grants.create("orders", EVE, ["encrypt"])
    assert kms.audit.verify().ok


def test_no_grant_is_made_on_a_key_that_nobody_may_use_now(kms: KMSService, grants: GrantOperations) -> None:
    kms.keys.suspend("orders")
    with pytest.raises(KeyStateError):
        grants.create("orders", ADA, ["encrypt"])
    with pytest.raises(KeyNotFound):
        grants.create("nowhere", ADA, ["encrypt"])
    kms.keys.resume("orders")
    kms.keys.deactivate("orders")
    assert grants.create("orders", ADA, ["decrypt"])


def test_who_may_create_grants_by_a_policy_may_give_what_it_may_not_do_itself(
    store: Connection, kms: KMSService
) -> None:
    kms.policies.write("admin", document(allow("key/orders", actions=("key:create-grant",))))
    admin = acting(store, BOB, "admin")
    with pytest.raises(Denied):
        admin.keys.encrypt("orders", b"x")
    made = admin.grants.create("orders", ADA, ["encrypt"])
    assert made.creator == BOB
    assert acting(store, ADA).keys.encrypt("orders", b"x")
    for call in (lambda: admin.grants.revoke("orders", made.id), lambda: admin.grants.create("cards", ADA, ["read"])):
        with pytest.raises(REFUSED):
            call()


def test_a_grant_that_is_made_through_a_grant_gives_no_more_than_that_one(
    store: Connection, kms: KMSService, grants: GrantOperations
) -> None:
    grants.create("orders", ADA, ["create-grant", "encrypt", "read"], context_subset=PROD, ttl="1h")
    ada = acting(store, ADA)
    both = PROD | {"team": "shop"}
    for operations, how in (
        (["encrypt"], {}), (["encrypt"], {"ttl": "1h"}), (["encrypt"], {"context_subset": PROD}),
        (["encrypt"], {"context_subset": PROD, "ttl": "61m"}), (["decrypt"], {"context_subset": PROD, "ttl": "1h"}),
        (["encrypt"], {"context_subset": {"env": "dev"}, "ttl": "1h"}), (["read", "retire-grant"], {"ttl": "1h"}),
        (["encrypt", "decrypt"], {"context_equals": PROD, "ttl": "1h"}), (["read"], {}),
    ):  # fmt: skip
        with pytest.raises(Denied):
            ada.grants.create("orders", EVE, operations, **how)
    for operations, how in (
        (["encrypt"], {"context_subset": PROD, "ttl": "1h"}), (["encrypt"], {"context_equals": both, "ttl": "1s"}),
        (["encrypt", "create-grant"], {"context_subset": both, "ttl": "1h"}), (["read"], {"ttl": "1h"}),
    ):  # fmt: skip
        assert ada.grants.create("orders", EVE, operations, **how).creator == ADA
    eve = acting(store, EVE)
    assert eve.grants.create("orders", BOB, ["encrypt"], context_subset=both, ttl="59m")
    with pytest.raises(Denied):
        eve.grants.create("orders", BOB, ["encrypt"], context_subset=PROD, ttl="59m")
    # On another key, or without the right to create, nothing.
    for who, key in ((ada, "cards"), (acting(store, BOB), "orders")):
        with pytest.raises(REFUSED):
            who.grants.create(key, BOB, ["encrypt"], context_subset=both, ttl="1m")


def test_two_grants_do_not_add_up_to_one_that_neither_covers(
    store: Connection, kms: KMSService, grants: GrantOperations
) -> None:
    grants.create("orders", ADA, ["create-grant", "encrypt"])
    grants.create("orders", ADA, ["create-grant", "decrypt"])
    ada = acting(store, ADA)
    with pytest.raises(Denied):
        ada.grants.create("orders", EVE, ["encrypt", "decrypt"])
    assert ada.grants.create("orders", EVE, ["encrypt"])

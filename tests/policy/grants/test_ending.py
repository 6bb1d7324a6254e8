"""Who may end grants, who sees them, and what is recorded."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
from tests.backup.conftest import PASSPHRASE, derive_once  # noqa: F401 - a fixture
from tests.methods import issuing
from tests.policy.conftest import allow, deny, document
from tests.policy.grants.conftest import ADA, BOB, EVE, PROD, REFUSED, acting, records, rows

from keystead.errors import Denied, GrantNotFound, KeyNotFound, KeyStateError, UsageError
from keystead.services.connection import Connection
from keystead.services.grant_operations import GrantOperations
from keystead.services.kms import KMSService


def test_who_may_retire_and_who_may_revoke(store: Connection, kms: KMSService, grants: GrantOperations) -> None:
    kms.policies.write("admin", document(allow("key/orders", actions=("key:revoke-grant",))))
    admin, ada, eve = acting(store, "user:admin", "admin"), acting(store, ADA), acting(store, EVE)

    def made(*operations: str) -> str:
        return grants.create("orders", ADA, ["encrypt", *operations], retiring=EVE).id

    plain, retirable, other = made(), made("retire-grant"), grants.create("orders", BOB, ["encrypt"], retiring=BOB).id
    for who, grant in ((ada, plain), (ada, other), (eve, other), (admin, plain), (acting(store, BOB), plain)):
        with pytest.raises(REFUSED):
            who.grants.retire("orders", grant)
    for who in (ada, eve):
        for grant in (plain, retirable, other):
            with pytest.raises(REFUSED):
                who.grants.revoke("orders", grant)
    ada.grants.retire("orders", retirable)
    eve.grants.retire("orders", plain)
    admin.grants.revoke("orders", other)
    assert grants.list("orders").items == []
    for grant in (plain, retirable, other):
        with pytest.raises(GrantNotFound):
            admin.grants.revoke("orders", grant)


def test_a_grant_is_ended_on_its_own_key_only(store: Connection, kms: KMSService, grants: GrantOperations) -> None:
    made = grants.create("orders", ADA, ["encrypt"], retiring=EVE)
    for call in (grants.get, grants.revoke, grants.retire):
        with pytest.raises(GrantNotFound):
            call("cards", made.id)
        with pytest.raises(UsageError):
            call("orders", made.id.upper())
    with pytest.raises(REFUSED):
        acting(store, EVE).grants.retire("cards", made.id)
    assert grants.get("orders", made.id) == made


def test_a_deny_keeps_a_retiring_principal_from_retiring(
    store: Connection, kms: KMSService, grants: GrantOperations
) -> None:
    made = grants.create("orders", ADA, ["encrypt"], retiring=EVE)
    kms.policies.write("no", document(deny("key/**", actions=("key:retire-grant", "key:list-grants"))))
    eve = acting(store, EVE, "no")
    for call in (lambda: eve.grants.retire("orders", made.id), lambda: eve.grants.get("orders", made.id)):
        with pytest.raises(REFUSED):
            call()
    with pytest.raises(Denied):
        eve.grants.list(retiring=EVE)


def test_a_grant_goes_with_its_key(store: Connection, kms: KMSService, grants: GrantOperations, path: Path) -> None:
    made = grants.create("orders", ADA, ["encrypt"])
    stays = grants.create("cards", ADA, ["encrypt"])
    kms.keys.suspend("orders")
    with pytest.raises(KeyStateError):
        acting(store, ADA).keys.encrypt("orders", b"x")
    kms.keys.destroy("orders")
    assert [row[0] for row in rows(path)] == [stays.id]
    assert [record.target for record in records(store, "grant_ended")] == [f"grant/{made.id}"]
    assert records(store, "key_destroyed")[-1].detail["grants"] == 1
    with pytest.raises(REFUSED):
        acting(store, ADA).keys.encrypt("orders", b"x")
    assert kms.audit.verify().ok


def test_whoever_gets_the_name_of_a_removed_principal_gets_none_of_its_grants(
    store: Connection, kms: KMSService, grants: GrantOperations
) -> None:
    identities = kms.identities
    identities.create_user("ada", PASSPHRASE)
    identities.create_role("ci")
    identities.write_auth_method("corp", "jwt", issuing.config().to_json())
    for principal in (ADA, "role:ci", "jwt:corp/ada", "jwt:corporate/ada", EVE):
        grants.create("orders", principal, ["encrypt"])
    identities.set_password("ada", f"another {PASSPHRASE}")
    assert len(grants.list("orders", grantee=ADA).items) == 1
    identities.delete_user("ada")
    identities.delete_role("ci")
    identities.delete_auth_method("corp")
    assert {grant.grantee for grant in grants.list("orders").items} == {"jwt:corporate/ada", EVE}
    assert len(records(store, "grant_ended")) == 3
    assert kms.audit.verify().ok
    identities.create_user("ada", PASSPHRASE)
    token = store.login("password", name="ada", password=PASSPHRASE)
    with pytest.raises(KeyNotFound):
        store.as_token(token).kms.keys.encrypt("orders", b"x")


def test_an_access_token_that_another_made_acts_by_its_policies_and_by_no_grant(
    store: Connection, kms: KMSService, grants: GrantOperations
) -> None:
    kms.policies.write("making", document(allow("token/*", actions=("token:create",))))
    kms.identities.create_user("ada", PASSPHRASE, policies=["making"])
    made = grants.create("orders", ADA, ["encrypt"])
    ada = store.as_token(store.login("password", name="ada", password=PASSPHRASE))
    assert ada.kms.keys.encrypt("orders", b"x")
    child = store.as_token(ada.kms.tokens.create())
    assert child.kms.principal == ADA
    with pytest.raises(KeyNotFound):
        child.kms.keys.encrypt("orders", b"x")
    with pytest.raises(REFUSED):
        child.kms.grants.list(grantee=ADA)
    told = kms.policies.explain(child.kms.session_id, "key:encrypt", "key/orders")
    assert (told.allowed, told.grants) == (False, ())
    told = kms.policies.explain(ada.kms.session_id, "key:encrypt", "key/orders")
    assert (told.allowed, [one.grant for one in told.grants]) == (True, [made.id])


def test_an_access_token_that_lost_its_parent_has_no_grants_either(
    store: Connection, kms: KMSService, grants: GrantOperations
) -> None:
    kms.policies.write("making", document(allow("token/*", actions=("token:create",))))
    kms.identities.create_user("ada", PASSPHRASE, policies=["making"])
    grants.create("orders", ADA, ["encrypt"])
    login = store.login("password", name="ada", password=PASSPHRASE)
    made = store.as_token(login).kms.tokens.create(ttl="1h")
    kms.tokens.revoke_accessor(login.accessor, keep_children=True)
    child = store.as_token(made)
    before = child.kms.tokens.lookup()
    assert (before.principal, before.parent) == (ADA, None)
    with pytest.raises(KeyNotFound):
        child.kms.keys.encrypt("orders", b"x")
    assert child.kms.tokens.renew(increment="2h").expires_ms > before.expires_ms
    assert kms.audit.verify().ok


def test_who_has_no_grant_on_a_key_is_not_told_that_it_is_there(
    store: Connection, kms: KMSService, grants: GrantOperations
) -> None:
    kms.keys.set_alias("current", "orders")
    grants.create("cards", EVE, ["encrypt"], retiring=BOB)
    asked: list[dict[str, str]] = [{"grantee": EVE}, {"retiring": EVE}, {"grantee": ADA, "retiring": EVE}]
    for how in asked:
        for name in ("orders", "current", "nothing"):
            with pytest.raises(KeyNotFound) as refused:
                acting(store, EVE).grants.list(name, **how)
            assert refused.value.message == f"no key '{name}' in this store"
        assert kms.grants.list("orders", **how).items == []
    (own,) = acting(store, EVE).grants.list("cards", grantee=EVE).items
    assert acting(store, BOB).grants.list("cards", retiring=BOB).items == [own]
    with pytest.raises(REFUSED):
        acting(store, BOB).grants.list("cards", grantee=BOB)


def test_grants_are_listed_by_key_grantee_and_retiring_principal_page_by_page(
    kms: KMSService, grants: GrantOperations
) -> None:
    made = [
        grants.create(key, who, ["encrypt"], retiring=retiring)
        for key in ("orders", "cards") for who in (ADA, EVE) for retiring in (None, EVE)
    ]  # fmt: skip
    for how, expected in (
        ({"key": "orders"}, [one for one in made if one.key == "orders"]),
        ({"grantee": ADA}, [one for one in made if one.grantee == ADA]),
        ({"retiring": EVE}, [one for one in made if one.retiring == EVE]),
        ({"key": "cards", "grantee": EVE, "retiring": EVE}, made[-1:]),
        ({"grantee": BOB}, []),
    ):  # fmt: skip
        found, after = [], None
        while True:
            page = grants.list(**how, limit=1, after=after)
            found += page.items
            if page.next is None:
                break
            after = page.next
        assert found == sorted(expected, key=lambda one: one.id)
    for wrong in ({}, {"grantee": "ada"}, {"key": "orders", "limit": 0}, {"key": "orders", "after": "x"}):
        with pytest.raises(UsageError):
            grants.list(**wrong)
    with pytest.raises(KeyNotFound):
        grants.list("nowhere")


def test_who_has_no_policy_sees_its_own_grants_and_no_other(
    store: Connection, kms: KMSService, grants: GrantOperations
) -> None:
    own, other = grants.create("orders", ADA, ["encrypt"], retiring=EVE), grants.create("orders", BOB, ["encrypt"])
    ada, eve = acting(store, ADA), acting(store, EVE)
    for _ in range(2):
        with pytest.raises(REFUSED):
            ada.grants.list("orders")
        assert ada.grants.list(grantee=ADA).items == ada.grants.list("orders", grantee=ADA).items == [own]
        assert eve.grants.list(retiring=EVE).items == [own]
        assert ada.grants.get("orders", own.id) == eve.grants.get("orders", own.id) == own
        for who, how in ((ada, {"grantee": BOB}), (ada, {"retiring": EVE}), (eve, {"grantee": ADA})):
            with pytest.raises(Denied):
                who.grants.list(**how)
        for who in (ada, eve):
            with pytest.raises(REFUSED):
                who.grants.get("orders", other.id)
    kms.policies.write("look", document(allow("key/*", actions=("key:list-grants",)), deny("key/cards")))
    grants.create("cards", BOB, ["encrypt"])
    looking = acting(store, "user:looks", "look")
    assert looking.grants.list(grantee=BOB).items == [other]


def test_explain_and_who_can_name_the_grant_that_decided(
    store: Connection, kms: KMSService, grants: GrantOperations
) -> None:
    plain = grants.create("orders", ADA, ["decrypt", "create-grant"])
    bound = grants.create("orders", ADA, ["encrypt"], context_subset=PROD, ttl="1h")
    kms.policies.write("app", document(allow("secret/**")))
    ada = acting(store, ADA, "app")
    for who in (ada.session_id, ["app", ADA], ADA):
        told = kms.policies.explain(who, "key:decrypt", "key/orders")
        assert (told.allowed, told.reason_class, told.reason) == (True, "granted", f"grant {plain.id} allows it")
        assert {one.grant: one.applies for one in told.grants} == {plain.id: True, bound.id: False}
        told = kms.policies.explain(who, "key:encrypt", "key/orders")
        assert (told.allowed, told.reason_class) == (False, "condition")
        assert bound.id in told.reason
        assert {one.why for one in told.grants} == {"it is of other operations", "its constraints are not met"}
        assert not kms.policies.explain(who, "key:encrypt", "key/cards").grants
    assert not kms.policies.explain(["app"], "key:decrypt", "key/orders").allowed
    with pytest.raises(UsageError):
        kms.policies.explain([ADA, EVE], "key:decrypt", "key/orders")
    able = kms.policies.who_can("key:decrypt", "key/orders")
    assert [(one.grant, one.grantee, one.conditions) for one in able.grants] == [(plain.id, ADA, ())]
    assert ada.session_id in able.sessions
    (told_of,) = kms.policies.who_can("key:encrypt", "key/orders").grants
    assert told_of.conditions == ("context", "time")


def test_who_can_names_whom_a_grant_lets_retire_it_and_look_at_it(kms: KMSService, grants: GrantOperations) -> None:
    first = grants.create("orders", ADA, ["encrypt"], retiring=EVE, ttl="1h")
    second = grants.create("orders", BOB, ["encrypt", "retire-grant"], ttl="1h")
    retiring = kms.policies.who_can("key:retire-grant", "key/orders").grants
    assert {(one.grant, one.grantee, one.conditions) for one in retiring} == {
        (first.id, EVE, ("grant",)), (second.id, BOB, ("time", "grant")),
    }  # fmt: skip
    looking = kms.policies.who_can("key:list-grants", "key/orders").grants
    assert {(one.grant, one.grantee) for one in looking} == {(first.id, ADA), (first.id, EVE), (second.id, BOB)}


def test_what_is_explained_of_a_user_or_role_is_what_it_may_by_its_policies_and_grants(
    store: Connection, kms: KMSService, grants: GrantOperations
) -> None:
    kms.policies.write("no", document(deny("key/orders")))
    kms.policies.write("typed", document(allow("key/signer", actions=("key:sign",), method=["password"])))
    kms.identities.create_user("ada", PASSPHRASE, policies=["no", "typed"])
    role = kms.identities.create_role("ci", policies=["typed"])
    secret = kms.identities.create_secret_id("ci").reveal()
    for principal in (ADA, "role:ci", BOB):
        grants.create("orders", principal, ["encrypt"])
    ada = store.as_token(store.login("password", name="ada", password=PASSPHRASE))
    ci = store.as_token(store.login("role", role_id=role.role_id, secret_id=secret))
    calls: list[tuple[str, str, Callable[[KMSService], object]]] = [
        ("key:encrypt", "key/orders", lambda who: who.keys.encrypt("orders", b"x")),
        ("key:sign", "key/signer", lambda who: who.keys.sign("signer", b"x")),
        ("key:encrypt", "key/cards", lambda who: who.keys.encrypt("cards", b"x")),
    ]
    for principal, who in ((ADA, ada.kms), ("role:ci", ci.kms)):
        for action, resource, call in calls:
            told = kms.policies.explain(principal, action, resource)
            by_session = kms.policies.explain(who.session_id, action, resource)
            assert told == by_session
            with nullcontext() if told.allowed else pytest.raises(REFUSED):
                call(who)
    assert not kms.policies.explain(ADA, "key:encrypt", "key/orders").allowed
    assert kms.policies.explain(ADA, "key:sign", "key/signer").allowed
    assert kms.policies.explain("role:ci", "key:encrypt", "key/orders").allowed
    assert kms.policies.explain(BOB, "key:encrypt", "key/orders").allowed
    assert kms.policies.explain([ADA, "typed"], "key:encrypt", "key/orders").allowed
    for action, resource, _ in calls:
        assert kms.policies.explain("local:root", action, resource).reason_class == "owner"
    # No grant lets anybody list keys, and what is told of that is what is decided.
    for principal in ("role:ci", ci.kms.session_id):
        told = kms.policies.explain(principal, "key:list", "key/orders")
        assert (told.allowed, told.visible, told.grants) == (False, False, ())


def test_who_may_not_list_a_user_is_not_told_of_its_policies(
    store: Connection, kms: KMSService, grants: GrantOperations
) -> None:
    kms.policies.write("yes", document(allow("key/orders")))
    kms.policies.write("try", document(allow("policy/*", actions=("policy:test",))))
    kms.policies.write("look", document(allow("user/*", actions=("user:list",))))
    kms.policies.write("hidden", document(deny("policy/yes", actions=("policy:test",))))
    kms.identities.create_user("ada", PASSPHRASE, policies=["yes"])
    told = [
        acting(store, EVE, *policies).policies.explain(ADA, "key:encrypt", "key/orders")
        for policies in (("try",), ("try", "look"), ("try", "look", "hidden"))
    ]
    assert [(one.allowed, len(one.statements)) for one in told] == [(False, 0), (True, 1), (True, 0)]
    assert "yes" not in told[2].reason


def test_who_may_list_neither_a_principal_nor_the_grants_of_a_key_learns_of_none(
    store: Connection, kms: KMSService, grants: GrantOperations
) -> None:
    kms.policies.write("try", document(allow("policy/*", actions=("policy:test",))))
    kms.policies.write("users", document(allow("user/*", actions=("user:list",))))
    kms.policies.write("keys", document(allow("key/**", actions=("key:list-grants",))))
    for principal in (ADA, BOB, "jwt:ci/build"):
        grants.create("orders", principal, ["encrypt"])

    def told(principal: str, *policies: str, key: str = "orders") -> tuple[bool, bool, str]:
        found = acting(store, BOB, "try", *policies).policies.explain(principal, "key:encrypt", f"key/{key}")
        return found.allowed, found.visible, found.reason

    for principal in (ADA, "jwt:ci/build"):
        assert told(principal) == told(principal, key="nothing")
        assert told(principal, "keys")[0]
    assert told(ADA, "users") == (True, True, "grants that you may not list have a part in it")
    assert not told("jwt:ci/build", "users")[0]
    assert told(BOB)[0]


def test_each_change_and_look_leaves_a_record_and_a_refusal_its_reason(
    store: Connection, kms: KMSService, grants: GrantOperations
) -> None:
    first = grants.create("orders", ADA, ["encrypt"], context_equals=PROD)
    second = grants.create("orders", ADA, ["encrypt"], retiring=EVE)
    grants.get("orders", first.id)
    grants.list("orders")
    grants.revoke("orders", first.id)
    acting(store, EVE).grants.retire("orders", second.id)
    made = records(store, "grant_created")
    assert [record.target for record in made] == [f"grant/{first.id}", f"grant/{second.id}"]
    assert (made[0].detail["key"], made[0].detail["grantee"], made[0].detail["operations"]) == (
        "orders", ADA, '["encrypt"]',
    )  # fmt: skip
    assert records(store, "grant_read")[0].detail["grant"] == first.id
    assert records(store, "grants_listed")[0].detail["count"] == 2
    (revoked,), (retired,) = records(store, "grant_revoked"), records(store, "grant_retired")
    assert (revoked.target, retired.target) == (f"grant/{first.id}", f"grant/{second.id}")
    assert retired.principal == EVE
    with pytest.raises(REFUSED):
        acting(store, EVE).grants.revoke("orders", first.id)
    assert records(store, "access_denied")[-1].detail["action"] == "key:revoke-grant"
    assert kms.audit.verify().ok

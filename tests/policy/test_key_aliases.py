"""Whoever may name keys of their own does not take over the names of others' keys."""

from __future__ import annotations

from typing import Any

import pytest
from tests.policy.conftest import Act, allow, deny, document
from tests.services.conftest import recorded

from keystead.errors import KeyNotFound
from keystead.gate import Gate
from keystead.services.connection import Connection


def test_an_alias_is_moved_by_who_may_name_the_key_that_loses_it_too(store: Connection, act: Act) -> None:
    keys = store.kms.keys
    keys.create("shop/orders")
    keys.create("mine/key")
    keys.set_alias("shop/current", "shop/orders")
    for name, resources in (("mine", ["key/mine/*"]), ("names", ["key/mine/*", "key/shop/current"])):
        store.kms.policies.write(name, document(allow(*resources)), expected_version=0)
    events = recorded(store.kms)
    for policy in ("mine", "names"):
        with pytest.raises(KeyNotFound, match="no key 'shop/current'") as caught:
            act(policy).kms.keys.set_alias("shop/current", "mine/key")
        assert caught.value.refused
    # The first may not name it so, the second not take it away from the key that has it.
    for refused in ("key/shop/current", "key/shop/orders"):
        assert events.count(("access_denied", refused, "denied")) == 1
    assert keys.read("shop/current").name == "shop/orders"


def test_a_new_alias_takes_the_right_to_its_own_name(store: Connection, act: Act) -> None:
    store.kms.keys.create("mine/key")
    store.kms.policies.write("mine", document(allow("key/mine/*")), expected_version=0)
    keys = act("mine").kms.keys
    with pytest.raises(KeyNotFound) as caught:
        keys.set_alias("shop/orders-2027", "mine/key")
    assert caught.value.refused
    assert keys.set_alias("mine/other", "mine/key").aliases == ("mine/other",)
    assert keys.set_alias("mine/other", "mine/key").aliases == ("mine/other",)
    assert keys.remove_alias("mine/other").aliases == ()


def test_a_trial_of_an_alias_is_of_the_key_that_a_call_by_it_uses(store: Connection, act: Act) -> None:
    keys, policies = store.kms.keys, store.kms.policies
    keys.create("orders", tags={"env": "prod"})
    keys.set_alias("current", "orders")
    prod = {"env": "prod"}
    for name, statement in (("own", allow("key/orders", tags=prod)), ("alias", allow("key/current"))):
        policies.write(name, document(statement), expected_version=0)
        acting = act(name).kms
        allowed = name == "own"
        try:
            assert acting.keys.encrypt("current", b"x") and allowed
        except KeyNotFound:
            assert not allowed
        for who in (acting.session_id, [name]):
            told = policies.explain(who, "key:encrypt", "key/current")
            assert (told.allowed, told.resource) == (allowed, "key/orders")
        able = policies.who_can("key:encrypt", "key/current")
        assert ([one.policy for one in able.statements], able.resource) == (["own"], "key/orders")
        assert (acting.session_id in able.sessions) is allowed
        # The name that an alias is given is a name like any other.
        assert policies.explain([name], "key:alias", "key/current").allowed is not allowed
    # Who may not list the key is not told which one it is.
    policies.write("try", document(allow(actions=("policy:test",)), deny("key/orders", actions=("key:list",))))
    assert act("try").kms.policies.who_can("key:encrypt", "key/current").resource == "key/current"


def test_an_alias_that_moves_while_the_gate_is_asked_is_asked_about_again(
    store: Connection, act: Act, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A successor is put in place under callers: none of them is told that there is no key."""
    keys = store.kms.keys
    for name in ("first", "second"):
        keys.create(name)
    store.kms.policies.write("first", document(allow("key/first", "key/current")))
    store.kms.policies.write("both", document(allow("key/*")))
    admit = Gate.admit
    acting: list[str] = []

    def moving(gate: Gate[Any], session: Any, *how: Any, **more: Any) -> float:
        until = admit(gate, session, *how, **more)
        if session.id in acting:
            acting.clear()
            keys.set_alias("current", "second")
        return until

    monkeypatch.setattr(Gate, "admit", moving)
    for policy, used in (("both", "second"), ("first", None)):
        keys.set_alias("current", "first")
        caller = act(policy).kms
        acting.append(caller.session_id)
        if used is None:
            with pytest.raises(KeyNotFound, match="no key 'current'"):
                caller.keys.encrypt("current", b"x")
        else:
            assert keys.owner(caller.keys.encrypt("current", b"x")).name == used
        assert acting == []

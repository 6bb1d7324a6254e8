"""Policies on named keys: the key that is asked about is the key that is used, under whatever name and context."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from tests.policy.conftest import Act, allow, deny, document, service_of
from tests.services.conftest import Open

from keystead.crypto.aad import canonical_aad
from keystead.errors import DecryptionError, Denied, KeyNotFound, KeyStateError, KeysteadError, SessionEnded
from keystead.services.connection import Connection
from keystead.services.kms import KMSService
from keystead.testing import ManualClock

EVIL = {"tenant": "evil"}


@pytest.mark.parametrize("spelled", [EVIL, canonical_aad(EVIL), canonical_aad(EVIL).decode("latin-1")])
def test_a_denied_context_is_denied_in_every_spelling(store: Connection, act: Act, spelled: Any) -> None:
    """Bytes may be what the pairs are encoded to, so a context that is no mapping cannot be told, and a deny holds."""
    store.kms.keys.create("orders")
    store.kms.policies.write("p", document(allow("key/**"), deny("key/orders", context={"contains": EVIL})))
    blob = store.kms.keys.encrypt("orders", b"x", context=spelled)
    keys = act("p").kms.keys
    for call in (lambda: keys.decrypt("orders", blob, context=spelled), lambda: keys.derive("orders", spelled)):
        with pytest.raises((Denied, KeyNotFound)):
            call()
    assert keys.encrypt("orders", b"x")
    assert keys.encrypt("orders", b"x", context={"tenant": "acme"})


def test_a_context_that_is_no_mapping_is_not_an_empty_one(store: Connection, act: Act) -> None:
    store.kms.keys.create("orders")
    store.kms.policies.write("none", document(allow("key/orders", context={"equals": {}})))
    keys = act("none").kms.keys
    assert keys.encrypt("orders", b"x")
    for context in (b"bytes", "text", {"a": "b"}):
        with pytest.raises(KeyNotFound):
            keys.encrypt("orders", b"x", context=context)


def test_an_operation_that_takes_no_context_brings_none(store: Connection, act: Act) -> None:
    store.kms.keys.create("signer", type="ed25519")
    store.kms.policies.write("p", document(allow("key/**"), deny("key/*", context={"contains": EVIL})))
    with pytest.raises((Denied, KeyNotFound)):
        act("p").kms.keys.sign("signer", b"x")


CALLS: Mapping[str, Callable[[KMSService, str], Any]] = {
    "read": lambda kms, name: kms.keys.read(name),
    "versions": lambda kms, name: kms.keys.versions(name),
    "encrypt": lambda kms, name: kms.keys.encrypt(name, b"x"),
    "sign": lambda kms, name: kms.keys.sign(name, b"x"),
    "reencrypt": lambda kms, name: kms.keys.reencrypt(name, b"x"),
    "rotate": lambda kms, name: kms.keys.rotate(name),
    "configure": lambda kms, name: kms.keys.configure(name, description="x"),
    "destroy": lambda kms, name: kms.keys.destroy(name),
    "export": lambda kms, name: kms.keys.export(name),
    "backup": lambda kms, name: kms.keys.backup(name, passphrase="correct horse battery staple"),
    "set_alias": lambda kms, name: kms.keys.set_alias(name, name),
    "remove_alias": lambda kms, name: kms.keys.remove_alias(name),
}


def told(call: Callable[[], Any], name: str) -> tuple[type, str, object]:
    with pytest.raises(KeysteadError) as error:
        call()
    return type(error.value), str(error.value).replace(name, "NAME"), getattr(error.value, "refused", None)


@pytest.mark.parametrize("which", CALLS)
def test_an_alias_tells_nobody_that_it_is_one_nor_of_what(store: Connection, act: Act, which: str) -> None:
    store.kms.keys.create("hidden", exportable=True)
    store.kms.keys.set_alias("nick", "hidden")
    nobody = act().kms
    answers = {told(lambda name=name: CALLS[which](nobody, name), name) for name in ("nick", "hidden", "missing")}
    assert len(answers) == 1
    assert next(iter(answers))[2] is True


def test_whose_a_ciphertext_is_is_told_to_nobody_who_may_not_know_the_key(store: Connection, act: Act) -> None:
    store.kms.keys.create("hidden")
    blob = store.kms.keys.encrypt("hidden", b"x")
    foreign = blob[:4] + bytes(8) + blob[12:]
    nobody = act().kms
    answers = {told(lambda blob=blob: nobody.keys.owner(blob), "-")[:2] for blob in (blob, foreign)}
    assert len(answers) == 1
    with pytest.raises(DecryptionError):
        nobody.keys.owner(blob)
    store.kms.revoke_session(nobody.session_id)
    for each in (blob, foreign):
        with pytest.raises(SessionEnded):
            nobody.keys.owner(each)


def test_an_alias_is_taken_by_who_may_on_its_name_its_key_and_the_key_that_loses_it(
    store: Connection, act: Act
) -> None:
    for name in ("mine", "theirs"):
        store.kms.keys.create(name)
    store.kms.keys.set_alias("current", "theirs")
    write = store.kms.policies.write
    write("key", document(allow("key/mine", actions=("key:alias",))))
    write("name", document(allow("key/mine", "key/current", "key/free", actions=("key:alias",))))
    write("both", document(allow("key/mine", "key/theirs", "key/current", actions=("key:alias",))))
    for policy in ("key", "name"):
        with pytest.raises(KeyNotFound, match="no key 'current'"):
            act(policy).kms.keys.set_alias("current", "mine")
    with pytest.raises(KeyNotFound, match="no key 'theirs'"):
        act("key").kms.keys.set_alias("theirs", "mine")
    assert store.kms.keys.read("current").name == "theirs"
    assert act("name").kms.keys.set_alias("free", "mine").aliases == ("free",)
    assert act("both").kms.keys.set_alias("current", "mine").aliases == ("current", "free")


def test_an_alias_that_another_process_moved_is_asked_about_by_what_it_stands_for_now(
    store: Connection, opened: Open, clock: ManualClock
) -> None:
    for name in ("a", "b"):
        store.kms.keys.create(name, exportable=True)
    store.kms.keys.set_alias("nick", "a")
    store.kms.policies.write("a", document(allow("key/a")))
    there = opened()
    keys = service_of(there, "a").kms.keys
    assert there.kms.keys.owner(keys.encrypt("nick", b"x")).name == "a"
    assert keys.export("nick").name == "a"
    store.kms.keys.set_alias("nick", "b")
    clock.advance(1_000)
    for call in (lambda: keys.export("nick"), lambda: keys.encrypt("nick", b"x"), lambda: keys.read("nick")):
        with pytest.raises(KeyNotFound, match="no key 'nick'"):
            call()


def test_tags_and_states_that_another_process_changed_are_those_of_the_next_call(
    store: Connection, opened: Open, clock: ManualClock
) -> None:
    store.kms.keys.create("t", tags={"env": "dev"}, exportable=True)
    store.kms.policies.write("dev", document(allow("key/t", tags={"env": "dev"})))
    there = opened()
    keys = service_of(there, "dev").kms.keys
    assert keys.encrypt("t", b"x")
    assert there.kms.keys.export("t").name == "t"
    store.kms.keys.configure("t", tags={"env": "prod"})
    clock.advance(1_000)
    with pytest.raises(KeyNotFound):
        keys.encrypt("t", b"x")
    store.kms.keys.suspend("t")
    clock.advance(1_000)
    for call in (lambda: there.kms.keys.export("t"), lambda: there.kms.keys.backup("t", passphrase="a b c d e f g h")):
        with pytest.raises(KeyStateError):
            call()

"""Who may not see a thing is told that it does not exist: in listings, and in the same words for what is not there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.policy.conftest import Act, allow, deny, document, service_of
from tests.policy.test_stored import edit
from tests.services.conftest import BY_HAND

import keystead
from keystead.access.token_text import Kind, mint
from keystead.audit.record import Event
from keystead.errors import Denied, IntegrityError, KeysteadError, SlotNotFound
from keystead.services.connection import Connection
from keystead.services.kms import KMSService

STRONG = "correct horse battery staple"
LISTS: Mapping[str, tuple[str, Callable[[KMSService, Any], Any], Callable[[Any], str]]] = {
    "users": ("user", lambda kms, after: kms.identities.list_users(limit=2, after=after), lambda one: one.name),
    "roles": ("role", lambda kms, after: kms.identities.list_roles(limit=2, after=after), lambda one: one.name),
    "tokens": ("token", lambda kms, after: kms.tokens.list(limit=2, after=after), lambda one: one.accessor),
    "sessions": ("session", lambda kms, after: kms.sessions(limit=2, after=after), lambda one: one.id),
    "data keys": ("data-key", lambda kms, after: kms.list_data_keys(limit=2, after=after), lambda one: one.id),
    "slots": ("slot", lambda kms, after: kms.slots.list(limit=2, after=after), lambda one: one.id),
    "secrets": ("secret", lambda kms, after: kms.list_secrets(limit=2, after=after), lambda one: one.name),
    "keys": ("key", lambda kms, after: kms.keys.list(limit=2, after=after), lambda one: one.name),
    "policies": ("policy", lambda kms, after: kms.policies.list(limit=2, after=after), lambda one: one.name),
}


@pytest.fixture(scope="module")
def peopled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """A store with five of everything, which no test of this file changes."""
    path = tmp_path_factory.mktemp("peopled") / "app.db"
    with keystead.connect(path, master_key=keystead.generate_master_key(), settings=BY_HAND) as store:
        kms = store.kms
        for number in range(5):
            kms.identities.create_user(f"u{number}", STRONG)
            kms.identities.create_role(f"r{number}")
            kms.tokens.create(["p0"], name=f"t{number}")
            kms.store_secret(f"s{number}", "x")
            kms.keys.create(f"k{number}")
            kms.policies.write(f"p{number}", document(allow("policy/none")))
            if number < 4:
                kms.rotate_data_key()
                kms.slots.add(keystead.Passphrase(f"{STRONG} {number}"), label=f"l{number}")
                service_of(store)
        yield store


def every(listing: Callable[[KMSService, Any], Any], kms: KMSService) -> list[Any]:
    page = listing(kms, None)
    found = list(page.items)
    while page.next is not None:
        assert len(page.items) == 2
        page = listing(kms, page.next)
        found += page.items
    return found


@pytest.mark.parametrize("what", LISTS)
def test_ghsa_xp3c_a_listing_shows_nothing_that_a_deny_hides_and_full_pages_of_the_rest(
    peopled: Connection, what: str
) -> None:
    kind, listing, name_of = LISTS[what]
    kms = peopled.kms
    names = [name_of(one) for one in every(listing, kms)]
    assert len(names) >= 5
    hidden = names[1:3]
    kms.policies.write("but", document(allow(), deny(*[f"{kind}/{name}" for name in hidden])))
    seen = service_of(peopled, "but")
    found = [name_of(one) for one in every(listing, seen.kms)]
    assert not set(hidden) & set(found)
    assert set(names) - set(hidden) <= set(found)


@pytest.mark.usefixtures("peopled")
def test_one_slot_that_a_deny_names_is_neither_found_nor_removed(store: Connection, act: Act) -> None:
    slot = store.kms.slots.add(keystead.Passphrase(STRONG), label="other")
    store.kms.policies.write("but", document(allow(), deny(f"slot/{slot.id}")))
    slots = act("but").kms.slots
    for which in (slot.id, "other", slot.id[:9]):
        for call in (slots.find, slots.remove):
            with pytest.raises(SlotNotFound):
                call(which)
    assert store.kms.slots.find("other") == slot


def test_tokens_of_a_principal_are_ended_by_who_may_end_each(store: Connection, act: Act) -> None:
    tokens = [store.kms.tokens.create([], name="svc") for _ in range(2)]
    store.kms.policies.write("but", document(allow(), deny(f"token/{tokens[0].accessor}")))
    with pytest.raises(Denied, match="may not end all access tokens of token:svc"):
        act("but").kms.tokens.revoke_principal("token:svc")
    assert [one.revoked_ms for one in store.kms.tokens.list(principal="token:svc").items] == [None, None]
    assert store.kms.tokens.revoke_principal("token:svc") == 2


def told(call: Callable[[], Any], name: str) -> tuple[object, ...]:
    """All that a caller sees of a refusal, with the name it asked for left out."""
    with pytest.raises(KeysteadError) as raised:
        call()
    error = raised.value
    seen = (str(error), error.message, error.why, error.hint)
    return type(error), error.code, *(text.replace(name, "NAME") for text in seen)


ASKED: Mapping[str, tuple[str, str, Callable[[Connection, str], Any]]] = {
    "get": ("secret", "s1", lambda c, name: c.kms.get_secret(name)),
    "get through the cache": ("secret", "s1", lambda c, name: c.secrets.get_secret(name)),
    "get one version": ("secret", "s1", lambda c, name: c.kms.get_secret(f"{name}#1")),
    "get many": ("secret", "s1", lambda c, name: c.secrets.get_secrets([name])),
    "rotate": ("secret", "s1", lambda c, name: c.kms.rotate_secret(name, "x")),
    "delete": ("secret", "s1", lambda c, name: c.kms.delete_secret(name)),
    "undelete": ("secret", "s1", lambda c, name: c.kms.undelete_secret(name)),
    "destroy": ("secret", "s1", lambda c, name: c.kms.destroy_secret(name)),
    "history": ("secret", "s1", lambda c, name: c.kms.list_versions(name)),
    "key": ("key", "k1", lambda c, name: c.kms.keys.read(name)),
    "key use": ("key", "k1", lambda c, name: c.kms.keys.encrypt(name, b"x")),
    "key change": ("key", "k1", lambda c, name: c.kms.keys.rotate(name)),
    "key export": ("key", "k1", lambda c, name: c.kms.keys.export(name)),
    "policy": ("policy", "p1", lambda c, name: c.kms.policies.read(name)),
    "policy removal": ("policy", "p1", lambda c, name: c.kms.policies.delete(name)),
    "policy test": ("policy", "p1", lambda c, name: c.kms.policies.test(name, "key:read", "key/a")),
    "user": ("user", "u1", lambda c, name: c.kms.identities.read_user(name)),
    "user change": ("user", "u1", lambda c, name: c.kms.identities.change_user(name)),
    "user removal": ("user", "u1", lambda c, name: c.kms.identities.delete_user(name)),
    "role": ("role", "r1", lambda c, name: c.kms.identities.read_role(name)),
    "role removal": ("role", "r1", lambda c, name: c.kms.identities.delete_role(name)),
    "secret id": ("role", "r1", lambda c, name: c.kms.identities.create_secret_id(name)),
    "secret ids": ("role", "r1", lambda c, name: c.kms.identities.list_secret_ids(name)),
    "auth method": ("auth-method", "none", lambda c, name: c.kms.identities.read_auth_method(name)),
    "auth method removal": ("auth-method", "none", lambda c, name: c.kms.identities.delete_auth_method(name)),
}


@pytest.mark.parametrize("which", ASKED)
def test_what_is_hidden_and_what_is_not_there_are_told_in_the_same_words(peopled: Connection, which: str) -> None:
    """A stranger gets one answer for both, and it is the one that the owner gets of what is not there."""
    _, there, call = ASKED[which]
    stranger = service_of(peopled)
    answers = {told(lambda: call(stranger, there), there), told(lambda: call(stranger, "zz9"), "zz9")}
    assert answers == {told(lambda: call(peopled, "zz9"), "zz9")}


EDITS: Mapping[str, str] = {
    "s1": "UPDATE secrets SET updated_ms = updated_ms + 1 WHERE name = 's1'",
    "k1": "UPDATE named_keys SET updated_ms = updated_ms + 1 WHERE name = 'k1'",
    "nick": "UPDATE key_aliases SET mac = zeroblob(32)",
}


@pytest.mark.parametrize("name", EDITS)
def test_a_record_that_was_edited_is_told_to_nobody_who_may_not_know_of_it(
    store: Connection, act: Act, path: Path, name: str
) -> None:
    """And who may is told so by an error that is recorded."""
    store.kms.store_secret("s1", "x")
    for key in ("k1", "k2"):
        store.kms.keys.create(key)
    store.kms.keys.set_alias("nick", "k2")
    store.kms.policies.write("all", document(allow()))
    store.kms.policies.write("tagged", document(allow("secret/**", "key/**", tags={"env": "prod"})))
    edit(path, EDITS[name])
    kind = "secret" if name == "s1" else "key"
    for _, _, call in [one for one in ASKED.values() if one[0] == kind]:
        for stranger in (act(), act("tagged")):
            hidden = told(lambda: call(stranger, name), name)  # noqa: B023 - called at once
            assert hidden == told(lambda: call(stranger, "zz9"), "zz9")  # noqa: B023 - as above
        seen: list[dict[str, Any]] = []
        end = store.kms.on_event(list(Event), seen.append)
        with pytest.raises(IntegrityError):
            call(act("all"), name)
        end()
        assert [one["outcome"] for one in seen if one["principal"] == "user:ada"][-1] == "failed"


TOKEN_CALLS: Mapping[str, Callable[[KMSService, str], Any]] = {
    "lookup": lambda kms, text: kms.tokens.lookup(text),
    "renew": lambda kms, text: kms.tokens.renew(text),
    "revoke": lambda kms, text: kms.tokens.revoke(text),
}


@pytest.mark.parametrize("which", TOKEN_CALLS)
def test_the_text_of_a_token_tells_a_stranger_nothing(store: Connection, act: Act, which: str) -> None:
    call, there = TOKEN_CALLS[which], store.kms.tokens.create([], name="svc").reveal()
    unknown, _ = mint(Kind.SERVICE)
    answers = {told(lambda text=text: call(act().kms, text), text) for text in (there, unknown)}
    assert answers == {told(lambda: call(store.kms, unknown), unknown)}


def test_a_backup_of_a_key_asks_for_the_name_that_it_restores(store: Connection, act: Act) -> None:
    store.kms.keys.create("box1", exportable=True)
    source = store.kms.keys.backup("box1", passphrase=STRONG)
    store.kms.policies.write("other", document(allow("key/other", actions=("key:restore",))))
    keys = act("other").kms.keys
    answers = {told(lambda n=n: keys.restore(source, passphrase=STRONG, name=n), n) for n in ("box1", "missing")}
    assert len(answers) == 1

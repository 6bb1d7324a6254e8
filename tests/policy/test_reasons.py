"""What was refused or failed is recorded with the class of its reason, where it came from, and who it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.policy.conftest import Act, allow, document, service_of
from tests.policy.test_guards import CALLS, Real
from tests.policy.test_stored import edit
from tests.services.conftest import Open

import keystead
from keystead.audit.record import Event
from keystead.errors import DecryptionError, IntegrityError, KeysteadError, SecretNotFound, WrongMasterKey
from keystead.gate import failure
from keystead.services.connection import Connection
from keystead.testing import ManualClock

STRONG = "correct horse battery staple"
SOURCE = "10.0.0.9"
Record = dict[str, Any]


def not_done(store: Connection) -> list[Record]:
    """Each record from now on of what was refused or failed."""
    seen: list[Record] = []
    store.kms.on_event(
        list(Event), lambda facts: seen.append(facts) if facts["outcome"] in ("denied", "failed") else None
    )
    return seen


def test_every_refusal_of_every_method_has_its_class_source_and_principal(store: Connection, tmp_path: Path) -> None:
    real = Real(store, tmp_path)
    seen = not_done(store)
    for which, call in CALLS.items():
        before = len(seen)
        with suppress(KeysteadError):
            call(service_of(store, source=SOURCE), real)
        assert len(seen) > before, which
        for record in seen[before:]:
            assert record["principal"] == "user:ada", which
            assert record["detail"]["source"] == SOURCE, which
            assert record["detail"]["reason_class"], which
        assert seen[before]["detail"]["reason_class"] == "no-statement", which
        assert seen[before]["detail"]["action"], which


FAILING: Mapping[str, tuple[str, Callable[[Connection, Connection], Any]]] = {
    "a missing secret": ("secret-not-found", lambda c, o: c.kms.get_secret("missing")),
    "an edited secret": ("integrity", lambda c, o: c.kms.get_secret("edited")),
    "a version that is not there": ("version-conflict", lambda c, o: c.kms.store_secret("a", "y", expected_version=9)),
    "a secret without a rule": ("usage", lambda c, o: c.kms.rotate_secret("a")),
    "a foreign ciphertext": ("decryption", lambda c, o: c.kms.decrypt(o.kms.encrypt(b"x", aad=b"1"), aad=b"2")),
    "a context": ("decryption", lambda c, o: c.kms.keys.decrypt("k", o.kms.keys.encrypt("k", b"x"), context=b"2")),
    "a missing key": ("key-not-found", lambda c, o: c.kms.keys.encrypt("missing", b"x")),
    "a suspended key": ("key-state", lambda c, o: c.kms.keys.encrypt("off", b"x")),
    "a state": ("key-state", lambda c, o: c.kms.keys.destroy("k")),
    "a policy": ("policy-not-found", lambda c, o: c.kms.policies.read("missing")),
    "a user": ("identity-not-found", lambda c, o: c.kms.identities.read_user("missing")),
    "a taken name": ("already-exists", lambda c, o: c.kms.identities.create_role("ci")),
    "a right of the owner": ("denied", lambda c, o: c.kms.tokens.create([], name="svc")),
}


@pytest.mark.parametrize("what", FAILING)
def test_a_failure_has_its_class_source_and_principal(store: Connection, act: Act, path: Path, what: str) -> None:
    kms = store.kms
    kms.policies.write("all", document(allow()))
    kms.store_secrets({"a": "x", "edited": "x"})
    edit(path, "UPDATE secrets SET updated_ms = updated_ms + 1 WHERE name = 'edited'")
    for name in ("k", "off"):
        kms.keys.create(name)
    kms.keys.suspend("off")
    kms.identities.create_role("ci")
    reason_class, call = FAILING[what]
    acting, seen = act("all", source=SOURCE), not_done(store)
    with pytest.raises(KeysteadError):
        call(acting, store)
    record = seen[-1]
    assert (record["outcome"], record["principal"]) == ("failed", "user:ada")
    assert (record["detail"]["reason_class"], record["detail"]["source"]) == (reason_class, SOURCE)


def test_a_login_that_failed_or_broke_has_its_class_and_source(store: Connection, path: Path) -> None:
    store.kms.identities.create_user("ada", STRONG)
    seen = not_done(store)
    tries: list[dict[str, Any]] = [
        {"method": "password", "name": "ada", "password": "wrong password"},
        {"method": "password", "name": "eve", "password": "wrong password"},
        {"method": "role", "role_id": "none", "secret_id": "none"},
        {"method": "token", "token": "none"},
        {"method": "jwt", "name": "none", "jwt": "a.b.c"},
    ]
    for one in tries:
        with pytest.raises(KeysteadError):
            store.login(one.pop("method"), source=SOURCE, **one)
    edit(path, "UPDATE users SET updated_ms = updated_ms + 1")
    with pytest.raises(IntegrityError):
        store.login("password", source=SOURCE, name="ada", password=STRONG)
    classes = ["wrong-password", "unknown-user", "unknown-role", "malformed", "unknown-method", "integrity"]
    assert [record["detail"]["reason_class"] for record in seen] == classes
    assert {record["detail"]["source"] for record in seen} == {SOURCE}
    assert {record["event"] for record in seen} == {"login_failed"}


def test_an_ended_session_is_refused_with_its_class_and_source(store: Connection, act: Act, clock: ManualClock) -> None:
    store.kms.policies.write("all", document(allow()))
    ended, late = act("all", source=SOURCE), act("all", source=SOURCE, expires_ms=clock.now_ms() + 1)
    store.kms.revoke_session(ended.kms.session_id)
    clock.advance(1)
    seen = not_done(store)
    for one in (ended, late):
        with pytest.raises(KeysteadError):
            one.kms.get_secret("a")
    assert [record["detail"]["reason_class"] for record in seen] == ["session-ended"] * 2
    assert {(record["principal"], record["detail"]["source"]) for record in seen} == {("user:ada", SOURCE)}


def test_a_start_that_failed_has_its_class(store: Connection, opened: Open) -> None:
    with pytest.raises(WrongMasterKey):
        opened(master_key=keystead.generate_master_key())
    failed = [one.record for one in store.kms.audit.tail(50) if one.record.outcome == "failed"]
    assert failed[-1].detail["reason_class"] == "wrong-master-key"


def test_the_class_of_a_failure_is_the_errors_own_or_its_name() -> None:
    for error, expected in (
        (DecryptionError(), "decryption"),
        (SecretNotFound("x"), "secret-not-found"),
        (keystead.errors.AuthenticationFailed(reason_class="malformed"), "malformed"),
        (keystead.errors.AuthenticationFailed(), "authentication-failed"),
        (ValueError("a secret"), "internal"),
        (KeyboardInterrupt(), "internal"),
    ):
        assert failure(error)["reason_class"] == expected
        assert "a secret" not in str(failure(error))

"""Policies in the store: written, seen by others, bound to it, backed up, audited; and what services do by them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.backup.conftest import PASSPHRASE, derive_once  # noqa: F401 - a fixture
from tests.policy.conftest import Act, allow, deny, document, service_of
from tests.services.conftest import Open

from keystead.errors import (
    Denied,
    IntegrityError,
    PolicyNotFound,
    SecretNotFound,
    SessionNotFound,
    UsageError,
    VersionConflict,
)
from keystead.services.connection import Connection
from keystead.services.kms import KMSService
from keystead.services.policy_operations import Circumstances
from keystead.testing import ManualClock

READ = ("secret:read", "secret:list")


def edit(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()


def test_a_policy_is_read_back_as_it_was_written_and_its_version_rises(kms: KMSService, clock: ManualClock) -> None:
    given = {**document(allow("secret/a")), "description": "for one"}
    first = kms.policies.write("app", given, expected_version=0)
    assert (first.version, first.description, first.statements, first.document) == (1, "for one", 1, given)
    clock.advance(5)
    second = kms.policies.write("app", document(deny()), expected_version=1)
    assert (second.version, second.created_ms, second.updated_ms) == (2, first.created_ms, first.created_ms + 5)
    assert kms.policies.read("app") == second
    for wrong in (0, 1, 3):
        with pytest.raises(VersionConflict):
            kms.policies.write("app", given, expected_version=wrong)
    for none in (True, -1, "1"):
        with pytest.raises(UsageError):
            kms.policies.write("app", given, expected_version=none)  # type: ignore[arg-type]
    kms.policies.delete("app")
    for gone in (kms.policies.read, kms.policies.delete):
        with pytest.raises(PolicyNotFound):
            gone("app")


def test_a_refused_document_changes_nothing(kms: KMSService) -> None:
    kms.policies.write("app", document(deny()))
    for wrong in ("{", document(allow("secret/a*b")), document(allow(actions=("x:y",)))):
        with pytest.raises(UsageError):
            kms.policies.write("app", wrong)
    assert kms.policies.read("app").version == 1


def test_policies_are_listed_in_pages_by_name_and_only_those_that_may_be_seen(kms: KMSService, act: Act) -> None:
    names = [f"p{number}" for number in range(5)]
    for name in reversed(names):
        kms.policies.write(name, document(allow("policy/*", actions=("policy:list",)), deny("policy/p3")))
    first = kms.policies.list(limit=2)
    assert ([one.name for one in first.items], first.next) == (["p0", "p1"], "p1")
    assert [one.name for one in kms.policies.list(limit=3, after="p1").items] == ["p2", "p3", "p4"]
    seen = act("p0").kms.policies.list(limit=3)
    assert ([one.name for one in seen.items], seen.next) == (["p0", "p1", "p2"], "p2")
    assert [one.name for one in act("p0").kms.policies.list(after="p2").items] == ["p4"]


def test_each_call_leaves_its_record(kms: KMSService, events: list[tuple[str, str, str]]) -> None:
    kms.policies.write("app", document(allow()))
    kms.policies.read("app")
    kms.policies.list()
    kms.policies.test("app", "secret:read", "secret/a")
    kms.policies.explain(["app"], "secret:read", "secret/a")
    kms.policies.who_can("secret:read", "secret/a")
    kms.policies.delete("app")
    assert [event[:2] for event in events] == [
        ("policy_written", "policy/app"), ("policy_read", "policy/app"), ("policies_listed", "policy/*"),
        ("policy_tested", "policy/app"), ("policy_tested", "policy/*"), ("policy_tested", "policy/*"),
        ("policy_deleted", "policy/app"),
    ]  # fmt: skip


def test_a_session_does_what_its_policy_allows_and_nothing_else(store: Connection, act: Act) -> None:
    store.kms.store_secrets({"shop/db": "x", "shop/api": "y", "bank/db": "z"})
    store.kms.policies.write("shop", document(allow("secret/shop/*", actions=READ), deny("secret/shop/api")))
    shop = act("shop")
    assert shop.secrets.get_secret("shop/db") == "x"
    assert shop.secrets.get_secrets(["shop/db"]) == {"shop/db": "x"}
    assert [one.name for one in shop.kms.list_secrets("shop/").items] == ["shop/db"]
    for name in ("shop/api", "bank/db", "bank/none"):
        for call in (shop.kms.get_secret, shop.secrets.get_secret, lambda name: shop.secrets.get_secrets([name])):
            with pytest.raises(SecretNotFound, match="no secret") as refused:
                call(name)
            assert refused.value.refused
    with pytest.raises(Denied, match="may not secret:write secret/shop/db"):
        shop.kms.store_secret("shop/db", "x")
    with pytest.raises(Denied):
        shop.kms.list_secrets()


def test_a_batch_reaches_no_further_than_its_names(store: Connection, act: Act) -> None:
    """A right on one segment, and a deny beside it, hold for each name: also of what the cache of the process holds."""
    store.kms.store_secrets({"a": "1", "prod": "2", "deep/er": "3"})
    store.secrets.get_secrets(["a", "prod", "deep/er"])
    store.kms.policies.write("flat", document(allow("secret/*"), deny("secret/prod")))
    flat = act("flat")
    assert flat.secrets.get_secrets(["a"]) == {"a": "1"}
    for name in ("prod", "deep/er"):
        for missing in ("raise", "skip"):
            with pytest.raises(SecretNotFound):
                flat.secrets.get_secrets(["a", name], missing=missing)  # type: ignore[arg-type]
        with pytest.raises((SecretNotFound, Denied)):
            flat.kms.store_secrets({"a": "x", name: "y"})
    assert store.kms.get_secret("prod") == "2"
    assert [one.name for one in flat.kms.list_secrets().items] == ["a"]


def test_ghsa_xp3c_no_prefix_of_a_listing_shows_what_a_deny_hides(store: Connection, act: Act) -> None:
    store.kms.store_secrets({"prod/a": "1", "product": "2", "stage": "3"})
    store.kms.policies.write("dev", document(allow("secret/**"), deny("secret/prod/**")))
    dev = act("dev")
    for prefix, seen in (("", ["product", "stage"]), ("pro", ["product"]), ("prod", ["product"])):
        page = dev.kms.list_secrets(prefix, limit=1)
        assert ([one.name for one in page.items], page.next) == (seen[:1], seen[0] if len(seen) > 1 else None)
        assert [one.name for one in dev.kms.list_secrets(prefix).items] == seen
    for prefix in ("prod/", "prod/a"):
        with pytest.raises((Denied, SecretNotFound)):
            dev.kms.list_secrets(prefix)


def test_the_tags_of_a_secret_decide_as_they_are_now(store: Connection, act: Act) -> None:
    store.kms.store_secret("a", "x", tags={"env": "dev"})
    store.kms.policies.write("dev", document(allow("secret/**", actions=READ, tags={"env": "dev"})))
    dev = act("dev")
    assert dev.secrets.get_secret("a") == dev.kms.get_secret("a") == "x"
    store.kms.store_secret("a", "y", tags={"env": "prod"})
    for read in (dev.secrets.get_secret, dev.kms.get_secret):
        with pytest.raises(SecretNotFound):
            read("a")


def test_a_change_is_seen_by_this_process_at_once_and_by_others_within_a_second(
    opened: Open, store: Connection, clock: ManualClock
) -> None:
    store.kms.store_secret("a", "x")
    store.kms.policies.write("app", document(allow("secret/a")))
    other = opened()
    here, there = service_of(store, "app"), service_of(other, "app")
    assert here.secrets.get_secret("a") == there.secrets.get_secret("a") == "x"
    store.kms.policies.write("app", document(deny()))
    with pytest.raises(SecretNotFound):
        here.secrets.get_secret("a")
    clock.advance(1_000)
    for read in (there.secrets.get_secret, there.kms.get_secret):
        with pytest.raises(SecretNotFound):
            read("a")
    store.kms.policies.delete("app")
    store.kms.policies.write("app", document(allow("secret/a")))
    clock.advance(1_000)
    assert there.kms.get_secret("a") == here.kms.get_secret("a") == "x"


def test_encryption_ends_with_the_policy_that_allowed_it(store: Connection, act: Act) -> None:
    store.kms.policies.write("app", document(allow("data-key/*", actions=("data:encrypt",))))
    app = act("app")
    assert app.kms.encrypt(b"x")
    store.kms.policies.write("app", document(allow("data-key/*", actions=("data:decrypt",))))
    with pytest.raises(Denied):
        app.kms.encrypt(b"x")


EDITS: dict[str, str] = {
    "its document": "UPDATE policies SET document = replace(document, 'deny', 'allow')",
    "its version": "UPDATE policies SET version = version + 1 WHERE name = 'app'",
    "its dates": "UPDATE policies SET updated_ms = updated_ms + 1 WHERE name = 'app'",
    "its MAC": "UPDATE policies SET mac = zeroblob(32) WHERE name = 'app'",
    "its type": "UPDATE policies SET document = CAST(document AS BLOB) WHERE name = 'app'",
    "its name, swapped with another": (
        "UPDATE policies SET (document, version, created_ms, updated_ms, mac) ="
        " (SELECT document, version, created_ms, updated_ms, mac FROM policies WHERE name = 'wide') WHERE name = 'app'"
    ),
}


@pytest.mark.parametrize("what", EDITS)
def test_an_edited_row_is_an_integrity_error_and_allows_nothing_while_it_stands(
    store: Connection, opened: Open, path: Path, clock: ManualClock, what: str
) -> None:
    kms = store.kms
    kms.store_secret("a", "x")
    kms.policies.write("app", document(allow("secret/a", actions=READ), deny("secret/b")))
    kms.policies.write("wide", document(allow()))
    before = service_of(store, "app", "wide")
    assert before.kms.get_secret("a") == "x"
    edit(path, EDITS[what])
    with pytest.raises(IntegrityError, match="policy app is not what keystead wrote"):
        kms.policies.read("app")
    for connection in (opened(), store):
        clock.advance(1_000)
        store.kms.store_secret("other", "x")  # any change makes a process look at its policies again
        clock.advance(1_000)
        for service in (service_of(connection, "app"), service_of(connection, "wide", "app")):
            with pytest.raises(SecretNotFound):
                service.kms.get_secret("a")
            why = connection.kms.policies.explain(service.kms.session_id, "secret:read", "secret/a")
            assert (why.allowed, why.reason_class) == (False, "integrity")
            assert "policy app is not what keystead wrote" in why.reason
    assert not kms.audit.verify().ok or what not in ("its MAC", "its name, swapped with another")
    kms.policies.write("app", document(allow("secret/a", actions=READ)))
    assert service_of(store, "wide", "app").kms.get_secret("a") == "x"
    if "replace" not in EDITS[what]:
        assert kms.audit.verify().ok


def test_the_audit_finds_a_policy_put_back_taken_away_or_added(store: Connection, path: Path) -> None:
    kms = store.kms
    kms.policies.write("app", document(deny()))
    edit(path, "CREATE TABLE former AS SELECT * FROM policies")
    kms.policies.write("app", document(allow("secret/a")))
    assert kms.audit.verify().ok
    edit(path, "UPDATE policies SET (document, version, mac) = (SELECT document, version, mac FROM former)")
    assert "policy/app is not as change" in str(kms.audit.verify().problems)
    edit(path, "DELETE FROM policies")
    assert "policy/app is gone" in str(kms.audit.verify().problems)
    kms.policies.write("app", document(deny()))
    kms.policies.delete("app")
    assert kms.audit.verify().ok
    edit(path, "INSERT INTO policies SELECT * FROM former")
    assert "policy/app is in the store again" in str(kms.audit.verify().problems)


def test_policies_go_with_a_backup(store: Connection, tmp_path: Path, clock: ManualClock, key: str) -> None:
    from keystead import connect

    store.kms.store_secret("a", "x")
    store.kms.policies.write("app", document(allow("secret/a")))
    store.kms.backup(tmp_path / "b", passphrase=PASSPHRASE)
    with connect(tmp_path / "new.db", master_key=key, clock=clock) as new:
        new.kms.policies.write("app", document(deny()))
        new.kms.policies.delete("app")
        new.kms.restore(tmp_path / "b", passphrase=PASSPHRASE)
        assert new.kms.policies.read("app") == store.kms.policies.read("app")
        assert service_of(new, "app").kms.get_secret("a") == "x"
        assert new.kms.audit.verify().ok


def test_a_refusal_is_recorded_with_class_source_and_principal(store: Connection, act: Act) -> None:
    seen: list[dict[str, Any]] = []
    store.kms.on_event("access_denied", seen.append)
    store.kms.policies.write("none", document(deny()))
    for policies, reason_class in (((), "no-statement"), (("none",), "explicit-deny")):
        with pytest.raises(SecretNotFound):
            act(*policies, source="10.0.0.9").kms.get_secret("a")
        assert seen[-1]["principal"] == "user:ada"
        assert (seen[-1]["detail"]["reason_class"], seen[-1]["detail"]["source"]) == (reason_class, "10.0.0.9")


def test_a_trial_supposes_what_it_is_told(kms: KMSService) -> None:
    policy = document(
        allow("secret/**", source=["10.0.0.0/8"], method=["token"], mfa_age="5m", tags={"env": "dev"},
              context={"contains": {"a": "b"}}, time={"hours": "08:00-09:00"})
    )  # fmt: skip
    good: dict[str, Any] = {
        "source": "10.0.0.1", "method": "token", "mfa_age": "1m", "tags": {"env": "dev"}, "context": {"a": "b"},
        "at": "2026-11-24T08:30:00Z",
    }  # fmt: skip
    assert kms.policies.test(policy, "secret:read", "secret/a", Circumstances(**good)).allowed
    for name, other in (("source", ""), ("method", "local"), ("mfa_age", None), ("tags", None), ("context", {}),
                        ("at", "2026-11-24T09:00:00Z")):  # fmt: skip
        told = kms.policies.test(policy, "secret:read", "secret/a", Circumstances(**{**good, name: other}))
        assert (told.allowed, told.reason_class) == (False, "condition")
        assert {"at": "time"}.get(name, name) in told.statements[0].why
    for wrong in (
        {"at": "2026-11-24"},
        {"at": 3},
        {"tags": ["a"]},
        {"context": {"a": 1}},
        {"mfa_age": 3},
        {"method": 1},
    ):
        with pytest.raises(UsageError):
            kms.policies.test(policy, "secret:read", "secret/a", Circumstances(**wrong))
    for action, resource in (("secret:look", "secret/a"), ("secret:read", "secret//a"), ("secret:read", ""), ("", "a")):
        with pytest.raises(UsageError):
            kms.policies.test(policy, action, resource)


def test_an_explanation_has_every_statement_and_why(store: Connection, act: Act) -> None:
    kms = store.kms
    kms.policies.write("app", document(allow("secret/a"), allow("secret/b"), deny(actions=("secret:write",))))
    kms.policies.write("night", document(deny("secret/**", tags={"env": "prod"})))
    told = kms.policies.explain(["app", "night"], "secret:read", "secret/a")
    assert [(one.policy, one.statement, one.applies) for one in told.statements] == [
        ("app", "s1", True), ("app", "s2", False), ("app", "s3", False), ("night", "s1", False),
    ]  # fmt: skip
    assert [one.why for one in told.statements] == [
        "secret/a is its resource",
        "it is about other resources",
        "it is about other actions",
        "tags is not met",
    ]
    unknown = kms.policies.explain(["night"], "secret:list", "secret/*").statements[0]
    assert (unknown.applies, unknown.why) == (True, "tags cannot be told and counts as met, since it denies")
    assert kms.policies.explain(act("app").kms.session_id, "secret:read", "secret/a").allowed
    assert kms.policies.explain(kms.session_id, "secret:read", "secret/a").reason_class == "owner"
    with pytest.raises(PolicyNotFound):
        kms.policies.explain(["nobody"], "secret:read", "secret/a")
    with pytest.raises(SessionNotFound):
        kms.policies.explain("ses_" + "0" * 32, "secret:read", "secret/a")


def test_who_can_names_each_statement_that_speaks_and_each_session_that_may(store: Connection, act: Act) -> None:
    kms = store.kms
    kms.policies.write("app", document(allow("secret/a*", mfa_age="5m"), allow("secret/b")))
    kms.policies.write("all", document(allow(), deny("secret/a")))
    able, unable = act("app", mfa_ms=store.kms.node.clock.now_ms()), act("app")
    told = kms.policies.who_can("secret:read", "secret/a")
    assert [(one.policy, one.statement, one.effect, one.conditions) for one in told.statements] == [
        ("all", "s1", "allow", ()), ("all", "s2", "deny", ()), ("app", "s1", "allow", ("mfa_age",)),
    ]  # fmt: skip
    assert {kms.session_id, able.kms.session_id} <= set(told.sessions)
    assert unable.kms.session_id not in told.sessions


def test_a_change_of_a_secret_compiles_no_policy_anew(store: Connection, act: Act) -> None:
    """What was compiled is kept while the rows are the same."""
    store.kms.policies.write("app", document(allow("secret/a")))
    engine = store.kms.node.policies
    before = engine.compiled(("app",))
    store.kms.store_secret("a", "x")
    engine.forget()
    assert engine.compiled(("app",)) is before
    store.kms.policies.write("app", document(allow("secret/b")))
    assert engine.compiled(("app",)) is not before


def test_names_that_have_no_policy_give_nothing(act: Act) -> None:
    with pytest.raises(SecretNotFound):
        act("nobody", "root", "ROOT ").kms.get_secret("a")

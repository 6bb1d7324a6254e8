"""What trials say is what is decided: for generated policies, sessions and principals of the store."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.methods import issuing
from tests.policy import generated
from tests.policy.conftest import Act, allow, deny, document, service_of
from tests.policy.generated import HOUR_MS, NOW
from tests.policy.model import Call, allows
from tests.policy.test_stored import edit
from tests.services.conftest import BY_HAND, Open

import keystead
from keystead.access.explain import PrincipalAccess
from keystead.access.patterns import KINDS
from keystead.errors import KeysteadError, PolicyNotFound, SessionNotFound, UsageError
from keystead.services.connection import Connection
from keystead.services.policy_operations import Circumstances
from keystead.testing import ManualClock

STRONG = "correct horse battery staple"
PAIRS: list[dict[str, str] | None] = [None, {}, {"env": "prod"}, {"env": "prod", "team": "shop"}, {"env": "dev"}]
SOURCES = ["", "10.1.2.3", "192.0.2.7", "2001:db8::1"]
MOMENTS = [NOW + day * 24 * HOUR_MS + hour * HOUR_MS for day, hour in ((0, 3), (0, 9), (0, 12), (3, 20))]


def named(found: Iterable[PrincipalAccess], name: str) -> list[PrincipalAccess]:
    return [one for one in found if one.name == name]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """A store whose policies, user, role and token the generated tests write anew."""
    path = tmp_path_factory.mktemp("trials") / "app.db"
    how: dict[str, Any] = {"settings": BY_HAND, "clock": ManualClock()}
    with keystead.connect(path, master_key=keystead.generate_master_key(), **how) as store:
        store.kms.store_secret("app/a", "x", tags={"env": "prod"})
        store.kms.store_secret("db", "x")
        store.kms.identities.create_user("ada", STRONG)
        store.kms.identities.create_role("ci")
        yield store


def circumstances(call: Call, tags: list[dict[str, str] | None], mfa: list[int | None]) -> Iterator[Call]:
    """The call as it may come: from anywhere, at any time, with any context."""
    for source, now, shown, context, tagged in itertools.product(SOURCES, MOMENTS, mfa, PAIRS, tags):
        at = None if shown is None else now - shown
        yield call._replace(source=source, now_ms=now, mfa_ms=at, context=context, tags=tagged)


@pytest.mark.parametrize("seed", range(8))
def test_who_can_names_a_stored_principal_just_where_some_call_of_it_would_be_allowed(
    shared: Connection, seed: int
) -> None:
    """And where it names no condition, every call."""
    pick, kms = random.Random(seed), shared.kms
    documents = {f"p{at}": generated.policy(pick) for at in range(3)}
    for name, one in documents.items():
        kms.policies.write(name, one)
    given = {who: sorted(pick.sample(sorted(documents), k=pick.choice((1, 2)))) for who in ("user", "role", "token")}
    kms.identities.change_user("ada", policies=given["user"])
    kms.identities.change_role("ci", policies=given["role"])
    token = kms.tokens.create(given["token"], name="svc")
    who = {"user": ("ada", "password"), "role": ("ci", "role"), "token": (token.accessor, "token")}
    known = {"secret/app/a": {"env": "prod"}, "secret/db": {}}
    for _ in range(4):
        action, resource = generated.meant(pick, list(documents.values()))
        try:
            found = kms.policies.who_can(action, resource).principals
        except KeysteadError:
            continue  # what was generated is no resource
        secret = resource.startswith("secret/") and "*" not in resource
        tags = [known.get(resource, {})] if secret else PAIRS
        for kind, (name, method) in who.items():
            policies = [documents[one] for one in given[kind]]
            mfa = [None] if kind == "token" else [None, 60_000, 7_200_000]
            calls = circumstances(Call(action, resource, method=method), list(tags), list(mfa))
            decided = {allows(policies, one) for one in calls}
            listed = named(found, name)
            assert True in decided or not listed or listed[0].conditions, (documents, given, action, resource, listed)
            assert listed or True not in decided, (documents, given, action, resource)
            assert not listed or listed[0].conditions or False not in decided, (documents, given, action, resource)
    kms.tokens.revoke(token)


@pytest.mark.parametrize("seed", range(8))
def test_an_explanation_of_a_session_is_its_decision(shared: Connection, seed: int) -> None:
    pick, kms = random.Random(seed), shared.kms
    documents = {f"p{at}": generated.policy(pick) for at in range(2)}
    for name, one in documents.items():
        kms.policies.write(name, one)
    acting = service_of(shared, *documents, source=pick.choice(SOURCES), method=pick.choice(["password", "local"])).kms
    node, session = acting.node, acting._session
    for _ in range(12):
        action, resource = generated.meant(pick, list(documents.values()))
        if resource.partition("/")[0] not in KINDS:
            with pytest.raises(UsageError, match="no such kind"):
                kms.policies.explain(session.id, action, resource)
            continue
        secret = resource.startswith("secret/") and "*" not in resource
        facts = node.reader.facts(resource.partition("/")[2]) if secret else None
        told = kms.policies.explain(session.id, action, resource)
        assert told.allowed is node.gate.may(session, action, resource, facts), (documents, action, resource)
        by_policies = kms.policies.explain(
            list(documents),
            action,
            resource,
            Circumstances(session.authentication.method, session.authentication.source),
        )
        assert by_policies.allowed is told.allowed


def test_a_session_that_has_ended_may_nothing(store: Connection, act: Act, clock: ManualClock) -> None:
    kms = store.kms
    kms.policies.write("all", document(allow()))
    asked = ("secret:read", "secret/a")
    ended, later = act("all"), act("all", expires_ms=clock.now_ms() + 1_000)
    assert {ended.kms.session_id, later.kms.session_id} <= set(kms.policies.who_can(*asked).sessions)
    kms.revoke_session(ended.kms.session_id)
    clock.advance(1_000)
    for one in (ended, later):
        told = kms.policies.explain(one.kms._session.id, *asked)
        assert (told.allowed, told.reason_class, told.reason) == (False, "session-ended", "the session has ended")
        assert one.kms._session.id not in kms.policies.who_can(*asked).sessions


def test_an_explanation_of_a_session_is_of_the_moment_that_is_supposed(store: Connection, act: Act) -> None:
    store.kms.policies.write("day", document(allow(time={"hours": "08:00-18:00"})))
    session = act("day").kms.session_id
    for at, expected in (("2026-11-24T09:00:00Z", True), ("2026-11-24T19:00:00Z", False)):
        told = store.kms.policies.explain(session, "secret:read", "secret/a", Circumstances(at=at))
        assert (told.allowed, told.statements[0].applies) == (expected, expected)


def test_anybody_may_try_to_log_in_says_every_trial(store: Connection) -> None:
    kms = store.kms
    kms.policies.write("none", document(deny()))
    kms.identities.create_role("ci", policies=["none"])
    assert kms.policies.test("none", "login:attempt", "user/ada").allowed
    assert kms.policies.explain(["none"], "login:attempt", "user/ada").reason_class == "login"
    assert named(kms.policies.who_can("login:attempt", "user/ada").principals, "ci")


def test_the_tags_of_what_is_there_count_where_no_others_are_supposed(store: Connection, act: Act) -> None:
    kms = store.kms
    kms.store_secret("a", "x", tags={"env": "dev"})
    kms.keys.create("k", tags={"env": "dev"})
    kms.policies.write("dev", document(allow("secret/**", "key/**", tags={"env": "dev"})))
    for action, resource in (("secret:read", "secret/a"), ("key:encrypt", "key/k")):
        assert kms.policies.explain(["dev"], action, resource).allowed
        assert not kms.policies.explain(["dev"], action, resource, Circumstances(tags={})).allowed
        assert not kms.policies.explain(["dev"], action, resource + "2").allowed
    kms.policies.write("tester", document(allow("policy/*", actions=("policy:test",))))
    assert not act("tester").kms.policies.explain(["dev"], "secret:read", "secret/a").allowed


def test_who_can_names_users_roles_tokens_and_auth_methods_of_the_store(store: Connection, opened: Open) -> None:
    kms = store.kms
    kms.policies.write("shop", document(allow("secret/shop/*")))
    kms.policies.write("office", document(allow("secret/shop/*", source=["10.0.0.0/8"])))
    kms.policies.write("never", document(deny("secret/shop/*")))
    kms.identities.create_user("ada", STRONG, policies=["shop"])
    kms.identities.create_user("bob", STRONG, policies=["shop", "never"])
    kms.identities.create_role("ci", policies=["office"])
    kms.identities.create_role("cd")
    kms.policies.write("nights", document(deny("secret/**", time={"hours": "00:00-08:00"})))
    kms.identities.create_role("day", policies=["shop", "nights"])
    live, dead = kms.tokens.create(["shop"], name="svc"), kms.tokens.create(["shop"], name="old")
    kms.tokens.revoke(dead)
    config = issuing.config().to_json()
    bound = {"name": "r", "bound_claims": {"team": "shop"}, "policies": ["shop"]}
    kms.identities.write_auth_method("all", "jwt", {**config, "policies": ["shop"]})
    kms.identities.write_auth_method("some", "jwt", {**config, "policies": [], "roles": [bound]})
    kms.identities.write_auth_method("none", "jwt", {**config, "policies": ["never"], "roles": [bound]})
    expected = [
        PrincipalAccess("user", "ada", "user:ada", ("shop",), ()),
        PrincipalAccess("role", "ci", "role:ci", ("office",), ("source",)),
        PrincipalAccess("role", "day", "role:day", ("nights", "shop"), ("time",)),
        PrincipalAccess("token", live.accessor, "token:svc", ("shop",), ()),
        PrincipalAccess("auth-method", "all", "jwt:all/*", ("shop",), ()),
        PrincipalAccess("auth-method", "some", "jwt:some/*", ("shop",), ("roles",)),
    ]
    for one in (store, opened()):
        assert list(one.kms.policies.who_can("secret:read", "secret/shop/db").principals) == expected
    assert kms.policies.who_can("secret:read", "secret/bank/db").principals == ()


def test_who_can_names_no_principal_whose_row_or_policy_was_edited(store: Connection, path: Path) -> None:
    kms = store.kms
    kms.policies.write("shop", document(allow("secret/shop/*")))
    for name in ("ci", "cd"):
        kms.identities.create_role(name, policies=["shop"])
    edit(path, "UPDATE roles SET networks = '[\"10.0.0.0/8\"]' WHERE name = 'cd'")
    assert [one.name for one in kms.policies.who_can("secret:read", "secret/shop/db").principals] == ["ci"]


def test_trials_show_no_policy_principal_or_session_that_the_asker_may_not_see(store: Connection, act: Act) -> None:
    kms = store.kms
    for name in ("open", "hidden"):
        kms.policies.write(name, document(allow("secret/a")))
        kms.identities.create_role(name, policies=["hidden", "open"])
    both, asked = act("hidden", "open").kms.session_id, ("secret:read", "secret/a")
    seeing = ["policy:test", "role:list", "session:list"]
    kms.policies.write(
        "tester",
        document(allow("policy/*", "role/*", "session/*", actions=tuple(seeing)), deny("policy/hidden", "role/hidden")),
    )
    trials = act("tester").kms.policies
    with pytest.raises(PolicyNotFound) as hidden:
        trials.explain(["hidden"], *asked)
    with pytest.raises(PolicyNotFound) as missing:
        trials.explain(["missing"], *asked)
    assert str(hidden.value).replace("hidden", "missing") == str(missing.value)
    told = trials.explain(both, *asked)
    assert (told.allowed, [one.policy for one in told.statements]) == (True, ["open"])
    assert "hidden" not in told.reason
    access = trials.who_can(*asked)
    assert [grant.policy for grant in access.statements] == ["open"]
    assert [(one.name, one.policies) for one in access.principals] == [("open", ("open",))]
    assert both in access.sessions
    kms.policies.write("blind", document(allow("policy/*", actions=("policy:test",))))
    blind = act("blind").kms
    assert blind.policies.who_can(*asked).sessions == blind.policies.who_can(*asked).principals == ()
    with pytest.raises(SessionNotFound):
        blind.policies.explain(both, *asked)
    assert not blind.policies.explain(blind.session_id, *asked).allowed


def test_a_trial_of_what_is_misspelled_says_so_and_not_that_nobody_may(store: Connection) -> None:
    policies, everything = store.kms.policies, document(allow())
    for resource in ("keys/orders", "orders", "Key/orders"):
        for trial in (
            lambda resource: policies.who_can("key:encrypt", resource),
            lambda resource: policies.explain("user:ada", "key:encrypt", resource),
            lambda resource: policies.test(everything, "key:encrypt", resource),
        ):
            with pytest.raises(UsageError, match="no such kind of resource"):
                trial(resource)
    for principal, kind in (("user:ada", "user ada"), ("role:ci", "role ci")):
        assert policies.explain(principal, "secret:read", "secret/a").reason == f"there is no {kind}"
    store.kms.identities.create_user("ada", STRONG)
    assert policies.explain("user:ada", "secret:read", "secret/a").reason == "the session has no policy"
    assert policies.explain("token:ci", "secret:read", "secret/a").reason == "the session has no policy"


def test_who_may_not_list_users_is_not_told_which_there_are(store: Connection, act: Act) -> None:
    store.kms.policies.write("try", document(allow("**", actions=("policy:test",))))
    told = act("try").kms.policies.explain("user:eve", "secret:read", "secret/a")
    assert (told.allowed, told.reason) == (False, "the session has no policy")

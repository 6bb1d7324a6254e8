"""Auth methods in a real store: logging in by an issuer's token and by a certificate, from writing to the end."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from tests.access.conftest import CHEAP, KEY, PASSWORD, Open, records
from tests.methods import issuing
from tests.methods.authorities import DAY, NOW_MS, SPIFFE, Issued, root
from tests.methods.issuing import good_claims, jwk, token
from tests.methods.serving import LOCAL, VALID, serving

import keystead
from keystead.access.methods.certificates import binding_of
from keystead.errors import (
    AuditBroken,
    AuthenticationFailed,
    ConfigurationError,
    Denied,
    IdentityNotFound,
    IntegrityError,
    SessionEnded,
    UsageError,
    VersionConflict,
)
from keystead.services.connection import Connection
from keystead.testing import ManualClock

NOW_S = issuing.NOW_S
MINUTE = 60_000


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(issuing.NOW_MS)


@pytest.fixture(scope="module")
def authority() -> Issued:
    return root()


@pytest.fixture(scope="module")
def web(authority: Issued) -> Issued:
    return authority.client()


def issuer(**changed: Any) -> dict[str, Any]:
    return issuing.config(**changed).to_json()


def clients(authority: Issued, **changed: Any) -> dict[str, Any]:
    return {"trusted": authority.pem, "spiffe_ids": ["spiffe://example.org/ns/*/sa/*"], "policies": ["mesh"]} | changed


def ada(**changed: Any) -> str:
    return token(good_claims(**changed))


def by_jwt(store: Connection, name: object = "github", shown: object = None, **how: Any) -> Any:
    return store.login("jwt", name=name, jwt=ada() if shown is None else shown, **how)


def let_make_tokens(store: Connection, policy: str) -> None:
    statement = {"id": "tokens", "effect": "allow", "actions": ["token:*"], "resources": ["token/**"]}
    store.kms.policies.write(policy, {"version": 1, "statements": [statement]})


def refused(store: Connection, call: Callable[[], Any]) -> str:
    """The answer to a login that is refused, which is always the same; gives the class in the log."""
    with pytest.raises(AuthenticationFailed) as caught:
        call()
    assert (str(caught.value.message), caught.value.reason_class) == ("authentication failed", "")
    return str(records(store, "login_failed")[-1].detail["reason_class"])


def test_who_shows_an_issuers_token_acts_by_the_policies_of_the_configuration(store: Connection) -> None:
    store.kms.identities.write_auth_method("github", "jwt", issuer(shown_claims=("run",), groups_claim="groups"))
    shown = by_jwt(store, shown=ada(run="77", groups=["ops"]), source="192.0.2.7")
    with store.as_token(shown) as acting:
        me = acting.kms.whoami()
    assert (me.principal, me.method, me.policies) == ("jwt:github/ada", "jwt", ("readers",))
    assert shown.info.meta == {"auth_method": "github"}
    (record,) = records(store, "login_succeeded")
    assert (record.target, record.detail["method"], record.detail["source"]) == (
        "auth-method/github",
        "jwt",
        "192.0.2.7",
    )
    assert json.loads(str(record.detail["claims"])) == {"iss": issuing.ISSUER, "sub": "ada", "run": "77"}
    assert json.loads(str(record.detail["groups"])) == ["ops"]


def test_a_second_factor_that_the_issuer_saw_is_as_old_as_it_says(store: Connection, clock: ManualClock) -> None:
    store.kms.identities.write_auth_method("github", "jwt", issuer(second_factor_amr=("mfa",)))
    fresh = {"id": "fresh", "effect": "allow", "actions": ["*"], "resources": ["**"], "conditions": {"mfa_age": "5m"}}
    store.kms.policies.write("readers", {"version": 1, "statements": [fresh]})
    acting = store.as_token(by_jwt(store, shown=ada(amr=["pwd", "mfa"], auth_time=NOW_S - 240)))
    assert acting.kms.whoami().mfa_ms == (NOW_S - 240) * 1000
    assert acting.kms.list_secrets().items == []
    assert records(store, "login_succeeded")[-1].detail["mfa_ms"] == (NOW_S - 240) * 1000
    clock.advance(MINUTE + 1)
    with pytest.raises(Denied):
        acting.kms.list_secrets()
    with pytest.raises(Denied):
        acting.kms.verify_second_factor("123456")
    without = store.as_token(by_jwt(store, shown=ada(amr=["pwd"], auth_time=NOW_S)))
    assert without.kms.whoami().mfa_ms is None


def test_the_access_token_ends_with_the_proof_to_the_millisecond_and_no_renewal_goes_beyond(
    store: Connection, clock: ManualClock
) -> None:
    store.kms.identities.write_auth_method("github", "jwt", issuer(leeway_ms=0))
    shown = by_jwt(store, shown=ada(exp=NOW_S + 600))
    assert shown.info.expires_ms == shown.info.max_expires_ms == (NOW_S + 600) * 1000
    acting = store.as_token(shown)
    clock.advance(600_000 - 1)
    assert acting.kms.tokens.renew(increment="1h").expires_ms == shown.info.expires_ms
    clock.advance(1)
    with pytest.raises(SessionEnded):
        acting.kms.whoami()
    assert refused(store, lambda: by_jwt(store, shown=ada(exp=NOW_S + 600))) == "expired"


def test_a_token_of_long_life_gives_an_access_token_of_the_stores_own_length(store: Connection) -> None:
    store.kms.identities.write_auth_method("github", "jwt", issuer())
    now = store.kms.node.clock.now_ms()
    assert by_jwt(store, shown=ada(exp=NOW_S + 10**7)).info.expires_ms == now + CHEAP.token_ttl_ms


def test_the_same_name_of_two_issuers_is_two_principals(store: Connection) -> None:
    methods = store.kms.identities
    for name in ("github", "git", "hub.internal"):
        methods.write_auth_method(name, "jwt", issuer())
    found = {by_jwt(store, name).info.principal for name in ("github", "git", "hub.internal")}
    assert found == {"jwt:github/ada", "jwt:git/ada", "jwt:hub.internal/ada"}
    # What begins with the same letters is not the same method.
    assert methods.delete_auth_method("git") == 1
    assert [each.ended for each in store.kms.tokens.list(principal="jwt:github/ada").items] == [None]
    assert by_jwt(store, shown=ada(sub="git/ada")).info.principal == "jwt:github/git/ada"


def test_a_name_that_is_too_long_with_its_method_before_it_is_refused(store: Connection) -> None:
    store.kms.identities.write_auth_method("github", "jwt", issuer())
    assert by_jwt(store, shown=ada(sub="a" * (256 - len("github/"))))
    assert refused(store, lambda: by_jwt(store, shown=ada(sub="a" * 250))) == "name"


def test_an_unknown_method_and_every_wrong_proof_have_one_answer_and_the_log_tells_which(store: Connection) -> None:
    store.kms.identities.write_auth_method("github", "jwt", issuer())
    for name, shown, reason in (
        ("gitlab", None, "unknown-method"), ("mesh", None, "unknown-method"), ("GitHub", None, "malformed-name"),
        (" github", None, "malformed-name"), (None, None, "malformed-name"), ("role", None, "malformed-name"),
        (["github"], None, "malformed-name"), ("github", "no token", "form"), ("github", b"bytes", "form"),
        ("github", 5, "form"), ("github", "\ud800.a.b", "form"), ("\ud800", None, "malformed-name"),
        ("github", ada(aud="other"), "audience"), ("github", ada(iss="https://x.org"), "issuer"),
        ("github", ada(exp=1), "expired"), ("github", token(good_claims(), number=1), "signature"),
    ):  # fmt: skip
        assert refused(store, lambda n=name, s=shown: by_jwt(store, n, s, source="192.0.2.7")) == reason
        record = records(store, "login_failed")[-1]
        assert (record.detail["method"], record.detail["source"], record.outcome) == ("jwt", "192.0.2.7", "failed")
        spelled = name if reason not in ("malformed-name",) else "*"
        assert record.target == f"auth-method/{spelled}"
        assert str(shown) not in str(record.detail)


def test_a_method_of_one_kind_lets_nobody_in_by_the_other(store: Connection, authority: Issued, web: Issued) -> None:
    store.kms.identities.write_auth_method("github", "jwt", issuer())
    store.kms.identities.write_auth_method("mesh", "certificate", clients(authority))
    assert refused(store, lambda: by_jwt(store, "mesh")) == "unknown-method"
    assert refused(store, lambda: store.login("certificate", name="github", chain=[web.der])) == "unknown-method"


@pytest.mark.parametrize("given", [{}, {"name": "github"}, {"jwt": "x"}, {"name": "github", "jwt": "x", "more": 1}])
def test_other_credentials_than_a_login_takes_are_told(store: Connection, given: dict[str, Any]) -> None:
    for method in ("jwt", "certificate"):
        with pytest.raises(UsageError, match=f"by {method} takes name and"):
            store.login(method, **(given if method == "jwt" else {}))


# Certificates


def test_a_client_acts_by_its_certificate_and_only_with_it(
    store: Connection, authority: Issued, web: Issued, clock: ManualClock
) -> None:
    let_make_tokens(store, "mesh")
    store.kms.identities.write_auth_method("mesh", "certificate", clients(authority))
    shown = store.login("certificate", name="mesh", chain=[web.der])
    assert shown.info.principal == f"certificate:mesh/{SPIFFE}"
    other = authority.client()  # of the same name
    same_key = authority.client(key=web.key)
    for binding in ("", binding_of([other.der]), binding_of([same_key.der])):
        with pytest.raises(AuthenticationFailed):
            store.as_token(shown, binding=binding)
        assert records(store, "login_failed")[-1].detail["reason_class"] == "wrong-binding"
    with store.as_token(shown, binding=binding_of([web.der])) as acting:
        assert acting.kms.whoami().policies == ("mesh",)
        clock.advance(MINUTE)
        renewed = acting.kms.tokens.renew()
        child = acting.kms.tokens.create()
        assert acting.kms.tokens.renew(increment="1m").expires_ms >= renewed.expires_ms
    with pytest.raises(AuthenticationFailed):
        store.as_token(child)


def test_cve_2026_39388_nobody_renews_a_bound_token_without_its_certificate(
    store: Connection, authority: Issued, web: Issued
) -> None:
    """Who holds the text alone, and acts by something else that may renew, gives it no longer life."""
    store.kms.identities.write_auth_method("mesh", "certificate", clients(authority))
    shown = store.login("certificate", name="mesh", chain=[web.der])
    let_make_tokens(store, "mesh")
    other = authority.client()
    another = store.login("certificate", name="mesh", chain=[other.der])
    with_another = store.as_token(another, binding=binding_of([other.der]))
    helper = store.as_token(store.kms.tokens.create(["mesh"], name="helper"))
    for acting in (store, helper, with_another):
        for renew in (
            lambda face=acting: face.kms.tokens.renew(shown.reveal()),
            lambda face=acting: face.kms.tokens.renew_accessor(shown.accessor, increment="1d"),
        ):
            with pytest.raises(Denied, match="bound to a certificate"):
                renew()
    with store.as_token(shown, binding=binding_of([web.der])) as again:
        child = again.kms.tokens.create()
        assert again.kms.tokens.renew_accessor(child.accessor)


def test_an_access_token_ends_with_the_certificate(store: Connection, authority: Issued, clock: ManualClock) -> None:
    end = issuing_end(clock, 5 * MINUTE)
    soon = authority.client(end=end)
    store.kms.identities.write_auth_method("mesh", "certificate", clients(authority))
    shown = store.login("certificate", name="mesh", chain=[soon.der])
    # A certificate is good to the end of its last second.
    assert shown.info.max_expires_ms == int(end.timestamp()) * 1000 + 1000
    clock.advance(shown.info.expires_ms - clock.now_ms())
    with pytest.raises(AuthenticationFailed):
        store.as_token(shown, binding=binding_of([soon.der]))
    assert refused(store, lambda: store.login("certificate", name="mesh", chain=[soon.der])) == "chain"


def issuing_end(clock: ManualClock, length_ms: int) -> Any:
    from datetime import UTC, datetime

    return datetime.fromtimestamp((clock.now_ms() + length_ms) // 1000, UTC)


def test_a_chain_is_taken_as_der_and_as_the_pem_of_a_file(store: Connection, authority: Issued) -> None:
    between = authority.authority()
    client = between.client()
    store.kms.identities.write_auth_method("mesh", "certificate", clients(authority))
    pem = client.pem + "a comment\n" + client.key_pem + between.pem
    shown = [
        store.login("certificate", name="mesh", chain=chain)
        for chain in ([client.der, between.der], (client.der, between.der), pem, pem.encode())
    ]
    assert {each.info.principal for each in shown} == {f"certificate:mesh/{SPIFFE}"}
    assert binding_of(pem) == binding_of([client.der])
    bad = [
        "",
        b"",
        "x",
        between.pem + client.pem,
        client.key_pem,
        [],
        None,
        5,
        [client.pem],
        [5],
        {client.der},
        client.der,
    ]
    for chain in bad:
        assert refused(store, lambda c=chain: store.login("certificate", name="mesh", chain=c)) in (
            "form",
            "chain",
            "purpose",
        )
    assert client.key_pem.splitlines()[1] not in repr(records(store))


# Written, changed and deleted


def test_what_was_written_is_read_and_listed_page_by_page(store: Connection, authority: Issued) -> None:
    methods, now = store.kms.identities, store.kms.node.clock.now_ms()
    for name, kind, config in (
        ("b", "jwt", issuer()),
        ("a", "certificate", clients(authority)),
        ("c", "jwt", issuer()),
    ):
        assert methods.write_auth_method(name, kind, config).version == 1
    found = methods.read_auth_method("b")
    assert (found.name, found.kind, found.version, found.created_ms, found.updated_ms) == ("b", "jwt", 1, now, now)
    assert found.config == issuer()
    page = methods.list_auth_methods(limit=2)
    assert ([each.name for each in page.items], page.next) == (["a", "b"], "b")
    assert [each.name for each in methods.list_auth_methods(after="b").items] == ["c"]
    assert methods.write_auth_method("b", "jwt", json.dumps(found.config)).version == 2
    for name in ("nowhere", "d"):
        with pytest.raises(IdentityNotFound):
            methods.read_auth_method(name)
        with pytest.raises(IdentityNotFound):
            methods.delete_auth_method(name)


@pytest.mark.parametrize(
    "name", ["", "GitHub", "a/b", "a b", "a" * 65, "password", "role", "token", "..", ".", "a\n", None, 5]
)
def test_a_name_has_one_spelling_and_stands_for_nothing_else(store: Connection, name: Any) -> None:
    methods = store.kms.identities
    for call in (
        lambda: methods.write_auth_method(name, "jwt", issuer()), lambda: methods.read_auth_method(name),
        lambda: methods.delete_auth_method(name),
    ):  # fmt: skip
        with pytest.raises(UsageError):
            call()


def test_a_wrong_configuration_is_told_by_field_and_changes_nothing(store: Connection, authority: Issued) -> None:
    methods = store.kms.identities
    for kind, config, problem in (
        ("jwt", {**issuer(), "algorithms": ["HS256"]}, "algorithms"), ("jwt", clients(authority), "trusted"),
        ("certificate", {**clients(authority), "trusted": authority.client().pem}, "trusted"), ("jwt", {}, "issuer"),
        ("jwt", None, "configuration"),
    ):  # fmt: skip
        with pytest.raises(ConfigurationError) as caught:
            methods.write_auth_method("x", kind, config)
        assert problem in caught.value.problems
    for kind, config in (
        ("oidc", issuer()),
        (None, issuer()),
        ("jwt", "no json"),
        ("jwt", '{"a":1,"a":2}'),
        ("jwt", "[" * 9999),
    ):
        with pytest.raises(UsageError):
            methods.write_auth_method("x", kind, config)
    assert methods.list_auth_methods().items == []


def test_a_change_that_expects_another_version_or_kind_is_refused(store: Connection, authority: Issued) -> None:
    methods = store.kms.identities
    methods.write_auth_method("x", "jwt", issuer(), expected_version=0)
    for expected in (0, 2):
        with pytest.raises(VersionConflict) as caught:
            methods.write_auth_method("x", "jwt", issuer(), expected_version=expected)
        assert (caught.value.expected, caught.value.current) == (expected, 1)
    with pytest.raises(UsageError, match="is of kind jwt"):
        methods.write_auth_method("x", "certificate", clients(authority))
    assert methods.write_auth_method("x", "jwt", issuer(), expected_version=1).version == 2


def test_deleting_a_method_ends_its_tokens_with_their_children_in_every_process(
    store: Connection, opened: Open, authority: Issued, web: Issued, clock: ManualClock
) -> None:
    methods, there = store.kms.identities, opened()
    let_make_tokens(store, "readers")
    methods.write_auth_method("github", "jwt", issuer())
    methods.write_auth_method("mesh", "certificate", clients(authority))
    gone = [by_jwt(store), by_jwt(there, shown=ada(sub="eve"))]
    stays = store.login("certificate", name="mesh", chain=[web.der])
    acting = there.as_token(gone[0])
    child = store.as_token(gone[1]).kms.tokens.create()
    assert methods.delete_auth_method("github") == 3
    clock.advance(1_000)
    with pytest.raises(SessionEnded):
        acting.kms.whoami()
    ended = [store.kms.tokens.lookup_accessor(each.accessor).ended for each in (*gone, child, stays)]
    assert ended == ["token-revoked"] * 3 + [None]
    assert refused(there, lambda: by_jwt(there)) == "unknown-method"
    (record,) = records(store, "auth_method_deleted")
    assert (record.target, record.detail["tokens"]) == ("auth-method/github", 3)


def test_a_changed_configuration_is_seen_by_another_connection_at_once(store: Connection, opened: Open) -> None:
    there = opened()
    store.kms.identities.write_auth_method("github", "jwt", issuer())
    assert by_jwt(there).info.policies == ("readers",)
    store.kms.identities.write_auth_method("github", "jwt", issuer(policies=("others",)))
    assert by_jwt(there).info.policies == ("others",)
    store.kms.identities.write_auth_method("github", "jwt", issuer(audiences=("elsewhere",)))
    assert refused(there, lambda: by_jwt(there)) == "audience"


def test_a_configuration_that_changes_while_a_token_is_looked_at_lets_nobody_in(store: Connection) -> None:
    methods = store.kms.identities
    methods.write_auth_method("github", "jwt", issuer())
    jwt = store.kms.node.identities.logins.methods["jwt"]
    settled = jwt.prepare({"name": "github", "jwt": ada()}, "")
    methods.write_auth_method("github", "jwt", issuer(audiences=("elsewhere",)))
    for _ in range(2):
        with store.kms.node.write() as transaction:
            assert settled.settle(transaction, issuing.NOW_MS).reason_class == "method-changed"
        if methods.list_auth_methods().items:
            methods.delete_auth_method("github")


def test_the_issuers_keys_are_fetched_once_for_a_configuration_and_never_by_a_tokens_own_word(
    store: Connection, clock: ManualClock, authority: Issued, tmp_path: Path
) -> None:
    with serving(tmp_path, root(**VALID)) as site:
        site.put("/keys", {"keys": [jwk("ES256")]})
        config = issuer(jwks="", jwks_url=f"{site.url}/keys", ca_pem=site.ca_pem, private_networks=LOCAL)
        methods = store.kms.identities
        methods.write_auth_method("github", "jwt", config)
        strange = {"alg": "ES256", "kid": "k1", "jku": f"{site.url}/evil", "x5u": f"{site.url}/evil"}
        assert refused(store, lambda: by_jwt(store, shown=ada(iss=site.url))) == "issuer"
        assert refused(store, lambda: by_jwt(store, "other")) == "unknown-method"
        assert site.asked == []
        for shown in (ada(), ada(sub="eve"), token(good_claims(), header=strange)):
            assert by_jwt(store, shown=shown)
        assert site.asked == ["/keys"]
        methods.write_auth_method("github", "jwt", config | {"cache": "20m"})
        assert by_jwt(store)
        assert site.asked == ["/keys"] * 2
        site.put("/keys", b"", 500)
        methods.write_auth_method("github", "jwt", config)
        assert refused(store, lambda: by_jwt(store)) == "keys-unavailable"
        clock.advance(MINUTE)
        site.put("/keys", {"keys": [jwk("ES256")]})
        assert by_jwt(store)


# Rows


def edit(path: Path, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement, values)


def row_of(path: Path, name: str) -> tuple[Any, ...]:
    with closing(sqlite3.connect(path)) as connection:
        return tuple(connection.execute("SELECT * FROM auth_methods WHERE name = ?", (name,)).fetchone())


@pytest.mark.parametrize("column", ["kind", "config", "created_ms", "updated_ms", "version", "mac"])
@pytest.mark.parametrize("value", ["x", b"x" * 32, 7])
def test_an_edited_row_lets_nobody_in_and_can_be_removed_or_written_anew(
    store: Connection, path: Path, column: str, value: Any
) -> None:
    methods = store.kms.identities
    methods.write_auth_method("github", "jwt", issuer())
    shown = by_jwt(store)
    edit(path, f"UPDATE auth_methods SET {column} = ?", value)
    assert refused(store, lambda: by_jwt(store)) == "edited-row"
    for call in (methods.list_auth_methods, lambda: methods.read_auth_method("github")):
        with pytest.raises(IntegrityError):
            call()
    if column == "config":
        methods.write_auth_method("github", "jwt", issuer())
        assert by_jwt(store)
    assert methods.delete_auth_method("github") >= 1
    assert store.kms.tokens.lookup_accessor(shown.accessor).ended == "token-revoked"


def test_a_row_under_another_name_or_of_another_store_lets_nobody_in(
    store: Connection, path: Path, tmp_path: Path, clock: ManualClock
) -> None:
    methods = store.kms.identities
    methods.write_auth_method("github", "jwt", issuer())
    methods.write_auth_method("lax", "jwt", issuer(policies=("lax",)))
    edit(path, "DELETE FROM auth_methods WHERE name = 'github'")
    edit(path, "UPDATE auth_methods SET name = 'github' WHERE name = 'lax'")
    assert refused(store, lambda: by_jwt(store)) == "edited-row"
    with keystead.connect(tmp_path / "other.db", master_key=KEY, clock=clock, settings=CHEAP) as other:
        other.kms.identities.write_auth_method("hub", "jwt", issuer())
    edit(path, "INSERT INTO auth_methods VALUES (?, ?, ?, ?, ?, ?, ?)", *row_of(tmp_path / "other.db", "hub"))
    assert refused(store, lambda: by_jwt(store, "hub")) == "edited-row"


def test_an_old_row_that_was_put_back_is_found_by_comparing_the_store_with_its_log(
    store: Connection, path: Path
) -> None:
    methods = store.kms.identities
    methods.write_auth_method("github", "jwt", issuer())
    old = row_of(path, "github")
    methods.write_auth_method("github", "jwt", issuer(audiences=("elsewhere",)))
    store.kms.audit.verify().require_ok()
    edit(path, "INSERT OR REPLACE INTO auth_methods VALUES (?, ?, ?, ?, ?, ?, ?)", *old)
    with pytest.raises(AuditBroken):
        store.kms.audit.verify().require_ok()
    methods.delete_auth_method("github")
    store.kms.audit.verify().require_ok()
    edit(path, "INSERT OR REPLACE INTO auth_methods VALUES (?, ?, ?, ?, ?, ?, ?)", *old)
    assert not store.kms.audit.verify().ok


def test_auth_methods_and_their_tokens_come_through_a_backup_and_a_rekey(
    store: Connection, tmp_path: Path, clock: ManualClock
) -> None:
    store.kms.identities.write_auth_method("github", "jwt", issuer())
    shown = by_jwt(store)
    store.kms.rekey(store.kms.own_credential())
    assert by_jwt(store)
    store.kms.backup(tmp_path / "b.ksb", passphrase=PASSWORD)
    with keystead.connect(tmp_path / "new.db", master_key=KEY, clock=clock, settings=CHEAP) as fresh:
        fresh.kms.restore(tmp_path / "b.ksb", passphrase=PASSWORD)
    with keystead.connect(tmp_path / "new.db", master_key=KEY, clock=clock, settings=CHEAP) as fresh:
        assert by_jwt(fresh)
        assert fresh.as_token(shown).kms.whoami().principal == "jwt:github/ada"


def test_the_async_face_logs_in_the_same(path: Path, clock: ManualClock, authority: Issued, web: Issued) -> None:
    async def scene() -> tuple[str, str]:
        async with await keystead.aio.connect(path, master_key=KEY, clock=clock, settings=CHEAP) as store:
            await store.kms.identities.write_auth_method("github", "jwt", issuer())
            await store.kms.identities.write_auth_method("mesh", "certificate", clients(authority))
            one = await store.login("jwt", name="github", jwt=ada())
            two = await store.login("certificate", name="mesh", chain=[web.der])
            found = await store.kms.identities.list_auth_methods()
            assert [asdict(each)["name"] for each in found.items] == ["github", "mesh"]
            await store.kms.identities.delete_auth_method("github")
            return one.info.principal, two.info.principal

    assert asyncio.run(scene()) == ("jwt:github/ada", f"certificate:mesh/{SPIFFE}")


def test_the_clock_of_certificates_and_tokens_is_near_enough() -> None:
    assert abs(NOW_MS - issuing.NOW_MS) < DAY.total_seconds() * 1000

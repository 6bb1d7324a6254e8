"""Logging in by password and by role: who is let in, who is locked out, and that nobody can tell why not."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.access.conftest import PASSWORD, Open, allow, records

from keystead.access.token_text import Kind, parse
from keystead.errors import (
    AlreadyExists,
    AuthenticationFailed,
    Denied,
    IdentityNotFound,
    IntegrityError,
    LockedOut,
    SessionEnded,
    UsageError,
)
from keystead.services.connection import Connection
from keystead.testing import ManualClock

MINUTE = 60_000
CHEAPEST = (2, 1, 19_456)


def ada(store: Connection, **how: Any) -> None:
    store.kms.identities.create_user("ada", PASSWORD, **{"policies": ["all"], "ttl": "1h", **how})


def fails(store: Connection, name: object = "ada", password: str = "wrong password") -> str:
    with pytest.raises((AuthenticationFailed, LockedOut)) as caught:
        store.login("password", name=name, password=password)
    return f"{type(caught.value).__name__}: {caught.value}"


def test_a_user_logs_in_and_acts_with_the_policies_it_was_given(store: Connection) -> None:
    ada(store)
    token = store.login("password", name="ada", password=PASSWORD, source="192.0.2.7")
    assert parse(token.reveal(), Kind.PERSON)
    with store.as_token(token) as there:
        me = there.kms.whoami()
        assert (me.principal, me.method, me.policies) == ("user:ada", "password", ("all",))
        assert me.expires_ms == store.kms.node.clock.now_ms() + 3_600_000
    (record,) = records(store, "login_succeeded")
    assert record.target == "user/ada"
    assert (record.detail["holder"], record.detail["source"], record.detail["method"]) == (
        "user:ada", "192.0.2.7", "password",
    )  # fmt: skip


def test_cve_2025_6011_and_54999_and_2020_35177_whoever_is_not_let_in_costs_one_derivation_and_hears_one_text(
    store: Connection, argon2: list[tuple[int, int, int]]
) -> None:
    """Row 23, and T67: shown by counting what is derived, not by a clock."""
    ada(store)
    argon2.clear()
    answers = {
        fails(store), fails(store, "nobody"), fails(store, "Ada"), fails(store, " ada"), fails(store, "ada\n"),
        fails(store, "ada" * 40), fails(store, None), fails(store, "ådа"), fails(store, "ada", PASSWORD + " "),
    }  # fmt: skip
    assert len(answers) == 1
    assert argon2 == [CHEAPEST] * 9
    argon2.clear()
    assert store.login("password", name="ada", password=PASSWORD)
    assert argon2 == [CHEAPEST]


def test_a_locked_name_costs_and_says_the_same_whether_or_not_anybody_has_it(
    store: Connection, argon2: list[tuple[int, int, int]]
) -> None:
    ada(store)
    argon2.clear()
    told: dict[str, list[str]] = {"ada": [], "nobody": []}
    for _ in range(7):
        for name, texts in told.items():
            texts.append(fails(store, name))
    assert told["ada"] == told["nobody"]
    assert [text.split(":")[0] for text in told["ada"]] == ["AuthenticationFailed"] * 5 + ["LockedOut"] * 2
    assert argon2 == [CHEAPEST] * 14
    assert fails(store, "ada", PASSWORD) == told["ada"][-1]
    assert len(argon2) == 15


@pytest.mark.parametrize("spelled", ["Ada", "ADA", " ada", "ada ", "ada\t", "ad\u0061\u200b", "ａｄａ", "ada\x00"])
def test_cve_2025_6004_and_54998_no_other_spelling_is_a_try_at_a_name(
    store: Connection, argon2: list[tuple[int, int, int]], spelled: str
) -> None:
    """Row 22: another spelling reaches nobody, so it cannot be used to guess past the count."""
    ada(store)
    for _ in range(20):
        assert fails(store, spelled, PASSWORD).startswith("AuthenticationFailed")
    assert store.login("password", name="ada", password=PASSWORD)
    with pytest.raises(UsageError):
        store.kms.identities.create_user(spelled, PASSWORD)
    failed = records(store, "login_failed")
    assert {record.target for record in failed} == {"user/*"}
    assert {record.detail["reason_class"] for record in failed} == {"malformed-name"}


def test_five_failures_lock_for_fifteen_minutes_and_no_longer_whatever_is_tried(
    store: Connection, clock: ManualClock, argon2: list[tuple[int, int, int]]
) -> None:
    """T67: nobody can keep an administrator out for ever by guessing on."""
    ada(store)
    for _ in range(5):
        fails(store)
    for _ in range(14):
        clock.advance(MINUTE)
        assert fails(store).startswith("LockedOut")
    assert store.kms.identities.read_user("ada").locked_until_ms == clock.now_ms() + MINUTE
    clock.advance(MINUTE - 1)
    with pytest.raises(LockedOut) as caught:
        store.login("password", name="ada", password=PASSWORD)
    assert caught.value.retry_after_s == 1
    clock.advance(1)
    assert store.login("password", name="ada", password=PASSWORD)
    assert store.kms.identities.read_user("ada").locked_until_ms is None


def test_a_success_ends_the_count_and_a_lock_ends_no_session(
    store: Connection, argon2: list[tuple[int, int, int]]
) -> None:
    ada(store)
    for _ in range(3):
        for _ in range(4):
            fails(store)
        token = store.login("password", name="ada", password=PASSWORD)
    for _ in range(5):
        fails(store)
    store.as_token(token).kms.whoami()
    store.kms.identities.set_password("ada", PASSWORD)
    assert store.login("password", name="ada", password=PASSWORD)


def test_failures_are_counted_for_all_processes_and_over_restarts(
    opened: Open, argon2: list[tuple[int, int, int]]
) -> None:
    one, two = opened(), opened()
    ada(one)
    for store in (one, two, one, two):
        assert fails(store).startswith("AuthenticationFailed")
    one.close()
    three = opened()
    assert fails(three).startswith("AuthenticationFailed")
    assert fails(two).startswith("LockedOut")


def test_the_bounds_of_locking_are_settings(
    opened: Open, clock: ManualClock, argon2: list[tuple[int, int, int]]
) -> None:
    store = opened(changes={"login_failures": 2, "login_window_ms": 1_000, "login_lock_ms": 5_000})
    fails(store)
    clock.advance(1_000)
    fails(store)
    assert fails(store).startswith("AuthenticationFailed")
    with pytest.raises(LockedOut) as caught:
        store.login("password", name="ada", password="x")
    assert caught.value.retry_after_s == 5


def test_deleting_a_user_or_setting_its_password_ends_its_tokens_and_their_children(store: Connection) -> None:
    allow(store)
    ada(store)
    acting = store.as_token(store.login("password", name="ada", password=PASSWORD))
    child = store.as_token(acting.kms.tokens.create())
    store.kms.identities.set_password("ada", PASSWORD + "2")
    for face in (acting, child):
        with pytest.raises(SessionEnded):
            face.kms.whoami()
    fails(store, "ada", PASSWORD)
    acting = store.as_token(store.login("password", name="ada", password=PASSWORD + "2"))
    store.kms.identities.delete_user("ada")
    with pytest.raises(SessionEnded):
        acting.kms.whoami()
    fails(store, "ada", PASSWORD + "2")
    with pytest.raises(IdentityNotFound):
        store.kms.identities.read_user("ada")


def test_users_are_listed_read_and_changed_without_their_passwords(
    store: Connection, argon2: list[tuple[int, int, int]]
) -> None:
    users = store.kms.identities
    for name in ("eve", "ada", "bob@example.com", "0-x_y"):
        users.create_user(name, PASSWORD)
    with pytest.raises(AlreadyExists):
        users.create_user("ada", PASSWORD)
    page = users.list_users(limit=3)
    assert [user.name for user in page.items] == ["0-x_y", "ada", "bob@example.com"]
    assert [user.name for user in users.list_users(after=page.next).items] == ["eve"]
    changed = users.change_user("ada", policies=["b", "a"], ttl="5m", networks=["10.0.0.0/8"])
    assert changed.rules.policies == ("a", "b") and users.read_user("ada") == changed
    token = store.login("password", name="ada", password=PASSWORD)
    assert (token.info.policies, token.info.networks, token.info.ttl_ms) == (("a", "b"), ("10.0.0.0/8",), 300_000)
    for wrong in ("", "short", "x" * 1_025, 5, None):
        with pytest.raises(UsageError):
            users.create_user("new", wrong)  # type: ignore[arg-type]
    for gone in (lambda: users.set_password("new", PASSWORD), lambda: users.delete_user("new")):
        with pytest.raises(IdentityNotFound):
            gone()


def test_a_password_is_taken_in_any_normal_form(store: Connection) -> None:
    store.kms.identities.create_user("ada", "pa\u0301ssw\u00f6rd-long")
    assert store.login("password", name="ada", password="p\u00e1sswo\u0308rd-long")


def test_the_cost_is_kept_with_the_user_and_bounded_on_reading(opened: Open, path: Path) -> None:
    store = opened(changes={"password_iterations": 3})
    ada(store)
    other = opened()
    assert other.login("password", name="ada", password=PASSWORD)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE users SET iterations = 1")
    with pytest.raises(IntegrityError):
        store.login("password", name="ada", password=PASSWORD)
    with pytest.raises(UsageError):
        _ = opened(changes={"password_memory_kib": 8}).kms.identities.list_users()


@pytest.mark.parametrize("table", ["users", "login_failures", "roles", "secret_ids"])
def test_an_edited_row_of_an_account_is_refused(
    store: Connection, path: Path, table: str, argon2: list[tuple[int, int, int]]
) -> None:
    ada(store)
    fails(store)
    role = store.kms.identities.create_role("ci", policies=["a"], secret_id_uses=5)
    secret = store.kms.identities.create_secret_id("ci")
    with closing(sqlite3.connect(path)) as connection:
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    for column in columns:
        if column in ("name", "hash", "role_id", "accessor", "role"):
            continue
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            before = connection.execute(f"SELECT {column} FROM {table}").fetchone()[0]
            value = b"x" * 32 if isinstance(before, bytes) else '["x"]' if isinstance(before, str) else 3
            connection.execute(f"UPDATE {table} SET {column} = ?", (value,))
        with pytest.raises(IntegrityError):
            if table in ("users", "login_failures"):
                store.login("password", name="ada", password=PASSWORD)
            else:
                store.login("role", role_id=role.role_id, secret_id=secret.reveal())
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute(f"UPDATE {table} SET {column} = ?", (before,))


# Roles


def test_a_role_logs_in_by_role_id_and_secret_id(store: Connection) -> None:
    roles = store.kms.identities
    role = roles.create_role("ci", policies=["deploy"], ttl="10m", secret_id_ttl="1d", secret_id_uses=2)
    secret = roles.create_secret_id("ci", meta={"host": "build-7"})
    assert (secret.info.uses_left, secret.info.expires_ms) == (2, store.kms.node.clock.now_ms() + 86_400_000)
    token = store.login("role", role_id=role.role_id, secret_id=secret.reveal())
    assert (token.info.principal, token.info.method, token.info.policies) == ("role:ci", "role", ("deploy",))
    assert token.info.meta == {"host": "build-7", "role_name": "ci"}
    assert roles.lookup_secret_id("ci", secret.reveal()).uses_left == 1
    assert roles.lookup_secret_id_accessor("ci", secret.accessor) == roles.list_secret_ids("ci").items[0]
    assert repr(secret) == f"<secret id {secret.accessor} of role ci: use .reveal()>"


def test_every_failure_of_a_role_has_one_text_and_its_own_class_in_the_log(
    store: Connection, clock: ManualClock
) -> None:
    roles = store.kms.identities
    role = roles.create_role("ci", secret_id_ttl="1m", login_networks=["10.0.0.0/8"])
    other = roles.create_role("other")
    good, once = roles.create_secret_id("ci").reveal(), roles.create_secret_id("ci", uses=1).reveal()
    store.login("role", source="10.0.0.1", role_id=role.role_id, secret_id=once)
    texts, tries = set(), [
        ("nobody", good, "10.0.0.1"), (role.role_id, once, "10.0.0.1"), (role.role_id, "nonsense", "10.0.0.1"),
        (role.role_id, good, "192.0.2.7"), (role.role_id, good, None), (other.role_id, good, "10.0.0.1"),
        (None, None, None), (role.role_id, role.role_id, "10.0.0.1"), (role.name, good, "10.0.0.1"),
    ]  # fmt: skip
    for role_id, secret_id, source in tries:
        with pytest.raises(AuthenticationFailed) as caught:
            store.login("role", source=source, role_id=role_id, secret_id=secret_id)
        texts.add(str(caught.value))
    clock.advance(MINUTE)
    with pytest.raises(AuthenticationFailed) as caught:
        store.login("role", source="10.0.0.1", role_id=role.role_id, secret_id=good)
    assert texts == {str(caught.value)}
    assert [record.detail["reason_class"] for record in records(store, "login_failed")] == [
        "unknown-role", "unknown-secret-id", "unknown-secret-id", "wrong-source", "wrong-source",
        "secret-id-of-another-role", "unknown-role", "unknown-secret-id", "unknown-role", "secret-id-expired",
    ]  # fmt: skip


def test_cve_2023_24999_a_secret_id_is_reached_by_its_own_role_only(store: Connection) -> None:
    """Row 18, and T70: neither used with, looked up, nor destroyed through another role."""
    roles = store.kms.identities
    mine, other = roles.create_role("mine"), roles.create_role("other")
    secret = roles.create_secret_id("mine")
    for reach in (
        lambda: roles.destroy_secret_id("other", secret.accessor),
        lambda: roles.lookup_secret_id_accessor("other", secret.accessor),
        lambda: roles.lookup_secret_id("other", secret.reveal()),
    ):
        with pytest.raises(IdentityNotFound):
            reach()
    with pytest.raises(AuthenticationFailed):
        store.login("role", role_id=other.role_id, secret_id=secret.reveal())
    assert roles.list_secret_ids("other").items == []
    assert store.login("role", role_id=mine.role_id, secret_id=secret.reveal())
    roles.destroy_secret_id("mine", secret.accessor)
    with pytest.raises(AuthenticationFailed):
        store.login("role", role_id=mine.role_id, secret_id=secret.reveal())


def test_t70_a_forged_list_of_addresses_is_no_source(store: Connection) -> None:
    role = store.kms.identities.create_role("ci", login_networks=["10.0.0.0/8"])
    secret = store.kms.identities.create_secret_id("ci", networks=["10.1.0.0/16"])
    for source in ("10.1.0.1, 192.0.2.7", "192.0.2.7, 10.1.0.1", "10.1.0.1\n", "[10.1.0.1]", "10.1.0.1:443"):
        with pytest.raises(UsageError):
            store.login("role", source=source, role_id=role.role_id, secret_id=secret.reveal())
    with pytest.raises(AuthenticationFailed):
        store.login("role", source="10.2.0.1", role_id=role.role_id, secret_id=secret.reveal())
    assert store.login("role", source="::ffff:10.1.0.1", role_id=role.role_id, secret_id=secret.reveal())


def test_a_secret_id_gets_no_more_than_its_role_gives(store: Connection) -> None:
    roles = store.kms.identities
    roles.create_role("ci", secret_id_ttl="1h", secret_id_uses=3)
    more = roles.create_secret_id("ci", ttl="1d", uses=50)
    less = roles.create_secret_id("ci", ttl="1m", uses=1)
    now = store.kms.node.clock.now_ms()
    assert (more.info.uses_left, more.info.expires_ms) == (3, now + 3_600_000)
    assert (less.info.uses_left, less.info.expires_ms) == (1, now + 60_000)
    roles.create_role("free")
    free = roles.create_secret_id("free")
    assert (free.info.uses_left, free.info.expires_ms) == (None, None)


def test_roles_are_listed_changed_and_removed_with_all_they_gave(store: Connection) -> None:
    roles = store.kms.identities
    role = roles.create_role("ci", role_id="build-1")
    for wrong in ({"name": "ci"}, {"name": "cd", "role_id": "build-1"}):
        with pytest.raises(AlreadyExists):
            roles.create_role(**wrong)  # type: ignore[arg-type]
    changed = roles.change_role("ci", policies=["b"], secret_id_uses=1)
    assert (changed.role_id, changed.rules.policies) == (role.role_id, ("b",))
    assert roles.change_role("ci", role_id="build-2").role_id == "build-2"
    secret = roles.create_secret_id("ci")
    acting = store.as_token(store.login("role", role_id="build-2", secret_id=secret.reveal()))
    assert [each.name for each in roles.list_roles().items] == ["ci"]
    roles.delete_role("ci")
    with pytest.raises(SessionEnded):
        acting.kms.whoami()
    roles.create_role("ci", role_id="build-2")
    with pytest.raises(AuthenticationFailed):
        store.login("role", role_id="build-2", secret_id=secret.reveal())
    for wrong_id in ("", "a b", "x" * 129, "é", 5):
        with pytest.raises(UsageError):
            roles.create_role("cd", role_id=wrong_id)  # type: ignore[arg-type]


def test_cve_2025_6014_what_is_shown_once_is_burned_in_any_spelling(store: Connection) -> None:
    """Row 24: blanks around a secret id are another text, so there is one spelling, and it is burned by its use."""
    role = store.kms.identities.create_role("ci", secret_id_uses=1)
    secret = store.kms.identities.create_secret_id("ci").reveal()
    for spelled in (f" {secret}", f"{secret} ", f"{secret}\n", secret.swapcase()):
        with pytest.raises(AuthenticationFailed):
            store.login("role", role_id=role.role_id, secret_id=spelled)
    assert store.login("role", role_id=role.role_id, secret_id=secret)
    for spelled in (secret, f"{secret} "):
        with pytest.raises(AuthenticationFailed):
            store.login("role", role_id=role.role_id, secret_id=spelled)


def test_who_acts_by_a_token_may_log_in_as_another_but_not_manage_accounts(store: Connection) -> None:
    ada(store, policies=[])
    store.kms.identities.create_user("bob", PASSWORD)
    with store.as_token(store.login("password", name="ada", password=PASSWORD)) as there:
        token = there.login("password", name="bob", password=PASSWORD)
        with there.as_token(token) as bob:
            assert bob.kms.whoami().principal == "user:bob"
        users = there.kms.identities
        for refused in (
            lambda: users.create_user("eve", PASSWORD),
            lambda: users.set_password("bob", PASSWORD),
            lambda: users.delete_user("bob"),
            lambda: users.change_user("ada", policies=["all"]),
            lambda: users.create_role("r"),
            users.list_roles,
        ):
            with pytest.raises((Denied, IdentityNotFound)):
                refused()


@pytest.mark.parametrize(
    ("method", "credentials"),
    [
        ("password", {}), ("password", {"name": "ada"}), ("password", {"name": "ada", "password": ""}),
        ("password", {"name": "ada", "password": 5}), ("password", {"name": "ada", "password": "x", "also": 1}),
        ("role", {"role_id": "x"}), ("token", {}), ("nothing", {}), (None, {}),
        ("Password", {"name": "a", "password": "x"}), ("password", {"name": "ada", "password": "\ud800" * 9}),
    ],
)  # fmt: skip
def test_other_credentials_than_a_method_takes_are_a_mistake_of_the_caller(
    store: Connection, method: Any, credentials: dict[str, Any]
) -> None:
    with pytest.raises(UsageError):
        store.login(method, **credentials)


def test_a_further_method_is_one_object_with_a_name_and_two_steps(store: Connection) -> None:
    from keystead.access.logins import Grant, Refusal
    from keystead.access.tokens import Holder, TokenRules

    class Badge:
        name = "badge"
        target = "badge/*"

        def prepare(self, credentials: dict[str, Any], source: str) -> Badge:
            self.number = credentials["number"]
            return self

        def settle(self, transaction: Any, now_ms: int) -> Grant | Refusal:
            if self.number != 7:
                return Refusal("wrong-number")
            return Grant(Holder("badge:7", self.name, mfa_ms=now_ms), TokenRules(("a",)), Kind.PERSON)

    store.kms.node.identities.add_method(Badge())
    with store.as_token(store.login("badge", number=7)) as there:
        assert there.kms.whoami().principal == "badge:7"
        assert there.kms._session.authentication.mfa_ms == store.kms.node.clock.now_ms()
    with pytest.raises(AuthenticationFailed):
        store.login("badge", number=8)
    assert records(store, "login_failed")[-1].detail == {"method": "badge", "reason_class": "wrong-number"}


def test_cve_2025_11621_a_name_that_is_given_again_has_nothing_of_who_had_it(store: Connection) -> None:
    """Row 17: what is known is kept by accessor and keyed hash, never by a name that another can get."""
    ada(store)
    old = store.login("password", name="ada", password=PASSWORD)
    acting = store.as_token(old)
    store.kms.identities.delete_user("ada")
    ada(store, policies=["little"])
    for refused in (acting.kms.whoami, lambda: store.as_token(old)):
        with pytest.raises((SessionEnded, AuthenticationFailed)):
            refused()
    new = store.login("password", name="ada", password=PASSWORD)
    assert store.as_token(new).kms.whoami().policies == ("little",)
    one, other = (store.kms.identities.create_role(name) for name in ("a", "b"))
    secret = store.kms.identities.create_secret_id("a")
    with pytest.raises(AlreadyExists):
        store.kms.identities.change_role("b", role_id=one.role_id)
    assert store.login("role", role_id=one.role_id, secret_id=secret.reveal()).info.principal == "role:a"
    assert other.role_id != one.role_id


@pytest.mark.parametrize("odd", [5, b"x", object(), [5], "a\nb", "\ud800", 1.5])
def test_wrong_arguments_are_a_mistake_of_the_caller_and_no_traceback_of_ours(store: Connection, odd: Any) -> None:
    users, tokens = store.kms.identities, store.kms.tokens
    users.create_role("ci")
    for call in (
        lambda: tokens.revoke_principal(odd), lambda: tokens.list(principal=odd), lambda: tokens.list(after=odd),
        lambda: tokens.lookup_accessor(odd), lambda: tokens.create(odd), lambda: tokens.create(name=odd),
        lambda: tokens.create(uses=odd) if odd != 5 else tokens.create(uses="5"),  # type: ignore[arg-type]
        lambda: tokens.create(meta=odd), lambda: tokens.create(networks=odd), lambda: tokens.create(ttl=odd),
        lambda: tokens.create(renewable=odd), lambda: tokens.lookup(odd), lambda: users.list_users(after=odd),
        lambda: users.list_roles(after=odd), lambda: users.create_user(odd, "x" * 9), lambda: users.read_role(odd),
        lambda: users.create_secret_id("ci", uses=str(odd)),  # type: ignore[arg-type]
        lambda: users.create_role("x", secret_id_uses=str(odd)),  # type: ignore[arg-type]
        lambda: users.lookup_secret_id("ci", odd), lambda: users.create_role(odd), lambda: store.as_token(odd),
        lambda: store.login(odd), lambda: store.login("token", token=odd), lambda: store.as_token("x", source=odd),
    ):  # fmt: skip
        with pytest.raises((UsageError, AuthenticationFailed)):
            call()


@pytest.mark.parametrize("uses", [0, -1, 2**63, True])
def test_a_secret_id_has_a_number_of_uses_that_is_one(store: Connection, uses: int) -> None:
    store.kms.identities.create_role("ci")
    with pytest.raises(UsageError):
        store.kms.identities.create_secret_id("ci", uses=uses)


def test_logging_in_by_a_token_gives_it_back_where_it_is_good(store: Connection) -> None:
    token = store.kms.tokens.create(name="x")
    assert store.login("token", token=token.reveal()).info == token.info
    assert store.login("token", token=token, source="192.0.2.7").reveal() == token.reveal()
    shown = [record for record in records(store, "login_succeeded") if record.detail["method"] == "token"]
    assert [(record.target, record.detail["holder"], record.detail.get("source")) for record in shown] == [
        (f"token/{token.accessor}", token.info.principal, None),
        (f"token/{token.accessor}", token.info.principal, "192.0.2.7"),
    ]
    assert store.kms.tokens.lookup(token) == token.info
    store.kms.tokens.revoke_accessor(token.accessor)
    with pytest.raises(AuthenticationFailed):
        store.login("token", token=token.reveal())

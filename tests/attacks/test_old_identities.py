"""Rows of identities put back as they were: a token that was ended is live again, a password that was changed is good.

Such rows are authentic, so nothing refuses them; `audit verify` names them by what the log knows.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.access.conftest import CHEAP, PASSWORD
from tests.access.test_second_factor import code_at
from tests.attacks.stores import KEY
from tests.methods import issuing
from tests.methods.issuing import good_claims, token

import keystead
from keystead.services.connection import Connection
from keystead.testing import ManualClock

TABLES = ("access_tokens", "users", "roles", "secret_ids", "auth_methods")
WORDS = "seven plain words for the backup of a test"
EVERYTHING = {"version": 1, "statements": [{"id": "all", "effect": "allow", "actions": ["*"], "resources": ["**"]}]}


class World:
    """A store with a user, a role, an auth method and tokens of each, and its rows as they were then."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = ManualClock(issuing.NOW_MS)
        with self.open() as store:
            identities = store.kms.identities
            store.kms.policies.write("all", EVERYTHING)
            identities.create_user("ada", PASSWORD, policies=["all"])
            identities.create_user("bob", PASSWORD)
            role = identities.create_role("ci", secret_id_uses=5)
            secret = identities.create_secret_id("ci")
            identities.write_auth_method("github", "jwt", issuing.config().to_json())
            self.ada = store.login("password", name="ada", password=PASSWORD)
            with store.as_token(self.ada) as session:
                self.child = session.kms.tokens.create()
            with store.as_token(self.child) as session:
                self.grandchild = session.kms.tokens.create()
            self.ci = store.login("role", role_id=role.role_id, secret_id=secret.reveal())
            self.jwt = store.login("jwt", name="github", jwt=token(good_claims()))
            self.secret = secret.info.accessor
            self.other = store.login("password", name="bob", password=PASSWORD)
        self.before = {table: self.rows(table) for table in TABLES}

    def open(self) -> Connection:
        return keystead.connect(self.path, master_key=KEY, clock=self.clock, settings=CHEAP)

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(f"SELECT * FROM {table}").fetchall()

    def put_back(self) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            for table, rows in self.before.items():
                connection.execute(f"DELETE FROM {table}")
                connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)

    def problems(self) -> set[str]:
        """The targets that verifying names."""
        with self.open() as store:
            return {problem.what.partition(" ")[0] for problem in store.kms.audit.verify().problems}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    yield World(tmp_path / "app.db")


def of(*tokens: Any) -> set[str]:
    return {f"token/{one.info.accessor}" for one in tokens}


CHANGES: dict[str, tuple[Callable[[World, Any], object], Callable[[World], set[str]]]] = {
    "a token is revoked": (
        lambda world, kms: kms.tokens.revoke_accessor(world.ada.info.accessor),
        lambda world: of(world.ada, world.child, world.grandchild),
    ),
    "a token is revoked that has a parent": (
        lambda world, kms: kms.tokens.revoke_accessor(world.child.info.accessor),
        lambda world: of(world.child, world.grandchild),
    ),
    "all tokens of a principal are revoked": (
        lambda world, kms: kms.tokens.revoke_principal("user:ada"),
        lambda world: of(world.ada, world.child, world.grandchild),
    ),
    "a password is changed": (
        lambda world, kms: kms.identities.set_password("ada", "another good one"),
        lambda world: {"user/ada"} | of(world.ada, world.child, world.grandchild),
    ),
    "a user is deleted": (
        lambda world, kms: kms.identities.delete_user("ada"),
        lambda world: {"user/ada"} | of(world.ada, world.child, world.grandchild),
    ),
    "a user is changed": (lambda world, kms: kms.identities.change_user("ada"), lambda world: {"user/ada"}),
    "a second factor is enrolled": (
        lambda world, kms: kms.identities.enroll_second_factor("ada", require=True),
        lambda world: {"user/ada"},
    ),
    "a role is changed": (lambda world, kms: kms.identities.change_role("ci"), lambda world: {"role/ci"}),
    "a role is deleted": (
        lambda world, kms: kms.identities.delete_role("ci"),
        lambda world: {"role/ci", f"secret-id/{world.secret}"} | of(world.ci),
    ),
    "a secret id is destroyed": (
        lambda world, kms: kms.identities.destroy_secret_id("ci", world.secret),
        lambda world: {f"secret-id/{world.secret}"},
    ),
    "an auth method is deleted": (
        lambda world, kms: kms.identities.delete_auth_method("github"),
        lambda world: {"auth-method/github"} | of(world.jwt),
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_ended_or_changed_and_is_as_before_is_named_and_nothing_else(world: World, change: str) -> None:
    make, expected = CHANGES[change]
    assert world.problems() == set()
    with world.open() as store:
        make(world, store.kms)
    assert world.problems() == set()
    world.put_back()
    assert world.problems() == expected(world)


def test_a_secret_id_that_went_with_its_role_is_named_beside_another_role_of_that_name(world: World) -> None:
    with world.open() as store:
        store.kms.identities.delete_role("ci")
        store.kms.identities.create_role("ci")
        store.kms.identities.create_secret_id("ci")
        store.kms.tokens.revoke_principal("role:ci")
    assert world.problems() == set()
    world.before = {"secret_ids": world.before["secret_ids"]}
    world.put_back()
    assert world.problems() == {f"secret-id/{world.secret}"}


def test_a_user_or_role_taken_out_and_one_that_nobody_made_are_named(world: World) -> None:
    with closing(sqlite3.connect(world.path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM users WHERE name = 'ada'")
        connection.execute("UPDATE roles SET name = 'other'")
    assert world.problems() == {"user/ada", "role/ci", "role/other"}


def test_a_token_let_go_by_its_parent_is_no_problem_and_tokens_made_after_an_end_are_none(world: World) -> None:
    with world.open() as store:
        store.kms.tokens.revoke_accessor(world.ada.info.accessor, keep_children=True)
        assert store.as_token(world.child).kms.whoami().principal == "user:ada"
        store.kms.tokens.revoke_principal("user:bob")
        store.login("password", name="bob", password=PASSWORD)
        store.kms.identities.delete_user("bob")
        store.kms.identities.create_user("bob", PASSWORD)
        store.login("password", name="bob", password=PASSWORD)
    assert world.problems() == set()


def test_logins_with_a_second_factor_are_known_to_the_log_and_a_code_made_good_again_is_named(world: World) -> None:
    with world.open() as store:
        made = store.kms.identities.enroll_second_factor("bob")
        store.kms.identities.confirm_second_factor("bob", code_at(made, world.clock.now_ms()))
        world.clock.advance(60_000)
        world.before["users"] = world.rows("users")
        with store.as_token(
            store.login("password", name="bob", password=PASSWORD, code=code_at(made, world.clock.now_ms()))
        ) as bob:
            world.clock.advance(60_000)
            bob.kms.verify_second_factor(code_at(made, world.clock.now_ms()))
    assert world.problems() == set()
    world.before = {"users": world.before["users"]}
    world.put_back()
    assert world.problems() == {"user/bob"}


def test_a_restored_backup_brings_identities_that_no_record_tells_of(world: World, tmp_path: Path) -> None:
    with world.open() as store:
        store.kms.tokens.revoke_accessor(world.ci.info.accessor)
        store.kms.backup(tmp_path / "all.ksb", passphrase=WORDS)
    with keystead.connect(tmp_path / "new.db", master_key=KEY, clock=world.clock, settings=CHEAP) as there:
        there.kms.restore(tmp_path / "all.ksb", passphrase=WORDS)
        assert there.kms.audit.verify().ok
        there.kms.tokens.revoke_accessor(world.jwt.info.accessor)
        assert there.kms.audit.verify().ok
    world.path, world.before = tmp_path / "new.db", {"access_tokens": world.before["access_tokens"]}
    world.put_back()
    assert of(world.jwt) <= world.problems()

"""What is kept of identities elsewhere than in the store at hand: backups, other keys, processes that fork."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest
from tests.access.conftest import CHEAP, KEY, PASSWORD, Open, records

import keystead
from keystead.crypto.kdf import Argon2Parameters, derive_from_passphrase
from keystead.errors import AuthenticationFailed, LockedOut, StoreExists
from keystead.services.connection import Connection
from keystead.testing import ManualClock

WORDS = "five random words and one more"


def test_a_backup_brings_back_users_roles_tokens_and_locks(
    store: Connection, tmp_path: Path, clock: ManualClock, argon2: list[tuple[int, int, int]]
) -> None:
    users = store.kms.identities
    users.create_user("ada", PASSWORD, policies=["a"])
    role = users.create_role("ci")
    secret = users.create_secret_id("ci", uses=2)
    token = store.kms.tokens.create(["a"], name="x", uses=3)
    for _ in range(5):
        with pytest.raises(AuthenticationFailed):
            store.login("password", name="eve", password="guess")
    store.kms.backup(tmp_path / "all.ksb", passphrase=WORDS)
    other = keystead.generate_master_key()
    with keystead.connect(tmp_path / "new.db", master_key=other, clock=clock, settings=CHEAP) as there:
        there.kms.restore(tmp_path / "all.ksb", passphrase=WORDS)
        assert there.login("password", name="ada", password=PASSWORD).info.policies == ("a",)
        assert there.login("role", role_id=role.role_id, secret_id=secret.reveal()).info.principal == "role:ci"
        assert there.as_token(token).kms.whoami().principal == "token:x"
        with pytest.raises(LockedOut):
            there.login("password", name="eve", password="guess")
        assert there.kms.audit.verify().ok


@pytest.mark.parametrize("held", ["user", "role", "token"])
def test_a_store_that_holds_an_identity_is_not_empty(
    store: Connection, tmp_path: Path, held: str, argon2: list[tuple[int, int, int]]
) -> None:
    store.kms.backup(tmp_path / "all.ksb", passphrase=WORDS)
    with keystead.connect(tmp_path / "new.db", master_key=KEY, settings=CHEAP) as there:
        {
            "user": lambda: there.kms.identities.create_user("ada", PASSWORD),
            "role": lambda: there.kms.identities.create_role("ci"),
            "token": lambda: there.kms.tokens.create(name="x"),
        }[held]()
        with pytest.raises(StoreExists):
            there.kms.restore(tmp_path / "all.ksb", passphrase=WORDS)


def test_a_new_root_key_leaves_every_identity_as_it_is(opened: Open) -> None:
    store = opened()
    store.kms.identities.create_user("ada", PASSWORD)
    token = store.kms.tokens.create(name="x")
    store.kms.rekey(store.kms.own_credential())
    store.kms.identities.create_user("eve", PASSWORD)
    for again in (store, opened()):
        assert again.login("password", name="ada", password=PASSWORD)
        again.as_token(token).close()


def test_a_store_of_an_earlier_schema_gets_its_tables(path: Path, opened: Open) -> None:
    import sqlite3
    from contextlib import closing

    opened().close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for table in (
            "access_tokens",
            "users",
            "login_failures",
            "roles",
            "secret_ids",
            "auth_methods",
            "request_keys",
            "key_grants",
        ):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("DELETE FROM migrations WHERE number >= 6")
        connection.execute("PRAGMA user_version = 3")
    again = opened()
    assert again.as_token(again.kms.tokens.create(name="x")).kms.whoami().principal == "token:x"


def test_a_fork_waits_for_a_derivation_so_that_the_child_can_derive(store: Connection) -> None:
    """OpenSSL counts the threads of Argon2 in memory: a child made within a derivation would wait for them for ever."""
    store.kms.identities.create_user("ada", PASSWORD)
    costly = Argon2Parameters(iterations=8, lanes=4)
    deriving = threading.Thread(
        target=derive_from_passphrase, args=("x",), kwargs={"salt": bytes(16), "parameters": costly}
    )
    deriving.start()
    time.sleep(0.1)
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        try:
            derive_from_passphrase("x", salt=bytes(16), parameters=Argon2Parameters(2, 4, 19_456))
            store.login("password", name="ada", password=PASSWORD)
        except BaseException:
            os._exit(1)
        os._exit(0)
    deriving.join()
    assert os.waitpid(child, 0)[1] == 0
    assert records(store, "login_succeeded")


def test_the_async_faces_do_the_same_off_the_event_loop(path: Path, clock: ManualClock) -> None:
    import asyncio
    import threading

    from keystead import aio

    async def scene() -> None:
        async with aio.connect(path, master_key=KEY, clock=clock, settings=CHEAP) as store:
            await store.kms.identities.create_user("ada", PASSWORD, policies=["a"])
            loop, seen = threading.get_ident(), set()
            await store.kms.on_event("login_succeeded", lambda facts: seen.add(threading.get_ident()))
            tokens = await asyncio.gather(*(store.login("password", name="ada", password=PASSWORD) for _ in range(6)))
            assert seen and loop not in seen
            async with await store.as_token(tokens[0], source="192.0.2.7") as ada:
                me = await ada.kms.whoami()
                assert (me.principal, me.source) == ("user:ada", "192.0.2.7")
            assert await store.kms.tokens.revoke_principal("user:ada") == 6
            with pytest.raises(AuthenticationFailed):
                await store.as_token(tokens[1])

    asyncio.run(scene())

"""One suite over a store in this process and over a server: the same object, with the same results and errors."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest
from tests.server.conftest import Server

import keystead
from keystead import aio
from keystead.api.operations import OPERATIONS
from keystead.client.kms import RemoteKMS
from keystead.client.transport import Transport
from keystead.errors import (
    AlreadyExists,
    AuthenticationFailed,
    DecryptionError,
    EnvelopeError,
    GrantNotFound,
    IdentityNotFound,
    KeyNotFound,
    KeyStateError,
    PolicyNotFound,
    SecretDeleted,
    SecretNotFound,
    ServerUnavailable,
    SessionEnded,
    UsageError,
    VersionConflict,
)
from keystead.server.routes import FACES
from keystead.services.connection import Connection
from keystead.services.kms import KMSService


def test_data_is_encrypted_and_decrypted(both: Connection) -> None:
    kms = both.kms
    for aad in (None, "text", b"\xff", {"tenant": "acme"}):
        assert kms.decrypt(kms.encrypt(b"data", aad=aad), aad=aad) == b"data"
    blob = kms.encrypt(b"data", aad="one")
    for _ in range(2):
        with pytest.raises(DecryptionError):
            kms.decrypt(blob, aad="other")
    with pytest.raises(EnvelopeError):
        kms.decrypt(b"no ciphertext")
    assert kms.decrypt_many(kms.encrypt_many([b"a", b"", b"b" * 50_000])) == [b"a", b"", b"b" * 50_000]
    assert kms.decrypt(kms.reencrypt(blob, aad="one"), aad="one") == b"data"


def test_envelopes(both: Connection) -> None:
    kms = both.kms
    envelope = kms.encrypt_data("text", aad="x")
    assert envelope["v"] == 1
    assert kms.decrypt_data(envelope, aad="x") == "text"
    assert kms.decrypt_data(envelope, encoding=None) == b"text"
    assert kms.decrypt_data(kms.reencrypt(envelope), aad="x") == "text"
    with pytest.raises(UsageError):
        kms.decrypt_data(kms.encrypt_data(b"\xff"))


def test_named_keys_of_many_types(both: Connection) -> None:
    keys = both.kms.keys
    info = keys.create("both/box", tags={"team": "pay"}, description="for orders")
    assert (info.type, dict(info.tags), info.version) == ("aes-256-gcm", {"team": "pay"}, 1)
    with pytest.raises(AlreadyExists):
        keys.create("both/box")
    blob = keys.encrypt("both/box", b"x", context={"a": "b"})
    assert keys.rotate("both/box").version == 2
    assert keys.decrypt("both/box", blob, context={"a": "b"}) == b"x"
    assert [version.version for version in keys.versions("both/box").items] == [1, 2]
    fresh = keys.reencrypt("both/box", blob, context={"a": "b"}, to_context="other")
    assert keys.decrypt("both/box", fresh, context="other") == b"x"
    assert keys.owner(fresh).name == "both/box"
    made = keys.generate_data_key("both/box", length=32)
    assert keys.decrypt("both/box", made.ciphertext) == made.plaintext
    assert keys.generate_data_key("both/box", with_plaintext=False).plaintext is None
    assert len(keys.derive("both/box", {"user": "ada"})) == 32
    keys.suspend("both/box")
    with pytest.raises(KeyStateError):
        keys.encrypt("both/box", b"x")
    assert keys.resume("both/box").state == "active"
    grant = both.kms.grants.create("both/box", "user:eve", ["encrypt"], context_subset={"a": "b"}, ttl="1h", name="one")
    assert both.kms.grants.get("both/box", grant.id) == grant
    assert both.kms.grants.list(grantee="user:eve").items == [grant]
    both.kms.grants.revoke("both/box", grant.id)
    with pytest.raises(GrantNotFound):
        both.kms.grants.retire("both/box", grant.id)
    assert keys.set_alias("both/alias", "both/box").aliases == ("both/alias",)
    assert keys.read("both/alias").name == "both/box"
    assert keys.configure("both/box", description="", min_encrypt=2, min_decrypt=2).min_decrypt == 2
    with pytest.raises(KeyNotFound):
        keys.read("both/none")


def test_signatures_macs_and_batches(both: Connection) -> None:
    keys = both.kms.keys
    keys.create("both/sign", type="ecdsa-p256")
    made = keys.sign("both/sign", b"message")
    assert (made.version, keys.verify("both/sign", b"message", made.signature)) == (1, True)
    assert not keys.verify("both/sign", b"other", made.signature)
    assert "PUBLIC KEY" in keys.public_key("both/sign").pem
    keys.create("both/mac", type="hmac-sha-256")
    mac = keys.mac("both/mac", b"message")
    assert keys.verify_mac("both/mac", b"message", mac.mac)
    answers = keys.batch("mac", "both/mac", [{"message": b"message"}, {"message": b"other"}])
    assert answers[0].value == mac
    keys.create("both/batch")
    answers = keys.batch("decrypt", "both/batch", [{"blob": keys.encrypt("both/batch", b"x")}, {"blob": b"bad"}])
    assert (answers[0].value, type(answers[1].error)) == (b"x", EnvelopeError)
    assert len(keys.random_bytes(16)) == 16
    assert keys.digest(b"abc").hex().startswith("ba7816bf")


def test_arguments_of_a_wrong_type_are_told_as_such(both: Connection) -> None:
    any_type = cast("Any", both.kms)
    name = both.kms.keys.create("both/wrong-types").name
    calls: list[Callable[[], object]] = [
        lambda: any_type.keys.encrypt(name, "text"),
        lambda: any_type.keys.encrypt(name, None),
        lambda: any_type.store_secret("both/wrong", "a", ttl=5),
        lambda: any_type.store_secret("both/wrong", "a", tags=["a"]),
        lambda: any_type.list_secrets(tags=["a"]),
        lambda: any_type.tokens.create("administrator"),
        lambda: any_type.keys.batch("encrypt", name, [5]),
    ]
    for call in calls:
        with pytest.raises(UsageError):
            call()
    with pytest.raises(UsageError, match="data must be bytes"):
        calls[0]()
    assert "both/wrong" not in {info.name for info in both.kms.list_secrets("both/").items}


def test_an_item_that_is_none_has_its_error_in_its_place(both: Connection) -> None:
    keys = cast("Any", both.kms.keys)
    name = keys.create("both/misspelt").name
    wrong: list[Any] = [
        {"data": b"x", "contxt": {"a": "b"}}, {"data": "text"}, {"data": None}, {}, {"data": object()}, {5: b"x"},
        {"data": b"x", "context": {"a": "\ud800"}}, {"data": b"x", "context": 5},
    ]  # fmt: skip
    for item in wrong:
        made = keys.batch("encrypt", name, [{"data": b"1"}, item, {"data": b"2"}])
        assert [keys.decrypt(name, made[place].value) for place in (0, 2)] == [b"1", b"2"]
        assert isinstance(made[1].error, UsageError), item
        assert isinstance(keys.batch("encrypt", name, [item])[0].error, UsageError)
    for batch in ([{"data": b"1"}, 5], 5, {"data": b"1"}, "text", [], ({"data": b"1"} for _ in count())):
        with pytest.raises(UsageError):
            keys.batch("encrypt", name, batch)
    with pytest.raises(UsageError):
        keys.batch("destroy", name, [{}])


def test_a_batch_takes_any_operation_and_any_iterable(both: Connection) -> None:
    keys = both.kms.keys
    name = keys.create("both/iterable").name
    made = keys.batch("generate_data_key", name, ({"length": length} for length in (16, 5_000)))
    assert len(made[0].value.plaintext) == 16
    assert isinstance(made[1].error, UsageError)
    with pytest.raises(UsageError):
        keys.batch("encrypt", name, [{"data": b"x"}] * 1_001)


def test_secrets_with_versions_labels_and_bytes(both: Connection) -> None:
    kms, secrets = both.kms, both.secrets
    info = kms.store_secret("both/db", "one", ttl="1h", tags={"env": "prod"})
    assert (info.version, info.ttl_ms, dict(info.tags)) == (1, 3_600_000, {"env": "prod"})
    value = secrets.get_secret("both/db")
    assert (value.reveal(), value.name, value.version) == ("one", "both/db", 1)
    assert kms.rotate_secret("both/db", "two", expected_version=1).version == 2
    with pytest.raises(VersionConflict) as caught:
        kms.rotate_secret("both/db", "three", expected_version=1)
    assert (caught.value.expected, caught.value.current) == (1, 2)
    assert secrets.get_secret("both/db").reveal() == "two"
    assert secrets.get_secret("both/db#previous").reveal() == "one"
    assert secrets.get_secret("both/db", version=1).reveal() == "one"
    kms.store_secrets({"both/a": "1", "both/b": b"\x00\xff"})
    found = secrets.get_secrets(["both/a", "both/b", "both/none"], missing="skip")
    assert {name: each.reveal() for name, each in found.items()} == {"both/a": "1", "both/b": b"\x00\xff"}
    page = kms.list_secrets("both/", {"env": "prod"}, limit=1)
    assert ([item.name for item in page.items], page.next) == (["both/db"], None)
    assert [version.state for version in kms.list_versions("both/db").items] == ["live", "live"]
    kms.delete_secret("both/db")
    with pytest.raises(SecretDeleted):
        secrets.get_secret("both/db")
    kms.undelete_secret("both/db")
    kms.destroy_secret("both/db")
    with pytest.raises(SecretNotFound):
        secrets.get_secret("both/none")
    assert secrets.get_secret("both/none", None) is None
    with pytest.raises(UsageError):
        kms.store_secret("not a name", "x")


def test_a_fallback_is_this_processes_and_only_for_what_was_never_held(
    both: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOTH_FALLBACK", "from here")
    monkeypatch.setenv("BOTH_HELD", "from here")
    assert both.secrets.get_secret("both/fallback").reveal() == "from here"
    both.kms.store_secret("both/held", "stored")
    both.kms.delete_secret("both/held")
    with pytest.raises(SecretDeleted):
        both.secrets.get_secret("both/held")


def test_an_environment_is_imported(both: Connection) -> None:
    both.kms.store_secret("BOTH_DIFFERS", "stored")
    report = both.secrets.initialize(
        env={"BOTH_NEW": "1", "BOTH_DIFFERS": "2"}, names=["BOTH_NEW", "BOTH_DIFFERS", "BOTH_ABSENT"]
    )
    assert (report.imported, report.conflicts, report.absent) == (["BOTH_NEW"], ["BOTH_DIFFERS"], ["BOTH_ABSENT"])
    assert both.secrets.get_secret("BOTH_DIFFERS").reveal() == "stored"


def test_a_configuration_is_loaded(both: Connection) -> None:
    @dataclass
    class App:
        both_password: keystead.SecretStr

    both.kms.store_secret("BOTH_PASSWORD", "hidden")
    assert both.config(App, env={}).both_password.reveal() == "hidden"


def test_policies_tokens_users_and_roles(both: Connection) -> None:
    kms = both.kms
    document = {
        "version": 1,
        "statements": [{"id": "r", "effect": "allow", "actions": ["secret:read"], "resources": ["secret/both/own/*"]}],
    }
    assert kms.policies.write("both-reader", document).version == 1
    assert kms.policies.test("both-reader", "secret:read", "secret/both/own/x").allowed
    assert [grant.policy for grant in kms.policies.who_can("secret:read", "secret/both/own/x").statements]
    role = kms.identities.create_role("both-role", policies=["both-reader"], secret_id_ttl="1h")
    secret_id = kms.identities.create_secret_id("both-role")
    token = both.login("role", role_id=role.role_id, secret_id=secret_id.reveal())
    kms.store_secret("both/own/x", "mine")
    kms.store_secret("both/other", "not mine")
    with both.as_token(token) as reader:
        assert reader.secrets.get_secret("both/own/x").reveal() == "mine"
        with pytest.raises(SecretNotFound):
            reader.secrets.get_secret("both/other")
        assert reader.kms.whoami().policies == ("both-reader",)
    assert kms.tokens.lookup_accessor(token.accessor).principal == "role:both-role"
    assert kms.tokens.revoke_accessor(token.accessor) == 1
    with pytest.raises(AuthenticationFailed):
        both.as_token(token)
    kms.identities.create_user("both-ada", "correct horse battery", policies=["both-reader"])
    assert both.login("password", name="both-ada", password="correct horse battery").info.principal == "user:both-ada"
    with pytest.raises(AuthenticationFailed):
        both.login("password", name="both-ada", password="wrong")
    child = kms.tokens.create(ttl="10m", uses=50, meta={"for": "a job"})
    assert (child.info.policies, child.info.uses_left) == (("administrator",), 50)
    assert "both-ada" in [item.name for item in kms.identities.list_users().items]
    kms.identities.delete_user("both-ada")
    with pytest.raises(IdentityNotFound):
        kms.identities.read_user("both-ada")
    kms.policies.delete("both-reader")
    with pytest.raises(PolicyNotFound):
        kms.policies.read("both-reader")


def test_what_is_told_of_keys_slots_sessions_and_the_log(both: Connection) -> None:
    kms = both.kms
    assert kms.list_data_keys().items
    assert kms.rotate_data_key().state == "active"
    assert kms.slots.list().items[0].kind == "master-key"
    assert any(session.principal == kms.principal for session in kms.sessions().items)
    assert kms.get_status().secrets_count >= 0
    assert kms.audit.tail(3)[-1].record.event
    assert len(kms.audit.public_key()) == 32
    assert not kms.audit.verify().problems
    assert kms.sweep() == (0, 0)


def test_async_code_has_the_same(server: Server) -> None:
    async def use() -> None:
        async with aio.connect(server.url, token=server.token) as store:
            await store.kms.store_secret("both/async", "x")
            values = await asyncio.gather(*(store.secrets.get_secret("both/async") for _ in range(20)))
            assert {value.reveal() for value in values} == {"x"}
            await store.kms.keys.create("both/async")
            blob = await store.kms.keys.encrypt("both/async", b"data")
            assert await store.kms.keys.decrypt("both/async", blob) == b"data"
            assert await store.kms.decrypt(await store.kms.encrypt(b"y")) == b"y"

    asyncio.run(use())


def test_async_connect_closes_its_transport_when_its_first_request_fails(server: Server) -> None:
    made: list[Transport] = []

    async def use() -> None:
        connecting = aio.connect(server.url, token="ks_svc_nothing")
        transport = connecting._connection.kms._sync._transport  # type: ignore[attr-defined]
        made.append(transport)
        await connecting

    with pytest.raises(AuthenticationFailed):
        asyncio.run(use())
    assert not made[0]._idle, "the server answered on a connection that is kept, and nobody would close it"


def test_each_method_has_the_signature_of_the_services(server: Server) -> None:
    with server.connect() as connection:
        for operation in OPERATIONS:
            face: Any = connection
            for part in operation.face.split("."):
                face = getattr(face, part)
            own = getattr(type(face), operation.method)
            assert inspect.signature(own) == inspect.signature(getattr(FACES[operation.face], operation.method))


def test_what_works_only_where_the_store_is_says_so(server: Server, tmp_path: Path) -> None:
    with server.connect() as connection:
        for call in (
            connection.kms.rekey,
            lambda: connection.kms.restore(tmp_path / "x", passphrase="x"),
            lambda: connection.kms.slots.remove("x"),
            lambda: connection.kms.node,
        ):
            with pytest.raises(UsageError, match="store"):
                call()


def test_every_public_method_of_the_service_asks_or_refuses() -> None:
    for name, _ in inspect.getmembers(KMSService, inspect.isfunction):
        if not name.startswith("_"):
            assert getattr(RemoteKMS, name) is not getattr(KMSService, name), name


def test_a_server_that_is_not_there_is_told(server: Server) -> None:
    with pytest.raises(ServerUnavailable, match="cannot reach"):
        keystead.connect("http://127.0.0.1:9", token=server.token)
    with pytest.raises(UsageError, match="in the clear"):
        keystead.connect("http://192.0.2.1:7780", token=server.token)
    with pytest.raises(AuthenticationFailed, match="needed"):
        keystead.connect(server.url)
    with pytest.raises(UsageError):
        keystead.connect(server.url, token=server.token, master_key="x")
    with pytest.raises(AuthenticationFailed):
        keystead.connect(server.url, token="ks_svc_nothing")


def test_a_closed_connection_asks_nothing(server: Server) -> None:
    connection = server.connect()
    connection.close()
    with pytest.raises(SessionEnded):
        connection.kms.whoami()


def test_a_change_elsewhere_is_seen_though_values_are_kept(server: Server) -> None:
    with server.connect() as one, server.connect() as other:
        one.kms.store_secret("both/seen", "before")
        assert other.secrets.get_secret("both/seen").reveal() == "before"
        assert other.secrets.get_secret("both/seen").reveal() == "before"
        assert other.secrets.get_status().hits >= 1
        one.kms.store_secret("both/seen", "after")
        other.secrets._asked_at = -1.0  # type: ignore[attr-defined] - as if a second had gone by
        assert other.secrets.get_secret("both/seen").reveal() == "after"


def test_a_url_has_one_meaning() -> None:
    none = ("https://h/path", "https://u:p@h", "ftp://h", "https://", "https://h?x=y")
    broken = ("https://h:99999", "https://h:abc", "https://[::1", "https://a..b", f"https://{'a' * 64}.x", "https://h ")
    for url in (*none, *broken):
        with pytest.raises(UsageError):
            Transport(url)


@pytest.mark.parametrize("token", ["a\nb", "a b", "ürg", "\udcff", ""])
def test_what_cannot_be_an_access_token_is_not_accepted_and_not_quoted(server: Server, token: str) -> None:
    with server.connect() as store, pytest.raises(AuthenticationFailed) as refused:
        store.as_token(token)
    assert token not in str(refused.value) or not token

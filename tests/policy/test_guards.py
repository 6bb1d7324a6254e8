"""Every action has its guard: each public method refuses nobody and the wrong principal, and each action is asked."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.methods import issuing
from tests.policy.conftest import Act, allow, deny, document, service_of
from tests.services.conftest import BY_HAND

import keystead
import keystead.errors
from keystead.access.patterns import NAMED_KINDS, NAMELESS_KINDS
from keystead.access.policy import Action
from keystead.errors import ConfigurationError, DecryptionError, Denied, NotFound, PolicyNotFound, SecretNotFound
from keystead.gate import Gate
from keystead.keys.named.results import BatchItem
from keystead.keys.named.rules import Operation
from keystead.services.audit_operations import AuditOperations
from keystead.services.connection import Connection
from keystead.services.grant_operations import GrantOperations
from keystead.services.identity_operations import IdentityOperations, TokenOperations
from keystead.services.key_operations import SlotOperations
from keystead.services.kms import KMSService
from keystead.services.named_keys import NamedKeyOperations
from keystead.services.policy_operations import PolicyOperations
from keystead.services.secrets_manager import SecretsManager

SRC = Path(keystead.__file__).parent
Call = Callable[[Connection, "Real"], Any]


class Real:
    """What is really there, so that nothing but the policy stands in the way."""

    def __init__(self, store: Connection, folder: Path) -> None:
        kms = store.kms
        kms.store_secret("app/a", "value", generate="hex:32")
        store.secrets.get_secret("app/a")
        kms.policies.write("given", document(allow("policy/none")))
        for name, kind in KINDS.items():
            kms.keys.create(name, type=kind, exportable=True)
        kms.keys.set_alias("alias", "box")
        self.grant = kms.grants.create("box", "user:eve", ["encrypt"], retiring="user:bob").id
        self.backup = kms.keys.backup("box", passphrase=STRONG)
        self.sealed = kms.keys.encrypt("box", b"x")
        kms.identities.create_user("ada", STRONG)
        kms.identities.create_role("ci")
        kms.identities.write_auth_method("github", "jwt", issuing.config().to_json())
        self.secret_id = kms.identities.create_secret_id("ci")
        self.token = kms.tokens.create(["given"], name="somebody")
        self.folder, self.key = folder, kms.list_data_keys().items[0].id
        self.blob, self.envelope = kms.encrypt(b"x"), kms.encrypt_data("x")
        self.credential = keystead.Passphrase(STRONG)
        self.plain = folder / "plain"
        self.plain.write_bytes(b"x")
        kms.encrypt_stream(self.plain, folder / "sealed")


def stopped() -> threading.Event:
    stop = threading.Event()
    stop.set()
    return stop


STRONG = "a lantern over seven quiet harbours"
KINDS = {"box": "aes-256-gcm", "signer": "ed25519", "mac": "hmac-sha-256", "pair": "ecdh-p256", "kem": "ml-kem-768"}
KMS: Mapping[str, Call] = {
    "encrypt": lambda s, r: s.kms.encrypt(b"x"),
    "decrypt": lambda s, r: s.kms.decrypt(r.blob),
    "encrypt_many": lambda s, r: s.kms.encrypt_many([b"x"]),
    "decrypt_many": lambda s, r: s.kms.decrypt_many([r.blob]),
    "encrypt_data": lambda s, r: s.kms.encrypt_data("x"),
    "decrypt_data": lambda s, r: s.kms.decrypt_data(r.envelope),
    "encrypt_stream": lambda s, r: s.kms.encrypt_stream(r.plain, r.folder / "out"),
    "decrypt_stream": lambda s, r: s.kms.decrypt_stream(r.folder / "sealed", r.folder / "out"),
    "reencrypt": lambda s, r: s.kms.reencrypt(r.blob),
    "store_secret": lambda s, r: s.kms.store_secret("app/a", "x"),
    "store_secrets": lambda s, r: s.kms.store_secrets({"app/a": "x", "app/b": "y"}),
    "get_secret": lambda s, r: s.kms.get_secret("app/a"),
    "rotate_secret": lambda s, r: s.kms.rotate_secret("app/a"),
    "delete_secret": lambda s, r: s.kms.delete_secret("app/a"),
    "undelete_secret": lambda s, r: s.kms.undelete_secret("app/a"),
    "destroy_secret": lambda s, r: s.kms.destroy_secret("app/a"),
    "list_secrets": lambda s, r: s.kms.list_secrets(),
    "list_versions": lambda s, r: s.kms.list_versions("app/a"),
    "rotate_data_key": lambda s, r: s.kms.rotate_data_key(),
    "list_data_keys": lambda s, r: s.kms.list_data_keys(),
    "affected_by_destroying": lambda s, r: s.kms.affected_by_destroying(r.key),
    "destroy_data_key": lambda s, r: s.kms.destroy_data_key(r.key),
    "rekey": lambda s, r: s.kms.rekey({}),
    "sessions": lambda s, r: s.kms.sessions(),
    "revoke_session": lambda s, r: s.kms.revoke_session("ses_" + "0" * 32),
    "get_status": lambda s, r: s.kms.get_status(),
    "backup": lambda s, r: s.kms.backup(r.folder / "b.ksb", passphrase=STRONG),
    "restore": lambda s, r: owning(s.kms).restore(r.plain, passphrase=STRONG),
    "sweep": lambda s, r: s.kms.sweep(),
}
NAMED_KEYS: Mapping[str, Call] = {
    "create": lambda s, r: s.kms.keys.create("new"),
    "read": lambda s, r: s.kms.keys.read("box"),
    "list": lambda s, r: s.kms.keys.list(),
    "versions": lambda s, r: s.kms.keys.versions("box"),
    "configure": lambda s, r: s.kms.keys.configure("box", description="x"),
    "rotate": lambda s, r: s.kms.keys.rotate("box"),
    "suspend": lambda s, r: s.kms.keys.suspend("kem"),
    "resume": lambda s, r: s.kms.keys.resume("kem"),
    "deactivate": lambda s, r: s.kms.keys.deactivate("kem"),
    "mark_compromised": lambda s, r: s.kms.keys.mark_compromised("kem"),
    "schedule_destruction": lambda s, r: s.kms.keys.schedule_destruction("kem"),
    "cancel_destruction": lambda s, r: s.kms.keys.cancel_destruction("kem"),
    "destroy": lambda s, r: s.kms.keys.destroy("kem"),
    "set_alias": lambda s, r: s.kms.keys.set_alias("other", "box"),
    "remove_alias": lambda s, r: s.kms.keys.remove_alias("alias"),
    "encrypt": lambda s, r: s.kms.keys.encrypt("box", b"x"),
    "decrypt": lambda s, r: s.kms.keys.decrypt("box", r.sealed),
    "reencrypt": lambda s, r: s.kms.keys.reencrypt("box", r.sealed),
    "owner": lambda s, r: s.kms.keys.owner(r.sealed),
    "generate_data_key": lambda s, r: s.kms.keys.generate_data_key("box"),
    "generate_data_key_pair": lambda s, r: s.kms.keys.generate_data_key_pair("box", "ed25519"),
    "derive": lambda s, r: s.kms.keys.derive("box", "context"),
    "sign": lambda s, r: s.kms.keys.sign("signer", b"x"),
    "verify": lambda s, r: s.kms.keys.verify("signer", b"x", b"y"),
    "mac": lambda s, r: s.kms.keys.mac("mac", b"x"),
    "verify_mac": lambda s, r: s.kms.keys.verify_mac("mac", b"x", b"y"),
    "agree": lambda s, r: s.kms.keys.agree("pair", b"x"),
    "encapsulate": lambda s, r: s.kms.keys.encapsulate("kem"),
    "decapsulate": lambda s, r: s.kms.keys.decapsulate("kem", bytes(1088)),
    "public_key": lambda s, r: s.kms.keys.public_key("signer"),
    "import_key": lambda s, r: s.kms.keys.import_key("new", b"x", wrapping_key="box"),
    "import_version": lambda s, r: s.kms.keys.import_version("box", b"x", wrapping_key="box"),
    "export": lambda s, r: s.kms.keys.export("box"),
    "backup": lambda s, r: s.kms.keys.backup("box", passphrase=STRONG),
    "restore": lambda s, r: s.kms.keys.restore(r.backup, passphrase=STRONG, name="new"),
    "random_bytes": lambda s, r: s.kms.keys.random_bytes(8),
    "digest": lambda s, r: s.kms.keys.digest(b"x"),
    "batch": lambda s, r: raising(s.kms.keys.batch("encrypt", "box", [{"data": b"x"}])),
}
GRANTS: Mapping[str, Call] = {
    "create": lambda s, r: s.kms.grants.create("box", "user:ada", ["decrypt"]),
    "get": lambda s, r: s.kms.grants.get("box", r.grant),
    "list": lambda s, r: s.kms.grants.list("box"),
    "revoke": lambda s, r: s.kms.grants.revoke("box", r.grant),
    "retire": lambda s, r: s.kms.grants.retire("box", r.grant),
}
TOKENS: Mapping[str, Call] = {
    "create": lambda s, r: s.kms.tokens.create(["given"]),
    "lookup": lambda s, r: s.kms.tokens.lookup(r.token.reveal()),
    "lookup_accessor": lambda s, r: s.kms.tokens.lookup_accessor(r.token.accessor),
    "renew": lambda s, r: s.kms.tokens.renew(r.token.reveal()),
    "renew_accessor": lambda s, r: s.kms.tokens.renew_accessor(r.token.accessor),
    "revoke": lambda s, r: s.kms.tokens.revoke(r.token.reveal()),
    "revoke_accessor": lambda s, r: s.kms.tokens.revoke_accessor(r.token.accessor),
    "revoke_principal": lambda s, r: s.kms.tokens.revoke_principal("token:somebody"),
    "list": lambda s, r: s.kms.tokens.list(),
}
IDENTITIES: Mapping[str, Call] = {
    "create_user": lambda s, r: s.kms.identities.create_user("eve", STRONG),
    "change_user": lambda s, r: s.kms.identities.change_user("ada"),
    "set_password": lambda s, r: s.kms.identities.set_password("ada", STRONG),
    "read_user": lambda s, r: s.kms.identities.read_user("ada"),
    "list_users": lambda s, r: s.kms.identities.list_users(),
    "delete_user": lambda s, r: s.kms.identities.delete_user("ada"),
    "enroll_second_factor": lambda s, r: s.kms.identities.enroll_second_factor("ada"),
    "confirm_second_factor": lambda s, r: s.kms.identities.confirm_second_factor("ada", "123456"),
    "remove_second_factor": lambda s, r: s.kms.identities.remove_second_factor("ada"),
    "create_role": lambda s, r: s.kms.identities.create_role("cd"),
    "change_role": lambda s, r: s.kms.identities.change_role("ci"),
    "read_role": lambda s, r: s.kms.identities.read_role("ci"),
    "list_roles": lambda s, r: s.kms.identities.list_roles(),
    "delete_role": lambda s, r: s.kms.identities.delete_role("ci"),
    "create_secret_id": lambda s, r: s.kms.identities.create_secret_id("ci"),
    "lookup_secret_id": lambda s, r: s.kms.identities.lookup_secret_id("ci", r.secret_id.reveal()),
    "lookup_secret_id_accessor": lambda s, r: s.kms.identities.lookup_secret_id_accessor("ci", r.secret_id.accessor),
    "list_secret_ids": lambda s, r: s.kms.identities.list_secret_ids("ci"),
    "destroy_secret_id": lambda s, r: s.kms.identities.destroy_secret_id("ci", r.secret_id.accessor),
    "write_auth_method": lambda s, r: s.kms.identities.write_auth_method("new", "jwt", issuing.config().to_json()),
    "read_auth_method": lambda s, r: s.kms.identities.read_auth_method("github"),
    "list_auth_methods": lambda s, r: s.kms.identities.list_auth_methods(),
    "delete_auth_method": lambda s, r: s.kms.identities.delete_auth_method("github"),
}
SECRETS: Mapping[str, Call] = {
    "get_secret": lambda s, r: s.secrets.get_secret("app/a", "default"),
    "get_secrets": lambda s, r: s.secrets.get_secrets(["app/a"], missing="skip"),
    "set_secret": lambda s, r: s.secrets.set_secret("app/a", "x"),
    "rotate_secret": lambda s, r: s.secrets.rotate_secret("app/a"),
    "list_secrets": lambda s, r: s.secrets.list_secrets(),
    "clear_cache": lambda s, r: s.secrets.clear_cache(),
    "backup_secrets": lambda s, r: s.secrets.backup_secrets(r.folder / "b.ksb", passphrase=STRONG),
    "restore_secrets": lambda s, r: owning(s.kms) and s.secrets.restore_secrets(r.plain, passphrase=STRONG),
}
SLOTS: Mapping[str, Call] = {
    "list": lambda s, r: s.kms.slots.list(),
    "find": lambda s, r: s.kms.slots.find("slot"),
    "add": lambda s, r: s.kms.slots.add(r.credential, label="x"),
    "remove": lambda s, r: s.kms.slots.remove("slot"),
}
AUDIT: Mapping[str, Call] = {
    "verify": lambda s, r: s.kms.audit.verify(),
    "tail": lambda s, r: s.kms.audit.tail(),
    "follow": lambda s, r: list(s.kms.audit.follow(stopped())),
}
POLICIES: Mapping[str, Call] = {
    "write": lambda s, r: s.kms.policies.write("mine", document(allow())),
    "read": lambda s, r: s.kms.policies.read("given"),
    "list": lambda s, r: s.kms.policies.list(),
    "delete": lambda s, r: s.kms.policies.delete("given"),
    "test": lambda s, r: s.kms.policies.test("given", "secret:read", "secret/a"),
    "explain": lambda s, r: s.kms.policies.explain(["given"], "secret:read", "secret/a"),
    "who_can": lambda s, r: s.kms.policies.who_can("secret:read", "secret/a"),
}
CONNECTION: Mapping[str, Call] = {
    "config": lambda s, r: s.config(Settings, env={}),
    "config_loader": lambda s, r: s.config_loader(Settings, env={}).load(s.secrets),
}
# What there is nothing to guard in: it opens or closes, or shows what belongs to the process and not to the store.
UNGUARDED: Mapping[type, frozenset[str]] = {
    # Anybody may try to log in, show a code of its own second factor, and know who it is.
    KMSService: frozenset(
        {"initialize", "on", "close", "node", "session_id", "notices", "own_credential", "on_event", "keys"}
        | {"login", "as_token", "verify_second_factor", "whoami", "principal"}
    ),
    NamedKeyOperations: frozenset(),
    GrantOperations: frozenset(),
    TokenOperations: frozenset(),
    IdentityOperations: frozenset(),
    SecretsManager: frozenset({"initialize", "get_status"}),  # each name that it imports is asked for; see below
    SlotOperations: frozenset(),
    AuditOperations: frozenset({"public_key"}),
    PolicyOperations: frozenset(),
    Connection: frozenset({"close", "login", "as_token"}),
}
FACES: Mapping[type, Mapping[str, Call]] = {
    KMSService: KMS, SecretsManager: SECRETS, SlotOperations: SLOTS, AuditOperations: AUDIT,
    PolicyOperations: POLICIES, Connection: CONNECTION, NamedKeyOperations: NAMED_KEYS, TokenOperations: TOKENS,
    IdentityOperations: IDENTITIES, GrantOperations: GRANTS,
}  # fmt: skip
CALLS = {f"{face.__name__}.{name}": call for face, calls in FACES.items() for name, call in calls.items()}


@dataclass
class Settings:
    """A configuration that needs nothing."""

    port: int = 80


def raising(answers: list[BatchItem]) -> None:
    """The first error of a batch, where there is one."""
    for answer in answers:
        if answer.error is not None:
            raise answer.error


def owning(kms: KMSService) -> KMSService:
    """A service that restores has a store of its own."""
    kms._owns_node = True
    return kms


@pytest.fixture
def real(store: Connection, tmp_path: Path) -> Real:
    return Real(store, tmp_path)


def test_no_public_method_is_missing_here() -> None:
    for face, calls in FACES.items():
        public = {name for name, _ in inspect.getmembers(face) if not name.startswith("_")}
        assert public - calls.keys() - UNGUARDED[face] == set(), face


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Connection, Real]]:
    """One store for all who are refused, since they change nothing."""
    folder = tmp_path_factory.mktemp("untouched")
    with keystead.connect(folder / "app.db", master_key=keystead.generate_master_key(), settings=BY_HAND) as store:
        yield store, Real(store, folder)


@pytest.mark.parametrize("which", CALLS)
def test_nobody_may_call_it(untouched: tuple[Connection, Real], which: str) -> None:
    """A stranger without a policy is refused, and learns of no secret and no policy that it is there."""
    # Whose a ciphertext is, is told as of one that is of no key.
    told = DecryptionError if which == "NamedKeyOperations.owner" else (Denied, NotFound, ConfigurationError)
    with pytest.raises(told) as refused:
        CALLS[which](service_of(untouched[0]), untouched[1])
    error = refused.value
    assert not isinstance(error, NotFound) or error.refused
    assert "value" not in str(error)


def actions_asked(
    store: Connection, call: Callable[[], Any], monkeypatch: pytest.MonkeyPatch, kinds: set[str]
) -> set[str]:
    asked: set[str] = set()
    authorize = Gate.authorize

    def noting(self: Any, session: Any, action: str, resource: str, *facts: Any, **how: Any) -> bool:
        if session.principal.kind == "user":
            asked.add(str(action))
            kinds.add(resource.partition("/")[0])
        return authorize(self, session, action, resource, *facts, **how)

    monkeypatch.setattr(Gate, "authorize", noting)
    with suppress(keystead.errors.KeysteadError):
        call()
    monkeypatch.undo()
    return asked


def test_every_action_of_the_list_is_asked_by_some_method_and_denied_to_who_may_do_all_but_it(
    store: Connection, act: Act, real: Real, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.kms.policies.write("all", document(allow()))
    guarded, kinds = set(), set[str]()
    asked: dict[str, set[str]] = {}
    for which, call in CALLS.items():
        if not which.endswith(("restore", "restore_secrets", "destroy_data_key", "rekey", "destroy_secret")):
            asked[which] = actions_asked(store, lambda call=call: call(act("all"), real), monkeypatch, kinds)
    assert kinds <= NAMED_KINDS | NAMELESS_KINDS, "a policy could not name this"
    asked |= {
        "KMSService.destroy_secret": {"secret:destroy"},
        "KMSService.destroy_data_key": {"data-key:destroy"},
        "KMSService.rekey": {"root:rekey"},
        "KMSService.restore": {"backup:restore"},
        "NamedKeyOperations.restore": {"key:restore"},
    }
    for which, actions in asked.items():
        assert actions, f"{which} asks for nothing"
        for action in actions:
            store.kms.policies.write("but", document(allow(), deny(actions=(action,))))
            with pytest.raises((Denied, SecretNotFound, PolicyNotFound, ConfigurationError)):
                CALLS[which](act("but"), real)
            guarded.add(action)
    assert guarded == set(Action) - {Action.LOGIN_ATTEMPT}


def test_every_action_of_the_list_is_in_the_source() -> None:
    source = "\n".join(
        path.read_text("utf-8")
        for path in SRC.rglob("*.py")
        if path.name != "policy.py" or path.parent.name != "access"
    )
    of_operations = {f"key:{operation}" for operation in Operation}
    assert [action for action in Action if f'"{action}"' not in source and action not in of_operations] == []


def test_importing_as_nobody_imports_nothing_and_names_each(store: Connection, act: Act, real: Real) -> None:
    before = store.kms.get_status().secrets_count
    report = act().secrets.initialize(env={"A": "x", "B": "y"}, names=["A", "B"])
    assert (report.imported, set(report.failed)) == ([], {"A", "B"})
    assert store.kms.get_status().secrets_count == before

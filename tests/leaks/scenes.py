"""Every public method of the services, done well and done wrong, with a canary wherever a secret can be."""

from __future__ import annotations

import io
import json
import sqlite3
import threading
import time
from base64 import b32decode
from contextlib import closing
from dataclasses import dataclass
from typing import Annotated, Any

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from pydantic import BaseModel, field_validator
from pydantic import SecretStr as PydanticSecretStr
from tests.leaks.world import World
from tests.methods import issuing

import keystead
from keystead import SecretValue, aio
from keystead.access.token_text import NewSecondFactor
from keystead.config import From, SecretStr, SecretURL

LONE = "\ud800"
# Methods that nothing makes fail: they read what is in memory, or forget it.
CANNOT_FAIL = {
    ("KMSService", "close"),
    ("KMSService", "keys"),
    ("KMSService", "on"),
    ("Connection", "close"),
    ("ConfigLoader", "is_valid"),
    ("ConfigLoader", "get_status"),
}


def data(w: World) -> None:
    text, raw = w.text(), w.data()
    blob = w.do("kms.encrypt", raw, aad={"user": "1"})
    for bad in (text, raw + b"", None, SecretValue(text)):
        w.do("kms.encrypt", bad, aad=5)
        w.do("kms.encrypt", bad)
    w.do("kms.decrypt", blob, aad={"user": "1"})
    for bad in (blob, blob[:-1], blob[:80], raw, text, raw * 4, blob[:2] + raw * 4):
        w.do("kms.decrypt", bad, aad={"user": "2"})
    many = w.do("kms.encrypt_many", [raw, text.encode()])
    w.do("kms.encrypt_many", [raw, text])
    w.do("kms.decrypt_many", many)
    w.do("kms.decrypt_many", [*many, raw])
    envelope, binary = w.do("kms.encrypt_data", text, aad="user:1"), w.do("kms.encrypt_data", raw)
    for bad in (text + LONE, 5, [text], SecretValue(text), bytearray(raw)):
        w.do("kms.encrypt_data", bad)
    w.do("kms.encrypt_data", text, aad=text + LONE)
    w.do("kms.encrypt_data", text, aad={"user": text + LONE})
    w.do("kms.decrypt_data", envelope)
    w.do("kms.decrypt_data", binary, encoding=None)
    w.do("kms.decrypt_data", binary)
    w.do("kms.decrypt_data", binary, encoding="ascii")
    w.do("kms.decrypt_data", envelope, encoding="nothing")
    # a column in which plaintext still stands beside envelopes
    rows: list[Any] = [text, raw, f"{text}: {text}", f'{{"{text}": 1, "{text}": 2}}', json.dumps({"password": text})]
    rows += [f'{{"v": 1{text}', f'{{"v": {text}}}', raw.decode("latin-1"), [text], text.encode() + b"\xff", text + LONE]
    rows += [{**envelope, name: text} for name in envelope if name != "keyId"] + [{**envelope, text: 1}]
    for bad in rows:
        w.do("kms.decrypt_data", bad)
        w.do("kms.reencrypt", bad)
    w.do("kms.decrypt_data", envelope, aad=text)
    for to in ("v1", "v2", "v3"):
        w.do("kms.reencrypt", envelope, to=to)
    w.do("kms.reencrypt", blob, aad={"user": "1"})
    w.do("kms.reencrypt", "ks2_" + text)


def streams(w: World) -> None:
    plain = w.file("plain", w.data() * 20_000)
    sealed, back = w.folder / "sealed", w.may_hold(w.folder / "back")
    w.do("kms.encrypt_stream", plain, sealed)
    w.do("kms.decrypt_stream", sealed, back)
    w.do("kms.encrypt_stream", io.BytesIO(plain.read_bytes()), io.BytesIO())
    w.do("kms.encrypt_stream", io.StringIO(w.text()), w.folder / "text")
    w.do("kms.encrypt_stream", io.BytesIO(w.data()), io.StringIO())
    w.do("kms.encrypt_stream", w.folder / "nowhere", sealed)
    damaged = bytearray(sealed.read_bytes())
    damaged[-1] ^= 1
    w.do("kms.decrypt_stream", io.BytesIO(damaged), w.folder / "damaged")
    w.do("kms.decrypt_stream", io.BytesIO(damaged), io.BytesIO())
    w.do("kms.decrypt_stream", sealed, io.StringIO())
    w.do("kms.decrypt_stream", plain, w.folder / "plain again")
    w.do("kms.decrypt_stream", sealed, w.folder)


def bad_values(w: World) -> list[Any]:
    text, raw = w.text(), w.data()
    return [
        "",
        text * 4_000,
        raw * 4_000,
        text + LONE,
        bytearray(raw),
        {"value": text},
        [text],
        SecretValue(text * 4_000),
    ]


def stored_secrets(w: World) -> None:
    for value in (w.text(), w.data(), SecretValue(w.text())):
        w.do("kms.store_secret", "A", value, ttl="1h", tags={"team": "shop"})
    for value in bad_values(w):
        w.do("kms.store_secret", "A", value)
        w.do("kms.rotate_secret", "A", value)
        w.do("kms.store_secrets", {"B": w.text(), "C": value})
    w.do("kms.store_secret", "A", w.text(), expected_version=0)
    w.do("kms.store_secret", "A", w.text(), ttl="1h", ttl_days=1)
    w.do("kms.store_secret", "a//b", w.text())
    w.do("kms.store_secret", "A", w.text(), generate="hex:64")
    w.do("kms.store_secret", "A", generate=w.text())
    w.do("kms.store_secret", "A", w.text(), generate=w.text())
    w.do("kms.store_secrets", {"B": w.text(), "C": w.data()})
    w.do("kms.rotate_secret", "A", w.text())
    w.do("kms.rotate_secret", "B")
    w.do("kms.rotate_secret", "NOWHERE", w.text())
    w.do("kms.rotate_secret", "A", w.text(), expected_version=99)
    for how in ({}, {"label": "previous"}, {"version": 1}, {"version": 99}, {"version": 1, "label": "previous"}):
        w.do("kms.get_secret", "A", **how)
    w.do("kms.list_secrets")
    w.do("kms.list_secrets", limit=0)
    w.do("kms.list_versions", "A")
    w.do("kms.list_versions", "NOWHERE")
    w.do("kms.sweep")
    for name in ("B", "B", "NOWHERE"):
        w.do("kms.delete_secret", name)
    w.do("kms.get_secret", "B")
    for name in ("B", "NOWHERE"):
        w.do("kms.undelete_secret", name)
    for name in ("B", "B", "NOWHERE"):
        w.do("kms.destroy_secret", name)
    w.do("kms.store_secret", "GONE", w.text(), ttl="1ms")
    threading.Event().wait(0.01)
    w.do("kms.get_secret", "GONE")


def edited_rows(w: World) -> None:
    w.do("kms.store_secret", "A", w.text())
    with closing(sqlite3.connect(w.folder / "app.db")) as database, database:
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for column in [row[1] for row in database.execute(f"PRAGMA table_info({table})")]:
                if column in ("ciphertext", "value", "blob", "sealed"):
                    database.execute(f"UPDATE {table} SET {column} = zeroblob(length({column}))")
    w.do("secrets.clear_cache")
    w.do("kms.get_secret", "A")
    w.do("secrets.get_secret", "A")
    w.do("secrets.get_secrets", ["A"])


def data_keys(w: World) -> None:
    w.do("kms.store_secret", "A", w.text())
    first = w.do("kms.list_data_keys").items[0].id
    w.do("kms.rotate_data_key")
    for name in (first, "nowhere"):
        w.do("kms.affected_by_destroying", name)
    for name in ("nowhere", first, first, w.do("kms.list_data_keys").items[-1].id):
        w.do("kms.destroy_data_key", name)


def slots_and_sessions(w: World) -> None:
    words, raw = w.text(), w.data()
    w.do("slots.add", keystead.Passphrase(words), label="words")
    w.do("slots.add", keystead.Passphrase(w.canaries.remember("cAnaRy-weak")), label="weak")
    w.do("slots.add", keystead.MasterKey(raw), label="key")
    w.do("slots.add", keystead.MasterKey(raw), label="key again")
    w.do("slots.add", w.text(), label="no credential")
    added = {slot.label: slot.id for slot in w.do("slots.list").items}
    for which in ("words", "nowhere", ""):
        w.do("slots.find", which)
    w.do("kms.rekey")
    for credential in (keystead.Passphrase(w.text()), w.text(), keystead.Passphrase(words)):
        own = w.do("kms.own_credential")
        w.do("kms.rekey", {**own, added["words"]: credential, added["key"]: keystead.MasterKey(raw)})
    w.do("slots.remove", "nowhere")
    w.do("slots.remove", "key")
    for slot in w.do("slots.list").items:
        w.do("slots.remove", slot.id)
    for name in ("session_id", "notices", "node", "sessions", "get_status"):
        w.do(f"kms.{name}")
    w.do("kms.on_event", "no event", print)
    w.do("kms.on_event", "kms_initialized", print)
    w.do("kms.on", w.faces["kms"].node, principal="another")
    w.do("kms.initialize")
    w.do("kms.revoke_session", w.text())
    w.do("kms.revoke_session", w.faces["kms"].session_id)
    everything_refused(w)


def everything_refused(w: World) -> None:
    """What is called with a session that ended, or on a store that was closed."""
    text = w.text()
    for name, arguments in {
        "encrypt": (text.encode(),), "decrypt": (text.encode(),), "encrypt_data": (text,), "decrypt_data": (text,),
        "encrypt_many": ([text.encode()],), "reencrypt": (text,), "store_secret": ("A", text), "get_secret": ("A",),
        "store_secrets": ({"A": text},), "rotate_secret": ("A", text), "list_secrets": (), "list_data_keys": (),
        "rotate_data_key": (), "sessions": (), "own_credential": (), "node": (), "session_id": (), "notices": (),
        "get_status": (), "sweep": (), "whoami": (), "principal": (),
    }.items():  # fmt: skip
        w.do(f"kms.{name}", *arguments)
    for name in ("list", "public_key", "verify", "tail", "follow"):
        face = "slots" if name == "list" else "audit"
        w.do(f"{face}.{name}", *([stopped()] if name == "follow" else []))
    for name, arguments in {
        "initialize": (), "get_secret": ("A", text), "get_secrets": (["A"],), "set_secret": ("A", text),
        "rotate_secret": ("A", text), "list_secrets": (), "clear_cache": (), "get_status": (),
    }.items():  # fmt: skip
        w.do(f"secrets.{name}", *arguments)


def stopped() -> threading.Event:
    stop = threading.Event()
    stop.set()
    return stop


def closed(w: World) -> None:
    w.do("kms.store_secret", "A", w.text())
    w.do("secrets.get_secret", "A")
    w.do("kms.close")
    everything_refused(w)
    w.do("store.close")


def backups(w: World) -> None:
    words = w.text()
    w.do("kms.store_secret", "A", w.text())
    w.do("kms.encrypt_data", w.text())
    for face, method in (("kms", "backup"), ("secrets", "backup_secrets")):
        for to in (f"{face}.ksb", f"{face}.ksb", "no/folder"):
            w.do(f"{face}.{method}", w.folder / to, passphrase=words)
        for weak in ("cAnaRy-weak", words + LONE, words * 50, ""):
            w.do(f"{face}.{method}", w.folder / "weak", passphrase=w.canaries.remember(weak) if weak else weak)
    w.do("kms.restore", w.folder / "kms.ksb", passphrase=words)
    whole = (w.folder / "kms.ksb").read_bytes()
    (w.folder / "damaged").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    for face, method in (("kms", "restore"), ("secrets", "restore_secrets")):
        w.do("store.close")
        w.open(f"{face} restored.db", master_key=w.new_key())
        for source, given in (("kms.ksb", w.text()), ("damaged", words), ("nowhere", words), ("kms.ksb", words + LONE)):
            w.do(f"{face}.{method}", w.folder / source, passphrase=given)
        w.do(f"{face}.{method}", w.folder / "kms.ksb", passphrase=words)
        w.do("kms.get_secret", "A")


def manager(w: World) -> None:
    env = {
        "JWT_SECRET": w.text(),
        "REDIS_URL": f"redis://:{w.text()}@h",
        "ODD": w.text() + LONE,
        "LONG": w.text() * 4_000,
    }
    w.do("secrets.initialize", env=env, names=[*env, "KMS_MASTER_KEY", "ABSENT"], prefix="JWT")
    changed = dict.fromkeys(env, w.text())
    w.do("secrets.initialize", env=changed, names=list(env))
    w.do("secrets.initialize", env=changed, names=["JWT_SECRET"], conflicts="error")
    w.do("secrets.initialize", env={"OTHER": w.text(), **changed}, names=["JWT_SECRET"], conflicts="environment")
    for _ in range(3):
        for name in ("JWT_SECRET", "OTHER", "NOWHERE", "a//b"):
            w.do("secrets.get_secret", name)
        w.do("secrets.get_secret", "NOWHERE", "default")
        w.do("secrets.get_secret", "JWT_SECRET", version=99)
        w.do("secrets.get_secrets", ["JWT_SECRET", "OTHER"])
        w.do("secrets.get_secrets", ["JWT_SECRET", "NOWHERE"])
        w.do("secrets.get_secrets", ["NOWHERE"], missing="skip")
    w.do("secrets.set_secret", "JWT_SECRET", w.text())
    w.do("secrets.rotate_secret", "JWT_SECRET", w.text())
    for value in bad_values(w):
        w.do("secrets.set_secret", "JWT_SECRET", value)
        w.do("secrets.rotate_secret", "JWT_SECRET", value)
    w.do("secrets.list_secrets")
    w.do("secrets.list_secrets", limit=0)
    w.do("secrets.clear_cache")
    w.do("secrets.get_status")


@dataclass
class App:
    jwt_secret: SecretStr
    mongodb_uri: SecretURL
    raw: SecretValue
    keys: list[SecretStr]
    named: Annotated[SecretStr, From("named/secret")]
    port: int = 80


class Model(BaseModel):
    jwt_secret: PydanticSecretStr

    @field_validator("jwt_secret")
    @classmethod
    def refuse(cls, value: PydanticSecretStr) -> PydanticSecretStr:
        if len(value.get_secret_value()) < 100:
            raise ValueError(f"too short: {value.get_secret_value()}")
        return value


@dataclass
class Plain:
    jwt_secret: str
    port: int


def configuration(w: World) -> None:
    file = w.file("value", w.text())
    env = {"MONGODB_URI": f"mongodb://u:{w.text()}@h1,h2/db?authSource=admin&x={w.text()}", "RAW_FILE": str(file)}
    env |= {"KEYS": f"{w.text()},{w.text()}", "JWT_SECRET": "secret://JWT#1"}
    dotenv = w.file(".env", f"PORT=81\nOTHER='{w.text()}'\n")
    w.do("kms.store_secret", "JWT", w.text())
    w.do("kms.store_secret", "named/secret", w.text())
    w.do("store.config", App, env=env, env_file=dotenv)
    w.do("store.config", Model, env={"JWT_SECRET": w.text()})
    w.do("store.config", Model, env={"JWT_SECRET": w.text() * 5})
    w.do("store.config_loader", w.text())
    w.do("store.config_loader", App)
    broken = w.file("broken.env", f"A='{w.text()}\n{w.text()} {w.text()}\n")
    bad = {"PORT": w.text(), "MONGODB_URI": f"redis:{w.text()}", "KEYS": f'["{w.text()}", 5', "RAW_FILE": w.text()}
    bad |= {"JWT_SECRET": f"secret://{w.text()}//x"}
    overrides = {"jwt_secret": w.data(), "port": w.text(), "mongodb_uri": [w.text()]}
    for schema, sources in (
        (App, {"env": env}), (App, {"env": bad}), (App, {"env": {}, "overrides": overrides}), (Plain, {"env": bad}),
        (App, {"env": env, "env_file": broken}), (None, {"env": {**bad, "PORT": "secret://JWT", "MONGODB_URI": "x"}}),
        (Model, {"env": bad}), (Plain, {"env": {}}),
    ):  # fmt: skip
        w.faces["loader"] = (aio if w.loop else keystead).ConfigLoader(schema, **sources)
        for source in (w.faces["secrets"], None):
            w.do("loader.load", source)
            for name in ("jwt_secret", "JWT_SECRET", "port", "PORT", "MONGODB_URI", "nowhere", "RAW", "JWT"):
                w.do("loader.get", name)
            for name in ("get_public", "get_connections", "is_valid", "get_status"):
                w.do(f"loader.{name}")
            w.search("the loader", repr(w.faces["loader"]))


def opening(w: World) -> None:
    words = w.text()
    w.do("kms.store_secret", "A", w.text())
    w.do("slots.add", keystead.Passphrase(words), label="words")
    key = w.key
    for bad in (w.new_key(), words, key[:-1], key + key, key.lower(), key + "\n", w.text() + LONE, w.data().hex(), ""):
        w.open("app.db", master_key=bad)
    for text in (words, w.text()):
        w.open("app.db", master_key=keystead.Passphrase(text))
    for url in (f"postgresql://u:{words}@h/db", f"sqlite://{words}"):
        w.attempt("connect", lambda url=url: keystead.connect(url, master_key=key))
    for text in ("", words * 50, words + LONE):
        w.attempt("Passphrase", lambda text=text: keystead.Passphrase(text))
    kit = keystead.RecoveryKit.generate(store_id="0" * 32)
    w.canaries.remember(bytes(kit.key.view()))
    w.look("a kit", kit)
    kms = (aio if w.loop else keystead).KMSService(w.folder / "app.db", master_key=w.new_key())
    w.search("vars of a closed service", repr(vars(kms)))
    w.faces |= {"kms": kms, "slots": kms.slots, "audit": kms.audit, "policies": kms.policies}
    w.faces |= {"keys": kms.keys, "grants": kms.grants, "tokens": kms.tokens, "identities": kms.identities}
    w.do("kms.initialize")
    everything_refused(w)


def audit(w: World) -> None:
    w.do("kms.store_secret", "A", w.text())
    for name in ("verify", "tail", "public_key"):
        w.do(f"audit.{name}")
    w.do("audit.follow", stopped(), count=100)
    w.do("audit.tail", -1)


def named_keys(w: World) -> None:
    """What is encrypted, imported and exported is secret, and so is a backup's passphrase; a context is not."""
    raw, text, words = w.data(), w.text(), w.text()
    kinds = {"box": "aes-256-gcm", "signer": "ed25519", "mac": "hmac-sha-256", "pair": "ecdh-p256", "kem": "ml-kem-768"}
    w.do("kms.keys")
    for name, kind in kinds.items():
        w.do("keys.create", name, type=kind, exportable=True, rotation="90d")
    for name, how in (("box", {}), (text, {"type": text}), ("no", {"usage": "sign"}), ("no", {"description": [raw]})):
        w.do("keys.create", name, **how)
    blob = w.do("keys.encrypt", "box", raw, context={"user": "ada"})
    for name, given in (("box", text), ("box", [raw]), ("signer", raw), ("nowhere", raw)):
        w.do("keys.encrypt", name, given)
    w.do("keys.decrypt", "box", blob, context={"user": "ada"})
    for given in (blob, blob[:-1], raw, text, raw * 9):
        w.do("keys.decrypt", "box", given)
        w.do("keys.reencrypt", "box", given)
        w.do("keys.owner", given)
    w.do("keys.reencrypt", "box", blob, context={"user": "ada"})
    w.do("keys.batch", "encrypt", "box", [{"data": raw}, {"data": text}, {text: raw}])
    w.do("keys.batch", text, "box", [{"data": raw}])
    w.do("keys.batch", "encrypt", "box", [raw])
    made = w.do("keys.generate_data_key", "box")
    w.canaries.remember(made.plaintext)
    w.search("a data key", repr(made))
    w.do("keys.generate_data_key", "signer")
    w.do("keys.generate_data_key_pair", "box", "ed25519")
    w.do("keys.generate_data_key_pair", "box", text)
    w.do("keys.derive", "box", "a context")
    w.do("keys.derive", "box", None)
    named_keys_that_sign(w, raw, text)
    w.do("keys.random_bytes", 8)
    w.do("keys.random_bytes", text)
    w.do("keys.digest", raw)
    w.do("keys.digest", text)
    w.do("keys.digest", raw, algorithm=text)
    named_keys_elsewhere(w, words)
    named_keys_change(w)


def named_keys_that_sign(w: World, raw: bytes, text: str) -> None:
    signed = w.do("keys.sign", "signer", raw)
    w.do("keys.sign", "signer", text)
    w.do("keys.verify", "signer", raw, signed.signature)
    w.do("keys.verify", "signer", raw, text)
    code = w.do("keys.mac", "mac", raw)
    w.do("keys.mac", "mac", text)
    w.do("keys.verify_mac", "mac", raw, code.mac)
    w.do("keys.verify_mac", "mac", text, code.mac)
    w.do("keys.agree", "pair", w.do("keys.public_key", "pair").der)
    w.do("keys.agree", "pair", raw)
    shared = w.do("keys.encapsulate", "kem")
    w.canaries.remember(shared.secret)
    w.search("a shared secret", repr(shared))
    w.do("keys.encapsulate", "box")
    w.do("keys.decapsulate", "kem", shared.ciphertext)
    w.do("keys.decapsulate", "kem", raw)
    w.do("keys.public_key", "box")


def named_keys_elsewhere(w: World, words: str) -> None:
    w.do("keys.create", "wrapping", type="rsa-4096", usage="import")
    pem = w.do("keys.public_key", "wrapping").pem
    for name, material in (("byok", w.data()), ("byok", w.data()), ("odd", w.data()[:31])):
        w.do("keys.import_key", name, keystead.wrap_for_import(pem, material), wrapping_key="wrapping", exportable=True)
    w.do("keys.import_version", "byok", keystead.wrap_for_import(pem, w.data()), wrapping_key="wrapping")
    w.do("keys.import_version", "byok", w.data() * 20, wrapping_key="wrapping")
    for name in ("byok", "wrapping", "nowhere"):
        w.search("exported", repr(w.do("keys.export", name)))
        kept = w.do("keys.backup", name, passphrase=words)
        if kept is not None:
            w.do("keys.backup", name, passphrase=w.canaries.remember("cAnaRy-weak"))
            w.do("keys.restore", kept, passphrase=words)
            w.do("keys.restore", kept, passphrase=w.text(), name="again")
            w.do("store.close")
            w.open("there.db", master_key=w.new_key())
            w.do("keys.restore", kept, passphrase=words)
            w.do("store.close")
            w.open()


def named_keys_change(w: World) -> None:
    for name in ("box", "nowhere"):
        w.do("keys.read", name)
        w.do("keys.versions", name)
        w.do("keys.configure", name, description="what it is for")
        w.do("keys.rotate", name)
        w.do("keys.set_alias", "alias", name)
        w.do("keys.remove_alias", "alias" if name == "box" else name)
        w.do("keys.suspend", name)
        w.do("keys.resume", name)
        w.do("keys.schedule_destruction", name)
        w.do("keys.cancel_destruction", name)
        w.do("keys.deactivate", name)
        w.do("keys.mark_compromised", name)
        w.do("keys.destroy", name)
    w.do("keys.list")
    w.do("keys.list", limit=0)
    w.do("kms.close")
    w.do("kms.keys")
    w.do("keys.list")


READER = {
    "version": 1,
    "statements": [{"id": "read", "effect": "allow", "actions": ["secret:read"], "resources": ["secret/**"]}],
}


def policies(w: World) -> None:
    """A policy is no secret; what was given in the place of one may be."""
    w.do("kms.store_secret", "A", w.text())
    asked = ("secret:read", "secret/A")
    w.do("policies.write", "reader", READER)
    for name, given in ((w.text(), READER), ("reader", w.text()), ("reader", w.data()), ("reader", {"a": w.data()})):
        w.do("policies.write", name, given)
    for name in ("reader", "nobody", w.text()):
        w.do("policies.read", name)
        w.do("policies.test", name, *asked)
    w.do("policies.test", w.text(), w.text(), w.text())
    for who in (["reader"], ["nobody"], w.text(), [w.text()], 3):
        w.do("policies.explain", who, *asked)
    w.do("policies.who_can", *asked)
    w.do("policies.who_can", w.text(), w.text())
    w.do("policies.list")
    w.do("policies.list", after=w.text())
    w.do("policies.delete", "reader")
    w.do("policies.delete", w.text())


def code_of(factor: NewSecondFactor | str, steps: int = 0) -> str:
    """The code of now, or of a step ahead."""
    secret = factor if isinstance(factor, str) else factor.reveal()
    return TOTP(b32decode(secret), 6, SHA1(), 30).generate(int(time.time()) + 30 * steps).decode()


def grants(w: World) -> None:
    """What was given in the place of a principal, a name, a pair or an id may be a secret."""
    w.do("keys.create", "box")
    made = w.do("grants.create", "box", "user:ada", ["decrypt"], name="app", context_subset={"user": "ada"})
    text, raw = w.text(), w.data()
    for key, who, operations, how in (
        ("nowhere", "user:ada", ["decrypt"], {}), (text * 99, "user:ada", ["decrypt"], {}),
        ("box", text, ["decrypt"], {}),
        ("box", "user:ada", [text], {}), ("box", "user:ada", [raw], {}), ("box", "user:ada", text, {}),
        ("box", "user:ada", ["sign"], {}), ("box", "user:ada", ["decrypt"], {"retiring": text}),
        ("box", "user:ada", ["decrypt"], {"name": f"{text}!"}), ("box", "user:ada", ["decrypt"], {"ttl": text}),
        ("box", "user:ada", ["decrypt"], {"context_equals": {text: raw}}),
        ("box", "user:ada", ["decrypt"], {"context_equals": text}),
    ):  # fmt: skip
        w.do("grants.create", key, who, operations, **how)
    for name in ("list", "get", "retire", "revoke"):
        for given in ("nowhere", made.id, text):
            w.do(f"grants.{name}", "box", **{"after" if name == "list" else "grant_id": given})
    w.do("grants.list", grantee="user:ada")
    w.do("grants.list", grantee=text)
    again = w.do("grants.create", "box", "user:ada", ["decrypt"])
    w.do("grants.list", "box")
    w.do("grants.revoke", "box", again.id)


def mistyped(text: str) -> str:
    """Another last letter."""
    return text[:-1] + ("x" if text[-1] != "x" else "y")


def identities(w: World) -> None:
    password, wrong = w.text(), w.text()
    w.do("kms.whoami")
    w.do("kms.principal")
    w.do("identities.create_user", "ada", password)
    for name, bad in (("ada", password), ("eve", password + LONE), (password, password), ("eve", w.data())):
        w.do("identities.create_user", name, bad)
    w.do("identities.set_password", "ada", password)
    w.do("identities.set_password", "eve", password)
    shown = [w.do(f"{face}.login", "password", name="ada", password=password) for face in ("kms", "store")]
    for face in ("kms", "store"):
        for given in (wrong, password + " ", password + LONE, w.data()):
            w.do(f"{face}.login", "password", name="ada", password=given)
        w.do(f"{face}.login", "password", name=w.text(), password=wrong)
        w.do(f"{face}.login", w.text(), password=wrong)
    shown.append(w.do("tokens.create", ["a"], name="x", uses=1))
    w.do("tokens.create", [w.text()])
    w.do("identities.create_role", "ci", secret_id_uses=1)
    w.do("identities.create_role", "ci")
    secret = w.do("identities.create_secret_id", "ci", uses=9)
    w.do("identities.create_secret_id", "nowhere")
    shown.append(secret)
    texts = [w.canaries.remember(each.reveal()) for each in shown]
    for each in shown:
        w.search("what was given out", f"again {each!r} {each} {each.info}")
    for text in (*texts, mistyped(texts[0]), w.text()):
        for face in ("kms", "store"):
            other = w.do(f"{face}.as_token", text)
            if other is not None:
                w.search("vars of a further service", f"again {vars(other)!r}")
            w.do(f"{face}.login", "token", token=text)
            w.do(f"{face}.login", "role", role_id=text, secret_id=text)
        for name in ("lookup", "renew"):
            w.do(f"tokens.{name}", text)
            w.do(f"tokens.{name}_accessor", text)
        w.do("tokens.revoke_accessor", text)
        w.do("tokens.list", after=text)
        w.do("identities.lookup_secret_id", "ci", text)
        w.do("identities.lookup_secret_id_accessor", "ci", text)
        w.do("identities.list_secret_ids", "ci", after=text)
        w.do("identities.destroy_secret_id", "ci", text)
    accessor = shown[0].accessor
    factor = w.do("identities.enroll_second_factor", "ada")
    w.canaries.remember(factor.reveal())
    w.search("what was given out", f"again {factor!r} {factor}")
    for given in ("12 34", w.text(), w.data()):
        w.do("kms.verify_second_factor", given)
        w.do("identities.confirm_second_factor", "ada", given)
        w.do("kms.login", "password", name="ada", password=password, code=given)
    w.do("identities.confirm_second_factor", "ada", code_of(factor))
    token = w.do("kms.login", "password", name="ada", password=password, code=code_of(factor, 1))
    w.canaries.remember(token.reveal())
    owner, acting = w.faces["kms"], w.do("kms.as_token", token)
    w.do("identities.remove_second_factor", "ada")
    factor = w.do("identities.enroll_second_factor", "ada")
    w.canaries.remember(factor.reveal())
    w.do("identities.confirm_second_factor", "ada", code_of(factor))
    w.faces["kms"] = acting
    w.do("kms.verify_second_factor", code_of(factor, 1))
    w.faces["kms"] = owner
    for name in ("ada", "ada", wrong):
        w.do("identities.remove_second_factor", name)
        w.do("identities.enroll_second_factor", wrong)
    for name in ("lookup_accessor", "renew_accessor", "revoke_accessor", "revoke_principal"):
        w.do(f"tokens.{name}", accessor)
    w.do("tokens.revoke", texts[1])
    w.do("tokens.revoke", mistyped(texts[1]))
    w.do("tokens.list")
    w.do("identities.lookup_secret_id_accessor", "ci", secret.accessor)
    w.do("identities.list_secret_ids", "ci")
    w.do("identities.destroy_secret_id", "ci", secret.accessor)
    for noun in ("user", "role"):
        w.do(f"identities.list_{noun}s")
        w.do(f"identities.list_{noun}s", limit=0)
        for name in ("ada", "ci", wrong):
            for verb in ("read", "change", "delete"):
                w.do(f"identities.{verb}_{noun}", name)
    w.do("tokens.revoke_principal", "user:ada")
    w.do("kms.revoke_session", w.do("kms.session_id"))
    w.do("kms.whoami")
    w.do("tokens.revoke_principal", "user:ada")


def auth_methods(w: World) -> None:
    """A token is a secret, and what was given in the place of a configuration may be."""
    config, now = issuing.config().to_json(), int(time.time())
    w.do("identities.write_auth_method", "github", "jwt", config)
    for name, kind, given in (
        (w.text(), "jwt", config), ("x", w.text(), config), ("x", "jwt", w.text()), ("x", "jwt", f'{{"a": "{w.text()}'),
        ("x", "jwt", {**config, "issuer": w.text() + LONE}), ("x", "jwt", {**config, "policies": [w.text() * 9]}),
        ("x", "jwt", {**config, "jwks": {"keys": [{"kty": w.text(), "k": w.text()}]}}), ("x", "jwt", w.data()),
        ("x", "certificate", {"trusted": w.text(), "spiffe_ids": [w.text()], "crls": [w.text()], "policies": ["a"]}),
    ):  # fmt: skip
        w.do("identities.write_auth_method", name, kind, given)
    good = issuing.token(issuing.good_claims(iat=now, nbf=None, exp=now + 600))
    shown = w.canaries.remember(good)
    for face in ("kms", "store"):
        for given in (shown, shown + "x", shown[:-9], w.text(), w.data(), f"{w.text()}.{w.text()}.{w.text()}"):
            token = w.do(f"{face}.login", "jwt", name="github", jwt=given)
            if token is not None:
                w.canaries.remember(token.reveal())
            w.do(f"{face}.login", "jwt", name=given, jwt=given)
            w.do(f"{face}.login", "certificate", name="github", chain=given)
            w.do(f"{face}.login", "certificate", name="github", chain=[given], key=given)
    for name in ("github", "nobody", w.text()):
        w.do("identities.read_auth_method", name)
    w.do("identities.list_auth_methods")
    w.do("identities.list_auth_methods", after=w.text())
    for name in ("github", "github", w.text()):
        w.do("identities.delete_auth_method", name)


SCENES = [
    data, streams, stored_secrets, edited_rows, data_keys, slots_and_sessions, closed, backups, manager, configuration,
    opening, audit, policies, grants, identities, named_keys, auth_methods,
]  # fmt: skip

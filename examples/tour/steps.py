"""The steps of the tour. Each asserts what it promises, and gives the lines that tell what it did."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keystead
from keystead.audit.report import ChainStatus
from keystead.audit.verify import verify
from keystead.config import dotenv
from keystead.errors import DecryptionError
from tour.plaintext import search_apart
from tour.promise import hold, refused
from tour.settings import Shop
from tour.web import WebApplication

READS = 100_000
SEEN_WITHIN_SECONDS = 1.0
WORDS = "legal winner thank year wave sausage worth useful legal winner thank yellow"
ADA, BOB = {"user": "ada"}, {"user": "bob"}
PASSPHRASE = "seven plain words nobody else would choose"
_STORE = ".keystead"


@dataclass
class Tour:
    """What the steps share. `folder` is made anew; `environment` is what child processes get."""

    folder: Path
    env_file: Path
    environment: Mapping[str, str]
    values: dict[str, str] = field(default_factory=dict)
    everything_secret: dict[str, str] = field(default_factory=dict)
    envelope: Mapping[str, Any] = field(default_factory=dict)
    opened: keystead.Connection | None = None

    @property
    def app(self) -> Path:
        """The folder of the application whose secrets these are."""
        return self.folder / "app"

    @property
    def store(self) -> Path:
        """The folder of its store."""
        return self.app / _STORE

    @property
    def connection(self) -> keystead.Connection:
        """The store, opened by the first step."""
        if self.opened is None:
            raise RuntimeError("no step opened the store")
        return self.opened

    def close(self) -> None:
        """Close what the steps opened."""
        if self.opened is not None:
            self.opened.close()


def make_store(tour: Tour) -> list[str]:
    """A store and a master key."""
    tour.app.mkdir()
    tour.store.mkdir(mode=0o700)
    key = tour.store / "master.key"
    key.touch(mode=0o600)
    key.write_text(keystead.generate_master_key() + "\n")
    tour.opened = keystead.connect(tour.store, master_key=key.read_text().strip())
    files = [path for path in tour.store.rglob("*") if path.is_file() and path.name != ".gitignore"]
    hold("every file of the store is for its owner alone", all(path.stat().st_mode & 0o077 == 0 for path in files))
    return [f"{len(tour.connection.kms.slots.list())} key slot, {len(files)} files, each for its owner alone"]


def import_env(tour: Tour) -> list[str]:
    """The secrets of the .env file, into the store."""
    tour.values = dotenv.parse(tour.env_file.read_text("utf-8"))
    tour.everything_secret = {**tour.values, "MNEMONIC": WORDS}
    tour.connection.kms.store_secrets(tour.values)
    page = tour.connection.kms.list_secrets()
    hold("every name of the file is in the store", [info.name for info in page.items] == sorted(tour.values))
    return [f"{len(page.items)} secrets, from {tour.env_file.name}"]


def show_no_plaintext(tour: Tour) -> list[str]:
    """Nothing of any value in any file of the open store: database, write-ahead log, audit log."""
    control = search_apart(tour.values, tour.env_file)
    hold("the search finds every value where it is", control.names == set(tour.values))
    found = search_apart(tour.values, tour.store)
    names = {path.name for path in tour.store.rglob("*")}
    hold("the write-ahead log was there to be searched", "keystead.db-wal" in names)
    hold(f"no file of the store holds a value, but {found.first} does", not found.found)
    return [
        f"0 of {len(tour.values)} values in {found.files} files, {_size(found.bytes)}, write-ahead and audit log too",
        f"{found.windows} windows of 8 bytes, raw, hex and base64; the same search finds {len(control.names)} in "
        f"{tour.env_file.name}",
    ]


def read_through_cache(tour: Tour) -> list[str]:
    """Reading through the cache of a SecretsManager."""
    secrets = tour.connection.secrets
    values = secrets.get_secrets(list(tour.values))
    hold("every secret is what the file held", {name: value.reveal() for name, value in values.items()} == tour.values)
    start = time.perf_counter()
    for _ in range(READS):
        secrets.get_secret("JWT_SECRET")
    took = (time.perf_counter() - start) / READS
    status = secrets.get_status()
    hold("each secret was read from the store once", status.misses == len(tour.values))
    hold("every further read was a hit", status.hits == READS)
    shown = repr(values["JWT_SECRET"])
    hold("a secret prints nothing of itself", tour.values["JWT_SECRET"][:8] not in shown)
    return [
        f"{status.misses} misses, {status.hits:,} hits ({status.hit_rate:.2%}), {took * 1e6:.2f} µs a hit",
        f"repr() of one: {shown}",
    ]


def bind_envelope(tour: Tour) -> list[str]:
    """An envelope that opens for its user only."""
    kms = tour.connection.kms
    tour.envelope = kms.encrypt_data(WORDS, aad=ADA)
    hold("ada opens her envelope", kms.decrypt_data(tour.envelope, aad=ADA) == WORDS)
    with refused("bob cannot open ada's envelope", DecryptionError):
        kms.decrypt_data(tour.envelope, aad=BOB)
    relabelled = {**tour.envelope, "aad": kms.encrypt_data(WORDS, aad=BOB)["aad"]}
    with refused("bob cannot open it with his name written into it either", DecryptionError):
        kms.decrypt_data(relabelled, aad=BOB)
    length = len(json.dumps(tour.envelope))
    return [f"{len(WORDS)} bytes in an envelope of {length}: ada opens it; bob is refused, his name written in or not"]


def rotate(tour: Tour) -> list[str]:
    """New values, new keys, and old envelopes that still open."""
    kms, secrets = tour.connection.kms, tour.connection.secrets
    old, new = tour.values["JWT_SECRET"], keystead.generate_master_key()
    info = kms.rotate_secret("JWT_SECRET", new)
    waited = _wait_until_seen(tour, new)
    hold("the former value is there by its label", kms.get_secret("JWT_SECRET", label="previous") == old)
    tour.values["JWT_SECRET"] = tour.everything_secret["ROTATED"] = new
    before = tour.envelope["keyId"]
    key = kms.rotate_data_key()
    hold("the data key is another one", key.id != before)
    hold("what is encrypted now is under the new key", kms.encrypt_data("x")["keyId"] == key.id)
    hold("the old envelope opens", kms.decrypt_data(tour.envelope, aad=ADA) == WORDS)
    hold("a plain read gives the new value", secrets.get_secret("JWT_SECRET") == new)
    return [
        f"JWT_SECRET is version {info.version}, seen here after {waited:.1f} s; version 1 by the label previous",
        f"data key {before} -> {key.id}; the envelope under the old one opens",
    ]


def _wait_until_seen(tour: Tour, value: str) -> float:
    start = time.monotonic()
    while tour.connection.secrets.get_secret("JWT_SECRET") != value:
        hold("a rotation is seen within one second", time.monotonic() - start < SEEN_WITHIN_SECONDS)
        time.sleep(0.01)
    return time.monotonic() - start


def load_configuration(tour: Tour) -> list[str]:
    """Typed configuration that can be printed."""
    env = {"TIMEOUT": "5m", "MAX_UPLOAD": "25MiB", "WORKERS": "4"}
    loader = tour.connection.config_loader(Shop, env=env)
    shop = loader.load(tour.connection.secrets)
    hold("values have their types", (shop.workers, shop.timeout.total_seconds(), shop.redis_url.port) == (4, 300, 6380))
    printed = f"{shop!r} {loader.get_connections()} {loader.get_status()}"
    leaked = [name for name in ("JWT_SECRET", "PAYMENT_API_KEY") if tour.values[name][:8] in printed]
    leaked += [name for name in ("MONGODB_URI", "REDIS_URL", "SMTP_URL") if _password(tour.values[name]) in printed]
    hold(f"a printed configuration shows no credential, but it shows {leaked}", not leaked)
    hold("the public part is what is marked public", set(loader.get_public()) == {"name", "max_upload"})
    sources = list(loader.get_status().sources.values())
    counted = ", ".join(f"{sources.count(source)} {source}" for source in dict.fromkeys(sources))
    return [
        f"{len(sources)} fields, by source: {counted}",
        f"jwt_secret={shop.jwt_secret!r}",
        f"mongodb_uri={shop.mongodb_uri}",
    ]


def _password(uri: str) -> str:
    return uri.rpartition("@")[0].rpartition(":")[2]


def run_child(tour: Tour) -> list[str]:
    """A child program with the secrets in its environment, and nowhere else."""
    code = (
        "import json, os, sys; json.dump({n: os.environ.get(n) for n in json.load(sys.stdin)}, sys.stdout); sys.exit(7)"
    )
    values = {
        name: str(value.reveal()) for name, value in tour.connection.secrets.get_secrets(list(tour.values)).items()
    }
    child = subprocess.run(
        [sys.executable, "-c", code],
        env={**tour.environment, **values},
        input=json.dumps(list(tour.values)),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    hold("the child has every secret in its environment", json.loads(child.stdout) == tour.values)
    hold("the exit code is the child's", child.returncode == 7)
    return [f"the child had {len(tour.values)} of {len(tour.values)} secrets, and ended with its own exit code 7"]


def call_web(tour: Tour) -> list[str]:
    """The example web application, started and called."""
    folder = tour.folder / "web"
    folder.mkdir()
    tour.everything_secret["PASSWORD"] = password = "something only ada knows"
    with WebApplication(folder, {**tour.environment, "KEYSTEAD_URL": str(tour.store)}) as web:
        tokens = {}
        for name in ("ada", "bob"):
            account = {"name": name, "password": password}
            hold(f"{name} registers", web.call("POST", "/users", account).status == 201)
            tokens[name] = web.call("POST", "/login", account).body["access_token"]
        wrong = web.call("POST", "/login", {"name": "ada", "password": password + "!"})
        hold("a wrong password is refused", wrong.status == 401)
        hold("ada's mnemonic is kept", web.call("PUT", "/mnemonic", {"mnemonic": WORDS}, tokens["ada"]).status == 204)
        answer = web.call("GET", "/mnemonic", access_token=tokens["ada"])
        hold("ada gets it back", answer.body == {"mnemonic": WORDS})
        hold(
            "a forged JWT is refused",
            web.call("GET", "/mnemonic", access_token=tokens["ada"][:-4] + "AAAA").status == 401,
        )
        _give_bob_what_is_adas(folder / "users.db")
        hold("ada's envelope is refused to bob", web.call("GET", "/mnemonic", access_token=tokens["bob"]).status == 403)
        status = web.call("GET", "/status").body
        hold("the status is served", status["initialized"] and status["users"] == 2)
    said = web.output()
    starts = ("kms_initialized", "secrets_manager_initialized", "configuration_loaded")
    hold("the log of the start shows all three", all(f"[INFO] {event}" in said for event in starts))
    hold("SIGTERM ended it in order", "Application shutdown complete" in said)
    return [
        " ".join(f"[INFO] {event}" for event in starts),
        f"on port {web.port}: logged in, mnemonic kept and read; refused: forged JWT, ada's envelope to bob",
    ]


def _give_bob_what_is_adas(database: Path) -> None:
    users = sqlite3.connect(database, isolation_level=None)
    users.execute("UPDATE users SET mnemonic = (SELECT mnemonic FROM users WHERE name = 'ada') WHERE name = 'bob'")
    users.close()


def back_up(tour: Tour) -> list[str]:
    """A backup, restored elsewhere under another master key."""
    file, elsewhere = tour.folder / "shop.ksbackup", tour.folder / "elsewhere" / _STORE
    report = tour.connection.kms.backup(file, passphrase=PASSPHRASE)
    elsewhere.parent.mkdir()
    with keystead.connect(elsewhere, master_key=keystead.generate_master_key()) as restored:
        restored.kms.restore(file, passphrase=PASSPHRASE)
        values = restored.secrets.get_secrets(list(tour.values))
        hold("every secret is the same there", {n: value.reveal() for n, value in values.items()} == tour.values)
        hold("the old envelope opens there", restored.kms.decrypt_data(tour.envelope, aad=ADA) == WORDS)
    return [
        f"{report.secrets} secrets in {report.versions} versions, {report.data_keys} data keys, one file of "
        f"{_size(report.bytes)}",
        f"restored in {elsewhere.parent.name}/: {len(values)} of {len(values)} the same, and the old envelope opens",
    ]


def verify_audit(tour: Tour) -> list[str]:
    """The audit log, verified; and a copy with one letter changed."""
    node = tour.connection.kms.node
    report = verify(node.location.audit, heads=node.audit_rows, outbox=node.audit_rows)
    hold("the audit log verifies", report.ok)
    copy = tour.folder / "forged-audit"
    shutil.copytree(node.location.audit, copy)
    journal = max(copy.rglob("*.jsonl"), key=lambda path: path.stat().st_size)
    journal.write_bytes(journal.read_bytes().replace(b"secret_rotated", b"secret_rotateD", 1))
    forged = verify(copy)
    hold("one changed letter is found", forged.chains and forged.chains[0].status is ChainStatus.BROKEN)
    return [
        f"{report.records} records in {len(report.chains)} chains, each linked to the one before",
        f"one letter changed in a copy is found: {str(forged.problems[0]).partition(':')[0]}",
    ]


def show_status(tour: Tour) -> list[str]:
    """The status, and a last search through all that was written."""
    status = tour.connection.kms.get_status()
    expected = (True, len(tour.values), 2)
    hold(
        "the status counts what was made",
        (status.initialized, status.secrets_count, status.data_keys_count) == expected,
    )
    found = search_apart(tour.everything_secret, tour.folder)
    hold(f"no file here holds anything secret, but {found.first} does", not found.found)
    return [
        f"secrets {status.secrets_count}, data keys {status.data_keys_count} ({status.active_data_keys} active), "
        f"key slots {len(status.slots)}, audit head {status.audit_head['count']} {status.audit_head['hash'][:12]}",
        f"0 of {len(tour.everything_secret)} values, the user's words and password too, in all {found.files} files, "
        f"{_size(found.bytes)}",
    ]


def _size(count: int) -> str:
    return f"{count / 1024:,.0f} KiB" if count < 1024 * 1024 else f"{count / 1024 / 1024:,.1f} MiB"

"""The steps of the tour. Each asserts what it promises, and gives the lines that tell what it did."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
import time
from pathlib import Path

import keystead
from keystead.config import dotenv
from keystead.errors import DecryptionError
from tour.place import STORE, Tour
from tour.plaintext import search_apart
from tour.promise import Broken, hold, refused
from tour.settings import Shop
from tour.web import WebApplication

READS = 100_000
SEEN_WITHIN_SECONDS = 1.0
WORDS = "legal winner thank year wave sausage worth useful legal winner thank yellow"
ADA, BOB = {"user": "ada"}, {"user": "bob"}
PASSPHRASE = "seven plain words nobody else would choose"
INTEGRITY = 7  # the exit code for what is not as keystead wrote it
CHILD = "import json, os, sys; print(json.dumps({n: os.environ.get(n) for n in json.load(sys.stdin)})); sys.exit(7)"


def make_store(tour: Tour) -> list[str]:
    """A store, a master key, and a recovery kit elsewhere."""
    tour.app.mkdir()
    line = "init --recovery-file ../recovery-kit.txt"
    tour.command(line)
    again = json.loads(tour.command(f"{line} --json"))
    hold("a second init changes nothing", again["created"] is False)
    tour.opened = keystead.connect(tour.store)
    kinds = sorted(slot.kind for slot in tour.opened.kms.slots.list().items)
    hold("master key and recovery kit each open the store", kinds == ["master-key", "recovery"])
    kept = [path for path in tour.store.rglob("*") if path.name != ".gitignore"]
    kept += [tour.store, tour.folder / "recovery-kit.txt"]
    hold("all of it is for its owner alone", not [path for path in kept if path.stat().st_mode & 0o077])
    return [
        f"$ keystead {line}",
        f"2 key slots: {' and '.join(kinds)}; {len(kept)} files and folders, each for its owner alone",
    ]


def import_env(tour: Tour) -> list[str]:
    """The secrets of the .env file into the store, and out of the file."""
    text = tour.env_file.read_text("utf-8")
    tour.values = dotenv.parse(text)
    tour.everything_secret = {**tour.values, "MNEMONIC": WORDS}
    file = tour.app / ".env"
    file.write_text(text, "utf-8")
    line = "env import .env --rewrite"
    report = json.loads(tour.command(f"{line} --json"))
    hold("every name of the file was imported", sorted(report["imported"]) == sorted(tour.values))
    hold("every value was taken out of the file", dotenv.parse(file.read_text("utf-8")) == {})
    names = [info.name for info in tour.connection.kms.list_secrets().items]
    hold("the store lists these names", names == sorted(tour.values))
    return [
        f"$ keystead {line}",
        f"{len(names)} secrets stored, each read back, then taken out of the file (undo: an encrypted copy)",
    ]


def show_no_plaintext(tour: Tour) -> list[str]:
    """Nothing of any value in any file beside the .env or of the open store: database, write-ahead log, audit log."""
    control = search_apart(tour.values, tour.env_file)
    hold("the search finds every value where it is", control.names == set(tour.values))
    found = search_apart(tour.values, tour.app)
    names = {path.name for path in tour.store.rglob("*")}
    hold("the write-ahead log was there to be searched", "keystead.db-wal" in names)
    hold(f"no file of store or application holds a value, but {found.first} does", not found.found)
    return [
        f"0 of {len(tour.values)} values in {found.files} files, {_size(found.bytes)}, write-ahead and audit log too",
        f"{found.windows} windows of 8 bytes, raw, hex and base64; the same search finds {len(control.names)} in "
        f"{tour.env_file.name}",
    ]


def read_through_cache(tour: Tour) -> list[str]:
    """Reading through the cache of a SecretsManager."""
    # Opened after the import, which the connection of the first step may not have seen yet: what it notices only in the
    # midst of the reads makes it read anew.
    with keystead.connect(tour.store) as store:
        values = store.secrets.get_secrets(list(tour.values))
        hold(
            "every secret is what the file held",
            {name: value.reveal() for name, value in values.items()} == tour.values,
        )
        start = time.perf_counter()
        for _ in range(READS):
            store.secrets.get_secret("JWT_SECRET")
        took = (time.perf_counter() - start) / READS
        status = store.secrets.get_status()
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
    line = "rotate JWT_SECRET"
    info = json.loads(tour.command(f"{line} --json", given=new))
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
        f"$ keystead {line} < new-value",
        f"version {info['version']}, seen in this process {waited * 1000:.0f} ms later; version 1 by its label",
        f"data key {before} -> {key.id}; the envelope under the old one opens",
    ]


def _wait_until_seen(tour: Tour, value: str) -> float:
    start = asked = time.monotonic()
    while tour.connection.secrets.get_secret("JWT_SECRET") != value:
        hold("a rotation is seen by a read one second later", asked - start < SEEN_WITHIN_SECONDS)
        time.sleep(0.01)
        asked = time.monotonic()
    return asked - start


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
    """A child program with the secrets in its environment, and nothing of keystead's own."""
    own = {"KMS_MASTER_KEY": (tour.store / "master.key").read_text().strip(), "KEYSTEAD_URL": str(tour.store)}
    child = tour.command("run --", sys.executable, "-c", CHILD, given=json.dumps([*tour.values, *own]), code=7, **own)
    seen = json.loads(child)
    hold("the child is not handed keystead's own key and settings", [seen.pop(name) for name in own] == [None, None])
    hold("the child has every secret in its environment", seen == tour.values)
    return [
        "$ keystead run -- python -c ...",
        f"the child had {len(seen)} of {len(tour.values)} secrets, no master key, and ended with its own exit code 7",
    ]


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
    how = "--passphrase-file -"
    report = json.loads(tour.command(f"backup ../shop.bak {how} --json", given=PASSPHRASE))
    tour.command(f"restore ../shop.bak --into ../elsewhere {how}", given=PASSPHRASE)
    elsewhere = tour.folder / "elsewhere" / STORE
    keys = [(folder / "master.key").read_text() for folder in (tour.store, elsewhere)]
    hold("the restored store has a master key of its own", keys[0] != keys[1])
    with keystead.connect(elsewhere) as restored:
        values = restored.secrets.get_secrets(list(tour.values))
        hold("every secret is the same there", {name: value.reveal() for name, value in values.items()} == tour.values)
        hold("the old envelope opens there", restored.kms.decrypt_data(tour.envelope, aad=ADA) == WORDS)
    return [
        f"$ keystead backup ../shop.bak {how} < passphrase",
        f"$ keystead restore ../shop.bak --into ../elsewhere {how} < passphrase",
        f"{report['secrets']} secrets in {report['versions']} versions, {report['data_keys']} data keys, "
        f"{_size(report['bytes'])}",
        f"{len(values)} of {len(values)} are the same there, and the old envelope opens",
    ]


def verify_audit(tour: Tour) -> list[str]:
    """The audit log, verified; and a copy with one letter changed."""
    line = "audit verify"
    report = json.loads(tour.command(f"{line} --json"))
    hold("the audit log verifies", report["ok"] and not report["problems"])
    copy = tour.folder / "forged-audit"
    shutil.copytree(tour.store / "audit", copy)
    _change_one_letter(copy, b"secret_rotated", b"secret_rotateD")
    told = tour.command(f"{line} --without-key --json", code=INTEGRITY, KEYSTEAD_AUDIT=str(copy))
    problem = json.loads(told)["problems"][0]
    hold("the record with the changed letter is named", problem["index"] >= 0)
    return [
        f"$ keystead {line}",
        f"{report['records']} records in {len(report['chains'])} chains, linked, signed, none missing",
        f"one letter changed in a copy is found: chain {problem['chain']}, record {problem['index']}",
    ]


def _change_one_letter(audit: Path, old: bytes, new: bytes) -> None:
    for journal in audit.rglob("*.jsonl"):
        data = journal.read_bytes()
        if old in data:
            journal.write_bytes(data.replace(old, new, 1))
            return
    raise Broken("the rotation left a record")


def show_status(tour: Tour) -> list[str]:
    """The status, and a last search through all that was written."""
    status = json.loads(tour.command("status --json"))
    told = (status["initialized"], status["secrets_count"], status["data_keys_count"])
    hold("it counts what was made", told == (True, len(tour.values), 2))
    lines = tour.command("status").splitlines()
    shown = [line.expandtabs(14) for line in lines if not line.startswith(("store", "session"))]
    found = search_apart(tour.everything_secret, tour.folder)
    hold(f"no file here holds anything secret, but {found.first} does", not found.found)
    return [
        "$ keystead status",
        *shown,
        f"0 of {len(tour.everything_secret)} values, the user's words and password too, in all {found.files} files, "
        f"{_size(found.bytes)}",
    ]


def _size(count: int) -> str:
    return f"{count / 1024:,.0f} KiB" if count < 1024 * 1024 else f"{count / 1024 / 1024:,.1f} MiB"

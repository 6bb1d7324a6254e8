"""The two servers: started as their documentation says, each pinned to cores of its own."""

from __future__ import annotations

import base64
import datetime
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import keystead
from bench.harness import ROOT
from keystead.services.first_administrator import first_administrator

PLAINTEXTS = [os.urandom(size) for size in (32, 64, 96, 128)]
_TICKS = os.sysconf("SC_CLK_TCK")


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    paths = folder / "server.pem", folder / "server.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return paths


def cpu_seconds(pids: list[int]) -> float:
    """Processor time that processes have used, all their threads included."""
    spent = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        spent += int(fields[11]) + int(fields[12])
    return spent / _TICKS


def resident(pid: int) -> float:
    """Memory of a process in bytes, what it shares with others counted in parts."""
    found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024.0


@contextmanager
def on(cores: set[int]) -> Iterator[None]:
    """What is started inside runs on these cores, and this process on its own ones again afterwards."""
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, mine)


class Keystead:
    """Our server."""

    name = "keystead"

    def __init__(self, folder: Path, cores: set[int], *flags: str, workers: int = 1, tls: bool = False) -> None:
        folder.mkdir()
        self.master_key = base64.b64encode(os.urandom(32)).decode()
        self.store = folder / ".keystead"
        self.store.mkdir()
        with keystead.connect(self.store, master_key=self.master_key) as store:
            self.token = first_administrator(store.kms).reveal()
            statements = [
                {
                    "id": "app",
                    "effect": "allow",
                    "actions": ["key:*", "secret:read"],
                    "resources": ["key/*", "secret/**"],
                }
            ]
            store.kms.policies.write("app", {"version": 1, "statements": statements})
            store.kms.keys.create("orders")
            store.kms.keys.create("mac", type="hmac-sha-256")
            store.kms.store_secret("db/password", "hunter2hunter2")
            role = store.kms.identities.create_role("app", policies=["app"], ttl="8h")
            secret_id = store.kms.identities.create_secret_id("app")
            self.app_token = store.login("role", role_id=role.role_id, secret_id=secret_id.reveal()).reveal()
        self.prepare()
        flags = (*flags, "--workers", str(workers), "--port", "0")
        if tls:
            files = certificate(folder)
            flags = (*flags, "--tls-certificate", str(files[0]), "--tls-key", str(files[1]))
        began = time.perf_counter()
        with on(cores):
            self.process = subprocess.Popen(
                [sys.executable, "-m", "keystead", "serve", "--store", str(self.store), *flags],
                env={"PATH": os.environ["PATH"], "KMS_MASTER_KEY": self.master_key},
                stderr=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
            )
        assert self.process.stderr is not None
        listening, found = re.compile(rb'"event":"listening".*://[^:]+:(\d+)"'), None
        while found is None:
            line = self.process.stderr.readline()
            assert line, "the server ended before it listened"
            found = listening.search(line)
        self.address = ("127.0.0.1", int(found[1]))
        self.started_in = time.perf_counter() - began

    def prepare(self) -> None:
        """What a case puts into the store before the server starts."""

    @property
    def pids(self) -> list[int]:
        found = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=True)
        return [int(pid) for pid in found.stdout.split()]

    def request(self, method: str, path: str, body: Any = None, token: str = "") -> bytes:
        data = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
        kind = "Content-Type: application/json\r\n" if data else ""
        return (
            f"{method} /api/v1{path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token or self.app_token}\r\n"
            f"{kind}Content-Length: {len(data)}\r\n\r\n"
        ).encode() + data

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


class OpenBao:
    """The peer, tuned: raft storage, file audit, an access token without the templated default policy."""

    name = "OpenBao"

    def __init__(self, folder: Path, cores: set[int], *, tls: bool = False) -> None:
        folder.mkdir()
        self.folder, self.port = folder, 18_200 + (100 if tls else 0)
        (folder / "raft").mkdir()
        listener = "tls_disable = true"
        if tls:
            files = certificate(folder)
            listener = f'tls_cert_file = "{files[0]}"\n tls_key_file = "{files[1]}"'
        (folder / "config.hcl").write_text(
            f'storage "raft" {{ path = "{folder}/raft"\n node_id = "n1" }}\n'
            f'listener "tcp" {{ address = "127.0.0.1:{self.port}"\n {listener} }}\n'
            f'api_addr = "http{"s" if tls else ""}://127.0.0.1:{self.port}"\n'
            f'cluster_addr = "http://127.0.0.1:{self.port + 1}"\n'
            f'audit "file" "f" {{ options {{ file_path = "{folder}/audit.log" }} }}\nlog_level = "error"\n'
        )
        self.program = str(ROOT / ".venv-bench" / "bin" / "bao")
        with on(cores):
            self.process = subprocess.Popen(
                [self.program, "server", "-config", str(folder / "config.hcl")],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "GOMAXPROCS": str(len(cores))},
            )
        self.address = ("127.0.0.1", self.port)
        self._environment = {
            **os.environ,
            "BAO_ADDR": f"http{'s' if tls else ''}://127.0.0.1:{self.port}",
            "BAO_SKIP_VERIFY": "true",
        }
        self._set_up()

    def _bao(self, *words: str, tries: int = 1) -> str:
        for left in range(tries, 0, -1):
            done = subprocess.run(
                [self.program, *words], env=self._environment, capture_output=True, text=True, check=False
            )
            if done.returncode == 0 or left == 1:
                break
            time.sleep(0.5)
        assert done.returncode == 0, f"bao {words}: {done.stderr}"
        return done.stdout

    def _set_up(self) -> None:
        made = json.loads(self._bao("operator", "init", "-key-shares=1", "-key-threshold=1", "-format=json", tries=40))
        self._bao("operator", "unseal", made["unseal_keys_b64"][0], tries=10)
        self._environment["BAO_TOKEN"] = made["root_token"]
        self._bao("secrets", "enable", "transit", tries=20)
        self._bao("secrets", "enable", "-path=secret", "-version=2", "kv")
        self._bao("write", "-f", "transit/keys/orders", "type=aes256-gcm96")
        self._bao("write", "-f", "transit/keys/mac", "type=hmac", "key_size=32")
        self._bao("kv", "put", "secret/db", "password=hunter2hunter2", tries=20)
        policy = self.folder / "app.hcl"
        policy.write_text(
            'path "transit/*" { capabilities = ["create", "update", "read"] }\n'
            'path "secret/*" { capabilities = ["read"] }\n'
        )
        self._bao("policy", "write", "app", str(policy))
        token = json.loads(self._bao("token", "create", "-policy=app", "-no-default-policy", "-format=json"))
        self.token = token["auth"]["client_token"]

    @property
    def pids(self) -> list[int]:
        return [self.process.pid]

    def request(self, method: str, path: str, body: Any = None) -> bytes:
        data = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
        return (
            f"{method} /v1{path} HTTP/1.1\r\nHost: localhost\r\nX-Vault-Token: {self.token}\r\n"
            f"Content-Length: {len(data)}\r\n\r\n"
        ).encode() + data

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        shutil.rmtree(self.folder, ignore_errors=True)

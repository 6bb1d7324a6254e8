"""No eight bytes of any secret get out of a server: not by its log, an error, a metric, a file or its command line."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.leaks.looking import Canaries, told_by_files
from tests.server.conftest import Server, prepared


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = prepared(tmp_path, "--workers", "2", LOG_LEVEL="DEBUG").start()
    yield running
    if running.process is not None and running.process.poll() is None:
        running.stop()


def test_nothing_of_a_secret_gets_out_of_a_server(server: Server) -> None:
    canaries, found = Canaries(), []

    def look(where: str, data: bytes | str) -> None:
        found.extend(f"{where}: {text}" for text in canaries.in_(data))

    value, plain, password = canaries.text(), canaries.text(), canaries.text()
    canaries.remember(server.token)
    canaries.remember(server.master_key)
    encoded = base64.b64encode(plain.encode()).decode()
    assert server.request("PUT", "/api/v1/secrets/kept", {"value": value}).status == 200
    for _ in range(3):
        assert server.request("GET", "/api/v1/secrets/kept").json["value"] == value
    server.request("POST", "/api/v1/keys", {"name": "box"})
    for _ in range(3):
        sealed = server.request("POST", "/api/v1/keys/box:encrypt", {"plaintext": encoded})
        assert sealed.status == 200
        look("the answer to an encryption", sealed.body)
    user = {"name": "ada", "password": password}
    assert server.request("POST", "/api/v1/users", user).status == 201
    begun = server.request("POST", "/api/v1/data:begin-stream", {}).json
    canaries.remember(base64.b64decode(begun["key"]))
    look("the header of a stream", base64.b64decode(begun["header"]))
    saved = server.request("POST", "/api/v1/maintenance:backup", {"passphrase": canaries.text()})
    assert saved.status == 200
    look("a backup", saved.body + str(saved.headers).encode())
    # What is refused repeats nothing of what was given.
    for method, path, body in (
        ("PUT", "/api/v1/secrets/kept", {"value": [value]}),
        ("PUT", "/api/v1/secrets/kept", {"value": value, "ttl": value}),
        ("PUT", "/api/v1/secrets/kept", {value: "x"}),
        ("PUT", "/api/v1/secrets/kept", f'{{"value": "{value}", '.encode()),
        ("PUT", "/api/v1/secrets/kept", f'"{value}"'.encode()),
        ("POST", "/api/v1/keys/box:encrypt", {"plaintext": plain}),
        ("POST", "/api/v1/keys/box:decrypt", {"ciphertext": encoded}),
        ("POST", "/api/v1/data:decrypt-envelope", {"envelope": {"v": 1, "ciphertext": value}}),
        ("POST", "/api/v1/data:open-chunk", {"header": begun["key"], "chunk": encoded, "index": 0, "last": True}),
        ("POST", "/api/v1/data:open-chunk", {"header": begun["header"], "chunk": encoded, "index": 0, "last": True}),
        ("POST", "/api/v1/maintenance:backup", {"passphrase": value, "shreddable": value}),
        ("POST", "/api/v1/login/password", {"name": "ada", "password": password + "x"}),
        ("POST", "/api/v1/login/password", {"name": password, "password": "x"}),
        ("POST", "/api/v1/users", {"name": "bob", "password": [password]}),
        ("POST", "/api/v1/policies:test", {"policy": value, "action": value, "resource": value}),
        ("GET", f"/api/v1/{value}", None),
    ):
        answer = server.request(method, path, body)
        assert answer.status >= 400, path
        look(f"the answer to {method} {path[:30]}", answer.body + str(answer.headers).encode())
    look("a wrong token's answer", server.request("GET", "/api/v1/whoami", token=server.token[:-1]).body)
    look("metrics", server.request("GET", "/metrics", token=None).body)
    look("health", server.request("GET", "/health/ready", token=None).body)
    for worker in server.workers():
        look("the command line", Path(f"/proc/{worker}/cmdline").read_bytes())
    assert server.process is not None
    server.process.terminate()
    assert server.process.stderr is not None
    look("the log", server.said + server.process.stderr.read())
    server.process.wait(30)
    for where, content in told_by_files(server.folder, set()):
        look(where, content)
    assert not found, "\n".join(dict.fromkeys(found))

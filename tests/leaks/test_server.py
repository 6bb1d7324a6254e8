"""No eight bytes of any secret get out of a server: not by its log, an error, a metric, a file or its command line.

Into its log nothing gets at all of what a client gave: no name, no header, no query.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.leaks.looking import Canaries, told_by_files
from tests.server.conftest import Server, prepared


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    running = prepared(tmp_path, "--workers", "2", "--log-level", "debug", LOG_LEVEL="DEBUG").start()
    yield running
    if running.process is not None and running.process.poll() is None:
        running.stop()


def test_t49_and_t51_and_t55_nothing_of_a_secret_gets_out_of_a_server(server: Server) -> None:
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
    said = server.stop_and_read()
    assert said.count('"event":"request_refused"') >= 12
    assert said.count('"event":"audit"') >= 12
    look("the log", said)
    for where, content in told_by_files(server.folder, set()):
        look(where, content)
    assert not found, "\n".join(dict.fromkeys(found))


@pytest.mark.parametrize("form", ["json", "text"])
def test_nothing_that_a_client_gives_gets_into_the_log_names_included(tmp_path: Path, form: str) -> None:
    server = prepared(tmp_path, "--log-level", "debug", "--log-format", form).start()
    canaries = Canaries()
    name, key, tag, query, header, cookie, host = (canaries.text() for _ in range(7))
    canaries.remember(server.token)
    given = {"Idempotency-Key": header, "Cookie": f"a={cookie}", "User-Agent": header, "If-Match": header, "Host": host}
    for method, path, body in (
        ("PUT", f"/api/v1/secrets/{name}", {"value": "x", "tags": {tag: tag}}),
        ("GET", f"/api/v1/secrets/{name}", None),
        ("GET", f"/api/v1/secrets/{name}", None),
        ("GET", f"/api/v1/secrets?prefix={query}", None),
        ("GET", f"/api/v1/secrets?{query}=1", None),
        ("GET", f"/api/v1/secrets/{query}", None),
        ("GET", f"/api/v1/secrets/a:{query}", None),
        ("GET", f"/api/v1/login/{query}", None),
        ("POST", f"/api/v1/login/{query}", {query: tag}),
        ("GET", f"/{query}", None),
        ("GET", f"/metrics?{query}", None),
        ("GET", f"/api/v1/changes?after={query}", None),
        ("DELETE", f"/health/live/{query}", None),
        ("POST", "/api/v1/keys", {"name": key}),
        ("POST", f"/api/v1/keys/{key}:encrypt", {"plaintext": "AAAA", "context": {tag: tag}}),
        ("POST", f"/api/v1/keys/{key}:encrypt", {"plaintext": "AAAA", "context": {tag: tag}}),
        ("POST", f"/api/v1/keys/{key}:{query}", {"plaintext": tag}),
    ):
        for token, headers in (("", {}), (None, {}), (f"{server.token}x", given)):
            server.request(method, path, body, token=token, headers=headers)
    # What does not open is an event of the level of a warning, which names the key.
    sealed = server.request("POST", f"/api/v1/keys/{key}:encrypt", {"plaintext": "AAAA"}).json["ciphertext"]
    opened = server.request("POST", f"/api/v1/keys/{key}:decrypt", {"ciphertext": sealed, "context": {tag: tag}})
    assert opened.json["code"] == "KS2002"
    server.raw(f"{query[:6]} /{query} HTTP/1.1\r\n{header}: {header}\r\n\r\n".encode())
    server.raw(f"GET /{query} HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\n\r\n".encode())
    said = server.stop_and_read()
    assert said.count("request_refused") > 30
    assert said.count("/api/v1/secrets/{name}") > 5
    assert not canaries.in_(said)

"""Attacks on what a server keeps between requests and beside its store, each by its number in docs/attacks.md."""

from __future__ import annotations

import os
import re
import socket
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.server.conftest import Server, prepared
from tests.server.test_workers import Kept, many

import keystead
from keystead.errors import SecretNotFound, ServerUnavailable


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two workers, made and started under a mask that takes no right away."""
    before = os.umask(0)
    try:
        running = prepared(tmp_path_factory.mktemp("process"), "--workers", "2").start()
    finally:
        os.umask(before)
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def tokens(server: Server) -> dict[str, str]:
    """Two access tokens that may each read one secret of their own, and use one key."""
    made = {}
    for name in ("ada", "bob"):
        document = {"version": 1, "statements": [
            {"id": "a", "effect": "allow", "actions": ["secret:read"], "resources": [f"secret/of/{name}"]},
            {"id": "k", "effect": "allow", "actions": ["key:*"], "resources": [f"key/of/{name}"]},
            {"id": "t", "effect": "allow", "actions": ["token:create"], "resources": ["token/*"]},
        ]}  # fmt: skip
        server.request("PUT", f"/api/v1/policies/{name}", {"document": document})
        server.request("PUT", f"/api/v1/secrets/of/{name}", {"value": f"value of {name}"})
        server.request("POST", "/api/v1/keys", {"name": f"of/{name}"})
        role = server.request("POST", "/api/v1/roles", {"name": name, "policies": [name]}).json["role_id"]
        secret = server.request("POST", f"/api/v1/roles/{name}:create-secret-id", {}).json["secret_id"]
        made[name] = server.log_in("role", {"role_id": role, "secret_id": secret}).json["token"]
    return made


def asking(path: str, token: str | None, request_id: str) -> bytes:
    shown = f"Authorization: Bearer {token}\r\n" if token else ""
    return f"GET {path} HTTP/1.1\r\nHost: h\r\nX-Request-Id: {request_id}\r\n{shown}\r\n".encode()


def test_t42_and_t45_callers_who_share_a_connection_share_nothing_else(server: Server, tokens: dict[str, str]) -> None:
    """What is kept for one on a connection, a hot answer and who it was, serves nobody else behind it."""
    ada, bob = tokens["ada"], tokens["bob"]
    turns = [(ada, b"200"), (bob, b"404"), (None, b"401"), (ada, b"200"), (ada, b"200"), (ada[:-1] + "!", b"401"),
             (bob, b"404"), (ada, b"200"), (None, b"401")] * 3  # fmt: skip
    for at_once in (True, False):
        with socket.create_connection(server.address, timeout=10) as sock:
            answers = b""
            for number, (token, _) in enumerate(turns):
                sock.sendall(asking("/api/v1/secrets/of/ada", token, f"turn-{number}"))
                while not at_once and len(heads(answers)) <= number:
                    answers += sock.recv(65536)
            while len(heads(answers)) < len(turns):
                answers += sock.recv(65536)
        assert heads(answers) == [(status, b"turn-%d" % number) for number, (_, status) in enumerate(turns)]
        assert answers.count(b"value of ada") == sum(status == b"200" for _, status in turns)


def heads(answers: bytes) -> list[tuple[bytes, bytes]]:
    """The status and the id of each answer that came."""
    return re.findall(rb"HTTP/1\.1 (\d+) [^\r]*\r\n(?:[^\r]+\r\n)*?x-request-id: (\S+)\r\n", answers)


def test_t45_many_callers_at_once_each_get_their_own(server: Server, tokens: dict[str, str]) -> None:
    def work(name: str) -> list[str]:
        kept, other = Kept(server), "bob" if name == "ada" else "ada"
        found = []
        for _ in range(15):
            status, told = kept.ask("GET", f"/api/v1/secrets/of/{name}", token=tokens[name])
            if (status, told["value"]) != (200, f"value of {name}"):
                found.append(f"{name}: {status}")
            if kept.ask("GET", f"/api/v1/secrets/of/{other}", token=tokens[name])[0] != 404:
                found.append(f"{name} of {other}")
            if kept.ask("GET", "/api/v1/whoami", token=tokens[name])[1]["principal"] != f"role:{name}":
                found.append(f"{name} as another")
        return found

    with ThreadPoolExecutor(8) as pool:
        found = [each for said in pool.map(work, ["ada", "bob"] * 4) for each in said]
    assert found == []


def test_t42_a_ciphertext_and_an_idempotency_key_are_their_callers_own(server: Server, tokens: dict[str, str]) -> None:
    sealed = server.request(
        "POST", "/api/v1/keys/of/ada:encrypt", {"plaintext": "AAAA", "context": {"a": "b|c"}}, token=tokens["ada"]
    ).json["ciphertext"]
    for context in ({"a|b": "c"}, {"a": "b", "c": ""}, {"a": "b|c", "": ""}, "a=b|c", {}):
        wrong = {"ciphertext": sealed, "context": context}
        assert server.request("POST", "/api/v1/keys/of/ada:decrypt", wrong, token=tokens["ada"]).status in (400, 422)
    right = {"ciphertext": sealed, "context": {"a": "b|c"}}
    for _ in range(3):
        assert server.request("POST", "/api/v1/keys/of/ada:decrypt", right, token=tokens["ada"]).status == 200
        assert server.request("POST", "/api/v1/keys/of/ada:decrypt", right, token=tokens["bob"]).status == 404
    key = {"Idempotency-Key": "the-same"}
    first = server.request("POST", "/api/v1/tokens", {}, token=tokens["ada"], headers=key)
    second = server.request("POST", "/api/v1/tokens", {}, token=tokens["bob"], headers=key)
    assert (first.status, second.status) == (201, 201)
    assert "idempotent-replayed" not in second.headers
    assert first.json["token"] != second.json["token"]


def test_t43_what_was_not_there_is_seen_by_every_worker_once_it_is(server: Server) -> None:
    connections = many(server, 4)
    for number in range(10):
        path = f"/api/v1/secrets/later/{number}"
        assert {each.ask("GET", path)[0] for each in connections} == {404}
        assert connections[number % 4].ask("PUT", path, {"value": "x"})[0] == 200
        assert {each.ask("GET", path)[0] for each in connections} == {200}
        assert connections[number % 4].ask("DELETE", path)[0] == 204
        assert {each.ask("GET", path)[0] for each in connections} == {410}


def test_t52_no_process_of_a_server_leaves_a_core(server: Server) -> None:
    assert server.process is not None
    for process in (server.process.pid, *server.workers()):
        limits = Path(f"/proc/{process}/limits").read_text()
        assert re.search(r"Max core file size +0 +0 ", limits), process


def test_t54_files_are_their_owners_whatever_the_mask(server: Server) -> None:
    found = {path: path.stat().st_mode & 0o777 for path in server.folder.rglob("*")}
    assert any(path.name.endswith("-wal") for path in found)
    open_to_others = {
        path.name: oct(mode) for path, mode in found.items() if mode & 0o077 and path.name != ".gitignore"
    }
    assert open_to_others == {}


def test_t51_no_credential_stands_on_a_command_line(server: Server) -> None:
    assert server.process is not None
    for process in (server.process.pid, *server.workers()):
        line = Path(f"/proc/{process}/cmdline").read_bytes()
        assert server.token.encode() not in line
        assert server.master_key.encode() not in line


def test_t56_a_client_that_cannot_reach_the_server_tells_nothing_of_its_token(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither its errors nor what the libraries below it log at DEBUG hold what it sends."""
    caplog.set_level("DEBUG")
    with server.connect() as store:
        store.kms.whoami()
        with pytest.raises(SecretNotFound) as absent:
            store.kms.get_secret("absent")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(ServerUnavailable) as away:
        keystead.connect(f"http://127.0.0.1:{port}", token=server.token)
    for error in (absent, away):
        assert server.token not in "".join(traceback.format_exception(error.value))
    assert server.token not in caplog.text

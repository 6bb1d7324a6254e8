"""What a server must withstand on the wire, each by its number in the list of attacks: raw bytes over real sockets."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import socket
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.server.conftest import Server, read_reply

VECTORS = Path(__file__).parents[1] / "vectors" / "data" / "keystead_own"
TARGETS = json.loads((VECTORS / "path_targets.json").read_text("utf-8"))["targets"]
READER = {
    "version": 1,
    "statements": [{"id": "a", "effect": "allow", "actions": ["secret:read"], "resources": ["secret/a"]}],
}


@pytest.fixture(scope="module")
def reader(server: Server) -> str:
    """An access token that may read the secret `a`, and nothing else."""
    with server.connect() as connection:
        kms = connection.kms
        kms.policies.write("wire-reader", READER)
        kms.store_secrets({"a": "readable", "admin": "FORBIDDEN", "a/b": "FORBIDDEN", "b": "FORBIDDEN", "a+b": "x"})
        role = kms.identities.create_role("wire-reader", policies=["wire-reader"])
        secret_id = kms.identities.create_secret_id("wire-reader")
        return connection.login("role", role_id=role.role_id, secret_id=secret_id.reveal()).reveal()


def head(method: str, target: str, token: str | None, *more: str) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", *more]
    if token is not None:
        lines.append(f"Authorization: Bearer {token}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8")


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_t58_a_target_reaches_only_what_its_one_reading_names(
    server: Server, reader: str, target: str, method: str
) -> None:
    target = target.replace("/v1/", "/api/v1/", 1)
    for token in (reader, None):
        answers = server.raw(head(method, target, token, "Content-Length: 0", "Connection: close"))
        statuses = [int(found) for found in re.findall(rb"HTTP/1\.1 (\d+)", answers)]
        assert statuses, "no answer"
        assert b"FORBIDDEN" not in answers
        if statuses[0] == 200:
            assert (method, token, read_reply(answers).json["name"]) == ("GET", reader, "a")
        else:
            assert statuses[0] in (400, 401, 403, 404, 405)


def test_t58_names_with_escapes_are_the_same_names(server: Server) -> None:
    assert server.request("GET", "/api/v1/secrets/a%2Bb").json["name"] == "a+b"
    assert server.request("GET", "/api/v1/secrets/a+b").json["name"] == "a+b"
    for target in ("a%2Fb", "a%2fb", "%61%00", "a%5cb", "a%252Fb", "a%25", "%2e%2e/x", "a/./b", "a//b", "a/"):
        assert server.request("GET", f"/api/v1/secrets/{target}").status == 400, target


@pytest.mark.parametrize("name", ["a b", "..", "a/../b", "ａ", "a\u0301", "a\\b", "a;b", "a\0", "", "x" * 513])
def test_t59_a_name_that_is_none_is_refused_at_creation(server: Server, name: str) -> None:
    assert server.request("POST", "/api/v1/secrets:write", {"values": {name: "x"}}).status == 400


def test_t59_case_is_kept_and_decides(server: Server, reader: str) -> None:
    assert server.request("GET", "/api/v1/secrets/A", token=reader).status == 404
    assert server.request("GET", "/API/v1/secrets/a", token=reader).status in (400, 404)


SMUGGLED = "GET /api/v1/secrets/admin HTTP/1.1\r\nHost: localhost\r\n\r\n"
# fmt: off
# ruff: noqa: E501
AMBIGUOUS = {
    "both lengths": "POST /api/v1/random HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding twice": "POST /api/v1/random HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "coding xchunked": "POST /api/v1/random HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "coding list": "POST /api/v1/random HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "bare line feeds": "POST /api/v1/random HTTP/1.1\nHost: h\nContent-Length: 0\n\n",
    "folded header": "GET /api/v1/whoami HTTP/1.1\r\nHost: h\r\nX-A: b\r\n c: d\r\n\r\n",
    "two lengths": "POST /api/v1/random HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
    "two equal lengths": "POST /api/v1/random HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "length list": "POST /api/v1/random HTTP/1.1\r\nHost: h\r\nContent-Length: 2, 2\r\n\r\n{}",
    "signed length": "POST /api/v1/random HTTP/1.1\r\nHost: h\r\nContent-Length: +2\r\n\r\n{}",
    "hex length": "POST /api/v1/random HTTP/1.1\r\nHost: h\r\nContent-Length: 0x2\r\n\r\n{}",
    "space before colon": "POST /api/v1/random HTTP/1.1\r\nHost: h\r\nContent-Length : 2\r\n\r\n{}",
    "no host": "GET /api/v1/whoami HTTP/1.1\r\n\r\n",
    "two hosts": "GET /api/v1/whoami HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "two tokens": "GET /api/v1/whoami HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer x\r\nAuthorization: Bearer y\r\n\r\n",
    "chunk size no number": "POST /api/v1/random HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "chunk extension with line feed": "POST /api/v1/random HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2;a\nb\r\n{}\r\n0\r\n\r\n",
    "nul in header": "GET /api/v1/whoami HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n",
    "cr in header": "GET /api/v1/whoami HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n",
    "another version": "GET /api/v1/whoami HTTP/3.0\r\nHost: h\r\n\r\n",
    "no version": "GET /api/v1/whoami\r\n\r\n",
    "method of another protocol": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "connect": "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "upgrade": "GET /health/live HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n",
    "coding in http 1.0": "POST /api/v1/random HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "tls": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}
# fmt: on


@pytest.mark.parametrize("what", AMBIGUOUS)
def test_t60_a_request_with_two_readings_is_the_last_of_its_connection(server: Server, what: str) -> None:
    with socket.create_connection(server.address, timeout=10) as sock:
        sock.sendall(AMBIGUOUS[what].encode("latin-1"))
        # A second request that stands behind it must never be answered.
        time.sleep(0.05)
        try:
            sock.sendall(SMUGGLED.encode())
            answers = b""
            while part := sock.recv(65536):
                answers += part
        except (ConnectionError, TimeoutError) as error:
            assert not isinstance(error, TimeoutError), "the connection was left open"
            return
    assert answers.count(b"HTTP/1.1 ") == 1
    expected = b"HTTP/1.1 200" if what == "upgrade" else b"HTTP/1.1 400"
    assert answers.startswith(expected)


def test_t60_requests_one_behind_the_other_are_answered_in_their_order(server: Server) -> None:
    wanted = ["/health/live", "/api/v1/nothing", "/api/v1/whoami", "/health/ready", "/api/v1/secrets?limit=0"]
    with socket.create_connection(server.address, timeout=10) as sock:
        for path in wanted:
            sock.sendall(head("GET", path, server.token, f"X-Request-Id: {wanted.index(path)}"))
            time.sleep(0.1)
        answers = b""
        while answers.count(b"HTTP/1.1 ") < len(wanted):
            answers += sock.recv(65536)
    assert [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+)", answers)] == [200, 404, 200, 200, 400]


def test_t60_many_at_once_in_one_packet_keep_their_order(server: Server) -> None:
    with server.connect() as connection:
        connection.kms.store_secret("piped", "x")
    ids = [f"id-{number}" for number in range(12)]
    with socket.create_connection(server.address, timeout=10) as sock:
        sock.sendall(
            b"".join(head("GET", "/api/v1/secrets/piped", server.token, f"X-Request-Id: {each}") for each in ids)
        )
        answers = b""
        while answers.count(b'"value"') < len(ids):
            answers += sock.recv(65536)
    assert [found.decode() for found in re.findall(rb"x-request-id: (\S+)", answers)] == ids


def test_t60_an_answer_that_takes_longer_than_the_idle_time_is_not_cut_off_behind_another(own_server: Any) -> None:
    server = own_server(KEYSTEAD_SERVER_IDLE_TIMEOUT="1s")
    body = b'{"value": "x"}'
    json_body = ("Content-Type: application/json", f"Content-Length: {len(body)}", "Connection: close")
    both = head("GET", "/health/live", None) + head("PUT", "/api/v1/secrets/a", server.token, *json_body) + body
    with closing(sqlite3.connect(server.folder / "keystead.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with socket.create_connection(server.address, timeout=20) as sock:
            sock.sendall(both)
            time.sleep(3)
            other.execute("ROLLBACK")
            answers = b"".join(iter(lambda: sock.recv(65536), b""))
    assert re.findall(rb"HTTP/1\.1 (\d+)", answers) == [b"200", b"200"]


def test_t61_a_body_that_is_too_large_is_refused_by_its_header(server: Server) -> None:
    for length in (10 * 2**30, 4 * 2**20 + 1):
        answer = read_reply(server.raw(head("POST", "/api/v1/random", None, f"Content-Length: {length}")))
        assert (answer.status, answer.json["code"]) == (413, "KS1607")


def test_t61_a_body_without_end_is_refused_at_the_limit_and_fills_no_memory(server: Server) -> None:
    worker = server.workers()[0]

    def resident() -> int:
        return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{worker}/status").read_text())[1])  # type: ignore[index]

    before = resident()
    chunk = b"10000\r\n" + b" " * 65536 + b"\r\n"
    sent = 0
    with socket.create_connection(server.address, timeout=10) as sock:
        sock.sendall(head("POST", "/api/v1/random", None, "Transfer-Encoding: chunked"))
        try:
            while sent < 200 * len(chunk):
                sock.sendall(chunk)
                sent += len(chunk)
            answer = sock.recv(65536)
        except ConnectionError:
            answer = b"HTTP/1.1 413"
    assert answer.startswith(b"HTTP/1.1 413")
    assert resident() - before < 16 * 1024


def test_t61_a_compressed_body_is_not_unpacked(server: Server) -> None:
    bomb = gzip.compress(b"0" * 10_000_000)
    answer = server.request("POST", "/api/v1/random", bomb, headers={"Content-Encoding": "gzip"})
    assert answer.status == 400


@pytest.mark.parametrize(
    "bomb", [b"[" * 100_000, b'{"a":' * 50_000, b"9" * 100_000, b'{"a":' + b"9" * 5000 + b"}", b'{"' + b"a" * 2_000_000]
)
def test_t61_json_that_is_a_bomb_is_refused_and_the_server_goes_on(server: Server, bomb: bytes) -> None:
    assert server.request("POST", "/api/v1/random", bomb).status == 400
    assert server.request("GET", "/health/live", token=None).status == 200


def test_t61_headers_that_are_too_many_are_refused(server: Server) -> None:
    for more in (["X-A: " + "b" * 20_000], [f"X-{number}: {'b' * 100}" for number in range(500)]):
        answer = read_reply(server.raw(head("GET", "/api/v1/whoami", server.token, *more)))
        assert (answer.status, answer.json["code"]) == (431, "KS1610")
    assert read_reply(server.raw(head("GET", "/" + "a" * 20_000, None))).status in (400, 431)


def test_t62_slow_clients_are_shown_out_and_keep_nobody_waiting(own_server: Any) -> None:
    server = own_server(
        KEYSTEAD_SERVER_HEADER_TIMEOUT="3s", KEYSTEAD_SERVER_BODY_TIMEOUT="3s", KEYSTEAD_SERVER_IDLE_TIMEOUT="3s"
    )
    idle = [socket.create_connection(server.address, timeout=10) for _ in range(200)]
    slow = [socket.create_connection(server.address, timeout=10) for _ in range(50)]
    for sock in slow:
        sock.sendall(b"GET /api/v1/whoami HTTP/1.1\r\nHost: localhost\r\nX-")
    body = socket.create_connection(server.address, timeout=10)
    body.sendall(head("POST", "/api/v1/random", server.token, "Content-Length: 10", "Content-Type: application/json"))
    spent = []
    for _ in range(50):
        began = time.monotonic()
        assert server.request("GET", "/api/v1/whoami").status == 200
        spent.append(time.monotonic() - began)
    assert sorted(spent)[48] < 5
    assert body.recv(65536).startswith(b"HTTP/1.1 408")
    for sock in (*slow, *idle):
        answer = sock.recv(65536)
        assert answer.startswith(b"HTTP/1.1 408") or not answer
        sock.close()


def takes_another(server: Server) -> bool:
    try:
        return server.raw(head("GET", "/health/live", None, "Connection: close")).startswith(b"HTTP/1.1 200")
    except ConnectionError:
        return False


def test_t62_more_connections_than_are_taken_are_told_so(own_server: Any) -> None:
    server = own_server(KEYSTEAD_SERVER_MAX_CONNECTIONS="5")
    kept = [socket.create_connection(server.address, timeout=10) for _ in range(5)]
    time.sleep(0.2)
    with socket.create_connection(server.address, timeout=10) as sock:
        assert sock.recv(65536).startswith(b"HTTP/1.1 503")
    for each in kept:
        each.close()
    end = time.monotonic() + 30
    while not takes_another(server):
        assert time.monotonic() < end, "those that were closed are still counted"
        time.sleep(0.05)


@pytest.mark.parametrize("kind", ["-H", "-B", "-X"])
def test_t62_slowhttptest_does_not_keep_others_out(own_server: Any, kind: str, tmp_path: Path) -> None:
    if shutil.which("slowhttptest") is None:
        pytest.skip("slowhttptest is not installed")
    server = own_server(KEYSTEAD_SERVER_HEADER_TIMEOUT="2s", KEYSTEAD_SERVER_BODY_TIMEOUT="2s")
    attack = subprocess.Popen(
        ["slowhttptest", kind, "-c", "500", "-r", "250", "-i", "1", "-l", "5", "-u", f"{server.url}/api/v1/whoami"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path,
    )  # fmt: skip
    time.sleep(2)
    statuses = [server.request("GET", "/api/v1/whoami").status for _ in range(20)]
    attack.terminate()
    attack.wait(30)
    assert statuses == [200] * 20


def test_t63_nothing_that_is_given_becomes_a_header_or_a_line(server: Server) -> None:
    for name in ("a%0d%0aX-Evil:%20y", "a%0aX", "a%00"):
        answer = server.raw(head("GET", f"/api/v1/secrets/{name}", server.token))
        assert b"X-Evil" not in answer
        assert answer.startswith(b"HTTP/1.1 400")
    hostile = "a\r\nX-Evil: y\u202e\x1b[31m"
    answer = server.request("PUT", "/api/v1/secrets/tagged", {"value": "x", "tags": {"t": hostile}})
    assert "x-evil" not in answer.headers
    with server.connect() as connection:
        assert not connection.kms.audit.verify().problems


def test_t64_a_token_that_is_nearly_right_is_as_wrong_as_any(server: Server) -> None:
    near = server.token[:-1] + ("0" if server.token[-1] != "0" else "1")
    told = {
        json.dumps({**server.request("GET", "/api/v1/whoami", token=token).json, "request_id": ""})
        for token in (
            near,
            server.token[:-6] + "000000",
            "ks_svc_" + "a" * 50,
            server.token + "x",
            server.token.lower(),
        )
    }
    assert len(told) == 1


def test_t71_a_host_that_is_not_allowed_is_refused(own_server: Any) -> None:
    server = own_server(KEYSTEAD_SERVER_ALLOWED_HOSTS="localhost,keys.example")
    for host, status in (("localhost", 200), ("keys.example:7780", 200), ("evil.example", 421), ("", 421)):
        assert server.request("GET", "/health/live", token=None, headers={"Host": host}).status == status, host


def test_t61_a_rate_is_kept_before_anything_is_parsed(own_server: Any) -> None:
    server = own_server(KEYSTEAD_SERVER_REQUESTS_PER_ADDRESS="1")
    statuses = [server.request("POST", "/api/v1/random", b"[" * 1000, token=None).status for _ in range(30)]
    assert statuses.count(429) >= 10
    answer = server.request("POST", "/api/v1/random", b"[", token=None)
    if answer.status == 429:
        assert int(answer.headers["retry-after"]) >= 1


def test_t61_one_principal_cannot_take_all(own_server: Any) -> None:
    server = own_server(KEYSTEAD_SERVER_REQUESTS_PER_PRINCIPAL="1")
    assert [server.request("GET", "/api/v1/whoami").status for _ in range(30)].count(429) >= 10

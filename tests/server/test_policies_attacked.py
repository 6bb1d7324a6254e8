"""Attacks on what somebody may do and on what a request says, over raw sockets, each by its number in docs/attacks.md.

The decisions are compared with a model of their own in tests/policy; here is the way from the bytes of a target to the
name that is decided on, on every route that names a secret.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from tests.server.conftest import Server, prepared, read_reply

DOCUMENT = {"version": 1, "statements": [
    {"id": "app", "effect": "allow", "actions": ["secret:*"], "resources": ["secret/app/**"]},
    {"id": "one", "effect": "allow", "actions": ["secret:*"], "resources": ["secret/team/*/name"]},
    {"id": "not", "effect": "deny", "actions": ["secret:*"], "resources": ["secret/app/private/**"]},
    {"id": "key", "effect": "allow", "actions": ["key:*"], "resources": ["key/app/*"]},
]}  # fmt: skip
READABLE = ("app/x", "app/private-not", "app/privat", "team/a/name")
HIDDEN = ("app/private/x", "app/private/y/z", "apple", "app", "application/x", "team/a/b/name", "team/name", "App/x")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = prepared(
        tmp_path_factory.mktemp("policies"), KEYSTEAD_SERVER_REQUESTS_PER_ADDRESS="0", LOG_LEVEL="WARNING"
    ).start()
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def narrow(server: Server) -> str:
    """The access token of whoever may do all below `app`, but for what is private."""
    values = {name: f"value-of-{name}" for name in READABLE} | dict.fromkeys(HIDDEN, "FORBIDDEN")
    assert server.request("POST", "/api/v1/secrets:write", {"values": values}).status == 200
    assert server.request("PUT", "/api/v1/policies/narrow", {"document": DOCUMENT}).status == 200
    role = server.request("POST", "/api/v1/roles", {"name": "narrow", "policies": ["narrow"]}).json
    secret = server.request("POST", "/api/v1/roles/narrow:create-secret-id", {}).json["secret_id"]
    token: str = server.log_in("role", {"role_id": role["role_id"], "secret_id": secret}).json["token"]
    return token


def spellings(name: str) -> list[str]:
    """Ways to write a name in a target: the first three are its own, the others are another name's or none's."""
    first, _, rest = name.partition("/")
    whole = "".join(f"%{ord(letter):02x}" if letter != "/" else letter for letter in name)
    return [
        name, whole, f"%{ord(name[0]):02X}{name[1:]}",
        f"{first}%2f{rest}", f"{first}%2F{rest}", f"{first}/./{rest}", f"{first}//{rest}", f"/{name}", f"{name}/",
        f"x/../{name}", f"app/x/../../{name}", f"{first}/%2e/{rest}", f"app/x/%2e%2e/../{name}", f"{name}%00",
        f"{name}%20",
        f"{first}\\{rest}", f"{first}%5c{rest}", f"{name};a=b", f"{name}%3Bx", f"{name}#x", f"{name}%23", f"{name}%3f",
        f"{first}%252f{rest}", f"{first}%c0%af{rest}", f"{first}/%ef%bd%81{rest}", f"{first}\u2215{rest}", f"{name}.",
        f"{name}..", f"{name}:", f"{name}::versions", f"{name}:VERSIONS", f"{name}:versions/x", f"{name}%3aversions",
        name.upper(), name.swapcase(), f" {name}", f"{name}\t", f"{first}/\u200b{rest}", f"{first}\u0301/{rest}",
        f"@{name}", f"*{name[1:]}", "*", "**", "app/*", "+", "app/private/*", "app/private/+", "app/**",
    ]  # fmt: skip


def asked(server: Server, token: str, method: str, target: str, body: bytes = b"") -> bytes:
    head = [f"{method} {target} HTTP/1.1", "Host: h", "Connection: close", f"Authorization: Bearer {token}"]
    if body:
        head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return server.raw("\r\n".join([*head, "", ""]).encode("utf-8") + body)


@pytest.mark.parametrize("name", HIDDEN)
def test_t74_what_a_policy_hides_is_reached_by_no_spelling_and_no_route(server: Server, narrow: str, name: str) -> None:
    for spelled in spellings(name):
        for method, verb in (("GET", ""), ("GET", ":versions"), ("DELETE", ""), ("POST", ":destroy")):
            answer = asked(
                server, narrow, method, f"/api/v1/secrets/{spelled}{verb}", b"{}" if method == "POST" else b""
            )
            assert b"FORBIDDEN" not in answer
            assert re.match(rb"HTTP/1.1 (400|403|404|405) ", answer), (method, spelled, verb, answer)
        answer = asked(server, narrow, "PUT", f"/api/v1/secrets/{spelled}", b'{"value": "overwritten"}')
        assert not answer.startswith(b"HTTP/1.1 2") or read_reply(answer).json["name"] not in HIDDEN, spelled
    assert server.request("GET", f"/api/v1/secrets/{name}").json["value"] == "FORBIDDEN"


def test_t74_a_name_has_its_own_spellings_and_a_policy_meets_them_all(server: Server, narrow: str) -> None:
    for name in READABLE:
        for spelled in spellings(name)[:3]:
            answer = read_reply(asked(server, narrow, "GET", f"/api/v1/secrets/{spelled}"))
            assert (answer.status, answer.json["name"]) == (200, name), spelled


def test_t74_listings_batches_and_bodies_tell_and_give_no_more(server: Server, narrow: str) -> None:
    for query in ("", "?prefix=app", "?prefix=app/private/", "?prefix=", "?limit=1000", "?prefix=a&limit=1000"):
        answer = server.request("GET", f"/api/v1/secrets{query}", token=narrow)
        assert answer.status in (200, 403)
        assert not any(f'"{name}"'.encode() in answer.body for name in HIDDEN)
    answer = server.request("GET", "/api/v1/secrets?prefix=app/", token=narrow)
    assert [each["name"] for each in answer.json["items"]] == ["app/privat", "app/private-not", "app/x"]
    for name in HIDDEN:
        answer = server.request("POST", "/api/v1/secrets:read", {"names": ["app/x", name]}, token=narrow)
        assert b"FORBIDDEN" not in answer.body
        assert answer.status == 404
        for body in ({"values": {"app/new": "x", name: "x"}}, {"values": {name: "x", "app/new": "x"}}):
            assert server.request("POST", "/api/v1/secrets:write", body, token=narrow).status in (403, 404)
    assert server.request("GET", "/api/v1/secrets/app/new").status == 404


def test_t74_a_policy_is_named_in_one_spelling_and_none_of_them_is_root(server: Server) -> None:
    """CVE-2025-5999: a name with other case or blanks was taken for the one that may do all."""
    for name in ("root", "Root", " root", "root ", "ROOT", "administrator ", "Administrator", "administrator%00"):
        body = {"policies": [name]}
        answer = server.request("POST", "/api/v1/tokens", body)
        if answer.status == 201:
            token = answer.json["token"]
            assert server.request("GET", "/api/v1/secrets/app/x", token=token).status == 404
            assert server.request("GET", "/api/v1/policies", token=token).status in (200, 403)
            assert server.request("PUT", "/api/v1/policies/x", {"document": DOCUMENT}, token=token).status in (403, 404)
        else:
            assert answer.status in (400, 403)


def test_t74_a_child_cannot_be_given_what_its_parent_has_not(server: Server, narrow: str) -> None:
    for policies in (["administrator"], ["narrow", "administrator"], ["Narrow"]):
        assert server.request("POST", "/api/v1/tokens", {"policies": policies}, token=narrow).status in (400, 403)


HEADERS = {
    "X-HTTP-Method-Override": "DELETE", "X-HTTP-Method": "DELETE", "X-Method-Override": "DELETE",
    "X-Original-URL": "/api/v1/secrets/app/private/x", "X-Rewrite-URL": "/api/v1/secrets/app/private/x",
    "X-Forwarded-Prefix": "/api/v1/secrets/app/private", "X-Forwarded-Host": "evil.example",
    "X-Forwarded-User": "administrator", "X-Remote-User": "administrator", "Remote-User": "administrator",
    "X-Client-Cert": "administrator", "X-SSL-Client-Verify": "SUCCESS", "X-Forwarded-Client-Cert": "By=administrator",
    "Traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01", "Tracestate": "x=" + "y" * 500,
    "Baggage": "policy=administrator", "X-B3-TraceId": "../../x", "Range": "bytes=0-1", "TE": "trailers",
    "Accept": "text/html", "Accept-Encoding": "gzip", "X-Forwarded-Scheme": "https",
    "Content-Encoding": "identity", "If-None-Match": "*", "Upgrade": "websocket", "Connection": "close, Authorization",
}  # fmt: skip


@pytest.mark.parametrize("name", HEADERS)
def test_t63_no_header_moves_a_request_or_says_who_asks(server: Server, narrow: str, name: str) -> None:
    for shown, wanted in ((narrow, 200), (None, 401)):
        answer = server.request("GET", "/api/v1/secrets/app/x", token=shown, headers={name: HEADERS[name]})
        if name == "Upgrade":
            assert answer.status in (wanted, 400)
            continue
        assert answer.status == wanted
        assert HEADERS[name] not in str(answer.headers).replace("'connection': 'close'", "")
        assert "content-encoding" not in answer.headers
        if wanted == 200:
            assert (answer.json["name"], answer.headers["content-type"]) == ("app/x", "application/json")


def test_t63_trace_and_methods_that_nobody_knows_give_nothing_back(server: Server) -> None:
    for method in ("TRACE", "TRACK", "OPTIONS", "PROPFIND", "HEAD", "get", "GE T", "DEBUG", "PURGE"):
        for target in ("/api/v1/whoami", "/metrics", "/health/live", "/api/v1/changes", "*"):
            answer = server.raw(
                f"{method} {target} HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-Own: REFLECTED\r\n"
                f"Authorization: Bearer {server.token}\r\n\r\n".encode()
            )
            assert b"REFLECTED" not in answer
            assert server.token.encode() not in answer
            assert re.match(rb"HTTP/1.1 (400|405) ", answer) or method == "HEAD", (method, target, answer)


@pytest.mark.parametrize("path", ["/metrics", "/health/live", "/api/v1/changes", "/api/v1/openapi.json"])
@pytest.mark.parametrize("behind", ["/", "%2f", "//", "/.", "/..", "?x=1/"])
def test_t63_no_path_redirects_to_a_host_that_the_request_names(server: Server, path: str, behind: str) -> None:
    answer = read_reply(server.raw(
        f"GET {path}{behind} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n"
        f"Authorization: Bearer {server.token}\r\n\r\n".encode()
    ))  # fmt: skip
    assert answer.status in ((200, 400) if behind[0] == "?" else (400, 404))
    assert "location" not in answer.headers
    assert b"evil.example" not in answer.body


def test_t61_a_rate_is_kept_on_every_path_but_that_of_health(own_server: Any) -> None:
    limited = own_server(KEYSTEAD_SERVER_REQUESTS_PER_ADDRESS="1")
    for path in ("/metrics", "/api/v1/changes", "/api/v1/openapi.json", "/nothing"):
        replies = [limited.request("GET", path, token=None, source="127.0.0.5") for _ in range(25)]
        refused = [each for each in replies if each.status == 429]
        assert len(refused) >= 5, path
        assert (refused[0].json["code"], refused[0].headers["retry-after"]) == ("KS1609", "1")
    assert {limited.request("GET", "/health/live", token=None).status for _ in range(30)} == {200}


def test_t41_a_number_of_changes_is_asked_for_in_one_way(server: Server, narrow: str) -> None:
    for query, status in (("after=0&after=9", 400), ("after=-1", 400), ("after=1e3", 400), ("timeout=0", 200)):
        assert server.request("GET", f"/api/v1/changes?{query}", token=narrow).status == status
    assert server.request("GET", "/api/v1/changes", token=None).status == 401


def test_t58_targets_that_are_cut_into_pieces_are_read_as_one(server: Server, narrow: str) -> None:
    """A target that comes byte by byte is the one that comes at once: decided and acted on by the same bytes."""
    for target, wanted in (("app/x", b"200"), ("app/private/x", b"404"), ("app/./x", b"400")):
        head = f"Host: h\r\nConnection: close\r\nAuthorization: Bearer {narrow}"
        data = f"GET /api/v1/secrets/{target} HTTP/1.1\r\n{head}\r\n\r\n"
        with socket.create_connection(server.address, timeout=10) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for byte in data.encode():
                sock.sendall(bytes((byte,)))
            answer = b""
            while part := sock.recv(65536):
                answer += part
        assert answer.startswith(b"HTTP/1.1 " + wanted)
        assert b"FORBIDDEN" not in answer
        assert answer.count(b"HTTP/1.1 ") == 1
        json.loads(answer.partition(b"\r\n\r\n")[2])

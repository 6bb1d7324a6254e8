"""Attacks on the audit log through HTTP, each by its number in docs/attacks.md: a log that cannot be written, and texts
that try to be more than a text in the log, in an answer or in a header.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.server.conftest import ADMINISTRATOR, CHEAP_PASSWORDS, Server, prepared

from keystead.audit.chain import parse_line
from keystead.audit.record import Event, Record


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Its audit log lies on a disk of 900 KiB of its own, where one can be mounted."""
    made = prepared(tmp_path_factory.mktemp("audit"), LOG_LEVEL="DEBUG")
    (made.folder / "keystead.toml").write_text(CHEAP_PASSWORDS)
    folder = made.folder / "audit"
    kept = folder.rename(made.folder / "kept")
    folder.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", "size=900k,mode=0700", "tmpfs", str(folder)]
    mounted = os.geteuid() == 0 and not subprocess.run(mount, check=False, capture_output=True).returncode
    for chain in kept.iterdir():
        shutil.copytree(chain, folder / chain.name)
    shutil.rmtree(kept)
    made.variables["MOUNTED"] = "1" if mounted else ""
    running = made.start()
    listening = threading.Thread(target=running.listen, daemon=True)
    listening.start()
    try:
        yield running
    finally:
        assert running.process is not None
        running.process.terminate()
        running.process.wait(30)
        listening.join()
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="module")
def before(server: Server) -> dict[str, Any]:
    """What is there before anything goes wrong: a key and a secret that are hot, a policy, a token."""
    server.request("POST", "/api/v1/keys", {"name": "k"})
    sealed = server.request("POST", "/api/v1/keys/k:encrypt", {"plaintext": "c2VjcmV0"}).json["ciphertext"]
    assert server.request("PUT", "/api/v1/secrets/kept", {"value": "kept-value"}).status == 200
    assert server.request("PUT", "/api/v1/secrets/gone", {"value": "x"}).status == 200
    for _ in range(2):
        assert server.request("POST", "/api/v1/keys/k:decrypt", {"ciphertext": sealed}).status == 200
        assert server.request("GET", "/api/v1/secrets/kept").status == 200
    token = server.request("POST", "/api/v1/tokens", {}).json
    assert server.request("POST", "/api/v1/users", {"name": "ada", "password": "correct horse battery"}).status == 201
    return {"sealed": sealed, "token": token}


def attempts(before: dict[str, Any]) -> list[tuple[str, str, Any, bool]]:
    """Requests that give a secret or change something, and whether by the administrator's token."""
    return [
        ("GET", "/api/v1/secrets/kept", None, True), ("POST", "/api/v1/secrets:read", {"names": ["kept"]}, True),
        ("POST", "/api/v1/keys/k:decrypt", {"ciphertext": before["sealed"]}, True),
        ("POST", "/api/v1/keys/k:encrypt", {"plaintext": "AAAA"}, True),
        ("POST", "/api/v1/keys/k:generate-data-key", {}, True), ("POST", "/api/v1/random", {"length": 32}, True),
        ("POST", "/api/v1/keys/k:batch",
         {"operation": "decrypt", "items": [{"ciphertext": before["sealed"]}]}, True),
        ("POST", "/api/v1/data:encrypt", {"plaintext": "AAAA"}, True),
        ("PUT", "/api/v1/secrets/new", {"value": "x"}, True), ("PUT", "/api/v1/secrets/kept", {"value": "y"}, True),
        ("DELETE", "/api/v1/secrets/gone", None, True), ("POST", "/api/v1/keys/k:rotate", {}, True),
        ("POST", "/api/v1/keys", {"name": "new"}, True), ("POST", "/api/v1/tokens", {}, True),
        ("DELETE", f"/api/v1/tokens/{before['token']['info']['accessor']}", None, True),
        ("PUT", "/api/v1/policies/new", {"document": ADMINISTRATOR}, True),
        ("POST", "/api/v1/login/password", {"name": "ada", "password": "correct horse battery"}, False),
    ]  # fmt: skip


def expect_refused(server: Server, before: dict[str, Any]) -> None:
    """Each is refused, clearly and before it had an effect, and nothing of a secret leaves."""
    for method, path, body, known in attempts(before):
        answer = server.request(method, path, body, token="" if known else None)
        assert (answer.status, answer.headers["content-type"]) == (503, "application/problem+json"), (method, path)
        assert answer.json["code"] == "KS3201"
        assert answer.json["hint"]
        assert b"kept-value" not in answer.body
        assert b"c2VjcmV0" not in answer.body
        assert str(server.folder).encode() not in answer.body
    ready = server.request("GET", "/health/ready", token=None)
    assert (ready.status, ready.json) == (503, {"status": "unready", "problems": ["KS3201"]})
    assert server.request("GET", "/health/live", token=None).status == 200


def fill(file: Path) -> None:
    """Take what room is left on a disk."""
    descriptor = os.open(file, os.O_CREAT | os.O_WRONLY)
    try:
        while True:
            os.write(descriptor, bytes(4096))
    except OSError:
        os.close(descriptor)


def test_t66_a_full_disk_of_the_log_refuses_all_before_any_effect_and_room_ends_that(
    server: Server, before: dict[str, Any]
) -> None:
    if not server.variables["MOUNTED"]:
        pytest.skip("only root can mount a small disk")
    filler = server.folder / "audit" / "filler"
    try:
        fill(filler)
        # A page has room for some records more; the disk is too small for the log to have kept any for itself.
        sealing = [server.request("POST", "/api/v1/keys/k:encrypt", {"plaintext": "AAAA"}).status for _ in range(40)]
        assert sealing[-1] == 503
        expect_refused(server, before)
    finally:
        filler.unlink()
    assert server.request("GET", "/health/ready", token=None).status == 200
    assert server.request("GET", "/api/v1/secrets/kept").json == {
        "name": "kept", "version": 1, "value": "kept-value", "expires_in_ms": None,
    }  # fmt: skip
    assert server.request("GET", "/api/v1/secrets/new").status == 404
    assert server.request("GET", "/api/v1/secrets/gone").json["value"] == "x"
    assert server.request("GET", "/api/v1/keys/new").status == 404
    assert server.request("GET", "/api/v1/policies/new").status == 404
    assert server.request("POST", "/api/v1/keys/k:encrypt", {"plaintext": "AAAA"}).json["key_version"] == 1
    assert server.request("GET", "/api/v1/whoami", token=before["token"]["token"]).status == 200
    found = server.request("GET", "/api/v1/tokens?limit=1000").json["items"]
    assert {each["principal"] for each in found} == {"token:administrator"}
    assert len(found) == 2
    assert server.request("POST", "/api/v1/audit:verify", {}).json["problems"] == []


# Texts that try to be more

HOSTILE = [
    'a"}\n{"event":"INJECTED"}', "a\r\nINJECTED: y", "a\x1b[31mINJECTED\x1b[0m", "a\u202eDETCEJNI\u2066",
    "a\x00INJECTED",
    "a\u2028INJECTED\u2029", "a\x85INJECTED", "a\\u000aINJECTED", "a'; DROP TABLE secrets; --INJECTED",
    "a%0aINJECTED", "<script>INJECTED</script>", "${jndi:ldap://INJECTED}", "{0.__class__}%s%nINJECTED",
    "a\ud800INJECTED",
    "=cmd|'/c INJECTED'!A0", "a" * 3_000 + "INJECTED",
]  # fmt: skip


def everywhere(server: Server, text: str) -> None:
    """Give a text to all that takes one, and to all that takes none."""
    policy = {"version": 1, "description": text, "statements": [
        {"id": "x", "effect": "allow", "actions": ["secret:read"], "resources": [text]}
    ]}  # fmt: skip
    for method, path, body in (
        ("PUT", "/api/v1/secrets/tagged", {"value": text, "tags": {"t": text}}),
        ("PUT", "/api/v1/secrets/tagged", {"value": text, "tags": {text: "t"}}),
        ("POST", "/api/v1/secrets:write", {"values": {text: text}}),
        ("POST", "/api/v1/secrets:read", {"names": [text]}),
        ("POST", "/api/v1/keys", {"name": text, "type": text}), ("PUT", "/api/v1/aliases/al", {"key": text}),
        ("POST", "/api/v1/keys/k:encrypt", {"plaintext": "AAAA", "context": {text: text}}),
        ("POST", "/api/v1/tokens", {"meta": {"m": text}}), ("POST", "/api/v1/tokens", {"policies": [text]}),
        ("POST", "/api/v1/users", {"name": text, "password": text * 9, "policies": [text]}),
        ("POST", "/api/v1/roles", {"name": text, "role_id": text}),
        ("PUT", "/api/v1/policies/p", {"document": policy}),
        ("PUT", "/api/v1/auth-methods/m", {"kind": text, "config": {}}),
        ("POST", "/api/v1/policies:test", {"policy": "administrator", "action": text, "resource": text}),
        ("POST", "/api/v1/tokens:revoke-principal", {"principal": text}), (
            "POST", "/api/v1/login/password", {"name": text, "password": text}),
        ("POST", "/api/v1/login/role", {"role_id": text, "secret_id": text}),
        ("POST", "/api/v1/login/jwt", {"name": text, "jwt": text}), ("POST", "/api/v1/login/token", {"token": text}),
    ):  # fmt: skip
        answer = server.request(method, path, body)
        assert answer.status != 500, (path, answer.body)
        assert answer.body.isascii()
        assert b"\n" not in answer.body
        json.loads(answer.body)
    raw = re.sub(r"[\x00-\x1f\x7f]", " ", text)[:2_000].encode("utf-8", "replace").decode("latin-1")
    for name in ("X-Request-Id", "Idempotency-Key", "User-Agent", "Traceparent", "Baggage", "If-Match", "Origin"):
        answer = server.request("PUT", "/api/v1/secrets/tagged", {"value": "x"}, headers={name: raw})
        assert "INJECTED" not in str(answer.headers)
        assert answer.status in (200, 400)


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_t63_and_t75_no_text_becomes_a_line_a_field_or_a_header(
    server: Server, before: dict[str, Any], text: str
) -> None:
    assert before
    everywhere(server, text)


def test_t75_each_record_is_one_line_of_plain_characters_and_the_verifier_agrees(server: Server) -> None:
    everywhere(server, HOSTILE[0])
    events = set()
    for file in (server.folder / "audit").rglob("*.jsonl"):
        data = file.read_bytes()
        assert not re.search(rb"[^\n\x20-\x7e]", data)
        for line in data.splitlines():
            json.loads(line, object_pairs_hook=_without_twins)
            events.add(Record.parse(parse_line(line).content).event)
    assert "login_failed" in events
    assert events <= {event.value for event in Event}
    assert server.request("POST", "/api/v1/audit:verify", {}).json["problems"] == []


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len({name for name, _ in pairs}) == len(pairs)
    return dict(pairs)


def test_t75_neither_the_standard_log_nor_the_commands_print_what_a_terminal_would_obey(server: Server) -> None:
    for text in HOSTILE:
        server.log_in("password", {"name": text, "password": "x"})
        server.log_in("jwt", {"name": text, "jwt": text})
    server.await_line(b"login_failed")
    environment = {"PATH": os.environ["PATH"], "KEYSTEAD_URL": server.url, "KEYSTEAD_TOKEN": server.token}
    shown = subprocess.run(
        [sys.executable, "-m", "keystead", "audit", "tail", "--lines", "200"],
        env=environment, cwd=server.folder, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count(b"\n") >= 2 * len(HOSTILE)
    for printed in (server.said, shown.stdout):
        assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", printed)
        assert not re.search("[\x80-\x9f\u200e-\u200f\u2028-\u202e\u2066-\u2069]", printed.decode())
        assert not re.search(rb"(?m)^.?.?INJECTED", printed)


def test_t75_metrics_keep_their_form_and_have_no_label_of_a_callers_choice(server: Server) -> None:
    for text in ("a", 'a"} 1\nINJECTED 1'):
        server.request("GET", f"/api/v1/secrets/{text.encode().hex()}")
    server.raw(b"INJECTED /api/v1/whoami HTTP/1.1\r\nHost: h\r\n\r\n")
    text = server.request("GET", "/metrics", token=None).body.decode()
    line = r'(# (HELP|TYPE) keystead_\w+ .+|keystead_\w+(\{method="(\w+)",status="\d+"\})? [0-9.e+]+)'
    assert all(re.fullmatch(line, each) for each in text.splitlines())
    assert "INJECTED" not in text


def test_t66_a_log_that_somebody_removes_is_noticed_at_the_next_record(server: Server, before: dict[str, Any]) -> None:
    """Last here: until a restart nothing is done any more, since nothing would be recorded."""
    for chain in (server.folder / "audit").iterdir():
        shutil.rmtree(chain)
    expect_refused(server, before)

"""Attacks by tokens of issuers, and on where an issuer's keys come from, through HTTP, each by its number in
docs/attacks.md. The checks themselves are tried one by one in tests/methods; here is what the way over the wire adds:
one answer to all, whom a server of ours asks, and who waits meanwhile.
"""

from __future__ import annotations

import hmac
import json
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.methods.authorities import root
from tests.methods.issuing import ISSUER, jwk, private_key, token
from tests.methods.serving import LOCAL, VALID, Site, serving
from tests.server.conftest import Server, prepared, told
from tests.server.test_workers import Kept

from keystead.access.methods.key_set import MAX_BODY
from keystead.crypto.base64url import encode

SIGNED = "ES256"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two workers, which log all that they can."""
    running = prepared(tmp_path_factory.mktemp("issuers"), "--workers", "2", LOG_LEVEL="DEBUG").start()
    listening = threading.Thread(target=running.listen, daemon=True)
    listening.start()
    yield running
    assert running.process is not None
    running.process.terminate()
    assert running.process.wait(30) == 0
    listening.join()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with serving(tmp_path_factory.mktemp("site"), root("issuers", **VALID)) as running:
        yield running


def reasons(server: Server, target: str) -> list[str]:
    """Why logins at a target failed, as the log has it."""
    entries = server.request("GET", "/api/v1/audit?count=500").json["items"]
    records = [entry["record"] for entry in entries]
    return [each["detail"]["reason_class"] for each in records
            if each["event"] == "login_failed" and each["target"] == target]  # fmt: skip


def claims(**changed: object) -> dict[str, Any]:
    now = int(time.time())
    made = {"iss": ISSUER, "aud": "keystead", "sub": "ada", "exp": now + 600, "iat": now - 5, **changed}
    return {name: value for name, value in made.items() if value is not None}


def method(server: Server, name: str, **config: Any) -> None:
    """An auth method for ES256, RS256 too where its keys are in the configuration."""
    given = {"issuer": ISSUER, "audiences": ["keystead"], "algorithms": ["ES256"], "policies": ["administrator"]}
    answer = server.request("PUT", f"/api/v1/auth-methods/{name}", {"kind": "jwt", "config": given | config})
    assert answer.status == 200, answer.body


@contextmanager
def unheard() -> Iterator[int]:
    """A port of this machine that nobody may knock at."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]
        listening.settimeout(0)
        with pytest.raises(BlockingIOError):
            listening.accept()


def forged(port: int) -> dict[str, str]:
    """Tokens that must open nothing, by what is wrong with them."""
    now, good = int(time.time()), json.dumps(claims())
    head = {"alg": "ES256", "kid": "k1"}
    public = json.dumps(jwk("RS256")).encode()

    def alone(header: dict[str, Any], signature: bytes = b"") -> str:
        return f"{encode(json.dumps(header).encode())}.{encode(good.encode())}.{encode(signature)}"

    def by_secret(secret: bytes) -> str:
        text = alone({"alg": "HS256", "kid": "k2"}).rpartition(".")[0]
        return f"{text}.{encode(hmac.digest(secret, text.encode(), 'sha256'))}"

    def leading(**more: Any) -> str:
        return token(claims(), header={**head, "kid": "k9", **more}, number=7)

    url = f"https://127.0.0.1:{port}/jwks"
    return {
        "none": alone({"alg": "none"}), "None": alone({"alg": "None", "kid": "k1"}), "no signature": alone(head),
        "shared secret": by_secret(public), "empty secret": by_secret(b""),
        "shared secret in PEM": by_secret(_pem()),
        "another key": token(claims(), number=7), "jwk": leading(jwk=jwk("ES256", "k9", number=7)),
        "jku": leading(jku=url), "x5u": leading(x5u=url), "jku of http": leading(jku=url.replace("https", "http")),
        "jku beside a good kid": token(claims(), header={**head, "jku": url}, number=7),
        "kid of a file": token(claims(), header={**head, "kid": "../../../../dev/null"}),
        "kid of a query": token(claims(), header={**head, "kid": "x' UNION SELECT 'k1"}),
        "kid of an address": token(claims(), header={**head, "kid": url}),
        "crit": token(claims(), header={**head, "crit": ["exp"]}),
        "issuer": token(claims(iss=ISSUER + "/")), "issuer list": token(claims(iss=[ISSUER])),
        "audience": token(claims(aud="another")), "strange audience": token(claims(aud=["keystead", "another"])),
        "no audience": token(claims(aud=None)), "no expiry": token(claims(exp=None)),
        "expired": token(claims(exp=now - 3_600)), "not yet": token(claims(nbf=now + 3_600)),
        "claim twice": token(good[:-1] + ', "sub": "root"}'), "infinite": token(good.replace(str(now + 600), "1e999")),
        "name with a line": token(claims(sub="ada\nroot")), "no name": token(claims(sub="")),
        "long": token(claims(x="a" * 1_048_576)), "encrypted": f"{token(claims())}.AAAA.AAAA", "bomb": _bomb(),
        "a json": json.dumps({"payload": "", "signatures": []}), "nothing": "", "surrogate": "\ud800",
    }  # fmt: skip


def _pem() -> bytes:
    public: bytes = private_key("RS256").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return public


def _bomb() -> str:
    head = encode(b'{"alg":"dir","enc":"A256GCM","zip":"DEF"}')
    return f"{head}..AAAAAAAAAAAAAAAA.{encode(zlib.compress(bytes(1_000_000)))}.AAAAAAAAAAAAAAAAAAAAAA"


def test_t69_no_forged_token_opens_anything_leads_anywhere_or_is_told_from_another(server: Server) -> None:
    method(server, "static", algorithms=["ES256", "RS256"], jwks={"keys": [jwk("ES256"), jwk("RS256", "k2")]})
    assert server.log_in("jwt", {"name": "static", "jwt": token(claims())}).status == 200
    answers = set()
    with unheard() as port:
        for what, text in forged(port).items():
            answer = server.log_in("jwt", {"name": "static", "jwt": text})
            assert answer.status == 401, what
            answers.add(json.dumps(told(answer)))
        answers.add(json.dumps(told(server.log_in("jwt", {"name": "absent", "jwt": token(claims())}))))
        answers.add(json.dumps(told(server.log_in("jwt", {"name": "STATIC", "jwt": token(claims())}))))
    assert len(answers) == 1
    known = set(reasons(server, "auth-method/static"))
    assert {"algorithm", "signature", "unknown-key", "issuer", "audience", "no-expiry", "expired", "form"} <= known


def test_t69_a_token_goes_in_by_its_own_method_only(server: Server) -> None:
    shown = token(claims())
    for way, body in (
        ("token", {"token": shown}), ("password", {"name": "static", "password": shown}),
        ("role", {"role_id": "static", "secret_id": shown}),
    ):  # fmt: skip
        assert server.log_in(way, body).status == 401
    assert server.request("GET", "/api/v1/whoami", token=shown).status == 401
    assert server.log_in("certificate", {"name": "static", "jwt": shown}).status == 401


@pytest.mark.parametrize("url", [
    "https://127.0.0.1:{}/k", "https://localhost:{}/k", "https://[::1]:{}/k", "https://[::ffff:127.0.0.1]:{}/k",
    "https://169.254.169.254/latest/meta-data", "https://[fd00:ec2::254]/", "https://0.0.0.0:{}/k",
    "https://2130706433:{}/k", "https://0x7f.1:{}/k", "https://127.1:{}/k", "http://127.0.0.1:{}/k",
    "https://ada@127.0.0.1:{}/k", "file:///etc/passwd",
])  # fmt: skip
def test_t72_no_address_of_this_machine_or_of_the_clouds_own_is_asked_for_keys(server: Server, url: str) -> None:
    with unheard() as port:
        given = {"issuer": ISSUER, "audiences": ["keystead"], "algorithms": ["ES256"], "policies": ["administrator"]}
        config = {**given, "jwks_url": url.format(port)}
        answer = server.request("PUT", "/api/v1/auth-methods/inward", {"kind": "jwt", "config": config})
        assert answer.status in (200, 400)
        if answer.status == 200:
            assert server.log_in("jwt", {"name": "inward", "jwt": token(claims())}).status == 401
            assert reasons(server, "auth-method/inward")[-1] == "keys-unavailable"


def from_site(server: Server, site: Site, name: str, path: str, **more: Any) -> None:
    method(server, name, jwks_url=site.url + path, ca_pem=site.ca_pem, private_networks=list(LOCAL), **more)


def test_t72_an_issuer_that_redirects_or_sends_too_much_gives_no_keys(server: Server, site: Site) -> None:
    site.put("/good", {"keys": [jwk(SIGNED)]})
    site.put("/moved", b"", 302, Location=f"{site.url}/good")
    site.put("/huge", b'{"keys": [' + b" " * (MAX_BODY + 1) + json.dumps(jwk(SIGNED)).encode() + b"]}")
    site.put("/packed", b"x", 200, **{"Content-Encoding": "gzip"})
    site.put("/shared", {"keys": [{"kty": "oct", "kid": "k1", "alg": "HS256", "k": "AAAA"}]})
    for path in ("/moved", "/huge", "/packed", "/shared", "/none"):
        site.asked.clear()
        from_site(server, site, "bad", path)
        answer = server.log_in("jwt", {"name": "bad", "jwt": token(claims())})
        assert (answer.status, site.asked) == (401, [path])
    from_site(server, site, "good", "/good")
    assert server.log_in("jwt", {"name": "good", "jwt": token(claims())}).status == 200


def test_t72_an_issuer_that_lets_bytes_drip_keeps_nobody_waiting_and_is_asked_once(server: Server, site: Site) -> None:
    class Dripping:
        def __iter__(self) -> Iterator[bytes]:  # for each who asks
            yield b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
            while not site.closing.wait(0.1):
                yield b" "

    site.chunks["/slow"] = Dripping()  # type: ignore[assignment]
    site.asked.clear()
    from_site(server, site, "slow", "/slow", timeout="6s")
    known = [Kept(server) for _ in range(4)]
    with ThreadPoolExecutor(40) as pool:
        body = {"name": "slow", "jwt": token(claims())}
        waiting = [pool.submit(server.log_in, "jwt", body) for _ in range(40)]
        while not site.asked:
            time.sleep(0.01)
        for each in known * 2:
            assert each.ask("GET", "/api/v1/whoami")[0] == 200
        assert not any(each.done() for each in waiting)
        assert {each.result().status for each in waiting} == {401}
    assert 1 <= len(site.asked) <= 2  # by each worker once


def test_t49_nothing_of_what_was_shown_stands_in_the_log_or_beside_the_store(server: Server) -> None:
    """Last: of all credentials that this module shows, issued or guessed."""
    shown = token(claims(jti="remembered"))
    secret = server.request("POST", "/api/v1/roles", {"name": "told"}).json["role_id"]
    given = server.request("POST", "/api/v1/roles/told:create-secret-id", {}).json["secret_id"]
    issued = server.log_in("role", {"role_id": secret, "secret_id": given}).json["token"]
    server.log_in("jwt", {"name": "static", "jwt": shown})
    server.log_in("jwt", {"name": "static", "jwt": shown[:-6] + "AAAAAA"})
    server.log_in("token", {"token": issued})
    server.request("GET", "/api/v1/whoami", token=issued[:-1] + "0")
    files = b"".join(path.read_bytes() for path in Path(server.folder).rglob("*") if path.is_file())
    server.await_line(b"login_succeeded token/")
    for text in (
        shown.rpartition(".")[2][:20],
        given[7:30],
        issued[7:30],
        server.token[7:30],
    ):
        assert text.encode() not in files
        assert text.encode() not in server.said

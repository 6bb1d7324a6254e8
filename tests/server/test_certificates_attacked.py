"""Attacks by client certificates, over real TLS, each by its number in docs/attacks.md.

What is wrong in a path is refused by TLS itself or, where only our rules say so, by the login; tests/methods tries the
rules one by one.
"""

from __future__ import annotations

import base64
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.methods.authorities import CLIENT, SERVER, SPIFFE, Issued, dns, issue, root, uri
from tests.server.conftest import Reply, Server, prepared, read_reply, told

import keystead
from keystead.client.transport import Certificates

NOW = datetime.now(UTC)
DATES: dict[str, Any] = {"begin": NOW - timedelta(days=1), "end": NOW + timedelta(days=30)}
LATER: dict[str, Any] = {"begin": NOW + timedelta(days=1), "end": NOW + timedelta(days=30)}
EARLIER: dict[str, Any] = {"begin": NOW - timedelta(days=30), "end": NOW - timedelta(days=1)}


class World(NamedTuple):
    """A server over TLS with a method for certificates, its authority, and where files are put."""

    server: Server
    authority: Issued
    folder: Path
    revoked: Issued
    unheard: Issued

    def file(self, name: str, issued: Issued) -> tuple[Path, Path]:
        paths = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        paths[0].write_text(issued.pem)
        paths[1].write_text(issued.key_pem)
        paths[1].chmod(0o600)
        return paths

    def ask(
        self, method: str, path: str, body: str = "", *, token: str = "", shows: Issued | None = None, more: str = ""
    ) -> Reply | None:
        """The answer to a request over a TLS of its own; None where TLS already refuses."""
        context = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        if shows is not None:
            context.load_cert_chain(*self.file("shown", shows))
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}"
        if token:
            head += f"Authorization: Bearer {token}\r\n"
        if body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        answer = b""
        try:
            with (
                socket.create_connection(self.server.address, timeout=10) as plain,
                context.wrap_socket(plain, server_hostname="localhost") as secured,
            ):
                secured.sendall(f"{head}\r\n{body}".encode())
                while part := secured.recv(65536):
                    answer += part
        except (ssl.SSLError, ConnectionError):
            return read_reply(answer) if answer else None
        return read_reply(answer) if answer else None

    def log_in(self, shows: Issued | None, more: str = "", body: str = '{"name": "mesh"}') -> Reply | None:
        return self.ask("POST", "/api/v1/login/certificate", body, shows=shows, more=more)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("certificates")
    authority, second = root("authority", **DATES), root("second", **DATES)
    (folder / "ca.pem").write_text(authority.pem)
    # TLS takes clients of both; the login trusts those of the first, of which it has a list of who was revoked.
    (folder / "clients.pem").write_text(authority.pem + second.pem)
    revoked = authority.client(**DATES)
    crl = authority.crl(revoked, since=NOW - timedelta(days=1), until=NOW + timedelta(days=9))
    made = World(prepared(folder), authority, folder, revoked, second.client(**DATES))
    named = made.file("server", issue("localhost", authority, names=[dns("localhost")], usages=[SERVER], **DATES))
    made.server.flags += ["--tls-certificate", str(named[0]), "--tls-key", str(named[1])]
    made.server.flags += ["--tls-client-authorities", str(folder / "clients.pem")]
    method = {
        "trusted": authority.pem, "spiffe_ids": [SPIFFE], "policies": ["administrator"],
        "crls": [base64.b64encode(crl).decode()],
    }  # fmt: skip
    with keystead.connect(made.server.folder, master_key=made.server.master_key) as store:
        store.kms.identities.write_auth_method("mesh", "certificate", method)
    made.server.start()
    made.server.url = made.server.url.replace("127.0.0.1", "localhost")
    yield made
    assert made.server.stop() == 0


def expect_no_way_in(reply: Reply | None) -> None:
    assert reply is None or (reply.status, reply.json["code"]) == (401, "KS1203")


def test_t68_the_first_request_after_the_start_knows_who_was_revoked(world: World) -> None:
    """CVE-2022-41316. First here: nobody has logged in before."""
    refused = world.log_in(world.revoked)
    assert refused is not None
    assert refused.status == 401
    let_in = world.log_in(world.authority.client(**DATES))
    assert let_in is not None
    assert let_in.json["info"]["principal"] == f"certificate:mesh/{SPIFFE}"


def wrong(world: World) -> dict[str, Issued]:
    """Certificates that let nobody in, by what is wrong with them."""
    good = world.authority.client(**DATES)
    twin = root(**DATES, name="authority")
    self_made = issue("client", names=[uri(SPIFFE)], usages=[CLIENT], **DATES)
    return {
        "expired": world.authority.client(**EARLIER), "not begun": world.authority.client(**LATER),
        "another authority of the same name": twin.client(**DATES), "by itself": self_made,
        "of an authority that only TLS knows": world.unheard,
        "by another client": issue("client", good, names=[uri(SPIFFE)], usages=[CLIENT], **DATES),
        "a copy of a good one's names": issue(
            "client", self_made, names=[uri(SPIFFE)], usages=[CLIENT], serial=good.certificate.serial_number,
            issuer_name=good.certificate.issuer, **DATES,
        ),
        "for servers": world.authority.client(usages=[SERVER], **DATES),
        "for nothing named": world.authority.client(usages=None, **DATES),
        "another name": world.authority.client(uri("spiffe://example.org/ns/shop/sa/other"), **DATES),
        "two names": world.authority.client(uri(SPIFFE), uri("spiffe://example.org/ns/x/sa/y"), **DATES),
        "the authority itself": world.authority, "revoked": world.revoked,
    }  # fmt: skip


def test_t68_no_wrong_certificate_lets_anybody_in_and_all_are_told_the_same(world: World) -> None:
    answers = []
    for what, issued in wrong(world).items():
        reply = world.log_in(issued)
        assert reply is None or reply.status == 401, what
        if reply is not None:
            answers.append(told(reply))
    assert len(answers) >= 5, "TLS refused what only the rules know to be wrong"
    assert all(each == answers[0] for each in answers)


@pytest.mark.parametrize(
    "header",
    ["X-Client-Cert", "X-SSL-Client-Cert", "X-Forwarded-Client-Cert", "SSL_CLIENT_CERT", "X-ARR-ClientCert",
     "Client-Cert", "Client-Cert-Chain"],
)  # fmt: skip
def test_t68_a_certificate_is_shown_to_tls_and_said_by_no_header_or_member(world: World, header: str) -> None:
    good = world.authority.client(**DATES)
    der = base64.b64encode(good.der).decode()
    for value in (der, f":{der}:", f'Cert="{der}"'):
        expect_no_way_in(world.log_in(None, f"{header}: {value}\r\n"))
    pem = good.pem.replace("\n", "\\n")
    expect_no_way_in(world.log_in(None, body=f'{{"name": "mesh", "chain": "{pem}"}}'))
    expect_no_way_in(world.log_in(world.unheard, body=f'{{"name": "mesh", "chain": "{pem}"}}'))


def test_t65_a_token_works_and_is_renewed_with_its_own_certificate_only(world: World) -> None:
    """CVE-2026-39388: the same names, and even the same key, are another certificate."""
    mine = world.authority.client(**DATES)
    login = world.log_in(mine)
    assert login is not None
    token, accessor = login.json["token"], login.json["info"]["accessor"]
    of_my_key = issue("client", world.authority, names=[uri(SPIFFE)], usages=[CLIENT], key=mine.key, **DATES)
    for shown in (None, world.authority.client(**DATES), of_my_key):
        for method, path, body in (
            ("GET", "/api/v1/whoami", ""), ("POST", "/api/v1/tokens:renew", "{}"), ("POST", "/api/v1/tokens", "{}"),
            ("POST", "/api/v1/login/token", f'{{"token": "{token}"}}'),
        ):  # fmt: skip
            expect_no_way_in(world.ask(method, path, body, token="" if "login" in path else token, shows=shown))
    of_another = world.ask("POST", f"/api/v1/tokens/{accessor}:renew", "{}", token=world.server.token)
    assert of_another is not None
    assert of_another.status in (401, 403, 404)
    renewed = world.ask("POST", "/api/v1/tokens:renew", "{}", token=token, shows=mine)
    assert renewed is not None
    assert renewed.status == 200
    who = world.ask("GET", "/api/v1/whoami", token=token, shows=mine)
    assert who is not None
    assert who.json["principal"] == f"certificate:mesh/{SPIFFE}"


def test_t68_a_session_of_tls_that_goes_on_brings_the_certificate_that_it_began_with(world: World) -> None:
    mine = world.authority.client(**DATES)
    login = world.log_in(mine)
    assert login is not None
    context = ssl.create_default_context(cafile=str(world.folder / "ca.pem"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(*world.file("mine", mine))
    asking = f"GET /api/v1/whoami HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {login.json['token']}\r\n\r\n"
    session, reused = None, []
    for _ in range(2):
        with (
            socket.create_connection(world.server.address, timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="localhost", session=session) as secured,
        ):
            secured.sendall(asking.encode())
            assert read_reply(secured.recv(65536)).json["principal"] == f"certificate:mesh/{SPIFFE}"
            session = secured.session
            reused.append(secured.session_reused)
    assert reused == [False, True]
    expect_no_way_in(world.ask("GET", "/api/v1/whoami", token=login.json["token"]))


@pytest.mark.skipif(shutil.which("sslscan") is None, reason="sslscan is not installed")
def test_t73_sslscan_finds_what_the_documentation_says(world: World) -> None:
    where = f"127.0.0.1:{world.server.address[1]}"
    command = ["sslscan", "--no-colour", "--sni-name=localhost", "--no-groups", where]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    told = (Path(__file__).parents[2] / "docs" / "server.md").read_text("utf-8")
    protocols = dict(re.findall(r"(?m)^((?:SSL|TLS)v[0-9.]+) +(enabled|disabled)$", found))
    assert {name for name, state in protocols.items() if state == "enabled"} == {"TLSv1.2", "TLSv1.3"}
    assert len(protocols) == 6
    ciphers = re.findall(r"(?m)^(?:Preferred|Accepted) +TLSv1\.[23] +\d+ bits +(\S+)", found)
    assert len(ciphers) == 6
    assert all(f"`{cipher}`" in told for cipher in ciphers)
    assert "Session renegotiation not supported" in found
    assert "compression disabled" in found or "does not support compression" in found
    assert found.count("not vulnerable to heartbleed") == 2
    assert not re.search(r"(?m)^TLSv.* vulnerable to heartbleed", found.replace("not vulnerable", ""))
    assert "Server supports TLS Fallback SCSV" in found


def test_t73_plain_http_and_other_names_than_the_certificates_are_refused(world: World) -> None:
    assert b"HTTP/1.1 200" not in world.server.raw(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
    with pytest.raises(keystead.errors.ServerUnavailable):
        keystead.connect(
            world.server.url.replace("localhost", "127.0.0.1"), token=world.server.token,
            certificates=Certificates(authorities=world.folder / "ca.pem"),
        )  # fmt: skip

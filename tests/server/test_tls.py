"""TLS on the wire: versions, certificates that are replaced while the server runs, clients that show theirs."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from tests.methods.authorities import SERVER, SPIFFE, Issued, dns, issue, root
from tests.server.conftest import Server

import keystead
from keystead.client.transport import Certificates, Transport
from keystead.errors import AuthenticationFailed, FileUnavailable, ServerUnavailable

NOW = datetime.now(UTC)
DATES: dict[str, Any] = {"begin": NOW - timedelta(days=1), "end": NOW + timedelta(days=30)}


def server_certificate(authority: Issued) -> Issued:
    return issue("localhost", authority, names=[dns("localhost")], usages=[SERVER], **DATES)


def put(folder: Path, name: str, issued: Issued) -> tuple[Path, Path]:
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    paths[0].write_text(issued.pem)
    paths[1].write_text(issued.key_pem)
    paths[1].chmod(0o600)
    return paths


@pytest.fixture
def authority(tmp_path: Path) -> Issued:
    made = root(**DATES)
    (tmp_path / "ca.pem").write_text(made.pem)
    return made


@pytest.fixture
def server(own_server: Any, authority: Issued, tmp_path: Path) -> Server:
    certificate, key = put(tmp_path, "server", server_certificate(authority))
    found: Server = own_server(
        "--tls-certificate", str(certificate), "--tls-key", str(key),
        "--tls-client-authorities", str(tmp_path / "ca.pem"),
    )  # fmt: skip
    found.url = found.url.replace("127.0.0.1", "localhost")
    return found


def connect(server: Server, folder: Path, token: str | None = None, **files: Path) -> Any:
    certificates = Certificates(authorities=folder / "ca.pem", **files)
    return keystead.connect(server.url, token=token or server.token, certificates=certificates)


def changes(server: Server, token: str, folder: Path, *shown: Path) -> int:
    """The status of asking for the number of changes, which another part of the server answers."""
    context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    if shown:
        context.load_cert_chain(*shown)
    connection = http.client.HTTPSConnection("localhost", server.address[1], timeout=10, context=context)
    connection.request("GET", "/api/v1/changes", headers={"Authorization": f"Bearer {token}"})
    status = connection.getresponse().status
    connection.close()
    return status


def served(server: Server) -> bytes:
    """The certificate that a new connection is shown."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(server.address, timeout=10) as sock, context.wrap_socket(sock) as secured:
        found = secured.getpeercert(binary_form=True)
        assert found is not None
        return found


def test_a_client_that_knows_the_authority_is_answered_and_another_is_told(server: Server, tmp_path: Path) -> None:
    with connect(server, tmp_path) as store:
        store.kms.store_secret("over-tls", "x")
        assert store.secrets.get_secret("over-tls").reveal() == "x"
        (tmp_path / "plain").write_bytes(bytes(300_000))
        store.kms.encrypt_stream(tmp_path / "plain", tmp_path / "sealed")
        assert store.kms.decrypt_stream(tmp_path / "sealed", tmp_path / "back") == 300_000
        store.kms.store_secrets({f"s/{number}": os.urandom(65_536) for number in range(20)})
        report = store.kms.backup(tmp_path / "b", passphrase="seven herons over a quiet harbour")
        assert report.bytes == (tmp_path / "b").stat().st_size > 20 * 65_536
    with pytest.raises(ServerUnavailable, match="does not prove"):
        keystead.connect(server.url, token=server.token)
    (tmp_path / "ca.pem").write_text(root("other", **DATES).pem)
    with pytest.raises(ServerUnavailable, match="does not prove"):
        connect(server, tmp_path)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_t73_old_versions_and_plain_http_are_refused(server: Server, version: ssl.TLSVersion) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with socket.create_connection(server.address, timeout=10) as sock, pytest.raises((ssl.SSLError, OSError)):
        context.wrap_socket(sock)
    assert b"HTTP/1.1 200" not in server.raw(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")


def test_t73_what_is_offered_is_forward_secret_and_authenticated(server: Server) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ALL:@SECLEVEL=0")
    with socket.create_connection(server.address, timeout=10) as sock, context.wrap_socket(sock) as secured:
        cipher = secured.cipher()
        assert cipher is not None
        assert re.match(r"ECDHE-.*(GCM|CHACHA20)", cipher[0])
        assert secured.compression() is None
    for weak in ("AES128-SHA", "AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-SHA"):
        context.set_ciphers(f"{weak}:@SECLEVEL=0")
        with socket.create_connection(server.address, timeout=10) as sock, pytest.raises((ssl.SSLError, OSError)):
            context.wrap_socket(sock)


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_passphrase(
    own_server: Any, authority: Issued, tmp_path: Path
) -> None:
    certificate, key = put(tmp_path, "server", server_certificate(authority))
    loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    how = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"pass")
    key.write_bytes(loaded.private_bytes(*how))
    plain = own_server()
    process = subprocess.Popen(
        [sys.executable, "-m", "keystead", "serve", "--store", str(plain.folder), "--port", "0",
         "--tls-certificate", str(certificate), "--tls-key", str(key)],
        env={"PATH": os.environ["PATH"], "KMS_MASTER_KEY": plain.master_key},
        stdin=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        assert process.wait(30) == 1
        assert process.stderr is not None
        assert b"a key that is encrypted" in process.stderr.read()
    finally:
        process.kill()
        process.communicate()
    with pytest.raises(FileUnavailable, match="encrypted"):
        Transport("https://localhost", certificates=Certificates(certificate=certificate, key=key))


def test_authorities_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    missing, junk = tmp_path / "missing.pem", tmp_path / "junk.pem"
    junk.write_text("no certificate")
    for file in (missing, junk):
        with pytest.raises(FileUnavailable, match=file.name):
            Transport("https://localhost", certificates=Certificates(authorities=file))


def test_whoever_asks_for_a_reload_hears_how_it_went(server: Server, tmp_path: Path) -> None:
    assert server.process is not None
    for _ in range(2):
        server.said = b""
        server.process.send_signal(signal.SIGHUP)
        server.wait_for(re.compile(rb'"event":"certificate_reloaded"'))


def test_t73_a_new_certificate_is_served_while_the_server_runs_and_a_broken_one_is_not(
    server: Server, authority: Issued, tmp_path: Path
) -> None:
    before, renewed = served(server), server_certificate(authority)
    (tmp_path / "server.pem").write_text("no certificate")
    time.sleep(1.2)
    assert served(server) == before
    server.wait_for(re.compile(rb'"event":"certificate_not_reloaded",.*"why":"'))
    put(tmp_path, "server", renewed)
    end = time.monotonic() + 15
    while served(server) != renewed.der and time.monotonic() < end:
        time.sleep(0.1)
    assert served(server) == renewed.der
    server.wait_for(re.compile(rb'"event":"certificate_reloaded"'))
    with connect(server, tmp_path) as store:
        assert store.kms.whoami().principal == "token:administrator"


def test_t68_a_client_logs_in_by_the_certificate_that_tls_showed_and_acts_with_it_only(
    server: Server, authority: Issued, tmp_path: Path
) -> None:
    web = authority.client(**DATES)
    certificate, key = put(tmp_path, "web", web)
    with connect(server, tmp_path) as store:
        method = {"trusted": authority.pem, "spiffe_ids": [SPIFFE], "policies": ["administrator"]}
        store.kms.identities.write_auth_method("mesh", "certificate", method)
        with pytest.raises(AuthenticationFailed):
            store.login("certificate", name="mesh")
    with connect(server, tmp_path, certificate=certificate, key=key) as shown:
        token = shown.login("certificate", name="mesh").reveal()
    with connect(server, tmp_path, token, certificate=certificate, key=key) as acting:
        assert acting.kms.whoami().principal == f"certificate:mesh/{SPIFFE}"
    assert changes(server, token, tmp_path, certificate, key) == 200
    assert changes(server, token, tmp_path) == 401
    with pytest.raises(AuthenticationFailed):
        connect(server, tmp_path, token)
    other = put(tmp_path, "other", authority.client(**DATES))
    with pytest.raises(AuthenticationFailed):
        connect(server, tmp_path, token, certificate=other[0], key=other[1])
    stranger = put(tmp_path, "stranger", root("stranger", **DATES).client(**DATES))
    with pytest.raises(ServerUnavailable):
        connect(server, tmp_path, token, certificate=stranger[0], key=stranger[1])


def test_files_that_do_not_belong_together_are_told_at_the_start(
    own_server: Any, authority: Issued, tmp_path: Path
) -> None:
    certificate, _ = put(tmp_path, "one", server_certificate(authority))
    _, key = put(tmp_path, "two", server_certificate(authority))
    plain = own_server()
    import os
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "keystead", "serve", "--store", str(plain.folder), "--port", "0",
         "--tls-certificate", str(certificate), "--tls-key", str(key)],
        env={"PATH": os.environ["PATH"], "KMS_MASTER_KEY": plain.master_key},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert "cannot use the certificate" in done.stderr
    with pytest.raises(FileUnavailable):
        Transport("https://localhost", certificates=Certificates(certificate=certificate, key=key))

"""A backup that is sent: cut, damaged or refused, it leaves no file that looks whole, at neither end."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.server.conftest import Server, prepared

import keystead
from keystead.client import transport
from keystead.client.kms import RemoteKMS
from keystead.client.transport import Transport
from keystead.errors import BackupError, Denied, KeysteadError, ServerUnavailable, UsageError

PASSPHRASE = "seven herons over a quiet harbour"


@pytest.fixture(scope="module")
def whole(server: Server, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    to = tmp_path_factory.mktemp("whole") / "b"
    with server.connect() as connection:
        connection.kms.backup(to, passphrase=PASSPHRASE)
    return to.read_bytes()


@contextmanager
def answering(*answers: bytes) -> Iterator[str]:
    """A server that gives these answers to whoever asks, one each, and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            for answer in answers:
                taken, _ = listening.accept()
                with taken:
                    asked = taken.recv(65_536)
                    while not asked.endswith(b"}"):  # what is left unread would reset the connection
                        asked += taken.recv(65_536)
                    taken.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        thread.join(30)


def answer(body: bytes, *, length: int | None, report: Any = None) -> bytes:
    found = {"store_id": "00", "created_ms": 1, "secrets": 1, "versions": 1, "data_keys": 1, "bytes": len(body)}
    head = f"HTTP/1.1 200 OK\r\nkeystead-report: {json.dumps(found if report is None else report)}\r\n"
    return (head + ("" if length is None else f"content-length: {length}\r\n") + "\r\n").encode() + body


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda body: answer(body[:-1], length=len(body)), ServerUnavailable),
        (lambda body: answer(body[: len(body) // 2], length=len(body)), ServerUnavailable),
        (lambda body: answer(body, length=None), ServerUnavailable),
        (lambda body: answer(body[:-100], length=len(body) - 100), BackupError),
        (lambda body: answer(body[:-1] + bytes([body[-1] ^ 1]), length=len(body)), BackupError),
        (lambda body: answer(b"", length=0), BackupError),
        (lambda body: answer(body, length=len(body), report={"bytes": "x"}), ServerUnavailable),
        (lambda body: b"HTTP/1.1 503 x\r\ncontent-length: 2\r\n\r\n{}", KeysteadError),
        (lambda body: b"no HTTP", ServerUnavailable),
    ],
    ids=["last-byte", "half", "no-length", "short", "damaged", "empty", "no-report", "refused", "no-http"],
)
def test_what_is_not_a_whole_backup_leaves_no_file(
    whole: bytes, tmp_path: Path, make: Callable[[bytes], bytes], error: type[KeysteadError]
) -> None:
    with answering(make(whole)) as url, pytest.raises(error):
        RemoteKMS(Transport(url), "token").backup(tmp_path / "b", passphrase=PASSPHRASE)
    assert list(tmp_path.iterdir()) == []


def test_the_same_answer_whole_is_kept(whole: bytes, tmp_path: Path) -> None:
    with answering(answer(whole, length=len(whole))) as url:
        RemoteKMS(Transport(url), "token").backup(tmp_path / "b", passphrase=PASSPHRASE)
    assert (tmp_path / "b").read_bytes() == whole


def test_a_refusal_that_comes_after_others_were_busy_is_told_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_PAUSES", (0.0, 0.0, 0.0))
    busy = b"HTTP/1.1 503 x\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"
    document = json.dumps({"type": "urn:keystead:problem:KS1201", "code": "KS1201", "title": "x", "detail": "no"})
    refused = f"HTTP/1.1 403 x\r\ncontent-length: {len(document)}\r\n\r\n{document}".encode()
    with answering(busy, busy, busy, refused) as url, pytest.raises(Denied):
        RemoteKMS(Transport(url), "token").encrypt(b"x")


def test_who_may_not_is_refused_and_no_file_is_left(server: Server, tmp_path: Path) -> None:
    with server.connect() as connection:
        statement = {"id": "x", "effect": "allow", "actions": ["secret:read"], "resources": ["secret/**"]}
        connection.kms.policies.write("sending-reader", {"version": 1, "statements": [statement]})
        role = connection.kms.identities.create_role("sending-reader", policies=["sending-reader"])
        secret_id = connection.kms.identities.create_secret_id("sending-reader")
        token = connection.login("role", role_id=role.role_id, secret_id=secret_id.reveal())
        with connection.as_token(token) as reader, pytest.raises(Denied):
            reader.kms.backup(tmp_path / "b", passphrase=PASSPHRASE)
        with pytest.raises(UsageError, match="machine of the store"):
            connection.kms.restore(tmp_path / "b", passphrase=PASSPHRASE)
    assert list(tmp_path.iterdir()) == []


def descriptors(server: Server) -> list[str]:
    """What the workers have open of the store's folder that has no name."""
    found = []
    for worker in server.workers():
        for link in Path(f"/proc/{worker}/fd").iterdir():
            try:
                named = str(link.readlink())
            except OSError:
                continue
            if str(server.folder) in named and "(deleted)" in named:
                found.append(named)
    return found


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server, not started, whose backups are larger than what lies between two sockets."""
    found = prepared(tmp_path_factory.mktemp("large"))
    with keystead.connect(found.folder, master_key=found.master_key) as store:
        store.kms.store_secrets({f"s/{number}": os.urandom(65_536) for number in range(100)})
    yield found
    if found.process is not None and found.process.poll() is None:
        found.stop()


@contextmanager
def asking(server: Server, window: int) -> Iterator[socket.socket]:
    """A connection on which a backup was asked for, and its first bytes came; the others wait for who reads them."""
    body = json.dumps({"passphrase": PASSPHRASE}).encode()
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        sock.connect(server.address)
        sock.sendall(
            f"POST /api/v1/maintenance:backup HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        sock.settimeout(60)
        assert sock.recv(12) == b"HTTP/1.1 200"
        yield sock


def test_who_takes_nothing_is_cut_off_and_nothing_is_left_at_the_store(large: Server) -> None:
    large.variables["KEYSTEAD_SERVER_BODY_TIMEOUT"] = "3s"
    large.said = b""
    large.start()
    names = {path.name for path in large.folder.iterdir()}
    try:
        with asking(large, 4096):
            assert descriptors(large), "the file is being sent"
            end = time.monotonic() + 30
            while descriptors(large):
                assert time.monotonic() < end
                time.sleep(0.1)
        with large.connect() as connection:
            assert connection.kms.whoami().principal, "others are answered"
        assert {path.name for path in large.folder.iterdir()} == names
    finally:
        assert large.stop() == 0


def test_a_server_that_is_stopped_sends_what_it_began(large: Server) -> None:
    large.variables.pop("KEYSTEAD_SERVER_BODY_TIMEOUT", None)
    large.said = b""
    large.start()
    assert large.process is not None
    with asking(large, 65_536) as sock:
        assert descriptors(large), "it is being sent"
        large.process.terminate()
        time.sleep(0.3)
        parts = [sock.recv(65_536)]
        while parts[-1]:
            parts.append(sock.recv(65_536))
        head, _, body = b"".join(parts).partition(b"\r\n\r\n")
        assert f"content-length: {len(body)}".encode() in head
        assert len(body) > 100 * 65_536
    assert large.process.wait(30) == 0
    assert large.process.stderr is not None
    large.process.stderr.close()


def test_a_backup_that_is_asked_for_again_under_one_key_is_whole_again(server: Server) -> None:
    asked, key = {"passphrase": PASSPHRASE}, {"Idempotency-Key": "backup-1"}
    sent = [server.request("POST", "/api/v1/maintenance:backup", asked, headers=key) for _ in range(2)]
    assert [reply.status for reply in sent] == [200, 200]
    assert all(int(reply.headers["content-length"]) == len(reply.body) > 10_000 for reply in sent)

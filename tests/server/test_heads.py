"""A head that was read before on a connection means what it meant, whatever body is behind it, however it is cut."""

from __future__ import annotations

import json
import re
import socket
import time
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.server.conftest import Server

from keystead.server.heads import LONGEST, MOST, Head, Heads

PLAIN = {b"host": b"localhost", b"authorization": b"Bearer x"}


def head_of(length: int, target: bytes = b"/api/v1/keys/a:encrypt") -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (target, length)


def test_a_head_that_was_kept_is_found_by_all_of_its_bytes_and_gives_the_body_behind_it() -> None:
    heads = Heads()
    kept = Head("POST", b"/a", PLAIN, 3)
    assert heads.again(head_of(3) + b"abc") is None
    heads.keep(head_of(3) + b"abc", kept)
    assert heads.again(head_of(3) + b"xyz") == (kept, b"xyz")
    assert heads.again(head_of(3) + b"xy") is None
    assert heads.again(head_of(3) + b"xyzw") is None
    assert heads.again(head_of(4) + b"xyz") is None
    assert heads.again(head_of(3).lower() + b"xyz") is None


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(head_of(3) + b"ab", id="a part of the body"),
        pytest.param(b"POST /", id="a part of the head"),
        pytest.param(head_of(3) + b"abcPOST", id="more behind the body"),
        pytest.param(head_of(3).replace(b"/1.1\r\n", b"/1.1\n") + b"abc", id="a line feed alone"),
        pytest.param(head_of(3).replace(b"localhost", b"local\rhost") + b"abc", id="a carriage return alone"),
        pytest.param(head_of(3, b"/" + b"a" * LONGEST) + b"abc", id="long"),
    ],
)
def test_what_is_not_one_whole_message_with_a_plain_head_is_not_kept(data: bytes) -> None:
    heads = Heads()
    heads.keep(data, Head("POST", b"/a", PLAIN, 3))
    assert heads.again(data) is None


@pytest.mark.parametrize("name", [b"x-request-id", b"idempotency-key", b"if-match", b"expect", b"transfer-encoding"])
def test_a_head_that_says_more_than_who_asks_what_is_not_kept(name: bytes) -> None:
    heads = Heads()
    heads.keep(head_of(3) + b"abc", Head("POST", b"/a", {**PLAIN, name: b"x"}, 3))
    assert heads.again(head_of(3) + b"abc") is None


def test_a_connection_keeps_few_heads() -> None:
    heads = Heads()
    for number in range(10 * MOST):
        data = head_of(0, b"/%d" % number)
        heads.keep(data, Head("POST", b"/%d" % number, PLAIN, 0))
        assert heads.again(data) is not None
        assert len(heads._known) <= MOST


class Told(NamedTuple):
    """What an answer says that does not change from one time to the next, and whether it is the last one."""

    status: int
    kind: str
    said: Any
    closes: bool


class Connection:
    """A connection that is kept, over which bytes go as they are."""

    def __init__(self, server: Server) -> None:
        self.sock = socket.create_connection(server.address, timeout=10)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.got = b""

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, *parts: bytes) -> None:
        for part in parts:
            try:
                self.sock.sendall(part)
            except OSError:  # the server has closed: the answers say why
                return
            time.sleep(0.002)

    def answer(self) -> Told | None:
        """The next answer, or None where the server has closed."""
        while True:
            head, whole, rest = self.got.partition(b"\r\n\r\n")
            length = re.search(rb"\r\ncontent-length: (\d+)", head)
            if whole and head.startswith(b"HTTP/1.1 100"):
                self.got = rest
            elif whole and length is not None and len(rest) >= int(length[1]):
                body, self.got = rest[: int(length[1])], rest[int(length[1]) :]
                return told(head, body)
            else:
                try:
                    more = self.sock.recv(65536)
                except ConnectionResetError:
                    more = b""
                if not more:
                    assert not self.got
                    return None
                self.got += more


def told(head: bytes, body: bytes) -> Told:
    kind = re.search(rb"\r\ncontent-type: (.*)\r\n", head)
    assert kind is not None
    members = json.loads(body)
    said = members.get("code") or members.get("value") or members.get("plaintext") or sorted(members)
    return Told(int(head.split()[1]), kind[1].decode(), said, b"\r\nconnection: close" in head)


@pytest.fixture(scope="module")
def messages(server: Server) -> list[tuple[bytes, Told]]:
    """Messages whose heads are alike, each with its answer on a connection of its own."""
    with server.connect() as connection:
        kms = connection.kms
        kms.keys.create("heads")
        kms.keys.create("sdaeh")
        kms.store_secrets({"heads/a": "first", "heads/b": "other"})
    who, nobody = server.token, server.token[:-1] + ("0" if server.token[-1] != "0" else "1")

    def message(target: str, body: bytes = b"", *more: str, token: str = who, method: str = "POST") -> bytes:
        lines = [f"{method} /api/v1/{target} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {token}", *more]
        if body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return ("\r\n".join(lines) + "\r\n\r\n").encode() + body

    good, same, other = b'{"plaintext":"YWJj"}', b'{"plaintext":"YWJk"}', b'{"plaintext":"YW"}  '
    encrypt = message("keys/heads:encrypt", good)
    made = [
        encrypt,
        message("keys/heads:encrypt", same),
        message("keys/heads:encrypt", other),  # no base64
        message("keys/heads:encrypt", b'{"plainTEXT":"YWJj"}'),  # no such member
        message("keys/heads:encrypt", b'{"plaintext":"YWJj"} '),
        message("keys/sdaeh:encrypt", good),
        message("keys/nokey:encrypt", good),
        message("keys/heads:encrypt", good, token=nobody),
        message("secrets/heads/a", method="GET"),
        message("secrets/heads/b", method="GET"),
        message("secrets/heads/c", method="GET"),
        message("secrets/heads/a", method="GET", token=nobody),
        encrypt.replace(b"application/json", b"application/jsox"),
        encrypt.replace(b"Content-Type", b"X-Some-Type1"),
        message("keys/heads:encrypt", good, "Expect: 100-continue"),
        message("keys/heads:encrypt", good, "X-Request-Id: one"),
        message("keys/heads:encrypt", good, "If-Match: 1"),
        message("keys/heads:encrypt", good, "Connection: close"),
        message("keys/heads:encrypt", good, "Connection: Upgrade", "Upgrade: h2c"),
        encrypt.replace(b"HTTP/1.1", b"HTTP/1.0"),
        encrypt.replace(b"Host: localhost\r\n", b""),
        encrypt.replace(b"\r\n", b"\n"),
        encrypt.replace(b"Host: localhost\r\n", b"Host: localhost\n"),
        encrypt.replace(b"Host: localhost", b"Host: local\rhost"),
        b"\r\n" + encrypt,
        message("keys/heads:encrypt", b"", "Content-Type: application/json", "Transfer-Encoding: chunked")
        + b"14\r\n" + good + b"\r\n0\r\n\r\n",
        message("keys/heads:encrypt", good, "Content-Length: 20"),
        message("status", method="GET"),
    ]  # fmt: skip
    answered = []
    for data in made:
        with Connection(server) as alone:
            alone.send(data)
            answer = alone.answer()
            assert answer is not None
        answered.append((data, answer))
    assert {answer.status for _, answer in answered} >= {200, 400, 401, 404, 415}
    return answered


@pytest.mark.parametrize("known", [True, False], ids=["a known head", "another head"])
@pytest.mark.parametrize("last", ["changes?after={}&timeout=1", "status"])
def test_what_is_behind_the_last_message_of_a_connection_is_no_request_and_takes_no_answer_away(
    server: Server, messages: list[tuple[bytes, Told]], last: str, known: bool
) -> None:
    encrypt, answer = messages[0]
    number = server.request("GET", "/api/v1/changes").json["changes"]
    ending = f"GET /api/v1/{last.format(number)} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    ending += f"Authorization: Bearer {server.token}\r\n\r\n"
    for together in (False, True):
        with Connection(server) as kept:
            for _ in range(2):
                kept.send(encrypt)
                assert kept.answer() == answer
            behind = encrypt if known else encrypt.replace(b"localhost", b"127.0.0.1")
            kept.send(*([ending.encode() + behind] if together else [ending.encode(), behind]))
            got = kept.answer()
            assert got is not None
            assert (got.status, got.closes) == (200, True)
            assert kept.answer() is None


CUTS = st.lists(st.integers(0, 400), max_size=2)


@settings(max_examples=80, deadline=None)
@given(sent=st.lists(st.tuples(st.integers(0, 27), CUTS, st.booleans()), min_size=2, max_size=8))
def test_every_message_is_answered_as_it_is_alone_whatever_came_before_it_on_its_connection(
    server: Server, messages: list[tuple[bytes, Told]], sent: list[tuple[int, list[int], bool]]
) -> None:
    wanted: list[Told] = []
    with Connection(server) as kept:
        joined = b""
        for number, cuts, together in sent:
            data, answer = messages[number]
            wanted.append(answer)
            joined += data
            if together:
                continue
            places = sorted({0, len(joined), *(cut for cut in cuts if cut < len(joined))})
            kept.send(*(joined[start:end] for start, end in pairwise(places)))
            joined = b""
        kept.send(joined)
        for number, answer in enumerate(wanted):
            got = kept.answer()
            assert got is not None
            assert got[:3] == answer[:3]
            if got.closes:
                # One that ends the connection, and came while this one was under way, is not answered any more.
                assert any(later.closes for later in wanted[number:])
                break
            assert not answer.closes


@settings(max_examples=30, deadline=None)
@given(numbers=st.lists(st.integers(0, 8), min_size=1, max_size=6))
def test_a_message_sent_again_at_once_is_answered_as_the_first_time(
    server: Server, messages: list[tuple[bytes, Told]], numbers: list[int]
) -> None:
    with Connection(server) as kept:
        for number in numbers:
            data, answer = messages[number]
            for _ in range(3):
                kept.send(data)
                assert kept.answer() == answer

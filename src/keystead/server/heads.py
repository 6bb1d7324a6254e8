"""Heads of requests: what is wrong with one, and those of a connection that need not be read again.

A client sends one head over and over, with another body behind it: the same target, access token and length. Between
two messages the parser is where it was, and the same bytes mean the same to it; so what it made of them is kept, by all
of the bytes, for the connection that sent them and no longer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from keystead.server import answers
from keystead.server.answers import Refusal
from keystead.server.tracing import TRACEPARENT

KEPT: Final = frozenset(
    (b"authorization", b"content-type", b"content-length", b"transfer-encoding", b"if-match", b"if-none-match",
     b"idempotency-key", b"x-request-id", b"host", b"expect", TRACEPARENT)
)  # fmt: skip
"""The headers that decide."""
_METHODS: Final = {name: name.decode("ascii") for name in (b"GET", b"POST", b"PUT", b"PATCH", b"DELETE")}
_OTHER_PROTOCOLS: Final = frozenset((b"CONNECT", b"PRI"))
MOST: Final = 8
LONGEST: Final = 1_024
_END: Final = b"\r\n\r\n"
_PLAIN: Final = frozenset((b"authorization", b"content-type", b"content-length", b"host"))
"""What such a head may hold of the headers that decide. Others are other ones in each request, or ask for more."""


class Head(NamedTuple):
    """What stands in a head: `headers` are those that decide, `length` is that of the body behind it, in bytes."""

    method: str
    target: bytes
    headers: Mapping[bytes, bytes]
    length: int


class Heads:
    """The newest of one connection."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[bytes, Head] = {}

    def again(self, data: bytes) -> tuple[Head, bytes] | None:
        """The head and the body of `data`, where it is one whole message whose head was read before."""
        end = data.find(_END) + len(_END)
        head = self._known.get(data[:end])
        return None if head is None or head.length != len(data) - end else (head, data[end:])

    def keep(self, data: bytes, head: Head) -> None:
        """Keep what the parser made of `data`, where that was one whole message and its head is a plain one."""
        end = data.find(_END) + len(_END)
        known = data[:end]
        if not known.endswith(_END) or end + head.length != len(data) or end > LONGEST:
            return
        if not head.headers.keys() <= _PLAIN:
            return
        # A line that ends in another way could end the head elsewhere than here.
        if known.count(b"\n") != known.count(b"\r\n") or known.count(b"\r") != known.count(b"\r\n"):
            return
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[known] = head


def method_of(method: bytes) -> str:
    """The name of a method; "" for one of another protocol."""
    return _METHODS.get(method) or ("" if method in _OTHER_PROTOCOLS else method.decode("ascii"))


def wrong_with(version: str, headers: Mapping[bytes, bytes], most: int) -> Refusal | None:
    """What is wrong with the headers that decide, in that version of HTTP; None where nothing is. `most` is how many
    bytes a body may have."""
    known = version == "1.1" and b"host" in headers if version != "1.0" else b"transfer-encoding" not in headers
    if not known:
        return answers.MALFORMED
    length = headers.get(b"content-length")
    if length is not None:
        if not length.isdigit() or len(length) > 15 or b"transfer-encoding" in headers:
            return answers.MALFORMED
        if int(length) > most:
            return answers.TOO_LARGE
    elif headers.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
        return answers.MALFORMED
    if headers.get(b"expect", b"100-continue").lower() != b"100-continue":
        return answers.MALFORMED
    return None

"""Load over real sockets from one thread: as many requests as come back, or so many a second."""

from __future__ import annotations

import selectors
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Request = Callable[[int], bytes]
"""The request of a number: of its turn, or `by_connection` of the connection that it goes over."""
Check = Callable[[int, bytes], bool]
"""Whether this is the answer to the request of that number."""


@dataclass
class Outcome:
    """What came of a load: answers, wrong ones, seconds from first to last, and how long each took."""

    answers: int = 0
    wrong: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return self.answers / self.seconds

    def percentile(self, share: float) -> float:
        found = sorted(self.latencies)
        return found[min(len(found) - 1, int(len(found) * share))]


class _Connection:
    def __init__(self, address: tuple[str, int], context: ssl.SSLContext | None, index: int) -> None:
        self.index = index
        sock = socket.create_connection(address, timeout=30)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock: Any = sock if context is None else context.wrap_socket(sock, server_hostname="localhost")
        self.sock.setblocking(False)
        self.got = b""
        self.due = 0.0
        self.number = 0
        self.busy = False

    def read(self) -> bytes | None:
        """A whole answer, or None."""
        try:
            while True:
                part = self.sock.recv(262_144)
                assert part, "the server closed the connection"
                self.got += part
                if len(part) < 262_144 and not (isinstance(self.sock, ssl.SSLSocket) and self.sock.pending()):
                    break
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        head, found, body = self.got.partition(b"\r\n\r\n")
        if not found:
            return None
        at = head.lower().index(b"content-length: ") + 16
        length = int(head[at : head.find(b"\r", at) if head.find(b"\r", at) > 0 else len(head)])
        if len(body) < length:
            return None
        self.got = body[length:]
        return head + b"\r\n\r\n" + body[:length]


def load(
    address: tuple[str, int],
    request: Request,
    check: Check,
    *,
    seconds: float,
    connections: int = 32,
    rate: float | None = None,
    context: ssl.SSLContext | None = None,
    by_connection: bool = False,
) -> Outcome:
    """Ask for `seconds`. With `rate`, latencies are counted from when a request was due, not from when it was sent."""
    outcome = Outcome()
    selector = selectors.DefaultSelector()
    all_of_them = [_Connection(address, context, index) for index in range(connections)]
    idle = list(all_of_them)
    for connection in all_of_them:
        selector.register(connection.sock, selectors.EVENT_READ, connection)
    number, began = 0, time.perf_counter()
    end, busy = began + seconds, 0

    def send(connection: _Connection, due: float) -> None:
        nonlocal number, busy
        connection.due, connection.busy = due, True
        connection.number = connection.index if by_connection else number
        connection.sock.sendall(request(connection.number))
        number += 1
        busy += 1

    try:
        while True:
            now = time.perf_counter()
            going = now < end
            if going and rate is None:
                while idle:
                    send(idle.pop(), time.perf_counter())
            elif going and rate is not None:
                while idle and began + number / rate <= now:
                    send(idle.pop(), began + number / rate)
            if not going and not busy:
                break
            wait = 0.5 if rate is None or not going else max(0.0, began + number / rate - time.perf_counter())
            for key, _ in selector.select(min(wait, 0.5)):
                connection = key.data
                answer = connection.read()
                if answer is None:
                    continue
                outcome.answers += 1
                outcome.wrong += not (answer.startswith(b"HTTP/1.1 200") and check(connection.number, answer))
                outcome.latencies.append(time.perf_counter() - connection.due)
                connection.busy = False
                busy -= 1
                idle.append(connection)
    finally:
        outcome.seconds = time.perf_counter() - began
        for connection in all_of_them:
            connection.sock.close()
    return outcome

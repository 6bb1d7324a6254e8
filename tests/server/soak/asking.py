"""Requests over kept connections. An answer that was lost is told as lost; nothing is asked for again unseen."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import socket
import ssl
import time
from typing import Any, NamedTuple

COMES_BACK_SECONDS = 60.0
ANSWER_SECONDS = 30.0


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Reply(NamedTuple):
    """One answer, and between which moments (ms since the epoch) it was made."""

    status: int
    body: Any
    headers: dict[str, str]
    began_ms: int
    ended_ms: int

    @property
    def code(self) -> str:
        return str(self.body.get("code", "")) if isinstance(self.body, dict) else ""


class Connections:
    """A few connections of one client, one of which is taken for each request: between them they reach all workers."""

    def __init__(
        self, address: tuple[str, int], context: ssl.SSLContext, chosen: random.Random, count: int = 4
    ) -> None:
        self._address, self._context, self._chosen = address, context, chosen
        self._kept = [
            http.client.HTTPSConnection(*address, timeout=ANSWER_SECONDS, context=context) for _ in range(count)
        ]

    def ask(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Reply | None:
        """The answer; None where the connection ended before it came. To be connected is waited for."""
        kept = self._chosen.choice(self._kept)
        if kept.sock is None:
            connect(kept)
        began = now_ms()
        try:
            kept.request(method, path, None if body is None else json.dumps(body), headers)
            answer = kept.getresponse()
            data = answer.read()
        except (OSError, http.client.HTTPException):
            kept.close()
            return None
        named = {name.lower(): text for name, text in answer.getheaders()}
        is_json = "json" in named.get("content-type", "")
        told = json.loads(data) if data and is_json else data or None
        return Reply(answer.status, told, named, began, now_ms())

    def vanish(self, method: str, path: str, body: Any, headers: dict[str, str]) -> None:
        """Send a whole request and be gone before its answer."""
        with contextlib.suppress(OSError):
            data = b"" if body is None else json.dumps(body).encode()
            lines = {"Host": "localhost", "Content-Length": str(len(data)), **headers}
            head = "".join(f"{name}: {text}\r\n" for name, text in lines.items())
            with self.opened() as sock:
                sock.sendall(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + data)

    def opened(self) -> ssl.SSLSocket:
        """A socket of its own. Raises OSError."""
        plain = socket.create_connection(self._address, timeout=ANSWER_SECONDS)
        try:
            return self._context.wrap_socket(plain, server_hostname="localhost")
        except OSError:
            plain.close()
            raise

    def raw(self, data: bytes, *, seconds: float = 5) -> bytes:
        """What comes back for these bytes until the server closes or says no more."""
        parts: list[bytes] = []
        with contextlib.suppress(OSError), self.opened() as sock:
            sock.settimeout(seconds)
            sock.sendall(data)
            while part := sock.recv(65536):
                parts.append(part)
                sock.settimeout(0.3)
        return b"".join(parts)

    def close(self) -> None:
        for kept in self._kept:
            kept.close()


def connect(kept: http.client.HTTPSConnection) -> None:
    """Connect, waiting for a server that comes back.

    Raises:
        OSError: it does not.
    """
    end = time.monotonic() + COMES_BACK_SECONDS
    while True:
        try:
            kept.connect()
            return
        except OSError:
            kept.close()
            if time.monotonic() > end:
                raise
            time.sleep(0.05)

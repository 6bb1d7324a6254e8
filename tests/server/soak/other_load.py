"""Clients that race for one secret, wait for changes, send what is no HTTP, are cut off, or vanish."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from typing import Any

from tests.server.soak.world import API, Actor

import keystead

RACED = "raced/one"


class RacingActor(Actor):
    """Several of these change one secret on the condition that nobody else did; each version is one client's."""

    kind = "r"
    pause = 0.15

    def __init__(self, world: Any, number: int) -> None:
        super().__init__(world, number)
        self.won: dict[int, str] = {}

    def prepare(self) -> None:
        body = {"value": "start", "expected_version": 0}
        reply = self.once("PUT", f"/secrets/{RACED}", body, event="secret_stored")
        if self.told(reply, "the first of a race", 200, 409) and reply.code != "KS1301":
            self.won[1] = "start"

    def actions(self) -> list[tuple[int, Callable[[], None]]]:
        return [(1, self.race)]

    def race(self) -> None:
        seen = self.sure("GET", f"/secrets/{RACED}").body["version"]
        value = f"{self.name}:{self._asked}"
        reply = self.ask("PUT", f"/secrets/{RACED}", {"value": value}, event="secret_stored", If_Match=f'"{seen}"')
        if reply is None:
            found = self.sure("GET", f"/secrets/{RACED}?version={seen + 1}")
            if found.status == 200 and found.body["value"] == value:
                self.won[seen + 1] = value
        elif self.told(reply, "a race", 200, 412) and reply.status == 200:
            self.expect("version of a race", reply.body["version"], seen + 1)
            self.won[seen + 1] = value
        elif reply.status == 412 and reply.body["current"] <= seen:
            self.differ("current of a lost race", reply.body["current"], f"above {seen}")

    def compare_inside(self, store: keystead.Connection) -> None:
        for version, value in self.won.items():
            self.expect(f"winner {version}", store.kms.get_secret(RACED, version=version).reveal(), value)


def compare_race(racers: list[RacingActor], store: keystead.Connection) -> None:
    """Every version was won by exactly one."""
    won = sorted(version for racer in racers for version in racer.won)
    latest = store.kms.get_secret(RACED).version
    racers[0].expect("versions that were won", won, list(range(1, latest + 1)))


class WaitingActor(Actor):
    """Waits for changes, and makes one while it waits."""

    kind = "w"
    pause = 0.8

    def actions(self) -> list[tuple[int, Callable[[], None]]]:
        return [(4, self.wait), (1, self.health)]

    def wait(self) -> None:
        reply = self.sure("GET", "/changes")
        if not self.told(reply, "changes", 200):
            return
        number = reply.body["changes"]
        self.once("PUT", f"/secrets/{self.name}/change", {"value": str(number), "ttl": None}, event="secret_stored")
        began = time.monotonic()
        told = self.ask("GET", f"/changes?after={number}&timeout=20")
        if told is not None and self.told(told, "waiting for changes", 200):
            self.expect("whether a change is told", told.body["changes"] != number, True)
            if time.monotonic() - began > 10:
                self.differ("seconds until a change is told", time.monotonic() - began, "at once")

    def health(self) -> None:
        found = self.connections.ask("GET", "/health/ready", None, {})
        if found is not None and found.status != 200:
            self.counts[f"not ready: {found.body}"] += 1
        figures = self.connections.ask("GET", "/metrics", None, {})
        if figures is not None:
            self.told(figures, "/metrics", 200, 503)


_LONG = b"x" * 20_000
MALFORMED: tuple[tuple[bytes, frozenset[int]], ...] = tuple(
    (data, frozenset(statuses))
    for data, statuses in (
        (b"nonsense\r\n\r\n", (400,)),
        (b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n", (400, 505)),
        (b"GET /api/v1/../secrets HTTP/1.1\r\nHost: localhost\r\n\r\n", (400, 404)),
        (b"GET /api/v1/secrets//a HTTP/1.1\r\nHost: localhost\r\n\r\n", (400,)),
        (b"POST /api/v1/keys HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", (400,)),
        (
            b"POST /api/v1/keys HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            (400,),
        ),
        (b"GET /api/v1/secrets HTTP/1.1\r\nHost: localhost\r\nX-Long: " + _LONG + b"\r\n\r\n", (431,)),
        (b"POST /api/v1/keys HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n", (413,)),
        (b"GET /api/v1/secrets HTTP/1.1\r\nHost: localhost\r\nA: b\r\n c\r\n\r\n", (400,)),
        (b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", (404,)),
    )
)
BODIES = (
    b"[]",
    b"{",
    b'{"name":NaN}',
    b'{"name":"\xff"}',
    b'{"a":' * 40 + b"1" + b"}" * 40,
    b'{"name":"a","name":"b"}',
)


class HostileActor(Actor):
    """What is no request, or half of one, or one that nobody waits for."""

    kind = "h"
    pause = 0.15

    def actions(self) -> list[tuple[int, Callable[[], None]]]:
        return [
            (4, self.malformed),
            (3, self.body),
            (4, self.cut),
            (4, self.vanish),
            (2, self.vanish_writing),
            (1, self.slow),
        ]

    def _head(self, method: str, path: str, length: int) -> bytes:
        return (
            f"{method} {API}{path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {self.world.site.token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        ).encode()

    def _status(self, data: bytes) -> int | None:
        told = self.connections.raw(data)
        self.counts["requests that are none"] += 1
        status = int(told.split(b" ", 2)[1]) if told.startswith(b"HTTP/") else None
        return None if status == 503 else status  # which says that the worker is ending

    def malformed(self) -> None:
        data, statuses = self.chosen.choice(MALFORMED)
        status = self._status(data)
        if status is not None:
            self.expect(f"status of {data[:60]!r}", status in statuses or status, True)

    def body(self) -> None:
        body = self.chosen.choice(BODIES)
        status = self._status(self._head("POST", "/keys", len(body)) + body)
        if status is not None:
            self.expect(f"status of the body {body[:20]!r}", status, 400)

    def cut(self) -> None:
        """Gone in the midst of the headers, or of the body; nothing may be done of it."""
        body = json.dumps({"value": "cut off"}).encode()
        whole = self._head("PUT", f"/secrets/{self.name}/cut", len(body)) + body
        with contextlib.suppress(OSError), self.connections.opened() as sock:
            sock.sendall(whole[: self.chosen.randrange(1, len(whole))])
            if self.chosen.random() < 0.3:
                time.sleep(0.05)
        self.counts["requests cut off"] += 1
        if self.chosen.random() < 0.2:
            self.told(self.sure("GET", f"/secrets/{self.name}/cut"), "what was cut off", 404)

    def vanish(self) -> None:
        """Ask for what takes a while, and be gone."""
        method, path, body = self.chosen.choice(
            (("GET", "/changes?after=999999999&timeout=3", None), ("GET", "/secrets?limit=1000", None),
             ("POST", "/random", {"length": 1_000}), ("GET", "/audit?count=200", None), ("GET", "/openapi.json", None))
        )  # fmt: skip
        self.connections.vanish(method, API + path, body, self._named())
        self.counts["clients that vanished"] += 1

    def _named(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.world.site.token}", "Content-Type": "application/json"}

    def vanish_writing(self) -> None:
        """Gone before the answer to a write under a key: who asks again with it learns that it was done once."""
        name = f"{self.name}/vanish"
        found = self.sure("GET", f"/secrets/{name}")
        before = found.body["version"] if found.status == 200 else 0
        self._asked += 1
        key, body = f"{self.name}-gone-{self._asked}", {"value": f"v{self._asked}", "ttl": None}
        self.connections.vanish("PUT", f"{API}/secrets/{name}", body, {**self._named(), "Idempotency-Key": key})
        for _ in range(300):
            reply = self.ask("PUT", f"/secrets/{name}", body, Idempotency_Key=key)
            if reply is not None and reply.status == 200:
                break
            time.sleep(0.1)  # it is being done, or was done without its answer being known
            if self.sure("GET", f"/secrets/{name}").body.get("version") == before + 1:
                break
        self.counts["writers that vanished"] += 1
        found = self.sure("GET", f"/secrets/{name}")
        if self.told(found, "what a client that vanished wrote", 200):
            self.expect("what it wrote", (found.body["version"], found.body["value"]), (before + 1, body["value"]))

    def slow(self) -> None:
        """A body that stops for a second, and is answered all the same."""
        body = json.dumps({"length": 16}).encode()
        with contextlib.suppress(OSError), self.connections.opened() as sock:
            sock.sendall(self._head("POST", "/random", len(body)) + body[:5])
            time.sleep(1)
            sock.sendall(body[5:])
            sock.settimeout(10)
            told = sock.recv(4096)
            if told:
                self.expect("status of a slow request", told.split(b" ", 2)[1] in (b"200", b"503"), True)

"""What all clients of one soak share: the server, the differences, what must stand in the log; and one client."""

from __future__ import annotations

import random
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.server.soak.asking import Connections, Reply
from tests.server.soak.site import Site

import keystead

COMPARE_SECONDS = 60.0
API = "/api/v1"


@dataclass
class World:
    """`expected` has, by request id, the event of each answered request and how often its record must be there.
    `quiet` is set while nothing is killed, and long after: then no answer may be lost. While `resting` is set, no
    client asks anything, nor holds a connection."""

    site: Site
    seed: int
    over: threading.Event = field(default_factory=threading.Event)
    quiet: threading.Event = field(default_factory=threading.Event)
    resting: threading.Event = field(default_factory=threading.Event)
    differences: list[str] = field(default_factory=list)
    expected: dict[str, tuple[str, int]] = field(default_factory=dict)

    def differ(self, text: str) -> None:
        self.differences.append(f"{time.strftime('%H:%M:%S')} {text}")
        print(f"DIFFERENCE {self.differences[-1]}", flush=True)


class Actor(threading.Thread):
    """A client with names of its own, so that each answer can be compared with its model at once."""

    kind = ""
    pause = 0.02

    def __init__(self, world: World, number: int) -> None:
        super().__init__(name=f"{self.kind}{number}", daemon=True)
        self.world, self.number = world, number
        self.chosen = random.Random(f"{world.seed}/{self.name}")
        self.connections = Connections(world.site.address, world.site.context, self.chosen)
        self.counts: Counter[str] = Counter()
        self._asked = 0

    # What a client does

    def actions(self) -> list[tuple[int, Callable[[], None]]]:
        """What it does, and how often in comparison."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Before the first action."""

    def compare(self) -> None:
        """Compare all that it owns with what the server tells."""

    def compare_inside(self, store: keystead.Connection) -> None:
        """The same with the store, opened in process."""

    def run(self) -> None:
        try:
            self.prepare()
            weights, calls = zip(*self.actions(), strict=True)
            due = time.monotonic() + COMPARE_SECONDS * self.chosen.uniform(0.5, 1)
            while not self.world.over.is_set():
                self.chosen.choices(calls, weights)[0]()
                self.counts["actions"] += 1
                if time.monotonic() >= due:
                    self.compare()
                    self.counts["whole comparisons"] += 1
                    due = time.monotonic() + COMPARE_SECONDS
                time.sleep(self.chosen.expovariate(1 / self.pause))
                self.rest()
        except Exception:
            self.world.differ(f"{self.name} ended: {traceback.format_exc()}")

    def rest(self) -> None:
        """Let go of every connection while that is asked for."""
        if self.world.resting.is_set():
            self.connections.close()
            while self.world.resting.is_set() and not self.world.over.is_set():
                time.sleep(0.1)

    # Asking

    def ask(
        self, method: str, path: str, body: Any = None, *, token: str | None = "", event: str = "", times: int = 1,
        **headers: str,
    ) -> Reply | None:  # fmt: skip
        """An answer; None where it was lost, so that it is in doubt whether the request was done."""
        self._asked += 1
        request_id = headers.pop("id", f"{self.name}-{self._asked}")
        named = {"X-Request-Id": request_id, **{name.replace("_", "-"): text for name, text in headers.items()}}
        if body is not None:
            named["Content-Type"] = "application/json"
        if token is not None:
            named["Authorization"] = f"Bearer {token or self.world.site.token}"
        for _ in range(200):
            reply = self.connections.ask(method, API + path, body, named)
            self.counts["requests"] += 1
            if reply is None:
                self.counts["answers lost"] += 1
                if self.world.quiet.is_set():
                    self.world.differ(f"{self.name}: {method} {path}: the answer was lost while nothing was killed")
                return None
            if reply.status != 503:
                break
            # Refused for now, and so not done: a change behind it would be a difference at the next look.
            self.counts["told to come again"] += 1
            time.sleep(0.1)
        return self._noted(reply, request_id, event, times, f"{method} {path}")

    def _noted(self, reply: Reply, request_id: str, event: str, times: int, what: str) -> Reply | None:
        if reply.code == "KS3005":
            self.counts["outcomes unknown"] += 1
            return None
        if reply.status >= 500:
            self.world.differ(f"{self.name}: {what}: {reply.status} {reply.body}")
        if reply.status == 403:
            event = "access_denied"
        if event and (reply.status < 300 or reply.status == 403):
            self.world.expected[request_id] = (event, times)
        self.counts[f"answers {reply.status}"] += 1
        return reply

    def sure(self, method: str, path: str, body: Any = None, **how: Any) -> Reply:
        """The same for what does no harm when it is done twice: asked until an answer comes."""
        while True:
            reply = self.ask(method, path, body, **how)
            if reply is not None:
                return reply

    def once(self, method: str, path: str, body: Any = None, *, event: str = "", times: int = 1, **how: Any) -> Reply:
        """A write under an idempotency key, asked until an answer comes. 409 of KS1305: it was done, and not told.

        What was lost is asked for again with the same request id, by which it stands in the log, once.
        """
        self._asked += 1
        key = f"{self.name}-key-{self._asked}"
        lost = False
        while True:
            reply = self.ask(method, path, body, Idempotency_Key=key, id=key, event=event, times=times, **how)
            if reply is None:
                lost = True
                self.counts["keys asked again"] += 1
            elif reply.status == 409 and reply.code == "KS1305" and "done before" in str(reply.body.get("detail")):
                if not lost:
                    self.differ(f"{method} {path} under a new key", reply.body, "an answer")
                self.counts["keys answered as done"] += 1
                self.world.expected[key] = (event, times)
                return reply
            else:
                return reply

    def differ(self, what: str, got: Any, wanted: Any) -> None:
        self.world.differ(f"{self.name}: {what}: {got!r} in the place of {wanted!r}")

    def expect(self, what: str, got: Any, wanted: Any) -> bool:
        """Whether it is what the model says; else it is a difference."""
        self.counts["comparisons"] += 1
        if got != wanted:
            self.differ(what, got, wanted)
        return bool(got == wanted)

    def told(self, reply: Reply, what: str, *wanted: int) -> bool:
        """Whether the status is one of these."""
        self.counts["comparisons"] += 1
        if reply.status not in wanted:
            self.differ(what, (reply.status, reply.body), wanted)
        return reply.status in wanted

    def pages(self, path: str, **query: str | int) -> tuple[list[dict[str, Any]], int, int]:
        """All items of a listing in its pages, and between which moments they were asked for."""
        items: list[dict[str, Any]] = []
        after, began = "", 0
        while True:
            asked = {**query, **({"after": after} if after else {})}
            text = "&".join(f"{name}={value}" for name, value in asked.items())
            reply = self.sure("GET", f"{path}?{text}")
            began = began or reply.began_ms
            if not self.told(reply, f"listing {path}", 200):
                return items, began, reply.ended_ms
            items += reply.body["items"]
            after = reply.body["next"]
            if not after:
                return items, began, reply.ended_ms

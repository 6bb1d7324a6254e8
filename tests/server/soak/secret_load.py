"""Clients of secrets: stored, rotated, deleted, destroyed, expired, listed; each answer compared with a small model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.server.soak.asking import Reply
from tests.server.soak.world import Actor

import keystead
from keystead.errors import SecretDeleted, SecretExpired

NAMES = 12
ROUNDED_MS = 3
"""By how much a clock may be read differently, since the server's does not go back."""
TTLS: tuple[tuple[str | None, int | None], ...] = (
    (None, None), (None, None), ("1h", 3_600_000), ("1500ms", 1_500), ("5s", 5_000),
)  # fmt: skip


@dataclass
class Version:
    value: str
    expires_ms: int | None
    destroyed: bool = False


@dataclass
class Secret:
    """What should be stored under one name."""

    versions: list[Version] = field(default_factory=list)
    ttl_ms: int | None = None
    previous: int | None = None
    deleted: bool = False
    destroyed: bool = False

    @property
    def latest(self) -> int:
        return len(self.versions)

    @property
    def gone(self) -> bool:
        return self.deleted or self.destroyed

    def add(self, value: str, ttl_ms: int | None, expires_ms: int | None) -> None:
        self.previous = self.latest or None
        self.versions.append(Version(value, expires_ms))
        self.ttl_ms, self.deleted, self.destroyed = ttl_ms, False, False

    def destroy(self) -> None:
        self.destroyed, self.ttl_ms = True, None
        for version in self.versions:
            version.destroyed = True

    def answers(self, number: int, began: int, ended: int) -> set[str]:
        """What reading a version may answer between two moments: the code of a refusal, "" for the value."""
        if not self.versions:
            return {"KS1101"}
        if self.gone:
            return {"KS1402"}
        version = self.versions[number - 1]
        end = version.expires_ms
        live = {"KS1402"} if version.destroyed else {""}
        if end is None or ended < end - ROUNDED_MS:
            return live
        return {"KS1401"} if began >= end + ROUNDED_MS else {"KS1401", *live}


class SecretActor(Actor):
    """The names `s0/a`, `s0/b`, ... of one client."""

    kind = "s"

    def __init__(self, world: Any, number: int) -> None:
        super().__init__(world, number)
        self.secrets = {f"{self.name}/{chr(97 + at)}": Secret() for at in range(NAMES)}

    def actions(self) -> list[tuple[int, Callable[[], None]]]:
        return [
            (40, self.read), (12, self.put), (8, self.rotate), (4, self.put_at_once), (4, self.precondition),
            (3, self.delete), (2, self.undelete), (1, self.destroy), (5, self.read_old), (4, self.read_many),
            (3, self.write_many), (2, self.list), (2, self.history),
        ]  # fmt: skip

    def pick(self) -> tuple[str, Secret]:
        return self.chosen.choice(list(self.secrets.items()))

    def value(self) -> str:
        return f"{self.name}:{self._asked}:" + "v" * self.chosen.choice((5, 40, 300, 3_000))

    # Writing

    def put(self) -> None:
        (name, secret), value, (ttl, ttl_ms) = self.pick(), self.value(), self.chosen.choice(TTLS)
        body: dict[str, Any] = {"value": value, "ttl": ttl}
        if self.chosen.random() < 0.2:
            del body["ttl"]  # the former length anew
            ttl_ms = secret.ttl_ms
        self.settle(name, value, ttl_ms, self.ask("PUT", f"/secrets/{name}", body, event="secret_stored"))

    def rotate(self) -> None:
        (name, secret), value = self.pick(), self.value()
        reply = self.ask("POST", f"/secrets/{name}:rotate", {"value": value}, event="secret_rotated")
        if not secret.versions or secret.gone:
            if reply is not None:
                self.expect(f"rotating {name}", reply.code, "KS1402" if secret.versions else "KS1101")
            return
        self.settle(name, value, secret.ttl_ms, reply)

    def put_at_once(self) -> None:
        """Under an idempotency key: done once, however often it was asked."""
        (name, _), value = self.pick(), self.value()
        reply = self.once("PUT", f"/secrets/{name}", {"value": value, "ttl": None}, event="secret_stored")
        if reply.status == 409:
            self.settle(name, value, None, None, must=True)
        else:
            self.settle(name, value, None, reply)

    def precondition(self) -> None:
        (name, secret), value = self.pick(), self.value()
        wrong = self.chosen.random() < 0.5
        wanted = secret.latest + (self.chosen.choice((-1, 1, 7)) if wrong else 0)
        if wanted < 0:
            return
        reply = self.ask(
            "PUT", f"/secrets/{name}", {"value": value, "ttl": None}, event="secret_stored", If_Match=f'"{wanted}"'
        )
        if not wrong:
            self.settle(name, value, None, reply)
        elif reply is not None and self.told(reply, f"{name} if it is at {wanted}", 412):
            self.expect(f"current of {name}", reply.body["current"], secret.latest)

    def settle(self, name: str, value: str, ttl_ms: int | None, reply: Reply | None, *, must: bool = False) -> None:
        """Note a write. One whose answer was lost was done or not (`must`: was done): its version says which."""
        secret = self.secrets[name]
        if reply is not None:
            if self.told(reply, f"storing {name}", 200):
                self.note(name, value, ttl_ms, reply.body, reply.began_ms, reply.ended_ms)
            return
        told = self.sure("GET", f"/secrets/{name}:versions?after={secret.latest}")
        items = told.body["items"] if told.status == 200 else []
        if must or self.told(told, f"history of {name}", *((200,) if secret.versions else (200, 404))):
            self.counts["doubts settled: done" if items else "doubts settled: not done"] += 1
            if must or items:
                self.expect(f"new versions of {name}", [item["version"] for item in items], [secret.latest + 1])
            if items:
                secret.add(value, ttl_ms, items[0]["expires_ms"])
                self.look(name, secret.latest)

    def note(self, name: str, value: str, ttl_ms: int | None, info: dict[str, Any], began: int, ended: int) -> None:
        secret, end = self.secrets[name], info["expires_ms"]
        wanted = (secret.latest + 1, ttl_ms, secret.latest or None, False, False)
        got = tuple(info[member] for member in ("version", "ttl_ms", "previous", "deleted", "destroyed"))
        self.expect(f"what was stored of {name}", got, wanted)
        if ttl_ms is not None and not began + ttl_ms - ROUNDED_MS <= end <= ended + ttl_ms + ROUNDED_MS:
            self.differ(f"end of {name}", end, (began + ttl_ms, ended + ttl_ms))
        secret.add(value, ttl_ms, end)

    def write_many(self) -> None:
        names = self.chosen.sample(sorted(self.secrets), 3)
        values = {name: self.value() for name in names}
        body = {"values": values, "ttl": None}
        reply = self.once("POST", "/secrets:write", body, event="secret_stored", times=3)
        infos = reply.body["items"] if reply.status == 200 else [None] * 3
        if not self.told(reply, f"storing {names}", 200, 409):
            return
        for name, info in zip(names, infos, strict=True):
            if info is None:
                self.settle(name, values[name], None, None, must=True)
            else:
                self.note(name, values[name], None, info, reply.began_ms, reply.ended_ms)

    def delete(self) -> None:
        name, secret = self.pick()
        self._mark(name, secret, self.sure("DELETE", f"/secrets/{name}", event="secret_deleted"), True)

    def undelete(self) -> None:
        gone = [name for name, secret in self.secrets.items() if secret.deleted and not secret.destroyed]
        if gone:
            name = self.chosen.choice(gone)
            reply = self.sure("POST", f"/secrets/{name}:undelete", event="secret_undeleted")
            self._mark(name, self.secrets[name], reply, False)

    def _mark(self, name: str, secret: Secret, reply: Reply, deleted: bool) -> None:
        if not secret.versions or secret.destroyed:
            self.expect(f"deleting {name}", reply.code, "KS1402" if secret.versions else "KS1101")
        elif self.told(reply, f"deleting {name}", 204):
            secret.deleted = deleted
            self.look(name, secret.latest)

    def destroy(self) -> None:
        name, secret = self.pick()
        reply = self.ask("POST", f"/secrets/{name}:destroy", event="secret_destroyed")
        if not secret.versions or secret.destroyed:
            if reply is not None:
                self.expect(f"destroying {name}", reply.code, "KS1402" if secret.versions else "KS1101")
            return
        again = reply or self.sure("POST", f"/secrets/{name}:destroy", event="secret_destroyed")
        if self.told(again, f"destroying {name}", *((204,) if reply else (204, 410))):
            secret.destroy()
            self.look(name, secret.latest)

    # Reading

    def read(self) -> None:
        name, secret = self.pick()
        self.look(name, secret.latest)

    def read_old(self) -> None:
        name, secret = self.pick()
        if secret.versions:
            number = self.chosen.randint(max(1, secret.latest - 5), secret.latest)
            self.look(name, number, f"?version={number}")
            if secret.previous:
                self.look(name, secret.previous, "?label=previous")

    def look(self, name: str, number: int, query: str = "") -> None:
        """Read a version and compare it."""
        secret, reply = self.secrets[name], self.sure("GET", f"/secrets/{name}{query}")
        allowed = secret.answers(number, reply.began_ms, reply.ended_ms)
        self.counts["comparisons"] += 1
        if reply.code not in allowed or (not reply.code and reply.status != 200):
            self.differ(f"reading {name}{query}", (reply.status, reply.body), allowed)
        elif not reply.code:
            version = secret.versions[number - 1]
            got = (reply.body["name"], reply.body["version"], reply.body["value"])
            self.expect(f"reading {name}{query}", got, (name, number, version.value))
            left, end = reply.body["expires_in_ms"], version.expires_ms
            if (
                end is not None
                and "label" not in query
                and not (end - reply.ended_ms - ROUNDED_MS <= left <= end - reply.began_ms + ROUNDED_MS)
            ):
                self.differ(f"time left of {name}", left, (end - reply.ended_ms, end - reply.began_ms))

    def read_many(self) -> None:
        lasting = [
            n for n, s in self.secrets.items() if s.versions and not s.gone and s.versions[-1].expires_ms is None
        ]
        names = self.chosen.sample(lasting, min(len(lasting), 5))
        if names:
            reply = self.sure("POST", "/secrets:read", {"names": names})
            if self.told(reply, f"reading {names}", 200):
                got = {name: (each["version"], each["value"]) for name, each in reply.body["values"].items()}
                self.expect(
                    "reading many",
                    got,
                    {n: (self.secrets[n].latest, self.secrets[n].versions[-1].value) for n in names},
                )

    def list(self) -> None:
        items, began, ended = self.pages("/secrets", prefix=f"{self.name}/", limit=self.chosen.choice((1, 5, 100)))
        there = {name: secret for name, secret in self.secrets.items() if secret.versions and not secret.gone}
        self.expect("listed names", [item["name"] for item in items], sorted(there))
        for item in items:
            secret = there.get(item["name"])
            if secret is not None:
                got = (item["version"], item["ttl_ms"], item["expires_ms"])
                self.expect(
                    f"listed {item['name']}", got, (secret.latest, secret.ttl_ms, secret.versions[-1].expires_ms)
                )
                end = secret.versions[-1].expires_ms
                if end is None or not began <= end <= ended:
                    self.expect(f"expiry of {item['name']}", item["expired"], end is not None and end < began)

    def history(self) -> None:
        name, secret = self.pick()
        if not secret.versions:
            return
        after = max(0, secret.latest - 8)
        reply = self.sure("GET", f"/secrets/{name}:versions?after={after}&limit=10")
        if self.told(reply, f"history of {name}", 200):
            got = [(item["version"], item["expires_ms"], item["state"] == "destroyed") for item in reply.body["items"]]
            wanted = [
                (after + at, version.expires_ms, version.destroyed)
                for at, version in enumerate(secret.versions[after:], 1)
            ]
            self.expect(f"history of {name}", got, wanted)

    def compare(self) -> None:
        for name, secret in self.secrets.items():
            self.look(name, secret.latest)
        self.list()

    def compare_inside(self, store: keystead.Connection) -> None:
        for name, secret in self.secrets.items():
            found = (
                store.kms.list_versions(name, limit=1, after=str(max(0, secret.latest - 1)))
                if secret.versions
                else None
            )
            if found is not None:
                self.expect(f"stored versions of {name}", [item.version for item in found.items], [secret.latest])
                allowed = secret.answers(secret.latest, 2**53, 2**53)
                try:
                    value = store.kms.get_secret(name).reveal()
                    self.expect(f"stored {name}", value, secret.versions[-1].value)
                    got = ""
                except (SecretDeleted, SecretExpired) as error:
                    got = error.code
                end = secret.versions[-1].expires_ms
                if end is None or end < 2**40:  # those of an hour live on
                    self.expect(f"state of {name}", got in allowed or (got == "" and secret.ttl_ms == 3_600_000), True)

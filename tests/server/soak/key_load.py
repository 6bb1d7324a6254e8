"""Clients of named keys: used, rotated, suspended, resumed, destroyed; each answer compared with a small model."""

from __future__ import annotations

import base64
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.server.soak.asking import Reply
from tests.server.soak.world import Actor

import keystead

MOST_VERSIONS = 25
TYPES = {"encrypt": "aes-256-gcm", "sign": "ed25519", "mac": "hmac-sha-256"}
# What protects, under which member it takes what, gives what, and takes it back to check it.
USES: dict[str, tuple[str, str, str, str]] = {
    "encrypt": ("plaintext", "ciphertext", "key_encrypted", "decrypt"),
    "sign": ("message", "signature", "key_signed", "verify"),
    "mac": ("message", "mac", "key_mac_made", "verify-mac"),
}
BACK = {"decrypt": "key_decrypted", "verify": "key_verified", "verify-mac": "key_mac_verified"}


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


@dataclass
class Key:
    """What should be known of one key; `made` has what it made: version, input, context, output."""

    name: str
    usage: str
    version: int = 1
    state: str = "active"
    made: deque[tuple[int, str, dict[str, str], str]] = field(default_factory=lambda: deque(maxlen=30))


class KeyActor(Actor):
    """Three keys at a time, whose names count up, since that of a destroyed key is not given again."""

    kind = "k"
    pause = 0.01

    def __init__(self, world: Any, number: int) -> None:
        super().__init__(world, number)
        self.keys: dict[str, Key] = {}
        self.destroyed: list[Key] = []
        self._made = 0

    def prepare(self) -> None:
        for usage in USES:
            self.make(usage)

    def actions(self) -> list[tuple[int, Callable[[], None]]]:
        return [
            (40, self.protect), (40, self.check), (3, self.check_wrong), (4, self.batch), (3, self.rotate),
            (2, self.suspend), (2, self.read), (1, self.list),
        ]  # fmt: skip

    def pick(self) -> Key:
        return self.chosen.choice(list(self.keys.values()))

    def make(self, usage: str) -> None:
        self._made += 1
        name = f"{self.name}/{usage}-{self._made}"
        reply = self.once("POST", "/keys", {"name": name, "type": TYPES[usage]}, event="key_created")
        if reply.status == 409 or self.told(reply, f"making {name}", 201):
            self.keys[usage] = Key(name, usage)
            self.look(self.keys[usage])

    # Using

    def _input(self) -> tuple[str, dict[str, str]]:
        return text(self.chosen.randbytes(self.chosen.choice((1, 32, 500, 15_000)))), {
            "tenant": str(self.chosen.random())
        }

    def protect(self) -> None:
        key = self.pick()
        member, result, event, _ = USES[key.usage]
        data, context = self._input()
        body: dict[str, Any] = {member: data}
        if key.usage == "encrypt":
            body["context"] = context
        reply = self.sure("POST", f"/keys/{key.name}:{key.usage}", body, event=event)
        if self.told(reply, f"{key.usage} by {key.name}", 200):
            self.expect(f"version that {key.name} used", reply.body["key_version"], key.version)
            key.made.append((key.version, data, context, reply.body[result]))

    def check(self) -> None:
        key = self.pick()
        if not key.made:
            return
        _, data, context, made = self.chosen.choice(key.made)
        reply = self._back(key, data, context, made)
        wanted = {"plaintext": data} if key.usage == "encrypt" else {"valid": True}
        self.expect(f"what {key.name} gives back", (reply.status, reply.body), (200, wanted))

    def _back(self, key: Key, data: str, context: dict[str, str], made: str) -> Reply:
        member, result, _, back = USES[key.usage]
        body = {result: made, "context": context} if key.usage == "encrypt" else {member: data, result: made}
        return self.sure("POST", f"/keys/{key.name}:{back}", body, event=BACK[back])

    def check_wrong(self) -> None:
        key = self.pick()
        if key.made:
            _, data, _, made = key.made[-1]
            reply = self._back(key, text(b"other" + data.encode()), {"tenant": "other"}, made)
            wanted: Any = (422, "KS2002") if key.usage == "encrypt" else (200, {"valid": False})
            got = (reply.status, reply.code if reply.status >= 400 else reply.body)
            self.expect(f"what {key.name} refuses", got, wanted)

    def batch(self) -> None:
        key = self.pick()
        member, result, event, _ = USES[key.usage]
        items = [{member: self._input()[0]} for _ in range(self.chosen.choice((1, 5, 40)))]
        body = {"operation": key.usage, "items": items}
        reply = self.sure("POST", f"/keys/{key.name}:batch", body, event=event, times=len(items))
        if self.told(reply, f"batch of {key.name}", 200):
            self.expect(f"size of a batch of {key.name}", len(reply.body["items"]), len(items))
            versions = {item.get("key_version") for item in reply.body["items"]}
            self.expect(f"versions in a batch of {key.name}", versions, {key.version})
            if key.usage != "encrypt":
                key.made.append((key.version, items[0][member], {}, reply.body["items"][0][result]))

    # Changing

    def rotate(self) -> None:
        key = self.pick()
        if key.version >= MOST_VERSIONS:
            self.replace(key)
            return
        if self.chosen.random() < 0.5:
            reply: Reply | None = self.once("POST", f"/keys/{key.name}:rotate", event="key_rotated")
            must = True
        else:
            reply, must = self.ask("POST", f"/keys/{key.name}:rotate", event="key_rotated"), False
        if reply is not None and reply.status == 200:
            key.version += 1
            self.expect(f"version of {key.name}", reply.body["version"], key.version)
        elif reply is None or reply.status == 409:
            found = self.sure("GET", f"/keys/{key.name}").body["version"]
            self.counts["doubts settled: done" if found > key.version else "doubts settled: not done"] += 1
            if found != key.version + 1 and (must or found != key.version):
                self.differ(f"version of {key.name} after a doubt", found, key.version + 1)
            key.version = found
        else:
            self.told(reply, f"rotating {key.name}", 200)
        self.protect()

    def suspend(self) -> None:
        """Suspend, see that nobody uses it, and resume."""
        key = self.pick()
        for verb, event, state in (("suspend", "key_suspended", "suspended"), ("resume", "key_resumed", "active")):
            # Doing it twice changes nothing, so what is in doubt is asked for again.
            reply = self.sure("POST", f"/keys/{key.name}:{verb}", event="" if self.counts["answers lost"] else event)
            if not self.told(reply, f"{verb} {key.name}", 200):
                return
            key.state = state
            self.expect(f"state of {key.name}", reply.body["state"], state)
            for _ in range(3):
                self._refused(key) if state == "suspended" else self.look(key)

    def _refused(self, key: Key) -> None:
        member = USES[key.usage][0]
        reply = self.sure("POST", f"/keys/{key.name}:{key.usage}", {member: "AAAA"})
        self.expect(f"use of {key.name}, {key.state}", (reply.status, reply.code), (409, "KS1302"))

    def replace(self, key: Key) -> None:
        """Destroy a key that has many versions, and make another, so that what is stored stays as large as it is."""
        self.told(self.sure("POST", f"/keys/{key.name}:suspend"), f"suspend {key.name}", 200)
        first = self.ask("POST", f"/keys/{key.name}:destroy", event="key_destroyed")
        if first is not None:
            self.told(first, f"destroy {key.name}", 200)
        else:
            self.told(self.sure("POST", f"/keys/{key.name}:destroy"), f"destroy {key.name}", 200, 409)
        key.state = "destroyed"
        self.look(key)
        self._refused(key)
        self.destroyed.append(key)
        self.make(key.usage)

    # Comparing

    def look(self, key: Key) -> None:
        reply = self.sure("GET", f"/keys/{key.name}")
        if self.told(reply, f"reading {key.name}", 200):
            got = tuple(reply.body[member] for member in ("type", "version", "state"))
            self.expect(f"key {key.name}", got, (TYPES[key.usage], key.version, key.state))

    def read(self) -> None:
        self.look(self.pick())

    def list(self) -> None:
        items, _, _ = self.pages("/keys", prefix=f"{self.name}/", limit=self.chosen.choice((2, 50)))
        got = {(item["name"], item["version"], item["state"]) for item in items}
        every = [*self.keys.values(), *self.destroyed]
        self.expect("listed keys", got, {(key.name, key.version, key.state) for key in every})

    def compare(self) -> None:
        self.list()
        for key in self.keys.values():
            for _, data, context, made in list(key.made)[:5]:
                if key.usage != "encrypt":
                    reply = self._back(key, data, context, made)
                    self.expect(f"what {key.name} made", reply.body, {"valid": True})

    def compare_inside(self, store: keystead.Connection) -> None:
        keys = store.kms.keys
        for key in [*self.keys.values(), *self.destroyed]:
            found = keys.read(key.name)
            self.expect(f"stored key {key.name}", (found.version, str(found.state)), (key.version, key.state))
        for key in self.keys.values():
            for _, data, context, made in key.made:
                plain, blob = base64.b64decode(data), base64.b64decode(made)
                if key.usage == "encrypt":
                    self.expect(f"opened by {key.name}", keys.decrypt(key.name, blob, context=context), plain)
                else:
                    check = keys.verify if key.usage == "sign" else keys.verify_mac
                    self.expect(f"made by {key.name}", check(key.name, plain, blob), True)

"""Clients of access tokens, policies and users: made, used, refused, expired, revoked; each answer compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.server.soak.asking import Reply
from tests.server.soak.world import Actor

import keystead

MOST_TOKENS = 8
VALUE = "what tokens may read"


@dataclass
class Token:
    """One access token that was given out. `uses` is None where they are not counted."""

    text: str
    accessor: str
    expires_ms: int
    uses: int | None = None
    revoked: bool = False

    def lives(self, began: int, ended: int) -> set[bool]:
        """Whether it may be used between two moments."""
        if self.revoked or self.uses == 0 or began >= self.expires_ms:
            return {False}
        return {True} if ended < self.expires_ms else {True, False}


class TokenActor(Actor):
    """A role whose tokens have children, and a policy that is changed under them."""

    kind = "t"

    def __init__(self, world: Any, number: int) -> None:
        super().__init__(world, number)
        self.allowed, self.policy_version = True, 0
        self.tokens: list[Token] = []
        self.ended: list[Token] = []
        self.parent: Token | None = None
        self.login: dict[str, str] = {}

    def prepare(self) -> None:
        self.once("PUT", f"/secrets/{self.name}/read", {"value": VALUE, "ttl": None}, event="secret_stored")
        self.write_policy()
        body = {"name": self.name, "policies": [self.name], "ttl": "1h"}
        role_id = self.once("POST", "/roles", body, event="role_created").body.get("role_id")
        if role_id is None:
            role_id = self.sure("GET", f"/roles/{self.name}").body["role_id"]
        made = self.once("POST", f"/roles/{self.name}:create-secret-id", {})
        self.login = {"role_id": role_id, "secret_id": made.body["secret_id"]}
        self.log_in()

    def actions(self) -> list[tuple[int, Callable[[], None]]]:
        return [
            (40, self.use), (6, self.make), (4, self.revoke), (2, self.change_policy), (3, self.wrong),
            (2, self.nobody), (1, self.log_in), (1, self.look_up), (2, self.use_ended),
        ]  # fmt: skip

    # Making and ending

    def document(self) -> dict[str, Any]:
        may = {"id": "make", "effect": "allow", "actions": ["token:create"], "resources": ["**"]}
        read = {"id": "read", "actions": ["secret:read"], "resources": [f"secret/{self.name}/**"]}
        return {"version": 1, "statements": [may, {**read, "effect": "allow" if self.allowed else "deny"}]}

    def write_policy(self) -> None:
        """Under an expected version, so that what was in doubt is done once when it is asked for again."""
        body = {"document": self.document(), "expected_version": self.policy_version}
        while True:
            reply = self.ask("PUT", f"/policies/{self.name}", body, event="policy_written")
            if reply is not None:
                break
            self.counts["policies asked again"] += 1
        self.policy_version += 1
        if reply.status == 409:
            found = self.sure("GET", f"/policies/{self.name}")
            self.expect("policy after a doubt", found.body["version"], self.policy_version)
        elif self.told(reply, "writing a policy", 200):
            self.expect("version of a policy", reply.body["version"], self.policy_version)

    def change_policy(self) -> None:
        self.allowed = not self.allowed
        self.write_policy()
        for _ in range(3):
            self.use()

    def log_in(self) -> None:
        """A fresh parent; the former one ends, and its children with it."""
        reply = self.ask("POST", "/login/role", self.login, token=None, event="login_succeeded")
        if reply is None or not self.told(reply, "log-in of a role", 200):
            return
        former, self.parent = self.parent, self.token_of(reply)
        if former is not None:
            told = self.sure("DELETE", f"/tokens/{former.accessor}", event="token_revoked")
            self.told(told, "revoking a parent", 200)
            for token in [former, *self.tokens]:
                token.revoked = True
            self.end(*self.tokens, former)

    def token_of(self, reply: Reply, uses: int | None = None) -> Token:
        info = reply.body["info"]
        return Token(reply.body["token"], info["accessor"], info["expires_ms"], uses)

    def end(self, *tokens: Token) -> None:
        self.tokens = [token for token in self.tokens if token not in tokens]
        self.ended = [*self.ended, *tokens][-20:]

    def make(self) -> None:
        if self.parent is None:
            return
        uses = self.chosen.choice((None, None, 3))
        body: dict[str, Any] = {"policies": [self.name], "ttl": self.chosen.choice(("2s", "10s", "30m"))}
        if uses is not None:
            body["uses"] = uses
        reply = self.once("POST", "/tokens", body, token=self.parent.text, event="token_created")
        if reply.status == 409 or not self.told(reply, "making a token", 201):
            return
        self.tokens.append(self.token_of(reply, uses))
        while len(self.tokens) > MOST_TOKENS:
            self._revoke(self.tokens[0])

    def revoke(self) -> None:
        if self.tokens:
            self._revoke(self.chosen.choice(self.tokens))

    def _revoke(self, token: Token) -> None:
        reply = self.sure("DELETE", f"/tokens/{token.accessor}", event="token_revoked")
        if self.told(reply, "revoking a token", 200):
            token.revoked = True
            self.end(token)
            for _ in range(2):
                self._use(token)

    # Using

    def use(self) -> None:
        every = [*self.tokens, *([self.parent] if self.parent else [])]
        if every:
            self._use(self.chosen.choice(every))

    def use_ended(self) -> None:
        if self.ended:
            self._use(self.chosen.choice(self.ended))

    def _use(self, token: Token) -> None:
        reply = self.ask("GET", f"/secrets/{self.name}/read", token=token.text)
        if reply is None:
            if token.uses is not None:  # one of them may have been taken
                token.uses = 0
                self.sure("DELETE", f"/tokens/{token.accessor}")
                self.end(token)
            return
        lives = token.lives(reply.began_ms, reply.ended_ms)
        right = {200} if self.allowed else {403, 404}
        wanted = {status for live in lives for status in (right if live else {401})}
        if self.told(reply, f"use of {token.accessor} (policy allows: {self.allowed}, {token})", *sorted(wanted)):
            if reply.status == 200:
                self.expect("what a token read", reply.body["value"], VALUE)
            if token.uses and reply.status != 401:
                token.uses -= 1
        if False in lives and token in self.tokens:
            self.end(token)

    def wrong(self) -> None:
        """What the policy allows nobody."""
        if self.parent is None:
            return
        method, path, body = self.chosen.choice(
            (("GET", "/users", None), ("PUT", f"/secrets/{self.name}/read", {"value": "no"}), ("GET", "/audit", None),
             ("POST", "/keys", {"name": f"{self.name}/no"}), ("DELETE", f"/policies/{self.name}", None),
             ("GET", "/secrets/s0/a", None), ("POST", "/maintenance:sweep", None))
        )  # fmt: skip
        reply = self.sure(method, path, body, token=self.parent.text)
        self.told(reply, f"{method} {path} as the wrong principal", 403, 404)

    def nobody(self) -> None:
        token = self.chosen.choice((None, "ks_svc_none", "ks_svc_" + "A" * 43 + "_AAAAAA"))
        reply = self.sure("GET", f"/secrets/{self.name}/read", token=token)
        self.told(reply, "a request of nobody", 401)

    def look_up(self) -> None:
        for token in [*self.tokens[:2], *self.ended[-2:]]:
            reply = self.sure("GET", f"/tokens/{token.accessor}")
            if self.told(reply, "looking a token up", 200) and token.uses is None:
                live = token.lives(reply.began_ms, reply.ended_ms)
                self.expect("whether a token has ended", (reply.body["ended"] is None) in live, True)

    def compare(self) -> None:
        self.look_up()
        found = self.sure("GET", f"/policies/{self.name}")
        if self.told(found, "policy", 200):
            got = (found.body["version"], found.body["document"])
            self.expect("policy", got, (self.policy_version, self.document()))

    def compare_inside(self, store: keystead.Connection) -> None:
        policy = store.kms.policies.read(self.name)
        self.expect("stored policy", policy.version, self.policy_version)
        for token in [*self.tokens, *self.ended, *([self.parent] if self.parent else [])]:
            if token.revoked or token.expires_ms > 2**50 or token is self.parent:
                ended = store.kms.tokens.lookup_accessor(token.accessor).ended
                self.expect(f"whether {token.accessor} has ended", ended is not None, token.revoked)


class UserActor(Actor):
    """Users who log in with a password; one at a time, so that what is stored stays as large as it is."""

    kind = "u"
    pause = 1.5

    def __init__(self, world: Any, number: int) -> None:
        super().__init__(world, number)
        self.user, self.made, self.password = "", 0, ""
        self.token: str | None = None
        self.old: list[str] = []

    def prepare(self) -> None:
        self.make()

    def actions(self) -> list[tuple[int, Callable[[], None]]]:
        return [(6, self.log_in), (1, self.wrong), (2, self.change), (1, self.replace), (8, self.check)]

    def make(self) -> None:
        self.made += 1
        self.user, self.password = f"{self.name}-{self.made}", f"correct horse {self.made}"
        body = {"name": self.user, "password": self.password, "policies": []}
        reply = self.once("POST", "/users", body, event="user_created")
        self.told(reply, f"making {self.user}", 201, 409)

    def log_in(self) -> None:
        body = {"name": self.user, "password": self.password}
        reply = self.ask("POST", "/login/password", body, token=None, event="login_succeeded")
        if reply is not None and self.told(reply, f"log-in of {self.user}", 200):
            if self.token is not None:
                self.sure("POST", "/tokens:revoke", {}, token=self.token)
                self.old = [*self.old, self.token][-5:]
            self.token = reply.body["token"]
            self.check()

    def wrong(self) -> None:
        body = {"name": f"nobody-{self.name}-{self._asked}", "password": "not it at all"}
        reply = self.sure("POST", "/login/password", body, token=None)
        self.told(reply, "log-in of nobody", 401)

    def change(self) -> None:
        self.password = f"another horse {self._asked}"
        body = {"password": self.password}
        self.told(self.sure("POST", f"/users/{self.user}:set-password", body), f"password of {self.user}", 200)
        self._all_old()
        self.log_in()

    def replace(self) -> None:
        reply = self.sure("DELETE", f"/users/{self.user}")
        self.told(reply, f"deleting {self.user}", 204, 404)
        self._all_old()
        self.make()

    def _all_old(self) -> None:
        if self.token is not None:
            self.old = [*self.old, self.token][-5:]
            self.token = None
        self.check()

    def check(self) -> None:
        if self.token is not None:
            reply = self.sure("GET", "/whoami", token=self.token)
            if self.told(reply, f"token of {self.user}", 200):
                self.expect("principal", reply.body["principal"], f"user:{self.user}")
        for token in self.old[-2:]:
            self.told(self.sure("GET", "/whoami", token=token), "token of before", 401)

    def compare(self) -> None:
        found = [item["name"] for item in self.pages("/users", limit=50)[0] if item["name"].startswith(f"{self.name}-")]
        self.expect("users", found, [self.user])

    def compare_inside(self, store: keystead.Connection) -> None:
        found = [user.name for user in store.kms.identities.list_users().items if user.name.startswith(f"{self.name}-")]
        self.expect("stored users", found, [self.user])

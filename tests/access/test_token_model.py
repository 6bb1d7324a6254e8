"""The life of access tokens over two connections on one file, against a model of ten lines."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule
from tests.access.conftest import CHEAP, KEY, allow

import keystead
from keystead.access.tokens import why_ended
from keystead.errors import AuthenticationFailed, Denied, SessionEnded, UsageError
from keystead.testing import ManualClock

POLICIES = ("a", "all", "b")


class Model:
    """Each token as [parent, end, the end of all renewals, ttl, uses left, policies, revoked]."""

    def __init__(self) -> None:
        self.tokens: dict[str, list[Any]] = {}

    def add(self, name: str, parent: str | None, now: int, ttl: int, most: int, uses: int | None, has: Any) -> None:
        above = self.tokens[parent] if parent else None
        most = min(now + most, above[2]) if above else now + most
        end = min(now + ttl, most, above[1]) if above else min(now + ttl, most)
        self.tokens[name] = [parent, end, most, ttl, uses, has, False]

    def live(self, name: str, now: int) -> bool:
        _, end, _, _, uses, _, revoked = self.tokens[name]
        return not revoked and now < end and uses != 0

    def renew(self, name: str, now: int) -> None:
        token = self.tokens[name]
        bound = self.tokens[token[0]][1] if token[0] else token[2]
        token[1] = max(token[1], min(now + token[3], token[2], bound))

    def revoke(self, name: str) -> None:
        self.tokens[name][6] = True
        for other, token in self.tokens.items():
            if token[0] == name and not token[6]:
                self.revoke(other)


class Tokens(RuleBasedStateMachine):
    """Every step is done by one of two nodes; what the other knows may be a second old, and no older."""

    made = Bundle("made")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock, self.model = ManualClock(), Model()
        self.nodes = [self.open(), self.open()]

    def open(self) -> Any:
        path = Path(self.folder.name) / "app.db"
        return allow(keystead.connect(path, master_key=KEY, clock=self.clock, settings=CHEAP))

    @initialize(target=made)
    def family(self) -> Any:
        """A token with a child and a grandchild, so that few steps suffice for what concerns them."""
        root = self.add(self.nodes[0], None, 600_000, 6_000_000, None, POLICIES)
        with self.nodes[1].as_token(root) as acting:
            child = self.add(acting, root, 600_000, 6_000_000, None, POLICIES)
        with self.nodes[0].as_token(child) as acting:
            grandchild = self.add(acting, child, 60_000, 600_000, None, POLICIES)
        return multiple(root, child, grandchild)

    def add(self, by: Any, parent: Any, ttl: int, most: int, uses: int | None, has: Any) -> Any:
        name = {"name": "n"} if parent is None else {}
        token = by.kms.tokens.create(has, ttl=f"{ttl}ms", max_ttl=f"{most}ms", uses=uses, **name)
        above = None if parent is None else parent.accessor
        self.model.add(token.accessor, above, self.clock.now_ms(), ttl, most, uses, set(has))
        return token

    @property
    def now(self) -> int:
        return self.clock.now_ms()

    lengths = st.sampled_from([1, 2, 1_000, 60_000, 600_000])
    which = st.integers(0, 1)

    @rule(target=made, which=which, ttl=lengths, uses=st.none() | st.integers(1, 3))
    def create(self, which: int, ttl: int, uses: int | None) -> Any:
        return self.add(self.nodes[which], None, ttl, ttl * 3, uses, POLICIES)

    @rule(target=made, which=which, parent=made, ttl=lengths, has=st.sets(st.sampled_from([*POLICIES, "c"])))
    def child(self, which: int, parent: Any, ttl: int, has: set[str]) -> Any:
        known = self.model.tokens[parent.accessor]
        if known[4] is not None or "all" not in known[5] or not self.model.live(parent.accessor, self.now):
            return multiple()
        with self.nodes[which].as_token(parent) as acting:
            if has <= known[5]:
                return self.add(acting, parent, ttl, ttl * 3, None, sorted(has))
            try:
                acting.kms.tokens.create(has)
            except Denied:
                return multiple()
        raise AssertionError("a child got more than its parent has")

    @rule(which=which, token=made)
    def use(self, which: int, token: Any) -> None:
        if self.model.live(token.accessor, self.now):
            with self.nodes[which].as_token(token) as acting:
                acting.kms.whoami()
            known = self.model.tokens[token.accessor]
            known[4] = None if known[4] is None else known[4] - 1

    @rule(which=which, token=made, later=st.sampled_from([0, 1, 999, 30_000]))
    def renew(self, which: int, token: Any, later: int) -> None:
        self.clock.advance(later)
        try:
            told = self.nodes[which].kms.tokens.renew(token.reveal())
        except (Denied, UsageError):
            assert not self.model.live(token.accessor, self.now)
            return
        assert self.model.live(token.accessor, self.now)
        self.model.renew(token.accessor, self.now)
        assert told.expires_ms == self.model.tokens[token.accessor][1]

    @rule(which=which, token=made)
    def revoke(self, which: int, token: Any) -> None:
        self.nodes[which].kms.tokens.revoke_accessor(token.accessor)
        self.model.revoke(token.accessor)

    @rule(ms=st.sampled_from([1, 999, 59_999]))
    def time_goes_by(self, ms: int) -> None:
        self.clock.advance(ms)

    @rule(token=made, before=st.sampled_from([1, 1, 1, 0]))
    def the_last_moment_comes(self, token: Any, before: int) -> None:
        left = self.model.tokens[token.accessor][1] - before - self.now
        if left > 0:
            self.clock.advance(left)

    @rule(ms=st.sampled_from([-60_000, -1, 1, 60_000]))
    def somebody_sets_the_clock(self, ms: int) -> None:
        self.clock.jump(ms)

    @rule(which=which)
    def a_node_starts_anew(self, which: int) -> None:
        self.nodes[which].close()
        self.nodes[which] = self.open()

    @invariant()
    def every_row_is_as_the_model_has_it(self) -> None:
        for node in self.nodes:
            rows = node.kms.node.identities.register.read_rows().by_accessors(list(self.model.tokens))
            for row in rows:
                token = self.model.tokens[row.accessor]
                assert (why_ended(row, self.now) is None) == self.model.live(row.accessor, self.now)
                assert (row.expires_ms, row.uses_left) == (token[1], token[4])
                assert token[0] is None or token[1] <= self.model.tokens[token[0]][1]
            assert len(rows) == len(self.model.tokens)

    @rule(token=made, which=which)
    def show(self, token: Any, which: int) -> None:
        try:
            self.nodes[which].as_token(token).close()
            let_in = True
        except AuthenticationFailed:
            let_in = False
        assert let_in == self.model.live(token.accessor, self.now)

    @rule(token=made, which=which)
    def act_for_longer_than_a_second(self, token: Any, which: int) -> None:
        if not self.model.live(token.accessor, self.now) or self.model.tokens[token.accessor][4] is not None:
            return
        with self.nodes[which].as_token(token) as acting:
            self.nodes[1 - which].kms.tokens.revoke_accessor(token.accessor)
            self.model.revoke(token.accessor)
            self.clock.advance(1_000)
            try:
                acting.kms.whoami()
            except SessionEnded:
                return
        raise AssertionError("a revoked token went on for a second")

    def teardown(self) -> None:
        for node in self.nodes:
            node.close()
        self.folder.cleanup()


TestTokens = Tokens.TestCase
TestTokens.settings = settings(
    max_examples=15, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)

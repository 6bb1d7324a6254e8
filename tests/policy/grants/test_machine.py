"""The life of grants over two connections on one file, against a small model; and what one grant covers of another."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from itertools import chain, combinations
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule
from tests.policy.conftest import allow, deny, document
from tests.policy.grants.conftest import acting
from tests.policy.model import Call, Given, allows_with, permits, within
from tests.services.conftest import BY_HAND

import keystead
from keystead.access.grants import Grant
from keystead.errors import CallerError, Denied, GrantNotFound, KeyNotFound
from keystead.testing import ManualClock

KEY = keystead.generate_master_key()
WHO = ("user:ada", "user:eve", "user:bob")
KEYS = ("orders", "cards")
PAIRS = [{"a": "1"}, {"a": "2"}, {"a": "1", "b": "1"}, {"b": "1"}]
CONTEXTS: list[dict[str, str]] = [{}, *PAIRS, {"a": "2", "b": "1"}, {"a": "1", "b": "1", "c": "1"}]
VERBS = ("encrypt", "decrypt", "create-grant", "retire-grant", "read")
OPERATIONS = st.sets(st.sampled_from(VERBS), min_size=1, max_size=4)
CONSTRAINTS = st.none() | st.none() | st.sampled_from(PAIRS)
LENGTHS = st.sampled_from([None, None, 1_000, 60_000])
GIVEN = st.builds(
    Given, st.just("orders"), st.just(WHO[0]), OPERATIONS, CONSTRAINTS, CONSTRAINTS, st.sampled_from([None, 5, 9])
)
POLICIES = {
    "none": [],
    "admin": [allow("key/*", actions=("key:create-grant", "key:revoke-grant"))],
    "no": [deny("key/cards")],
}


def value(one: Given) -> Grant:
    return Grant("g", one.grantee, None, frozenset(one.operations), one.equals, one.subset, one.end_ms)


@settings(max_examples=400, deadline=None)
@given(parent=GIVEN, wanted=GIVEN)
def test_what_one_grant_covers_of_another_is_what_gives_nothing_beyond_it(parent: Given, wanted: Given) -> None:
    covered = value(parent).covers(value(wanted))
    if covered:
        assert within(wanted, parent, CONTEXTS)
    contradicts = not any(permits(wanted, "encrypt", context) for context in CONTEXTS)
    if not covered and not contradicts and wanted.operations & {"encrypt", "decrypt"}:
        assert not within(wanted, parent, CONTEXTS) or not wanted.operations <= parent.operations


class Grants(RuleBasedStateMachine):
    """Every step is done by one of two nodes; what the other knows may be a second old, and no older."""

    made = Bundle("made")

    def __init__(self) -> None:
        super().__init__()
        self.folder, self.clock = tempfile.TemporaryDirectory(), ManualClock()
        # Each grant as the model has it, with its retiring principal.
        self.model: dict[str, tuple[Given, str | None]] = {}
        self.nodes = [self.open(), self.open()]
        for name in KEYS:
            self.nodes[0].kms.keys.create(name)
        for name, statements in POLICIES.items():
            if statements:
                self.nodes[0].kms.policies.write(name, document(*statements))
        self.clock.advance(1_000)

    def open(self) -> Any:
        return keystead.connect(Path(self.folder.name) / "app.db", master_key=KEY, clock=self.clock, settings=BY_HAND)

    def acts(self, which: int, who: str, policy: str) -> Any:
        self.clock.advance(1_000)  # so that what the other node did is known
        return acting(self.nodes[which], who, *([policy] if POLICIES[policy] else []))

    def may(self, who: str, policy: str, verb: str, key: str, context: dict[str, str] | None = None) -> bool:
        grants = [grant for grant, _ in self.model.values()]
        call = Call(f"key:{verb}", f"key/{key}", self.clock.now_ms(), context=context)
        return allows_with([{"statements": POLICIES[policy]}], grants, who, call)

    which = st.integers(0, 1)
    whose = st.sampled_from(WHO)
    policy = st.sampled_from(sorted(POLICIES))
    keys = st.sampled_from(KEYS)

    @rule(
        target=made, which=which, by=whose, policy=policy, key=keys, to=whose, operations=OPERATIONS,
        equals=CONSTRAINTS, subset=CONSTRAINTS, ttl=LENGTHS, retiring=st.none() | whose,
    )  # fmt: skip
    def create(self, which: int, by: str, policy: str, key: str, to: str, operations: set[str], **how: Any) -> Any:
        acts = self.acts(which, by, policy)
        if not operations & {"encrypt", "decrypt"}:
            how["equals"] = how["subset"] = None
        end = None if how["ttl"] is None else self.clock.now_ms() + how["ttl"]
        wanted = Given(key, to, operations, how["equals"], how["subset"], end)
        now, own = self.clock.now_ms(), [grant for grant, _ in self.model.values() if grant[:2] == (key, by)]
        live = [one for one in own if one.end_ms is None or now < one.end_ms]
        covered = any("create-grant" in one.operations and value(one).covers(value(wanted)) for one in live)
        denied = (policy, key) == ("no", "cards")
        ttl = None if how["ttl"] is None else f"{how['ttl']}ms"
        try:
            found = acts.grants.create(
                key, to, operations, ttl=ttl, retiring=how["retiring"], context_equals=how["equals"],
                context_subset=how["subset"],
            )  # fmt: skip
        except (Denied, KeyNotFound):
            assert denied or not (policy == "admin" or covered)
            return multiple()
        assert not denied and (policy == "admin" or covered)
        self.model[found.id] = wanted, how["retiring"]
        return found.id

    @rule(which=which, by=whose, policy=policy, grant=made)
    def retire(self, which: int, by: str, policy: str, grant: str) -> None:
        known = self.model.get(grant)
        acts = self.acts(which, by, policy)
        key = KEYS[0] if known is None else known[0].key
        may = False
        if known is not None:
            one, retiring = known
            live = one.end_ms is None or self.clock.now_ms() < one.end_ms
            may = by == retiring or (by == one.grantee and "retire-grant" in one.operations and live)
            may = may and (policy, key) != ("no", "cards")
        try:
            acts.grants.retire(key, grant)
        except (Denied, KeyNotFound):
            assert not may
        else:
            assert may
            del self.model[grant]

    @rule(which=which, by=whose, policy=policy, grant=made)
    def revoke(self, which: int, by: str, policy: str, grant: str) -> None:
        known = self.model.get(grant)
        acts = self.acts(which, by, policy)
        try:
            acts.grants.revoke(KEYS[0] if known is None else known[0].key, grant)
        except GrantNotFound:
            assert known is None
        except (Denied, KeyNotFound):
            assert policy != "admin"
        else:
            assert policy == "admin" and known is not None
            del self.model[grant]

    @rule(ms=st.sampled_from([1, 999, 30_000, 60_000]))
    def time_goes_by(self, ms: int) -> None:
        self.clock.advance(ms)

    @rule(which=which)
    def a_node_starts_anew(self, which: int) -> None:
        self.nodes[which].close()
        self.nodes[which] = self.open()

    @rule(which=which, who=whose, policy=policy, key=keys, context=st.none() | st.sampled_from(CONTEXTS))
    def use(self, which: int, who: str, policy: str, key: str, context: dict[str, str] | None) -> None:
        """The same session asks twice, the second time by what it kept."""
        acts = self.acts(which, who, policy)
        for shown in (context, {"a": "1"}, context):
            may = self.may(who, policy, "encrypt", key, shown or {})
            answer = None
            with suppress(CallerError):
                answer = acts.keys.encrypt(key, b"x", context=shown)
            assert (answer is not None) == may

    @invariant()
    def the_store_has_what_the_model_has(self) -> None:
        for node in self.nodes:
            found = chain.from_iterable(node.kms.grants.list(key, limit=1000).items for key in KEYS)
            told = {one.id: (one.key, one.grantee, set(one.operations), one.expires_ms, one.retiring) for one in found}
            assert told == {
                id_: (one.key, one.grantee, one.operations, one.end_ms, retiring)
                for id_, (one, retiring) in self.model.items()
            }

    def teardown(self) -> None:
        assert self.nodes[0].kms.audit.verify().ok
        for node in self.nodes:
            node.close()
        self.folder.cleanup()


TestGrants = Grants.TestCase
TestGrants.settings = settings(
    max_examples=20, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_a_grant_covers_itself_and_every_part_of_it() -> None:
    for size in range(1, len(VERBS) + 1):
        for operations in combinations(VERBS, size):
            whole = value(Given("orders", WHO[0], set(operations), {"a": "1"}, {"a": "1"}, 5))
            assert whole.covers(whole)
            assert not whole._replace(operations=whole.operations - {operations[0]}).covers(whole)

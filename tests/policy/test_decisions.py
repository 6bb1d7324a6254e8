"""Decisions: what wins, what conditions mean at their edges, what is kept; and the lessons of others by their names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from tests.policy.conftest import allow, deny, document
from tests.policy.generated import ADA, BINDER, Moment, Store

from keystead.access.engine import PolicyEngine
from keystead.access.policy import Action, Decision
from keystead.access.principal import Principal
from keystead.access.session import Authentication, Session
from keystead.access.stored import check_policy_name
from keystead.errors import UsageError
from keystead.gate import Policy
from keystead.secrets.names import check_name

TUESDAY = 1_795_478_400_000
HOUR = 3_600_000
VECTORS = Path(__file__).parents[1] / "vectors" / "data" / "keystead_own"

# Anybody may try to log in, whatever policies say.
GUARDED = [action for action in Action if action is not Action.LOGIN_ATTEMPT]


class World:
    """An engine over these policies, and one session that has them all."""

    def __init__(self, *statements: dict[str, Any], **how: Any) -> None:
        self.clock = Moment()
        self.clock.at_ms = TUESDAY + 12 * HOUR
        self.store = Store([document(*statements)])
        self.engine: Policy = PolicyEngine(lambda: self.store, lambda: BINDER, self.clock)  # type: ignore[arg-type]
        self.session = Session.start(ADA, 0, Authentication("password", ("p0",), **how))

    def decide(self, action: str, resource: str, **facts: dict[str, str]) -> Decision:
        return self.engine.decide(self.session, action, resource, facts or None)  # type: ignore[return-value]

    def may(self, resource: str, action: str = "secret:read", **facts: dict[str, str]) -> bool:
        return self.decide(action, resource, **facts).allowed


def test_nothing_is_allowed_that_no_statement_allows() -> None:
    world = World(allow("secret/a", actions=("secret:read",)))
    assert world.decide("secret:read", "secret/a") == Decision(True, "statement s1 of policy p0 allows it", "allowed")
    for action in GUARDED:
        assert world.may("secret/a", action) is (action == "secret:read")
        assert not world.may("secret/b", action)
    refused = world.decide("secret:read", "secret/b")
    assert (refused.reason_class, refused.visible) == ("no-statement", False)


@pytest.mark.parametrize("order", [0, 1])
def test_a_deny_wins_wherever_it_stands_and_however_wide_it_is(order: int) -> None:
    for denies in (deny("secret/a"), deny("**"), deny("secret/*", actions=("secret:*",))):
        statements = [allow("secret/a"), denies]
        refused = World(*(statements if order else statements[::-1])).decide("secret:read", "secret/a")
        assert (refused.allowed, refused.reason_class) == (False, "explicit-deny")
        assert "denies it" in refused.reason


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("secret/*", ["secret/a", "secret/*"], ["secret", "secret/a/b", "secrets/a"]),
        ("secret/app*", ["secret/app", "secret/apple", "secret/app*"], ["secret/ap", "secret/app/x", "secret/*"]),
        ("secret/app", ["secret/app"], ["secret/apple", "secret/App", "secret/app*", "secret/*", "secret/app/x"]),
        ("secret/app/**", ["secret/app/x", "secret/app/x/y"], ["secret/app", "secret/apple/x"]),
        ("secret/*/db", ["secret/a/db"], ["secret/db", "secret/a/b/db", "secret/a/dbx"]),
        ("**", ["store", "secret/a", "secret/a/b/c"], []),
        ("*", ["store", "audit"], ["secret/a"]),
        ("secret/+", ["secret/+"], ["secret/a", "secret/*"]),
    ],
)  # fmt: skip
def test_patterns_name_whole_segments(pattern: str, yes: list[str], no: list[str]) -> None:
    world = World(allow(pattern))
    assert [one for one in yes if not world.may(one)] == []
    assert [one for one in no if world.may(one)] == []


def test_a_condition_on_time_holds_from_its_first_to_before_its_last_millisecond() -> None:
    world = World(allow(time={"after": "2026-11-24T08:00:00Z", "before": "2026-11-24T18:00:00Z"}))
    for at, expected in ((8 * HOUR - 1, False), (8 * HOUR, True), (18 * HOUR - 1, True), (18 * HOUR, False)):
        world.clock.at_ms = TUESDAY + at
        assert world.may("secret/a") is expected


def test_hours_are_those_of_utc_and_days_those_of_the_week() -> None:
    world = World(allow(time={"hours": "08:00-18:00", "days": ["tue"]}))
    for days in range(-7, 8):
        for at, in_hours in ((8 * HOUR - 1, False), (8 * HOUR, True), (18 * HOUR - 1, True), (18 * HOUR, False)):
            world.clock.at_ms = TUESDAY + days * 24 * HOUR + at
            assert world.may("secret/a") is (in_hours and days % 7 == 0)


def test_a_second_factor_holds_to_the_last_millisecond_of_its_age_and_never_where_none_was_shown() -> None:
    shown = TUESDAY
    world = World(allow(mfa_age="5m"), mfa_ms=shown)
    for at, expected in ((-1, False), (0, True), (300_000, True), (300_001, False)):
        world.clock.at_ms = shown + at
        assert world.may("secret/a") is expected
    assert not World(allow(mfa_age="5m")).may("secret/a")
    assert not World(allow(), deny(mfa_age="5m")).may("secret/a")


@pytest.mark.parametrize(
    ("source", "expected"),
    [("10.1.2.3", True), ("11.0.0.1", False), ("::ffff:10.1.2.3", True), ("2001:db8::7", True), ("2001:db9::7", False),
     ("", None), ("10.1.2.3:443", None), ("localhost", None), ("10.1.2", None), ("010.1.2.3", None)],
)  # fmt: skip
def test_a_source_is_an_address_in_a_network_and_what_is_none_never_helps(source: str, expected: bool | None) -> None:
    networks = ["10.0.0.0/8", "2001:db8::/32"]
    assert World(allow(source=networks), source=source).may("secret/a") is (expected is True)
    assert World(allow(), deny(source=networks), source=source).may("secret/a") is (expected is False)


@pytest.mark.parametrize("network", ["::ffff:10.0.0.0/104", "::ffff:a00:0/104", "10.0.0.0/8"])
def test_a_network_of_ipv4_is_one_also_where_it_is_written_in_ipv6(network: str) -> None:
    for source, inside in (("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("11.0.0.1", False), ("2001:db8::1", False)):
        assert World(allow(source=[network]), source=source).may("secret/a") is inside
        assert World(allow(), deny(source=[network]), source=source).may("secret/a") is not inside


@pytest.mark.parametrize("name", ["tags", "context"])
def test_facts_that_a_call_does_not_bring_count_against_it(name: str) -> None:
    wanted = {"env": "prod"} if name == "tags" else {"contains": {"env": "prod"}}
    allowing, denying = World(allow(**{name: wanted})), World(allow(), deny(**{name: wanted}))
    for facts, met in (
        ({name: {"env": "prod"}}, True), ({name: {"env": "prod", "x": "y"}}, True), ({name: {"env": "Prod"}}, False),
        ({name: {"Env": "prod"}}, False), ({name: {}}, False),
    ):  # fmt: skip
        assert allowing.may("secret/a", **facts) is met
        assert denying.may("secret/a", **facts) is not met
    assert not allowing.may("secret/a")
    assert not denying.may("secret/a")
    assert allowing.decide("secret:read", "secret/a").reason_class == "condition"


def test_an_encryption_context_equals_only_the_same_pairs() -> None:
    world = World(allow(context={"equals": {"a": "b"}}))
    assert world.may("secret/a", context={"a": "b"})
    for other in ({"a": "b", "c": "d"}, {}, {"a": "B"}, {"A": "b"}):
        assert not world.may("secret/a", context=other)


def test_what_conditions_decided_is_not_kept_and_all_else_is() -> None:
    steady = World(allow("secret/a", source=["10.0.0.0/8"], method=["password"]), source="10.0.0.1")
    assert steady.decide("secret:read", "secret/a") is steady.decide("secret:read", "secret/a")
    moving = World(allow("secret/a", time={"hours": "08:00-18:00"}), deny("secret/a", tags={"x": "y"}))
    assert moving.may("secret/a", tags={})
    assert not moving.may("secret/a", tags={"x": "y"})
    moving.clock.at_ms += 8 * HOUR
    assert not moving.may("secret/a", tags={})


def test_decisions_that_are_kept_have_a_bound() -> None:
    world = World(allow("secret/**"))
    for number in range(12_000):
        world.may(f"secret/n{number}")
    assert len(world.engine._kept) <= 10_000  # type: ignore[attr-defined]


def test_whether_a_thing_may_be_seen_is_whether_anything_on_it_is_allowed() -> None:
    world = World(allow("secret/a", actions=("secret:list",)), deny("secret/a", actions=("secret:read",)),
                  allow("secret/b"), deny("secret/b"),
                  allow("secret/c", actions=("secret:list",), mfa_age="1h"))  # fmt: skip
    assert world.decide("secret:read", "secret/a").visible
    assert not world.decide("secret:read", "secret/b").visible
    assert not world.decide("secret:read", "secret/c").visible
    assert not world.decide("secret:read", "secret/d").visible


# The lessons of others, each by the name of its advisory


def test_cve_2025_5999_and_54996_and_64761_no_spelling_of_root_is_a_policy_or_gives_anything() -> None:
    spellings = [
        "root", "Root", "ROOT", " root", "root ", "root\n", "\troot", "ｒｏｏｔ", "root\0", "r\u00f6ot",
        "owner", "system", "Owner", "SYSTEM ", "root/", "root.json ", "", ".", "..", "a/b", "a" * 129, "A", "é",
    ]  # fmt: skip
    for name in spellings:
        with pytest.raises(UsageError):
            check_policy_name(name)
        world = World(allow("**"))
        stranger = Session.start(ADA, 0, Authentication("password", (name,)))
        for action in GUARDED:
            assert not world.engine.decide(stranger, action, "secret/a", None).allowed


def test_cve_2026_55775_no_spelling_of_a_kind_of_owner_is_one() -> None:
    world = World(allow("secret/a"))
    for kind in ("Local", "LOCAL", " local", "local ", "local:x", "System", "root", "owner", "", "ｌocal"):
        stranger = Session.start(Principal(kind, "ada"), 0, Authentication())
        assert not world.engine.decide(stranger, "secret:read", "secret/b", None).allowed


def test_cve_2021_43998_and_2022_40186_an_alias_of_another_gives_nothing() -> None:
    """Policies hold no templates: what a principal is called, or was called before, is nowhere compared with a name."""
    world = World(allow("secret/user/ada/*"))
    for name in ("secret/user/{{identity.name}}/x", "secret/user/ADA/x", "secret/user/ada", "secret/user/ada-2/x"):
        assert not world.may(name)
    for text in ("secret/{{identity.entity.id}}/*", "secret/${user}/*", "secret/<name>/*"):
        with pytest.raises(UsageError):
            World(allow(text))


def test_cve_2026_3605_a_path_with_dots_is_allowed_to_nobody_and_named_by_no_policy() -> None:
    world = World(allow("**"), allow("*/*/*/*"))
    for path in ("secret/../policy/x", "secret/./a", "secret/a/..", "secret//a", "/secret/a", "secret/a/",
                 "..", ".", "", "secret/app/../prod/x", "secret/a/.", "//"):  # fmt: skip
        decision = world.decide("secret:read", path)
        assert (decision.allowed, decision.visible) == (False, False), path


def test_ghsa_xp3c_a_listing_is_denied_where_a_deny_by_wildcard_reaches_it() -> None:
    world = World(allow("secret/**"), deny("secret/prod/*", "secret/stage/**"))
    for listed in ("secret/prod/*", "secret/prod/a*", "secret/stage/*", "secret/stage/x/*"):
        assert not world.may(listed, "secret:list")
    assert world.may("secret/dev/*", "secret:list")


def test_ghsa_59w7_wildcards_in_a_name_are_characters() -> None:
    """Both ways: a name with `*` is allowed by no literal, and a policy for such a name widens nothing."""
    world = World(allow("secret/team-a/*", "secret/fixed"))
    for name in ("secret/*/x", "secret/team-*/x", "secret/**", "secret/*", "**", "*/*/*", "secret/fixe*", "secret/+/x"):
        assert not world.may(name), name
    assert world.may("secret/team-a/*")  # one whole segment, whatever it is called
    for name in ("secret/*", "secret/a/*"):
        with pytest.raises(UsageError):
            check_name(name.partition("/")[2])


def test_path_targets_what_is_authorized_is_what_is_used() -> None:
    """Each raw target is either refused at the edge, or is one name, asked of the policy letter by letter."""
    targets = json.loads((VECTORS / "path_targets.json").read_text("utf-8"))["targets"]
    assert len(targets) > 30
    admin, own = World(deny("secret/admin"), allow("secret/**")), World(allow("secret/a"))
    taken = []
    for target in targets:
        for path in {urlsplit(target).path, unquote(urlsplit(target).path), target}:
            name = path.removeprefix("/v1/secrets/")
            try:
                check_name(name)
            except UsageError:
                continue
            taken.append(name)
            assert admin.may(f"secret/{name}") is (name != "admin")
            assert own.may(f"secret/{name}") is (name == "a")
            assert name.split("/") == f"secret/{name}".split("/")[1:]
    assert sorted(set(taken)) == ["+", "a", "a+b", "a/b"]

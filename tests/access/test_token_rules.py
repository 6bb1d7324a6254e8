"""The rules of access tokens, each at the last millisecond of every length."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.access.accounts import FailureRecord, LockRules, failed_once_more, locked_for
from keystead.access.methods.fields import Problems
from keystead.access.stored import check_policy_name
from keystead.access.tokens import (
    Holder,
    TokenLimits,
    TokenRecord,
    TokenRules,
    check_rules,
    issued,
    may_create_child,
    renewed,
    rules_of,
    rules_text,
    used,
    why_ended,
    why_refused,
)
from keystead.access.words import is_subnet, is_within, network_texts, policy_names, source_text
from keystead.errors import ConfigurationError, Denied, UsageError

NOW = 1_700_000_000_000
LIMITS = TokenLimits(10_000, 100_000)
ADA = Holder("user:ada", "password")
LENGTHS = st.integers(1, 100_000)


def made(parent: TokenRecord | None = None, now: int = NOW, **rules: object) -> TokenRecord:
    return issued(b"", f"acc_{now}", ADA, TokenRules(**rules), now, limits=LIMITS, parent=parent)  # type: ignore[arg-type]


def test_a_token_lives_until_the_millisecond_before_its_end() -> None:
    token = made(ttl_ms=1_000)
    assert token.expires_ms == NOW + 1_000
    assert [why_ended(token, NOW + ms) for ms in (0, 999, 1_000, 1_001)] == [None, None, *["token-expired"] * 2]


@pytest.mark.parametrize("ms", [999, 1_000, 1_001])
def test_cve_2021_32923_renewing_in_the_last_moment_gives_no_end_that_is_none(ms: int) -> None:
    token = made(ttl_ms=1_000, max_ttl_ms=1_000)
    if ms < 1_000:
        assert renewed(token, NOW + ms, 50_000).expires_ms == NOW + 1_000
    else:
        with pytest.raises(Denied):
            renewed(token, NOW + ms, 50_000)


@settings(deadline=None)
@given(ttl=LENGTHS, most=LENGTHS, steps=st.lists(st.tuples(st.integers(0, 30_000), st.none() | LENGTHS), max_size=20))
def test_no_chain_of_renewals_goes_beyond_the_maximum_or_moves_an_end_nearer(
    ttl: int, most: int, steps: list[tuple[int, int | None]]
) -> None:
    token, now = made(ttl_ms=ttl, max_ttl_ms=max(ttl, most)), NOW
    for later, increment in steps:
        now += later
        if why_ended(token, now) is not None:
            break
        after = renewed(token, now, increment)
        assert now < token.expires_ms <= after.expires_ms <= NOW + max(ttl, most)
        token = after


@settings(deadline=None)
@given(ttl=LENGTHS, own=LENGTHS, later=LENGTHS, period=st.booleans())
def test_cve_2020_25816_nothing_outlives_the_token_it_was_made_with(
    ttl: int, own: int, later: int, period: bool
) -> None:
    parent = made(ttl_ms=ttl)
    rules = {"period_ms": own} if period else {"ttl_ms": own}
    child = made(parent, NOW, **rules)
    assert child.expires_ms <= parent.expires_ms
    if later < child.expires_ms - NOW:
        assert renewed(child, NOW + later, None, parent).expires_ms <= parent.expires_ms
    with pytest.raises(Denied):
        renewed(child, NOW, None, parent._replace(revoked_ms=NOW))
    with pytest.raises(Denied):
        renewed(child, NOW, None, None)


def test_a_periodic_token_is_renewed_for_its_period_for_ever_and_to_its_maximum() -> None:
    token = made(period_ms=1_000)
    for step in range(1, 500):
        token = renewed(token, NOW + step * 999, 77_777)
        assert token.expires_ms == NOW + step * 999 + 1_000
    bounded = renewed(made(period_ms=1_000, max_ttl_ms=1_500), NOW + 900, None)
    assert bounded.expires_ms == NOW + 1_500


def test_what_is_not_renewable_is_not_renewed() -> None:
    with pytest.raises(UsageError):
        renewed(made(renewable=False), NOW, None)


def test_uses_count_down_to_none_and_no_further() -> None:
    token = made(uses=2)
    token = used(used(token))
    assert token.uses_left == 0 and why_ended(token, NOW) == "token-used-up"
    with pytest.raises(Denied):
        used(token)
    assert used(made()) == made()


def test_a_child_has_no_policy_that_its_parent_has_not() -> None:
    parent = made(policies=("a", "b"))
    may_create_child(parent, NOW, ("a",))
    may_create_child(parent, NOW, ())
    for policies in (("c",), ("a", "c")):
        with pytest.raises(Denied):
            may_create_child(parent, NOW, policies)
    for ended in (parent._replace(revoked_ms=NOW), parent._replace(uses_left=5)):
        with pytest.raises(Denied):
            may_create_child(ended, NOW, ())


@pytest.mark.parametrize(
    "rules",
    [
        TokenRules(uses=0), TokenRules(uses=-1), TokenRules(uses=True), TokenRules(uses=2**63),
        TokenRules(ttl_ms=100_001),
        TokenRules(period_ms=100_001), TokenRules(ttl_ms=2, max_ttl_ms=1), TokenRules(period_ms=9, max_ttl_ms=8),
        TokenRules(period_ms=9, renewable=False), TokenRules(renewable=1),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_rules_that_contradict_each_other_or_the_store_are_refused(rules: TokenRules) -> None:
    with pytest.raises(UsageError):
        check_rules(rules, LIMITS)


def test_rules_are_kept_as_they_were_given() -> None:
    rules = TokenRules(("a", "b"), 1, 2, None, 3, True, ("10.0.0.0/8",))
    assert rules_of(rules_text(rules)) == rules


def test_cve_2025_5999_no_spelling_of_a_policys_name_becomes_another() -> None:
    assert policy_names(["b", "a", "b"]) == ("a", "b")
    for name in ("Root", " root", "root ", "ROOT", "root\n", "", "röot", "a b", "x" * 129, None):
        with pytest.raises(UsageError):
            policy_names([name])  # type: ignore[list-item]


def required(problems: Problems, name: str) -> None:
    problems.policies("policies", (name,))
    problems.raise_any()


@pytest.mark.parametrize("name", ["-x", "_x", ".x", "a/b", "root", "owner", "system", ".", "..", "a", "a.b_c-1"])
def test_a_policy_can_be_given_to_somebody_by_the_names_that_it_can_have_and_no_others(name: str) -> None:
    def taken(check: Callable[[], object]) -> bool:
        try:
            check()
        except (UsageError, ConfigurationError):
            return False
        return True

    written = taken(lambda: check_policy_name(name))
    assert taken(lambda: policy_names([name])) is written
    assert taken(lambda: required(Problems("a method"), name)) is written
    assert written is (name not in ("a/b", "root", "owner", "system", ".", ".."))


def test_networks_bound_from_where_a_token_is_used() -> None:
    token = made(networks=network_texts(["10.1.0.0/16", "2001:db8::/32"]))
    for source, why in (("10.1.2.3", None), ("10.2.0.1", "wrong-source"), ("", "wrong-source"), ("2001:db8::9", None)):
        assert why_refused(token, NOW, source, "") == why
    assert why_refused(token, NOW, source_text("::ffff:10.1.2.3"), "") is None
    assert network_texts(["::ffff:10.1.0.0/112", "::ffff:10.1.2.3"]) == ("10.1.0.0/16", "10.1.2.3/32")
    assert is_within("", ()) and is_subnet("10.1.2.0/24", ["10.1.0.0/16"])
    assert not is_subnet("10.0.0.0/8", ["10.1.0.0/16", "::/0"])
    for wrong in (["10.1.0.1/16"], ["x"], [""], "10.0.0.0/8", [5], ["0.0.0.0/0"] * 65):
        with pytest.raises(UsageError):
            network_texts(wrong)  # type: ignore[arg-type]
    for wrong_source in ("10.0.0.1, 10.1.0.1", "10.1.0.1:80", "localhost", "", "0x0a.1", 7):
        with pytest.raises(UsageError):
            source_text(wrong_source)  # type: ignore[arg-type]


def test_cve_2026_39388_a_token_that_is_bound_to_a_certificate_works_with_that_one_only() -> None:
    token = made()._replace(binding="sha256:aa")
    assert [why_refused(token, NOW, "", shown) for shown in ("sha256:aa", "sha256:ab", "")] == [
        None,
        "wrong-binding",
        "wrong-binding",
    ]


def test_five_failures_in_the_window_lock_and_trying_on_makes_it_no_longer() -> None:
    rules, count = LockRules(5, 900_000, 900_000), None
    for number in range(5):
        count = failed_once_more("ada", count, NOW + number, rules)
    assert count is not None and locked_for(count, NOW + 4) == 900_000
    for ms in (5, 600_000, 900_003):
        assert failed_once_more("ada", count, NOW + ms, rules) == count
    assert locked_for(count, NOW + 900_003) == 1 and locked_for(count, NOW + 900_004) == 0
    again = failed_once_more("ada", count, NOW + 900_004, rules)
    assert (again.failed, locked_for(again, NOW + 900_004)) == (1, 0)


def test_failures_of_an_earlier_window_are_forgotten() -> None:
    rules = LockRules(5, 900_000, 900_000)
    count = FailureRecord("ada", 4, NOW, 0)
    assert failed_once_more("ada", count, NOW + 899_999, rules).locked_until_ms
    assert failed_once_more("ada", count, NOW + 900_000, rules).failed == 1

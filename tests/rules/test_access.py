"""Who acts is what the system says, sessions end for good, and only the owner is allowed."""

import os
import pwd
import re
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.access.engine import PolicyEngine
from keystead.access.policy import Action
from keystead.access.ports import PolicyRow
from keystead.access.principal import SCHEDULER, Principal, local_principal, make_principal
from keystead.access.session import Authentication, Session, check_session_id
from keystead.access.stored import PolicyBinder
from keystead.clock import SystemClock
from keystead.errors import SessionEnded, UsageError
from keystead.gate import Policy

NOW = 1_700_000_000_000
ADA = Principal("local", "ada")


def test_a_principal_reads_as_kind_and_name() -> None:
    assert str(Principal("user", "ada")) == "user:ada"
    assert str(SCHEDULER) == "system:scheduler"


def test_a_principal_does_not_change() -> None:
    with pytest.raises(AttributeError):
        ADA.name = "eve"  # type: ignore[misc]


def test_the_local_principal_is_the_user_of_the_system_and_not_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable in ("USER", "LOGNAME", "USERNAME", "LNAME"):
        monkeypatch.setenv(variable, "eve")
    assert local_principal() == Principal("local", pwd.getpwuid(os.geteuid()).pw_name)
    assert local_principal("ada") == ADA


def test_a_user_id_without_a_name_is_still_someone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 3_999_999_999)
    assert local_principal() == Principal("local", "uid-3999999999")


@pytest.mark.parametrize(
    ("kind", "name"),
    [("", "ada"), ("User", "ada"), ("a:b", "ada"), ("1x", "ada"), ("k" * 33, "ada"), ("user", ""), ("user", " ada"),
     ("user", "a\nb"), ("user", "a" * 257), ("user", "\x1b[2J"), ("user", None), (None, "ada")],
)  # fmt: skip
def test_a_principal_that_cannot_be_recorded_is_refused(kind, name) -> None:
    with pytest.raises(UsageError):
        make_principal(kind, name)


def test_an_empty_name_is_not_the_default() -> None:
    with pytest.raises(UsageError):
        local_principal("")


def test_a_session_has_a_fresh_id_and_keeps_what_it_is() -> None:
    sessions = [Session.start(ADA, NOW) for _ in range(50)]
    assert len({session.id for session in sessions}) == 50
    assert all(re.fullmatch(r"ses_[0-9a-f]{32}", session.id) for session in sessions)
    assert sessions[0].principal is ADA
    assert sessions[0].started_ms == NOW
    for attribute in ("id", "principal", "started_ms", "other"):
        with pytest.raises(AttributeError):
            setattr(sessions[0], attribute, "x")


def test_an_ended_session_says_so_and_stays_ended() -> None:
    session = Session.start(ADA, NOW)
    session.require_live()
    assert not session.ended
    session.end()
    session.end()
    assert session.ended
    with pytest.raises(SessionEnded, match=session.id):
        session.require_live()
    assert "ended" in repr(session)


@pytest.mark.parametrize("text", ["", "ses_", "ses_" + "A" * 32, "ses_" + "0" * 33, "ses_" + "0" * 32 + "\n", None, 3])
def test_what_is_not_a_session_id_is_refused(text) -> None:
    with pytest.raises(UsageError):
        check_session_id(text)
    with pytest.raises(UsageError):
        Session(text, ADA, NOW)


def test_actions_are_noun_and_verb_and_each_is_one() -> None:
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*:[a-z]+(-[a-z]+)*", action) for action in Action)
    assert len(set(Action)) == len(list(Action))


class NoPolicies:
    """A store without any policy."""

    def named(self, names: Iterable[str]) -> list[PolicyRow]:
        return []


def without_policies() -> Policy:
    return PolicyEngine(NoPolicies, lambda: PolicyBinder(b"", b""), SystemClock())  # type: ignore[arg-type]


@pytest.mark.parametrize("action", list(Action))
def test_the_owner_and_the_node_may_do_all_and_nobody_else_anything(action: Action) -> None:
    policy, anybodys = without_policies(), action is Action.LOGIN_ATTEMPT
    for principal, allowed in ((ADA, True), (SCHEDULER, True), (Principal("user", "ada"), anybodys)):
        assert policy.decide(Session.start(principal, NOW), action, "secret/A", None).allowed is allowed


@given(st.text(), st.text())
def test_every_other_kind_is_denied_by_default_with_a_reason(kind: str, name: str) -> None:
    decision = without_policies().decide(Session.start(Principal(kind, name), NOW), "secret:read", "secret/A", None)
    assert decision.allowed is (kind in ("local", "system"))
    assert decision.visible is decision.allowed
    assert decision.reason
    assert decision.reason_class


def test_a_session_carries_how_its_principal_proved_who_it_is() -> None:
    proved = Authentication("password", ("readers",), source="10.0.0.1", mfa_ms=NOW, accessor="acc", expires_ms=NOW + 1)
    session = Session.start(Principal("user", "ada"), NOW, proved)
    assert session.authentication is proved
    assert session.expires_ms == NOW + 1
    assert Session.start(ADA, NOW).authentication == Authentication("local")
    assert Session.start(ADA, NOW).expires_ms is None

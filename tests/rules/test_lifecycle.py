"""The state table is the one of NIST with keystead's scrubbing, and nothing else gets through."""

from itertools import product
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from keystead.errors import KeyStateError
from keystead.keys.lifecycle import PERMITTED_USES, TRANSITIONS, KeyState, Use, require_transition, require_use, table

# written out once more by hand, so that a slip in the table is seen
MODEL = {
    "pre-active": ("", "active compromised scrubbing"),
    "active": ("protect process", "suspended deactivated compromised scrubbing"),
    "suspended": ("", "active deactivated compromised scrubbing"),
    "deactivated": ("process", "compromised scrubbing"),
    "compromised": ("", "scrubbing"),
    "scrubbing": ("", "destroyed"),
    "destroyed": ("", ""),
}


def test_both_tables_know_every_state() -> None:
    assert set(TRANSITIONS) == set(PERMITTED_USES) == set(KeyState) == set(MODEL)


@pytest.mark.parametrize(("state", "to"), list(product(KeyState, KeyState)))
def test_each_pair_of_states_is_permitted_or_refused_as_the_model_says(state: KeyState, to: KeyState) -> None:
    if to in MODEL[state][1].split():
        require_transition(state, to, "default-1")
    else:
        with pytest.raises(KeyStateError, match=f"default-1 is {state} and cannot become {to}") as refused:
            require_transition(state, to, "default-1")
        assert refused.value.hint


@pytest.mark.parametrize(("state", "use"), list(product(KeyState, Use)))
def test_each_use_of_each_state_is_permitted_or_refused_as_the_model_says(state: KeyState, use: Use) -> None:
    if use in MODEL[state][0].split():
        require_use(state, use, "default-1")
    else:
        with pytest.raises(KeyStateError, match=f"default-1 is {state} and may not {use}") as refused:
            require_use(state, use, "default-1")
        assert refused.value.hint


def test_the_tables_cannot_be_changed() -> None:
    for rules in (TRANSITIONS, PERMITTED_USES):
        with pytest.raises(TypeError):
            rules[KeyState.DESTROYED] = frozenset(KeyState)  # type: ignore[index]


def test_the_document_shows_the_table_of_the_code() -> None:
    page = (Path(__file__).parents[2] / "docs" / "lifecycle.md").read_text(encoding="utf-8")
    shown = page.split("<!-- states: begin -->\n")[1].split("<!-- states: end -->")[0]
    assert shown == table()


class KeyMachine(RuleBasedStateMachine):
    """A key that is asked for anything, beside a model of ten lines."""

    def __init__(self) -> None:
        super().__init__()
        self.state = KeyState.PRE_ACTIVE
        self.gone = False

    @rule(to=st.sampled_from(KeyState))
    def move(self, to: KeyState) -> None:
        allowed = to in MODEL[self.state][1].split()
        try:
            require_transition(self.state, to, "k")
        except KeyStateError:
            assert not allowed
        else:
            assert allowed
            self.state = to
            self.gone = self.gone or to in (KeyState.SCRUBBING, KeyState.DESTROYED)

    @rule(use=st.sampled_from(Use))
    def use(self, use: Use) -> None:
        try:
            require_use(self.state, use, "k")
        except KeyStateError:
            assert self.state is not KeyState.ACTIVE
        else:
            assert not self.gone
            assert self.state is KeyState.ACTIVE or (self.state is KeyState.DEACTIVATED and use is Use.PROCESS)

    @invariant()
    def what_is_gone_never_comes_back(self) -> None:
        assert not self.gone or self.state in (KeyState.SCRUBBING, KeyState.DESTROYED)


KeyMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=20, deadline=None)
TestKeyMachine = KeyMachine.TestCase

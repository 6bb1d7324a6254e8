"""Generated values have the form, the length and the spread that their rule promises."""

import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.errors import UsageError
from keystead.secrets import generators
from keystead.secrets.generators import Rule, parse_rule
from keystead.secrets.words import words

FORMS = {
    "random": lambda amount: rf"[A-Za-z0-9]{{{amount}}}",
    "hex": lambda amount: rf"[0-9a-f]{{{amount}}}",
    "words": lambda amount: rf"[a-z]+(?:-[a-z]+){{{amount - 1}}}",
}
rules = st.one_of(
    st.builds(Rule, st.just("random"), st.integers(16, 300)),
    st.builds(Rule, st.just("hex"), st.integers(32, 300)),
    st.builds(Rule, st.just("words"), st.integers(4, 64)),
)


@given(rules)
@settings(max_examples=60)
def test_a_value_has_the_form_of_its_rule(rule: Rule) -> None:
    value = rule.generate()
    assert re.fullmatch(FORMS[rule.kind](rule.amount), value)
    assert value != rule.generate()


@given(rules)
def test_a_rule_reads_back(rule: Rule) -> None:
    assert parse_rule(str(rule)) == rule


@given(rules)
def test_every_rule_has_at_least_44_bits(rule: Rule) -> None:
    assert rule.entropy_bits() >= 44


@pytest.mark.parametrize(("text", "bits"), [("random:32", 190), ("hex:64", 256), ("words:6", 66)])
def test_entropy_is_that_of_the_symbols(text: str, bits: int) -> None:
    assert int(parse_rule(text).entropy_bits()) == bits


@pytest.mark.parametrize(
    "text", ["random:15", "random:4097", "hex:31", "hex:4097", "words:3", "words:65", "words:99999"]
)
def test_an_amount_out_of_bounds_is_refused_with_the_bounds(text: str) -> None:
    with pytest.raises(UsageError, match=r"out of bounds.* to "):
        parse_rule(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", "random", "random:", "random:0", "random:032", "random:-32", "random: 32", "RANDOM:32", "base64:32"),
        *("hex:٣٢", "random:32\n", "random:999999", None, 32),
    ],
)
def test_another_spelling_is_refused(text) -> None:
    with pytest.raises(UsageError, match="random:32, hex:64 or words:6"):
        parse_rule(text)


def test_every_symbol_is_drawn_about_equally_often() -> None:
    drawn = Counter("".join(Rule("random", 4096).generate() for _ in range(15)))
    expected = 15 * 4096 / 62
    assert len(drawn) == 62
    # six standard deviations: about one run in ten million would fail
    assert all(abs(count - expected) < 6 * expected**0.5 for count in drawn.values())


def test_numbers_that_would_favour_the_first_symbols_are_drawn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    supply = iter([b"\xff\xff" * 15 + b"\x00\x01", b"\xff\xfe" + b"\x00\x02" * 14, b"\x00\x03"])
    monkeypatch.setattr(generators, "random_bytes", lambda length: next(supply))
    assert Rule("random", 16).generate() == "B" + "C" * 14 + "D"


def test_there_are_2048_words_easily_told_apart() -> None:
    listed = words()
    assert len(listed) == len(set(listed)) == 2048
    assert list(listed) == sorted(listed)
    assert all(re.fullmatch(r"[a-z]{3,8}", word) for word in listed)
    assert len({word[:4] for word in listed}) == 2048


def test_no_two_words_differ_in_one_letter_only() -> None:
    changed = Counter(f"{word[:at]}?{word[at + 1 :]}" for word in words() for at in range(len(word)))
    shortened = {word[:at] + word[at + 1 :] for word in words() for at in range(len(word))}
    assert max(changed.values()) == 1
    assert not shortened & set(words())

"""The text of an access token: recognized offline, refused where a letter is wrong, and never shown by accident."""

from __future__ import annotations

import copy
import pickle
import re
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.access.token_text import AccessToken, Kind, is_well_formed, mint, parse
from keystead.access.tokens import Holder, TokenLimits, TokenRules, info, issued
from keystead.errors import AuthenticationFailed

LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize("kind", list(Kind))
def test_a_text_has_256_random_bits_and_a_check_that_anybody_can_compute(kind: Kind) -> None:
    text, random = mint(kind)
    match = re.fullmatch(r"ks_([a-z]{3})_([0-9A-Za-z]{43})_([0-9A-Za-z]{6})", text)
    assert match is not None and match[1] == kind.value and len(random) == 32
    number = 0
    for letter in match[3]:
        number = number * 62 + LETTERS.index(letter)
    assert number == zlib.crc32(text.rpartition("_")[0].encode())
    assert parse(text, kind) == random
    assert len({mint(kind)[0] for _ in range(100)}) == 100


@settings(deadline=None)
@given(place=st.integers(0, 56), letter=st.sampled_from(LETTERS + "_- é"))
def test_every_single_typing_mistake_is_found_without_a_store(place: int, letter: str) -> None:
    text, _ = mint(Kind.PERSON)
    typed = text[:place] + letter + text[place + 1 :]
    assert is_well_formed(typed) == (typed == text)


@settings(deadline=None)
@given(st.one_of(st.text(max_size=80), st.none(), st.binary(max_size=60), st.integers()))
def test_anything_else_is_refused_with_one_answer(shown: object) -> None:
    with pytest.raises(AuthenticationFailed) as caught:
        parse(shown, *Kind)
    assert str(caught.value).startswith("authentication failed")


def test_a_kind_is_not_taken_for_another_and_blanks_around_are_no_spelling() -> None:
    text, _ = mint(Kind.SECRET_ID)
    with pytest.raises(AuthenticationFailed):
        parse(text, Kind.SERVICE, Kind.PERSON)
    for spelled in (f" {text}", f"{text}\n", text.upper(), text.replace("ks_", "KS_")):
        assert not is_well_formed(spelled)


def test_a_number_beyond_32_bytes_is_refused_though_its_check_is_right() -> None:
    body = f"ks_svc_{'z' * 43}"
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = LETTERS[digit] + digits
    assert not is_well_formed(f"{body}_{digits}")


def test_a_token_prints_nothing_of_itself_and_refuses_pickle_and_copy() -> None:
    text, _ = mint(Kind.SERVICE)
    record = issued(b"h", "acc_1", Holder("token:x", "token"), TokenRules(), 0, limits=TokenLimits(10, 10))
    token = AccessToken(text, info(record, 0))
    assert token.reveal() == text
    assert text[7:20] not in f"{token!r} {token} {token.info}"
    for refuse in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            refuse(token)

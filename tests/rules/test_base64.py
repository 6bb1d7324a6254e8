"""Base64 in a request has one spelling, so that no two texts are the same bytes."""

from __future__ import annotations

import base64
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystead.api.shapes import from_base64

TEXTS = st.text("AQgw+/=\n -_\u00e9", max_size=12)


def spelled(text: str) -> bytes | None:
    """The bytes whose encoding the text is, found the long way."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except ValueError:
        return None
    return data if base64.b64encode(data).decode() == text else None


def check(text: str) -> None:
    wanted = spelled(text)
    if wanted is None:
        with pytest.raises(ValueError, match="not base64"):
            from_base64(text)
    else:
        assert from_base64(text) == wanted


def test_every_short_text_is_read_where_it_is_the_encoding_of_what_it_is_read_as() -> None:
    for length in range(5):
        for text in product("AQgw+/=\n -", repeat=length):
            check("".join(text))


@given(TEXTS)
def test_a_text_is_read_where_it_is_the_encoding_of_what_it_is_read_as(text: str) -> None:
    check(text)


@given(st.binary(max_size=200), TEXTS)
def test_what_was_encoded_is_read_and_with_anything_added_is_not(data: bytes, more: str) -> None:
    encoded = base64.b64encode(data).decode()
    assert from_base64(encoded) == data
    check(encoded + more)
    check(more + encoded)

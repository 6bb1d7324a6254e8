"""Canonical AAD: one meaning, one spelling, and no two meanings in one spelling."""

from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.crypto.aad import bind, canonical_aad, join_fields
from keystead.errors import UsageError

TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=6)
LONG = st.integers(254, 300).map(lambda length: "é" * (length // 2) + "e" * (length % 2))
MAPPINGS = st.dictionaries(TEXTS, TEXTS, max_size=4)
FIELDS = st.lists(st.none() | st.binary(max_size=5) | TEXTS | st.integers(), max_size=5)


def meaning(fields):
    return [None if f is None else f if isinstance(f, bytes) else str(f).encode() for f in fields]


@given(FIELDS, FIELDS)
@settings(max_examples=200, deadline=None)
def test_joined_fields_are_injective(left, right):
    assert (join_fields(*left) == join_fields(*right)) == (meaning(left) == meaning(right))


@given(MAPPINGS, MAPPINGS)
@settings(max_examples=200, deadline=None)
def test_mappings_are_injective_whatever_their_order(left, right):
    assert (canonical_aad(left) == canonical_aad(right)) == (left == right)
    assert canonical_aad(dict(reversed(left.items()))) == canonical_aad(left)


@given(st.dictionaries(TEXTS | LONG, TEXTS | LONG, max_size=4))
@settings(max_examples=200, deadline=None)
def test_a_mapping_is_its_names_and_values_joined_in_the_order_of_the_names(mapping):
    wanted = [field for name in sorted(mapping) for field in (name, mapping[name])]
    assert canonical_aad(mapping) == join_fields(*wanted)
    assert canonical_aad(MappingProxyType(mapping)) == join_fields(*wanted)


@given(st.tuples(TEXTS, FIELDS), st.tuples(TEXTS, FIELDS))
@settings(max_examples=200, deadline=None)
def test_bindings_of_stored_records_are_injective(left, right):
    same = left[0] == right[0] and meaning(left[1]) == meaning(right[1])
    assert (bind(left[0], *left[1]) == bind(right[0], *right[1])) == same


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({"a|b": "c"}, {"a": "b|c"}),
        ({"ab": "c"}, {"a": "bc"}),
        ({"a": "", "b": ""}, {"a": "b", "": ""}),
        ({"a": "b"}, {"a": "b\0"}),
        ({"": ""}, {}),
        ({"x": "y" * 65_536}, {"x": "y" * 65_535}),
        ({"é": "1"}, {"e\u0301": "1"}),
    ],
)
def test_fields_do_not_run_into_each_other(left, right):
    assert canonical_aad(left) != canonical_aad(right)


def test_bytes_are_taken_as_they_are_and_text_is_utf8():
    assert canonical_aad(b"\x00\xff") == b"\x00\xff"
    assert canonical_aad("grüße") == "grüße".encode()
    assert canonical_aad(None) == canonical_aad("") == canonical_aad({}) == b""


def test_the_canonical_mapping_has_the_written_layout():
    written = b"\0\0\0\x01a" + b"\0\0\0\x01\x31" + b"\0\0\0\x01b" + b"\0\0\0\0"
    assert canonical_aad({"b": "", "a": "1"}) == written
    assert bind("secret", "n", 3, None) == b"\x01\0\0\0\x06secret\0\0\0\x01n\0\0\0\x013\xff\xff\xff\xff"


def test_names_are_sorted_by_code_point_also_beyond_the_basic_plane():
    assert canonical_aad({"\U0001f511": "1", "\uffee": "2"}) == join_fields("\uffee", "2", "\U0001f511", "1")


@pytest.mark.parametrize(
    "value", [1, 1.5, True, [], ("a",), {"a": 1}, {"a": None}, {1: "a"}, {1: "a", "b": "c"}, {b"a": "b"}, bytearray(1)]
)
def test_other_types_are_refused(value):
    with pytest.raises(UsageError):
        canonical_aad(value)


@pytest.mark.parametrize("value", ["\ud800", {"a": "\ud800"}, {"\udfff": "a"}])
def test_half_a_surrogate_pair_is_refused_without_carrying_the_text(value):
    with pytest.raises(UsageError) as refused:
        canonical_aad(value)
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None


def test_a_field_whose_length_would_read_as_none_is_refused(monkeypatch):
    monkeypatch.setattr("keystead.crypto.aad.MAX_FIELD", 300)
    assert join_fields(bytes(300)) == b"\0\0\x01\x2c" + bytes(300)
    with pytest.raises(ValueError, match="4 GiB"):
        join_fields(bytes(301))

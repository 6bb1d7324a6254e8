"""A record is one line of ASCII, whatever is in its fields, and only text and whole numbers fit in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.audit.record import MAX_TEXT, Event, Outcome, Record

HOSTILE = [
    "line\nbreak", "carriage\rreturn", "\x1b[31mred\x1b[0m", '","outcome":"success', "\\", '"}', "\u202eevil\u202c",
    "\u2028\u2029\x85", "\x00\x7f\x9b", "\ud800", "\U0001f600", "{}[]", "</script>", "%s%n", "\t\v\f",
]  # fmt: skip
FIELDS = ["node", "session", "principal", "event", "target", "outcome", "request_id", "operation_id"]
DESIGN_NAMES = {
    "kms_initialized", "kms_error", "secret_stored", "secret_retrieved", "secret_expired", "secret_rotated",
    "data_key_rotated", "data_encrypted", "data_decrypted", "decryption_failed", "cache_hit", "cache_miss",
    "secrets_manager_initialized", "configuration_loaded",
}  # fmt: skip


def plain(**fields: Any) -> Record:
    return Record(1_700_000_000_000, "n", "s", "user:ada", Event.SECRET_STORED, "API_KEY")._replace(**fields)


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("text", HOSTILE)
def test_no_field_can_break_out_of_its_line(field: str, text: str) -> None:
    content = plain(**{field: text}).content()
    assert all(0x20 <= byte <= 0x7E for byte in content)
    assert json.loads(content)[field] == text
    assert Record.parse(content).content() == content


@pytest.mark.parametrize("text", HOSTILE)
def test_no_detail_can_break_out_of_its_line(text: str) -> None:
    content = plain(detail={text: text}).content()
    assert all(0x20 <= byte <= 0x7E for byte in content)
    assert json.loads(content)["detail"] == {text: text}


texts = st.text(alphabet=st.characters(), max_size=60)
details = st.dictionaries(texts, texts | st.integers(-(2**63), 2**63 - 1), max_size=5)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(texts, min_size=6, max_size=6),
    st.dictionaries(texts, texts | st.integers(-(2**63), 2**63 - 1), max_size=5),
)
def test_every_record_comes_back_from_its_content(fields: list[str], detail: dict[str, str | int]) -> None:
    record = Record(5, *fields[:3], Event.CACHE_HIT, fields[3], Outcome.FAILED, fields[4], fields[5], detail)
    content = record.content()
    assert b"\n" not in content and content.isascii()
    assert Record.parse(content) == record._replace(event="cache_hit", outcome="failed")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_as_content(data: bytes) -> None:
    with pytest.raises(ValueError, match="canonical"):
        Record.parse(data)


@pytest.mark.parametrize(
    "change", [(b'":', b'": '), (b'"time":1', b'"time":01'), (b"}}", b"}} "), (b"user", b"\\u0075ser")]
)
def test_another_spelling_of_the_same_record_is_refused(change: tuple[bytes, bytes]) -> None:
    content = plain(detail={"version": 3}).content()
    other = content.replace(*change)
    assert other != content
    with pytest.raises(ValueError, match="canonical"):
        Record.parse(other)


@pytest.mark.parametrize("value", [b"bytes", bytearray(b"x"), 1.5, None, ["x"], {"a": 1}, 2**63])
def test_detail_takes_text_and_bounded_whole_numbers_only(value: object) -> None:
    with pytest.raises(TypeError):
        plain(detail={"value": value}).content()


def test_long_text_is_cut_and_marked() -> None:
    record = Record.parse(plain(target="x" * 5000, detail={"why": "y" * 5000}).content())
    assert len(record.target) == MAX_TEXT and record.target.endswith("...(5000 characters)")
    assert str(record.detail["why"]).endswith("...(5000 characters)")


def test_the_events_of_the_design_have_their_names() -> None:
    assert {event.value for event in Event} >= DESIGN_NAMES


def test_fields_stand_in_fixed_order_and_detail_sorted() -> None:
    content = plain(detail={"b": 1, "a": 2}).content()
    assert list(json.loads(content)) == [
        "time", "event", "outcome", "target", "principal", "session", "node", "request_id", "operation_id", "detail",
    ]  # fmt: skip
    assert content.endswith(b'"detail":{"a":2,"b":1}}')

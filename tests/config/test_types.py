"""From text to each type that a configuration has."""

from __future__ import annotations

import enum
import math
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.clock import format_duration
from keystead.config.convert import BOOL_WORDS, Json, Kind, kind_of
from keystead.config.declare import SecretStr
from keystead.config.sizes import MAX_SIZE, ByteSize
from keystead.config.urls import URL, SecretURL
from keystead.errors import UsageError
from keystead.secrets.value import SecretValue


class Level(enum.Enum):
    LOW = "low"
    HIGH = "high"


class Number(enum.IntEnum):
    ONE = 1


def kind(annotation: Any) -> Kind:
    found = kind_of(annotation)
    assert found is not None
    return found


READ: list[tuple[Any, str, Any]] = [
    (str, " as it is ", " as it is "),
    (int, "8080", 8080),
    (int, " -7 ", -7),
    (float, "0.75", 0.75),
    (float, "1e-3", 0.001),
    (float, "5", 5.0),
    (float, ".5", 0.5),
    (timedelta, "1h30m", timedelta(minutes=90)),
    (timedelta, "0s", timedelta()),
    (ByteSize, "64KiB", 65536),
    (ByteSize, "1.5GiB", 1610612736),
    (ByteSize, "10 MB", 10_000_000),
    (ByteSize, "0B", 0),
    (Path, "/var/lib", Path("/var/lib")),
    (URL, "https://example.org/x", "https://example.org/x"),
    (Level, "low", Level.LOW),
    (Level, "HIGH", Level.HIGH),
    (Number, "1", Number.ONE),
    (Literal["dev", "prod"], "prod", "prod"),
    (Literal[1, 2], "2", 2),
    (list[str], "a, b ,c", ["a", "b", "c"]),
    (list[str], '["a,b", "c"]', ["a,b", "c"]),
    (list[str], "", []),
    (list, "a", ["a"]),
    (list[int], "1,2", [1, 2]),
    (list[int], '[1, "2"]', [1, 2]),
    (list[Level], "low,high", [Level.LOW, Level.HIGH]),
    (tuple[int, ...], "1,2", (1, 2)),
    (set[str], "a,a", {"a"}),
    (frozenset[int], "[1]", frozenset({1})),
    (list[timedelta], "1s,2s", [timedelta(seconds=1), timedelta(seconds=2)]),
    (dict, '{"a": [1]}', {"a": [1]}),
    (dict[str, int], '{"a": 1}', {"a": 1}),
    (dict[str, Any], '{"a": null}', {"a": None}),
    (dict[str, timedelta], '{"a": "5m"}', {"a": timedelta(minutes=5)}),
    (Annotated[Any, Json], "[1, [2]]", [1, [2]]),
    (Annotated[list[list[int]], Json], "[[1]]", [[1]]),
    (int | None, "5", 5),
    (int | None, "", None),
    (str | None, "", None),
]


@pytest.mark.parametrize(("annotation", "text", "value"), READ, ids=lambda value: str(value)[:30])
def test_a_text_becomes_the_declared_type(annotation: Any, text: str, value: Any) -> None:
    read = kind(annotation).read(text)
    assert read == value
    assert type(read) is type(value) or isinstance(read, (ByteSize, URL))


REFUSED: list[tuple[Any, str]] = [
    (int, "80x"),
    (int, ""),
    (int, "1_000"),
    (int, "٣"),
    (int, "1.0"),
    (int, "9" * 5000),
    (float, "nan"),
    (float, "inf"),
    (float, "1e999"),
    (float, "1,5"),
    (float, ""),
    (bool, "2"),
    (bool, "maybe"),
    (bool, ""),
    (timedelta, "300"),
    (timedelta, "5 minutes"),
    (timedelta, "-5m"),
    (ByteSize, "64"),
    (ByteSize, "64kib"),
    (ByteSize, "1Mb"),
    (ByteSize, "0.3B"),
    (ByteSize, "-1B"),
    (ByteSize, "9000000TiB"),
    (URL, "example.org"),
    (Level, "Low"),
    (Literal["dev"], "DEV"),
    (list[int], "1,,2"),
    (list[int], "1,x"),
    (list[int], "[1, true]"),
    (list[int], "[1"),
    (list[str], "[1]"),
    (dict[str, int], '{"a": "x"}'),
    (dict[str, int], "[1]"),
    (dict[str, int], '{"a": 1, "a": 2}'),
    (dict, '{"a": NaN}'),
    (dict, "[" * 100_000),
    (Annotated[Any, Json], "canary"),
    (int | None, "x"),
]


@pytest.mark.parametrize(("annotation", "text"), REFUSED, ids=lambda value: str(value)[:30])
def test_another_spelling_is_refused_with_what_would_do_and_without_the_text(annotation: Any, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        kind(annotation).read(text)
    assert caught.value.__context__ is None, "the cause holds the text"
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "annotation",
    [
        complex,
        bytes,
        object,
        int | str,
        list[list[int]],
        list[dict[str, int]],
        tuple[int, str],
        dict[int, str],
        set[SecretStr],
        dict[str, SecretStr],
        Kind,
    ],
)
def test_a_type_that_a_configuration_does_not_have_has_no_kind(annotation: Any) -> None:
    assert kind_of(annotation) is None


@given(st.sampled_from(sorted(BOOL_WORDS)), st.lists(st.booleans(), min_size=5, max_size=5))
@settings(max_examples=100, deadline=None)
def test_a_truth_value_has_eight_words_in_any_case(word: str, upper: list[bool]) -> None:
    spelled = "".join(sign.upper() if up else sign for sign, up in zip(word, upper, strict=False))
    assert kind(bool).read(f" {spelled} ") is BOOL_WORDS[word]


@given(st.text(max_size=8).filter(lambda text: text.strip().lower() not in BOOL_WORDS))
@settings(max_examples=200, deadline=None)
def test_any_other_word_is_no_truth_value_and_the_error_lists_the_eight(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        kind(bool).read(text)
    assert all(word in str(caught.value) for word in BOOL_WORDS)


@given(st.integers(0, MAX_SIZE))
@settings(max_examples=200, deadline=None)
def test_a_size_prints_as_text_that_reads_back_as_the_same_size(size: int) -> None:
    assert ByteSize.parse(str(ByteSize(size))) == size


@given(st.integers(0, 2**20), st.sampled_from(["kB", "MB", "KiB", "MiB", "GiB"]))
@settings(max_examples=100, deadline=None)
def test_a_size_in_a_unit_is_so_many_of_it(number: int, unit: str) -> None:
    each = {"kB": 1000, "MB": 1000**2, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}[unit]
    assert ByteSize.parse(f"{number}{unit}") == number * each


@given(st.text(max_size=12))
@settings(max_examples=200, deadline=None)
def test_any_text_is_a_size_or_a_usage_error(text: str) -> None:
    try:
        assert 0 <= ByteSize.parse(text) <= MAX_SIZE
    except UsageError as error:
        assert error.hint


@given(st.integers(0, 10**12))
@settings(max_examples=200, deadline=None)
def test_a_duration_reads_back_as_it_was_written(ms: int) -> None:
    assert kind(timedelta).read(format_duration(ms)) == timedelta(milliseconds=ms)


@given(st.floats(allow_nan=False, allow_infinity=False))
@settings(max_examples=200, deadline=None)
def test_a_number_reads_back_as_it_was_written(number: float) -> None:
    assert kind(float).read(repr(number)) == number or not math.isfinite(number)


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=5), max_size=4))
@settings(max_examples=100, deadline=None)
def test_a_list_written_as_json_reads_back(items: list[str]) -> None:
    import json

    assert kind(list[str]).read(json.dumps(items)) == items


def test_a_size_is_an_int_that_shows_its_unit() -> None:
    size = ByteSize(65536)
    assert (size + 1, f"{size}", f"{size:d}", repr(size)) == (65537, "64KiB", "65536", "ByteSize(65536)")


def test_secret_types_are_made_from_a_secret_and_keep_its_name_and_version() -> None:
    secret = SecretValue("redis://:pw@h", name="R", version=4)
    for annotation in (SecretStr, SecretURL, SecretValue, SecretStr | None):
        wrap = kind(annotation).wrap
        assert wrap is not None
        made = wrap(secret)
        assert (made.name, made.version, made.reveal()) == ("R", 4, "redis://:pw@h")


def test_a_list_of_secrets_is_made_from_one_secret() -> None:
    wrap = kind(list[SecretStr]).wrap
    assert wrap is not None
    assert [item.reveal() for item in wrap(SecretValue("a,b"))] == ["a", "b"]


@pytest.mark.parametrize("annotation", [SecretStr, SecretURL])
def test_bytes_are_no_secret_text(annotation: Any) -> None:
    wrap = kind(annotation).wrap
    assert wrap is not None
    with pytest.raises(UsageError, match="SecretValue"):
        wrap(SecretValue(b"\x00canary"))


@pytest.mark.parametrize("annotation", [SecretValue, SecretStr, SecretURL])
def test_an_empty_secret_is_refused(annotation: Any) -> None:
    wrap = kind(annotation).wrap
    assert wrap is not None
    with pytest.raises(UsageError, match="empty"):
        wrap(SecretValue(""))


def test_a_secret_text_is_text() -> None:
    with pytest.raises(UsageError):
        SecretStr(b"x")  # type: ignore[arg-type]
    assert SecretStr("x").reveal() == SecretStr("x").get_secret_value() == "x"
    assert "canary" not in repr(SecretStr("canary", name="A"))

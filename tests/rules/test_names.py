"""Names, references, environment variables and tags: what is accepted, and that errors repeat nothing."""

import re
import string

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from keystead.errors import NameCollision, UsageError
from keystead.secrets.labels import Label
from keystead.secrets.names import (
    MAX_TAG_KEY_LENGTH,
    MAX_TAG_VALUE_LENGTH,
    MAX_TAGS,
    MAX_VERSION,
    Reference,
    check_name,
    check_tags,
    check_version,
    environment_name,
    environment_names,
    parse_reference,
)

ALPHABET = string.ascii_letters + string.digits + "_+=.@-"
segments = st.text(ALPHABET, min_size=1, max_size=20).filter(lambda text: text not in (".", ".."))
names = st.lists(segments, min_size=1, max_size=8).map("/".join)


def is_name(text: str) -> bool:
    """The rule again, written differently."""
    return 1 <= len(text) <= 512 and all(
        segment not in ("", ".", "..") and all(character in ALPHABET for character in segment)
        for segment in text.split("/")
    )


@given(names)
def test_a_name_is_given_back_as_it_is(name: str) -> None:
    assert check_name(name) is name


@given(st.one_of(st.text(max_size=12), st.text("a./#\n", max_size=8), st.text(ALPHABET + "/", max_size=12)))
@settings(max_examples=200)
def test_exactly_the_names_are_accepted(text: str) -> None:
    if is_name(text):
        assert check_name(text) == text
    else:
        with pytest.raises(UsageError, match="not a secret name"):
            check_name(text)


@pytest.mark.parametrize(
    "name", ["API_KEY", "db/primary", "a", "x" * 512, "a.b", "..a", "a..", "...", ".env", "=", "user+tag@host", "1"]
)
def test_these_are_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "a/.",
        "a/../b",
        "./a",
        "x" * 513,
        "a b",
        "a\n",
        "a#3",
        "é",
        "a\x00",
        "ａ",
    ],
)
def test_these_are_not(name: str) -> None:
    with pytest.raises(UsageError):
        check_name(name)


@pytest.mark.parametrize("name", [None, 3, b"API_KEY", ["a"]])
def test_only_text_is_a_name(name) -> None:
    with pytest.raises(UsageError, match="of type"):
        check_name(name)
    with pytest.raises(UsageError, match="of type"):
        parse_reference(name)


def test_the_error_does_not_repeat_a_value_given_by_mistake() -> None:
    with pytest.raises(UsageError) as refused:
        check_name("mongodb://ada:canary-7f3a@db:27017")
    assert "canary" not in str(refused.value)
    assert "position 8 " in str(refused.value)


def test_a_long_hostile_name_is_judged_in_linear_time() -> None:
    with pytest.raises(UsageError):
        check_name("a/" * 255 + "a!")


@given(names, st.integers(1, MAX_VERSION))
def test_a_reference_to_a_version_reads_back(name: str, version: int) -> None:
    reference = parse_reference(f"{name}#{version}")
    assert reference == Reference(name, version=version, label=None)
    assert parse_reference(str(reference)) == reference


@given(names, st.sampled_from(Label))
def test_a_reference_to_a_label_reads_back(name: str, label: Label) -> None:
    reference = parse_reference(f"{name}#{label}")
    assert reference == Reference(name, version=None, label=label)
    assert str(reference) == f"{name}#{label}"


@given(names)
def test_a_name_alone_refers_to_no_version_in_particular(name: str) -> None:
    assert parse_reference(name) == Reference(name)
    assert str(Reference(name)) == name


@pytest.mark.parametrize(
    "selector",
    ["", "0", "03", "+3", "-1", "3.0", "1e3", "٣", " 3", "3 ", "Previous", "latest", "3#4", "2147483648", "9" * 30],
)
def test_there_is_one_spelling_of_a_selector(selector: str) -> None:
    with pytest.raises(UsageError):
        parse_reference(f"API_KEY#{selector}")


@pytest.mark.parametrize("version", [0, -1, True, 1.0, "1", None, MAX_VERSION + 1])
def test_these_are_no_versions(version) -> None:
    with pytest.raises(UsageError):
        check_version(version)


@pytest.mark.parametrize(
    ("name", "variable"),
    [("API_KEY", "API_KEY"), ("db/primary", "DB_PRIMARY"), ("a.b-c+d=e@f", "A_B_C_D_E_F"), ("Mixed1", "MIXED1")],
)
def test_the_variable_of_a_name_is_upper_case_and_underscores(name: str, variable: str) -> None:
    assert environment_name(name) == variable


@given(names)
def test_every_variable_is_plain_and_stays_what_it_is(name: str) -> None:
    variable = environment_name(name)
    assert re.fullmatch(r"[A-Z0-9_]+", variable)
    assert environment_name(variable) == variable


@given(st.lists(names, max_size=8, unique_by=environment_name))
def test_names_without_a_collision_each_get_their_variable(several: list[str]) -> None:
    assert environment_names(several) == {name: environment_name(name) for name in several}


@given(names, st.integers(0, 3))
def test_a_collision_names_both(name: str, seed: int) -> None:
    other = name.swapcase() if seed % 2 else name.replace("/", "-")
    assume(other != name)
    with pytest.raises(NameCollision) as refused:
        environment_names([name, "unrelated-zz", other])
    assert name in refused.value.message
    assert other in refused.value.message


def test_the_same_name_twice_is_no_collision() -> None:
    assert environment_names(["a/b", "a/b"]) == {"a/b": "A_B"}


tag_keys = st.text(string.ascii_letters + string.digits + "_.:/+@-", min_size=1, max_size=MAX_TAG_KEY_LENGTH)
tag_values = st.text(max_size=40).filter(str.isprintable)


@given(st.dictionaries(tag_keys, tag_values, max_size=6))
def test_tags_come_back_as_a_sorted_copy(tags: dict[str, str]) -> None:
    checked = check_tags(tags)
    assert checked == tags
    assert checked is not tags
    assert list(checked) == sorted(tags)


@pytest.mark.parametrize(
    "tags",
    [
        {"": "x"},
        {"a=b": "x"},
        {"a b": "x"},
        {"k" * (MAX_TAG_KEY_LENGTH + 1): "x"},
        {"k": "v" * (MAX_TAG_VALUE_LENGTH + 1)},
        {"k": "line\nbreak"},
        {"k": "\x1b[31m"},
        {"k": "\ud800"},
        {"k": 3},
        {3: "v"},
        {"k": None},
        {f"k{number}": "v" for number in range(MAX_TAGS + 1)},
        ["k"],
        "k=v",
        None,
    ],
)
def test_tags_out_of_bounds_are_refused(tags) -> None:
    with pytest.raises(UsageError):
        check_tags(tags)


def test_tags_at_the_bounds_are_accepted() -> None:
    tags = {f"{number:0{MAX_TAG_KEY_LENGTH}}": "é" * MAX_TAG_VALUE_LENGTH for number in range(MAX_TAGS)}
    assert check_tags(tags) == tags

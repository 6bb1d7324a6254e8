"""A SecretValue shows nothing, compares in constant time, and stays where it is."""

import copy
import io
import json
import logging
import pickle
import re
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.errors import UsageError
from keystead.secrets.value import SecretValue, SecretValueWarning

CANARY = "canary-7f3a9c51e2"
texts = st.text()
values = st.one_of(texts, st.binary())


def secret(value: str | bytes = CANARY) -> SecretValue:
    return SecretValue(value, name="API_KEY", version=3)


def test_repr_names_the_secret_and_its_version() -> None:
    assert repr(secret()) == "<secret API_KEY#3: use .reveal()>"
    assert repr(SecretValue(CANARY)) == "<secret: use .reveal()>"
    assert repr(SecretValue(CANARY, name="db/primary")) == "<secret db/primary: use .reveal()>"
    assert repr([secret(b"bytes")]) == "[<secret API_KEY#3: use .reveal()>]"


@pytest.mark.parametrize("to_text", [str, format, lambda value: f"{value}", "{}".format])
def test_turning_it_into_text_gives_the_placeholder_and_a_warning(to_text) -> None:
    with pytest.warns(SecretValueWarning, match="reveal"):
        assert to_text(secret()) == "<secret API_KEY#3: use .reveal()>"


def test_a_format_specification_applies_to_the_placeholder() -> None:
    with pytest.warns(SecretValueWarning):
        assert f"{secret():>40}" == "       <secret API_KEY#3: use .reveal()>"


def test_text_warns_once_a_call_site_whatever_the_secret() -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("default")
        for name in ("A", "B", "C"):
            str(SecretValue(CANARY, name=name))
        f"{secret()}"
    assert len(seen) == 2
    assert {warning.filename for warning in seen} == {__file__}


def test_a_log_call_is_the_call_site_and_not_the_logging_package() -> None:
    logger = logging.Logger("rules")
    stream = io.StringIO()
    logger.addHandler(logging.StreamHandler(stream))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("default")
        for _ in range(3):
            logger.error("value is %s", secret())
        logger.error("value is %s", secret())
    assert [warning.filename for warning in seen] == [__file__, __file__]
    assert CANARY not in stream.getvalue()


@given(values)
def test_reveal_gives_back_what_went_in(value: str | bytes) -> None:
    held = SecretValue(value)
    assert held.reveal() == value
    assert held.get_secret_value() == value
    assert type(held.reveal()) is type(value)
    assert bool(held) is bool(value)
    assert len(held) == len(value)


@given(values, values)
@settings(max_examples=200)
def test_equality_is_that_of_the_values_and_their_kinds(left: str | bytes, right: str | bytes) -> None:
    same = type(left) is type(right) and left == right
    assert (SecretValue(left) == SecretValue(right)) is same
    assert (SecretValue(left) == right) is same
    assert (right == SecretValue(left)) is same
    assert (SecretValue(left) != right) is not same


@given(st.text(st.characters(exclude_categories=[]), min_size=1))
def test_text_never_equals_its_own_bytes(text: str) -> None:
    encoded = text.encode("utf-8", "surrogatepass")
    assert SecretValue(text) == text
    assert SecretValue(text) != encoded
    assert SecretValue(encoded) != text
    assert SecretValue(text) != SecretValue(encoded)


def test_it_equals_nothing_of_another_type() -> None:
    assert secret("1") != 1
    assert secret("") != None  # noqa: E711 - the comparison is what is tested
    assert secret(b"x") != bytearray(b"x")


def test_name_and_version_do_not_decide_equality() -> None:
    assert SecretValue("x", name="A", version=1) == SecretValue("x", name="B", version=2)


@pytest.mark.parametrize(
    "leave",
    [
        *(
            lambda value, protocol=protocol: pickle.dumps(value, protocol)
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
        ),
        copy.copy,
        copy.deepcopy,
        lambda value: copy.deepcopy({"config": [value]}),
        json.dumps,
        lambda value: json.dumps({"a": value}),
        hash,
        vars,
        list,
        lambda value: CANARY in value,
        lambda value: value + "suffix",
        lambda value: "".join([value]),
        lambda value: value.__getstate__(),
        lambda value: io.StringIO().write(value),
    ],
)
def test_it_refuses_every_way_out_but_reveal(leave) -> None:
    with pytest.raises(TypeError) as refused:
        leave(secret())
    assert CANARY not in str(refused.value)


@pytest.mark.parametrize("attribute", ["name", "version", "value", "__dict__"])
def test_its_attributes_cannot_be_set(attribute: str) -> None:
    held = secret()
    with pytest.raises(AttributeError):
        setattr(held, attribute, "other")
    assert (held.name, held.version, held.reveal()) == ("API_KEY", 3, CANARY)


@pytest.mark.parametrize("value", [None, 3, bytearray(b"x"), ["x"], secret()])
def test_only_text_and_bytes_are_values(value) -> None:
    with pytest.raises(UsageError, match="text or bytes"):
        SecretValue(value)


def test_a_failing_comparison_in_an_assertion_shows_no_value() -> None:
    with pytest.raises(AssertionError) as failed:
        assert secret() == "guess"
    assert not re.search(CANARY, str(failed.value))

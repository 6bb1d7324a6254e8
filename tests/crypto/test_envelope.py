"""Envelope v1: every change is refused, in the way the format promises, and one envelope has one spelling."""

import json
import time
from base64 import b64decode, b64encode
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.crypto import compact, envelope
from keystead.crypto.purpose import Purpose
from keystead.errors import DecryptionError, EnvelopeError

KEY = envelope.EnvelopeKey("default-1707000000000", bytes(range(32)))
PLAINTEXT = b"correct horse battery staple"
BINARY_FIELDS = ("iv", "tag", "ciphertext", "aad")
STANDARD = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def sealed(aad: bytes = b"user:7") -> dict[str, object]:
    return dict(KEY.seal(PLAINTEXT, aad, 1_707_000_000_000))


def field_of_refusal(changed) -> str:
    with pytest.raises(EnvelopeError) as refused:
        envelope.parse(changed)
    return refused.value.field


def test_what_was_sealed_opens_with_its_aad_and_without_one():
    for form in (sealed(), MappingProxyType(sealed()), json.dumps(sealed()), json.dumps(sealed()).encode()):
        assert KEY.open(envelope.parse(form), b"user:7") == PLAINTEXT
        assert KEY.open(envelope.parse(form), None) == PLAINTEXT


def test_every_bit_flip_of_iv_tag_ciphertext_and_aad_gives_one_identical_error():
    whole = sealed()
    told, flips = set(), 0
    for name in BINARY_FIELDS:
        data = b64decode(whole[name])
        for bit in range(len(data) * 8):
            changed = bytearray(data)
            changed[bit // 8] ^= 1 << bit % 8
            parts = envelope.parse({**whole, name: b64encode(changed).decode()})
            for aad in (b"user:7", None):
                with pytest.raises(DecryptionError) as refused:
                    KEY.open(parts, aad)
                error = refused.value
                told.add((str(error), repr(error), error.code, error.__cause__, error.__suppress_context__))
                flips += 1
    assert flips == 2 * 8 * (12 + 16 + len(PLAINTEXT) + 6)
    assert len({entry[0] for entry in told}) == 1
    assert all(cause is None for _, _, _, cause, _ in told)


def test_every_bit_flip_of_the_json_text_is_refused_or_changes_only_what_decides_nothing():
    whole = sealed()
    text = json.dumps(whole).encode()
    opened = 0
    for bit in range(len(text) * 8):
        changed = bytearray(text)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            parts = envelope.parse(bytes(changed))
            plaintext = KEY.open(parts, b"user:7")
        except (EnvelopeError, DecryptionError):
            continue
        # What is left are key id and timestamp, which the format says decide nothing, and white space.
        fields = json.loads(bytes(changed))
        assert {name: fields[name] for name in BINARY_FIELDS} == {name: whole[name] for name in BINARY_FIELDS}
        assert plaintext == PLAINTEXT
        opened += 1
    assert opened < 8 * (len("default-1707000000000") + len("1707000000000")) + 40


@pytest.mark.parametrize("given_aad", [b"", b"user:8", b"user:7 ", b"user:"])
def test_another_aad_is_refused_with_the_same_error_as_a_flip(given_aad):
    with pytest.raises(DecryptionError) as refused:
        KEY.open(envelope.parse(sealed()), given_aad)
    assert str(refused.value) == str(DecryptionError())


def test_an_empty_aad_is_an_aad_and_must_match():
    parts = envelope.parse(sealed(b""))
    assert KEY.open(parts, b"") == PLAINTEXT
    with pytest.raises(DecryptionError):
        KEY.open(parts, b"x")


def test_aad_missing_null_and_empty_read_alike():
    whole = sealed(b"")
    without = {name: value for name, value in whole.items() if name != "aad"}
    for form in (whole, without, {**whole, "aad": None}, json.dumps(without), json.dumps({**whole, "aad": None})):
        assert KEY.open(envelope.parse(form), b"") == PLAINTEXT


@pytest.mark.parametrize("empty", [0, False, [], {}, 0.0, b""])
def test_other_empty_values_are_no_empty_aad(empty):
    assert field_of_refusal({**sealed(b""), "aad": empty}) == "aad"


@pytest.mark.parametrize("name", ["v", "alg", "keyId", "iv", "tag", "ciphertext", "timestamp"])
@pytest.mark.parametrize("value", [None, True, 1.0, 2, -1, 1 << 60, [], {}, "", "\u00e9" * 16, b"x", "a\x00", "\ud800"])
def test_a_wrong_value_is_refused_by_the_name_of_its_field(name, value):
    if name == "timestamp" and value == 2 and type(value) is int:
        value = "2"
    if name == "ciphertext" and value == "":
        value = "="
    assert field_of_refusal({**sealed(), name: value}) == name


@pytest.mark.parametrize("name", ["v", "alg", "keyId", "iv", "tag", "ciphertext", "timestamp"])
def test_a_missing_field_is_named(name):
    changed = sealed()
    del changed[name]
    assert field_of_refusal(changed) == name


def test_a_field_more_is_refused_with_and_without_aad():
    assert field_of_refusal({**sealed(), "extra": 1}) == "envelope"
    without = {name: value for name, value in sealed().items() if name != "aad"}
    assert field_of_refusal({**without, "extra": 1}) == "envelope"


@pytest.mark.parametrize("name", [*BINARY_FIELDS, "v", "alg", "keyId", "timestamp"])
def test_a_field_twice_in_text_is_refused_by_name_whatever_the_values(name):
    text = json.dumps(sealed())
    twice = text[:-1] + f', "{name}": {json.dumps(sealed()[name])}' + "}"
    assert field_of_refusal(twice) == name
    escaped = text[:-1] + f', "\\u{ord(name[0]):04x}{name[1:]}": 1' + "}"
    assert field_of_refusal(escaped) == name


@pytest.mark.parametrize("name", ["iv", "tag"])
@pytest.mark.parametrize("length", [*range(12), 13, 14, 15, 17, 24, 32, 64])
def test_other_lengths_of_iv_and_tag_are_refused_before_any_key_is_used(name, length):
    assert field_of_refusal({**sealed(), name: b64encode(bytes(length)).decode()}) == name


def test_every_truncation_of_the_text_is_refused_by_form():
    text = json.dumps(sealed())
    for length in range(len(text)):
        with pytest.raises(EnvelopeError):
            envelope.parse(text[:length])
    for tail in ("x", "{}", ",", "]", "\0", text):
        with pytest.raises(EnvelopeError):
            envelope.parse(text + tail)


@pytest.mark.parametrize("name", BINARY_FIELDS)
def test_every_other_base64_spelling_is_refused(name):
    whole = sealed()
    text = whole[name]
    spellings = {
        text + "\n",
        " " + text,
        text[:4] + "\r\n" + text[4:],
        text + "====",
        text + "=",
        "=" + text,
        text[:2] + "=" + text[3:],
        text[:2] + "==" + text[4:],
        text[:-1] + "-",
        text[:-1] + "_",
        text[:1] + "*" + text[1:],
        text[:-1],
        text + "A",
        text + "AA==AA==",
        text.rstrip("="),
    } - {text}
    if text.endswith("="):
        stem = text.rstrip("=")
        spellings |= {stem[:-1] + last + "=" * (len(text) - len(stem)) for last in STANDARD} - {text}
    for spelling in spellings:
        try:
            parts = envelope.parse({**whole, name: spelling})
        except EnvelopeError as refused:
            assert refused.field == name
        else:
            # Another byte string, spelled rightly, is form that holds; it must then fail as forged.
            assert b64encode(b64decode(spelling, validate=True)).decode() == spelling
            with pytest.raises(DecryptionError):
                KEY.open(parts, None)


@given(st.text(alphabet=STANDARD + "=-_ \n", max_size=48) | st.binary(max_size=40).map(lambda b: b64encode(b).decode()))
@settings(max_examples=200, deadline=None)
def test_base64_that_is_taken_is_its_bytes_only_spelling(text):
    try:
        *_, ciphertext, _, _ = envelope.parse({**sealed(), "ciphertext": text})
    except EnvelopeError as refused:
        assert refused.field == "ciphertext"
        try:
            canonical = b64encode(b64decode(text, validate=True)).decode() == text
        except ValueError:
            canonical = False
        assert not canonical
    else:
        assert b64encode(ciphertext).decode() == text


@given(plaintext=st.binary(max_size=300), aad=st.binary(max_size=60), now=st.integers(0, (1 << 53) - 1))
@settings(max_examples=100, deadline=None)
def test_sealed_opens_through_json_for_all_inputs(plaintext, aad, now):
    whole = KEY.seal(plaintext, aad, now)
    assert tuple(whole) == ("v", "alg", "keyId", "iv", "tag", "ciphertext", "aad", "timestamp")
    text = json.dumps(whole)
    key_id, iv, ciphertext, tag, own_aad = envelope.parse(text)
    assert (key_id, len(iv), len(ciphertext), len(tag), own_aad) == (KEY.key_id, 12, len(plaintext), 16, aad)
    assert KEY.open(envelope.parse(whole), aad) == plaintext


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(JSON | st.dictionaries(st.sampled_from([*sealed()]), JSON, max_size=9) | st.binary(max_size=30) | st.text())
@settings(max_examples=200, deadline=None)
def test_whatever_is_given_the_parser_answers_or_names_a_field(value):
    for form in (value, json.dumps(value) if not isinstance(value, bytes) else value):
        try:
            envelope.parse(form)
        except EnvelopeError as refused:
            assert refused.field in {*sealed(), "envelope"}


@given(name=st.sampled_from([*sealed()]), value=JSON)
@settings(max_examples=200, deadline=None)
def test_one_field_replaced_never_gives_another_plaintext(name, value):
    try:
        assert KEY.open(envelope.parse({**sealed(), name: value}), b"user:7") == PLAINTEXT
        assert name in ("keyId", "timestamp", "v", "alg")
    except (EnvelopeError, DecryptionError):
        pass


HOSTILE = json.loads((Path(__file__).parents[1] / "vectors/data/keystead_own/hostile_json.json").read_text())["cases"]
GENERATED = {
    "generate: object of 100000 members": lambda: "{" + ",".join(f'"k{number}":1' for number in range(100_000)) + "}",
    "generate: one 64 MiB string": lambda: '"' + "a" * (64 << 20) + '"',
}


@pytest.mark.parametrize("case", HOSTILE, ids=lambda case: case["name"])
def test_hostile_json_is_refused_with_a_typed_error_in_bounded_time(case):
    text = GENERATED[case["text"]]() if case["text"] in GENERATED else case["text"]
    harmless = json.dumps(["a" * 1_000] * (len(text) // 1_000 + 1_000))
    began = time.process_time()
    json.loads(harmless)
    between = time.process_time()
    with pytest.raises(EnvelopeError):
        envelope.parse(text)
    spent = time.process_time() - between
    assert spent < 200 * max(between - began, time.get_clock_info("process_time").resolution)


def test_text_beyond_the_limit_is_refused_before_it_is_read(monkeypatch):
    monkeypatch.setattr(envelope, "MAX_TEXT", 100)
    assert field_of_refusal(json.dumps(sealed())) == "envelope"


def test_other_types_are_refused_as_a_whole():
    for value in (None, 1, [], (), bytearray(b"{}"), object(), {1, 2}):
        assert field_of_refusal(value) == "envelope"


def test_a_compact_ciphertext_is_no_envelope_and_the_other_way_round():
    blob = compact.new_message_key(bytes(8), bytes(range(32)), Purpose.CALLER).seal(PLAINTEXT, b"")
    for form in (blob, compact.to_text(blob)):
        with pytest.raises(EnvelopeError):
            envelope.parse(form)
    for form in (sealed(), json.dumps(sealed()), json.dumps(sealed()).encode()):
        with pytest.raises(EnvelopeError):
            compact.check_form(form)


def test_no_iv_is_used_twice_in_many_seals():
    assert len({KEY.seal(b"", b"", 1)["iv"] for _ in range(2_000)}) == 2_000


def test_the_overhead_of_an_envelope_is_about_two_hundred_bytes():
    assert len(json.dumps(KEY.seal(b"", b"", 1_707_000_000_000), separators=(",", ":"))) < 200

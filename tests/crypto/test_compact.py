"""Compact ciphertext v2: committed to one key and purpose, every change refused, one spelling in text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.crypto import compact, stream
from keystead.crypto.purpose import Purpose
from keystead.errors import DecryptionError, EnvelopeError

DATA_KEY = bytes(range(32))
REFERENCE = b"\x01\x02\x03\x04\x05\x06\x07\x08"
KEY = compact.new_message_key(REFERENCE, DATA_KEY, Purpose.CALLER)
PLAINTEXT = b"correct horse battery staple"
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def open_as_a_reader(blob: bytes, aad: bytes, data_key: bytes = DATA_KEY, purpose: Purpose = Purpose.CALLER) -> bytes:
    compact.check_form(blob)
    return compact.message_key_for(blob[: compact.PREFIX_LENGTH], data_key, purpose).open(blob, aad)


def test_the_header_has_the_written_layout():
    blob = KEY.seal(PLAINTEXT, b"a")
    assert blob[:4] == b"ks\x02\x01"
    assert blob[4:12] == REFERENCE
    assert blob[:60] == KEY.prefix
    assert len(blob) == 72 + len(PLAINTEXT) + 16 == len(PLAINTEXT) + compact.OVERHEAD
    assert open_as_a_reader(blob, b"a") == PLAINTEXT


def test_every_bit_flip_is_refused_by_form_or_by_one_identical_error():
    blob = KEY.seal(PLAINTEXT, b"aad")
    refusals: dict[str, int] = {}
    for bit in range(len(blob) * 8):
        changed = bytearray(blob)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises((EnvelopeError, DecryptionError)) as refused:
            open_as_a_reader(bytes(changed), b"aad")
        error = refused.value
        kind = error.field if isinstance(error, EnvelopeError) else str(error)
        refusals[kind] = refusals.get(kind, 0) + 1
    rest = (len(blob) - 4) * 8
    assert refusals == {"magic": 16, "version": 8, "algorithm": 8, str(DecryptionError()): rest}


def test_every_bit_flip_behind_the_header_is_refused_by_a_key_at_hand():
    blob = KEY.seal(PLAINTEXT, b"aad")
    for bit in range(60 * 8, len(blob) * 8):
        changed = bytearray(blob)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DecryptionError):
            KEY.open(bytes(changed), b"aad")


def test_every_truncation_and_extension_is_refused():
    blob = KEY.seal(PLAINTEXT, b"aad")
    for length in range(len(blob)):
        with pytest.raises(EnvelopeError if length < compact.OVERHEAD else DecryptionError):
            open_as_a_reader(blob[:length], b"aad")
    for extra in range(1, 65):
        with pytest.raises(DecryptionError):
            open_as_a_reader(blob + bytes(extra), b"aad")
        with pytest.raises((EnvelopeError, DecryptionError)):
            open_as_a_reader(bytes(extra) + blob, b"aad")


def test_another_aad_data_key_or_purpose_is_refused():
    blob = KEY.seal(PLAINTEXT, b"aad")
    for aad in (b"", b"aae", b"aad\0", b"\0aad"):
        with pytest.raises(DecryptionError):
            open_as_a_reader(blob, aad)
    with pytest.raises(DecryptionError):
        open_as_a_reader(blob, b"aad", data_key=bytes(32))
    for purpose in Purpose:
        if purpose is not Purpose.CALLER:
            with pytest.raises(DecryptionError):
                open_as_a_reader(blob, b"aad", purpose=purpose)


def test_header_and_aad_do_not_run_into_each_other():
    blob = KEY.seal(PLAINTEXT, b"")
    moved = blob[:60] + blob[60:72] + blob[72:]
    assert open_as_a_reader(moved, b"") == PLAINTEXT
    with pytest.raises(DecryptionError):
        open_as_a_reader(blob, blob[:72])


def test_the_commitment_is_refused_before_a_cipher_is_made(monkeypatch):
    blob = KEY.seal(PLAINTEXT, b"")

    def no_cipher(_key):
        raise AssertionError("a cipher was made for a header that commits to another key")

    monkeypatch.setattr(compact, "AESGCM", no_cipher)
    with pytest.raises(DecryptionError):
        compact.message_key_for(blob[:60], bytes(32), Purpose.CALLER)


def test_a_header_of_one_salt_with_the_commitment_of_another_is_refused():
    other = compact.new_message_key(REFERENCE, DATA_KEY, Purpose.CALLER)
    mixed = KEY.prefix[:28] + other.prefix[28:60]
    with pytest.raises(DecryptionError):
        compact.message_key_for(mixed, DATA_KEY, Purpose.CALLER)


def test_two_readers_of_one_data_key_open_what_the_other_sealed():
    first, second = (compact.new_message_key(REFERENCE, DATA_KEY, Purpose.SECRET) for _ in range(2))
    assert first.prefix != second.prefix
    for blob in (first.seal(PLAINTEXT, b"x"), second.seal(PLAINTEXT, b"x")):
        assert open_as_a_reader(blob, b"x", purpose=Purpose.SECRET) == PLAINTEXT


def test_a_kept_salt_gives_the_same_header_again():
    salt = bytes(range(16))
    made = [compact.new_message_key(REFERENCE, DATA_KEY, Purpose.SECRET, salt) for _ in range(2)]
    assert made[0].prefix == made[1].prefix
    assert made[0].prefix[12:28] == salt
    assert made[1].open(made[0].seal(PLAINTEXT, b""), b"") == PLAINTEXT


@pytest.mark.parametrize("length", [0, 16, 24, 31, 33, 64])
def test_a_data_key_of_another_length_is_refused(length):
    with pytest.raises(ValueError, match="32 bytes"):
        compact.new_message_key(REFERENCE, bytes(length), Purpose.CALLER)
    with pytest.raises(ValueError, match="32 bytes"):
        compact.message_key_for(KEY.prefix, bytes(length), Purpose.CALLER)


@pytest.mark.parametrize(("reference", "salt"), [(b"", None), (bytes(9), None), (bytes(8), b""), (bytes(8), bytes(15))])
def test_other_lengths_of_reference_and_salt_are_refused(reference, salt):
    with pytest.raises(ValueError, match="8 bytes"):
        compact.new_message_key(reference, DATA_KEY, Purpose.CALLER, salt)


@pytest.mark.parametrize("value", [None, "", "ks2_", bytearray(100), memoryview(bytes(100)), 7, [1]])
def test_a_ciphertext_must_be_bytes(value):
    with pytest.raises(EnvelopeError) as refused:
        compact.check_form(value)
    assert refused.value.field == "ciphertext"


def test_no_nonce_is_used_twice_in_many_seals():
    assert len({KEY.seal(b"", b"")[60:72] for _ in range(2_000)}) == 2_000


@given(plaintext=st.binary(max_size=300), aad=st.binary(max_size=100), purpose=st.sampled_from(Purpose))
@settings(max_examples=100, deadline=None)
def test_sealed_opens_for_all_inputs_and_through_text(plaintext, aad, purpose):
    made = compact.new_message_key(REFERENCE, DATA_KEY, purpose)
    blob = made.seal(plaintext, aad)
    text = compact.to_text(blob)
    assert text.startswith("ks2_")
    assert set(text[4:]) <= set(ALPHABET)
    assert open_as_a_reader(compact.from_text(text), aad, purpose=purpose) == plaintext


@given(st.binary(max_size=200) | st.binary(max_size=120).map(lambda tail: compact.MAGIC + tail))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_refused_by_form_or_do_not_open(blob):
    try:
        compact.check_form(blob)
    except EnvelopeError as refused:
        assert refused.field in ("magic", "version", "algorithm", "ciphertext")
    else:
        assert len(blob) >= compact.OVERHEAD
        with pytest.raises(DecryptionError):
            open_as_a_reader(blob, b"")


@given(st.text(max_size=60) | st.text(alphabet=ALPHABET + "+/=\n ", max_size=60))
@settings(max_examples=200, deadline=None)
def test_text_that_is_taken_is_the_only_spelling_of_its_bytes(body):
    for text in (body, "ks2_" + body):
        try:
            blob = compact.from_text(text)
        except EnvelopeError as refused:
            assert refused.field == "text"
        else:
            assert compact.to_text(blob) == text


def test_every_other_spelling_of_a_text_form_is_refused():
    text = compact.to_text(KEY.seal(b"x" * 12, b""))
    assert len(text[4:]) % 4 == 2
    spellings = {text + "=", text + "==", text + "\n", " " + text, text.upper(), "KS2_" + text[4:], "ks1_" + text[4:]}
    spellings |= {text[:-1] + last for last in ALPHABET + "+/" if last not in "AQgw"}
    spellings |= {text[:10] + "\n" + text[10:], text[:10] + "=" + text[10:], text + "A" * 3, text[:-1]}
    refused = 0
    for spelling in spellings - {text}:
        with pytest.raises(EnvelopeError):
            compact.from_text(spelling)
        refused += 1
    assert refused >= 70


@pytest.mark.parametrize("value", [None, b"ks2_AAAA", 7, ["ks2_"]])
def test_a_text_form_must_be_text(value):
    with pytest.raises(EnvelopeError):
        compact.from_text(value)


def test_the_text_of_no_bytes_is_the_prefix_alone_and_no_ciphertext():
    assert compact.from_text("ks2_") == b""
    with pytest.raises(EnvelopeError):
        compact.check_form(b"")


def test_a_stream_is_no_compact_ciphertext_and_the_other_way_round():
    sealer = stream.StreamSealer(REFERENCE, DATA_KEY)
    whole = sealer.header + sealer.seal(PLAINTEXT, last=True)
    with pytest.raises(EnvelopeError) as refused:
        compact.check_form(whole)
    assert refused.value.field == "version"
    with pytest.raises(EnvelopeError) as refused:
        stream.parse_header(KEY.seal(bytes(100), b"")[:80])
    assert refused.value.field == "version"

"""Ciphertexts under named keys: each type has its algorithms, no header talks a key into another, and what
deterministic encryption tells is equality."""

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.crypto import compact
from keystead.crypto.purpose import Purpose
from keystead.crypto.types import CIPHERS, KeyType
from keystead.errors import DecryptionError, EnvelopeError

KEY = bytes(range(32))
REFERENCE = bytes(range(8))
SALT = bytes(range(16))
PURPOSE = Purpose.NAMED_KEY
BYTES = {KeyType.AES_256_GCM: b"\x01", KeyType.AES_256_GCM_SIV: b"\x02\x04", KeyType.CHACHA20_POLY1305: b"\x03"}
DETERMINISTIC = compact.new_deterministic_key(REFERENCE, KEY, PURPOSE, SALT)


def sealing(key_type: KeyType, salt: bytes = SALT) -> compact.MessageKey:
    return compact.new_message_key(REFERENCE, KEY, PURPOSE, salt, key_type)


SEALERS = [*((each, sealing(each)) for each in CIPHERS), (KeyType.AES_256_GCM_SIV, DETERMINISTIC)]


def read(blob: bytes, aad: bytes, key_type: KeyType, key: bytes = KEY) -> bytes:
    compact.check_form(blob, key_type)
    return compact.message_key_for(blob[:60], key, PURPOSE, key_type).open(blob, aad)


@given(
    sealer=st.sampled_from(SEALERS),
    plaintext=st.binary(max_size=300),
    aad=st.binary(max_size=60),
    bit=st.integers(0, 1 << 14),
)
@settings(max_examples=200, deadline=None)
def test_what_each_type_seals_opens_and_no_flip_of_one_bit_does(sealer, plaintext, aad, bit):
    key_type, key = sealer
    blob = key.seal(plaintext, aad)
    assert blob[3:4] in BYTES[key_type]
    assert len(blob) == len(plaintext) + compact.OVERHEAD
    assert read(blob, aad, key_type) == plaintext
    assert key.open(blob, aad) == plaintext
    changed = bytearray(blob)
    changed[bit // 8 % len(blob)] ^= 1 << bit % 8
    with pytest.raises((DecryptionError, EnvelopeError)):
        read(bytes(changed), aad, key_type)
    with pytest.raises(DecryptionError):
        key.open(bytes(changed), aad)
    with pytest.raises(DecryptionError):
        read(blob, aad + b"x", key_type)
    with pytest.raises(DecryptionError):
        read(blob, aad, key_type, key=bytes(32))


@pytest.mark.parametrize(
    ("sealer", "key_type"), [(one, two) for one, two in product(SEALERS, CIPHERS) if one[0] != two]
)
def test_no_type_opens_what_another_sealed_whatever_its_header_is_made_to_say(sealer, key_type):
    blob = sealer[1].seal(b"value", b"")
    with pytest.raises(EnvelopeError) as refused:
        compact.check_form(blob, key_type)
    assert refused.value.field == "algorithm"
    with pytest.raises(DecryptionError):
        compact.message_key_for(blob[:60], KEY, PURPOSE, key_type)
    for byte in BYTES[key_type]:
        renamed = blob[:3] + bytes((byte,)) + blob[4:]
        compact.check_form(renamed, key_type)
        with pytest.raises(DecryptionError):
            compact.message_key_for(renamed[:60], KEY, PURPOSE, key_type)
        for key in (sealing(key_type), sealer[1]):
            with pytest.raises(DecryptionError):
                key.open(renamed, b"")


def test_random_and_deterministic_ciphertexts_of_one_type_do_not_pass_for_each_other():
    for key, byte in ((sealing(KeyType.AES_256_GCM_SIV), b"\x04"), (DETERMINISTIC, b"\x02")):
        blob = key.seal(b"value", b"")
        renamed = blob[:3] + byte + blob[4:]
        compact.check_form(renamed, KeyType.AES_256_GCM_SIV)
        with pytest.raises(DecryptionError):
            compact.message_key_for(renamed[:60], KEY, PURPOSE, KeyType.AES_256_GCM_SIV)


def test_no_two_algorithms_share_a_key_or_a_commitment_under_one_salt():
    parts = {key.prefix[28:60] for _, key in SEALERS}
    assert len(parts) == len(SEALERS) == 4
    assert len({key.encrypt(bytes(12), b"", b"") for _, key in SEALERS}) == 4


def test_a_data_key_takes_aes_256_gcm_only():
    for key_type, key in SEALERS:
        blob = key.seal(b"value", b"")
        if key_type is KeyType.AES_256_GCM:
            compact.check_form(blob)
            continue
        with pytest.raises(EnvelopeError):
            compact.check_form(blob)
        with pytest.raises(DecryptionError):
            compact.message_key_for(blob[:60], KEY, PURPOSE)


def test_deterministic_ciphertexts_are_equal_exactly_where_plaintext_and_aad_are():
    again = compact.new_deterministic_key(REFERENCE, KEY, PURPOSE, SALT)
    inputs = [
        (b"", b""),
        (b"a", b""),
        (b"", b"a"),
        (b"a", b"a"),
        (b"aa", b""),
        (b"a" * 100, b""),
        (b"a" * 99 + b"b", b""),
    ]
    sealed = [DETERMINISTIC.seal(*each) for each in inputs]
    assert sealed == [again.seal(*each) for each in inputs]
    assert len(set(sealed)) == len(inputs)
    # Two plaintexts that begin alike share nothing but the header.
    assert sealed[5][72:88] != sealed[6][72:88]
    for blob, (plaintext, aad) in zip(sealed, inputs, strict=True):
        assert blob[60:72] == bytes(12)
        assert read(blob, aad, KeyType.AES_256_GCM_SIV) == plaintext


@pytest.mark.parametrize(
    ("reference", "key", "purpose", "salt"),
    [
        (bytes(8), KEY, PURPOSE, SALT),
        (REFERENCE, bytes(32), PURPOSE, SALT),
        (REFERENCE, KEY, Purpose.CALLER, SALT),
        (REFERENCE, KEY, PURPOSE, bytes(16)),
    ],
)
def test_equality_is_not_seen_across_versions_keys_purposes_and_salts(reference, key, purpose, salt):
    other = compact.new_deterministic_key(reference, key, purpose, salt).seal(b"value", b"")
    assert other[72:] != DETERMINISTIC.seal(b"value", b"")[72:]


def test_a_reader_seals_deterministically_with_what_it_opened():
    """The key of a header that says so is deterministic, so that sealing with it repeats no nonce for other bytes."""
    blob = DETERMINISTIC.seal(b"value", b"")
    opened = compact.message_key_for(blob[:60], KEY, PURPOSE, KeyType.AES_256_GCM_SIV)
    assert isinstance(opened, compact.DeterministicKey)
    assert opened.seal(b"value", b"") == blob
    random = sealing(KeyType.AES_256_GCM_SIV)
    assert not isinstance(random, compact.DeterministicKey)
    assert random.seal(b"value", b"") != random.seal(b"value", b"")


@pytest.mark.parametrize("key_type", CIPHERS)
def test_no_nonce_is_used_twice_in_many_seals(key_type):
    key = sealing(key_type)
    assert len({key.seal(b"", b"")[60:72] for _ in range(1_000)}) == 1_000


@pytest.mark.parametrize("key_type", CIPHERS)
@pytest.mark.parametrize("length", [0, 16, 24, 31, 33, 64])
def test_material_of_another_length_is_refused(key_type, length):
    with pytest.raises(ValueError, match="32 bytes"):
        compact.new_message_key(REFERENCE, bytes(length), PURPOSE, SALT, key_type)
    with pytest.raises(ValueError, match="32 bytes"):
        compact.new_deterministic_key(REFERENCE, bytes(length), PURPOSE, SALT)


def test_a_deterministic_key_needs_its_salt():
    for salt in (b"", bytes(15), bytes(17)):
        with pytest.raises(ValueError, match="salt 16"):
            compact.new_deterministic_key(REFERENCE, KEY, PURPOSE, salt)
    with pytest.raises(ValueError, match="reference is 8"):
        compact.new_deterministic_key(bytes(7), KEY, PURPOSE, SALT)


@pytest.mark.parametrize("blob", [b"", b"k", b"ks", b"ks\x02", b"ks\x02\x05" + bytes(84), b"ks\x02\x00" + bytes(84)])
@pytest.mark.parametrize("key_type", CIPHERS)
def test_other_headers_are_refused_by_form(key_type, blob):
    with pytest.raises(EnvelopeError):
        compact.check_form(blob, key_type)

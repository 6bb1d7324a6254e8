"""Wrapped imports: whole and for the right key, or one identical error."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.crypto.conftest import material_of, pair_of

from keystead.crypto.asymmetric import check_material
from keystead.crypto.importing import MAX_MATERIAL, unwrap_import, wrap_for_import
from keystead.crypto.types import KeyType
from keystead.errors import DecryptionError, UsageError

PRIVATE = pair_of(KeyType.RSA_4096)
PUBLIC = PRIVATE.public().der
GOOD = wrap_for_import(PUBLIC, bytes(range(32)))


def expect_refusal(blob: bytes) -> None:
    with pytest.raises(DecryptionError) as error:
        unwrap_import(PRIVATE, blob)
    assert str(error.value) == str(DecryptionError())


@pytest.mark.parametrize("key_type", KeyType)
def test_material_of_every_type_arrives(key_type):
    blob = wrap_for_import(PUBLIC, material_of(key_type))
    material = unwrap_import(PRIVATE, blob)
    assert type(material) is bytearray
    assert material == material_of(key_type)
    check_material(key_type, material)


@pytest.mark.parametrize("length", [1, 7, 8, 9, 16, 4_096, MAX_MATERIAL])
def test_each_length_within_bounds_arrives_and_is_wrapped_anew_each_time(length):
    material = bytes(range(256))[: length % 256] + bytes(length - length % 256)
    blob = wrap_for_import(PUBLIC, material)
    assert len(blob) == 512 + max(16, -(-length // 8) * 8 + 8)
    assert unwrap_import(PRIVATE, blob) == material
    other = wrap_for_import(PUBLIC, material)
    assert other[:512] != blob[:512]
    assert other[512:] != blob[512:]


@pytest.mark.parametrize("length", [0, MAX_MATERIAL + 1])
def test_other_lengths_are_refused_before_they_are_wrapped(length):
    with pytest.raises(UsageError, match="1 to 16384 bytes"):
        wrap_for_import(PUBLIC, bytes(length))


@pytest.mark.parametrize("key_type", [KeyType.RSA_2048, KeyType.RSA_3072, KeyType.ECDH_P256])
def test_imports_are_wrapped_for_rsa_4096_only(key_type):
    with pytest.raises(UsageError, match="rsa-4096"):
        wrap_for_import(pair_of(key_type).public().der, b"x")
    with pytest.raises(ValueError, match="RSA-4096"):
        unwrap_import(pair_of(key_type), GOOD)


@pytest.mark.parametrize("blob", [b"", bytes(512), GOOD[:512], GOOD[:-1], GOOD[:-8], GOOD + b"\0", GOOD + bytes(8)])
def test_what_is_not_whole_is_one_identical_error(blob):
    expect_refusal(blob)


@pytest.mark.parametrize("value", [None, "text", 5 * [1], bytearray(GOOD), bytes(512 + MAX_MATERIAL + 16)])
def test_other_values_are_the_same_error(value):
    if value is not None and not isinstance(value, list):
        expect_refusal(value)
    with pytest.raises((DecryptionError, TypeError)):
        unwrap_import(PRIVATE, value)


def test_halves_of_two_imports_do_not_go_together():
    other = wrap_for_import(PUBLIC, bytes(range(32)))
    expect_refusal(GOOD[:512] + other[512:])


@given(bit=st.integers(0, 8 * len(GOOD) - 1))
@settings(max_examples=60, deadline=None)
def test_no_flip_of_one_bit_unwraps(bit):
    changed = bytearray(GOOD)
    changed[bit // 8] ^= 1 << bit % 8
    expect_refusal(bytes(changed))


@given(garbage=st.binary(max_size=80), keep=st.sampled_from([0, 100, 512, 520]))
@settings(max_examples=60, deadline=None)
def test_garbage_is_one_identical_error(garbage, keep):
    expect_refusal(GOOD[:keep] + garbage)

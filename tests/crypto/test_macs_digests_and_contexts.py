"""HMAC keys, plain hashes and keys derived for a context."""

import copy
import hashlib
import hmac
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.crypto.conftest import material_of

from keystead.crypto.derive import MAX_CONTEXT, MAX_DERIVED, MIN_DERIVED, derive_context_key
from keystead.crypto.digests import DigestAlgorithm, digest
from keystead.crypto.hmac_keys import HmacKey
from keystead.crypto.types import MATERIAL_LENGTH, KeyType
from keystead.errors import UsageError

MACS = [KeyType.HMAC_SHA_256, KeyType.HMAC_SHA_384, KeyType.HMAC_SHA_512]
KEY = bytes(range(32))


@given(key_type=st.sampled_from(MACS), message=st.binary(max_size=300), bit=st.integers(0, 4_000))
@settings(max_examples=100, deadline=None)
def test_a_tag_is_that_of_python_and_verifies_whole_and_unchanged_only(key_type, message, bit):
    key = HmacKey(key_type, material_of(key_type))
    tag = key.mac(message)
    assert tag == hmac.digest(material_of(key_type), message, f"sha{key_type[-3:]}")
    assert key.verify(message, tag)
    changed = bytearray(tag)
    changed[bit // 8 % len(tag)] ^= 1 << bit % 8
    for wrong in (bytes(changed), tag[:-1], tag[: len(tag) // 2], tag + b"\0", b""):
        assert not key.verify(message, wrong)
    assert not key.verify(message + b"\0", tag)


@pytest.mark.parametrize("key_type", KeyType)
def test_only_hmac_types_make_mac_keys_of_their_own_length(key_type):
    if key_type not in MACS:
        with pytest.raises(UsageError, match="does not authenticate"):
            HmacKey(key_type, KEY)
        return
    for length in {0, 16, 32, 48, 64, 65} - {MATERIAL_LENGTH[key_type]}:
        with pytest.raises(UsageError, match="bytes"):
            HmacKey(key_type, bytes(length))


def test_a_mac_key_shows_nothing_and_is_neither_pickled_nor_copied():
    key = HmacKey(KeyType.HMAC_SHA_256, KEY)
    assert repr(key) == "<hmac-sha-256 key>"
    for ask in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not pickled or copied"):
            ask(key)


@pytest.mark.parametrize(
    ("algorithm", "of_abc"),
    [
        ("sha-256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ("sha-384", "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7"),
        (
            "sha-512",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
            "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        ),
        ("sha3-256", "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"),
        (
            "sha3-384",
            "ec01498288516fc926459f58e2c6ad8df9b473cb0fc08c2596da7cf0e49be4b298d88cea927ac7f539f1edf228376d25",
        ),
        (
            "sha3-512",
            "b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d2712e"
            "10e116e9192af3c91a7ec57647e3934057340b4cf408d5a56592f8274eec53f0",
        ),
    ],
)
def test_hashes_of_abc_are_those_of_the_standards(algorithm, of_abc):
    """FIPS 180-4 and FIPS 202, by NIST's examples."""
    assert digest(DigestAlgorithm(algorithm), b"abc").hex() == of_abc


def test_there_are_six_hashes_and_none_is_broken():
    assert [each.value for each in DigestAlgorithm] == [
        "sha-256",
        "sha-384",
        "sha-512",
        "sha3-256",
        "sha3-384",
        "sha3-512",
    ]
    for each in DigestAlgorithm:
        assert digest(each, b"") == hashlib.new(each.replace("sha3-", "sha3_").replace("sha-", "sha"), b"").digest()


@given(context=st.binary(max_size=100), length=st.integers(MIN_DERIVED, 200), other=st.binary(max_size=100))
@settings(max_examples=100, deadline=None)
def test_a_context_has_one_key_of_each_length_and_no_two_share_their_beginning(context, length, other):
    key = derive_context_key(KEY, context, length)
    assert key == derive_context_key(bytearray(KEY), context, length)
    assert len(key) == length
    assert key[:16] != derive_context_key(KEY, context, length + 1)[:16]
    assert key[:16] != derive_context_key(bytes(32), context, length)[:16]
    if other != context:
        assert key[:16] != derive_context_key(KEY, other, length)[:16]


def test_bounds_of_derived_keys_are_held():
    assert len(derive_context_key(KEY, bytes(MAX_CONTEXT), MAX_DERIVED)) == MAX_DERIVED
    for length in (-1, 0, MIN_DERIVED - 1, MAX_DERIVED + 1, 1 << 40):
        with pytest.raises(UsageError, match="16 to 8160 bytes"):
            derive_context_key(KEY, b"", length)
    with pytest.raises(UsageError, match="context"):
        derive_context_key(KEY, bytes(MAX_CONTEXT + 1), 32)
    with pytest.raises(ValueError, match="32 bytes or more"):
        derive_context_key(bytes(31), b"", 32)

"""Key material, derivation, wrapping, hashes, signatures: what they give, what they refuse, what they never show."""

import copy
import hashlib
import pickle
import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.crypto import signatures
from keystead.crypto.kdf import RFC_9106_LOW_MEMORY, Argon2Parameters, derive, derive_from_passphrase, derive_into
from keystead.crypto.mac import mac, same, sha256
from keystead.crypto.material import KeyMaterial, random_bytes, zero
from keystead.crypto.wrapping import WRAPPED_LENGTH, unwrap_key, wrap_key
from keystead.errors import DecryptionError, UsageError

WRAPPING_KEY = bytes(range(32))
CHEAPEST = Argon2Parameters(2, 1, 19_456)


def test_key_material_shows_nothing_and_refuses_pickle_and_copy():
    material = KeyMaterial(b"K" * 32)
    for text in (repr(material), str(material), f"{material}"):
        assert "K" * 4 not in text
        assert "4b4b" not in text
    for refused in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            refused(material)


def test_forgotten_key_material_is_overwritten_and_unusable():
    material = KeyMaterial(b"K" * 32)
    buffer = material.view()
    kept = memoryview(buffer)
    with pytest.raises(BufferError):
        material.forget()
    assert bytes(kept) == bytes(32), "overwritten even while somebody looks at it"
    kept.release()
    material.forget()
    assert material.forgotten
    with pytest.raises(ValueError, match="forgotten"):
        material.view()


@pytest.mark.parametrize("length", [0, 16, 24, 31, 33, 64])
def test_key_material_of_another_length_is_refused_with_both_lengths_named(length):
    with pytest.raises(ValueError, match=f"32 bytes, not {length}"):
        KeyMaterial(bytes(length))


def test_generated_key_material_differs_each_time():
    assert len({bytes(KeyMaterial.generate().view()) for _ in range(100)}) == 100
    assert len(random_bytes(12)) == 12


def test_zero_overwrites_where_the_bytes_are():
    buffer = bytearray(b"secret" * 100)
    view = memoryview(buffer)
    zero(buffer)
    assert bytes(view) == bytes(600)


def test_an_error_of_the_random_generator_is_not_caught(monkeypatch):
    def broken(_length):
        raise OSError("no randomness")

    monkeypatch.setattr("os.urandom", broken)
    with pytest.raises(OSError, match="no randomness"):
        KeyMaterial.generate()
    with pytest.raises(OSError, match="no randomness"):
        wrap_key(WRAPPING_KEY, KeyMaterial(bytes(32)), b"")


def test_deriving_into_a_buffer_is_deriving():
    buffer = bytearray(64)
    derive_into(buffer, b"k", salt=b"s", info=b"i")
    assert buffer == derive(b"k", salt=b"s", info=b"i", length=64)


def test_a_wrapped_key_opens_only_whole_and_with_its_key_and_aad():
    material = KeyMaterial.generate()
    wrapped = wrap_key(WRAPPING_KEY, material, b"root")
    assert len(wrapped) == WRAPPED_LENGTH == 61
    assert bytes(unwrap_key(WRAPPING_KEY, wrapped, b"root").view()) == bytes(material.view())
    told = set()
    for bit in range(len(wrapped) * 8):
        changed = bytearray(wrapped)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DecryptionError) as refused:
            unwrap_key(WRAPPING_KEY, bytes(changed), b"root")
        told.add(str(refused.value))
    for other in (wrapped[:-1], wrapped + b"\0", b"", wrapped[1:]):
        with pytest.raises(DecryptionError) as refused:
            unwrap_key(WRAPPING_KEY, other, b"root")
        told.add(str(refused.value))
    for key, aad in ((bytes(32), b"root"), (WRAPPING_KEY, b"roots"), (WRAPPING_KEY, b"")):
        with pytest.raises(DecryptionError) as refused:
            unwrap_key(key, wrapped, aad)
        told.add(str(refused.value))
    assert told == {str(DecryptionError())}


@pytest.mark.parametrize("length", [0, 16, 24, 31, 33])
def test_a_wrapping_key_of_another_length_is_refused(length):
    with pytest.raises(ValueError, match="32 bytes"):
        wrap_key(bytes(length), KeyMaterial(bytes(32)), b"")
    with pytest.raises(ValueError, match="32 bytes"):
        unwrap_key(bytes(length), bytes(61), b"")


def test_wrapping_never_repeats_a_nonce():
    material = KeyMaterial(bytes(32))
    assert len({wrap_key(WRAPPING_KEY, material, b"")[1:13] for _ in range(500)}) == 500


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        (Argon2Parameters(1, 4, 65_536), "iterations"),
        (Argon2Parameters(17, 4, 65_536), "iterations"),
        (Argon2Parameters(3, 0, 65_536), "lanes"),
        (Argon2Parameters(3, 17, 65_536), "lanes"),
        (Argon2Parameters(3, 4, 19_455), "memory"),
        (Argon2Parameters(3, 4, 1_048_577), "memory"),
        (Argon2Parameters(-1, -1, -1), "iterations"),
    ],
)
def test_argon2_parameters_out_of_bounds_are_refused_before_any_memory_is_taken(parameters, named):
    assert named in (parameters.problem() or "")
    with pytest.raises(ValueError, match=named):
        derive_from_passphrase("x", salt=bytes(16), parameters=parameters)


def test_argon2_defaults_are_within_bounds():
    assert RFC_9106_LOW_MEMORY.problem() is None
    assert CHEAPEST.problem() is None


@pytest.mark.parametrize("length", [0, 8, 15, 17, 32])
def test_a_passphrase_salt_of_another_length_is_refused(length):
    with pytest.raises(ValueError, match="16 bytes"):
        derive_from_passphrase("x", salt=bytes(length), parameters=CHEAPEST)


def test_a_passphrase_is_normalized_and_nothing_is_trimmed():
    def key(text):
        return derive_from_passphrase(text, salt=bytes(16), parameters=CHEAPEST)

    composed, decomposed = "pässwort", unicodedata.normalize("NFD", "pässwort")
    assert composed != decomposed
    assert key(composed) == key(decomposed)
    assert key("secret") != key("secret ")


def test_a_passphrase_that_is_no_text_is_refused_without_carrying_it():
    with pytest.raises(UsageError) as refused:
        derive_from_passphrase("hunter2\udc80", salt=bytes(16), parameters=CHEAPEST)
    assert "hunter2" not in repr(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None


MANY = """
from concurrent.futures import ThreadPoolExecutor
from keystead.crypto.kdf import Argon2Parameters, derive_from_passphrase

how = {"salt": bytes(16), "parameters": Argon2Parameters(2, 4, 19_456)}
with ThreadPoolExecutor(12) as pool:
    made = [pool.submit(derive_from_passphrase, "x", **how) for _ in range(24)]
    print(len({each.result() for each in made}))
"""


def test_derivations_of_many_threads_come_to_an_end():
    """In a process of its own: where two run at once in OpenSSL, each can wait for ever for the other's threads."""
    done = subprocess.run([sys.executable, "-c", MANY], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("1\n", "")


@given(left=st.binary(max_size=40), right=st.binary(max_size=40))
@settings(max_examples=100, deadline=None)
def test_same_is_equality(left, right):
    assert same(left, right) == (left == right)
    assert same(left, bytes(left))


def test_hashes_are_those_of_the_standard_library():
    assert sha256(b"abc") == hashlib.sha256(b"abc").digest()
    assert mac(bytearray(b"k"), b"m") == mac(b"k", b"m")
    assert len(mac(b"k", b"m")) == 32


def test_a_signature_holds_for_its_message_and_key_only():
    seed = bytes(range(32))
    public = signatures.public_key(seed)
    signature = signatures.sign(seed, b"message")
    signatures.verify(public, b"message", signature)
    for bad_public, message, bad_signature in (
        (public, b"messagf", signature),
        (public, b"message", signature[:-1]),
        (public, b"message", bytes(64)),
        (signatures.public_key(bytes(32)), b"message", signature),
        (public[:-1], b"message", signature),
        (b"", b"message", signature),
    ):
        with pytest.raises(DecryptionError):
            signatures.verify(bad_public, message, bad_signature)

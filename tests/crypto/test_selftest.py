"""The self-check at start refuses a library that computes something else."""

import time

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keystead.crypto import selftest
from keystead.errors import IntegrityError


def test_a_sound_library_passes_in_far_less_than_an_import_costs():
    selftest.run()
    began = time.process_time()
    for _ in range(20):
        selftest.run()
    each = (time.process_time() - began) / 20
    began = time.process_time()
    for _ in range(20_000):
        bytes(range(32))
    assert each < time.process_time() - began


class _Cipher:
    """AES-GCM that is right but for what a subclass breaks."""

    def __init__(self, key):
        self.right = AESGCM(key)

    def encrypt(self, nonce, data, aad):
        return self.right.encrypt(nonce, data, aad)

    def decrypt(self, nonce, data, aad):
        return self.right.decrypt(nonce, data, aad)


class _WrongOutput(_Cipher):
    def encrypt(self, nonce, data, aad):
        sealed = super().encrypt(nonce, data, aad)
        return bytes((sealed[0] ^ 1,)) + sealed[1:]


class _WrongTag(_Cipher):
    def encrypt(self, nonce, data, aad):
        return super().encrypt(nonce, data, aad)[:-1] + b"\0"


class _WrongPlaintext(_Cipher):
    def decrypt(self, nonce, data, aad):
        return super().decrypt(nonce, data, aad)[::-1]


class _RefusesAll(_Cipher):
    def decrypt(self, nonce, data, aad):
        return self.right.decrypt(nonce, bytes(len(data)), aad)


class _IgnoresTag(_Cipher):
    def decrypt(self, nonce, data, aad):
        return selftest._PLAINTEXT


class _IgnoresAad(_Cipher):
    def decrypt(self, nonce, data, aad):
        return super().decrypt(nonce, data, selftest._AAD)


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        (_WrongOutput, "encryption"),
        (_WrongTag, "encryption"),
        (_WrongPlaintext, "decryption"),
        (_RefusesAll, "decryption"),
        (_IgnoresTag, "false AES-256-GCM tag"),
        (_IgnoresAad, "false AES-256-GCM tag"),
    ],
)
def test_a_broken_cipher_is_refused_by_name(monkeypatch, broken, named):
    monkeypatch.setattr(selftest, "AESGCM", broken)
    with pytest.raises(IntegrityError, match=named):
        selftest.run()


@pytest.mark.parametrize(("primitive", "named"), [("derive", "HKDF-SHA256"), ("mac", "HMAC-SHA256")])
def test_a_broken_derivation_or_keyed_hash_is_refused_by_name(monkeypatch, primitive, named):
    right = getattr(selftest, primitive)
    monkeypatch.setattr(selftest, primitive, lambda *args, **labels: right(*args, **labels)[::-1])
    with pytest.raises(IntegrityError, match=named):
        selftest.run()


@pytest.mark.parametrize("answer", [True, False])
def test_a_comparison_with_one_answer_for_all_is_refused(monkeypatch, answer):
    monkeypatch.setattr(selftest, "same", lambda _left, _right: answer)
    with pytest.raises(IntegrityError, match="comparison"):
        selftest.run()

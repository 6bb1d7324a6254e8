"""Published vectors of the symmetric types of named keys, through our own way to each primitive; every kind counted."""

import hashlib
import re
from collections import Counter

import pytest
from cryptography.exceptions import InvalidTag
from tests.vectors.conftest import raw, text_of, wycheproof

from keystead.crypto import compact, importing
from keystead.crypto.asymmetric import load_private
from keystead.crypto.hmac_keys import HmacKey
from keystead.crypto.keypair import PrivateKey
from keystead.crypto.purpose import Purpose
from keystead.crypto.types import KeyType
from keystead.errors import DecryptionError, UsageError


@pytest.fixture
def message_key(monkeypatch):
    """Message keys of a type whose cipher key is the vector's own; a derived key is otherwise nobody's to choose."""

    def make(key_type: KeyType, key: bytes) -> compact.MessageKey:
        def put(buffer, data_key, **_labels):
            buffer[:] = bytes(data_key) + bytes(32)

        monkeypatch.setattr(compact, "derive_into", put)
        return compact.new_message_key(bytes(8), key, Purpose.NAMED_KEY, bytes(16), key_type)

    return make


@pytest.mark.parametrize(
    ("name", "key_type", "expected"),
    [
        (
            "aes_gcm_siv",
            KeyType.AES_256_GCM_SIV,
            {"opened": 69, "forgery refused": 34, "short key refused": 99},
        ),
        (
            "chacha20_poly1305",
            KeyType.CHACHA20_POLY1305,
            {"opened": 256, "forgery refused": 60, "nonce refused": 9},
        ),
    ],
)
def test_wycheproof_ciphers_give_each_listed_verdict(message_key, name, key_type, expected):
    verdicts: Counter[str] = Counter()
    for group, row in wycheproof(name):
        key, nonce, aad, message, ciphertext, tag = raw(row, "key", "iv", "aad", "msg", "ct", "tag")
        if group["keySize"] != 256:
            with pytest.raises(ValueError, match="32 bytes"):
                message_key(key_type, key)
            verdicts["short key refused"] += 1
            continue
        made = message_key(key_type, key)
        if len(nonce) != 12:
            with pytest.raises(ValueError):
                made.decrypt(nonce, ciphertext + tag, aad)
            verdicts["nonce refused"] += 1
        elif row["result"] == "valid":
            assert made.decrypt(nonce, ciphertext + tag, aad) == message
            assert made.encrypt(nonce, message, aad) == ciphertext + tag
            verdicts["opened"] += 1
        else:
            with pytest.raises(InvalidTag):
                made.decrypt(nonce, ciphertext + tag, aad)
            verdicts["forgery refused"] += 1
    assert verdicts == expected


@pytest.mark.parametrize(
    ("name", "key_type"),
    [
        ("hmac_sha256", KeyType.HMAC_SHA_256),
        ("hmac_sha384", KeyType.HMAC_SHA_384),
        ("hmac_sha512", KeyType.HMAC_SHA_512),
    ],
)
def test_wycheproof_macs_give_each_listed_verdict_and_no_shortened_tag_is_taken(name, key_type):
    verdicts: Counter[str] = Counter()
    for group, row in wycheproof(name):
        key, message, tag = raw(row, "key", "msg", "tag")
        bits = int(key_type[-3:])
        if group["keySize"] != bits:
            with pytest.raises(UsageError, match="bytes"):
                HmacKey(key_type, key)
            verdicts["key of another length refused"] += 1
            continue
        made = HmacKey(key_type, key)
        if group["tagSize"] != bits:
            assert not made.verify(message, tag)
            assert (made.mac(message)[: len(tag)] == tag) == (row["result"] == "valid")
            verdicts["shortened tag refused"] += 1
        else:
            assert made.verify(message, tag) == (row["result"] == "valid"), row["tcId"]
            verdicts[row["result"]] += 1
    assert verdicts == {
        "valid": 27,
        "invalid": 54,
        "shortened tag refused": 81,
        "key of another length refused": 12,
    }


@pytest.mark.parametrize(
    ("key_type", "name", "hashed"),
    [(KeyType.HMAC_SHA_256, "sha256", hashlib.sha256), (KeyType.HMAC_SHA_512, "sha512", hashlib.sha512)],
)
def test_macs_follow_rfc_4231(key_type, name, hashed):
    """A key is as good as itself with zeros behind it, or as its hash where it is longer than a block (RFC 2104)."""
    text, length = text_of(f"rfc_kdf/rfc-4231-{name}.txt"), hashed().digest_size
    found = re.findall(r"^Key = (\w+)$.*?^Msg = (\w+)$.*?^MD = (\w+)$", text, re.MULTILINE | re.DOTALL)
    for row in found:
        key, message, tag = (bytes.fromhex(part) for part in row)
        made = HmacKey(key_type, key.ljust(length, b"\0") if len(key) <= length else hashed(key).digest())
        assert made.mac(message) == tag
        assert made.verify(message, tag)
    assert len(found) == 6


def blocks(text: str) -> list[dict[str, str]]:
    """The `field = value` blocks of a NIST file, each from its K on."""
    found: list[dict[str, str]] = []
    for line in text.splitlines():
        if line.startswith("COUNT"):
            found.append({})
        elif found and (match := re.match(r"(\w+)(?: = (\w*))?$", line)):
            found[-1][match[1]] = match[2] or ""
    return found


class KeyGiven(PrivateKey):
    """Stands where the RSA key stands in an import, so that the wrapped key is the vector's."""

    __slots__ = ("given",)

    def decrypt(self, ciphertext, algorithm, label=b""):
        return self.given


def unwrap(key: bytes, wrapped: bytes) -> bytearray:
    private = KeyGiven(KeyType.RSA_4096, None)
    private.given = key
    return importing.unwrap_import(private, bytes(512) + wrapped)


@pytest.fixture(scope="module")
def wrapping_der() -> bytes:
    group, _ = wycheproof("rsa_oaep_4096_sha256_mgf1sha256")[0]
    return load_private(KeyType.RSA_4096, bytes.fromhex(group["privateKeyPkcs8"])).public().der


def wrap(monkeypatch, der: bytes, key: bytes, material: bytes) -> bytes:
    monkeypatch.setattr(importing, "random_bytes", lambda _length: key)
    return importing.wrap_for_import(der, material)[512:]


def test_wycheproof_key_wraps_give_each_listed_verdict(monkeypatch, wrapping_der):
    verdicts: Counter[str] = Counter()
    for group, row in wycheproof("aes_kwp"):
        key, material, wrapped = raw(row, "key", "msg", "ct")
        if group["keySize"] != 256:
            with pytest.raises(DecryptionError):
                unwrap(key, wrapped)
            verdicts["short key refused"] += 1
        elif row["result"] == "valid":
            assert unwrap(key, wrapped) == material
            assert wrap(monkeypatch, wrapping_der, key, material) == wrapped
            verdicts["valid"] += 1
        else:
            with pytest.raises(DecryptionError):
                unwrap(key, wrapped)
            verdicts["invalid"] += 1
    assert verdicts == {"valid": 25, "invalid": 69, "short key refused": 160}


def test_nist_key_wraps_give_the_listed_bytes(monkeypatch, wrapping_der):
    rows = blocks(text_of("nist_cavp/KWP_AE_256.txt"))
    for row in rows:
        key, material, wrapped = raw(row, "K", "P", "C")
        assert wrap(monkeypatch, wrapping_der, key, material) == wrapped
    assert len(rows) == 500


def test_nist_key_unwraps_give_each_listed_verdict():
    verdicts: Counter[str] = Counter()
    for row in blocks(text_of("nist_cavp/KWP_AD_256.txt")):
        key, wrapped = raw(row, "K", "C")
        if "FAIL" in row:
            with pytest.raises(DecryptionError):
                unwrap(key, wrapped)
            verdicts["refused"] += 1
        else:
            assert unwrap(key, wrapped) == bytes.fromhex(row["P"])
            verdicts["unwrapped"] += 1
    assert verdicts == {"unwrapped": 400, "refused": 100}

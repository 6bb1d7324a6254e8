"""Published vectors run through the composition of primitives in crypto, the number of each kind asserted."""

import json
from base64 import b64encode
from collections import Counter
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from keystead.crypto import compact, envelope
from keystead.crypto.kdf import Argon2Parameters, derive, derive_from_passphrase, derive_into
from keystead.crypto.mac import mac, same
from keystead.crypto.purpose import Purpose
from keystead.crypto.signatures import verify
from keystead.errors import DecryptionError, EnvelopeError

DATA = Path(__file__).parent / "data"


def b64(data: bytes) -> str:
    return b64encode(data).decode()


def rows(name):
    document = json.loads((DATA / "wycheproof" / name).read_text())
    found = [(group, row) for group in document["testGroups"] for row in group["tests"]]
    assert len(found) == document["numberOfTests"]
    return found


def records(name):
    """The `field = value` blocks of an RFC file."""
    blocks, block = [], {}
    for line in [*(DATA / "rfc_kdf" / name).read_text().splitlines(), ""]:
        if " = " in line or line.rstrip().endswith("="):
            field, _, value = (part.strip() for part in line.partition("="))
            if field in block:
                blocks.append(block)
                block = {}
            block[field] = value
    return [*blocks, block]


@pytest.fixture
def raw_key(monkeypatch):
    """Envelope keys whose AES key is the vector's own, so that the whole path from JSON to plaintext is under test."""
    chosen: dict[str, bytes] = {}

    def put(buffer, _key, **_labels):
        buffer[:] = chosen["key"]

    monkeypatch.setattr(envelope, "derive_into", put)
    monkeypatch.setattr(envelope, "random_nonce", lambda _length: chosen["iv"])

    def make(key: bytes, iv: bytes = b"") -> envelope.EnvelopeKey:
        chosen.update(key=key, iv=iv)
        return envelope.EnvelopeKey("default-1", bytes(len(key)))

    return make


def as_text(iv: bytes, ciphertext: bytes, tag: bytes, aad: bytes) -> str:
    return json.dumps(
        {
            "v": 1,
            "alg": "aes-256-gcm",
            "keyId": "default-1",
            "iv": b64(iv),
            "tag": b64(tag),
            "ciphertext": b64(ciphertext),
            "aad": b64(aad),
            "timestamp": 1,
        }
    )


def test_wycheproof_aes_gcm_gives_each_listed_verdict(raw_key):
    verdicts: Counter[str] = Counter()
    for group, row in rows("aes_gcm_test.json"):
        key, iv, aad, message, ciphertext, tag = (
            bytes.fromhex(row[field]) for field in ("key", "iv", "aad", "msg", "ct", "tag")
        )
        text = as_text(iv, ciphertext, tag, aad)
        if len(iv) != 12:
            with pytest.raises(EnvelopeError) as refused:
                envelope.parse(text)
            assert refused.value.field == "iv"
            verdicts["iv refused"] += 1
        elif group["keySize"] != 256:
            with pytest.raises(ValueError, match="32 bytes"):
                raw_key(key, iv)
            with pytest.raises(ValueError, match="32 bytes"):
                compact.new_message_key(bytes(8), key, Purpose.CALLER)
            verdicts["short key refused"] += 1
        elif row["result"] == "valid":
            made = raw_key(key, iv)
            assert made.open(envelope.parse(text), aad) == message
            sealed = made.seal(message, aad, 1)
            assert (sealed["ciphertext"], sealed["tag"]) == (b64(ciphertext), b64(tag))
            assert compact.MessageKey(b"", key).encrypt(iv, message, aad) == ciphertext + tag
            verdicts["opened"] += 1
        else:
            with pytest.raises(DecryptionError):
                raw_key(key).open(envelope.parse(text), None)
            verdicts["forgery refused"] += 1
    assert verdicts == {"opened": 39, "forgery refused": 27, "short key refused": 131, "iv refused": 119}


def test_nist_decryption_rows_give_each_listed_verdict(raw_key):
    tests = json.loads((DATA / "nist_cavp/gcm256_decrypt_iv96_tag128.json").read_text())["tests"]
    verdicts: Counter[bool] = Counter()
    for row in tests:
        key, iv, ciphertext, aad, tag = (bytes.fromhex(row[name]) for name in ("Key", "IV", "CT", "AAD", "Tag"))
        parts = envelope.parse(as_text(iv, ciphertext, tag, aad))
        if row["FAIL"]:
            with pytest.raises(DecryptionError):
                raw_key(key).open(parts, aad)
        else:
            assert raw_key(key).open(parts, aad) == bytes.fromhex(row["PT"])
        verdicts[row["FAIL"]] += 1
    assert verdicts == {True: 191, False: 184}


def test_nist_encryption_rows_give_the_listed_ciphertexts(raw_key):
    tests = json.loads((DATA / "nist_cavp/gcm256_encrypt_iv96_tag128.json").read_text())["tests"]
    for row in tests:
        key, iv, plaintext, aad = (bytes.fromhex(row[name]) for name in ("Key", "IV", "PT", "AAD"))
        sealed = raw_key(key, iv).seal(plaintext, aad, 1)
        _, own_iv, ciphertext, tag, own_aad = envelope.parse(dict(sealed))
        assert (own_iv, own_aad) == (iv, aad)
        assert (ciphertext.hex(), tag.hex()) == (row["CT"], row["Tag"])
    assert len(tests) == 375


def test_nist_rows_with_other_iv_or_tag_lengths_are_refused_by_form():
    tests = json.loads((DATA / "nist_cavp/gcm256_other_iv_or_tag_lengths.json").read_text())["tests"]
    refused: Counter[str] = Counter()
    for row in tests:
        iv, ciphertext, aad, tag = (bytes.fromhex(row[name]) for name in ("IV", "CT", "AAD", "Tag"))
        with pytest.raises(EnvelopeError) as error:
            envelope.parse(as_text(iv, ciphertext, tag, aad))
        assert error.value.field == ("iv" if len(iv) != 12 else "tag")
        refused[error.value.field] += 1
    assert refused == {"iv": 166, "tag": 71}


def test_two_key_ciphertexts_open_as_bare_aes_gcm_and_never_as_compact_ciphertext():
    tests = json.loads((DATA / "keystead_own/aes256gcm_two_keys.json").read_text())["tests"]
    for row in tests:
        keys = [bytes.fromhex(row["key1"]), bytes.fromhex(row["key2"])]
        aads = [bytes.fromhex(row["aad1"]), bytes.fromhex(row["aad2"])]
        nonce, sealed = bytes.fromhex(row["nonce"]), bytes.fromhex(row["ciphertext"] + row["tag"])
        for number, key in enumerate(keys):
            bare = compact.MessageKey(b"", key).decrypt(nonce, sealed, aads[number])
            assert bare.hex() == row[f"plaintext{number + 1}"]
        prefixes = [compact.new_message_key(bytes(8), key, Purpose.CALLER).prefix for key in keys]
        for prefix in prefixes:
            blob = prefix + nonce + sealed
            compact.check_form(blob)
            accepted = []
            for key, aad in zip(keys, aads, strict=True):
                with pytest.raises(DecryptionError):
                    accepted.append(compact.message_key_for(prefix, key, Purpose.CALLER))
                    accepted[-1].open(blob, aad)
            assert len(accepted) == 1, "a header commits to one key, so the other is refused before any cipher is made"
    assert len(tests) == 3


def test_hkdf_sha256_follows_wycheproof():
    verdicts: Counter[str] = Counter()
    for _, row in rows("hkdf_sha256_test.json"):
        ikm, salt, info = (bytes.fromhex(row[name]) for name in ("ikm", "salt", "info"))
        if row["result"] == "valid":
            expected = bytes.fromhex(row["okm"])
            assert derive(ikm, salt=salt, info=info, length=row["size"]) == expected
            buffer = bytearray(row["size"])
            derive_into(buffer, ikm, salt=salt, info=info)
            assert buffer == expected
        else:
            with pytest.raises(ValueError):
                derive(ikm, salt=salt, info=info, length=row["size"])
        verdicts[row["result"]] += 1
    assert verdicts == {"valid": 83, "invalid": 3}


@pytest.mark.parametrize(("name", "count"), [("rfc-5869-HKDF-SHA256.txt", 3), ("hkdf-generated.txt", 1)])
def test_hkdf_sha256_follows_rfc_5869(name, count):
    blocks = records(name)
    for block in blocks:
        ikm, salt, info = (bytes.fromhex(block[field]) for field in ("IKM", "salt", "info"))
        assert derive(ikm, salt=salt, info=info, length=int(block["L"])).hex() == block["OKM"]
    assert len(blocks) == count


def test_hmac_sha256_follows_wycheproof():
    verdicts: Counter[str] = Counter()
    for group, row in rows("hmac_sha256_test.json"):
        computed = mac(bytes.fromhex(row["key"]), bytes.fromhex(row["msg"]))
        agrees = same(computed[: group["tagSize"] // 8], bytes.fromhex(row["tag"]))
        assert agrees == (row["result"] == "valid"), row["tcId"]
        verdicts[row["result"]] += 1
    assert verdicts == {"valid": 66, "invalid": 108}


def test_hmac_sha256_follows_rfc_4231():
    blocks = records("rfc-4231-sha256.txt")
    for block in blocks:
        assert mac(bytes.fromhex(block["Key"]), bytes.fromhex(block["Msg"])).hex() == block["MD"]
    assert len(blocks) == 6


def test_ed25519_follows_wycheproof():
    verdicts: Counter[str] = Counter()
    for group, row in rows("ed25519_test.json"):
        public, message, signature = bytes.fromhex(group["publicKey"]["pk"]), row["msg"], row["sig"]
        if row["result"] == "valid":
            verify(public, bytes.fromhex(message), bytes.fromhex(signature))
        else:
            with pytest.raises(DecryptionError):
                verify(public, bytes.fromhex(message), bytes.fromhex(signature))
        verdicts[row["result"]] += 1
    assert verdicts == {"valid": 88, "invalid": 63}


def test_argon2id_parameters_of_the_published_cases_are_all_too_cheap_and_refused():
    blocks = records("argon2id.txt")
    refused = 0
    for block in blocks:
        parameters = Argon2Parameters(int(block["iter"]), int(block["lanes"]), int(block["memcost"]))
        assert parameters.problem()
        with pytest.raises(ValueError, match=r"iterations|memory"):
            derive_from_passphrase("x", salt=bytes(16), parameters=parameters)
        refused += 1
    assert refused == 6


def test_argon2id_gives_the_published_outputs_by_the_library_and_by_our_way_to_it(monkeypatch):
    """The bounds are lifted for our way, which has no secret and no data of its own, and salts of 16 bytes."""
    monkeypatch.setattr(Argon2Parameters, "problem", lambda _self: None)
    ours = 0
    for block in records("argon2id.txt"):
        cost = Argon2Parameters(int(block["iter"]), int(block["lanes"]), int(block["memcost"]))
        given = {name: bytes.fromhex(block.get(name, "")) for name in ("pass", "salt", "secret", "ad", "output")}
        made = Argon2id(
            salt=given["salt"],
            length=int(block["length"]),
            iterations=cost.iterations,
            lanes=cost.lanes,
            memory_cost=cost.memory_kib,
            ad=given["ad"] or None,
            secret=given["secret"] or None,
        )
        assert made.derive(given["pass"]) == given["output"]
        if not given["secret"] and not given["ad"] and len(given["salt"]) == 16 and int(block["length"]) == 32:
            assert (
                derive_from_passphrase(given["pass"].decode(), salt=given["salt"], parameters=cost) == given["output"]
            )
            ours += 1
    assert ours == 2

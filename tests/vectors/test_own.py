"""keystead's own known answers: the package opens and refuses what they list, seals the same bytes, and the second
implementation writes the same files again."""

import json
import subprocess
import sys
from collections import Counter
from functools import partial
from io import BytesIO
from pathlib import Path

import pytest

from keystead import errors
from keystead.crypto import compact, envelope, importing, stream, wrapping
from keystead.crypto.aad import bind, canonical_aad
from keystead.crypto.asymmetric import load_private
from keystead.crypto.derive import derive_context_key
from keystead.crypto.kdf import Argon2Parameters, derive, derive_from_passphrase
from keystead.crypto.material import KeyMaterial
from keystead.crypto.purpose import Purpose, label
from keystead.crypto.stream import StreamOpener, StreamSealer
from keystead.crypto.types import CIPHERS, KeyType
from keystead.errors import EnvelopeError
from keystead.keys.stream_io import open_stream, seal_stream

VECTORS = Path(__file__).parents[2] / "vectors"


def load(name):
    return json.loads((VECTORS / name).read_text("utf-8"))


def raw(case, *fields):
    return [None if case[field] is None else bytes.fromhex(case[field]) for field in fields]


def refused(case, attempt):
    """The case's outcome was raised: the error, and the field where its form is wrong."""
    with pytest.raises(getattr(errors, case["outcome"])) as raised:
        attempt()
    assert type(raised.value).__name__ == case["outcome"], case["name"]
    if isinstance(raised.value, EnvelopeError):
        assert raised.value.field == case["field"], case["name"]
    return case["outcome"]


def opener_of(case):
    data_key, aad = raw(case, "data_key", "aad")
    return lambda header: StreamOpener(header, data_key, aad=aad, purpose=Purpose(case["purpose"]))


@pytest.fixture
def fixed_random(monkeypatch):
    """Salts and nonces as the vectors give them, in the order in which sealing asks for them."""

    def use(module, *values):
        queue = list(values)

        def next_value(length):
            value = queue.pop(0)
            assert len(value) == length
            return value

        for source in ("random_bytes", "random_nonce"):
            if hasattr(module, source):
                monkeypatch.setattr(module, source, next_value)

    return use


def test_the_second_implementation_writes_the_same_files():
    run = subprocess.run(
        [sys.executable, "-B", VECTORS / "make.py", "--check"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_second_implementation_does_not_use_the_package():
    for path in VECTORS.glob("*.py"):
        assert "import keystead" not in path.read_text("utf-8")
        assert "from keystead" not in path.read_text("utf-8")


def test_envelopes_open_and_are_sealed_alike(fixed_random):
    cases = load("envelope_v1.json")["positive"]
    for case in cases:
        data_key, plaintext, aad = raw(case, "data_key", "plaintext", "aad")
        written = case["envelope"]
        key = envelope.EnvelopeKey(written["keyId"], data_key)
        for form in (written, json.dumps(written)):
            for given in (aad, None):
                assert key.open(envelope.parse(form), given) == plaintext
        fixed_random(envelope, envelope.parse(written)[1])
        assert key.seal(plaintext, aad, written["timestamp"]) == written
        assert derive(data_key, salt=b"", info=label("v1", Purpose.CALLER)).hex() == case["message_key"]
    assert len(cases) == 6


def test_envelopes_are_refused_as_listed():
    outcomes = Counter()
    for case in load("envelope_v1.json")["negative"]:
        data_key, aad = raw(case, "data_key", "aad")

        def attempt(case=case, data_key=data_key, aad=aad):
            given = case["text"] if "text" in case else case["envelope"]
            envelope.EnvelopeKey("default-1707000000000", data_key).open(envelope.parse(given), aad)

        outcomes[refused(case, attempt)] += 1
    assert outcomes == {"EnvelopeError": 41, "DecryptionError": 12}


def test_compact_ciphertexts_open_and_are_sealed_alike(fixed_random):
    cases = load("compact_v2.json")["positive"]
    for case in cases:
        data_key, reference, salt, nonce, plaintext, aad, blob = raw(
            case, "data_key", "reference", "salt", "nonce", "plaintext", "aad", "blob"
        )
        purpose = Purpose(case["purpose"])
        assert compact.from_text(case["text"]) == blob
        assert compact.to_text(blob) == case["text"]
        compact.check_form(blob)
        assert compact.message_key_for(blob[:60], data_key, purpose).open(blob, aad) == plaintext
        fixed_random(compact, salt, nonce)
        assert compact.new_message_key(reference, data_key, purpose).seal(plaintext, aad) == blob
    assert len(cases) == 24
    assert {case["purpose"] for case in cases} == set(Purpose)


def test_compact_ciphertexts_are_refused_as_listed():
    outcomes = Counter()
    for case in load("compact_v2.json")["negative"]:
        data_key, aad = raw(case, "data_key", "aad")

        def attempt(case=case, data_key=data_key, aad=aad):
            blob = compact.from_text(case["text"]) if "text" in case else bytes.fromhex(case["blob"])
            compact.check_form(blob)
            compact.message_key_for(blob[:60], data_key, Purpose(case["purpose"])).open(blob, aad)

        outcomes[refused(case, attempt)] += 1
    assert outcomes == {"EnvelopeError": 15, "DecryptionError": 12}


def test_ciphertexts_under_named_keys_open_and_are_sealed_alike(fixed_random):
    cases = load("named_keys.json")["positive"]
    for case in cases:
        key, reference, salt, nonce, plaintext, aad, blob = raw(
            case, "data_key", "reference", "salt", "nonce", "plaintext", "aad", "blob"
        )
        key_type = KeyType(case["key_type"])
        compact.check_form(blob, key_type)
        assert compact.message_key_for(blob[:60], key, Purpose.NAMED_KEY, key_type).open(blob, aad) == plaintext
        if case["deterministic"]:
            made = compact.new_deterministic_key(reference, key, Purpose.NAMED_KEY, salt)
            assert made.seal(plaintext, aad) == made.seal(plaintext, aad) == blob
        else:
            fixed_random(compact, salt, nonce)
            made = compact.new_message_key(reference, key, Purpose.NAMED_KEY, key_type=key_type)
            assert made.seal(plaintext, aad) == blob
    assert len(cases) == 12
    assert {case["key_type"] for case in cases} == set(CIPHERS)


def test_ciphertexts_under_named_keys_are_refused_as_listed():
    outcomes = Counter()
    for case in load("named_keys.json")["negative"]:
        key, aad, blob = raw(case, "data_key", "aad", "blob")

        def attempt(case=case, key=key, aad=aad, blob=blob):
            key_type = KeyType(case["key_type"])
            compact.check_form(blob, key_type)
            compact.message_key_for(blob[:60], key, Purpose(case["purpose"]), key_type).open(blob, aad)

        outcomes[refused(case, attempt)] += 1
    assert outcomes == {"EnvelopeError": 8, "DecryptionError": 50}


def test_wrapped_imports_are_unwrapped_and_refused_as_listed(monkeypatch):
    cases = load("importing.json")
    private = load_private(KeyType.RSA_4096, bytes.fromhex(cases["private"]))
    assert private.public().der.hex() == cases["public"]
    for case in cases["positive"]:
        aes_key, material, blob = raw(case, "aes_key", "material", "blob")
        assert importing.unwrap_import(private, blob) == material
        monkeypatch.setattr(importing, "random_bytes", lambda _length, aes_key=aes_key: aes_key)
        wrapped = importing.wrap_for_import(private.public().der, material)
        assert wrapped[512:] == blob[512:]
        assert importing.unwrap_import(private, wrapped) == material
    for case in cases["negative"]:
        refused(case, lambda case=case: importing.unwrap_import(private, bytes.fromhex(case["blob"])))
    assert [len(cases[part]) for part in ("positive", "negative")] == [4, 10]


def test_streams_open_and_are_sealed_alike(fixed_random):
    cases = load("stream.json")["positive"]
    for case in cases:
        data_key, reference, salt, plaintext, aad, whole = raw(
            case, "data_key", "reference", "salt", "plaintext", "aad", "stream"
        )
        purpose = Purpose(case["purpose"])
        out = BytesIO()
        open_stream(BytesIO(whole), out, opener_of(case))
        assert out.getvalue() == plaintext
        fixed_random(stream, salt)
        sealed = BytesIO()
        sealer = StreamSealer(reference, data_key, aad=aad, chunk_size=case["chunk_size"], purpose=purpose)
        seal_stream(BytesIO(plaintext), sealed, sealer)
        assert sealed.getvalue() == whole
    assert len(cases) == 6


def test_streams_are_refused_as_listed():
    outcomes = Counter()
    for case in load("stream.json")["negative"]:
        (whole,) = raw(case, "stream")
        outcomes[refused(case, partial(open_stream, BytesIO(whole), BytesIO(), opener_of(case)))] += 1
    assert outcomes == {"EnvelopeError": 8, "DecryptionError": 19}


def test_canonical_aad_is_as_listed():
    cases = load("aad.json")
    for case in cases["mappings"]:
        assert canonical_aad(case["mapping"]).hex() == case["aad"]
    for case in cases["texts"]:
        assert canonical_aad(case["text"]).hex() == case["aad"]
    for case in cases["bindings"]:
        assert bind(case["kind"], *case["fields"]).hex() == case["aad"]
    assert [len(cases[part]) for part in ("mappings", "texts", "bindings")] == [7, 4, 5]


def test_wrapped_keys_open_are_wrapped_alike_and_are_refused_as_listed(fixed_random):
    cases = load("wrapping.json")
    for case in cases["positive"]:
        key, material, nonce, aad, wrapped = raw(case, "wrapping_key", "material", "nonce", "aad", "wrapped")
        assert bytes(wrapping.unwrap_key(key, wrapped, aad).view()) == material
        fixed_random(wrapping, nonce)
        assert wrapping.wrap_key(key, KeyMaterial(material), aad) == wrapped
    for case in cases["negative"]:
        key, aad, wrapped = raw(case, "wrapping_key", "aad", "wrapped")
        refused(case, lambda key=key, aad=aad, wrapped=wrapped: wrapping.unwrap_key(key, wrapped, aad))
    assert [len(cases[part]) for part in ("positive", "negative")] == [1, 9]


def test_derivations_are_as_listed():
    cases = load("derivation.json")
    for case in cases["labels"]:
        data_key, salt, okm = raw(case, "data_key", "salt", "okm")
        info = label(case["form"], Purpose(case["purpose"]))
        assert info.decode() == case["info"]
        assert derive(data_key, salt=salt, info=info, length=len(okm)) == okm
    for case in cases["algorithms"]:
        data_key, salt, okm = raw(case, "data_key", "salt", "okm")
        info = label(case["form"], Purpose(case["purpose"]), case["algorithm"])
        assert info.decode() == case["info"]
        assert derive(data_key, salt=salt, info=info, length=len(okm)) == okm
    for case in cases["contexts"]:
        material, context, key = raw(case, "material", "context", "key")
        assert derive_context_key(material, context, case["length"]) == key
    for case in cases["argon2id"]:
        parameters = Argon2Parameters(case["iterations"], case["lanes"], case["memory_kib"])
        salt, key = raw(case, "salt", "key")
        assert derive_from_passphrase(case["passphrase"], salt=salt, parameters=parameters) == key
    assert [len(cases[part]) for part in ("labels", "algorithms", "contexts", "argon2id")] == [17, 4, 4, 3]

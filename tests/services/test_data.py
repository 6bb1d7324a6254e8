"""A caller's data through KMSService: both formats, their AAD, streams, many at once, re-encryption."""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.services.conftest import Open, recorded

from keystead.crypto.compact import from_text, to_text
from keystead.errors import (
    DataError,
    DataKeyNotFound,
    DecryptionError,
    EnvelopeError,
    IntegrityError,
    UsageError,
)
from keystead.services.kms import KMSService

AADS: list[Any] = [None, "", "user:1", b"\x00\xff", {"user": "1", "app": "x"}, {}]


@pytest.mark.parametrize("data", [b"", b"x", b"\x00" * 64, b"x" * 100_000])
@pytest.mark.parametrize("aad", AADS)
def test_what_is_encrypted_opens_with_its_aad_only(kms: KMSService, data: bytes, aad: Any) -> None:
    blob = kms.encrypt(data, aad=aad)
    assert len(blob) == len(data) + 88
    assert kms.decrypt(blob, aad=aad) == data
    for other in ("user:2", b"user:1 ", {"user": "2", "app": "x"}):
        with pytest.raises(DecryptionError):
            kms.decrypt(blob, aad=other)
    assert kms.decrypt(blob, aad=aad) == data


@pytest.mark.parametrize("plaintext", ["", "x", "ü\U0001f600", "x" * 100_000, b"", b"\xff\x00"])
@pytest.mark.parametrize("aad", AADS)
def test_an_envelope_is_json_and_opens_with_its_aad_only(kms: KMSService, plaintext: str | bytes, aad: Any) -> None:
    envelope = kms.encrypt_data(plaintext, aad=aad)
    encoding = "utf-8" if isinstance(plaintext, str) else None
    text = json.dumps(envelope)
    for form in (envelope, dict(envelope), text, text.encode()):
        assert kms.decrypt_data(form, aad=aad, encoding=encoding) == plaintext  # type: ignore[call-overload]
    for other in ("user:2", b"user:1 ", {"user": "2", "app": "x"}):
        with pytest.raises(DecryptionError):
            kms.decrypt_data(envelope, aad=other)


def test_a_mapping_as_aad_means_the_same_in_any_order(kms: KMSService) -> None:
    blob = kms.encrypt(b"x", aad={"user": "1", "app": "x"})
    assert kms.decrypt(blob, aad={"app": "x", "user": "1"}) == b"x"
    with pytest.raises(DecryptionError):
        kms.decrypt(blob, aad={"userapp": "1x"})


@pytest.mark.parametrize("aad", [5, 1.0, ["a"], {"a": 1}, {1: "a"}, {"a": None}, "\ud800"])
def test_an_aad_of_another_kind_is_refused_by_every_call(kms: KMSService, aad: Any) -> None:
    blob, envelope = kms.encrypt(b"x"), kms.encrypt_data("x")
    calls: list[Callable[[], object]] = [
        lambda: kms.encrypt(b"x", aad=aad),
        lambda: kms.decrypt(blob, aad=aad),
        lambda: kms.encrypt_data("x", aad=aad),
        lambda: kms.decrypt_data(envelope, aad=aad),
        lambda: kms.reencrypt(blob, aad=aad),
        lambda: kms.encrypt_stream(io.BytesIO(b"x"), io.BytesIO(), aad=aad),
        lambda: kms.encrypt_many([b"x"], aad=aad),
    ]
    for call in calls:
        with pytest.raises(UsageError, match="AAD"):
            call()


@pytest.mark.parametrize("data", ["text", 5, None, bytearray(b"x"), ["x"], memoryview(b"x")])
def test_what_is_not_bytes_is_refused_or_means_its_bytes(kms: KMSService, data: Any) -> None:
    try:
        blob = kms.encrypt(data)
    except UsageError as refused:
        assert "bytes" in str(refused)
    else:
        assert kms.decrypt(blob) == bytes(data)
    with pytest.raises((UsageError, EnvelopeError)):
        kms.decrypt(data)
    if not isinstance(data, str):
        with pytest.raises(UsageError):
            kms.encrypt_data(data)


def test_an_envelope_accepts_its_own_aad_unless_one_is_required_and_that_is_recorded(kms: KMSService) -> None:
    envelope = kms.encrypt_data("x", aad="user:1")
    assert kms.decrypt_data(envelope) == "x"
    with pytest.raises(UsageError, match="requires an AAD"):
        kms.decrypt_data(envelope, require_aad=True)
    assert kms.decrypt_data(envelope, aad="user:1", require_aad=True) == "x"
    with pytest.raises(DecryptionError):
        kms.decrypt_data(envelope, aad="", require_aad=True)
    with pytest.raises(DecryptionError):
        kms.decrypt_data(kms.encrypt_data("x"), aad="user:1")
    log = b"".join(file.read_bytes() for file in kms.node.location.audit.rglob("*.jsonl"))
    assert b"(aad unchecked)" in log


def test_the_encoding_of_an_envelope_is_told_and_none_gives_bytes(kms: KMSService) -> None:
    envelope = kms.encrypt_data("ü")
    assert kms.decrypt_data(envelope, encoding=None) == "ü".encode()
    assert kms.decrypt_data(envelope, encoding="latin-1") == "Ã¼"
    binary = kms.encrypt_data(b"\xff")
    for encoding in ("utf-8", "no-such-encoding"):
        with pytest.raises(UsageError, match="encoding=None"):
            kms.decrypt_data(binary, encoding=encoding)
    assert kms.decrypt_data(binary, encoding=None) == b"\xff"


def test_neither_format_is_guessed(kms: KMSService) -> None:
    blob, envelope = kms.encrypt(b"x"), kms.encrypt_data("x")
    with pytest.raises(EnvelopeError):
        kms.decrypt(json.dumps(envelope).encode())
    with pytest.raises(EnvelopeError):
        kms.decrypt(to_text(blob).encode())
    with pytest.raises(EnvelopeError):
        kms.decrypt_data(blob)
    with pytest.raises(EnvelopeError):
        kms.decrypt_data(to_text(blob))


def test_many_are_encrypted_and_decrypted_in_order(kms: KMSService) -> None:
    items = [bytes([number]) * number for number in range(20)]
    blobs = kms.encrypt_many(iter(items), aad="x")
    assert len(set(blobs)) == 20
    assert kms.decrypt_many(iter(blobs), aad="x") == items
    with pytest.raises(DecryptionError):
        kms.decrypt_many([blobs[0], blobs[1][:-1] + bytes([blobs[1][-1] ^ 1])], aad="x")
    assert kms.encrypt_many([]) == []


def test_no_two_ciphertexts_are_the_same(kms: KMSService) -> None:
    assert len({kms.encrypt(b"x") for _ in range(1000)}) == 1000
    assert len({kms.encrypt_data("x")["iv"] for _ in range(1000)}) == 1000


# Re-encryption


@pytest.mark.parametrize("to", [None, "v1", "v2"])
@pytest.mark.parametrize("aad", ["user:1", {"user": "1"}, b"\x00"])
def test_reencrypting_keeps_plaintext_and_aad_and_the_format_unless_told(kms: KMSService, to: Any, aad: Any) -> None:
    blob, envelope = kms.encrypt(b"\xffx", aad=aad), kms.encrypt_data(b"\xffx", aad=aad)
    former = kms.list_data_keys().items[-1].id
    new = kms.rotate_data_key().id
    forms = {"v2": [blob, to_text(blob)], "v1": [envelope, json.dumps(envelope), json.dumps(envelope).encode()]}
    for given, inputs in forms.items():
        for x in inputs:
            again = kms.reencrypt(x, aad=aad, to=to)
            if (to or given) == "v2":
                assert isinstance(again, str) == (x == to_text(blob))
                again = from_text(again) if isinstance(again, str) else again
                assert kms.decrypt(again, aad=aad) == b"\xffx"
                assert kms.node.ring.by_reference(again[4:12]).key_id == new
            else:
                assert kms.decrypt_data(again, aad=aad, encoding=None) == b"\xffx"
                assert again["keyId"] == new
    assert envelope["keyId"] == former


def test_reencrypting_an_envelope_without_being_told_its_aad_keeps_it_bound(kms: KMSService) -> None:
    again = kms.reencrypt(kms.encrypt_data("x", aad="user:1"))
    assert kms.decrypt_data(again, aad="user:1") == "x"


def test_reencrypting_refuses_another_format_aad_or_input(kms: KMSService) -> None:
    blob = kms.encrypt(b"x", aad="user:1")
    with pytest.raises(UsageError, match="v1 or v2"):
        kms.reencrypt(blob, aad="user:1", to="v3")  # type: ignore[arg-type]
    with pytest.raises(DecryptionError):
        kms.reencrypt(blob, aad="user:2")
    for nonsense in (b"", b"x", "ks2_", "", "{}", {}, 5, None, b"{"):
        with pytest.raises((DataError, UsageError)):
            kms.reencrypt(nonsense)  # type: ignore[arg-type]


# Streams


def test_a_stream_goes_from_file_to_file(kms: KMSService, tmp_path: Path) -> None:
    plain, sealed, again = tmp_path / "plain", tmp_path / "sealed", tmp_path / "again"
    plain.write_bytes(b"x" * 300_000)
    assert kms.encrypt_stream(plain, str(sealed), aad="doc:1") == 300_000
    assert kms.decrypt_stream(str(sealed), again, aad="doc:1") == 300_000
    assert again.read_bytes() == plain.read_bytes()
    with pytest.raises(DecryptionError):
        kms.decrypt_stream(sealed, tmp_path / "wrong", aad="doc:2")
    assert not (tmp_path / "wrong").exists()
    kms.rotate_data_key()
    out = io.BytesIO()
    with sealed.open("rb") as source:
        assert kms.decrypt_stream(source, out, aad="doc:1") == 300_000
    assert out.getvalue() == plain.read_bytes()


# One key, one purpose


def test_no_purposes_ciphertext_opens_as_another_with_the_right_aad(kms: KMSService, path: Path) -> None:
    kms.store_secret("API_KEY", b"of the store")
    with closing(sqlite3.connect(path)) as connection:
        (secret,) = connection.execute("SELECT ciphertext FROM secret_versions").fetchone()
    rows = kms.node.read_secrets()
    head, version = rows.head("API_KEY"), rows.version("API_KEY", 1)
    assert head is not None
    assert version is not None
    bound = kms.node.binder().version_aad(head, version)
    stream = io.BytesIO()
    kms.encrypt_stream(io.BytesIO(b"streamed"), stream, aad=bound)
    compact, envelope = kms.encrypt(b"of a caller", aad=bound), kms.encrypt_data(b"of a caller", aad=bound)
    foreign: dict[str, list[Any]] = {
        "compact": [secret, stream.getvalue()],
        "envelope": [secret, stream.getvalue(), compact],
        "stream": [secret, compact],
    }
    for blob in foreign["compact"]:
        with pytest.raises(DataError):
            kms.decrypt(blob, aad=bound)
    for blob in foreign["envelope"]:
        with pytest.raises(DataError):
            kms.decrypt_data({**envelope, "ciphertext": blob.hex()}, aad=bound)
        with pytest.raises(DataError):
            kms.decrypt_data(blob, aad=bound)
    for blob in foreign["stream"]:
        with pytest.raises(DataError):
            kms.decrypt_stream(io.BytesIO(blob), io.BytesIO(), aad=bound)
    for forged in (compact, stream.getvalue(), secret[:60] + compact[60:]):
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("UPDATE secret_versions SET ciphertext = ?", (forged,))
            connection.commit()
        with pytest.raises(IntegrityError):
            kms.get_secret("API_KEY")


# Other stores, failures


def test_another_stores_ciphertexts_do_not_open(opened: Open, kms: KMSService, tmp_path: Path, key: str) -> None:
    import keystead

    with keystead.connect(tmp_path / "other.db", master_key=key) as other:
        blob, envelope = other.kms.encrypt(b"x"), other.kms.encrypt_data("x")
    with pytest.raises(DecryptionError):
        kms.decrypt(blob)
    with pytest.raises(DataKeyNotFound):
        kms.decrypt_data({**envelope, "keyId": "default-1"})


def test_each_failed_decryption_has_its_record(kms: KMSService) -> None:
    blob, envelope = kms.encrypt(b"x", aad="a"), kms.encrypt_data("x", aad="a")
    kms.decrypt(blob, aad="a")
    kms.decrypt_data(envelope, aad="a")
    events = recorded(kms)
    for _ in range(3):
        with pytest.raises(DecryptionError):
            kms.decrypt(blob, aad="b")
        with pytest.raises(DecryptionError):
            kms.decrypt_data(envelope, aad="b")
        with pytest.raises(EnvelopeError):
            kms.decrypt(b"x")
    assert [event for event, _, outcome in events if outcome == "failed"] == ["decryption_failed"] * 9


def test_uses_are_counted_and_never_too_low(kms: KMSService) -> None:
    for _ in range(50):
        kms.decrypt(kms.encrypt(b"x"))
    assert kms.node.operations(kms.session_id) >= 100
    assert kms.get_status().operations_by_session[kms.session_id] >= 100


def test_arguments_may_be_named_however_often_a_call_is_made(kms: KMSService) -> None:
    for _ in range(3):
        blob = kms.encrypt(data=b"x", aad="a")
        assert kms.decrypt(blob=blob, aad="a") == b"x"
        assert kms.decrypt_data(envelope=kms.encrypt_data(plaintext="x")) == "x"


def test_text_that_utf_8_cannot_hold_is_refused(kms: KMSService) -> None:
    with pytest.raises(UsageError, match="UTF-8"):
        kms.encrypt_data("\ud800")

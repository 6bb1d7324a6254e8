"""A backup read by docs/formats.md alone: with a library of ciphers and nothing of keystead's."""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from tests.backup.conftest import PASSPHRASE

from keystead.services.connection import Connection

DataKey = tuple[str, bytes, str, int, int, bytes, bytes]


def hkdf(key: bytes, salt: bytes, info: str, length: int) -> bytes:
    return HKDF(SHA256(), length, salt, info.encode()).derive(key)


def plaintext(file: bytes) -> bytes:
    assert file[:9] == b"ksbackup\x01"
    passes, lanes, memory = (int.from_bytes(file[at : at + 4], "big") for at in (9, 13, 17))
    kdf = Argon2id(salt=file[21:37], length=32, iterations=passes, lanes=lanes, memory_cost=memory)
    stream = file[45:]
    header, size = stream[:80], int.from_bytes(stream[76:80], "big") + 16
    assert (header[:4], header[4:12]) == (b"ks\x81\x01", bytes(8))
    both = hkdf(kdf.derive(PASSPHRASE.encode()), header[12:44], "keystead/stream/aes-256-gcm/backup", 64)
    assert both[32:] == header[44:76]
    chunks = [stream[at : at + size] for at in range(80, len(stream), size)]
    aad = hashlib.sha256(header + file[:45]).digest()
    nonces = [number.to_bytes(11, "big") + bytes([number == len(chunks) - 1]) for number in range(len(chunks))]
    return b"".join(AESGCM(both[:32]).decrypt(*pair, aad) for pair in zip(nonces, chunks, strict=True))


def bound(*fields: Any) -> bytes:
    parts = [field if isinstance(field, bytes) else str(field).encode() for field in fields]
    return b"\x01" + b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def unwrapped(key: bytes, wrapped: bytes, aad: bytes) -> bytes:
    assert (len(wrapped), wrapped[:1]) == (61, b"\x01")
    return AESGCM(key).decrypt(wrapped[1:13], wrapped[13:], aad)


def read(file: bytes) -> tuple[dict[str, Any], bytes, list[DataKey]]:
    """The manifest, the store's id, and the rows of the data keys."""
    content = plaintext(file)
    end = 4 + int.from_bytes(content[:4], "big")
    manifest = json.loads(content[4:end])
    assert hashlib.sha256(content[end:]).hexdigest() == manifest["sha256"]
    with closing(sqlite3.connect(":memory:")) as database:
        database.deserialize(content[end:])
        assert database.execute("PRAGMA application_id").fetchone() == (0x6B737464,)
        assert database.execute("SELECT count(*) FROM key_slots").fetchone() == (0,)
        store, check = database.execute("SELECT store_id, root_check FROM store").fetchone()
        columns = "key_id, reference, state, created_ms, state_ms, salt, wrapped"
        keys = database.execute(f"SELECT {columns} FROM data_keys ORDER BY rowid").fetchall()
    assert store.hex() == manifest["store_id"]
    assert hkdf(base64.b64decode(manifest["root_key"]), b"", "keystead/root/check", 32) == check
    return manifest, store, keys


@pytest.mark.parametrize("form", ["ordinary", "shreddable"])
def test_the_data_keys_of_a_backup_open_as_the_page_tells(store: Connection, tmp_path: Path, form: str) -> None:
    kms = store.kms
    kms.store_secret("LARGE", b"x" * 60_000)
    former = kms.encrypt_data("former")
    kms.rotate_data_key()
    newest = kms.encrypt_data("newest")
    kms.backup(tmp_path / "b", passphrase=PASSPHRASE, shreddable=form == "shreddable")
    manifest, store_id, keys = read((tmp_path / "b").read_bytes())
    assert manifest["form"] == form
    opened = []
    for key_id, reference, state, created, since, salt, wrapped in keys:
        aad = bound("data-key", store_id, key_id, reference, state, created, since, salt)
        if form == "ordinary":
            wrapping = hkdf(base64.b64decode(manifest["root_key"]), b"", "keystead/root/wrap", 32)
        else:
            wrapping = (tmp_path / "app.db.shred-keys" / reference.hex()).read_bytes()
            aad = bound("backup-data-key", aad)
        opened.append(unwrapped(wrapping, wrapped, aad))
    for data_key, envelope, text in zip(opened, (former, newest), (b"former", b"newest"), strict=True):
        iv, ciphertext, tag = (base64.b64decode(envelope[field]) for field in ("iv", "ciphertext", "tag"))
        key = hkdf(data_key, b"", "keystead/v1/aes-256-gcm/caller", 32)
        assert AESGCM(key).decrypt(iv, ciphertext + tag, b"") == text

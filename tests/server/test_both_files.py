"""The same of what is a file or goes on: streams, backups, the log that is followed, over a store and over a server."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path

import pytest
from tests.server.conftest import Server

import keystead
from keystead.client import audit as client_audit
from keystead.errors import DecryptionError, EnvelopeError, FileUnavailable, StoreExists, UsageError
from keystead.services.connection import Connection

PASSPHRASE = "seven herons over a quiet harbour"


@pytest.mark.parametrize("size", [0, 1, 262_144, 600_000])
def test_streams_of_any_size(both: Connection, tmp_path: Path, size: int) -> None:
    kms, plain = both.kms, tmp_path / "plain"
    plain.write_bytes(os.urandom(size))
    assert kms.encrypt_stream(plain, tmp_path / "sealed", aad={"a": "b"}) == size
    assert kms.decrypt_stream(tmp_path / "sealed", tmp_path / "back", aad={"a": "b"}) == size
    assert (tmp_path / "back").read_bytes() == plain.read_bytes()
    assert (tmp_path / "back").stat().st_mode & 0o777 == 0o600
    sealed, back = io.BytesIO(), io.BytesIO()
    kms.encrypt_stream(plain.open("rb"), sealed, aad=b"\xff")
    assert sealed.getvalue() != (tmp_path / "sealed").read_bytes(), "each stream is under a key of its own"
    sealed.seek(0)
    kms.decrypt_stream(sealed, back, aad=b"\xff")
    assert back.getvalue() == plain.read_bytes()


def test_what_is_no_whole_stream_leaves_no_file_and_only_verified_chunks(both: Connection, tmp_path: Path) -> None:
    kms, plain, sealed = both.kms, os.urandom(600_000), io.BytesIO()
    kms.encrypt_stream(io.BytesIO(plain), sealed, aad="x")
    whole, step, at = sealed.getvalue(), 262_144 + 16, 80
    swapped = whole[:at] + whole[at + step : at + 2 * step] + whole[at : at + step] + whole[at + 2 * step :]
    damaged = whole[:-1] + bytes([whole[-1] ^ 1])
    for data, aad, verified in (
        (whole, "y", 0),
        (whole[: at + 2 * step], "x", 1),
        (whole[: at + step + 5], "x", 1),
        (whole + b"more", "x", 2),
        (swapped, "x", 0),
        (damaged, "x", 2),
        (b"ks\x81\x01" + bytes(8) + whole[12:], "x", 0),
    ):
        (tmp_path / "in").write_bytes(data)
        with pytest.raises(DecryptionError):
            kms.decrypt_stream(tmp_path / "in", tmp_path / "out", aad=aad)
        assert not (tmp_path / "out").exists()
        got = io.BytesIO()
        with pytest.raises(DecryptionError):
            kms.decrypt_stream(io.BytesIO(data), got, aad=aad)
        assert got.getvalue() == plain[: verified * 262_144]
    for data in (b"", whole[:79], b"no" + whole[2:]):
        with pytest.raises(EnvelopeError):
            kms.decrypt_stream(io.BytesIO(data), io.BytesIO())
    assert list(tmp_path.iterdir()) == [tmp_path / "in"]


def test_a_stream_made_over_the_server_opens_at_the_store_and_the_reverse(server: Server, tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(os.urandom(300_000))
    with server.connect() as there, keystead.connect(server.folder, master_key=server.master_key) as here:
        for one, other in ((there, here), (here, there)):
            one.kms.encrypt_stream(tmp_path / "plain", tmp_path / "sealed", aad="x")
            other.kms.decrypt_stream(tmp_path / "sealed", tmp_path / "back", aad="x")
            assert (tmp_path / "back").read_bytes() == (tmp_path / "plain").read_bytes()


def test_a_backup_holds_the_store_and_is_whole(both: Connection, tmp_path: Path) -> None:
    both.kms.store_secret("both/saved", "in the backup")
    to = tmp_path / "b.ksbackup"
    report = both.kms.backup(to, passphrase=PASSPHRASE)
    assert (report.bytes, to.stat().st_mode & 0o777, report.listed) == (to.stat().st_size, 0o600, True)
    with keystead.connect(tmp_path / "restored.db", master_key=keystead.generate_master_key()) as restored:
        assert restored.kms.restore(to, passphrase=PASSPHRASE).secrets == report.secrets
        assert restored.secrets.get_secret("both/saved").reveal() == "in the backup"
    data = to.read_bytes()
    with pytest.raises(StoreExists):
        both.kms.backup(to, passphrase=PASSPHRASE)
    with pytest.raises(UsageError):
        both.kms.backup(tmp_path / "weak", passphrase="weak")
    with pytest.raises(FileUnavailable):
        both.kms.backup(tmp_path / "nowhere" / "b", passphrase=PASSPHRASE)
    assert to.read_bytes() == data
    assert {path.name for path in tmp_path.iterdir() if not path.name.startswith("restored")} == {"b.ksbackup"}
    assert ("backup_created", "success") in {(e.record.event, e.record.outcome) for e in both.kms.audit.tail(50)}


def test_the_log_is_followed(both: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_audit, "WINDOW", 5)
    monkeypatch.setattr(client_audit, "POLL_SECONDS", 0.05)
    kms, stop = both.kms, threading.Event()
    kms.store_secret("both/before", "x")
    entries = kms.audit.follow(stop, count=3)
    first = [next(entries) for _ in range(3)]
    assert any(entry.record.target == "secret/both/before" for entry in first)
    names = [f"secret/both/followed/{number}" for number in range(20)]
    for name in names:
        kms.store_secret(name.removeprefix("secret/"), "x")
    seen = list(first)
    while seen[-1].record.target != names[-1]:
        seen.append(next(entries))
    assert [entry.record.target for entry in seen if entry.record.event == "secret_stored"][-20:] == names
    places = [(entry.chain, entry.index) for entry in seen]
    assert len(places) == len(set(places)), "none is given twice"
    stop.set()
    list(entries)

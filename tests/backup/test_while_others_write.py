"""A backup is one moment of the store, also while two other processes change it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.backup.conftest import PASSPHRASE, Place, audit_report

import keystead
from keystead.crypto.kdf import RFC_9106_LOW_MEMORY
from keystead.services.connection import Connection

DRIVER = Path(__file__).with_name("driver_writer.py")
NAMES = ("ONE", "TWO")


@pytest.fixture
def derive_once() -> None:
    """Here backups are made as anywhere."""


def numbers(store: Connection) -> dict[str, int]:
    """Where each writer was, after looking that it was nowhere in between."""
    found = {}
    for name in NAMES:
        left, right = (store.kms.get_secret(f"{name}_{side}") for side in ("LEFT", "RIGHT"))
        assert left.reveal() == right.reveal() == str(left.version) == str(right.version)
        assert len(store.kms.list_versions(f"{name}_LEFT", limit=1000).items) == left.version
        found[name] = left.version
    return found


def test_backups_while_two_processes_write_are_each_of_one_moment(tmp_path: Path, place: Place, key: str) -> None:
    path, stop = tmp_path / "app.db", tmp_path / "stop"
    key_file = tmp_path / "key"
    key_file.write_text(key)
    key_file.chmod(0o600)
    moments = []
    with keystead.connect(path, master_key=key) as store:
        writers = [
            subprocess.Popen([sys.executable, DRIVER, path, key_file, name, stop], stdout=subprocess.PIPE, text=True)
            for name in NAMES
        ]
        assert [writer.stdout and writer.stdout.readline() for writer in writers] == ["writing\n"] * 2
        for turn in range(4):
            report = store.kms.backup(tmp_path / f"b{turn}", passphrase=PASSPHRASE, shreddable=turn % 2 == 0)
            assert report.listed
        stop.touch()
        last = [int(writer.communicate(timeout=60)[0]) for writer in writers]
        assert [writer.returncode for writer in writers] == [0, 0]
        assert audit_report(store).ok
        shred_keys = store.kms.node.location.shred_keys
    for turn in range(4):
        new = place(f"new{turn}.db")
        new.kms.restore(tmp_path / f"b{turn}", passphrase=PASSPHRASE, shred_keys=shred_keys)
        moments.append(numbers(new))
        assert [item.state for item in new.kms.list_data_keys(limit=1000).items].count("active") == 1
        new.close()
    for name, at_end in zip(NAMES, last, strict=True):
        progress = [moment[name] for moment in moments]
        assert progress == sorted(progress)
        assert progress[0] < progress[-1] <= at_end
    header = (tmp_path / "b0").read_bytes()[9:21]
    parameters = [int.from_bytes(header[at : at + 4], "big") for at in (0, 4, 8)]
    default = RFC_9106_LOW_MEMORY
    assert parameters == [default.iterations, default.lanes, default.memory_kib]

"""The files of a store: whom they let in, and that one database has one log, by whatever name it is opened."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.faults.checks import audit_report

import keystead
from keystead.errors import StoreUnavailable
from keystead.services.setup import find, make_store

KEY = keystead.generate_master_key()
PASSPHRASE = "correct horse battery staple galore"


@pytest.fixture
def no_umask() -> Iterator[None]:
    former = os.umask(0)
    yield
    os.umask(former)


def open_to_others(folder: Path) -> list[str]:
    """What lies below a folder and lets group or others in."""
    return [f"{path.name} {path.stat().st_mode:o}" for path in folder.rglob("*") if path.stat().st_mode & 0o077]


@pytest.mark.parametrize("place", ["app.db", ".keystead"])
def test_every_file_of_a_store_is_private_whatever_the_umask(no_umask: None, tmp_path: Path, place: str) -> None:
    """T54: also the write-ahead log, its index, lock, audit log, shred keys, backup, and the file for git."""
    if place == ".keystead":
        make_store(find(tmp_path, None))
    with keystead.connect(tmp_path / place, master_key=KEY if place == "app.db" else None) as store:
        store.kms.store_secret("API_KEY", "x")
        store.kms.backup(tmp_path / "backup.ksb", passphrase=PASSPHRASE, shreddable=True)
        assert len(list(tmp_path.rglob("*"))) > 10
        assert open_to_others(tmp_path) == []


def test_a_store_made_in_an_empty_file_that_others_could_read_is_private(tmp_path: Path) -> None:
    (tmp_path / "app.db").touch()
    (tmp_path / "app.db").chmod(0o666)
    with keystead.connect(tmp_path / "app.db", master_key=KEY) as store:
        store.kms.store_secret("API_KEY", "x")
        assert open_to_others(tmp_path) == []


@pytest.mark.parametrize("name", ["app.db", "keystead.db"])
@pytest.mark.parametrize("real", ["app.db", "keystead.db"])
def test_a_store_has_one_log_and_one_lock_also_when_it_is_opened_by_a_symbolic_link(
    tmp_path: Path, name: str, real: str
) -> None:
    for folder in ("real", "linked"):
        (tmp_path / folder).mkdir()
    link = tmp_path / "linked" / name
    with keystead.connect(tmp_path / "real" / real, master_key=KEY) as store:
        link.symlink_to(tmp_path / "real" / real)
        with keystead.connect(link, master_key=KEY) as other:
            for turn in range(3):
                store.kms.store_secret("API_KEY", f"one {turn}")
                other.kms.store_secret("API_KEY", f"other {turn}")
            assert [report.ok for report in map(audit_report, (store, other))] == [True, True]
    assert [item.name for item in (tmp_path / "linked").iterdir()] == [name]
    with keystead.connect(link, master_key=KEY) as other:
        assert audit_report(other).ok


def test_a_database_with_a_second_name_is_refused_since_one_would_lose_what_the_other_wrote(tmp_path: Path) -> None:
    database, second = tmp_path / "app.db", tmp_path / "second.db"
    keystead.connect(database, master_key=KEY).close()
    os.link(database, second)
    for name in (database, second):
        with pytest.raises(StoreUnavailable, match="hard link"):
            keystead.connect(name, master_key=KEY)
    second.unlink()
    keystead.connect(database, master_key=KEY).close()

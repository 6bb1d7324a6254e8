"""kill -9 in the middle of a shreddable backup, of a restore of one, and of a key's destruction with its shred key."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.backup.conftest import PASSPHRASE, Place, audit_report, reading

import keystead
from keystead.errors import SecretDeleted, SecretNotFound
from keystead.node.backup_file import read_backup
from keystead.services.connection import Connection

DRIVER = Path(__file__).with_name("driver_kill.py")
SAMPLED = 14


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    process = subprocess.Popen([sys.executable, DRIVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(**told: Any) -> tuple[str, int]:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(told) + "\n")
        process.stdin.flush()
        ended, met = process.stdout.readline().split()
        return ended, int(met)

    yield run
    process.communicate(timeout=20)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A store with a secret under each of two data keys, a shreddable backup of it, and an empty store."""
    folder, key = tmp_path_factory.mktemp("template"), keystead.generate_master_key()
    with keystead.connect(folder / "app.db", master_key=key) as store:
        store.kms.store_secret("OLD", "old value")
        store.kms.rotate_data_key()
        store.kms.store_secret("NEW", "new value")
        store.kms.backup(folder / "s", passphrase=PASSPHRASE, shreddable=True)
        # A key that has no shred key yet.
        store.kms.rotate_data_key()
    keystead.connect(folder / "empty.db", master_key=key).close()
    return folder, key


def killed(driver: Any, template: tuple[Path, str], tmp_path: Path, **told: Any) -> Iterator[tuple[Path, bool]]:
    """The folder after each of the sampled kills, and whether the action was acknowledged; one without a kill first."""
    source, key = template

    def one(place: int) -> tuple[Path, str, int]:
        folder = tmp_path / str(place)
        shutil.copytree(source, folder)
        paths = {name: str(folder / value) for name, value in told.items() if name != "action"}
        ended, met = driver(action=told["action"], key=key, passphrase=PASSPHRASE, place=place, **paths)
        return folder, ended, met

    folder, ended, met = one(0)
    assert ended == "done"
    yield folder, True
    assert met >= 8
    step = max(1, met // SAMPLED)
    for place in range(1, met + 1, step):
        folder, ended, _ = one(place)
        assert ended == "killed"
        yield folder, False
        shutil.rmtree(folder)


def opened(folder: Path, template: tuple[Path, str], name: str) -> Connection:
    return keystead.connect(folder / name, master_key=template[1])


def restored(folder: Path, file: str, place: Place) -> Connection:
    new = place(f"restored-{folder.name}.db")
    new.kms.restore(folder / file, passphrase=PASSPHRASE, shred_keys=folder / "app.db.shred-keys")
    return new


def test_a_killed_backup_leaves_a_whole_file_or_none_and_a_note_of_every_file(
    driver: Any, template: tuple[Path, str], place: Place, tmp_path: Path
) -> None:
    for folder, done in killed(driver, template, tmp_path, action="backup", store="app.db", file="t"):
        made = folder / "t"
        assert made.exists() or not done
        with opened(folder, template, "app.db") as store:
            assert audit_report(store).ok
            active = store.kms.list_data_keys().items[-1].id
            noted = [backup.path for backup in store.kms.affected_by_destroying(active).backups]
            assert str(made) in noted or not made.exists()
            if made.exists():
                assert read_backup(made, PASSPHRASE).content.secrets == 2
                assert restored(folder, "t", place).kms.get_secret("OLD").reveal() == "old value"
            else:
                store.kms.backup(made, passphrase=PASSPHRASE, shreddable=True)
        left = {
            item.name for item in folder.iterdir() if not item.name.startswith((".keystead-", "app.db", "empty.db"))
        }
        assert left == {"s", "t"}


def test_a_killed_restore_leaves_all_or_nothing(driver: Any, template: tuple[Path, str], tmp_path: Path) -> None:
    told = {"action": "restore", "store": "empty.db", "file": "s", "shred_keys": "app.db.shred-keys"}
    seen = set()
    for folder, done in killed(driver, template, tmp_path, **told):
        with opened(folder, template, "empty.db") as store:
            assert audit_report(store).ok
            values = tuple(reading(lambda name=name: store.kms.get_secret(name)) for name in ("OLD", "NEW"))
            keys = len(store.kms.list_data_keys().items)
            assert (values, keys) in ((("old value", "new value"), 2), ((SecretNotFound, SecretNotFound), 1))
            assert keys == 2 or not done
            if keys == 1:
                store.kms.restore(folder / "s", passphrase=PASSPHRASE, shred_keys=folder / "app.db.shred-keys")
                assert store.kms.get_secret("OLD").reveal() == "old value"
            seen.add(keys)
    assert seen == {1, 2}


def test_a_killed_destruction_goes_on_at_the_next_open_and_destroyed_is_told_only_without_the_shred_key(
    driver: Any, template: tuple[Path, str], place: Place, tmp_path: Path
) -> None:
    seen = set()
    for folder, done in killed(driver, template, tmp_path, action="destroy", store="app.db"):
        with opened(folder, template, "app.db") as store:
            record = store.kms.node.ring.records()[0]
            file = folder / "app.db.shred-keys" / record.reference.hex()
            state = store.kms.list_data_keys().items[0].state
            assert state != "destroyed" or not file.exists()
            assert state == "destroyed" or not done
            begun = state in ("scrubbing", "destroyed")
            seen.add((begun, file.exists()))
            store.kms.node.maintain()
            store.kms.node.refresh()
            assert store.kms.list_data_keys().items[0].state == ("destroyed" if begun else "deactivated")
            assert file.exists() is not begun
            expected = SecretDeleted if begun else "old value"
            assert reading(lambda: store.kms.get_secret("OLD")) == expected
            assert store.kms.get_secret("NEW").reveal() == "new value"
            assert audit_report(store).ok
        new = restored(folder, "s", place).kms
        assert reading(lambda kms=new: kms.get_secret("OLD")) == expected
    assert {begun for begun, _ in seen} == {True, False}

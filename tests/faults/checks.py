"""What must hold of a store whose process was killed or failed in the middle of a change."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tests.faults.driver_changes import PASSPHRASE
from tests.faults.injection import Outcome

import keystead
from keystead.audit.checkpoints import AuditKeys
from keystead.audit.report import Report
from keystead.audit.verify import verify
from keystead.errors import SecretDeleted, SecretNotFound
from keystead.services.connection import Connection
from keystead.storage.content import SqliteContent

DATABASE = "app.db"
OLD = [f"OLD_{number}" for number in range(5)]
KEPT = [f"KEPT_{number}" for number in range(3)]


def make_template(folder: Path, key: str) -> None:
    """A store with two data keys, and secrets under each."""
    with keystead.connect(folder / DATABASE, master_key=key) as store:
        store.kms.store_secrets(dict.fromkeys(OLD, "first"))
        store.kms.rotate_data_key()
        store.kms.store_secrets(dict.fromkeys(KEPT, b"kept\x00"))
    (folder / "plain.bin").write_bytes(b"plain" * 50_000)


def copy(template: Path, to: Path) -> Path:
    """A store of its own for one run."""
    shutil.copytree(template, to)
    return to


def audit_report(store: Connection) -> Report:
    """What verifying the log of an open store with its keys says."""
    node = store.kms.node
    keys = AuditKeys(*node.root.audit_keys())
    content = SqliteContent(node.store)
    return verify(node.location.audit, heads=node.audit_rows, outbox=node.audit_rows, content=content, keys=keys)


def integrity(folder: Path) -> list[str]:
    """What SQLite itself says of the file."""
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        return [text for (text,) in connection.execute("PRAGMA integrity_check")]


def value(store: Connection, name: str, **which: object) -> object:
    """A secret's value, or the class of the error that says it has none."""
    try:
        return store.kms.get_secret(name, **which).reveal()  # type: ignore[arg-type]
    except (SecretNotFound, SecretDeleted) as error:
        return type(error)


def check(change: str, folder: Path, key: str, outcome: Outcome) -> None:
    """Assert that the store opens, is whole, and holds what was acknowledged and nothing by halves."""
    assert not outcome.crash, outcome.crash
    if change == "create":
        check_created(folder, key, outcome)
        return
    assert integrity(folder) == ["ok"]
    with keystead.connect(folder / DATABASE, master_key=key) as store:
        untouched = [*KEPT, *OLD] if change in UNTOUCHED else [] if change == "restore" else KEPT
        for name in untouched:
            assert value(store, name) == ("first" if name in OLD else b"kept\x00")
        CHECKS.get(change, lambda *_: None)(store, folder, outcome)
        check_usable(store)


def check_usable(store: Connection) -> None:
    """The log verifies, every head is whole, and the store can be written."""
    report = audit_report(store)
    assert report.ok, report.problems
    assert report.pending == 0
    assert store.kms.list_secrets().next is None
    assert store.kms.store_secret("AFTER", "after").version == 1
    assert value(store, "AFTER") == "after"
    assert store.kms.decrypt(store.kms.encrypt(b"after")) == b"after"
    report = audit_report(store)
    assert report.ok, report.problems


def check_created(folder: Path, key: str, outcome: Outcome) -> None:
    with keystead.connect(folder / DATABASE, master_key=key) as store:
        assert integrity(folder) == ["ok"]
        assert value(store, "FIRST") in (("first",) if "FIRST" in outcome.acks else ("first", SecretNotFound))
        check_usable(store)


def check_store(store: Connection, folder: Path, outcome: Outcome) -> None:
    for number in range(3):
        found = value(store, f"NEW_{number}")
        assert found in (("new" * 20,) if f"NEW_{number}" in outcome.acks else ("new" * 20, SecretNotFound))
    many = {value(store, f"MANY_{number}") for number in range(5)}
    assert many in ([{"many" * 500}] if "many" in outcome.acks else [{"many" * 500}, {SecretNotFound}])


def check_rotate(store: Connection, folder: Path, outcome: Outcome) -> None:
    for name in OLD:
        info = next(item for item in store.kms.list_secrets(name).items if item.name == name)
        assert info.version == (2 if name in outcome.acks else info.version)
        assert len(store.kms.list_versions(name, limit=1000).items) == info.version
        assert value(store, name) == ("first", "second")[info.version - 1]
        if info.version == 2:
            assert value(store, name, label="previous") == "first"
            assert value(store, name, version=1) == "first"


def check_rotate_data_key(store: Connection, folder: Path, outcome: Outcome) -> None:
    keys = store.kms.list_data_keys().items
    assert [item.state for item in keys].count("active") == 1
    assert keys[-1].state == "active"
    assert len(keys) in ((3,) if "rotate_data_key" in outcome.acks else (2, 3))


def check_destroy_secret(store: Connection, folder: Path, outcome: Outcome) -> None:
    for name in OLD[:2]:
        found = value(store, name)
        assert found in ((SecretDeleted,) if name in outcome.acks else ("first", SecretDeleted))
    assert [value(store, name) for name in OLD[2:]] == ["first"] * 3


def check_destroy_data_key(store: Connection, folder: Path, outcome: Outcome) -> None:
    oldest = store.kms.list_data_keys().items[0]
    store.kms.node.maintain()
    state = store.kms.list_data_keys().items[0].state
    found = {value(store, name) for name in OLD}
    if outcome.acks or oldest.state != "deactivated":
        assert (found, state) == ({SecretDeleted}, "destroyed")
    else:
        assert (found, state) == ({"first"}, "deactivated")


def check_slots(store: Connection, folder: Path, outcome: Outcome) -> None:
    count = len(store.kms.slots.list().items)
    assert count in ((1,) if "remove" in outcome.acks else (1, 2))


def check_sweep(store: Connection, folder: Path, outcome: Outcome) -> None:
    found = value(store, "OLD_0")
    assert found in (("first",) if "undelete" in outcome.acks else ("first", SecretDeleted))
    assert found is SecretDeleted or "delete" not in outcome.acks or "undelete" in outcome.acks or found == "first"
    assert [value(store, name) for name in OLD[1:]] == ["first"] * 4


def check_envelopes(store: Connection, folder: Path, outcome: Outcome) -> None:
    counted = store.kms.list_data_keys().items[-1].messages
    assert counted >= int(outcome.acks[-1] if outcome.acks else 0)


def check_stream(store: Connection, folder: Path, outcome: Outcome) -> None:
    sealed, again = folder / "sealed.bin", folder / "again.bin"
    assert sealed.exists() or "stream" not in outcome.acks
    if sealed.exists():
        store.kms.decrypt_stream(sealed, again)
        assert again.read_bytes() == (folder / "plain.bin").read_bytes()


def check_backup(store: Connection, folder: Path, outcome: Outcome) -> None:
    made = folder / "backup.ksb"
    assert made.exists() or "backup" not in outcome.acks
    if made.exists():
        new = folder / "restored"
        new.mkdir()
        with keystead.connect(new / DATABASE, master_key=keystead.generate_master_key()) as other:
            other.kms.restore(made, passphrase=PASSPHRASE)
            assert [value(other, name) for name in OLD] == ["first"] * 5


def check_restore(store: Connection, folder: Path, outcome: Outcome) -> None:
    found = {value(store, name) for name in OLD}
    assert ({value(store, name) for name in KEPT} == {b"kept\x00"}) == (found == {"first"})
    assert found in ([{"first"}] if "restore" in outcome.acks else [{"first"}, {SecretNotFound}])
    if found == {SecretNotFound}:
        store.kms.restore(folder / "backup.ksb", passphrase=PASSPHRASE)
        assert {value(store, name) for name in OLD} == {"first"}


UNTOUCHED = {"store", "rotate_data_key", "rekey", "reopen", "migrate", "slots", "envelopes", "stream", "backup"}
CHECKS: dict[str, Callable[[Connection, Path, Outcome], None]] = {
    "store": check_store,
    "rotate": check_rotate,
    "rotate_data_key": check_rotate_data_key,
    "destroy_secret": check_destroy_secret,
    "destroy_data_key": check_destroy_data_key,
    "slots": check_slots,
    "sweep": check_sweep,
    "envelopes": check_envelopes,
    "stream": check_stream,
    "backup": check_backup,
    "restore": check_restore,
}

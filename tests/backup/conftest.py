"""What the tests of backups share: a store on a clock that is set, new places to restore into, and what they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

import keystead
from keystead.audit.checkpoints import AuditKeys
from keystead.audit.report import Report
from keystead.audit.verify import verify
from keystead.crypto.kdf import Argon2Parameters
from keystead.errors import KeysteadError
from keystead.node import backup_file
from keystead.node.settings import Settings
from keystead.services.connection import Connection
from keystead.services.kms import KMSService
from keystead.testing import ManualClock

DAY_MS = 86_400_000
PASSPHRASE = "a lantern over seven quiet harbours"
# A sweep that only a test asks for.
BY_HAND = Settings(sweep_interval_ms=100 * 365 * DAY_MS)
Place = Callable[..., Connection]


@pytest.fixture(autouse=True)
def derive_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2id costs as little as a reader accepts, and once in a test however often its backup is read."""
    cheapest = Argon2Parameters(iterations=2, lanes=4, memory_kib=19_456)
    monkeypatch.setattr(backup_file, "RFC_9106_LOW_MEMORY", cheapest)
    derive = backup_file.derive_from_passphrase

    @lru_cache
    def remembered(passphrase: str, salt: bytes, parameters: Any) -> bytes:
        return bytes(derive(passphrase, salt=salt, parameters=parameters))

    monkeypatch.setattr(
        backup_file,
        "derive_from_passphrase",
        lambda passphrase, *, salt, parameters: remembered(passphrase, salt, parameters),
    )


@pytest.fixture(scope="session")
def key() -> str:
    return keystead.generate_master_key()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def place(tmp_path: Path, clock: ManualClock) -> Iterator[Place]:
    """Opens the store of a name, each made where it is missing, under a master key of its own unless told."""
    connections = []
    keys: dict[str, str] = {}

    def open_(name: str, **how: Any) -> Connection:
        own = keys.setdefault(name, keystead.generate_master_key())
        how = {"master_key": own, "clock": clock, "settings": BY_HAND, **how}
        connections.append(keystead.connect(tmp_path / name, **how))
        return connections[-1]

    yield open_
    for connection in connections:
        connection.close()


@pytest.fixture
def store(place: Place, key: str) -> Connection:
    return place("app.db", master_key=key)


@pytest.fixture
def kms(store: Connection) -> KMSService:
    return store.kms


def reading(call: Callable[[], Any]) -> Any:
    """A value, or the class of the error that says there is none."""
    try:
        found = call()
    except KeysteadError as error:
        return type(error)
    return found.reveal() if hasattr(found, "reveal") else found


def content(connection: Connection) -> dict[str, Any]:
    """All that a store shows: secrets and their versions with values, and data keys."""
    kms = connection.kms
    found: dict[str, Any] = {"data keys": kms.list_data_keys().items}
    for info in kms.list_secrets(limit=1000).items:
        versions = [
            (version, reading(lambda number=version.version, name=info.name: kms.get_secret(name, version=number)))
            for version in kms.list_versions(info.name).items
        ]
        labels = {
            label: reading(lambda label=label, name=info.name: kms.get_secret(name, label=label))
            for label in ("current", "previous")
        }
        found[info.name] = (info, versions, labels)
    return found


def audit_report(connection: Connection) -> Report:
    """What verifying the log of an open store with its keys says."""
    node = connection.kms.node
    keys = AuditKeys(*node.root.audit_keys())
    return verify(node.location.audit, heads=node.audit_rows, outbox=node.audit_rows, keys=keys)


def last_records(connection: Connection, event: str) -> list[Any]:
    """The records of an event in the log, oldest first."""
    return [entry.record for entry in connection.kms.audit.tail(10_000) if entry.record.event == event]

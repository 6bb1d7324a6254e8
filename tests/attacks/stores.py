"""A store with something of everything in it, and everything that can be asked of it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keystead
from keystead.audit.checkpoints import AuditKeys
from keystead.audit.report import Report
from keystead.audit.verify import verify
from keystead.errors import KeysteadError
from keystead.seal.master_key import parse_master_key
from keystead.services.connection import Connection
from keystead.testing import ManualClock

KEY = keystead.generate_master_key()
OTHER_KEY = keystead.generate_master_key()
DATABASE = "app.db"
NAMES = (
    "PLAIN",
    "BYTES",
    "ROTATED",
    "ENDS",
    "TAGGED",
    "RULED",
    "DELETED",
    "DESTROYED",
    "PARTLY",
    "EXPIRED",
    "TWIN_A",
    "TWIN_B",
)
DAY_MS = 86_400_000


class Made:
    """The folder of a closed store, what it answered, and ciphertexts of a caller."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / DATABASE
        self.clock_ms = ManualClock().now_ms() + 2 * DAY_MS
        with self.open(ManualClock()) as store:
            fill(store)
            self.compact = [store.kms.encrypt(b"mine", aad="me")]
            self.envelopes = [store.kms.encrypt_data("mine", aad="me")]
            store.kms.rotate_data_key()
            store.kms.store_secret("UNDER_SECOND", "second key")
            self.compact.append(store.kms.encrypt(b"mine", aad="me"))
            self.envelopes.append(store.kms.encrypt_data("mine", aad="me"))

    def open(self, clock: ManualClock | None = None, *, key: str = KEY) -> Connection:
        return keystead.connect(self.database, master_key=key, clock=clock or ManualClock(self.clock_ms))

    def copy(self, to: Path) -> Made:
        """The same store elsewhere."""
        shutil.copytree(self.folder, to)
        other = object.__new__(Made)
        other.__dict__.update(self.__dict__)
        other.folder, other.database = to, to / DATABASE
        return other

    def edit(self, *statements: str | tuple[str, tuple[Any, ...]]) -> None:
        """What somebody who can write the file does to it."""
        with closing(sqlite3.connect(self.database, isolation_level=None)) as connection:
            for statement in statements:
                text, values = (statement, ()) if isinstance(statement, str) else statement
                connection.execute(text, values)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.database)) as connection:
            return connection.execute(query).fetchall()

    def ask(self) -> dict[str, Any]:
        """Everything that can be read, as text, bytes or the class of the error; then everything that can be done."""
        answers: dict[str, Any] = {}

        def note(what: str, action: Callable[[], Any]) -> None:
            try:
                answers[what] = action()
            except KeysteadError as error:
                answers[what] = type(error)

        try:
            store = self.open()
        except KeysteadError as error:
            return {"open": type(error)}
        with store:
            read_all(store, note)
            for number, (blob, envelope) in enumerate(zip(self.compact, self.envelopes, strict=True)):
                note(f"compact {number}", lambda blob=blob: store.kms.decrypt(blob, aad="me"))
                note(f"envelope {number}", lambda envelope=envelope: store.kms.decrypt_data(envelope, aad="me"))
            do_all(store, note)
            note("audit", lambda: report(store).require_ok())
        note("open by the other slot", lambda: self.open(key=OTHER_KEY).close())
        return answers


def fill(store: Connection) -> None:
    kms, clock = store.kms, store.kms.node.clock
    assert isinstance(clock, ManualClock)
    kms.store_secret("PLAIN", "plain value")
    kms.store_secret("BYTES", b"\x00\xffbytes value")
    kms.store_secret("ROTATED", "rotated one")
    kms.rotate_secret("ROTATED", "rotated two", grace="90d")
    kms.store_secret("ENDS", "ends one", ttl="90d")
    kms.rotate_secret("ENDS", "ends two")
    kms.store_secret("TAGGED", "tagged value", tags={"team": "ours", "kind": "test"})
    kms.store_secret("RULED", generate="hex:32")
    kms.store_secret("DELETED", "deleted value")
    kms.delete_secret("DELETED")
    kms.store_secret("DESTROYED", "destroyed value")
    kms.destroy_secret("DESTROYED")
    kms.store_secret("PARTLY", "partly one")
    kms.store_secret("PARTLY", "partly two")
    kms.destroy_secret("PARTLY", version=1)
    kms.store_secret("EXPIRED", "expired value", ttl="1h")
    kms.store_secret("TWIN_A", "twin value a")
    clock.advance(1)
    kms.store_secret("TWIN_B", "twin value b")
    kms.slots.add(parse_master_key(OTHER_KEY, source="a test"), label="other")
    kms.revoke_session("ses_" + "1" * 32)
    clock.advance(2 * DAY_MS)


def read_all(store: Connection, note: Callable[[str, Callable[[], Any]], None]) -> None:
    kms = store.kms
    for name in (*NAMES, "UNDER_SECOND"):
        note(f"get {name}", lambda name=name: kms.get_secret(name).reveal())
        note(f"many {name}", lambda name=name: store.secrets.get_secrets([name])[name].reveal())
        for version in (1, 2):
            note(
                f"get {name}#{version}",
                lambda name=name, version=version: kms.get_secret(name, version=version).reveal(),
            )
        note(f"previous {name}", lambda name=name: kms.get_secret(name, label="previous").reveal())
        note(f"history {name}", lambda name=name: [asdict(item) for item in kms.list_versions(name).items])
    for chosen in ({}, {"expired": True}, {"expired": False}, {"deleted": True}, {"tags": {"team": "ours"}}):
        note(f"list {chosen}", lambda chosen=chosen: [asdict(item) for item in kms.list_secrets(**chosen).items])
    note("data keys", lambda: [asdict(item) for item in kms.list_data_keys().items])
    note("slots", lambda: [asdict(item) for item in kms.slots.list().items])


def do_all(store: Connection, note: Callable[[str, Callable[[], Any]], None]) -> None:
    kms = store.kms
    note("encrypt_data", lambda: kms.decrypt_data(kms.encrypt_data("new")))
    note("encrypt", lambda: kms.decrypt(kms.encrypt(b"new")))
    for name in ("PLAIN", "ROTATED", "ENDS"):
        note(f"rotate {name}", lambda name=name: kms.rotate_secret(name, "again").version)
    note("rotate RULED", lambda: len(kms.rotate_secret("RULED").generate or ""))
    note("undelete", lambda: kms.undelete_secret("DELETED"))
    note("undeleted", lambda: kms.get_secret("DELETED").reveal())
    note("sweep", kms.node.maintain)
    note("expired", lambda: kms.get_secret("EXPIRED").reveal())
    note("rotate key", lambda: kms.rotate_data_key().state)
    note("destroy key", lambda: kms.destroy_data_key(kms.list_data_keys().items[0].id).state)
    note("after destruction", lambda: kms.get_secret("PLAIN", version=1).reveal())


def report(store: Connection) -> Report:
    """What verifying the log of an open store with its keys says."""
    node = store.kms.node
    keys = AuditKeys(*node.root.audit_keys())
    return verify(node.location.audit, heads=node.audit_rows, outbox=node.audit_rows, keys=keys)

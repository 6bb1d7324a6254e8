"""Opening a store, and making one: credential, slot, audit log, in an order that leaves nothing half done."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from keystead.access.principal import Principal, local_principal
from keystead.audit.checkpoints import AuditKeys
from keystead.audit.journal import Journal
from keystead.audit.outbox import recover_outbox
from keystead.clock import Clock, SystemClock
from keystead.crypto import selftest
from keystead.crypto.material import KeyMaterial, random_bytes
from keystead.errors import (
    KeysteadError,
    MasterKeyMissing,
    OperatorError,
    StoreExists,
    StoreNotFound,
    StoreUnavailable,
)
from keystead.gate import Entry, failure
from keystead.keys.lifecycle import KeyState
from keystead.node.location import Location, locate
from keystead.node.node import Files, Node
from keystead.node.outcomes import settle_unknown
from keystead.node.recorder import Recorder, new_operation_id, node_name
from keystead.node.rollback import check_rollback
from keystead.node.root import RootHolder, wrap_audit_key, wrap_integrity_key
from keystead.node.settings import Settings, environment, load_settings
from keystead.seal.credential import Credential
from keystead.seal.master_key import MasterKey
from keystead.seal.provider import Slot, make_slot, root_check
from keystead.seal.providers.recovery import RecoveryKit
from keystead.seal.slots import open_any
from keystead.seal.sources import FoundCredential, find_credential
from keystead.storage.audit import StoreAudit
from keystead.storage.ended import KEPT_ENDED_MS, anything_ended
from keystead.storage.named_keys import SqliteNamedKeys
from keystead.storage.schema import migrate
from keystead.storage.sqlite import SqliteStore
from keystead.storage.store_row import SqliteSlots, SqliteStoreRow, StoreRow

GITIGNORE: Final = ".gitignore"
_LOG = logging.getLogger("keystead")


class Opening(NamedTuple):
    """How to open: `credential` is a master key's text or a credential; None looks in every source."""

    url: str | Path | None = None
    credential: str | Credential | None = None
    principal: Principal | None = None
    settings: Settings | None = None
    clock: Clock | None = None
    prompt: Callable[[], str] | None = None
    environment: Mapping[str, str] | None = None
    here: Path | None = None
    accept_rollback: bool = False

    def __repr__(self) -> str:
        return f"<opening of {self.url}>"


def open_node(how: Opening) -> Node:
    """Open the store; one that was named explicitly, together with a master key, is made where it is missing.

    Raises:
        StoreNotFound, StoreUnavailable, SchemaTooNew, MasterKeyMissing, MasterKeyInvalid, WrongMasterKey,
        IntegrityError, RollbackDetected, AuditUnavailable: nothing was changed.
    """
    selftest.run()
    variables = environment() if how.environment is None else how.environment
    honour_log_level(variables)
    location = locate(how.url, variables, how.here or Path.cwd())
    clock = how.clock or SystemClock()
    if is_missing(location, clock):
        return _make_if_told(how, location, variables, clock)
    files = _open_files(location, how, clock)
    try:
        found = _find(how, variables, location)
        node = _unseal(how, location, clock, files, found.credential)
    except KeysteadError as error:
        _record_failed_start(files.journal, clock, error, how)
        files.journal.close()
        files.store.close()
        raise
    node.notices += found.notes
    _settle(node, how)
    node.notices += [f"the key was found in {found.source}"]
    return node


def honour_log_level(variables: Mapping[str, str]) -> None:
    """Set the level of the logger `keystead` as LOG_LEVEL says; a level that is none is left alone."""
    if not _LOG.handlers:
        # Without a handler of the application's, warnings would go to stderr on their own.
        _LOG.addHandler(logging.NullHandler())
    level = logging.getLevelName(variables.get("LOG_LEVEL", "").upper())
    if isinstance(level, int):
        _LOG.setLevel(level)


def find_again(how: Opening, location: Location) -> Credential:
    """The credential that opens a store, looked for as at its opening."""
    variables = environment() if how.environment is None else how.environment
    return _find(how, variables, location).credential


def _find(how: Opening, variables: Mapping[str, str], location: Location) -> FoundCredential:
    return find_credential(
        environment=variables,
        argument=how.credential,
        store_folder=location.folder,
        project=location.project,
        prompt=how.prompt,
    )


def is_missing(location: Location, clock: Clock) -> bool:
    """Whether there is no store yet: no file, or one that was never finished."""
    if location.stored_bytes() == 0:
        return True
    store = SqliteStore(location.database, clock)
    try:
        return not _holds_something(store)
    finally:
        store.close()


def _holds_something(store: SqliteStore) -> bool:
    """Whether the database is a finished store, or one of something else."""
    with store.translated():
        connection = store.read()
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        return bool(tables) and ("store" not in tables or SqliteStoreRow(connection).get() is not None)


def _make_if_told(how: Opening, location: Location, variables: Mapping[str, str], clock: Clock) -> Node:
    if not location.explicit:
        raise StoreNotFound(
            f"{location.folder} holds no store", looked_at=(str(location.folder),), hint="keystead init makes one there"
        )
    try:
        found = _find(how, variables, location)
    except MasterKeyMissing as error:
        raise StoreNotFound(
            f"there is no store at {location.database}, and no master key to make one with",
            looked_at=(str(location.database),),
            hint="check the path; or give a master key (keystead generate-master-key), or use keystead init",
        ) from error
    node = create_node(location, found.credential, how=how, clock=clock)
    node.notices.append(f"a new store was made at {location.database}")
    return node


def _open_files(location: Location, how: Opening, clock: Clock) -> Files:
    store = SqliteStore(location.database, clock)
    try:
        migrate(store, clock)
        rows = StoreAudit(store)
        settings = how.settings or load_settings(location)
        journal = Journal.open(location.audit, node=node_name(), clock=clock, heads=rows, fsync=settings.audit_fsync)
    except BaseException:
        store.close()
        raise
    return Files(store, journal, rows)


def _unseal(
    how: Opening,
    location: Location,
    clock: Clock,
    files: Files,
    credential: Credential,
) -> Node:
    store = files.store
    with store.translated():
        row = SqliteStoreRow(store.read()).get()
        slots = SqliteSlots(store.read()).all()
    if row is None:
        raise StoreUnavailable(f"{location.database} is no finished store", hint="keystead init")
    opened = open_any(slots, credential, store_id=row.store_id.hex(), root_check=row.root_check)
    root = RootHolder()
    root.unseal(row.store_id, opened.root, row.integrity_wrapped, row.audit_wrapped)
    settings = how.settings or load_settings(location)
    node = Node(location, settings, clock, files, root)
    node.opened_slot = opened.slot
    return node


def _settle(node: Node, how: Opening) -> None:
    """What an unsealed node does before it serves: the audit log is unlocked, settled and compared with the store."""
    try:
        keys = AuditKeys(*node.root.audit_keys())
        node.journal.unlock(keys)
        recover_outbox(node.journal, node.audit_rows)
        accepted = check_rollback(node, how.accept_rollback)
        node.ring.reload()
        node.refresh()
        settle_unknown(node)
        if accepted:
            # The messages counted since the old copy was made are not in its count.
            node.data_keys.rotate(node.system, reason="rollback accepted")
        node.system_record("kms_initialized", "store", slot=node.opened_slot.id if node.opened_slot else "")
        if _is_something_due(node):
            node.ticker.soon(node.maintain)
    except BaseException as error:
        if isinstance(error, KeysteadError):
            _record_failed_start(node.journal, node.clock, error, how)
        node.close()
        raise


def _is_something_due(node: Node) -> bool:
    """Whether there is background work: processes that live shorter than the timer's interval must do theirs too."""
    due = any(
        record.state is KeyState.SCRUBBING or node.data_keys.describe(record).rotation_due
        for record in node.ring.records()
    )
    now, read = node.clock.now_ms(), node.store.read()
    named = SqliteNamedKeys(read).due(now)
    return due or node.sweeper.is_due() or bool(named) or anything_ended(read, now - KEPT_ENDED_MS)


def _record_failed_start(journal: Journal, clock: Clock, error: KeysteadError, how: Opening) -> None:
    entry = Entry("", str(how.principal or local_principal()), "kms_error", "store", "failed")
    entry.detail = failure(error)
    try:
        Recorder(journal, node_name(), clock, lambda: None).append(entry)
    except OperatorError:
        _LOG.error("kms_error %s, and the audit log cannot be written", error.code)


def create_node(
    location: Location,
    credential: Credential,
    *,
    how: Opening,
    clock: Clock,
    recovery: RecoveryKit | None = None,
    store_id: bytes | None = None,
) -> Node:
    """Make a store whose first slot is `credential`, and a second one of `recovery`, and open it.

    Raises:
        StoreExists: there is one.
        UsageError: a passphrase that is too weak.
        StoreUnavailable, AuditUnavailable: the folder cannot be written.
    """
    if not is_missing(location, clock):
        raise StoreExists(f"there is a store at {location.database}", hint="open it, or choose another place")
    store_id, root_key, now = store_id or random_bytes(16), KeyMaterial.generate(), clock.now_ms()
    label = "master key" if isinstance(credential, MasterKey) else credential.kind
    slots = [make_slot(root_key, credential, store_id=store_id.hex(), label=label, now_ms=now)]
    if recovery is not None:
        slots.append(make_slot(root_key, recovery, store_id=store_id.hex(), label="recovery kit", now_ms=now))
    wrapped = wrap_integrity_key(root_key, KeyMaterial.generate(), store_id)
    audit_wrapped = wrap_audit_key(root_key, KeyMaterial.generate(), store_id)
    row = StoreRow(store_id, now, 1, root_check(root_key), wrapped, audit_wrapped, 1)
    prepare_folder(location)
    SqliteStore(location.database, clock).create_file()
    files = _open_files(location, how, clock)
    root = RootHolder()
    root.unseal(store_id, root_key, wrapped, audit_wrapped)
    node = Node(location, how.settings or load_settings(location), clock, files, root)
    node.opened_slot = slots[0]
    _fill(node, row, slots)
    _settle(node, how)
    return node


def _fill(node: Node, row: StoreRow, slots: list[Slot]) -> None:
    """Make the empty file a store, with its slots and first data key, in one transaction with its record."""
    operation_id, database = new_operation_id(), node.location.database
    entry = Entry(node.system.id, str(node.system.principal), "store_created", "store", operation_id=operation_id)
    entry.detail = {"database": str(database), "slots": len(slots)}
    with node.store.write(operation_id=operation_id) as connection:
        store_row = SqliteStoreRow(connection)
        if store_row.get() is not None:
            raise StoreExists(f"another process just made the store at {database}", hint="open it")
        store_row.insert(row)
        for slot in slots:
            SqliteSlots(connection).insert(slot)
        node.data_keys.add_first(connection)
        queued = node.recorder.enqueue(connection, [entry])
    node.recorder.committed(queued)


def prepare_folder(location: Location) -> None:
    """Make the store's folder (0700) with a `.gitignore` holding `*`, whatever the umask.

    Raises:
        StoreUnavailable: it cannot be made.
    """
    try:
        if location.is_folder_store:
            location.folder.mkdir(parents=True, exist_ok=True)
            location.folder.chmod(0o700)
            ignore = location.folder / GITIGNORE
            if not ignore.exists():
                ignore.write_text("*\n")
                ignore.chmod(0o600)
        elif not location.folder.is_dir():
            raise StoreUnavailable(f"the folder {location.folder} does not exist", hint="make it, or check the path")
    except OSError as error:
        raise StoreUnavailable(
            f"cannot make {location.folder}", why=error.strerror or "", hint="check owner and disk, or choose another"
        ) from None


__all__ = ["Opening", "create_node", "is_missing", "open_node", "prepare_folder"]

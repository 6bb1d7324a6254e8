"""Backup to one encrypted file, and restore of it into a new or empty store.

An ordinary backup holds all that opens the store's content. One in shreddable form holds each data key wrapped under a
shred key that stays outside it (`keystead.node.shredding`), so that destroying the data key reaches the backup too.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Final

from keystead.access.session import Session
from keystead.audit.files import chain_names, lines
from keystead.audit.slots import lock_chain
from keystead.crypto.mac import same
from keystead.crypto.material import KeyMaterial, random_bytes
from keystead.errors import (
    KeysteadError,
    MasterKeyInvalid,
    OperatorError,
    StoreBusy,
    StoreExists,
    StoreUnavailable,
    UsageError,
)
from keystead.keys.lifecycle import KeyState
from keystead.keys.manage import KnownBackup
from keystead.node.backup_file import ORDINARY, SHREDDABLE, Backup, NewFile, fill, read_backup
from keystead.node.node import Node
from keystead.node.root import replaced, wrap_audit_key
from keystead.node.shredding import ShredKeyFolder, under_root_key, under_shred_key
from keystead.seal.credential import Credential
from keystead.seal.provider import make_slot, root_check
from keystead.seal.providers.passphrase import Passphrase, require_strength
from keystead.storage.backups import SqliteBackups
from keystead.storage.data_keys import SqliteDataKeys
from keystead.storage.snapshot import Content, describe, put_snapshot, take_snapshot, with_data_keys
from keystead.storage.store_row import SqliteSlots

_ENCRYPTED: Final = b'"event":"data_encrypted"'


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What a backup holds. `created_ms` is ms since the epoch, `bytes` the size of the file.

    After a restore, `destroyed_keys` and `destroyed_versions` count what the backup holds and nobody can read any more,
    since its shred key is gone. `listed` is false where the store could not be written, so that it does not know of
    the backup.
    """

    store_id: str
    created_ms: int
    secrets: int
    versions: int
    data_keys: int
    bytes: int
    shreddable: bool = False
    destroyed_keys: int = 0
    destroyed_versions: int = 0
    listed: bool = True

    def as_dict(self) -> dict[str, Any]:
        """The same figures under the same names."""
        return asdict(self)


def _report(content: Content, created_ms: int, size: int, shreddable: bool) -> BackupReport:
    keys = len(content.data_keys)
    store_id = content.row.store_id.hex()
    return BackupReport(store_id, created_ms, content.secrets, content.versions, keys, size, shreddable)


def write_backup(node: Node, session: Session, to: Path, passphrase: str, *, shreddable: bool = False) -> BackupReport:
    """Write the store to a new file (0600), consistent while others write, and read it back before it gets its name.

    Raises:
        UsageError: a weak passphrase. StoreExists: the file is there.
        FileUnavailable, StoreBusy, StoreUnavailable: nothing is left.
    """
    _require_passphrase(passphrase)
    with NewFile(to) as file, node.gate.read(session, "backup:create", "store", "backup_created") as detail:
        return _filled(node, file, passphrase, detail, path=str(to.absolute()), shreddable=shreddable)


def backup_to_send(
    node: Node, session: Session, passphrase: str, *, shreddable: bool = False
) -> tuple[BinaryIO, BackupReport]:
    """The same in an open file without a name beside the store, for who keeps it elsewhere; it is gone once closed.

    Raises:
        UsageError: a weak passphrase. FileUnavailable, StoreBusy, StoreUnavailable: nothing is left.
    """
    _require_passphrase(passphrase)
    place = node.store.path.parent / f".keystead-{random_bytes(8).hex()}.sent"
    with NewFile(place) as file, node.gate.read(session, "backup:create", "store", "backup_created") as detail:
        sent = f"(sent to {session.principal})"
        report = _filled(node, file, passphrase, detail, path=sent, shreddable=shreddable, named=False)
        return file.opened_again(), report


def _filled(
    node: Node,
    file: NewFile,
    passphrase: str,
    detail: dict[str, str | int],
    *,
    path: str,
    shreddable: bool,
    named: bool = True,
) -> BackupReport:
    known = KnownBackup(path, node.clock.now_ms(), node.shred_keys.path if shreddable else None)
    with _Snapshot(node, known) as noted:
        manifest = {
            "form": SHREDDABLE if shreddable else ORDINARY,
            "store_id": node.root.store_id.hex(),
            "root_key": base64.b64encode(node.root.root().view()).decode(),
        }
        snapshot, content = noted.taken()
        size = fill(file, passphrase, manifest, snapshot, known.created_ms)
        node.recorder.ready()
        if named:
            file.give_name()
    report = replace(_report(content, known.created_ms, size, shreddable), listed=noted.listed)
    detail.update(path=known.path, form=manifest["form"], secrets=report.secrets, bytes=report.bytes)
    return report


def _require_passphrase(text: str) -> None:
    try:
        passphrase = Passphrase(text)
    except MasterKeyInvalid as error:
        raise UsageError("the backup's passphrase cannot be used", why=error.why, hint="give another one") from None
    require_strength(passphrase)


class _Snapshot:
    """An image of the store that the store knows of: a backup that holds a data key is noted before it is written.

    A crash leaves a note without a backup, never the other way round. Where the block fails, the note is taken back.
    """

    def __init__(self, node: Node, known: KnownBackup) -> None:
        self._node = node
        self._known = known
        self._id = random_bytes(16)
        self._shred_keys: dict[bytes, KeyMaterial] = {}
        self.listed = True

    def taken(self) -> tuple[bytes, Content]:
        """The image, its data keys wrapped under the root key or, in shreddable form, under their shred keys.

        Raises:
            StoreBusy, StoreUnavailable, Sealed, IntegrityError; FileUnavailable for the folder of shred keys.
        """
        node = self._node
        while True:
            noted = self._note()
            snapshot = take_snapshot(node.store)
            with node.store.undivided():
                content = describe(snapshot)
            if not same(root_check(node.root.root()), content.row.root_check):
                raise replaced()
            # Another process may have rotated the data key in between.
            if not self.listed or content.wrapped() <= noted:
                break
        if self._known.shred_keys is not None:
            with node.store.undivided():
                snapshot, _ = with_data_keys(
                    snapshot, lambda record: under_shred_key(record, node.root, self._shred_keys), node.clock.now_ms()
                )
        return snapshot, content

    def _note(self) -> set[bytes]:
        shreddable = self._known.shred_keys is not None
        try:
            with self._node.write() as connection:
                self._node.same_root(connection)
                held = {row.reference for row in SqliteDataKeys(connection).all() if row.wrapped is not None}
                if shreddable:
                    # Under the store's lock: a key that is being destroyed has no wrapping any more, and gets no new
                    # shred key.
                    for reference in held - self._shred_keys.keys():
                        self._shred_keys[reference] = self._node.shred_keys.obtain(reference, self._node.root.store_id)
                SqliteBackups(connection).note(self._id, self._known, held)
                return held
        except StoreUnavailable:
            # On a full disk an ordinary backup to another is what is wanted most.
            if shreddable:
                raise
            self.listed = False
            return set()

    def __enter__(self) -> _Snapshot:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for shred_key in self._shred_keys.values():
            shred_key.forget()
        if kind is not None and self.listed:
            with suppress(OperatorError), self._node.write() as connection:
                SqliteBackups(connection).forget(self._id)


_HOLDS_SOMETHING: Final = (
    "SELECT EXISTS (SELECT 1 FROM secrets) OR EXISTS (SELECT 1 FROM users) OR EXISTS (SELECT 1 FROM roles)"
    " OR EXISTS (SELECT 1 FROM access_tokens)"
)


def require_empty(node: Node) -> None:
    """Return if a store has never held a secret, nor encrypted anything, which a restore would make unreadable, and
    holds no identity, which it would remove.

    Raises:
        StoreExists: it has.
    """
    hint = "restore into a new place, then compare"
    where = node.store.path.absolute()
    with node.store.translated():
        connection = node.store.read()
        if connection.execute(_HOLDS_SOMETHING).fetchone()[0]:
            raise StoreExists(f"the store {where} is not empty", hint=hint)
    used = any(record.reserved for record in SqliteDataKeys(connection).all())
    if used or any(
        _ENCRYPTED in line.data
        for chain in chain_names(node.location.audit)
        for line in lines(node.location.audit / chain)
    ):
        raise StoreExists(
            f"the store {where} has encrypted data, which could not be decrypted after a restore", hint=hint
        )


def _require_alone(node: Node) -> None:
    """Return if no other process has the store open: it would go on under keys that are no longer the store's."""
    for chain in chain_names(node.location.audit):
        if chain == node.journal.chain:
            continue
        lock = lock_chain(node.location.audit / chain)
        if lock is None:
            raise StoreBusy(
                f"the store {node.store.path.absolute()} is open elsewhere too",
                hint="close it there, and restore again; nothing was changed",
            )
        os.close(lock)


def restore_backup(
    node: Node,
    session: Session,
    source: Path,
    *,
    passphrase: str,
    shred_keys: Path | None,
    find_credential: Callable[[], Credential],
) -> BackupReport:
    """Put a backup into an open, empty store, which takes over its id and root key.

    What `find_credential` gives opens it afterwards. One transaction changes everything, and the node can only be
    closed then.

    Raises:
        StoreExists: the store holds something. StoreBusy: it is open elsewhere too.
        BackupError, FileUnavailable: the backup or its shred keys. UsageError: shred keys are missing.
        Nothing was changed.
    """
    with ExitStack() as done:
        with _failures_recorded(node, session):
            require_empty(node)
            with node.store.undivided():
                backup = read_backup(source, passphrase)
            done.callback(backup.root.seal)
            report = _report(backup.content, backup.created_ms, backup.size, backup.shreddable)
            if backup.shreddable:
                report = _unshredded(node, backup, report, shred_keys)
            credential = find_credential()
        with node.gate.change(session, "backup:restore", "store", "backup_restored") as change:
            _require_alone(node)
            _put(node, change.transaction, backup, credential)
            change.detail.update(
                secrets=report.secrets,
                destroyed_keys=report.destroyed_keys,
                destroyed_versions=report.destroyed_versions,
            )
            change.detail["from"] = report.store_id
    return report


@contextmanager
def _failures_recorded(node: Node, session: Session) -> Iterator[None]:
    node.gate.admit(session, "backup:restore", "store")
    try:
        yield
    except KeysteadError as error:
        node.gate.failed(session, "store", "backup_restored", error)
        raise


def _unshredded(node: Node, backup: Backup, report: BackupReport, shred_keys: Path | None) -> BackupReport:
    """Wrap a backup's data keys under its root key again, and destroy what lost its shred key."""
    if shred_keys is None:
        raise UsageError(
            "this backup is in shreddable form, and opens only with its shred keys",
            hint="give the folder shred-keys of the store that wrote it (shred_keys=...)",
        )
    folder, now = ShredKeyFolder(shred_keys), node.clock.now_ms()
    folder.require_of(backup.content.row.store_id)
    with node.store.undivided():
        backup.snapshot, versions = with_data_keys(
            backup.snapshot, lambda record: under_root_key(record, backup.root, folder, now), now
        )
        gone = len(backup.content.wrapped() - describe(backup.snapshot).wrapped())
    return replace(report, destroyed_keys=gone, destroyed_versions=versions)


def _put(node: Node, transaction: Any, backup: Backup, credential: Credential) -> None:
    row = put_snapshot(
        transaction,
        backup.snapshot,
        lambda row: wrap_audit_key(backup.root.root(), node.root.audit(), row.store_id),
    )
    label = "master key" if credential.kind == "master-key" else credential.kind
    now = node.clock.now_ms()
    slot = make_slot(backup.root.root(), credential, store_id=row.store_id.hex(), label=label, now_ms=now)
    SqliteSlots(transaction).insert(slot)
    if not any(record.state is KeyState.ACTIVE for record in SqliteDataKeys(transaction).all()):
        replace(node.data_keys, root=backup.root).add_first(transaction)

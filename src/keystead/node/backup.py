"""Backup to one encrypted file, and restore of it into a new or empty store.

    offset  length  part
    0       8       "ksbackup"
    8       1       version 0x01
    9       4       Argon2id iterations, big-endian
    13      4       Argon2id lanes
    17      4       Argon2id memory in KiB
    21      16      Argon2id salt
    37      8       time of the backup, ms since the epoch
    45      ...     a stream (docs/formats.md) under the passphrase's key, purpose `backup`, AAD these 45 bytes

The stream holds a 4-byte length, the manifest as JSON of that length (with the root key), and the database image.
"""

from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from keystead.access.session import Session
from keystead.clock import Clock
from keystead.crypto.kdf import RFC_9106_LOW_MEMORY, Argon2Parameters, derive_from_passphrase
from keystead.crypto.mac import same, sha256
from keystead.crypto.material import KeyMaterial, random_bytes
from keystead.crypto.purpose import Purpose
from keystead.crypto.stream import REFERENCE_LENGTH, StreamOpener, StreamSealer
from keystead.errors import BackupError, DataError, FileUnavailable, StoreExists
from keystead.keys.stream_io import open_stream, seal_stream
from keystead.node.node import Node
from keystead.node.root import wrap_audit_key
from keystead.seal.credential import Credential
from keystead.seal.provider import make_slot, root_check
from keystead.seal.providers.passphrase import Passphrase, require_strength
from keystead.storage.snapshot import describe, put_snapshot, take_snapshot
from keystead.storage.sqlite import SqliteStore
from keystead.storage.store_row import SqliteSlots

MAGIC: Final = b"ksbackup\x01"
HEADER_LENGTH: Final = 45
_REFERENCE: Final = bytes(REFERENCE_LENGTH)


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What a backup holds. `created_ms` is ms since the epoch, `bytes` the size of the file."""

    store_id: str
    created_ms: int
    secrets: int
    versions: int
    data_keys: int
    bytes: int

    def as_dict(self) -> dict[str, Any]:
        """The same figures under the same names."""
        return asdict(self)


@dataclass(slots=True)
class Backup:
    """An opened backup: verified to its end. `root` is the caller's to forget."""

    report: BackupReport
    root: KeyMaterial
    snapshot: bytes


def write_backup(node: Node, session: Session, to: Path, passphrase: str) -> BackupReport:
    """Write the store to a new file (0600), consistent while others write, and read it back before it gets its name.

    Raises:
        UsageError: a weak passphrase. StoreExists: the file is there.
        FileUnavailable, StoreBusy, StoreUnavailable: nothing is left.
    """
    require_strength(Passphrase(passphrase))
    if os.path.lexists(to):
        raise StoreExists(f"{to.absolute()} is there already", hint="choose another name; no backup is overwritten")
    with node.gate.read(session, "backup:create", "store", "backup_created") as detail:
        header, key = _new_header(node.clock, passphrase)
        snapshot = take_snapshot(node.store)
        manifest = _manifest(node, snapshot)
        partial = to.with_name(f".{to.name}.partial")
        try:
            _write(partial, header, key, manifest + snapshot)
            written = read_backup(partial, passphrase)
            written.root.forget()
            if not same(sha256(written.snapshot), sha256(snapshot)):
                raise BackupError(f"{to.absolute()} does not read back as it was written", hint="check the disk")
            os.link(partial, to)
        except FileExistsError:
            raise StoreExists(f"{to.absolute()} is there already", hint="choose another name") from None
        except OSError as error:
            raise FileUnavailable(f"cannot write {to.absolute()}", why=os.strerror(error.errno or 0)) from None
        finally:
            key.forget()
            partial.unlink(missing_ok=True)
        detail["secrets"], detail["bytes"] = written.report.secrets, written.report.bytes
        return written.report


def _new_header(clock: Clock, passphrase: str) -> tuple[bytes, KeyMaterial]:
    parameters, salt = RFC_9106_LOW_MEMORY, random_bytes(16)
    header = MAGIC + b"".join(
        number.to_bytes(4, "big") for number in (parameters.iterations, parameters.lanes, parameters.memory_kib)
    )
    header += salt + clock.now_ms().to_bytes(8, "big")
    return header, KeyMaterial(derive_from_passphrase(passphrase, salt=salt, parameters=parameters))


def _manifest(node: Node, snapshot: bytes) -> bytes:
    row, _ = describe(snapshot)
    fields = {
        "store_id": row.store_id.hex(),
        "root_key": base64.b64encode(node.root.root().view()).decode(),
        "sha256": sha256(snapshot).hex(),
    }
    text = json.dumps(fields).encode()
    return len(text).to_bytes(4, "big") + text


def _write(path: Path, header: bytes, key: KeyMaterial, payload: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        os.fchmod(fd, 0o600)
        file.write(header)
        sealer = StreamSealer(_REFERENCE, key.view(), aad=header, purpose=Purpose.BACKUP)
        seal_stream(io.BytesIO(payload), file, sealer)
        file.flush()
        os.fsync(fd)


def read_backup(source: Path, passphrase: str) -> Backup:
    """Open a backup and verify it to its end.

    Raises:
        FileUnavailable: it cannot be read.
        BackupError: it is damaged, no backup, or the passphrase is another.
    """
    try:
        with source.open("rb") as file:
            header = file.read(HEADER_LENGTH)
            parameters, salt, created_ms = _parse_header(source, header)
            key = KeyMaterial(derive_from_passphrase(passphrase, salt=salt, parameters=parameters))
            payload = io.BytesIO()
            open_stream(file, payload, lambda head: StreamOpener(head, key.view(), aad=header, purpose=Purpose.BACKUP))
            size = file.tell()
    except DataError as error:
        if isinstance(error, BackupError):
            raise
        raise BackupError(
            f"{source.absolute()} does not open",
            why="it is damaged, or the passphrase is another",
            hint="check the passphrase, then try another copy; nothing was changed",
        ) from None
    except OSError as error:
        raise FileUnavailable(f"cannot read {source.absolute()}", why=os.strerror(error.errno or 0)) from None
    return _parsed(source, payload.getbuffer(), created_ms, size)


def _parse_header(source: Path, header: bytes) -> tuple[Argon2Parameters, bytes, int]:
    if len(header) != HEADER_LENGTH or not header.startswith(MAGIC):
        raise BackupError(f"{source.absolute()} is no keystead backup", hint="give the file that keystead backup wrote")
    numbers = [int.from_bytes(header[at : at + 4], "big") for at in (9, 13, 17)]
    parameters = Argon2Parameters(*numbers)
    problem = parameters.problem()
    if problem:
        raise BackupError(f"{source.absolute()} has a header that keystead does not write", why=problem)
    return parameters, header[21:37], int.from_bytes(header[37:45], "big")


def _parsed(source: Path, payload: memoryview, created_ms: int, size: int) -> Backup:
    length = int.from_bytes(payload[:4], "big")
    try:
        manifest = json.loads(bytes(payload[4 : 4 + length]))
        snapshot = bytes(payload[4 + length :])
        root = KeyMaterial(base64.b64decode(manifest["root_key"]))
        digest, store_id = bytes.fromhex(manifest["sha256"]), manifest["store_id"]
    except (ValueError, KeyError, TypeError):
        raise BackupError(f"{source.absolute()} holds no manifest that keystead writes") from None
    row, figures = describe(snapshot)
    if not same(sha256(snapshot), digest) or row.store_id.hex() != store_id:
        raise BackupError(f"{source.absolute()} does not hold what its manifest says")
    if not same(root_check(root), row.root_check):
        raise BackupError(f"{source.absolute()} holds a root key that is not its store's")
    report = BackupReport(store_id, created_ms, figures.secrets, figures.versions, figures.data_keys, size)
    return Backup(report, root, snapshot)


def require_empty(store: SqliteStore) -> None:
    """Return if a store holds no secret and has never held one; StoreExists otherwise."""
    with store.translated():
        if store.read().execute("SELECT count(*) FROM secrets").fetchone()[0]:
            raise StoreExists(
                f"the store {store.path.absolute()} is not empty", hint="restore into a new place, then compare"
            )


def restore_backup(
    node: Node, session: Session, backup: Backup, credential: Credential, reopen: Callable[[], Node]
) -> tuple[Node, BackupReport]:
    """Put a backup into an open, empty store, which takes over its id and root key; `credential` opens it afterwards.

    One transaction changes everything; the node is closed and opened again by `reopen`.

    Raises:
        StoreExists: the store holds secrets. UsageError: a credential too weak. Nothing was changed.
    """
    with node.gate.change(session, "backup:restore", "store", "backup_restored") as change:
        row = put_snapshot(
            change.transaction,
            backup.snapshot,
            lambda row: wrap_audit_key(backup.root, node.root.audit(), row.store_id),
        )
        label = "master key" if credential.kind == "master-key" else credential.kind
        slot = make_slot(backup.root, credential, store_id=row.store_id.hex(), label=label, now_ms=node.clock.now_ms())
        SqliteSlots(change.transaction).insert(slot)
        change.detail["secrets"] = backup.report.secrets
        change.detail["from"] = backup.report.store_id
    backup.root.forget()
    node.close()
    return reopen(), backup.report

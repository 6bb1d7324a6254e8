"""Shred keys: one for each data key in shreddable backups, kept in a folder outside them and destroyed with the key.

The folder (0700) holds, for each data key, a file (0600) of 32 random bytes named by the key's reference in hex, and
for each store that keeps shred keys there an empty file `store-<id in hex>`, by which the wrong folder is told from
one whose keys were destroyed.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from keystead.audit.slots import make_folder, sync_folder
from keystead.crypto.aad import bind
from keystead.crypto.material import KEY_LENGTH, KeyMaterial, random_bytes, zero
from keystead.crypto.wrapping import unwrap_key, wrap_key
from keystead.errors import BackupError, DecryptionError, FileUnavailable
from keystead.keys.lifecycle import KeyState
from keystead.keys.model import DataKeyRecord, unwrapped, wrapped_under
from keystead.keys.ports import RootAccess
from keystead.seal.private_file import write_private

# What stands in a file between its overwriting and its removal, and after a crash in the middle of making it.
_OVERWRITTEN: Final = bytes(KEY_LENGTH)


class ShredKeyFolder:
    """The shred keys of one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def path(self) -> str:
        """The folder's absolute path."""
        return str(self._folder.absolute())

    def _file(self, reference: bytes) -> Path:
        return self._folder / reference.hex()

    def obtain(self, reference: bytes, store_id: bytes) -> KeyMaterial:
        """The shred key of a data key, made where there is none yet, and then on the disk.

        Called inside a transaction of the store, which keeps a second process from making another.

        Raises:
            FileUnavailable: the folder cannot be read or written.
        """
        with self._named("write"):
            make_folder(self._folder)
            mark = self._folder / _mark(store_id)
            if not mark.exists():
                write_private(mark, b"")
            found = self._read(reference)
            if found is None:
                self._file(reference).unlink(missing_ok=True)
                fresh = random_bytes(KEY_LENGTH)
                write_private(self._file(reference), fresh)
                found = bytearray(fresh)
        return _holding(found)

    def find(self, reference: bytes) -> KeyMaterial | None:
        """The shred key of a data key; None where it was destroyed.

        Raises:
            FileUnavailable: it cannot be read. BackupError: the file holds something else.
        """
        with self._named("read"):
            found = self._read(reference)
        return None if found is None else _holding(found)

    def require_of(self, store_id: bytes) -> None:
        """Return if this is a folder of the shred keys of that store.

        Raises:
            FileUnavailable: there is no such folder. BackupError: it keeps no shred key of that store.
        """
        with self._named("read"):
            names = {item.name for item in self._folder.iterdir()}
        if _mark(store_id) not in names:
            raise BackupError(
                f"{self.path} does not hold the shred keys of the store that wrote this backup",
                hint=f"give the whole folder shred-keys of that store, with the file {_mark(store_id)} in it",
            )

    def destroy(self, reference: bytes) -> None:
        """Overwrite and remove the shred key of a data key, on the disk when this returns; nothing where none is.

        Raises:
            FileUnavailable: it stays.
        """
        path = self._file(reference)
        with self._named("remove a shred key from"):
            try:
                handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:
                handle = -1
            if handle >= 0:
                try:
                    os.pwrite(handle, _OVERWRITTEN, 0)
                    os.fsync(handle)
                finally:
                    os.close(handle)
                # Another process may be at the same key.
                path.unlink(missing_ok=True)
            # Also where the file is gone already: a crash may have come before its removal was on the disk.
            if self._folder.is_dir():
                sync_folder(self._folder)

    def _read(self, reference: bytes) -> bytearray | None:
        try:
            handle = os.open(self._file(reference), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        try:
            buffer = bytearray(KEY_LENGTH + 1)
            length = os.readv(handle, [buffer])
        finally:
            os.close(handle)
        if not any(buffer[:length]):
            return None
        if length != KEY_LENGTH:
            zero(buffer)
            raise BackupError(
                f"{self._file(reference).absolute()} is no shred key",
                why="a shred key is a file of 32 bytes",
                hint="put the right file there; with none there, its data key is restored as destroyed",
            )
        del buffer[KEY_LENGTH:]
        return buffer

    @contextmanager
    def _named(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise FileUnavailable(
                f"cannot {what} the folder of shred keys {self.path}",
                why=os.strerror(error.errno or errno.EIO),
                hint="check that the path is right, the permissions, and the room on the disk",
            ) from None


def _mark(store_id: bytes) -> str:
    return f"store-{store_id.hex()}"


def _holding(found: bytearray) -> KeyMaterial:
    material = KeyMaterial(found)
    zero(found)
    return material


def _aad(record: DataKeyRecord, store_id: bytes) -> bytes:
    return bind("backup-data-key", record.aad(store_id))


def under_shred_key(record: DataKeyRecord, root: RootAccess, shred_keys: Mapping[bytes, KeyMaterial]) -> DataKeyRecord:
    """The record with its material wrapped under its shred key alone; one without material as it is.

    Raises:
        IntegrityError: the record was edited, swapped or damaged.
    """
    if record.wrapped is None:
        return record
    material = unwrapped(record, root.wrapping_key(), root.store_id)
    wrapped = wrap_key(shred_keys[record.reference].view(), material, _aad(record, root.store_id))
    material.forget()
    return record._replace(wrapped=wrapped)


def under_root_key(record: DataKeyRecord, root: RootAccess, folder: ShredKeyFolder, now_ms: int) -> DataKeyRecord:
    """The record with its material wrapped under the root key again; destroyed, where its shred key is.

    Raises:
        FileUnavailable: the shred key cannot be read. BackupError: it is not the one of this backup.
    """
    if record.wrapped is None:
        return record
    shred_key = folder.find(record.reference)
    if shred_key is None:
        return record._replace(state=KeyState.DESTROYED, state_ms=now_ms, wrapped=None)
    try:
        material = unwrap_key(shred_key.view(), record.wrapped, _aad(record, root.store_id))
    except DecryptionError:
        raise BackupError(
            f"the shred key {record.reference.hex()} in {folder.path} is not the one that data key {record.key_id} was"
            " backed up under",
            hint="give the folder that this backup was made with; without that file the key is restored as destroyed",
        ) from None
    finally:
        shred_key.forget()
    restored = wrapped_under(record, material, root.wrapping_key(), root.store_id)
    material.forget()
    return restored

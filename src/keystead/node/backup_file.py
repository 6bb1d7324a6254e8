"""The file of a backup: its bytes, how they are sealed, and how they are verified to the end.

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
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from keystead.crypto.kdf import RFC_9106_LOW_MEMORY, Argon2Parameters, derive_from_passphrase
from keystead.crypto.mac import same, sha256
from keystead.crypto.material import KeyMaterial, random_bytes, zero
from keystead.crypto.purpose import Purpose
from keystead.crypto.stream import REFERENCE_LENGTH, StreamOpener, StreamSealer
from keystead.errors import BackupError, DataError, FileUnavailable, IntegrityError, StoreExists
from keystead.keys.stream_io import Writable, open_stream, seal_stream
from keystead.node.root import RootHolder
from keystead.seal.provider import root_check
from keystead.storage.snapshot import Content, describe

MAGIC: Final = b"ksbackup\x01"
HEADER_LENGTH: Final = 45
ORDINARY: Final = "ordinary"
SHREDDABLE: Final = "shreddable"
_REFERENCE: Final = bytes(REFERENCE_LENGTH)
_NAMELESS: Final = getattr(os, "O_TMPFILE", 0) if Path("/proc/self/fd").is_dir() else 0


@dataclass(slots=True)
class Backup:
    """An opened backup, verified to its end. `root` holds the root key, and is the caller's to seal."""

    content: Content
    root: RootHolder
    snapshot: bytes
    created_ms: int
    size: int
    shreddable: bool


class NewFile:
    """A file (0600) that has no name until it is whole, and never takes one that is there.

    As a context manager: where the block fails, nothing is left, under its name either.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folder = -1
        self._file: BinaryIO | None = None
        self._temporary: str | None = None
        self._named = False

    def open(self) -> BinaryIO:
        """The file, to write and read back.

        Raises:
            StoreExists: the path is taken. FileUnavailable: its folder cannot be written.
        """
        if os.path.lexists(self.path):
            raise self._taken()
        with self._translated():
            self._folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._file = os.fdopen(self._new(), "w+b", buffering=0)
            os.fchmod(self._file.fileno(), 0o600)
        return self._file

    def _new(self) -> int:
        if _NAMELESS:
            with suppress(OSError):
                return os.open(".", os.O_RDWR | os.O_CLOEXEC | _NAMELESS, 0o600, dir_fd=self._folder)
        self._temporary = f".keystead-{random_bytes(8).hex()}.part"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        return os.open(self._temporary, flags, 0o600, dir_fd=self._folder)

    def give_name(self) -> None:
        """Put the file at its path, on the disk when this returns; errors as for `open`."""
        if self._file is None:
            raise ValueError("the file was not opened")
        with self._translated():
            if self._temporary is None:
                # With a folder's descriptor the call follows /proc's link instead of linking to it.
                here = f"/proc/self/fd/{self._file.fileno()}"
                os.link(here, self.path.name, dst_dir_fd=self._folder, follow_symlinks=True)
            else:
                os.link(self._temporary, self.path.name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
            self._named = True
            os.fsync(self._folder)

    def opened_again(self) -> BinaryIO:
        """The same file from its beginning, to read; it stays open behind this block, and never gets a name then."""
        if self._file is None:
            raise ValueError("the file was not opened")
        again = os.fdopen(os.dup(self._file.fileno()), "rb", buffering=0)
        again.seek(0)
        return again

    def put(self, data: bytes) -> None:
        """Write a part of what comes from elsewhere. Raises FileUnavailable."""
        if self._file is None:
            raise ValueError("the file was not opened")
        with self._translated():
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except FileExistsError:
            raise self._taken() from None
        except OSError as error:
            raise FileUnavailable(
                f"cannot write {self.path.absolute()}",
                why=os.strerror(error.errno or 0),
                hint="check that the folder is there, the permissions, and the room on the disk",
            ) from None

    def _taken(self) -> StoreExists:
        return StoreExists(
            f"{self.path.absolute()} is there already", hint="choose another name; no backup is overwritten"
        )

    def __enter__(self) -> NewFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with suppress(OSError):
            if self._temporary is not None:
                os.unlink(self._temporary, dir_fd=self._folder)
            if kind is not None and self._named:
                os.unlink(self.path.name, dir_fd=self._folder)
        if self._file is not None:
            self._file.close()
        if self._folder >= 0:
            os.close(self._folder)


class _Parts:
    """Several byte strings to read one after the other, as from a file."""

    def __init__(self, *parts: bytes | bytearray) -> None:
        self._parts = [memoryview(part) for part in parts if part]

    def read(self, size: int, /) -> bytes:
        if not self._parts:
            return b""
        taken, self._parts[0] = bytes(self._parts[0][:size]), self._parts[0][size:]
        if not self._parts[0]:
            del self._parts[0]
        return taken


class _Expecting:
    """Takes what is read back, and says whether it was the very same bytes to the end."""

    def __init__(self, parts: _Parts) -> None:
        self._parts = parts
        self._as_expected = True

    def write(self, data: memoryview, /) -> int:
        at = 0
        while at < len(data):
            part = self._parts.read(len(data) - at)
            if not part or data[at : at + len(part)] != part:
                self._as_expected = False
                break
            at += len(part)
        return len(data)

    def met(self) -> bool:
        """Whether all that was expected came, and nothing else."""
        return self._as_expected and not self._parts.read(1)


def fill(file: NewFile, passphrase: str, manifest: dict[str, Any], snapshot: bytes, created_ms: int) -> int:
    """Write a backup into a new file, put it on the disk, and read it back from there; the file's size in bytes.

    Raises:
        FileUnavailable: it cannot be written. BackupError: it does not read back as it was written.
    """
    parameters, salt = RFC_9106_LOW_MEMORY, random_bytes(16)
    numbers = (parameters.iterations, parameters.lanes, parameters.memory_kib)
    header = MAGIC + b"".join(number.to_bytes(4, "big") for number in numbers) + salt + created_ms.to_bytes(8, "big")
    text = bytearray(json.dumps({**manifest, "sha256": sha256(snapshot).hex()}).encode())
    text[:0] = len(text).to_bytes(4, "big")
    opened = file.open()
    try:
        key = KeyMaterial(derive_from_passphrase(passphrase, salt=salt, parameters=parameters))
        sealer = StreamSealer(_REFERENCE, key.view(), aad=header, purpose=Purpose.BACKUP)
        key.forget()
        _write(opened, file.path, header, sealer, _Parts(text, snapshot))
        opened.seek(0)
        written = _Expecting(_Parts(text, snapshot))
        _open(opened, file.path, passphrase, written)
        if not written.met():
            raise BackupError(f"{file.path.absolute()} does not read back as it was written", hint="check the disk")
        return opened.tell()
    finally:
        zero(text)


def settle(file: NewFile, passphrase: str) -> None:
    """Put on the disk what was `put` into a new file, and verify from there that it is a whole backup.

    Raises:
        FileUnavailable. BackupError: it is none, it is damaged, or the passphrase is another.
    """
    opened = file.opened_again()
    with opened:
        try:
            _to_disk(opened)
        except OSError as error:
            raise _unwritten(file.path, error) from None
        _open(opened, file.path, passphrase, _Nowhere())


class _Nowhere:
    """Takes what is verified and needed no more."""

    def write(self, data: memoryview, /) -> int:
        return len(data)


def _write(opened: BinaryIO, path: Path, header: bytes, sealer: StreamSealer, parts: _Parts) -> None:
    try:
        opened.write(header)
        seal_stream(parts, opened, sealer)
        _to_disk(opened)
    except OSError as error:
        raise _unwritten(path, error) from None


def _to_disk(opened: BinaryIO) -> None:
    os.fsync(opened.fileno())
    if hasattr(os, "posix_fadvise"):
        # What is read back is to come from the disk, and not from where it was just put.
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _unwritten(path: Path, error: OSError) -> FileUnavailable:
    return FileUnavailable(
        f"cannot write {path.absolute()}", why=os.strerror(error.errno or 0), hint="check the disk and its room"
    )


def read_backup(source: Path, passphrase: str) -> Backup:
    """Open a backup and verify it to its end.

    Raises:
        FileUnavailable: it cannot be read.
        BackupError: it is damaged, no backup, of a newer keystead, or the passphrase is another.
    """
    try:
        with source.open("rb") as file:
            return _read(file, source, passphrase)
    except OSError as error:
        raise FileUnavailable(f"cannot read {source.absolute()}", why=os.strerror(error.errno or 0)) from None


def _read(file: BinaryIO, source: Path, passphrase: str) -> Backup:
    payload = io.BytesIO()
    try:
        created_ms = _open(file, source, passphrase, payload)
        return _parsed(source, payload.getbuffer(), created_ms, file.tell())
    finally:
        # The manifest, with the root key in it; behind it nothing is in the clear.
        payload.getbuffer()[:4096] = bytes(min(4096, payload.getbuffer().nbytes))


def _open(file: BinaryIO, source: Path, passphrase: str, target: Writable) -> int:
    """Open the stream of a backup into `target`, verified to its end; the time of the backup."""
    header = file.read(HEADER_LENGTH)
    parameters, salt, created_ms = _parse_header(source, header)
    key = KeyMaterial(derive_from_passphrase(passphrase, salt=salt, parameters=parameters))
    try:
        open_stream(file, target, lambda head: StreamOpener(head, key.view(), aad=header, purpose=Purpose.BACKUP))
    except DataError:
        raise BackupError(
            f"{source.absolute()} does not open",
            why="it is damaged, or the passphrase is another",
            hint="check the passphrase, then try another copy; nothing was changed",
        ) from None
    finally:
        key.forget()
    return created_ms


def _parse_header(source: Path, header: bytes) -> tuple[Argon2Parameters, bytes, int]:
    if len(header) != HEADER_LENGTH or not header.startswith(MAGIC[:8]):
        raise BackupError(f"{source.absolute()} is no keystead backup", hint="give the file that keystead backup wrote")
    if header[8:9] != MAGIC[8:9]:
        raise BackupError(
            f"{source.absolute()} is a backup of a version that this keystead does not read",
            hint="restore it with the keystead that wrote it, or a newer one",
        )
    numbers = [int.from_bytes(header[at : at + 4], "big") for at in (9, 13, 17)]
    parameters = Argon2Parameters(*numbers)
    problem = parameters.problem()
    if problem:
        raise BackupError(f"{source.absolute()} has a header that keystead does not write", why=problem)
    return parameters, header[21:37], int.from_bytes(header[37:45], "big")


def _parsed(source: Path, payload: memoryview, created_ms: int, size: int) -> Backup:
    end = 4 + int.from_bytes(payload[:4], "big")
    manifest = _manifest(bytes(payload[4:end]))
    if manifest is None:
        raise BackupError(f"{source.absolute()} holds no manifest that keystead writes")
    root_key, digest, store_id, form = manifest
    snapshot = bytes(payload[end:])
    content = describe(snapshot)
    row = content.row
    if not same(sha256(snapshot), digest) or row.store_id.hex() != store_id or form not in (ORDINARY, SHREDDABLE):
        raise BackupError(f"{source.absolute()} does not hold what its manifest says")
    if not same(root_check(root_key), row.root_check):
        raise BackupError(f"{source.absolute()} holds a root key that is not its store's")
    root = RootHolder()
    try:
        root.unseal(row.store_id, root_key, row.integrity_wrapped, row.audit_wrapped)
    except IntegrityError:
        raise BackupError(f"{source.absolute()} holds a store whose keys do not belong together") from None
    return Backup(content, root, snapshot, created_ms, size, form == SHREDDABLE)


def _manifest(data: bytes) -> tuple[KeyMaterial, bytes, object, object] | None:
    """Root key, digest, store id and form. None and no error, since the JSON reader's holds the root key's text."""
    try:
        found = json.loads(data)
        root_key = KeyMaterial(base64.b64decode(found["root_key"]))
        return root_key, bytes.fromhex(found["sha256"]), found["store_id"], found["form"]
    except (ValueError, KeyError, TypeError):
        return None

"""The growing end of one chain on disk: whole lines or nothing, and room kept for a full disk."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from pathlib import Path
from typing import Final

from keystead.audit.files import file_name, file_number
from keystead.audit.slots import make_private, sync_folder
from keystead.errors import AuditUnavailable

FILE_BYTES: Final = 64 << 20
RESERVE_BYTES: Final = 1 << 20
_APPEND: Final = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
_RESERVE_REQUEST: Final = 0x40305828  # FS_IOC_RESVSP: blocks behind the end of a file, its size unchanged
_RESERVE_FORMAT: Final = "@hhqqiI4i"


class Writer:
    """Appends to the last file of a chain whose lock is `lock_fd`. Not thread-safe; every method raises OSError.

    `size` is where whole lines end in `path`; what stands behind it is removed before anything is written. `lost` is
    set when a flush failed: nothing is written or flushed any more.
    """

    def __init__(
        self,
        chain_folder: Path,
        path: Path | None,
        size: int,
        lock_fd: int,
        *,
        file_bytes: int = FILE_BYTES,
        reserve_bytes: int = RESERVE_BYTES,
    ) -> None:
        self._folder = chain_folder
        self._file_bytes = file_bytes
        self._reserve_bytes = reserve_bytes
        self._lock_fd = lock_fd
        self._retired: list[int] = []
        self._reserved = 0
        self.lost = False
        if path is None:
            self._create(chain_folder / file_name(1))
        else:
            self.path = path
            self._fd = os.open(path, _APPEND)
            self._size = size
            self._dirty = os.fstat(self._fd).st_size != size
        self._reserve()

    def write(self, data: bytes) -> None:
        """Append whole lines. After an error nothing of them is there, or will be removed before the next write."""
        if self.lost:
            raise OSError(errno.EIO, "a flush to the disk failed earlier")
        if not os.fstat(self._fd).st_nlink:
            # What is written to a file that has no name any more, nobody will ever read.
            raise OSError(errno.ENOENT, "somebody removed the file of the log")
        if self._dirty:
            self._remove_rest()
        if self._size + len(data) > self._file_bytes and self._size:
            self._next_file()
        try:
            written = os.write(self._fd, data)
        except OSError:
            self._dirty = True
            raise
        if written != len(data):
            self._dirty = True
            self._remove_rest()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += written
        if self._size + self._reserve_bytes // 2 > self._reserved:
            self._reserve()

    def resume(self, path: Path, size: int) -> None:
        """Go on behind the whole lines that `path` is known to have, whatever was done last."""
        fd = os.open(path, _APPEND)
        # A sync in another thread may be using the old descriptor now.
        self._retired.append(self._fd)
        self.path, self._fd, self._size, self._reserved = path, fd, size, 0
        self._dirty = os.fstat(fd).st_size != size

    def sync(self) -> None:
        """Return when the disk has every line that was written before the call."""
        retired, self._retired = self._retired, []
        try:
            self._flush()
        finally:
            for fd in retired:
                os.close(fd)

    def close(self) -> None:
        """Let go of file and lock; closes descriptors and nothing else, so that a forked child may call it."""
        for fd in (*self._retired, self._fd, self._lock_fd):
            os.close(fd)
        self._retired = []

    def _flush(self) -> None:
        if self.lost:
            raise OSError(errno.EIO, "a flush to the disk failed earlier")
        try:
            os.fdatasync(self._fd)
        except OSError:
            # A second flush may report success for pages that the first one dropped.
            self.lost = True
            raise

    def _remove_rest(self) -> None:
        os.ftruncate(self._fd, self._size)
        self._dirty = False
        self._reserved = 0
        self._reserve()

    def _create(self, path: Path) -> None:
        fd = os.open(path, _APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            make_private(fd, 0o600, self._folder)
            sync_folder(self._folder)
        except BaseException:
            os.close(fd)
            path.unlink()
            raise
        self.path, self._fd, self._size, self._dirty, self._reserved = path, fd, 0, False, 0

    def _next_file(self) -> None:
        """Go on in a new file. On a disk that has no room for one, the old file grows on in the room it kept."""
        self._flush()
        old = self._fd
        try:
            self._create(self._folder / file_name(file_number(self.path) + 1))
        except OSError:
            return
        # A sync in another thread may be using the old descriptor now.
        self._retired.append(old)
        self._reserve()

    def _reserve(self) -> None:
        """Keep room behind the end; where the disk or the file system has none to give, go on without."""
        request = struct.pack(_RESERVE_FORMAT, 0, 0, self._size, self._reserve_bytes, 0, 0, 0, 0, 0, 0)
        try:
            fcntl.ioctl(self._fd, _RESERVE_REQUEST, request)
        except OSError:
            return
        self._reserved = self._size + self._reserve_bytes


def unavailable(folder: Path, error: OSError) -> AuditUnavailable:
    """What is told where a journal cannot be written."""
    return AuditUnavailable(
        f"the audit journal in {folder.absolute()} cannot be written",
        why=error.strerror or str(error),
        hint=_HINTS.get(error.errno or 0, "check the audit folder"),
    )


_HINTS: Final = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space",
    errno.EROFS: "give an audit folder that is writable",
    errno.EACCES: "check who owns the audit folder",
    errno.EIO: "check the disk, then restart",
    errno.ENOENT: "find out who removed it, then restart: a new chain begins, and audit verify names the old one",
}

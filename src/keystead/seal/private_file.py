"""Files that hold a credential: read only where nobody else could have, written so that nobody else can."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

from keystead.errors import MasterKeyInvalid

MODE = 0o600
_OTHERS = 0o077
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK  # a pipe that lies there must not hold up the start


def read_private(path: Path, *, limit: int) -> bytes | None:
    """The file's bytes, or None where there is no such file.

    It must be a regular file of at most `limit` bytes that belongs to this user and that nobody else may read or
    write. What is checked is the file that was opened, not the name.

    Raises:
        MasterKeyInvalid: any of these does not hold, or the file cannot be read; the hint is the command that helps.
    """
    try:
        handle = os.open(path, _FLAGS | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return None
        if error.errno == errno.ELOOP:
            raise _symlink(path) from None
        raise _refusal(path, f"it cannot be read ({error.strerror})", f"look at `ls -l {path}`") from None
    try:
        data = _contents(handle, limit)
        if isinstance(data, str):
            raise _refusal(path, data, "name a file that holds the credential and nothing else")
        _require_private(os.fstat(handle), path)
        return data
    finally:
        os.close(handle)


def read_if_concerned(path: Path, *, limit: int, concerns: Callable[[bytes], bool]) -> bytes | str:
    """The bytes of a file that may or may not hold a credential, or the words for why there are none to look at.

    Only a file that `concerns` must keep the rules of `read_private`: what holds no credential may lie open.

    Raises:
        MasterKeyInvalid: the file concerns us, and it is a symbolic link, another user's, or open to others.
    """
    try:
        handle = os.open(path, _FLAGS)
    except (FileNotFoundError, NotADirectoryError):
        return "no such file"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    try:
        data = _contents(handle, limit)
        if isinstance(data, bytes) and concerns(data):
            if path.is_symlink():
                raise _symlink(path)
            _require_private(os.fstat(handle), path)
        return data
    finally:
        os.close(handle)


def write_private(path: Path, data: bytes) -> None:
    """A new file of mode 0600, whatever the umask, on the disk when this returns.

    Raises:
        FileExistsError: something is there; it is left as it is.
        OSError: it cannot be written; nothing stays behind.
    """
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, MODE)
    try:
        os.fchmod(handle, MODE)
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
        os.fsync(handle)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(handle)


def _contents(handle: int, limit: int) -> bytes | str:
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        return "it is not a regular file"
    parts: list[bytes] = []
    room = limit + 1
    while room and (part := os.read(handle, room)):
        parts.append(part)
        room -= len(part)
    return b"".join(parts) if room else f"it is longer than {limit} bytes"


def _require_private(found: os.stat_result, path: Path) -> None:
    if found.st_uid != os.geteuid():
        raise _refusal(
            path,
            f"it belongs to user {found.st_uid}, and this is user {os.geteuid()}",
            f"run as its owner, or `chown {os.geteuid()} {path}`",
        )
    mode = stat.S_IMODE(found.st_mode)
    if mode & _OTHERS:
        raise _refusal(path, f"its mode {mode:04o} lets others at it", f"chmod 600 {path}")


def _symlink(path: Path) -> MasterKeyInvalid:
    return _refusal(path, "it is a symbolic link", "name the file itself")


def _refusal(path: Path, why: str, hint: str) -> MasterKeyInvalid:
    return MasterKeyInvalid(f"the credential in {path} cannot be used", why=why, hint=hint)

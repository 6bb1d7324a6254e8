"""The database file itself: making it, and what is required of it before SQLite opens it."""

from __future__ import annotations

import os
from pathlib import Path

from keystead.errors import StoreUnavailable


def make_private(path: Path) -> None:
    """Make the file that is to become a store, empty where it is not there; mode 0600, as SQLite gives all beside it.

    The umask, and the mode that an empty file had, change nothing of that.

    Raises:
        StoreUnavailable: it cannot be made.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.fchmod(fd, 0o600)
        finally:
            os.close(fd)
    except OSError as error:
        raise StoreUnavailable(f"cannot create {path.absolute()}", why=os.strerror(error.errno or 0)) from None


def require_one_name(path: Path, found: os.stat_result) -> None:
    """Return if the file has no second name. Raises StoreUnavailable."""
    if found.st_nlink > 1:
        raise StoreUnavailable(
            f"{path.absolute()} has another name too (a hard link)",
            why="each name has a write-ahead log of its own, and what is written by one is lost by the other",
            hint=f"find the other by its number, {found.st_ino}, and make it a copy or remove it",
        )


def uri(path: Path) -> str:
    """What SQLite opens the file by, for reading and writing, and makes none."""
    text = str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return f"file:{text}?mode=rw"

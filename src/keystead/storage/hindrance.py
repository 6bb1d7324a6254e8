"""What keeps a database's files from being opened or made, where SQLite says only that it failed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_ROOM: Final = 64 * 1024
"""A little more than the index of the write-ahead log, which every opening needs."""


def hindrance_to(path: Path) -> tuple[str, str] | None:
    """What keeps SQLite from a file and those beside it, where its own error does not name it; and what to do."""
    try:
        disk = os.statvfs(path.parent)
    except OSError:
        return None
    if disk.f_flag & os.ST_RDONLY:
        return "it is read-only", "check mount and owner"
    if disk.f_bavail * disk.f_frsize < _ROOM:
        return "the disk is full", "free some space"
    hint = "check owner and mode, and which user runs this"
    if not os.access(path.parent, os.W_OK | os.X_OK, effective_ids=True):
        return "this user may not write in its folder", hint
    if path.exists() and not os.access(path, os.R_OK | os.W_OK, effective_ids=True):
        return "this user may not read and write it", hint
    return None

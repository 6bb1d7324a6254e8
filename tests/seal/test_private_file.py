"""Files that hold a secret: private, whole, and on the disk with their name before anybody is told so."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from keystead.seal.private_file import write_private


def is_folder(handle: int) -> bool:
    return stat.S_ISDIR(os.fstat(handle).st_mode)


def test_what_was_written_is_on_the_disk_and_its_name_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flush, flushed = os.fsync, []
    monkeypatch.setattr(os, "fsync", lambda handle: (flushed.append(is_folder(handle)), flush(handle)))
    write_private(tmp_path / "master.key", b"a key")
    assert flushed == [False, True]
    assert stat.S_IMODE((tmp_path / "master.key").stat().st_mode) == 0o600


@pytest.mark.parametrize("folder", [False, True])
def test_where_file_or_name_cannot_be_flushed_nothing_stays_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: bool
) -> None:
    def fail(handle: int) -> None:
        if is_folder(handle) == folder:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output"):
        write_private(tmp_path / "master.key", b"a key")
    assert list(tmp_path.iterdir()) == []

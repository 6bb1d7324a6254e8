"""Where the cases work: a folder on a disk that syncs, one in memory, and stores in either."""

from __future__ import annotations

import base64
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keystead
from bench.harness import ROOT

MASTER_KEY = base64.b64encode(os.urandom(32)).decode("ascii")
ENV = {"KMS_MASTER_KEY": MASTER_KEY}


@dataclass(frozen=True)
class Lab:
    """`disk` is on a real file system, `memory` on tmpfs where there is one."""

    disk: Path
    memory: Path

    def folder(self, name: str) -> Path:
        """A new folder on the disk."""
        folder = self.disk / name
        folder.mkdir()
        return folder

    @contextmanager
    def connection(self, name: str, **options: Any) -> Iterator[Any]:
        """A connection to a new store in a new folder on the disk."""
        with keystead.connect(self.folder(name) / "store.db", master_key=MASTER_KEY, **options) as connection:
            yield connection


@contextmanager
def lab() -> Iterator[Lab]:
    """A place to work that is gone afterwards."""
    disk = Path(tempfile.mkdtemp(prefix="work-", dir=ROOT / ".venv-bench"))
    shared = Path("/dev/shm")
    memory = Path(tempfile.mkdtemp(prefix="keystead-bench-", dir=shared if shared.is_dir() else None))
    try:
        yield Lab(disk, memory)
    finally:
        shutil.rmtree(disk, ignore_errors=True)
        shutil.rmtree(memory, ignore_errors=True)

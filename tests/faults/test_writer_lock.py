"""The lock file of a store is opened once, whoever of a process's threads comes first."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from keystead.clock import SystemClock
from keystead.storage.writer_lock import WriterLock


@pytest.fixture
def hurried() -> Iterator[None]:
    """Threads that take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_a_writer_and_readers_who_come_at_once_share_one_file_so_that_the_lock_is_given_back(
    tmp_path: Path, hurried: None
) -> None:
    for number in range(200):
        path = tmp_path / f"{number}.lock"
        lock, start = WriterLock(path, tmp_path, SystemClock(), 1), threading.Barrier(5)

        def write(lock: WriterLock = lock, start: threading.Barrier = start) -> None:
            start.wait()
            lock.take()
            lock.changed()
            lock.give()

        def read(lock: WriterLock = lock, start: threading.Barrier = start) -> None:
            start.wait()
            lock.changes()

        with ThreadPoolExecutor(5) as pool:
            for done in [pool.submit(each) for each in (write, read, read, read, read)]:
                done.result()
        other = WriterLock(path, tmp_path, SystemClock(), 0)
        other.take()
        other.close()
        assert lock.changes() == 1
        lock.close()

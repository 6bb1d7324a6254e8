"""The lock file that the writers of all processes queue on, and the number of changes that it holds."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

from keystead.clock import Clock
from keystead.crypto.material import random_bytes
from keystead.errors import StoreBusy, StoreUnavailable

_NUMBER: Final = 8


class WriterLock:
    """One process's hold on a lock file: flock with a bounded wait.

    The file's eight bytes are a number that rises with every change of the store, while the lock is still held: who
    reads it from memory sees that something changed as soon as whoever changed it may say so. It is a hint to look at
    the store, and says nothing else.
    """

    def __init__(self, path: Path, of: Path, clock: Clock, wait_seconds: float) -> None:
        self._path = path
        self._of = of
        self._clock = clock
        self._wait_seconds = wait_seconds
        self._idle = threading.Event()
        self._opening = threading.Lock()
        self._fd = -1
        self._seen: memoryview | None = None

    def take(self) -> None:
        """Wait for the lock, and hold it.

        Raises:
            StoreBusy: another process held it for longer than the bounded wait.
            StoreUnavailable: the file cannot be made.
        """
        self._open()
        deadline = self._clock.monotonic() + self._wait_seconds
        pause = 0.0002
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if self._clock.monotonic() >= deadline:
                    raise StoreBusy(
                        f"the store {self._of.absolute()} is busy: another process is writing", hint="try again"
                    ) from None
            spread = 0.5 + random_bytes(1)[0] / 256
            self._idle.wait(pause * spread)
            pause = min(pause * 1.5, 0.002)

    def give(self) -> None:
        """Let the next one have it; without the lock, nothing."""
        if self._fd >= 0:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def changed(self) -> None:
        """Raise the number, while the lock is held, since a change was committed."""
        number = int.from_bytes(os.pread(self._fd, _NUMBER, 0), "little")
        # What was committed is not undone by a failure here: then others see it when they next ask the store.
        with suppress(OSError):
            os.pwrite(self._fd, ((number + 1) % (1 << 8 * _NUMBER)).to_bytes(_NUMBER, "little"), 0)

    def changes(self) -> int:
        """The number as it is now, read from shared memory.

        Raises:
            StoreUnavailable: the file cannot be made.
        """
        seen = self._seen
        return (self._map() if seen is None else seen)[0]

    def _map(self) -> memoryview:
        self._open()
        try:
            shared = mmap.mmap(self._fd, _NUMBER, mmap.MAP_SHARED, mmap.PROT_READ)
        except OSError as error:
            raise self._unavailable(error) from None
        self._seen = memoryview(shared).cast("Q")
        return self._seen

    def _open(self) -> None:
        if self._fd >= 0:
            return
        # One thread writes and others look for changes. With a descriptor each, the one that was locked would be lost,
        # and nobody could let go of it.
        with self._opening:
            if self._fd < 0:
                self._fd = self._opened()

    def _opened(self) -> int:
        fd = -1
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            os.fchmod(fd, 0o600)
            if os.fstat(fd).st_size < _NUMBER:
                # Room for the number is found here, and not behind a commit. Zeros change nothing where two do it.
                os.pwrite(fd, b"\0", _NUMBER - 1)
        except OSError as error:
            if fd >= 0:
                os.close(fd)
            raise self._unavailable(error) from None
        return fd

    def _unavailable(self, error: OSError) -> StoreUnavailable:
        return StoreUnavailable(f"cannot lock {self._path.absolute()}", why=os.strerror(error.errno or errno.EIO))

    def after_fork(self) -> None:
        """A child holds nothing: the lock and its file are the parent's."""
        self._fd, self._seen, self._opening = -1, None, threading.Lock()

    def close(self) -> None:
        """Let go of the file; the object can be used again."""
        self._seen = None
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

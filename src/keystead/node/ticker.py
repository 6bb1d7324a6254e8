"""The one background thread of a node: once a second, also while nobody calls, since others may change the store.

What is served does not depend on it: expiry, revocation and freshness are checked where values are read. It writes
counts, asks the disk to confirm the journal, drops keys that another process destroyed, sweeps, rotates what is due,
and runs what was handed to it.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

TICK_SECONDS: Final = 1.0
HOLD_SECONDS: Final = 10.0


class Ticker:
    """Calls `tick` once a second from the first waking on, and jobs at once."""

    def __init__(self, tick: Callable[[], None], on_error: Callable[[BaseException], None]) -> None:
        self._tick = tick
        self._on_error = on_error
        self._jobs: deque[Callable[[], None]] = deque()
        self._stopping = False
        self.after_fork()

    def after_fork(self) -> None:
        """Be without a thread and without jobs, as in a forked child, where the parent's thread does not exist."""
        self._start_lock = threading.Lock()
        self._working = threading.Lock()
        self._held = False
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()
        self._jobs.clear()
        self._poke = threading.Event()

    def wake(self) -> None:
        """Tick from now on."""
        if self._thread is None or self._pid != os.getpid():
            self._start()

    def soon(self, job: Callable[[], None]) -> None:
        """Run a job in the background now."""
        self._jobs.append(job)
        self.wake()
        self._poke.set()

    def _start(self) -> None:
        with self._start_lock:
            if self._stopping or (self._thread is not None and self._pid == os.getpid()):
                return
            self._pid = os.getpid()
            self._poke = threading.Event()
            self._thread = threading.Thread(target=self._run, name="keystead", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while not self._stopping:
            self._poke.wait(TICK_SECONDS)
            self._poke.clear()
            with self._working:
                self._work()

    def _work(self) -> None:
        try:
            while self._jobs and not self._stopping:
                self._jobs.popleft()()
            if not self._stopping:
                self._tick()
        except Exception as error:  # the thread outlives what it runs, and says what failed
            self._on_error(error)

    def hold(self) -> None:
        """Return when the thread does nothing, and keep it so until `let_go`: a fork in its midst would copy a half."""
        if self._thread is not threading.current_thread():
            self._held = self._working.acquire(timeout=HOLD_SECONDS)

    def let_go(self) -> None:
        """Let the thread go on."""
        if self._held:
            self._held = False
            self._working.release()

    def stop(self) -> None:
        """End the thread and wait for what it is doing."""
        self._stopping = True
        self._poke.set()
        thread = self._thread
        if thread is not None and self._pid == os.getpid() and thread is not threading.current_thread():
            thread.join(timeout=10)

"""The thread that waits for the disk while the event loop goes on.

It does nothing else, and is asked and answers in as few steps as there are: under load it is woken hundreds of times a
second, and what an executor does around each call would cost more than the call.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue

Done = Callable[[BaseException | None], None]


class Flusher:
    """Calls `wait` with one position of the audit log behind the other, in a thread of its own, until it is closed."""

    def __init__(self, wait: Callable[[int], None]) -> None:
        self._wait = wait
        self._asked: SimpleQueue[tuple[int, asyncio.AbstractEventLoop, Done] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="keystead-audit")
        self._thread.start()

    def flush(self, position: int, loop: asyncio.AbstractEventLoop, done: Done) -> None:
        """Call `done` on the loop once the disk has the log up to there, or with what prevented it."""
        self._asked.put((position, loop, done))

    def close(self) -> None:
        """Return once all that was asked for is done."""
        self._asked.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (asked := self._asked.get()) is not None:
            position, loop, done = asked
            error: BaseException | None = None
            try:
                self._wait(position)
            except BaseException as found:
                error = found
            with suppress(RuntimeError):  # the loop has ended, and with it all who would hear of it
                loop.call_soon_threadsafe(done, error)

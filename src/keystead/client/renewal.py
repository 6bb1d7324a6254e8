"""Renewal of the access token that a client shows, before it ends, by a thread that does nothing else.

Why a thread, and not the next call when it is due: a process that asks nothing for longer than its token lasts, such as
a service at night, would find it ended; and a call would wait for the renewal too, for minutes where the server hangs.
Calls meet none of it. The thread holds the connection weakly, so that what nobody holds any more is not kept alive, and
a fork starts its own.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable
from typing import Final

from keystead.clock import Clock
from keystead.crypto.material import random_bytes
from keystead.errors import AuthenticationFailed, IdentityNotFound, KeysteadError, SessionEnded, UsageError

_LOG: Final = logging.getLogger("keystead.client")
LATEST: Final = 2 / 3
SPREAD: Final = 1 / 15
LOOK_SECONDS: Final = 30.0
"""How long the thread sleeps at most: whether it is needed, and what time it is, may be another thing by then."""
_LEAST_SECONDS: Final = 1.0
_MOST_SECONDS_AGAIN: Final = 300.0
_IN_VAIN: Final = (UsageError, AuthenticationFailed, IdentityNotFound, SessionEnded)
"""What no later try changes: the token is not renewable, or has ended."""


def _at_random() -> float:
    return random_bytes(1)[0] / 255


class Renewal:
    """Keeps one access token alive: renews it at two thirds of what is left of it, or a little sooner.

    `renew` asks the server and gives what is left then (ms); what it raises is tried again later, and told to nobody
    but the log. `spread` gives numbers from 0 to 1, so that many who started together do not renew together.
    """

    def __init__(self, clock: Clock, renew: Callable[[], int | None], spread: Callable[[], float] = _at_random) -> None:
        self._clock = clock
        self._renew = renew
        self._spread = spread
        self._one = threading.Lock()
        self._stop = threading.Event()
        self._pid = os.getpid()
        self.thread: threading.Thread | None = None
        self._end: float | None = None
        self._due: float | None = None

    def begin(self, asked_at: float, left_ms: int | None, *, renewable: bool) -> None:
        """The server said at `asked_at` (monotonic seconds) for how long the token lasts, None for ever."""
        if left_ms is None:
            return
        self._end = asked_at + left_ms / 1000
        if renewable:
            self._due = asked_at + self._pause()
            self._start()

    def _pause(self) -> float:
        """How many seconds from now a renewal is due."""
        left = 0.0 if self._end is None else self._end - self._clock.monotonic()
        return max(_LEAST_SECONDS, left * (LATEST - SPREAD * self._spread()))

    @property
    def has_ended(self) -> bool:
        """Whether the token is known to have ended."""
        return self._end is not None and self._clock.monotonic() >= self._end

    def wait_s(self) -> float | None:
        """How many seconds from now a renewal is due; None: never again."""
        if self._due is None or self.has_ended:
            return None
        return max(0.0, self._due - self._clock.monotonic())

    def attempt(self) -> None:
        """Renew, unless another thread does; never raises what the server or the way to it causes."""
        if not self._one.acquire(blocking=False):
            return
        try:
            self._attempt()
        finally:
            self._one.release()

    def _attempt(self) -> None:
        asked_at = self._clock.monotonic()
        try:
            left_ms = self._renew()
        except _IN_VAIN as error:
            _LOG.warning("the access token cannot be renewed (%s), and is used to its end", error.code)
            self._due = None
        except KeysteadError as error:
            _LOG.warning("the access token was not renewed (%s); it is tried again", error.code)
            self._due = self._clock.monotonic() + min(self._pause(), _MOST_SECONDS_AGAIN)
        else:
            former, self._end = self._end, None if left_ms is None else asked_at + left_ms / 1000
            # What came no further has reached the end that no renewal moves.
            moved = self._end is not None and former is not None and self._end > former + _LEAST_SECONDS
            self._due = asked_at + self._pause() if moved else None

    # The thread

    def _start(self) -> None:
        how = (weakref.ref(self), self._stop)
        self.thread = threading.Thread(target=_keep_alive, args=how, name="keystead-renewal", daemon=True)
        self.thread.start()

    def require_here(self) -> None:
        """In a forked child, which has none of its parent's threads: start its own."""
        if self._pid == os.getpid():
            return
        self._pid, self._one, self._stop = os.getpid(), threading.Lock(), threading.Event()
        if self.wait_s() is not None:
            self._start()

    def stop(self) -> None:
        """Renew no more."""
        self._stop.set()


def _keep_alive(held: weakref.ref[Renewal], stop: threading.Event) -> None:
    while not stop.is_set():
        renewal = held()
        wait_s = None if renewal is None else renewal.wait_s()
        if renewal is None or wait_s is None:
            return
        if wait_s <= 0:
            renewal.attempt()
            continue
        del renewal
        stop.wait(min(wait_s, LOOK_SECONDS))

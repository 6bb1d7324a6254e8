"""Letting no fork find another thread inside SQLite or Argon2, which keep locks and counts in the memory of a process.

These are of the whole process, and a process forks as a whole. So this is the one thing that is kept for a process and
not for a node: which stores a fork has to wait for, beside the one derivation that may be under way.
"""

from __future__ import annotations

import os
import threading
from typing import Final, Protocol
from weakref import WeakSet

from keystead.crypto.kdf import TURN


class Held(Protocol):
    """What stands still while the process forks."""

    def hold(self) -> None:
        """Return when no other thread is inside, and keep it so."""

    def let_go(self) -> None:
        """Let others in again."""


class Forks:
    """Holds everything that was added, before every fork of this process, and lets it go in the parent.

    Adding waits while a fork is under way: whatever is new then is used only afterwards.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: WeakSet[Held] = WeakSet()
        self._standing: list[Held] = []
        os.register_at_fork(before=self._before, after_in_parent=self._after, after_in_child=self._in_child)

    def add(self, what: Held) -> None:
        """Hold it during forks, for as long as it exists."""
        with self._lock:
            self._known.add(what)

    def _before(self) -> None:
        self._lock.acquire()
        self._standing = list(self._known)
        for what in self._standing:
            what.hold()
        # Last, since whoever derives inside a store's transaction waits for it with the store in its hands.
        TURN.hold()

    def _after(self) -> None:
        for what in self._standing:
            what.let_go()
        self._in_child()

    def _in_child(self) -> None:
        self._standing = []
        TURN.let_go()
        self._lock.release()


FORKS: Final = Forks()

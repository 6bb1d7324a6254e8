"""Letting no fork find another thread inside SQLite, which keeps locks in the memory of a process."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Protocol
from weakref import ref


class Held(Protocol):
    """What stands still while the process forks."""

    def hold(self) -> None:
        """Return when no other thread is inside, and keep it so."""

    def let_go(self) -> None:
        """Let others in again."""


def hold_during_forks(what: Held) -> None:
    """Hold it before every later fork of this process, for as long as it exists, and let it go in the parent."""
    reference = ref(what)

    def on(do: Callable[[Held], None]) -> Callable[[], None]:
        def call() -> None:
            found = reference()
            if found is not None:
                do(found)

        return call

    os.register_at_fork(before=on(lambda found: found.hold()), after_in_parent=on(lambda found: found.let_go()))

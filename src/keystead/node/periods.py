"""What ends when something changed: whatever sessions keep of keys, secrets and decisions for a period.

The callbacks of a session run at each change. Those of a `lazy` session, of which a server has thousands, run when it
next acts: `catch_up` then also looks whether the session has ended in the store.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keystead.access.session import Session

Callback = Callable[[], None]


class Periods:
    """The callbacks of one node. `number` is another one after every change."""

    def __init__(self) -> None:
        self.number = 0
        self._eager: dict[str, tuple[Callback, ...]] = {}
        self._lazy: dict[str, tuple[Callback, ...]] = {}
        self._caught_up: dict[str, int] = {}
        self._lock = threading.Lock()

    def add_lazy(self, session: Session) -> None:
        """This session's callbacks wait until it acts."""
        self._lazy[session.id] = ()
        self._caught_up[session.id] = self.number

    def is_lazy(self, session_id: str) -> bool:
        """Whether a session is one of these."""
        return session_id in self._lazy

    def on_end(self, session: Session, callback: Callback) -> None:
        """Call back whenever what a session kept may not be used any more, until it is closed."""
        table = self._lazy if session.id in self._lazy else self._eager
        table[session.id] = (*table.get(session.id, ()), callback)
        if session.ended:
            # It may have been closed in between, and nobody would forget this.
            self.forget(session.id)

    def end(self) -> None:
        """Something changed."""
        self.number += 1
        for ends in list(self._eager.values()):
            for end in ends:
                end()

    def is_behind(self, session: Session) -> bool:
        """Whether something changed since a lazy session last acted."""
        return self._caught_up.get(session.id) != self.number

    def catch_up(self, session: Session, see: Callback) -> None:
        """End what a lazy session kept, after `see` has looked what became of the session itself."""
        number = self.number
        see()
        with self._lock:
            for end in self._lazy.get(session.id, ()):
                end()
            if session.id in self._lazy:
                self._caught_up[session.id] = number

    def forget(self, session_id: str) -> None:
        """The session has ended, and keeps nothing any more."""
        for table in (self._eager, self._lazy, self._caught_up):
            table.pop(session_id, None)

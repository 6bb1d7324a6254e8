"""Answers that leave together, once the audit records of all of them are written.

What the event loop answers within one turn is recorded by one write, and, where the setting asks for it, one flush of
the disk. A group whose records cannot be written leaves as refusals: no answer leaves without its record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from keystead.errors import AuditUnavailable
from keystead.node.recorder import Recorder
from keystead.server.flushing import Flusher

GATHER_SECONDS: Final = 0.002
Send = Callable[[AuditUnavailable | None], None]


class Group:
    """The group of one event loop. `waits`: whether the disk is waited for, by `flusher`."""

    def __init__(self, recorder: Recorder, loop: asyncio.AbstractEventLoop, flusher: Flusher, *, waits: bool) -> None:
        self._recorder = recorder
        self._loop = loop
        self._flusher = flusher
        self._waits = waits
        self._sends: list[Send] = []
        self._open = False
        self._flushing = False
        self._behind: list[Send] = []
        self._position = 0

    def begin(self) -> None:
        """From here on this thread's records belong to the group of this turn."""
        if not self._open:
            self._open = True
            self._recorder.hold()
            self._loop.call_soon(self._leave)

    def add(self, send: Send) -> None:
        """An answer of this group; `send` is told whether it must not leave."""
        self._sends.append(send)

    def _leave(self) -> None:
        sends, self._sends, self._open = self._sends, [], False
        error: AuditUnavailable | None = None
        position = 0
        try:
            position = self._recorder.release()
        except AuditUnavailable as found:
            error = found
        if not position or not self._waits or error is not None:
            self._send(sends, error)
            return
        self._behind += sends
        self._position = position
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._gather, len(self._behind), self._loop.time() + GATHER_SECONDS)

    def _gather(self, count: int, until: float) -> None:
        """Wait while each turn brings more, for a moment at most: the disk takes as long for many as for one."""
        if len(self._behind) > count and self._loop.time() < until:
            self._loop.call_soon(self._gather, len(self._behind), until)
        else:
            self._flush()

    def _flush(self) -> None:
        """Wait for the disk in a thread; what is written meanwhile waits for the next time."""
        sends, self._behind = self._behind, []
        self._flusher.flush(self._position, self._loop, partial(self._flushed, sends))

    def _flushed(self, sends: list[Send], error: BaseException | None) -> None:
        # The next flush is under way before these answers are sent.
        if self._behind:
            self._loop.call_soon(self._gather, len(self._behind), self._loop.time() + GATHER_SECONDS)
        else:
            self._flushing = False
        self._send(sends, error)

    def _send(self, sends: list[Send], error: BaseException | None) -> None:
        if error is not None and not isinstance(error, AuditUnavailable):
            error = AuditUnavailable("the audit log could not be written")
        for send in sends:
            try:
                send(error)
            except Exception as found:  # the connections behind it get their answers
                self._loop.call_exception_handler({"message": "an answer could not be sent", "exception": found})

"""Answers that leave together: one that cannot leave keeps none of the others."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from keystead.errors import AuditUnavailable
from keystead.node.recorder import Recorder
from keystead.server.flushing import Flusher
from keystead.server.group import Group


class Records:
    """A recorder, as far as a group asks it: what was written, and the error of its disk, if it has one."""

    def __init__(self, error: AuditUnavailable | None = None) -> None:
        self.error = error

    def hold(self) -> None: ...

    def release(self) -> int:
        if self.error is not None:
            raise self.error
        return 1


@pytest.mark.parametrize("waits", [False, True], ids=["written", "flushed"])
@pytest.mark.parametrize("full", [False, True], ids=["as it should be", "disk full"])
def test_an_answer_that_cannot_be_sent_keeps_none_of_its_group(waits: bool, full: bool) -> None:
    error = AuditUnavailable("full") if full else None
    flusher = Flusher(lambda position: None)

    async def leave() -> tuple[list[Any], list[Any]]:
        loop, found = asyncio.get_running_loop(), []
        sent: asyncio.Queue[Any] = asyncio.Queue()
        loop.set_exception_handler(lambda _, context: found.append(context["exception"]))
        group = Group(cast(Recorder, Records(error)), loop, flusher, waits=waits)

        def fail(error: AuditUnavailable | None) -> None:
            raise ValueError("this connection is broken")

        group.begin()
        for send in (sent.put_nowait, fail, sent.put_nowait):
            group.add(send)
        return [await asyncio.wait_for(sent.get(), 10) for _ in range(2)], found

    try:
        told, found = asyncio.run(leave())
    finally:
        flusher.close()
    assert told == [error, error]
    assert [type(each) for each in found] == [ValueError]

"""The thread that waits for the disk tells what became of each wait, whatever that was."""

from __future__ import annotations

import asyncio
import threading

import pytest

from keystead.errors import AuditUnavailable
from keystead.server.flushing import Flusher


@pytest.mark.parametrize(
    "error", [AuditUnavailable("full"), MemoryError(), SystemExit(1)], ids=lambda e: type(e).__name__
)
def test_what_prevented_a_flush_is_told_and_the_next_one_is_done(error: BaseException) -> None:
    def wait(position: int) -> None:
        if position == 1:
            raise error

    async def flushed() -> list[BaseException | None]:
        loop, told = asyncio.get_running_loop(), asyncio.Queue[BaseException | None]()
        for position in (1, 2):
            flusher.flush(position, loop, told.put_nowait)
        return [await told.get() for _ in range(2)]

    flusher = Flusher(wait)
    try:
        assert asyncio.run(flushed()) == [error, None]
    finally:
        flusher.close()


def test_a_loop_that_ends_during_a_flush_hears_nothing_and_what_was_asked_for_is_done() -> None:
    ended, done = threading.Event(), []

    def wait(position: int) -> None:
        assert ended.wait(10)
        done.append(position)

    async def flush() -> None:
        for position in (1, 2):
            flusher.flush(position, asyncio.get_running_loop(), lambda _: done.append(0))

    flusher = Flusher(wait)
    asyncio.run(flush())
    ended.set()
    flusher.close()
    assert done == [1, 2]

"""Answers that are files: sent part by part, as fast as who asked takes them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from keystead.server.answers import Answer, head

if TYPE_CHECKING:
    from keystead.server.protocol import ApiProtocol

PART: Final = 256 * 1024


async def send_file(to: ApiProtocol, answer: Answer, request_id: str, *, keep_alive: bool) -> None:
    """Send an answer's file and close it. Its length is told before, so that nobody takes a part for the whole.

    Who does not take a part within the time for a body, or whose file cannot be read, is cut off.
    """
    transport, file = to.transport, answer.file
    if file is None:
        raise ValueError("the answer is no file")
    with file:
        try:
            left = answer.length
            if not transport.is_closing():
                transport.write(head(answer, request_id, keep_alive=keep_alive))
            while left and not transport.is_closing():
                part = await to.loop.run_in_executor(to.worker.threads, file.read, min(PART, left))
                if not part:
                    break
                left -= len(part)
                transport.write(part)
                async with asyncio.timeout(to.limits.body_timeout_ms / 1000):
                    await to.flow.drain()
        except (OSError, TimeoutError):
            left = -1
        if left:
            transport.abort()

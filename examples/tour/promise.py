"""What a step says: that a promise holds, or that it does not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Broken(Exception):
    """A promise that did not hold."""


def hold(promise: str, held: object) -> None:
    """Go on if a promise holds.

    Raises:
        Broken: it does not; the text is the promise.
    """
    if not held:
        raise Broken(promise)


@contextmanager
def refused(promise: str, error: type[Exception]) -> Iterator[None]:
    """Go on if the block raises this error.

    Raises:
        Broken: it raised none; the text is the promise.
    """
    try:
        yield
    except error:
        return
    raise Broken(promise)

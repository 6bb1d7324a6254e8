"""What a refused caller is told of a key that was asked for by an alias."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from keystead.errors import KeyNotFound


@contextmanager
def as_asked(asked: str, name: str) -> Iterator[None]:
    """A refusal tells of the name that was asked for, and not which key an alias stands for.

    Raises:
        KeyNotFound: as the block raised it, retold where the caller may not see the key.
    """
    try:
        yield
    except KeyNotFound as error:
        if error.refused and asked != name:
            # Not another error: it would hold this one, which names the key.
            error.message = f"no key {asked!r} in this store"
            error.args = (error.message,)
        raise

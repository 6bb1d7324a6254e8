"""What a row must be made of: SQLite keeps any type in any column, and whoever can write the file may use that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keystead.errors import IntegrityError

NOTHING = type(None)


def typed(row: Sequence[Any], kinds: str, what: str) -> Sequence[Any]:
    """The row, if each value is of its kind: `i` whole number, `t` text, `b` bytes; a capital letter allows NULL too.

    Raises:
        IntegrityError: it is not; `what` names the row in the message.
    """
    for value, kind in zip(row, kinds, strict=True):
        if type(value) not in _KINDS[kind]:
            raise damaged(what)
    return row


def damaged(what: str) -> IntegrityError:
    """The error for a row that keystead did not write."""
    return IntegrityError(f"{what} is not what keystead wrote", hint="restore a backup elsewhere and compare")


_KINDS = {
    "i": (int,),
    "I": (int, NOTHING),
    "t": (str,),
    "T": (str, NOTHING),
    "b": (bytes,),
    "B": (bytes, NOTHING),
}

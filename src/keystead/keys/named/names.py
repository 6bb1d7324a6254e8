"""Names of named keys and of their aliases."""

from __future__ import annotations

import re
from typing import Final

from keystead.errors import UsageError

MAX_NAME_LENGTH: Final = 256
_SEGMENT: Final = r"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9_+=.@-]+"
_NAME: Final = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")


def check_key_name(name: str) -> str:
    """The name itself, if it is one: 1 to 256 of `A-Z a-z 0-9 / _ + = . @ -`, no empty, `.` or `..` segment.

    Raises:
        UsageError: it is not; the message does not repeat it, since material may have been given by mistake.
    """
    if isinstance(name, str) and len(name) <= MAX_NAME_LENGTH and _NAME.fullmatch(name):
        return name
    raise UsageError(
        "not the name of a key",
        hint=f"use 1 to {MAX_NAME_LENGTH} of the characters A-Z a-z 0-9 / _ + = . @ -, no empty, . or .. segment",
    )


def check_key_version(version: int) -> int:
    """The number itself, if versions are numbered so: an int from 1 to 2^31 - 1.

    Raises:
        UsageError: it is not.
    """
    if isinstance(version, bool) or not isinstance(version, int) or not 1 <= version < 2**31:
        raise UsageError("not a version of a key", hint="versions are whole numbers from 1")
    return version

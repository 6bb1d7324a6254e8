"""`secret://name#version`: a setting whose value names a secret in place of holding it."""

from __future__ import annotations

import contextlib

from keystead.errors import UsageError
from keystead.secrets.names import parse_reference

PREFIX = "secret://"


def is_reference(text: str) -> bool:
    """Whether a setting's whole text is meant as a reference."""
    return text.startswith(PREFIX)


def referred(text: str) -> str:
    """The name to ask for (`NAME`, `NAME#3`, `NAME#previous`) by a reference.

    Raises:
        UsageError: behind `secret://` stands no secret name, version or label.
    """
    if is_reference(text):
        with contextlib.suppress(UsageError):
            return str(parse_reference(text[len(PREFIX) :]))
    # the error of the parser may quote what was written, and a setting's text is never repeated
    raise UsageError(
        "not a reference to a secret", hint="write secret://NAME, secret://NAME#3 or secret://NAME#previous"
    )

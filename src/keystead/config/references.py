"""`secret://name#version`: a setting whose value names a secret in place of holding it."""

from __future__ import annotations

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
    if not is_reference(text):
        raise UsageError("not a reference", hint="write secret://NAME, secret://NAME#3 or secret://NAME#previous")
    return str(parse_reference(text[len(PREFIX) :]))

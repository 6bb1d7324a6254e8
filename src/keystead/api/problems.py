"""Errors as problem documents (RFC 9457), and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from keystead import errors
from keystead.errors import KeysteadError, OperatorError

TYPE: Final = "urn:keystead:problem:"
_MEMBERS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "KS1204": ("retry_after_s",),
        "KS1301": ("expected", "current"),
        "KS1501": ("problems",),
        "KS2001": ("field",),
        "KS2005": ("where",),
        "KS3005": ("operation_id",),
    }
)
"""What an error tells besides its texts."""


def _leaves(kind: type[KeysteadError]) -> Iterator[type[KeysteadError]]:
    for below in kind.__subclasses__():
        if below.code != kind.code:
            yield below
        yield from _leaves(below)


KINDS: Final[Mapping[str, type[KeysteadError]]] = MappingProxyType(
    {kind.code: kind for kind in _leaves(KeysteadError) if kind.__module__ == errors.__name__}
)
"""Every error by its code."""


def problem(error: KeysteadError) -> dict[str, Any]:
    """The members of a problem document that the error itself knows.

    What only whoever runs the server can mend is told by its kind: paths of that machine are not for its callers.
    """
    told = not isinstance(error, OperatorError)
    title = (type(error).__doc__ or "").partition("\n")[0]
    found: dict[str, Any] = {
        "type": f"{TYPE}{error.code}",
        "title": title,
        "detail": error.message if told else title,
        "code": error.code,
    }
    if error.why and told:
        found["why"] = error.why
    hint = error.hint if told else "try again later, or ask whoever runs the server"
    if hint:
        found["hint"] = hint
    for name in _MEMBERS.get(error.code, ()):
        found[name] = getattr(error, name)
    return found


def read_problem(document: Any) -> KeysteadError:
    """The error that a problem document tells of.

    Raises:
        ValueError: it is none of keystead's.
    """
    kind = KINDS.get(document.get("code", "")) if isinstance(document, Mapping) else None
    if kind is None:
        raise ValueError("not a problem that is known here")
    error = kind.__new__(kind)
    why, hint = document.get("why", ""), document.get("hint", "")
    KeysteadError.__init__(error, str(document.get("detail", "")), why=str(why), hint=str(hint))
    for name in _MEMBERS.get(error.code, ()):
        setattr(error, name, document.get(name))
    return error

"""The type in which a secret's value leaves keystead."""

from __future__ import annotations

import hmac
import sys
import warnings
from typing import Any, NoReturn

from keystead.errors import UsageError


class SecretValueWarning(UserWarning):
    """A secret value was turned into text; the text is a placeholder and not the value."""


class SecretValue:
    """A secret's value, text or bytes, that prints nothing of itself until `reveal()` is called.

    `==` with a SecretValue, text or bytes takes the same time wherever the two differ; text never equals bytes. It has
    no hash and refuses pickle, copy and JSON. `str()` and `format()` give the placeholder and warn once a call site.

    `name` is the secret's name ("" where there is none), `version` its number (0 where there is none).

    Raises:
        UsageError: `value` is neither text nor bytes.
    """

    __slots__ = ("_name", "_value", "_version")

    def __init__(self, value: str | bytes, *, name: str = "", version: int = 0) -> None:
        if not isinstance(value, (str, bytes)):
            raise UsageError(
                f"a secret value is text or bytes, not {type(value).__name__}",
                hint="encode it first, for example as JSON",
            )
        self._value = value
        self._name = name
        self._version = version

    @property
    def name(self) -> str:
        """The secret's name, or ""."""
        return self._name

    @property
    def version(self) -> int:
        """The number of the version that this value belongs to, or 0."""
        return self._version

    def reveal(self) -> str | bytes:
        """The value itself: text where text was stored, bytes where bytes were."""
        return self._value

    get_secret_value = reveal

    def __repr__(self) -> str:
        name = f" {self._name}" if self._name else ""
        version = f"#{self._version}" if self._version else ""
        return f"<secret{name}{version}: use .reveal()>"

    def __str__(self) -> str:
        _warn_of_text()
        return repr(self)

    def __format__(self, spec: str) -> str:
        _warn_of_text()
        return format(repr(self), spec)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, SecretValue):
            other = other._value
        mine = self._value
        if isinstance(mine, str):
            return _same_text(mine, other) if isinstance(other, str) else _unlike(other)
        return hmac.compare_digest(mine, other) if isinstance(other, bytes) else _unlike(other)

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        return bool(self._value)

    def __len__(self) -> int:
        return len(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret value is not pickled or copied; call .reveal() where the value itself is meant")

    def __getstate__(self) -> NoReturn:
        self.__reduce__()

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> Any:
        """The pydantic core schema "an instance of this class"; pydantic calls it for a model's field of the class."""
        from pydantic_core import core_schema  # noqa: PLC0415 -- only pydantic calls this, so it is there

        return core_schema.is_instance_schema(cls)


def _same_text(left: str, right: str) -> bool:
    # compare_digest takes only ASCII text; surrogatepass lets every text through
    return hmac.compare_digest(left.encode("utf-8", "surrogatepass"), right.encode("utf-8", "surrogatepass"))


def _unlike(other: object) -> bool:
    return False if isinstance(other, (str, bytes)) else NotImplemented


def _warn_of_text() -> None:
    # a log call formats its arguments inside the logging package, which is not the line that a person must mend
    frame, level = sys._getframe(2), 3
    while frame.f_back is not None and frame.f_globals.get("__name__") == "logging":
        frame, level = frame.f_back, level + 1
    warnings.warn(
        "a SecretValue was turned into text, which gives a placeholder; call .reveal() where the value is meant",
        SecretValueWarning,
        stacklevel=level,
    )

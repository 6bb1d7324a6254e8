"""What a schema is written with, beside the types: where a field comes from, who may see it, secret text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn, cast

from keystead.errors import UsageError
from keystead.secrets.names import parse_reference
from keystead.secrets.value import SecretValue

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Public:
    """Marks a field that `get_public()` may show: `name: Annotated[str, Public]`."""

    def __init__(self) -> NoReturn:
        raise UsageError("Public is a mark and has no instances", hint="write Annotated[str, Public]")


@dataclass(frozen=True, slots=True)
class From:
    """Says where a field comes from: `password: Annotated[SecretStr, From("db/password")]`.

    `secret` is a secret's name, with a version or label if wanted (`db/password#previous`); `env` the environment
    variable. What is not given is the field's name in upper case.

    Raises:
        UsageError: not a secret name, or not the name of an environment variable.
    """

    secret: str | None = None
    env: str | None = None

    def __post_init__(self) -> None:
        if self.secret is not None:
            parse_reference(self.secret)
        if self.env is not None and not _VARIABLE.fullmatch(self.env):
            raise UsageError("not the name of an environment variable", hint="use letters, digits and _")


class SecretStr(SecretValue):
    """A secret that is text: all that SecretValue is, and `reveal()` gives a str.

    Raises:
        UsageError: the value is not text.
    """

    __slots__ = ()

    def __init__(self, value: str, *, name: str = "", version: int = 0) -> None:
        if not isinstance(value, str):
            raise UsageError(f"a SecretStr is text, not {type(value).__name__}", hint="declare it SecretValue")
        super().__init__(value, name=name, version=version)

    def reveal(self) -> str:
        """The text itself."""
        return cast("str", super().reveal())

    get_secret_value = reveal

"""URLs: plain ones, which may be printed, and those that hold a credential."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from keystead.config.declare import SecretStr
from keystead.config.hooks import instance_schema
from keystead.config.masking import Parts, carries_credential, mask_uri, split_uri
from keystead.errors import UsageError

_FORM = "write scheme://host:port/path, and percent-encode what is special (@ as %40, / as %2F, # as %23)"


def _parts(text: str) -> Parts:
    parts = split_uri(text)
    if parts is None:
        raise UsageError("not a URL", hint=_FORM)
    return parts


class URL(str):
    """A URL that holds no credential, so that it can be printed: a str with `scheme`, `hosts`, `host`, `port`.

    Raises:
        UsageError: the text is no URL with `://`, or its user information or a parameter may be a credential.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        if carries_credential(_parts(text)):
            raise UsageError("the URL carries a credential", hint="declare the field SecretURL")
        return super().__new__(cls, text)

    @property
    def scheme(self) -> str:
        """What stands before `://`."""
        return _parts(self).scheme

    @property
    def hosts(self) -> tuple[tuple[str, int | None], ...]:
        """Each host with its port; None where no port is given."""
        return _parts(self).hosts

    @property
    def host(self) -> str:
        """The first host, "" where there is none."""
        return self.hosts[0][0] if self.hosts else ""

    @property
    def port(self) -> int | None:
        """The first host's port, None where none is given."""
        return self.hosts[0][1] if self.hosts else None

    __get_pydantic_core_schema__: ClassVar[Any] = classmethod(instance_schema)


class SecretURL(SecretStr):
    """A URL with credentials: scheme, hosts and ports are readable, `str` and `repr` show the rest masked.

    Raises:
        UsageError: the value is not text, or no URL with `://` beyond doubt.
    """

    __slots__ = ()

    def __init__(self, value: str, *, name: str = "", version: int = 0) -> None:
        super().__init__(value, name=name, version=version)
        _parts(value)

    @property
    def scheme(self) -> str:
        """What stands before `://`."""
        return _parts(self.reveal()).scheme

    @property
    def hosts(self) -> tuple[tuple[str, int | None], ...]:
        """Each host with its port; None where no port is given."""
        return _parts(self.reveal()).hosts

    @property
    def host(self) -> str:
        """The first host, "" where there is none."""
        return self.hosts[0][0] if self.hosts else ""

    @property
    def port(self) -> int | None:
        """The first host's port, None where none is given."""
        return self.hosts[0][1] if self.hosts else None

    def masked(self) -> str:
        """The URL with every credential as `***`."""
        return mask_uri(self.reveal())

    def __str__(self) -> str:
        return self.masked()

    def __format__(self, spec: str) -> str:
        return format(self.masked(), spec)

    def __repr__(self) -> str:
        name = f" {self.name}" if self.name else ""
        version = f"#{self.version}" if self.version else ""
        return f"<secret{name}{version}: {self.masked()}>"

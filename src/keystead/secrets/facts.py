"""What a policy may ask about a secret beside its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from keystead.secrets.model import Binder, tags_of
from keystead.secrets.ports import SecretRows

_TAGS = "tags"


class SecretFacts(Mapping[str, Mapping[str, str]]):
    """The tags of a secret, looked up where a policy asks for them; a secret that is not there has none."""

    __slots__ = ("_binder", "_name", "_rows")

    def __init__(self, name: str, rows: Callable[[], SecretRows], binder: Callable[[], Binder]) -> None:
        self._name = name
        self._rows = rows
        self._binder = binder

    def __getitem__(self, fact: str) -> Mapping[str, str]:
        if fact != _TAGS:
            raise KeyError(fact)
        head = self._rows().head(self._name)
        return {} if head is None else tags_of(self._binder().check(head))

    def __iter__(self) -> Iterator[str]:
        return iter((_TAGS,))

    def __len__(self) -> int:
        return 1

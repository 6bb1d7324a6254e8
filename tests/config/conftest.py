"""A source of secrets that answers the protocol which configuration asks, and notes what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from keystead.errors import KeysteadError, SecretNotFound
from keystead.secrets.value import SecretValue


class Secrets:
    def __init__(self, values: Mapping[str, str | bytes | KeysteadError]) -> None:
        self.values = dict(values)
        self.calls: list[list[str]] = []

    def get_secrets(self, names: Sequence[str], *, missing: str = "raise") -> dict[str, SecretValue]:
        self.calls.append(list(names))
        found = {}
        for name in names:
            value = self.values.get(name)
            if isinstance(value, KeysteadError):
                raise value
            if value is not None:
                found[name] = SecretValue(value, name=name.partition("#")[0], version=3)
            elif missing == "raise":
                raise SecretNotFound(f"no secret {name}")
        return found


@pytest.fixture
def secrets() -> Callable[..., Secrets]:
    def make(values: Mapping[str, str | bytes | KeysteadError] | None = None, **more: str) -> Secrets:
        return Secrets({**(values or {}), **more})

    return make

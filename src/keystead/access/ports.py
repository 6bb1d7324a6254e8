"""What the access room needs from storage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol


class PolicyRow(NamedTuple):
    """A policy as the store keeps it: `document` is its text, `mac` binds all else to the store."""

    name: str
    document: str
    created_ms: int
    updated_ms: int
    version: int
    mac: bytes


class PolicyRows(Protocol):
    """The policies of a store, on one connection."""

    def get(self, name: str) -> PolicyRow | None:
        """One policy; None where there is none of this name."""

    def named(self, names: Iterable[str]) -> Sequence[PolicyRow]:
        """Those of these policies that are there."""

    def page(self, limit: int, after: str) -> Sequence[PolicyRow]:
        """Policies in the order of their names, from behind `after`."""

    def put(self, row: PolicyRow) -> None:
        """Add a policy, or put it in the place of the one of its name."""

    def delete(self, name: str) -> None:
        """Remove a policy."""

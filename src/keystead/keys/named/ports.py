"""What named keys need from the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from keystead.keys.named.model import KeyHead, KeyVersionRow


class AliasRow(NamedTuple):
    """An alias, the id of the key that it stands for, and what binds the two."""

    alias: str
    key_id: str
    mac: bytes


class NamedKeyRows(Protocol):
    """The named-key rows of one connection or transaction."""

    def head(self, name: str) -> KeyHead | None:
        """The head of a key by its name."""

    def by_id(self, key_id: str) -> KeyHead | None:
        """The head of a key by its id."""

    def page(self, prefix: str, limit: int, after: str | None) -> Sequence[KeyHead]:
        """Heads in the order of their names, behind one."""

    def put(self, head: KeyHead) -> None:
        """Add a head, or replace the one of this name, and raise the keys generation."""

    def due(self, now_ms: int) -> Sequence[str]:
        """The names of keys whose rotation or destruction is due, whatever else their rows are made of."""

    def versions(self, key_id: str) -> Sequence[KeyVersionRow]:
        """Every version of a key, oldest first."""

    def add_version(self, key_id: str, row: KeyVersionRow) -> None:
        """Add a version."""

    def rewrap(self, key_id: str, row: KeyVersionRow) -> None:
        """Replace a version's material, encrypted under another data key."""

    def destroy_versions(self, key_id: str, below: int | None, now_ms: int) -> int:
        """Overwrite the material of every version, or of those below a number; how many there were."""

    def owner(self, reference: bytes) -> tuple[str, int] | None:
        """The id and version of the key that a ciphertext's reference is of."""

    def alias(self, alias: str) -> AliasRow | None:
        """An alias."""

    def aliases(self, key_id: str) -> Sequence[str]:
        """The aliases of a key, sorted."""

    def put_alias(self, row: AliasRow) -> None:
        """Add an alias, or let it stand for another key."""

    def remove_alias(self, alias: str) -> None:
        """Remove an alias."""

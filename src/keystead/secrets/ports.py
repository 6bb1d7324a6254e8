"""What the secrets room needs from the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from keystead.secrets.model import Head, VersionRow


class Filter(NamedTuple):
    """Which secrets a listing is of. `expired` and `tags` are applied to what is stored in the clear."""

    prefix: str = ""
    tags: Mapping[str, str] = {}
    expired: bool | None = None
    deleted: bool = False


class SecretRows(Protocol):
    """The secret rows of one connection or transaction."""

    def head(self, name: str) -> Head | None:
        """The head of a secret."""

    def current(self, name: str) -> tuple[Head, VersionRow | None] | None:
        """The head and the current version, of one snapshot."""

    def currents(self, names: Sequence[str]) -> list[tuple[Head, VersionRow | None]]:
        """The same for several names, in one query; names that are not there are left out."""

    def version(self, name: str, version: int) -> VersionRow | None:
        """One version."""

    def versions(self, name: str, after: int = 0, limit: int | None = None) -> list[VersionRow]:
        """The versions of a secret behind a number, oldest first; all of them without a limit."""

    def put(self, head: Head, *, retag: bool = False) -> None:
        """Insert or replace a head; with `retag` its tags are others than before, and their index is made anew."""

    def add_version(self, name: str, row: VersionRow) -> None:
        """Add a version."""

    def destroy_version(self, name: str, version: int, now_ms: int) -> None:
        """Overwrite the ciphertext of a version."""

    def page(self, chosen: Filter, now_ms: int, limit: int, after: str | None) -> list[tuple[Head, bool]]:
        """Up to `limit` heads in the order of names, from behind the name `after`; and whether the value is gone."""

    def newly_expired(self, now_ms: int, limit: int) -> list[str]:
        """Names whose current version expired and was not recorded as such."""

    def destroyable(self, before_ms: int, limit: int) -> list[tuple[str, int]]:
        """Versions that expired before a time and still have a ciphertext; a current one, if that was recorded then."""

    def under_key(self, reference: bytes) -> Iterable[tuple[str, int]]:
        """Names and versions whose ciphertext is under a data key."""

    def counts(self, now_ms: int) -> tuple[int, int]:
        """How many secrets there are that were not deleted, and how many of them have expired."""

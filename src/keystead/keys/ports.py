"""What the keys room needs from the store and from the seal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from keystead.keys.model import DataKeyRecord


class DataKeyRows(Protocol):
    """The data-key rows of one connection or transaction."""

    def all(self) -> Sequence[DataKeyRecord]:
        """Every data key, oldest first."""

    def get(self, key_id: str) -> DataKeyRecord | None:
        """One data key."""

    def insert(self, record: DataKeyRecord) -> None:
        """Add a data key and raise the keys generation."""

    def update(self, record: DataKeyRecord) -> None:
        """Replace state, dates, wrapping and count of a data key and raise the keys generation."""

    def save_count(self, record: DataKeyRecord) -> None:
        """Replace only the count of a data key."""


class NamedUnder(Protocol):
    """The named-key versions that are encrypted under a data key."""

    def under_key(self, reference: bytes) -> Sequence[tuple[str, str, int]]:
        """Id, name and version of each that has its material."""

    def destroy_under(self, reference: bytes, now_ms: int) -> int:
        """Overwrite their material; how many there were."""


class RootAccess(Protocol):
    """What unwraps data keys while the store is unsealed."""

    @property
    def store_id(self) -> bytes:
        """The store's 16-byte id."""

    def wrapping_key(self) -> bytearray:
        """The key that wraps data keys; Sealed where the root key is not in memory."""

    def integrity_key(self) -> bytearray:
        """The key of the MACs over what the store keeps in the clear."""


class ShredKeys(Protocol):
    """The keys that open the data keys in this store's shreddable backups, and are destroyed with them."""

    @property
    def path(self) -> str:
        """The absolute path of the folder they lie in."""

    def destroy(self, reference: bytes) -> None:
        """Destroy the shred key of a data key, durably; nothing where there is none. FileUnavailable where it stays."""


class Reserve(Protocol):
    """Reserves messages of a data key in the store."""

    def __call__(self, key_id: str, wanted: int) -> int:
        """How many were reserved, durably; 0 where the key is used up."""

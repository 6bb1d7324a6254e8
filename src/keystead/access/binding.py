"""How rows of identities are bound to one store, and how what somebody shows is kept: only as keyed hashes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, TypeVar

from keystead.access.accounts import UserRecord
from keystead.crypto.aad import bind
from keystead.crypto.mac import MacKey, same
from keystead.crypto.material import random_bytes
from keystead.errors import IntegrityError


class BoundRow(Protocol):
    """A row whose last field is its MAC; `bound_as` is what kind of row it is."""

    @property
    def bound_as(self) -> str:
        """What kind of row it is."""

    @property
    def mac(self) -> bytes:
        """What binds all other fields to the store."""

    def __iter__(self) -> Iterator[Any]: ...
    def _replace(self, *, mac: bytes = ...) -> Any: ...


class CountedRow(BoundRow, Protocol):
    """A row that has an epoch too."""

    @property
    def epoch(self) -> int:
        """How often it was changed."""


R = TypeVar("R", bound=BoundRow)
C = TypeVar("C", bound=CountedRow)


class IdentityBinder:
    """Hashes credentials and binds rows, by two keys that the database does not hold."""

    def __init__(self, store_id: bytes, hash_key: bytes, mac_key: bytes) -> None:
        self._store = store_id
        self._hash = MacKey(hash_key)
        self._mac = MacKey(mac_key)

    def hashed(self, purpose: str, *parts: bytes | str) -> bytes:
        """What is kept of a credential: a keyed hash, which the database alone does not allow to probe."""
        return self._hash.mac(bind(purpose, self._store, *parts))

    def factor_aad(self, name: str, made_ms: int) -> bytes:
        """What the encrypted secret of a user's second factor is bound to."""
        return bind("second-factor", self._store, name, made_ms)

    def sealed(self, row: C, **changes: Any) -> C:
        """The row with changes, its epoch raised and its MAC made anew."""
        replace: Any = row._replace
        changed: C = replace(epoch=row.epoch + 1, **changes)
        return self.bound(changed)

    def bound(self, row: R) -> R:
        """The row with its MAC."""
        bound: R = row._replace(mac=self._row_mac(row))
        return bound

    def is_authentic(self, row: BoundRow) -> bool:
        """Whether keystead wrote the row for this store."""
        try:
            return same(self._row_mac(row), row.mac)
        except (TypeError, AttributeError):  # columns of other types than keystead writes
            return False

    def check(self, row: R, what: str) -> R:
        """The row, if keystead wrote it for this store; `what` names it.

        Raises:
            IntegrityError: it was edited, swapped, copied or damaged.
        """
        if not self.is_authentic(row):
            raise IntegrityError(
                f"the record of {what} is not what keystead wrote",
                hint="remove it and make it anew; the log tells who made and changed it",
            )
        return row

    def _row_mac(self, row: BoundRow) -> bytes:
        fields = row.bound_fields if isinstance(row, UserRecord) else tuple(row)[:-1]
        return self._mac.mac(bind(row.bound_as, self._store, *fields))


def new_accessor() -> str:
    """What names a token or a secret id without being one: `acc_` and 32 hex digits."""
    return f"acc_{random_bytes(16).hex()}"

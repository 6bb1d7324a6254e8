"""The root key of an open node and what is derived of it; gone after `seal`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keystead.crypto.aad import bind
from keystead.crypto.mac import same
from keystead.crypto.material import KeyMaterial
from keystead.crypto.wrapping import unwrap_key, wrap_key
from keystead.errors import DecryptionError, IntegrityError, Sealed
from keystead.seal.root import (
    audit_mac_key,
    audit_signing_seed,
    head_mac_key,
    identity_hash_key,
    identity_mac_key,
    root_check,
    wrapping_key,
)

if TYPE_CHECKING:
    from keystead.access.binding import IdentityBinder


def wrap_integrity_key(root: KeyMaterial, integrity: KeyMaterial, store_id: bytes) -> bytes:
    """The store's integrity key, wrapped under its root key."""
    return wrap_key(wrapping_key(root).view(), integrity, bind("integrity-key", store_id))


def wrap_audit_key(root: KeyMaterial, audit: KeyMaterial, store_id: bytes) -> bytes:
    """The key of the store's audit log, wrapped under its root key."""
    return wrap_key(wrapping_key(root).view(), audit, bind("audit-key", store_id))


class RootHolder:
    """Holds the root key and the integrity key while the node is unsealed."""

    def __init__(self) -> None:
        self._store_id: bytes | None = None
        self._root: KeyMaterial | None = None
        self._wrapping: KeyMaterial | None = None
        self._integrity: KeyMaterial | None = None
        self._heads: KeyMaterial | None = None
        self._audit: KeyMaterial | None = None
        self.outdated = False

    def unseal(self, store_id: bytes, root: KeyMaterial, integrity_wrapped: bytes, audit_wrapped: bytes) -> None:
        """Hold this root key.

        Raises:
            IntegrityError: the integrity key or the audit key does not open under it.
        """
        wrapping = wrapping_key(root)
        try:
            integrity = unwrap_key(wrapping.view(), integrity_wrapped, bind("integrity-key", store_id))
            audit = unwrap_key(wrapping.view(), audit_wrapped, bind("audit-key", store_id))
        except DecryptionError:
            raise IntegrityError("a key in the store row is damaged", hint="restore a backup elsewhere") from None
        self.seal()
        self._store_id, self._root, self._wrapping, self._integrity = store_id, root, wrapping, integrity
        self._heads, self._audit = head_mac_key(integrity), audit

    def adopt(self, root: KeyMaterial) -> None:
        """Hold a new root key of the same store; what it wraps stays as it is."""
        former = (self._root, self._wrapping)
        self._root, self._wrapping, self.outdated = root, wrapping_key(root), False
        for material in former:
            if material is not None:
                material.forget()

    def require(self, check: bytes) -> None:
        """Return if the root key held here is the one that a store keeps this check value of.

        Raises:
            Sealed: it is another, or none is held.
        """
        if not same(root_check(self.root()), check):
            raise replaced()

    def keep_if(self, check: bytes) -> bool:
        """Forget the root key if it is not the one of this check value; whether one is held afterwards.

        What was unwrapped before can go on being used.
        """
        if self._root is not None and same(root_check(self._root), check):
            return True
        former = (self._root, self._wrapping)
        self._root, self._wrapping, self.outdated = None, None, True
        for material in former:
            if material is not None:
                material.forget()
        return False

    def seal(self) -> None:
        """Overwrite the keys."""
        for material in (self._root, self._wrapping, self._integrity, self._heads, self._audit):
            if material is not None:
                material.forget()
        self._root = self._wrapping = self._integrity = self._heads = self._audit = None

    @property
    def sealed(self) -> bool:
        """Whether no key is in memory."""
        return self._integrity is None

    @property
    def store_id(self) -> bytes:
        """The store's 16-byte id."""
        if self._store_id is None:
            raise _sealed()
        return self._store_id

    def root(self) -> KeyMaterial:
        """The root key; Sealed where it is not in memory."""
        if self._root is None:
            raise replaced() if self.outdated else _sealed()
        return self._root

    def identity_binder(self) -> IdentityBinder:
        """What binds rows of identities, grants and request keys to this store; Sealed where no key is in memory.

        Made anew each time, so that nothing of it is left once the store is sealed: a row costs far more than this.
        """
        from keystead.access.binding import IdentityBinder  # noqa: PLC0415 - most stores have no such rows

        integrity = self.integrity()
        return IdentityBinder(self.store_id, identity_hash_key(integrity), identity_mac_key(integrity))

    def integrity(self) -> KeyMaterial:
        """The integrity key; Sealed where it is not in memory."""
        if self._integrity is None:
            raise _sealed()
        return self._integrity

    def wrapping_key(self) -> bytearray:
        """The key that wraps data keys."""
        if self._wrapping is None:
            raise replaced() if self.outdated else _sealed()
        return self._wrapping.view()

    def integrity_key(self) -> bytearray:
        """The key of the MACs over what the store keeps in the clear."""
        if self._heads is None:
            raise _sealed()
        return self._heads.view()

    def audit_keys(self) -> tuple[bytes, bytes]:
        """The MAC key and the signing seed of the audit log."""
        return audit_mac_key(self.audit()), audit_signing_seed(self.audit())

    def audit(self) -> KeyMaterial:
        """The key of the audit log; Sealed where it is not in memory."""
        if self._audit is None:
            raise _sealed()
        return self._audit


def replaced() -> Sealed:
    """The error that says that another process replaced the root key."""
    return Sealed(
        "this process no longer holds the store's root key: another process replaced it", hint="open the store again"
    )


def _sealed() -> Sealed:
    return Sealed("the store is sealed: its root key is not in memory", hint="open it again with a master key")

"""The root-key provider whose credential is a master key of 32 random bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from keystead.crypto.kdf import derive
from keystead.crypto.material import KeyMaterial, random_bytes
from keystead.crypto.wrapping import unwrap_key, wrap_key
from keystead.seal.master_key import MasterKey, fingerprint
from keystead.seal.metadata import SALT_LENGTH, Metadata, fingerprint_field, require_fields, salt_field, salt_text


class KeyProvider:
    """Wraps under HKDF-SHA256 of 32 bytes, with a salt of its own and the label `keystead/slot/<kind>`.

    `key` stays the caller's: it is read at each use and not copied.
    """

    def __init__(self, key: KeyMaterial, *, kind: str, salt: bytes) -> None:
        self.kind = kind
        self._key = key
        self._salt = salt

    def metadata(self) -> Metadata:
        """What the slot keeps beside the wrapping: the salt and the key's fingerprint."""
        return {"salt": salt_text(self._salt), "fingerprint": fingerprint(self._key, kind=self.kind)}

    def wrap(self, key: KeyMaterial, aad: bytes) -> bytes:
        """`key` under this provider's wrapping key, bound to `aad`."""
        return wrap_key(self._wrapping_key(), key, aad)

    def unwrap(self, wrapped: bytes, aad: bytes) -> KeyMaterial:
        """What `wrap` was given.

        Raises:
            DecryptionError: another key, another AAD, or bytes that were changed.
        """
        return unwrap_key(self._wrapping_key(), wrapped, aad)

    def _wrapping_key(self) -> bytes:
        return derive(self._key.view(), salt=self._salt, info=f"keystead/slot/{self.kind}".encode())


class MasterKeyProvider(KeyProvider):
    """The provider of `KMS_MASTER_KEY` and of key files."""

    KIND: ClassVar[str] = MasterKey.kind

    def __init__(self, master_key: MasterKey, *, salt: bytes) -> None:
        super().__init__(master_key, kind=self.KIND, salt=salt)

    @classmethod
    def create(cls, master_key: MasterKey) -> MasterKeyProvider:
        """A provider for a new slot, with a fresh salt."""
        return cls(master_key, salt=random_bytes(SALT_LENGTH))

    @classmethod
    def of_slot(cls, master_key: MasterKey, metadata: Mapping[str, str | int]) -> MasterKeyProvider:
        """The provider of a slot that was made earlier.

        Raises:
            IntegrityError: metadata of another form.
        """
        require_fields(metadata, "salt", "fingerprint")
        fingerprint_field(metadata)
        return cls(master_key, salt=salt_field(metadata))

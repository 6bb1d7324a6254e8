"""`kms.keys` for async code: named keys."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from keystead.crypto.aad import AAD
from keystead.secrets.labels import KEEP, Keep

if TYPE_CHECKING:
    from keystead.keys.named.model import KeyInfo, KeyVersionInfo
    from keystead.keys.named.portable import ExportedKey
    from keystead.keys.named.results import BatchItem, GeneratedKey, Mac, SharedSecret, Signature
    from keystead.services import named_keys as services
    from keystead.services.named_key_changes import Rotation
    from keystead.services.named_keys import PublicKeyInfo
    from keystead.services.paging import Page


class NamedKeyOperations:
    """`kms.keys`: each method is that of the sync service, with its parameters, results and errors."""

    def __init__(self, sync: services.NamedKeyOperations) -> None:
        self._sync = sync

    async def create(
        self,
        name: str,
        *,
        type: str = "aes-256-gcm",  # noqa: A002 - the field's name
        usage: str | None = None,
        deterministic: bool = False,
        exportable: bool = False,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        rotation: timedelta | str | None = None,
    ) -> KeyInfo:
        """Make a key. `usage` chooses what an RSA key is for; `rotation` is how often a new version is made."""
        return await to_thread(
            self._sync.create,
            name,
            type=type,
            usage=usage,
            deterministic=deterministic,
            exportable=exportable,
            description=description,
            tags=tags,
            rotation=rotation,
        )

    async def read(self, name: str) -> KeyInfo:
        """A key without its material. Raises KeyNotFound."""
        return await to_thread(self._sync.read, name)

    async def list(self, prefix: str | None = None, *, limit: int = 100, after: str | None = None) -> Page[KeyInfo]:
        """A page of the keys in the order of their names."""
        return await to_thread(self._sync.list, prefix, limit=limit, after=after)

    async def versions(self, name: str, *, limit: int = 100, after: str | None = None) -> Page[KeyVersionInfo]:
        """A page of the versions of a key, oldest first. Raises KeyNotFound."""
        return await to_thread(self._sync.versions, name, limit=limit, after=after)

    async def configure(
        self,
        name: str,
        *,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        min_encrypt: int | None = None,
        min_decrypt: int | None = None,
        rotation: Rotation = KEEP,
    ) -> KeyInfo:
        """Change what is given: description, tags, lowest versions to protect and to process, rotation (None: none)."""
        return await to_thread(
            self._sync.configure,
            name,
            description=description,
            tags=tags,
            min_encrypt=min_encrypt,
            min_decrypt=min_decrypt,
            rotation=rotation,
        )

    async def rotate(self, name: str) -> KeyInfo:
        """Make a new primary version; earlier ones only open and verify. Raises KeyNotFound, KeyStateError."""
        return await to_thread(self._sync.rotate, name)

    async def suspend(self, name: str) -> KeyInfo:
        """Let nobody use a key until it is resumed. Raises KeyNotFound, KeyStateError."""
        return await to_thread(self._sync.suspend, name)

    async def resume(self, name: str) -> KeyInfo:
        """Let a suspended key be used again. Raises KeyNotFound; KeyStateError where its destruction is scheduled."""
        return await to_thread(self._sync.resume, name)

    async def deactivate(self, name: str) -> KeyInfo:
        """Let a key only open and verify, for good. Raises KeyNotFound, KeyStateError."""
        return await to_thread(self._sync.deactivate, name)

    async def mark_compromised(self, name: str) -> KeyInfo:
        """Note that others may have a key: nobody uses it any more, for good. Raises KeyNotFound, KeyStateError."""
        return await to_thread(self._sync.mark_compromised, name)

    async def schedule_destruction(self, name: str, *, days: int = 30) -> KeyInfo:
        """Suspend a key now, and destroy it after 7 to 30 days. Raises KeyNotFound, KeyStateError, UsageError."""
        return await to_thread(self._sync.schedule_destruction, name, days=days)

    async def cancel_destruction(self, name: str) -> KeyInfo:
        """Call a scheduled destruction off; the key stays suspended. Raises KeyNotFound, KeyStateError."""
        return await to_thread(self._sync.cancel_destruction, name)

    async def destroy(self, name: str) -> KeyInfo:
        """Destroy a key that is not active, with all its versions, now. There is no undo."""
        return await to_thread(self._sync.destroy, name)

    async def set_alias(self, alias: str, name: str) -> KeyInfo:
        """Let `alias` stand for a key; one that stands for a key of the same type and usage moves."""
        return await to_thread(self._sync.set_alias, alias, name)

    async def remove_alias(self, alias: str) -> KeyInfo:
        """Take an alias away; the key that it stood for stays. Raises KeyNotFound."""
        return await to_thread(self._sync.remove_alias, alias)

    async def encrypt(
        self,
        name: str,
        data: bytes,
        *,
        context: AAD = None,
        version: int | None = None,
        algorithm: str | None = None,
    ) -> bytes:
        """A compact ciphertext; a bare block for RSA, whose `algorithm` is OAEP with SHA-256 unless told."""
        if self._sync._is_ready("encrypt", name, data):
            return self._sync.encrypt(name, data, context=context, version=version, algorithm=algorithm)
        return await to_thread(self._sync.encrypt, name, data, context=context, version=version, algorithm=algorithm)

    async def decrypt(
        self,
        name: str,
        blob: bytes,
        *,
        context: AAD = None,
        version: int | None = None,
        algorithm: str | None = None,
    ) -> bytes:
        """The plaintext of what `encrypt` made."""
        if self._sync._is_ready("decrypt", name, blob):
            return self._sync.decrypt(name, blob, context=context, version=version, algorithm=algorithm)
        return await to_thread(self._sync.decrypt, name, blob, context=context, version=version, algorithm=algorithm)

    async def reencrypt(
        self,
        name: str,
        blob: bytes,
        *,
        to: str | None = None,
        context: AAD = None,
        to_context: AAD | Keep = KEEP,
        algorithm: str | None = None,
        to_algorithm: str | None = None,
    ) -> bytes:
        """The same plaintext under the primary version of `to` (or of the same key), without showing it."""
        return await to_thread(
            self._sync.reencrypt,
            name,
            blob,
            to=to,
            context=context,
            to_context=to_context,
            algorithm=algorithm,
            to_algorithm=to_algorithm,
        )

    async def owner(self, blob: bytes) -> KeyInfo:
        """The key that a compact ciphertext is of. Raises EnvelopeError; DecryptionError: it is of none."""
        return await to_thread(self._sync.owner, blob)

    async def generate_data_key(
        self, name: str, *, length: int = 32, context: AAD = None, with_plaintext: bool = True
    ) -> GeneratedKey:
        """1 to 1,024 random bytes, and the same encrypted: what encrypts data where it lies."""
        return await to_thread(
            self._sync.generate_data_key, name, length=length, context=context, with_plaintext=with_plaintext
        )

    async def generate_data_key_pair(
        self,
        name: str,
        type: str,  # noqa: A002 - the field's name
        *,
        context: AAD = None,
        with_plaintext: bool = True,
    ) -> GeneratedKey:
        """A key pair of a type such as `ecdsa-p256`: public key, and the private one encrypted under the named key."""
        return await to_thread(
            self._sync.generate_data_key_pair, name, type, context=context, with_plaintext=with_plaintext
        )

    async def derive(self, name: str, context: AAD, *, length: int = 32, version: int | None = None) -> bytes:
        """16 to 8,160 bytes that only this key, version and context give (HKDF-SHA256, RFC 5869)."""
        return await to_thread(self._sync.derive, name, context, length=length, version=version)

    async def sign(
        self,
        name: str,
        message: bytes,
        *,
        algorithm: str | None = None,
        version: int | None = None,
        prehashed: bool = False,
    ) -> Signature:
        """A signature, the version that made it, and how; with `prehashed`, of a message's digest (RSA, ECDSA)."""
        return await to_thread(
            self._sync.sign, name, message, algorithm=algorithm, version=version, prehashed=prehashed
        )

    async def verify(
        self,
        name: str,
        message: bytes,
        signature: bytes,
        *,
        algorithm: str | None = None,
        version: int | None = None,
        prehashed: bool = False,
    ) -> bool:
        """Whether a version that may still process, or the one that is named, made the signature."""
        return await to_thread(
            self._sync.verify, name, message, signature, algorithm=algorithm, version=version, prehashed=prehashed
        )

    async def mac(self, name: str, message: bytes, *, version: int | None = None) -> Mac:
        """An HMAC, and the version that made it."""
        if self._sync._is_ready("mac", name, message):
            return self._sync.mac(name, message, version=version)
        return await to_thread(self._sync.mac, name, message, version=version)

    async def verify_mac(self, name: str, message: bytes, tag: bytes, *, version: int | None = None) -> bool:
        """Whether a version that may still process, or the one that is named, made the HMAC; in constant time."""
        if self._sync._is_ready("verify-mac", name, message):
            return self._sync.verify_mac(name, message, tag, version=version)
        return await to_thread(self._sync.verify_mac, name, message, tag, version=version)

    async def agree(self, name: str, peer: bytes, *, version: int | None = None) -> bytes:
        """The ECDH secret shared with a peer's public key (SPKI DER): the raw X coordinate."""
        return await to_thread(self._sync.agree, name, peer, version=version)

    async def encapsulate(self, name: str, *, version: int | None = None) -> SharedSecret:
        """A fresh secret, and the ciphertext from which the private key makes it again (FIPS 203)."""
        return await to_thread(self._sync.encapsulate, name, version=version)

    async def decapsulate(self, name: str, ciphertext: bytes, *, version: int | None = None) -> bytes:
        """The secret of an encapsulation; a wrong ciphertext gives another secret."""
        return await to_thread(self._sync.decapsulate, name, ciphertext, version=version)

    async def public_key(self, name: str, *, version: int | None = None) -> PublicKeyInfo:
        """The public key of a version, for whoever verifies or encrypts without keystead."""
        return await to_thread(self._sync.public_key, name, version=version)

    async def import_key(
        self,
        name: str,
        wrapped: bytes,
        *,
        wrapping_key: str,
        type: str = "aes-256-gcm",  # noqa: A002 - the field's name
        usage: str | None = None,
        exportable: bool = False,
        description: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> KeyInfo:
        """Make a key of material that was wrapped (`keystead.wrap_for_import`) under a key whose usage is `import`."""
        return await to_thread(
            self._sync.import_key,
            name,
            wrapped,
            wrapping_key=wrapping_key,
            type=type,
            usage=usage,
            exportable=exportable,
            description=description,
            tags=tags,
        )

    async def import_version(self, name: str, wrapped: bytes, *, wrapping_key: str) -> KeyInfo:
        """A new primary version of an imported key; errors as for `import_key`."""
        return await to_thread(self._sync.import_version, name, wrapped, wrapping_key=wrapping_key)

    async def export(self, name: str, *, version: int | None = None) -> ExportedKey:
        """The material of a version of a key that was made exportable. Raises KeyNotFound, KeyStateError."""
        return await to_thread(self._sync.export, name, version=version)

    async def backup(self, name: str, *, passphrase: str) -> bytes:
        """An exportable key with all its versions, encrypted under a passphrase."""
        return await to_thread(self._sync.backup, name, passphrase=passphrase)

    async def restore(self, source: bytes, *, passphrase: str, name: str | None = None) -> KeyInfo:
        """Bring in a key that `backup` gave, under its name or another. Raises BackupError, AlreadyExists."""
        return await to_thread(self._sync.restore, source, passphrase=passphrase, name=name)

    async def random_bytes(self, length: int) -> bytes:
        """1 to 1,024 bytes of the operating system's generator."""
        return await to_thread(self._sync.random_bytes, length)

    async def digest(self, data: bytes, *, algorithm: str = "sha-256") -> bytes:
        """A hash: sha-256, sha-384, sha-512, sha3-256, sha3-384 or sha3-512."""
        return await to_thread(self._sync.digest, data, algorithm=algorithm)

    async def batch(self, operation: str, name: str, items: Iterable[Mapping[str, Any]]) -> list[BatchItem]:  # type: ignore[valid-type]
        """Up to 1,000 calls of one operation on one key: each item holds the further arguments of the single call."""
        return await to_thread(self._sync.batch, operation, name, items)

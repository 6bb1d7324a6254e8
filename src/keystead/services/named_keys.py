"""`kms.keys`: named keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Final, NamedTuple

from keystead.crypto.aad import AAD
from keystead.errors import KeysteadError, UsageError
from keystead.keys.named.batch import in_slices, macs, sealed
from keystead.keys.named.model import KeyInfo
from keystead.keys.named.names import check_key_name
from keystead.keys.named.portable import ExportedKey
from keystead.keys.named.results import BatchItem, GeneratedKey, Mac, SharedSecret, Signature
from keystead.keys.named.short import shortened
from keystead.keys.named.use import NamedKeyUse
from keystead.secrets.labels import KEEP, Keep
from keystead.services.named_key_changes import NamedKeyChanges, new_key
from keystead.services.session_face import SessionFace

MAX_BATCH: Final = 1000
SHORT: Final = 64 * 1024
BATCHED: Final = (
    "encrypt",
    "decrypt",
    "reencrypt",
    "generate_data_key",
    "sign",
    "verify",
    "mac",
    "verify_mac",
    "derive",
)


class PublicKeyInfo(NamedTuple):
    """A public key as SubjectPublicKeyInfo in DER and PEM, and the version that it is of."""

    der: bytes
    pem: str
    version: int


class NamedKeyOperations(NamedKeyChanges):
    """`kms.keys`: keys that are used by name. `name` may be an alias wherever a key is meant.

    `context` is bound to what is encrypted, as an AAD is: text to text, text or bytes. `version` is the primary one
    where none is given, or, to open and verify, whichever fits.
    """

    def __init__(self, face: SessionFace) -> None:
        super().__init__(face)
        self._used: tuple[object, NamedKeyUse] | None = None

    def _use(self) -> NamedKeyUse:
        session = self._face._session
        if self._used is None or self._used[0] is not session:
            node, use = self._face._node, self._named().use(session)
            self._used = (session, use)
            # They stand before the methods of these names, which are the way of the first call.
            self.__dict__.update(shortened(use, node.clock.monotonic, node.counts.resume, self._use))
        return self._used[1]

    def _is_ready(self, operation: str, name: str, data: bytes) -> bool:
        """Whether a call would wait for nothing, so that async code need not hand it over to a thread."""
        return type(data) is bytes and len(data) <= SHORT and self._use().is_ready(operation, name)

    # Encryption

    def encrypt(
        self,
        name: str,
        data: bytes,
        *,
        context: AAD = None,
        version: int | None = None,
        algorithm: str | None = None,
    ) -> bytes:
        """A compact ciphertext; a bare block for RSA, whose `algorithm` is OAEP with SHA-256 unless told.

        Raises:
            KeyNotFound, KeyStateError; UsageError: the key is for something else, or the data is too long for RSA.
        """
        return self._use().encrypt(name, data, context, version, algorithm)

    def decrypt(
        self,
        name: str,
        blob: bytes,
        *,
        context: AAD = None,
        version: int | None = None,
        algorithm: str | None = None,
    ) -> bytes:
        """The plaintext of what `encrypt` made.

        Raises:
            KeyNotFound, KeyStateError, UsageError, EnvelopeError; DecryptionError: it is of another key or context.
        """
        return self._use().decrypt(name, blob, context, version, algorithm)

    def reencrypt(
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
        """The same plaintext under the primary version of `to` (or of the same key), without showing it.

        `to_context` is bound in the place of `context` where it is given; `algorithm` is how an RSA key opens, and
        `to_algorithm` how one encrypts. Errors as for `decrypt` and `encrypt`.
        """
        contexts = (context, context if isinstance(to_context, Keep) else to_context)
        return self._use().reencrypt(name, blob, to, contexts, (algorithm, to_algorithm))

    def owner(self, blob: bytes) -> KeyInfo:
        """The key that a compact ciphertext is of.

        Raises:
            EnvelopeError; DecryptionError: it is of none, or of one that the caller may not see.
        """
        return self._named().reader.owner(self._face._session, self._use().owner(blob)[0])

    # Keys for callers

    def generate_data_key(
        self, name: str, *, length: int = 32, context: AAD = None, with_plaintext: bool = True
    ) -> GeneratedKey:
        """1 to 1,024 random bytes, and the same encrypted: what encrypts data where it lies."""
        return self._use().data_key(name, length, context, with_plaintext=with_plaintext)

    def generate_data_key_pair(
        self,
        name: str,
        type: str,  # noqa: A002 - the field's name
        *,
        context: AAD = None,
        with_plaintext: bool = True,
    ) -> GeneratedKey:
        """A key pair of a type such as `ecdsa-p256`: public key, and the private one encrypted under the named key."""
        return self._use().data_key_pair(name, type, context, with_plaintext=with_plaintext)

    def derive(self, name: str, context: AAD, *, length: int = 32, version: int | None = None) -> bytes:
        """16 to 8,160 bytes that only this key, version and context give (HKDF-SHA256, RFC 5869)."""
        return self._use().derive(name, context, length, version)

    # Signatures and MACs

    def sign(
        self,
        name: str,
        message: bytes,
        *,
        algorithm: str | None = None,
        version: int | None = None,
        prehashed: bool = False,
    ) -> Signature:
        """A signature, the version that made it, and how; with `prehashed`, of a message's digest (RSA, ECDSA)."""
        return self._use().sign(name, message, algorithm, version, prehashed=prehashed)

    def verify(
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
        return self._use().verify(name, message, signature, algorithm, version, prehashed=prehashed)

    def mac(self, name: str, message: bytes, *, version: int | None = None) -> Mac:
        """An HMAC, and the version that made it."""
        return self._use().mac(name, message, version)

    def verify_mac(self, name: str, message: bytes, tag: bytes, *, version: int | None = None) -> bool:
        """Whether a version that may still process, or the one that is named, made the HMAC; in constant time."""
        return self._use().verify_mac(name, message, tag, version)

    # Agreement and encapsulation

    def agree(self, name: str, peer: bytes, *, version: int | None = None) -> bytes:
        """The ECDH secret shared with a peer's public key (SPKI DER): the raw X coordinate."""
        return self._use().agree(name, peer, version)

    def encapsulate(self, name: str, *, version: int | None = None) -> SharedSecret:
        """A fresh secret, and the ciphertext from which the private key makes it again (FIPS 203)."""
        return self._use().encapsulate(name, version)

    def decapsulate(self, name: str, ciphertext: bytes, *, version: int | None = None) -> bytes:
        """The secret of an encapsulation; a wrong ciphertext gives another secret."""
        return self._use().decapsulate(name, ciphertext, version)

    def public_key(self, name: str, *, version: int | None = None) -> PublicKeyInfo:
        """The public key of a version, for whoever verifies or encrypts without keystead."""
        return PublicKeyInfo(*self._use().public(name, version))

    # Elsewhere

    def import_key(
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
        """Make a key of material that was wrapped (`keystead.wrap_for_import`) under a key whose usage is `import`.

        Raises:
            AlreadyExists, KeyNotFound, DecryptionError; UsageError: it is no sound material of that type.
        """
        new = new_key(type, usage, tags, None, deterministic=False, exportable=exportable, text=description)
        named = self._named()
        return named.porter.import_key(self._face._session, self._use(), name, (wrapped, wrapping_key), new)

    def import_version(self, name: str, wrapped: bytes, *, wrapping_key: str) -> KeyInfo:
        """A new primary version of an imported key; errors as for `import_key`."""
        named = self._named()
        return named.porter.import_version(self._face._session, self._use(), name, (wrapped, wrapping_key))

    def export(self, name: str, *, version: int | None = None) -> ExportedKey:
        """The material of a version of a key that was made exportable. Raises KeyNotFound, KeyStateError."""
        return self._named().porter.export(self._face._session, name, version)

    def backup(self, name: str, *, passphrase: str) -> bytes:
        """An exportable key with all its versions, encrypted under a passphrase.

        Raises:
            UsageError: a weak passphrase. KeyNotFound; KeyStateError: it was not made exportable.
        """
        return self._named().porter.backup(self._face._session, name, passphrase)

    def restore(self, source: bytes, *, passphrase: str, name: str | None = None) -> KeyInfo:
        """Bring in a key that `backup` gave, under its name or another. Raises BackupError, AlreadyExists."""
        return self._named().porter.restore(self._face._session, source, passphrase, name)

    # Without a key

    def random_bytes(self, length: int) -> bytes:
        """1 to 1,024 bytes of the operating system's generator. Raises UsageError."""
        return self._use().random(length)

    def digest(self, data: bytes, *, algorithm: str = "sha-256") -> bytes:
        """A hash: sha-256, sha-384, sha-512, sha3-256, sha3-384 or sha3-512. Raises UsageError."""
        return self._use().digest(algorithm, data)

    # Many at once

    def batch(self, operation: str, name: str, items: Iterable[Mapping[str, Any]]) -> list[BatchItem]:
        """Up to 1,000 calls of one operation on one key: each item holds the further arguments of the single call.

        An item that fails has its error in its place, and the others are done all the same.

        Raises:
            UsageError: no such operation, or too many items.
        """
        if operation not in BATCHED:
            raise UsageError("not an operation that is done in batches", hint=f"use {', '.join(BATCHED)}")
        listed = isinstance(items, Iterable) and not isinstance(items, Mapping)
        # Not one more is read than tells that there are too many.
        wanted = list(islice(items, MAX_BATCH + 1)) if listed else []
        if not 1 <= len(wanted) <= MAX_BATCH or not all(
            type(item) is dict or isinstance(item, Mapping) for item in wanted
        ):
            raise UsageError(f"a batch is a list of 1 to {MAX_BATCH:,} mappings of arguments")
        check_key_name(name)
        call = getattr(self, operation)

        def single(item: Mapping[str, Any]) -> BatchItem:
            return _attempt(call, name, item)

        hot, monotonic = self._use().hot, self._face._node.clock.monotonic
        if operation == "encrypt":
            return in_slices(wanted, single, lambda: hot.sealing.get(name), monotonic, sealed)
        if operation == "mac":
            return in_slices(wanted, single, lambda: hot.making.get(name), monotonic, macs)
        return [single(item) for item in wanted]


def _attempt(call: Any, name: str, item: Mapping[str, Any]) -> BatchItem:
    try:
        return BatchItem(call(name, **item), None)
    except KeysteadError as error:
        return BatchItem(None, error)
    except TypeError:
        return BatchItem(None, UsageError("an item has arguments that this operation does not take, or lacks one"))

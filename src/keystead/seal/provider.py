"""Key slots: one wrapping of the root key by one root-key provider each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from keystead.crypto.aad import bind
from keystead.crypto.mac import same
from keystead.crypto.material import KeyMaterial, random_bytes
from keystead.errors import IntegrityError, UsageError
from keystead.seal import root as derived
from keystead.seal.credential import Credential, checked, new_provider, slot_provider
from keystead.seal.master_key import fingerprint
from keystead.seal.root import root_check

__all__ = ["RootKeyProvider", "Slot", "fingerprint", "make_slot", "open_slot", "remake_slot", "root_check", "slot_aad"]

MAX_LABEL = 64


class RootKeyProvider(Protocol):
    """What holds a master key. It wraps and unwraps 32 bytes and does nothing else.

    `keystead.testing.check_root_key_provider` is the conformance suite.
    """

    @property
    def kind(self) -> str:
        """What sort of provider this is, as the slot keeps it, such as `master-key`."""

    def metadata(self) -> Mapping[str, str | int]:
        """What a slot must keep so that the same credential can unwrap later; nothing secret.

        Text under `fingerprint`, where there is one, names the credential in messages.
        """

    def wrap(self, key: KeyMaterial, aad: bytes) -> bytes:
        """`key`, encrypted and bound to `aad`."""

    def unwrap(self, wrapped: bytes, aad: bytes) -> KeyMaterial:
        """What `wrap` was given.

        Raises:
            DecryptionError: another credential, another AAD, or bytes that were changed; nothing tells which.
        """


@dataclass(frozen=True, slots=True)
class Slot:
    """One wrapping of the root key. `created_ms` is milliseconds since the epoch; nothing in it is secret."""

    id: str
    kind: str
    label: str
    created_ms: int
    metadata: Mapping[str, str | int]
    wrapped: bytes


def slot_aad(slot: Slot, *, store_id: str) -> bytes:
    """Everything of a slot but the wrapping itself, as the AAD that the wrapping is bound to."""
    fields: list[str | int] = []
    for name, value in sorted(slot.metadata.items()):
        fields += (name, "number" if isinstance(value, int) else "text", value)
    return bind("slot", store_id, slot.id, slot.kind, slot.label, slot.created_ms, *fields)


def make_slot(root: KeyMaterial, credential: Credential, *, store_id: str, label: str, now_ms: int) -> Slot:
    """A new slot by which `credential` opens the store.

    `label` is 1 to 64 printable characters that people tell slots apart by.

    Raises:
        UsageError: a label out of bounds, or a passphrase that is too weak.
    """
    if not 1 <= len(label) <= MAX_LABEL or not label.isprintable() or label != label.strip():
        raise UsageError(f"a slot's label must be 1 to {MAX_LABEL} printable characters, no space at either end")
    return _wrapped(Slot(f"slot_{random_bytes(4).hex()}", "", label, now_ms, {}, b""), root, credential, store_id)


def remake_slot(slot: Slot, root: KeyMaterial, credential: Credential, *, store_id: str) -> Slot:
    """`slot` with its id, label and date, wrapping another root key anew: what `rekey` does for each slot.

    Raises:
        UsageError: a passphrase that is too weak.
    """
    return _wrapped(slot, root, credential, store_id)


def _wrapped(slot: Slot, root: KeyMaterial, credential: Credential, store_id: str) -> Slot:
    provider = new_provider(credential)
    bare = replace(slot, kind=provider.kind, metadata=dict(provider.metadata()), wrapped=b"")
    return replace(bare, wrapped=provider.wrap(root, slot_aad(bare, store_id=store_id)))


def open_slot(slot: Slot, credential: Credential, *, store_id: str, root_check: bytes) -> KeyMaterial:
    """The root key out of one slot. `root_check` is the check value that the store keeps.

    Raises:
        DecryptionError: the credential does not open this slot, or the slot was changed.
        IntegrityError: the slot's metadata is malformed, or what it yields is not this store's root key.
        UsageError: a slot of another kind than the credential.
    """
    if slot.kind != checked(credential).kind:
        raise UsageError(f"slot {slot.id} is opened by a {slot.kind}, not by a {credential.kind}")
    root = slot_provider(credential, slot).unwrap(slot.wrapped, slot_aad(slot, store_id=store_id))
    if not same(derived.root_check(root), root_check):
        root.forget()
        raise IntegrityError(
            f"slot {slot.id} ({slot.label}) opens, but what it holds is not this store's root key",
            why="its check value differs; an old slot or an old check value was put back",
            hint="open by another slot, remove this one, and run `keystead audit verify`",
        )
    return root

"""What is derived from the root key, each by HKDF-SHA256 with a label of its own and no salt."""

from __future__ import annotations

from keystead.crypto.kdf import derive
from keystead.crypto.material import KeyMaterial


def root_check(root: KeyMaterial) -> bytes:
    """The root key's check value: 32 bytes that the store keeps and that every slot must yield."""
    return _derive(root, "keystead/root/check")


def wrapping_key(root: KeyMaterial) -> KeyMaterial:
    """The key that wraps data keys."""
    return KeyMaterial(_derive(root, "keystead/root/wrap"))


def head_mac_key(root: KeyMaterial) -> KeyMaterial:
    """The MAC key of the secrets' head rows."""
    return KeyMaterial(_derive(root, "keystead/root/mac"))


def identity_hash_key(integrity: KeyMaterial) -> bytes:
    """The key of the hashes that the store keeps of access tokens, secret ids and passwords."""
    return _derive(integrity, "keystead/identity/hash")


def identity_mac_key(integrity: KeyMaterial) -> bytes:
    """The MAC key of the rows of access tokens, users, roles and secret ids."""
    return _derive(integrity, "keystead/identity/mac")


def audit_mac_key(root: KeyMaterial) -> bytes:
    """The MAC key of audit checkpoints and of the heads that the store keeps."""
    return _derive(root, "keystead/audit/mac")


def audit_signing_seed(root: KeyMaterial) -> bytes:
    """The 32-byte Ed25519 seed that signs audit checkpoints."""
    return _derive(root, "keystead/audit/sign")


def _derive(root: KeyMaterial, label: str) -> bytes:
    return derive(root.view(), salt=b"", info=label.encode())

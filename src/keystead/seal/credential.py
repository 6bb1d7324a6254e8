"""What a person or a machine holds to open a store, and the root-key provider that each kind makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, TypeVar

from keystead.errors import UsageError
from keystead.seal.master_key import MasterKey, fingerprint
from keystead.seal.providers.key import MasterKeyProvider
from keystead.seal.providers.passphrase import Passphrase, PassphraseProvider
from keystead.seal.providers.recovery import RecoveryKit, RecoveryProvider

if TYPE_CHECKING:
    from keystead.seal.provider import RootKeyProvider, Slot

Credential: TypeAlias = "MasterKey | Passphrase | RecoveryKit | RootKeyProvider"
"""A master key, a passphrase, a recovery kit, or a root-key provider of somebody else's making."""

Provider = TypeVar("Provider", bound="Credential")


def check_credential(given: object) -> Credential:
    """The credential itself, if it is one.

    Raises:
        UsageError: it is something else, which the message does not show.
    """
    if isinstance(given, MasterKey | Passphrase | RecoveryKit) or callable(getattr(given, "unwrap", None)):
        return given  # type: ignore[return-value] # a provider is whatever has its methods
    raise UsageError(
        f"a master key or another credential is wanted, not {type(given).__name__}",
        hint="give a MasterKey, a Passphrase, a RecoveryKit or a root-key provider; only what opens a store may be "
        "a master key's base64 text",
    )


def new_provider(credential: Credential) -> RootKeyProvider:
    """The root-key provider for a new slot.

    Raises:
        UsageError: a passphrase that is too weak for a new slot.
    """
    match credential:
        case MasterKey():
            return MasterKeyProvider.create(credential)
        case Passphrase():
            return PassphraseProvider.create(credential)
        case RecoveryKit():
            return RecoveryProvider.create(credential)
        case _:
            return checked(credential)


def slot_provider(credential: Credential, slot: Slot) -> RootKeyProvider:
    """The root-key provider of an existing slot, whose kind must be the credential's.

    Raises:
        IntegrityError: the slot's metadata is not what keystead wrote.
    """
    match credential:
        case MasterKey():
            return MasterKeyProvider.of_slot(credential, slot.metadata)
        case Passphrase():
            return PassphraseProvider.of_slot(credential, slot.metadata)
        case RecoveryKit():
            return RecoveryProvider.of_slot(credential, slot.metadata)
        case _:
            return checked(credential)


def credential_fingerprint(credential: Credential) -> str:
    """The 8 hex digits that a slot of this credential carries; empty where its kind has none."""
    match credential:
        case MasterKey():
            return fingerprint(credential)
        case RecoveryKit():
            return fingerprint(credential.key, kind=credential.kind)
        case Passphrase():
            return ""
        case _:
            return str(checked(credential).metadata().get("fingerprint", ""))


def checked(credential: Provider) -> Provider:
    """The credential, unless it is the mere text or bytes of one. Raises UsageError."""
    if isinstance(credential, str | bytes):
        raise UsageError(
            f"{'text is' if isinstance(credential, str) else 'bytes are'} no credential",
            hint="make it a keystead.Passphrase of text, a keystead.MasterKey of 32 bytes, or a keystead.RecoveryKit",
        )
    return credential

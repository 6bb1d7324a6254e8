"""The root-key provider whose credential is a passphrase: Argon2id, then HKDF."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import ClassVar, NoReturn

from keystead.crypto.kdf import RFC_9106_LOW_MEMORY, Argon2Parameters, derive, derive_from_passphrase
from keystead.crypto.material import KeyMaterial, random_bytes
from keystead.crypto.wrapping import unwrap_key, wrap_key
from keystead.errors import MasterKeyInvalid, UsageError
from keystead.seal.metadata import SALT_LENGTH, Metadata, broken, number_field, require_fields, salt_field, salt_text

MIN_CHARACTERS = 12
MIN_DISTINCT = 5
MAX_CHARACTERS = 1024


class Passphrase:
    """What a person types: 1 to 1,024 characters, nothing trimmed. It prints nothing and refuses pickle and copy.

    `source` names the file or descriptor that gave the text, for the message.

    Raises:
        MasterKeyInvalid: empty, too long, or not Unicode text.
    """

    __slots__ = ("_text",)
    kind: ClassVar[str] = "passphrase"

    def __init__(self, text: str, *, source: str = "") -> None:
        problem = ""
        if not isinstance(text, str):
            problem = "it is no text"
        elif not text:
            problem = "it is empty"
        elif len(text) > MAX_CHARACTERS:
            problem = f"it has more than {MAX_CHARACTERS} characters"
        elif any("\ud800" <= character <= "\udfff" for character in text):
            problem = "it is not UTF-8 text"
        if problem:
            origin = f" from {source}" if source else ""
            raise MasterKeyInvalid(
                f"the passphrase{origin} cannot be used", why=problem, hint="give the store's passphrase"
            )
        self._text = text

    def reveal(self) -> str:
        """The text, as it was typed."""
        return self._text

    def __repr__(self) -> str:
        return "<passphrase>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a passphrase is not pickled or copied")


def require_strength(passphrase: Passphrase) -> None:
    """What a new slot asks of its passphrase; one that opens an existing slot is not asked.

    Raises:
        UsageError: under 12 characters (after NFKC), or under 5 different ones.
    """
    text = unicodedata.normalize("NFKC", passphrase.reveal())
    if len(text) < MIN_CHARACTERS or len(set(text)) < MIN_DISTINCT:
        raise UsageError(
            f"the passphrase is too weak: needed are {MIN_CHARACTERS} characters, {MIN_DISTINCT} of them different",
            hint="take six random words or more: whoever copies the store's file can try passphrases for years",
        )


class PassphraseProvider:
    """Wraps under HKDF-SHA256 (label `keystead/slot/passphrase`) of Argon2id of the passphrase, one salt for both.

    Each wrap and unwrap pays Argon2id once; nothing derived is kept.
    """

    kind: ClassVar[str] = Passphrase.kind

    def __init__(self, passphrase: Passphrase, *, salt: bytes, parameters: Argon2Parameters) -> None:
        self._passphrase = passphrase
        self._salt = salt
        self._parameters = parameters

    @classmethod
    def create(
        cls, passphrase: Passphrase, *, parameters: Argon2Parameters = RFC_9106_LOW_MEMORY
    ) -> PassphraseProvider:
        """A provider for a new slot, with a fresh salt.

        Raises:
            UsageError: a passphrase that is too weak.
            ValueError: parameters out of bounds.
        """
        require_strength(passphrase)
        problem = parameters.problem()
        if problem:
            raise ValueError(problem)
        return cls(passphrase, salt=random_bytes(SALT_LENGTH), parameters=parameters)

    @classmethod
    def of_slot(cls, passphrase: Passphrase, metadata: Mapping[str, str | int]) -> PassphraseProvider:
        """The provider of a slot that was made earlier.

        Raises:
            IntegrityError: metadata of another form, or a cost below the floor or above the ceiling, found before any
                memory is taken.
        """
        require_fields(metadata, "salt", "iterations", "lanes", "memory_kib")
        parameters = Argon2Parameters(
            iterations=number_field(metadata, "iterations"),
            lanes=number_field(metadata, "lanes"),
            memory_kib=number_field(metadata, "memory_kib"),
        )
        problem = parameters.problem()
        if problem:
            raise broken(problem)
        return cls(passphrase, salt=salt_field(metadata), parameters=parameters)

    def metadata(self) -> Metadata:
        """What the slot keeps beside the wrapping: the salt and the cost."""
        return {
            "salt": salt_text(self._salt),
            "iterations": self._parameters.iterations,
            "lanes": self._parameters.lanes,
            "memory_kib": self._parameters.memory_kib,
        }

    def wrap(self, key: KeyMaterial, aad: bytes) -> bytes:
        """`key` under this provider's wrapping key, bound to `aad`."""
        return wrap_key(self._wrapping_key(), key, aad)

    def unwrap(self, wrapped: bytes, aad: bytes) -> KeyMaterial:
        """What `wrap` was given.

        Raises:
            DecryptionError: another passphrase, another AAD, or bytes that were changed.
        """
        return unwrap_key(self._wrapping_key(), wrapped, aad)

    def _wrapping_key(self) -> bytes:
        stretched = derive_from_passphrase(self._passphrase.reveal(), salt=self._salt, parameters=self._parameters)
        return derive(stretched, salt=self._salt, info=f"keystead/slot/{self.kind}".encode())

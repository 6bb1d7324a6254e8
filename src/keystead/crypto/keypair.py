"""What every key pair can be asked, and how it refuses what its type does not do."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final, NoReturn, Protocol

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from keystead.crypto.types import DIGEST_LENGTH, ENCRYPTION, SIGNING, Algorithm, KeyType
from keystead.errors import UsageError

MAX_DER: Final = 16_384
"""No key of any type comes near this many bytes; more is refused before it is parsed."""

# The library calls a key of the wrong length an internal error where it finds that in OpenSSL (Ed448 with 32 bytes).
UNREADABLE: Final = (ValueError, TypeError, UnsupportedAlgorithm, InternalError)


class _Encodable(Protocol):
    def public_bytes(self, encoding: Encoding, form: PublicFormat, /) -> bytes:
        """The key in this encoding and format."""


class PublicKey:
    """The public half of a key pair, which needs no protection."""

    __slots__ = ("_public", "key_type")

    def __init__(self, key_type: KeyType, public: _Encodable) -> None:
        self.key_type = key_type
        self._public: Any = public

    @property
    def der(self) -> bytes:
        """SubjectPublicKeyInfo (RFC 5280 section 4.1) in DER, the one spelling that `load_public` takes."""
        encoded: bytes = self._public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return encoded

    @property
    def pem(self) -> str:
        """The same as PEM (RFC 7468), with a line end behind it."""
        encoded: bytes = self._public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        return encoded.decode("ascii")

    @property
    def raw(self) -> bytes:
        """The key's bytes without wrapping: Ed25519 (RFC 8032), ML-DSA (FIPS 204), ML-KEM (FIPS 203).

        Raises:
            UsageError: a type that has no such form.
        """
        _refuse(self.key_type, "has no raw form")

    def verify(self, message: bytes, signature: bytes, algorithm: Algorithm, *, prehashed: bool = False) -> bool:
        """Whether `signature` is one of `message` (or, `prehashed`, of the message whose digest it is) under this key.

        Raises:
            UsageError: an algorithm that is not this type's, or a digest of another length.
        """
        _refuse(self.key_type, "does not sign")

    def encrypt(self, plaintext: bytes, algorithm: Algorithm, label: bytes = b"") -> bytes:
        """An RSA-OAEP ciphertext (RFC 8017 section 7.1), as long as the modulus.

        Raises:
            UsageError: a type or algorithm that does not encrypt, or more plaintext than fits, with the limit.
        """
        _refuse(self.key_type, "does not encrypt to a public key")

    def encapsulate(self) -> tuple[bytes, bytes]:
        """A fresh 32-byte shared secret and the ciphertext that carries it (FIPS 203).

        Raises:
            UsageError: a type that is not ML-KEM.
        """
        _refuse(self.key_type, "does not encapsulate")


class PrivateKey:
    """A key pair in memory. It prints nothing and refuses pickle and copy.

    The library keeps the key in its own memory and clears it when the object goes.
    """

    __slots__ = ("_private", "key_type")

    def __init__(self, key_type: KeyType, private: object) -> None:
        self.key_type = key_type
        self._private: Any = private

    def public(self) -> PublicKey:
        """The public half."""
        raise NotImplementedError

    def sign(self, message: bytes, algorithm: Algorithm, *, prehashed: bool = False) -> bytes:
        """A signature of `message`, or with `prehashed` of the message whose digest it is (RSA and ECDSA only).

        ECDSA signatures are DER (RFC 3279 section 2.2.3); `ecdsa_signature.der_to_raw` gives the form of JWS.

        Raises:
            UsageError: a type or algorithm that does not sign, or a digest of another length than the algorithm's.
        """
        _refuse(self.key_type, "does not sign")

    def decrypt(self, ciphertext: bytes, algorithm: Algorithm, label: bytes = b"") -> bytes:
        """The plaintext of an RSA-OAEP ciphertext.

        Raises:
            UsageError: a type or algorithm that does not encrypt.
            DecryptionError: anything else; nothing tells what.
        """
        _refuse(self.key_type, "does not decrypt")

    def agree(self, peer_public_der: bytes) -> bytes:
        """The ECDH shared secret with a peer's public key: the X coordinate, as long as the field (SP 800-56A 5.7.1.2).

        It goes into a key derivation and is never a key itself.

        Raises:
            UsageError: a type that does not agree, or a peer key that is no point of the same curve.
        """
        _refuse(self.key_type, "does not agree on secrets")

    def decapsulate(self, ciphertext: bytes) -> bytes:
        """The 32-byte shared secret of an ML-KEM ciphertext.

        One that was changed gives another secret and no error, as FIPS 203 has it.

        Raises:
            UsageError: a type that is not ML-KEM.
            DecryptionError: a ciphertext of another length.
        """
        _refuse(self.key_type, "does not decapsulate")

    def __repr__(self) -> str:
        return f"<{self.key_type.value} private key>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a private key is not pickled or copied")

    def __copy__(self) -> NoReturn:
        self.__reduce__()

    def __deepcopy__(self, _memo: object) -> NoReturn:
        self.__reduce__()


def _refuse(key_type: KeyType, what: str) -> NoReturn:
    raise UsageError(f"a key of type {key_type.value} {what}")


def require_signing(key_type: KeyType, algorithm: Algorithm, message: bytes, prehashed: bool) -> None:
    """Return if the type signs by this algorithm and the message may be what it is said to be.

    Raises:
        UsageError: it does not, or the digest has another length; the message names what fits.
    """
    allowed = SIGNING[key_type]
    if algorithm not in allowed:
        raise UsageError(
            f"a key of type {key_type.value} does not sign by {_shown(algorithm)}",
            hint=f"choose {' or '.join(each.value for each in allowed)}",
        )
    if not prehashed:
        return
    length = DIGEST_LENGTH.get(algorithm)
    if length is None:
        raise UsageError(f"{algorithm} signs messages, not digests", hint="give the message itself")
    if len(message) != length:
        raise UsageError(f"a digest for {algorithm} is {length} bytes, not {len(message)}")


def require_encryption(key_type: KeyType, algorithm: Algorithm) -> None:
    """Return if the type encrypts by this algorithm.

    Raises:
        UsageError: it does not; the message names what fits.
    """
    allowed = ENCRYPTION[key_type]
    if algorithm not in allowed:
        raise UsageError(
            f"a key of type {key_type.value} does not encrypt by {_shown(algorithm)}",
            hint=f"choose {' or '.join(each.value for each in allowed)}",
        )


def load_der(key_type: KeyType, der: bytes) -> object:
    """The library's public key of a SubjectPublicKeyInfo in its one DER spelling, of whatever type it is.

    Raises:
        UsageError: it is not one; the message names the type that was wanted.
    """
    if type(der) is not bytes or len(der) > MAX_DER:
        raise UsageError("a public key must be bytes in DER, and of a key's size")
    with suppress(*UNREADABLE):
        public = load_der_public_key(der)
        if public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == der:
            return public
    raise UsageError(
        f"this is not a public key of type {key_type.value}",
        hint="give a SubjectPublicKeyInfo in DER as `openssl pkey -pubout -outform DER` writes it, points uncompressed",
    )


def _shown(algorithm: object) -> str:
    return str(algorithm)[:40] if isinstance(algorithm, str) else f"a {type(algorithm).__name__}"

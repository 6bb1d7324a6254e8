"""RSA: PSS and PKCS#1 v1.5 signatures, OAEP encryption (RFC 8017)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP, PSS, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA384, SHA512, HashAlgorithm

from keystead.crypto.keypair import PrivateKey, PublicKey, require_encryption, require_signing
from keystead.crypto.types import Algorithm, KeyType
from keystead.errors import DecryptionError, UsageError

BITS: Final[Mapping[KeyType, int]] = {KeyType.RSA_2048: 2048, KeyType.RSA_3072: 3072, KeyType.RSA_4096: 4096}
EXPONENT: Final = 65537
MAX_EXPONENT: Final = 1 << 64
_Scheme = tuple[PSS | PKCS1v15, HashAlgorithm, Prehashed]


def _pss(made: HashAlgorithm) -> _Scheme:
    return PSS(MGF1(made), made.digest_size), made, Prehashed(made)


def _pkcs1(made: HashAlgorithm) -> _Scheme:
    return PKCS1v15(), made, Prehashed(made)


_SCHEMES: Final[Mapping[Algorithm, _Scheme]] = {
    Algorithm.RSASSA_PSS_SHA_256: _pss(SHA256()),
    Algorithm.RSASSA_PSS_SHA_384: _pss(SHA384()),
    Algorithm.RSASSA_PSS_SHA_512: _pss(SHA512()),
    Algorithm.RSASSA_PKCS1_V1_5_SHA_256: _pkcs1(SHA256()),
    Algorithm.RSASSA_PKCS1_V1_5_SHA_384: _pkcs1(SHA384()),
    Algorithm.RSASSA_PKCS1_V1_5_SHA_512: _pkcs1(SHA512()),
}
_HASH_OF_OAEP: Final[Mapping[Algorithm, HashAlgorithm]] = {
    Algorithm.RSAES_OAEP_SHA_256: SHA256(),
    Algorithm.RSAES_OAEP_SHA_1: SHA1(),  # noqa: S303 - for callers that must ask for it by name
}


def _oaep(algorithm: Algorithm, label: bytes) -> OAEP:
    made = _HASH_OF_OAEP[algorithm]
    return OAEP(MGF1(made), made, label or None)


class RsaPublicKey(PublicKey):
    """The public half of an RSA key."""

    __slots__ = ()
    _public: rsa.RSAPublicKey

    def verify(self, message: bytes, signature: bytes, algorithm: Algorithm, *, prehashed: bool = False) -> bool:
        """As `PublicKey.verify`; a PSS salt of another length than the hash is no signature of ours."""
        require_signing(self.key_type, algorithm, message, prehashed)
        padding, hashed, digest = _SCHEMES[algorithm]
        try:
            self._public.verify(signature, message, padding, digest if prehashed else hashed)
        except InvalidSignature:
            return False
        return True

    def encrypt(self, plaintext: bytes, algorithm: Algorithm, label: bytes = b"") -> bytes:
        """As `PublicKey.encrypt`."""
        require_encryption(self.key_type, algorithm)
        limit = BITS[self.key_type] // 8 - 2 * _HASH_OF_OAEP[algorithm].digest_size - 2
        if len(plaintext) > limit:
            raise UsageError(
                f"a key of type {self.key_type.value} encrypts at most {limit} bytes by {algorithm}",
                hint="encrypt the data under a data key, and the data key under this one",
            )
        return self._public.encrypt(plaintext, _oaep(algorithm, label))


class RsaPrivateKey(PrivateKey):
    """An RSA key pair."""

    __slots__ = ()
    _private: rsa.RSAPrivateKey

    def public(self) -> RsaPublicKey:
        """The public half."""
        return RsaPublicKey(self.key_type, self._private.public_key())

    def sign(self, message: bytes, algorithm: Algorithm, *, prehashed: bool = False) -> bytes:
        """As `PrivateKey.sign`; a PSS signature has a fresh salt as long as the hash."""
        require_signing(self.key_type, algorithm, message, prehashed)
        padding, hashed, digest = _SCHEMES[algorithm]
        return self._private.sign(message, padding, digest if prehashed else hashed)

    def decrypt(self, ciphertext: bytes, algorithm: Algorithm, label: bytes = b"") -> bytes:
        """As `PrivateKey.decrypt`."""
        require_encryption(self.key_type, algorithm)
        try:
            return self._private.decrypt(ciphertext, _oaep(algorithm, label))
        except ValueError:
            pass
        # raised outside, so that one failure is as another
        raise DecryptionError


def problem_of_public(key_type: KeyType, numbers: rsa.RSAPublicNumbers) -> str | None:
    """What keeps a public key from being one of this type; None where nothing does."""
    bits = numbers.n.bit_length()
    if bits != BITS[key_type]:
        return f"has {bits} bits"
    # FIPS 186-5 appendix A.1.1 allows more; a longer exponent only makes verification slow, and some libraries refuse.
    if numbers.e < EXPONENT or numbers.e >= MAX_EXPONENT or numbers.e % 2 == 0:
        return f"has a public exponent that is even, below {EXPONENT} or longer than 64 bits"
    return None


def problem_of_private(key_type: KeyType, numbers: rsa.RSAPrivateNumbers) -> str | None:
    """What keeps a consistent key pair from being a sound one (FIPS 186-5 appendix A.1.1); None where nothing does."""
    half = BITS[key_type] // 2
    if numbers.p.bit_length() != half or numbers.q.bit_length() != half:
        return "has primes that are not half as long as the modulus"
    if abs(numbers.p - numbers.q).bit_length() <= half - 100:
        return "has primes that are too close together"
    if numbers.d.bit_length() <= half:
        return "has a private exponent that is too small"
    return None

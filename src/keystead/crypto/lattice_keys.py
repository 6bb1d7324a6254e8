"""ML-DSA signatures (FIPS 204, empty context) and ML-KEM encapsulation (FIPS 203)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import mldsa, mlkem

from keystead.crypto.keypair import PrivateKey, PublicKey, require_signing
from keystead.crypto.types import Algorithm, KeyType
from keystead.errors import DecryptionError

DsaPrivate = mldsa.MLDSA44PrivateKey | mldsa.MLDSA65PrivateKey | mldsa.MLDSA87PrivateKey
DsaPublic = mldsa.MLDSA44PublicKey | mldsa.MLDSA65PublicKey | mldsa.MLDSA87PublicKey
KemPrivate = mlkem.MLKEM768PrivateKey | mlkem.MLKEM1024PrivateKey
KemPublic = mlkem.MLKEM768PublicKey | mlkem.MLKEM1024PublicKey

PRIVATE: Final[Mapping[KeyType, type[DsaPrivate] | type[KemPrivate]]] = {
    KeyType.ML_DSA_44: mldsa.MLDSA44PrivateKey,
    KeyType.ML_DSA_65: mldsa.MLDSA65PrivateKey,
    KeyType.ML_DSA_87: mldsa.MLDSA87PrivateKey,
    KeyType.ML_KEM_768: mlkem.MLKEM768PrivateKey,
    KeyType.ML_KEM_1024: mlkem.MLKEM1024PrivateKey,
}
PUBLIC: Final[Mapping[KeyType, type[DsaPublic] | type[KemPublic]]] = {
    KeyType.ML_DSA_44: mldsa.MLDSA44PublicKey,
    KeyType.ML_DSA_65: mldsa.MLDSA65PublicKey,
    KeyType.ML_DSA_87: mldsa.MLDSA87PublicKey,
    KeyType.ML_KEM_768: mlkem.MLKEM768PublicKey,
    KeyType.ML_KEM_1024: mlkem.MLKEM1024PublicKey,
}


class DsaPublicKey(PublicKey):
    """The public half of an ML-DSA key."""

    __slots__ = ()
    _public: DsaPublic

    @property
    def raw(self) -> bytes:
        """The encoded key of FIPS 204."""
        return self._public.public_bytes_raw()

    def verify(self, message: bytes, signature: bytes, algorithm: Algorithm, *, prehashed: bool = False) -> bool:
        """As `PublicKey.verify`."""
        require_signing(self.key_type, algorithm, message, prehashed)
        try:
            self._public.verify(signature, message)
        except InvalidSignature:
            return False
        return True


class DsaPrivateKey(PrivateKey):
    """An ML-DSA key pair."""

    __slots__ = ()
    _private: DsaPrivate

    def public(self) -> DsaPublicKey:
        """The public half."""
        return DsaPublicKey(self.key_type, self._private.public_key())

    def sign(self, message: bytes, algorithm: Algorithm, *, prehashed: bool = False) -> bytes:
        """As `PrivateKey.sign`, hedged: another signature each time."""
        require_signing(self.key_type, algorithm, message, prehashed)
        return self._private.sign(message)


class KemPublicKey(PublicKey):
    """The public half of an ML-KEM key."""

    __slots__ = ()
    _public: KemPublic

    @property
    def raw(self) -> bytes:
        """The encapsulation key of FIPS 203."""
        return self._public.public_bytes_raw()

    def encapsulate(self) -> tuple[bytes, bytes]:
        """As `PublicKey.encapsulate`: the shared secret, then its ciphertext."""
        return self._public.encapsulate()


class KemPrivateKey(PrivateKey):
    """An ML-KEM key pair."""

    __slots__ = ()
    _private: KemPrivate

    def public(self) -> KemPublicKey:
        """The public half."""
        return KemPublicKey(self.key_type, self._private.public_key())

    def decapsulate(self, ciphertext: bytes) -> bytes:
        """As `PrivateKey.decapsulate`."""
        try:
            return self._private.decapsulate(ciphertext)
        except ValueError:
            pass
        # raised outside, so that one failure is as another
        raise DecryptionError

"""Ed25519 (RFC 8032), ECDSA (FIPS 186-5) and ECDH (SP 800-56A) keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm

from keystead.crypto.keypair import PrivateKey, PublicKey, load_der, require_signing
from keystead.crypto.types import Algorithm, KeyType
from keystead.errors import UsageError

CURVES: Final[Mapping[KeyType, ec.EllipticCurve]] = {
    KeyType.ECDSA_P256: ec.SECP256R1(),
    KeyType.ECDSA_P384: ec.SECP384R1(),
    KeyType.ECDSA_P521: ec.SECP521R1(),
    KeyType.ECDSA_SECP256K1: ec.SECP256K1(),
    KeyType.ECDH_P256: ec.SECP256R1(),
    KeyType.ECDH_P384: ec.SECP384R1(),
    KeyType.ECDH_P521: ec.SECP521R1(),
}
_Scheme = tuple[ec.ECDSA, ec.ECDSA]


def _scheme(made: HashAlgorithm) -> _Scheme:
    return ec.ECDSA(made), ec.ECDSA(Prehashed(made))


_SCHEMES: Final[Mapping[Algorithm, _Scheme]] = {
    Algorithm.ECDSA_SHA_256: _scheme(SHA256()),
    Algorithm.ECDSA_SHA_384: _scheme(SHA384()),
    Algorithm.ECDSA_SHA_512: _scheme(SHA512()),
}
# The points of order 1, 2, 4 and 8 by their y coordinate: under such a key a signature can be made without any secret.
_FIELD: Final = 2**255 - 19
_OF_ORDER_8: Final = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL_ORDER: Final = frozenset((0, 1, _FIELD - 1, _OF_ORDER_8, _FIELD - _OF_ORDER_8))


class EdPublicKey(PublicKey):
    """The public half of an Ed25519 key."""

    __slots__ = ()
    _public: Ed25519PublicKey

    @property
    def raw(self) -> bytes:
        """The 32 bytes of RFC 8032."""
        return self._public.public_bytes_raw()

    def verify(self, message: bytes, signature: bytes, algorithm: Algorithm, *, prehashed: bool = False) -> bool:
        """As `PublicKey.verify`."""
        require_signing(self.key_type, algorithm, message, prehashed)
        try:
            self._public.verify(signature, message)
        except InvalidSignature:
            return False
        return True


class EdPrivateKey(PrivateKey):
    """An Ed25519 key pair."""

    __slots__ = ()
    _private: Ed25519PrivateKey

    def public(self) -> EdPublicKey:
        """The public half."""
        return EdPublicKey(self.key_type, self._private.public_key())

    def sign(self, message: bytes, algorithm: Algorithm, *, prehashed: bool = False) -> bytes:
        """As `PrivateKey.sign`: 64 bytes, the same each time."""
        require_signing(self.key_type, algorithm, message, prehashed)
        return self._private.sign(message)


class EcdsaPublicKey(PublicKey):
    """The public half of an ECDSA key."""

    __slots__ = ()
    _public: ec.EllipticCurvePublicKey

    def verify(self, message: bytes, signature: bytes, algorithm: Algorithm, *, prehashed: bool = False) -> bool:
        """As `PublicKey.verify`; `signature` in DER."""
        require_signing(self.key_type, algorithm, message, prehashed)
        try:
            self._public.verify(signature, message, _SCHEMES[algorithm][prehashed])
        except InvalidSignature:
            return False
        return True


class EcdsaPrivateKey(PrivateKey):
    """An ECDSA key pair."""

    __slots__ = ()
    _private: ec.EllipticCurvePrivateKey

    def public(self) -> EcdsaPublicKey:
        """The public half."""
        return EcdsaPublicKey(self.key_type, self._private.public_key())

    def sign(self, message: bytes, algorithm: Algorithm, *, prehashed: bool = False) -> bytes:
        """As `PrivateKey.sign`: DER."""
        require_signing(self.key_type, algorithm, message, prehashed)
        return self._private.sign(message, _SCHEMES[algorithm][prehashed])


class EcdhPublicKey(PublicKey):
    """The public half of an ECDH key, which has nothing to do itself."""

    __slots__ = ()
    _public: ec.EllipticCurvePublicKey


class EcdhPrivateKey(PrivateKey):
    """An ECDH key pair."""

    __slots__ = ()
    _private: ec.EllipticCurvePrivateKey

    def public(self) -> EcdhPublicKey:
        """The public half."""
        return EcdhPublicKey(self.key_type, self._private.public_key())

    def agree(self, peer_public_der: bytes) -> bytes:
        """As `PrivateKey.agree`."""
        peer = load_der(self.key_type, peer_public_der)
        if not isinstance(peer, ec.EllipticCurvePublicKey) or not is_on_curve(self.key_type, peer.curve):
            raise UsageError(
                f"the peer's public key is not on the curve of {self.key_type.value}",
                hint="both sides of an agreement need keys of one curve",
            )
        return self._private.exchange(ec.ECDH(), peer)


def is_on_curve(key_type: KeyType, curve: ec.EllipticCurve) -> bool:
    """Whether this is the type's own curve; the library's curves are told apart by name."""
    return key_type in CURVES and CURVES[key_type].name == curve.name


def is_small_order(raw: bytes) -> bool:
    """Whether an Ed25519 public key is a point of small order, or is not the one spelling of its point."""
    y = int.from_bytes(raw, "little") & ((1 << 255) - 1)
    return y >= _FIELD or y in _SMALL_ORDER

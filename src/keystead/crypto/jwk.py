"""Public keys in the form of RFC 7517, and the signatures of RFC 7518 and RFC 8037 that they verify.

Signatures of public keys only: no algorithm here takes a shared secret, so that no public key can be taken for one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from keystead.crypto.base64url import decode

RSA_ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
ALGORITHMS: Final = (*RSA_ALGORITHMS, "ES256", "ES384", "ES512", "EdDSA")
MAX_KID: Final = 256
MAX_NUMBER: Final = 2_048
"""Characters of a number in a key: 8,192 bits have 1,366."""

_HASHES: Final[Mapping[str, hashes.HashAlgorithm]] = {
    "256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()
}  # fmt: skip
_CURVES: Final[Mapping[str, tuple[ec.EllipticCurve, str]]] = {
    "P-256": (ec.SECP256R1(), "ES256"), "P-384": (ec.SECP384R1(), "ES384"), "P-521": (ec.SECP521R1(), "ES512")
}  # fmt: skip
_MIN_RSA_BITS: Final = 2_048
_MAX_RSA_BITS: Final = 8_192
_MIN_EXPONENT: Final = 65_537
_MAX_EXPONENT: Final = 1 << 32
_ROCA_PRIMES: Final = (
    11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157
)  # fmt: skip
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | Ed25519PublicKey


class PublicJwk(NamedTuple):
    """A public key for signatures: its `kid` ("" without one), the algorithms that it may verify, and the key."""

    kid: str
    algorithms: frozenset[str]
    key: PublicKey

    def verifies(self, algorithm: str, message: bytes, signature: bytes) -> bool:
        """Whether `signature` over `message` is good under this key and `algorithm`; never another algorithm."""
        if algorithm not in self.algorithms:
            return False
        try:
            _verify(self.key, algorithm, message, signature)
        except (InvalidSignature, ValueError):
            return False
        return True


def load_jwk(fields: Mapping[str, object]) -> PublicJwk:
    """The public key that the members of a JWK describe (RFC 7517 section 4; RSA, EC, and OKP with Ed25519).

    Certificates in it (`x5c`, `x5u`) are not looked at. RSA keys have 2,048 to 8,192 bits, an odd exponent from 65,537
    to 2^32, and not the structure of CVE-2017-15361.

    Raises:
        ValueError: it is no such key, is for another use, has a private part, or names an algorithm that does not fit;
            the message says which, and holds nothing of the key.
    """
    private = {"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"} & fields.keys()
    if private:
        raise ValueError("has a private or secret part; only public keys belong here")
    kid = fields.get("kid", "")
    if not isinstance(kid, str) or len(kid) > MAX_KID:
        raise ValueError(f"its kid is not a text of at most {MAX_KID} characters")
    operations = fields.get("key_ops", ["verify"])
    if fields.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        raise ValueError("is not a key for verifying signatures")
    try:
        key, algorithms = _load(fields)
    except UnsupportedAlgorithm:
        raise ValueError("is of a type that this machine's library does not know") from None
    if "alg" in fields:
        named = fields["alg"]
        if not isinstance(named, str) or named not in algorithms:
            raise ValueError("its alg is not one for this type of key")
        algorithms = (named,)
    return PublicJwk(kid, frozenset(algorithms), key)


def _load(fields: Mapping[str, object]) -> tuple[PublicKey, tuple[str, ...]]:
    kind = fields.get("kty")
    if kind == "RSA":
        return _load_rsa(_number(fields, "n"), _number(fields, "e")), RSA_ALGORITHMS
    curve = fields.get("crv")
    if kind == "EC" and isinstance(curve, str) and curve in _CURVES:
        on, algorithm = _CURVES[curve]
        length = (on.key_size + 7) // 8
        point = b"\x04" + _octets(fields, "x", length) + _octets(fields, "y", length)
        try:
            return ec.EllipticCurvePublicKey.from_encoded_point(on, point), (algorithm,)
        except ValueError:
            raise ValueError("its x and y are no point of its curve") from None
    if kind == "OKP" and curve == "Ed25519":
        return Ed25519PublicKey.from_public_bytes(_octets(fields, "x", 32)), ("EdDSA",)
    raise ValueError("its kty and crv are none of RSA, EC on P-256, P-384 or P-521, OKP on Ed25519")


def _load_rsa(modulus: int, exponent: int) -> rsa.RSAPublicKey:
    if not _MIN_RSA_BITS <= modulus.bit_length() <= _MAX_RSA_BITS:
        raise ValueError(f"its n does not have {_MIN_RSA_BITS} to {_MAX_RSA_BITS} bits")
    if not _MIN_EXPONENT <= exponent <= _MAX_EXPONENT or exponent % 2 == 0 or modulus % 2 == 0:
        raise ValueError("its e is not an odd number from 65537 to 2^32, or its n is even")
    if _is_roca(modulus):
        raise ValueError("its n has the structure of CVE-2017-15361 and can be factored")
    return rsa.RSAPublicNumbers(exponent, modulus).public_key()


def _is_roca(modulus: int) -> bool:
    """Whether a modulus is a power of 65537 modulo every small prime where most numbers are not (Nemec et al., 2017).

    A sound key is taken for a weak one less than once in 2^27.
    """
    for prime in _ROCA_PRIMES:
        power, powers = 1, set()
        while power not in powers:
            powers.add(power)
            power = power * 65_537 % prime
        if modulus % prime not in powers:
            return False
    return True


def _verify(key: PublicKey, algorithm: str, message: bytes, signature: bytes) -> None:
    if isinstance(key, Ed25519PublicKey):
        key.verify(signature, message)
        return
    digest = _HASHES[algorithm[2:]]
    if isinstance(key, rsa.RSAPublicKey):
        # RFC 7518 section 3.5: the salt is as long as the digest, and nothing else is taken.
        scheme = padding.PSS(padding.MGF1(digest), digest.digest_size) if algorithm[0] == "P" else padding.PKCS1v15()
        key.verify(signature, message, scheme, digest)
        return
    length = (key.curve.key_size + 7) // 8
    if len(signature) != 2 * length:
        raise InvalidSignature
    r, s = int.from_bytes(signature[:length]), int.from_bytes(signature[length:])
    key.verify(encode_dss_signature(r, s), message, ec.ECDSA(digest))


def _octets(fields: Mapping[str, object], name: str, length: int) -> bytes:
    data = _bytes(fields, name)
    if len(data) != length:
        raise ValueError(f"its {name} is not {length} bytes")
    return data


def _number(fields: Mapping[str, object], name: str) -> int:
    return int.from_bytes(_bytes(fields, name))


def _bytes(fields: Mapping[str, object], name: str) -> bytes:
    text = fields.get(name)
    try:
        if not isinstance(text, str) or len(text) > MAX_NUMBER:
            raise ValueError
        return decode(text)
    except ValueError:
        raise ValueError(f"its {name} is not base64url") from None

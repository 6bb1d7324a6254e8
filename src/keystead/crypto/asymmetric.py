"""Key material of every type: made, checked and loaded.

Material is random bytes for symmetric types, a seed for ML-DSA (32 bytes) and ML-KEM (64 bytes, d then z), and an
unencrypted PKCS#8 in DER (RFC 5958) for RSA, the curves and Ed25519.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from keystead.crypto.elliptic_keys import (
    CURVES,
    EcdhPrivateKey,
    EcdhPublicKey,
    EcdsaPrivateKey,
    EcdsaPublicKey,
    EdPrivateKey,
    EdPublicKey,
    is_on_curve,
    is_small_order,
)
from keystead.crypto.keypair import MAX_DER, UNREADABLE, PrivateKey, PublicKey, load_der
from keystead.crypto.lattice_keys import PRIVATE, PUBLIC, DsaPrivateKey, DsaPublicKey, KemPrivateKey, KemPublicKey
from keystead.crypto.material import random_bytes
from keystead.crypto.rsa_keys import (
    BITS,
    EXPONENT,
    RsaPrivateKey,
    RsaPublicKey,
    problem_of_private,
    problem_of_public,
)
from keystead.crypto.types import MATERIAL_LENGTH, KeyType
from keystead.errors import UsageError

_VERSIONS: Final = (b"\x02\x01\x00", b"\x02\x01\x01")
_RSA_ENCRYPTION: Final = bytes.fromhex("300d06092a864886f70d0101010500")
_NOT_WHOLE: Final = "is not a whole and consistent key"
_ECDH: Final = (KeyType.ECDH_P256, KeyType.ECDH_P384, KeyType.ECDH_P521)
_ML_KEM: Final = (KeyType.ML_KEM_768, KeyType.ML_KEM_1024)


def generate(key_type: KeyType) -> bytearray:
    """Fresh private material of this type; its owner zeroes it once it is wrapped.

    RSA takes from a tenth of a second to some seconds. The library gives PKCS#8 as bytes, of which one copy stays in
    memory until it is reused.
    """
    length = MATERIAL_LENGTH.get(key_type)
    if length is not None:
        return bytearray(random_bytes(length))
    made: Any
    if key_type in BITS:
        made = rsa.generate_private_key(EXPONENT, BITS[key_type])
    elif key_type in CURVES:
        made = ec.generate_private_key(CURVES[key_type])
    else:
        made = Ed25519PrivateKey.generate()
    return _pkcs8(made)


def normal_material(key_type: KeyType, material: bytes | bytearray) -> bytearray:
    """Sound material in the one spelling in which keystead writes it: to be stored in place of what was imported.

    Raises:
        UsageError: as `check_material`.
    """
    check_material(key_type, material)
    if key_type in MATERIAL_LENGTH:
        return bytearray(material)
    return _pkcs8(_parse(key_type, material))


def check_material(key_type: KeyType, material: bytes | bytearray) -> None:
    """Return if this is sound private material of the type. For RSA it proves both primes, which takes a moment.

    Raises:
        UsageError: it is not; the message names what is wrong, and nothing of the material.
    """
    if not isinstance(material, bytes | bytearray):
        raise UsageError("key material must be bytes")
    length = MATERIAL_LENGTH.get(key_type)
    if length is None:
        _parse(key_type, material)
        if key_type in BITS:
            _prove(key_type, material)
        return
    if len(material) != length:
        raise _unsound(key_type, f"is {len(material)} bytes and not {length}")
    if material.count(material[0]) == length:
        raise _unsound(key_type, "is one byte repeated, which no random generator gives")


def load_private(key_type: KeyType, material: bytes | bytearray) -> PrivateKey:
    """The key pair of material that `generate` made or `check_material` passed: an RSA key is not proved again here.

    Raises:
        UsageError: a type without key pairs, or material of another type.
    """
    if key_type in PRIVATE:
        if len(material) != MATERIAL_LENGTH[key_type]:
            raise _unsound(key_type, f"is not {MATERIAL_LENGTH[key_type]} bytes")
        made = PRIVATE[key_type].from_seed_bytes(material)
        return KemPrivateKey(key_type, made) if key_type in _ML_KEM else DsaPrivateKey(key_type, made)
    _require_pair(key_type)
    private = _parse(key_type, material)
    if key_type in BITS:
        return RsaPrivateKey(key_type, private)
    if key_type is KeyType.ED25519:
        return EdPrivateKey(key_type, private)
    return EcdhPrivateKey(key_type, private) if key_type in _ECDH else EcdsaPrivateKey(key_type, private)


def load_public(key_type: KeyType, der: bytes) -> PublicKey:
    """A public key from its SubjectPublicKeyInfo in DER; one spelling only, so no compressed points.

    Raises:
        UsageError: it is not a public key of this type, or is spelled otherwise.
    """
    _require_pair(key_type)
    public = load_der(key_type, der)
    if isinstance(public, rsa.RSAPublicKey) and key_type in BITS:
        problem = problem_of_public(key_type, public.public_numbers())
        if problem:
            raise UsageError(f"a public key for {key_type.value} {problem}")
        return RsaPublicKey(key_type, public)
    if isinstance(public, ec.EllipticCurvePublicKey) and is_on_curve(key_type, public.curve):
        return EcdhPublicKey(key_type, public) if key_type in _ECDH else EcdsaPublicKey(key_type, public)
    if isinstance(public, Ed25519PublicKey) and key_type is KeyType.ED25519:
        if is_small_order(public.public_bytes_raw()):
            raise UsageError("an Ed25519 public key of small order proves nothing: anyone can sign for it")
        return EdPublicKey(key_type, public)
    if key_type in PUBLIC and isinstance(public, PUBLIC[key_type]):
        return KemPublicKey(key_type, public) if key_type in _ML_KEM else DsaPublicKey(key_type, public)
    raise UsageError(f"this is the public key of another type than {key_type.value}")


def _require_pair(key_type: KeyType) -> None:
    if key_type in MATERIAL_LENGTH and key_type not in PRIVATE:
        raise UsageError(f"a key of type {key_type.value} has no public half")


def _parse(key_type: KeyType, material: bytes | bytearray) -> Any:
    """The library's key of PKCS#8 material of this type; of an RSA key nothing but the size is looked at."""
    if not _is_pkcs8(material, rsa_only=key_type in BITS):
        raise _unsound(key_type, "is not an unencrypted PKCS#8 in DER")
    private: Any = None
    with suppress(*UNREADABLE):
        private = load_der_private_key(material, None, unsafe_skip_rsa_key_validation=True)
    if private is None:
        raise _unsound(key_type, _NOT_WHOLE)
    if isinstance(private, rsa.RSAPrivateKey) and key_type in BITS:
        if private.key_size != BITS[key_type]:
            raise _unsound(key_type, f"has {private.key_size} bits")
    elif isinstance(private, ec.EllipticCurvePrivateKey) and key_type in CURVES:
        if not is_on_curve(key_type, private.curve):
            raise _unsound(key_type, f"is on the curve {private.curve.name}")
    elif not (isinstance(private, Ed25519PrivateKey) and key_type is KeyType.ED25519):
        raise _unsound(key_type, "is a key of another type")
    return private


def _prove(key_type: KeyType, material: bytes | bytearray) -> None:
    """Return if the numbers of an RSA key of the right size belong together; the library tests both primes."""
    private: object = None
    with suppress(*UNREADABLE):
        private = load_der_private_key(material, None)
    if not isinstance(private, rsa.RSAPrivateKey):
        raise _unsound(key_type, _NOT_WHOLE)
    numbers = private.private_numbers()
    problem = problem_of_public(key_type, numbers.public_numbers) or problem_of_private(key_type, numbers)
    if problem:
        raise _unsound(key_type, problem)


def _is_pkcs8(material: bytes | bytearray, *, rsa_only: bool) -> bool:
    """Whether the DER begins as a PKCS#8 does; the older forms of RSA and curve keys have no AlgorithmIdentifier."""
    if not 4 < len(material) <= MAX_DER or material[0] != 0x30:
        return False
    start = 2 + (material[1] & 0x7F if material[1] & 0x80 else 0)
    body = material[start + 3 : start + 3 + len(_RSA_ENCRYPTION)]
    return material[start : start + 3] in _VERSIONS and (body == _RSA_ENCRYPTION if rsa_only else body[:1] == b"\x30")


def _pkcs8(private: Any) -> bytearray:
    return bytearray(private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))


def _unsound(key_type: KeyType, problem: str) -> UsageError:
    return UsageError(f"material for a key of type {key_type.value} {problem}")

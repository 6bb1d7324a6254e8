"""An issuer of tokens, which can also make every wrong one."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from keystead.access.methods.jwt_config import JwtConfig
from keystead.crypto.base64url import encode

NOW_S = 1_790_000_000
NOW_MS = NOW_S * 1_000
ISSUER = "https://login.example.org"
CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}


def private_key(algorithm: str, number: int = 0) -> Any:
    """A key for an algorithm, made once a run; RSA's are shared, since they take long to make."""
    return _rsa_key(number) if algorithm[:2] in ("RS", "PS") else _other_key(algorithm, number)


@cache
def _other_key(algorithm: str, number: int) -> Any:
    return Ed25519PrivateKey.generate() if algorithm == "EdDSA" else ec.generate_private_key(CURVES[algorithm])


@cache
def _rsa_key(number: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65_537, 2_048)


def b64_number(number: int, length: int | None = None) -> str:
    return encode(number.to_bytes(length or (number.bit_length() + 7) // 8))


def jwk(algorithm: str, kid: str = "k1", number: int = 0, **more: object) -> dict[str, Any]:
    """The public key of an algorithm as a JWK."""
    public = private_key(algorithm, number).public_key()
    fields: dict[str, Any] = {"kid": kid, "alg": algorithm, "use": "sig"}
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        fields |= {"kty": "RSA", "n": b64_number(numbers.n), "e": b64_number(numbers.e)}
    elif isinstance(public, ec.EllipticCurvePublicKey):
        length = (public.curve.key_size + 7) // 8
        point = public.public_numbers()
        curve = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}[algorithm]
        fields |= {"kty": "EC", "crv": curve, "x": b64_number(point.x, length), "y": b64_number(point.y, length)}
    else:
        fields |= {"kty": "OKP", "crv": "Ed25519", "x": encode(public.public_bytes_raw())}
    return {**fields, **more}


def sign(algorithm: str, message: bytes, number: int = 0) -> bytes:
    key = private_key(algorithm, number)
    if algorithm == "EdDSA":
        return key.sign(message)
    digest = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}[algorithm[2:]]
    if algorithm[0] == "E":
        r, s = decode_dss_signature(key.sign(message, ec.ECDSA(digest)))
        length = (key.curve.key_size + 7) // 8
        return r.to_bytes(length) + s.to_bytes(length)
    scheme = padding.PSS(padding.MGF1(digest), digest.digest_size) if algorithm[0] == "P" else padding.PKCS1v15()
    return key.sign(message, scheme, digest)


def good_claims(**changed: object) -> dict[str, Any]:
    """Claims that `config()` takes at NOW; None removes one."""
    claims: dict[str, Any] = {
        "iss": ISSUER, "aud": "keystead", "sub": "ada", "exp": NOW_S + 600, "iat": NOW_S - 5, "nbf": NOW_S - 5,
        **changed,
    }  # fmt: skip
    return {name: value for name, value in claims.items() if value is not None}


def token(
    claims: dict[str, Any] | str | bytes,
    algorithm: str = "ES256",
    *,
    header: dict[str, Any] | str | None = None,
    number: int = 0,
) -> str:
    """A token signed as told; a header or claims given as text are taken as they are, so that they can be wrong."""
    if header is None:
        header = {"alg": algorithm, "kid": "k1", "typ": "JWT"}
    head = header if isinstance(header, str) else json.dumps(header)
    body = claims if isinstance(claims, bytes) else claims.encode() if isinstance(claims, str) else _dumped(claims)
    message = f"{encode(head.encode())}.{encode(body)}"
    return f"{message}.{encode(sign(algorithm, message.encode(), number))}"


def _dumped(claims: dict[str, Any]) -> bytes:
    return json.dumps(claims).encode()


def config(*algorithms: str, **changed: Any) -> JwtConfig:
    """A configuration with the keys of `algorithms` (ES256 where none is named) in it."""
    algorithms = algorithms or ("ES256",)
    keys = [jwk(algorithm, f"k{number}") for number, algorithm in enumerate(algorithms, 1)]
    given: dict[str, Any] = {
        "issuer": ISSUER,
        "audiences": ("keystead",),
        "algorithms": algorithms,
        "jwks": json.dumps({"keys": keys}),
        "policies": ("readers",),
        **changed,
    }
    return JwtConfig(**given)

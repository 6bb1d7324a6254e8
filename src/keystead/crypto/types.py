"""The types of named keys, and the algorithms of each. The type fixes every other parameter."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class KeyType(StrEnum):
    """What a named key is: its primitive, curve or size. Chosen when the key is created and never changed."""

    AES_256_GCM = "aes-256-gcm"
    AES_256_GCM_SIV = "aes-256-gcm-siv"
    CHACHA20_POLY1305 = "chacha20-poly1305"
    HMAC_SHA_256 = "hmac-sha-256"
    HMAC_SHA_384 = "hmac-sha-384"
    HMAC_SHA_512 = "hmac-sha-512"
    ED25519 = "ed25519"
    ECDSA_P256 = "ecdsa-p256"
    ECDSA_P384 = "ecdsa-p384"
    ECDSA_P521 = "ecdsa-p521"
    ECDSA_SECP256K1 = "ecdsa-secp256k1"
    ECDH_P256 = "ecdh-p256"
    ECDH_P384 = "ecdh-p384"
    ECDH_P521 = "ecdh-p521"
    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"
    ML_DSA_44 = "ml-dsa-44"
    ML_DSA_65 = "ml-dsa-65"
    ML_DSA_87 = "ml-dsa-87"
    ML_KEM_768 = "ml-kem-768"
    ML_KEM_1024 = "ml-kem-1024"


class Algorithm(StrEnum):
    """How a message is signed, or encrypted under an RSA key.

    PSS salts are as long as the hash, and MGF1 takes the scheme's own hash (RFC 8017 sections 8.1 and 7.1).
    """

    ED25519 = "ed25519"
    ECDSA_SHA_256 = "ecdsa-sha-256"
    ECDSA_SHA_384 = "ecdsa-sha-384"
    ECDSA_SHA_512 = "ecdsa-sha-512"
    RSASSA_PSS_SHA_256 = "rsassa-pss-sha-256"
    RSASSA_PSS_SHA_384 = "rsassa-pss-sha-384"
    RSASSA_PSS_SHA_512 = "rsassa-pss-sha-512"
    RSASSA_PKCS1_V1_5_SHA_256 = "rsassa-pkcs1-v1_5-sha-256"
    RSASSA_PKCS1_V1_5_SHA_384 = "rsassa-pkcs1-v1_5-sha-384"
    RSASSA_PKCS1_V1_5_SHA_512 = "rsassa-pkcs1-v1_5-sha-512"
    ML_DSA = "ml-dsa"
    RSAES_OAEP_SHA_256 = "rsaes-oaep-sha-256"
    RSAES_OAEP_SHA_1 = "rsaes-oaep-sha-1"


_RSA_SIGNING: Final = (
    Algorithm.RSASSA_PSS_SHA_256,
    Algorithm.RSASSA_PSS_SHA_384,
    Algorithm.RSASSA_PSS_SHA_512,
    Algorithm.RSASSA_PKCS1_V1_5_SHA_256,
    Algorithm.RSASSA_PKCS1_V1_5_SHA_384,
    Algorithm.RSASSA_PKCS1_V1_5_SHA_512,
)
# OAEP holds with SHA-1, whose collisions it does not rest on; it is there for callers that must ask for it by name.
_RSA_ENCRYPTION: Final = (Algorithm.RSAES_OAEP_SHA_256, Algorithm.RSAES_OAEP_SHA_1)

SIGNING: Final[Mapping[KeyType, tuple[Algorithm, ...]]] = {
    KeyType.ED25519: (Algorithm.ED25519,),
    KeyType.ECDSA_P256: (Algorithm.ECDSA_SHA_256,),
    KeyType.ECDSA_P384: (Algorithm.ECDSA_SHA_384,),
    KeyType.ECDSA_P521: (Algorithm.ECDSA_SHA_512,),
    KeyType.ECDSA_SECP256K1: (Algorithm.ECDSA_SHA_256,),
    KeyType.RSA_2048: _RSA_SIGNING,
    KeyType.RSA_3072: _RSA_SIGNING,
    KeyType.RSA_4096: _RSA_SIGNING,
    KeyType.ML_DSA_44: (Algorithm.ML_DSA,),
    KeyType.ML_DSA_65: (Algorithm.ML_DSA,),
    KeyType.ML_DSA_87: (Algorithm.ML_DSA,),
}
"""The signing algorithms of each type that signs; the first is the default."""

ENCRYPTION: Final[Mapping[KeyType, tuple[Algorithm, ...]]] = {
    KeyType.RSA_2048: _RSA_ENCRYPTION,
    KeyType.RSA_3072: _RSA_ENCRYPTION,
    KeyType.RSA_4096: _RSA_ENCRYPTION,
}
"""The public-key encryption algorithms of each type that has one; the first is the default."""

CIPHERS: Final = (KeyType.AES_256_GCM, KeyType.AES_256_GCM_SIV, KeyType.CHACHA20_POLY1305)
"""The types that encrypt into compact ciphertexts; their material is 32 random bytes."""

DIGEST_LENGTH: Final[Mapping[Algorithm, int]] = {
    Algorithm.ECDSA_SHA_256: 32,
    Algorithm.ECDSA_SHA_384: 48,
    Algorithm.ECDSA_SHA_512: 64,
    Algorithm.RSASSA_PSS_SHA_256: 32,
    Algorithm.RSASSA_PSS_SHA_384: 48,
    Algorithm.RSASSA_PSS_SHA_512: 64,
    Algorithm.RSASSA_PKCS1_V1_5_SHA_256: 32,
    Algorithm.RSASSA_PKCS1_V1_5_SHA_384: 48,
    Algorithm.RSASSA_PKCS1_V1_5_SHA_512: 64,
}
"""Bytes of the digest that each algorithm takes in place of a message; the others take messages only."""

MATERIAL_LENGTH: Final[Mapping[KeyType, int]] = {
    KeyType.AES_256_GCM: 32,
    KeyType.AES_256_GCM_SIV: 32,
    KeyType.CHACHA20_POLY1305: 32,
    KeyType.HMAC_SHA_256: 32,
    KeyType.HMAC_SHA_384: 48,
    KeyType.HMAC_SHA_512: 64,
    KeyType.ML_DSA_44: 32,
    KeyType.ML_DSA_65: 32,
    KeyType.ML_DSA_87: 32,
    KeyType.ML_KEM_768: 64,
    KeyType.ML_KEM_1024: 64,
}
"""Bytes of material of the types whose material is random bytes; that of the others is PKCS#8 DER."""

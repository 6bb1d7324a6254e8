"""Key pairs that are made once. RSA keys take a while to make, so those of a published file stand in."""

from functools import cache

from tests.vectors.conftest import wycheproof

from keystead.crypto.asymmetric import generate, load_private
from keystead.crypto.keypair import PrivateKey
from keystead.crypto.types import MATERIAL_LENGTH, KeyType

PAIRS = [key_type for key_type in KeyType if key_type not in MATERIAL_LENGTH or key_type.startswith("ml-")]


@cache
def material_of(key_type: KeyType) -> bytes:
    if key_type.startswith("rsa"):
        group, _ = wycheproof(f"rsa_oaep_{key_type[4:]}_sha256_mgf1sha256")[0]
        return bytes.fromhex(group["privateKeyPkcs8"])
    return bytes(generate(key_type))


@cache
def pair_of(key_type: KeyType) -> PrivateKey:
    return load_private(key_type, material_of(key_type))

"""Known answers of wrapped imports: RSA-OAEP and AES key wrap with padding, written out by hand."""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from second import FORGED, Case, flip, pattern

# The primes of an RSA-4096 key that is for these files only.
P = int(
    "e3e9c203bf332ce06b1810fdd60ef900dd0300305bc194b5fc0749c739d1f35db8b1ef77aa63c4d519199eb270187af9084444832f5c"
    "4ee44a723ed332016a57dbcdb587c475ef8d114fca7179a95447b385136e963744446d5504bf656a5ce4fcf067d55317e2c069f98cda"
    "5151b7fa31e16f574dbc7bca7371840be66a6ee951228d90462f24e3025ef0a4d5f914e13b1ab713126c243863f5f5ee79719c9cdd59"
    "9607c47c8f75340d84c7ee6224927dd872777a2abf05d15ce55c0d8af2066411de4829cb52e6ff04b4fea63671e13a38e5ae30b6e8db"
    "938bff542991fd932f4f9df29b559f60316ce7d1520dc34c718ba7449bf88ac3966e2756a38a5e21",
    16,
)
Q = int(
    "c1a5b16452a86bd56d5733ef9787c405e5720258629d927e4c58fc91ee0862eb4aa3fc5f918093bffc4e444ce4f5145342698d4518f4"
    "481dca385cc210a4cfc42c217a5278cfcb9e3503a1a2e3e53eb82892b019c1944cd4de87b8d9590ba34eeab782f11af48ec6bd1ecefa"
    "265a56a80b69b678bb28e93f438eb0b6f101e1cc79ba96ba362abc1ac065e7a0116154c4200ea1658484b8bd8c5317e26dd30e4fed84"
    "5673b918e96bbf4248d684c160ef2725cb2dfbb860f61e33503ff85c55603fb30f5745e5d69ddbabe8ac8d9a4d6ef5f64ce412e55102"
    "7e2d04d8a2f76c0cdca0779e77951d8f4b38b889ed2b153dbbd3fcf0c3d15b10a381eb585b5ff097",
    16,
)
E = 65_537
N = P * Q
SIZE = 512
AES_KEY = pattern("import aes key", 32)
MATERIALS = {
    "one byte": pattern("import one", 1),
    "a key of 32 bytes": pattern("import material", 32),
    "a key of 48 bytes": pattern("import longer", 48),
    "not whole blocks": pattern("import odd", 1_217),
}


def private_key() -> rsa.RSAPrivateKey:
    """The key pair of these files."""
    d = pow(E, -1, (P - 1) * (Q - 1))
    numbers = rsa.RSAPrivateNumbers(
        P, Q, d, rsa.rsa_crt_dmp1(d, P), rsa.rsa_crt_dmq1(d, Q), rsa.rsa_crt_iqmp(P, Q), rsa.RSAPublicNumbers(E, N)
    )
    return numbers.private_key()


def mgf1(seed: bytes, length: int) -> bytes:
    """RFC 8017 appendix B.2.1 with SHA-256."""
    out = b""
    while len(out) < length:
        out += hashlib.sha256(seed + (len(out) // 32).to_bytes(4, "big")).digest()
    return out[:length]


def oaep(message: bytes, seed: bytes) -> bytes:
    """RFC 8017 section 7.1.1 with SHA-256, an empty label and this seed."""
    block = hashlib.sha256(b"").digest() + bytes(SIZE - len(message) - 66) + b"\x01" + message
    masked = bytes(a ^ b for a, b in zip(block, mgf1(seed, SIZE - 33), strict=True))
    masked_seed = bytes(a ^ b for a, b in zip(seed, mgf1(masked, 32), strict=True))
    return pow(int.from_bytes(masked_seed + masked, "big"), E, N).to_bytes(SIZE, "big")


def key_wrap(key: bytes, material: bytes, mark: bytes = bytes.fromhex("a65959a6")) -> bytes:
    """RFC 5649 section 4.1."""
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305 -- the block cipher itself is meant
    head = mark + len(material).to_bytes(4, "big")
    blocks = [material[at : at + 8].ljust(8, b"\0") for at in range(0, len(material), 8)]
    if len(blocks) == 1:
        return encryptor.update(head + blocks[0])
    for number in range(6 * len(blocks)):
        at = number % len(blocks)
        sealed = encryptor.update(head + blocks[at])
        head = (int.from_bytes(sealed[:8], "big") ^ (number + 1)).to_bytes(8, "big")
        blocks[at] = sealed[8:]
    return head + b"".join(blocks)


def import_cases() -> Case:
    """importing.json."""
    private = private_key()
    encrypted = oaep(AES_KEY, pattern("import seed", 32))
    good = encrypted + key_wrap(AES_KEY, MATERIALS["a key of 32 bytes"])
    short = pattern("import short key", 16)
    negative = {
        "one bit of the encrypted key": flip(good, 8 * 300),
        "one bit of the wrapped material": flip(good, 8 * 520),
        "last byte missing": good[:-1],
        "last block missing": good[:-8],
        "one block more": good + bytes(8),
        "no wrapped material": encrypted,
        "nothing": b"",
        "another integrity check value": encrypted + key_wrap(AES_KEY, bytes(32), bytes.fromhex("a6a6a6a6")),
        "an AES key of 16 bytes": oaep(short, pattern("import seed", 32)) + key_wrap(short, bytes(32)),
        "wrapped under another AES key": encrypted + key_wrap(pattern("another aes key", 32), bytes(32)),
    }
    return {
        "format": "wrapped import",
        "private": private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()).hex(),
        "public": private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo).hex(),
        "positive": [
            {
                "name": name,
                "aes_key": AES_KEY.hex(),
                "material": material.hex(),
                "blob": (encrypted + key_wrap(AES_KEY, material)).hex(),
            }
            for name, material in MATERIALS.items()
        ],
        "negative": [{"name": name, "blob": blob.hex(), "outcome": FORGED} for name, blob in negative.items()],
    }

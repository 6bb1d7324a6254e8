"""Encrypting and decrypting through the whole service against bare ciphers and other people's services."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from bench import peers
from bench.harness import Contender, Timing, race
from bench.lab import Lab
from bench.report import Row, ahead, size, within

TITLE = "Encrypting and decrypting (CPU of one call, with AAD)"
AAD = b"user:42"
SIZES = (64, 1024, 65536)
DIRECTIONS = ("encrypt", "decrypt")

Times = dict[str, tuple[Timing, Timing]]


def contenders(name: str, cipher: peers.Cipher, plaintext: bytes) -> list[Contender]:
    """Both directions of one cipher; each answer is opened or compared, and a foreign AAD must be refused."""
    encrypt = cipher.seal(plaintext, AAD)
    sealed = encrypt()
    assert refuses(cipher.unseal(sealed, b"user:43")), f"{name} opens a ciphertext under another AAD"
    return [
        Contender(f"{name} encrypts", encrypt, lambda out: same(cipher.unseal(out, AAD)(), plaintext)),
        Contender(f"{name} decrypts", cipher.unseal(sealed, AAD), lambda out: same(out, plaintext)),
    ]


def same(out: bytes | str, plaintext: bytes) -> bool:
    """Whether an answer is the plaintext, or its text."""
    return (out.encode("ascii") if isinstance(out, str) else out) == plaintext


def refuses(decrypt: Callable[[], bytes]) -> bool:
    """Whether another AAD is an error."""
    try:
        decrypt()
    except Exception:
        return True
    return False


def services(kms: Any) -> dict[str, peers.Cipher]:
    """Our two formats and the peers, in the order of the table."""
    return {
        "compact": peers.Cipher(
            lambda plaintext, aad: lambda: kms.encrypt(plaintext, aad=aad),
            lambda blob, aad: lambda: kms.decrypt(blob, aad=aad),
        ),
        # Text comes back as text; the time to decode it is in the figure.
        "envelope": peers.Cipher(
            lambda plaintext, aad: lambda: kms.encrypt_data(plaintext, aad=aad),
            lambda envelope, aad: lambda: kms.decrypt_data(envelope, aad=aad),
        ),
        "floor": peers.floor(),
        "floor and base64": peers.floor_in_base64(),
        "tink AES256_GCM": peers.tink_aes256_gcm(),
        "AWS Encryption SDK": peers.aws_encryption_sdk(caching=False),
        "AWS Encryption SDK, caching": peers.aws_encryption_sdk(caching=True),
    }


def measure(ciphers: dict[str, peers.Cipher], length: int) -> Times:
    """Both directions of all, in one interleaved race."""
    plaintext = os.urandom(length // 2).hex().encode("ascii")
    racing = [one for name, cipher in ciphers.items() for one in contenders(name, cipher, plaintext)]
    timings = race(racing)
    return {name: (timings[2 * index], timings[2 * index + 1]) for index, name in enumerate(ciphers)}


def rows_of(length: int, times: Times) -> list[Row]:
    """The rows of one message size."""
    rows = []
    for way, direction in enumerate(DIRECTIONS):
        cpu = {name: both[way].cpu for name, both in times.items()}
        what = f"`{direction}`, {size(length)}"
        rows.append(ahead(what, cpu["compact"], "tink AES256_GCM", cpu["tink AES256_GCM"], times=1))
        rows.append(ahead(what, cpu["compact"], "AWS Encryption SDK", cpu["AWS Encryption SDK"], times=100))
        caching = "AWS Encryption SDK, caching"
        rows.append(ahead(what, cpu["compact"], caching, cpu[caching], times=None))
        rows.append(within(what, cpu["compact"], "bare cipher", cpu["floor"], times=None))
    for way, direction in enumerate(DIRECTIONS):
        cpu = {name: both[way].cpu for name, both in times.items()}
        what = f"`{direction}_data`, {size(length)}"
        if length == SIZES[0]:
            rows.append(within(what, cpu["envelope"], "bare cipher", cpu["floor"], times=(2.5, 4.0)[way]))
        else:
            beside = "cipher and base64"
            rows.append(within(what, cpu["envelope"], beside, cpu["floor and base64"], times=1.3))
    return rows


def rows(lab: Lab) -> list[Row]:
    """All sizes, both formats, both directions."""
    with lab.connection("ciphers") as connection:
        ciphers = services(connection.kms)
        return [row for length in SIZES for row in rows_of(length, measure(ciphers, length))]

"""The peers, each set up the way its own documents show, with keys and answers kept in this process."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple


class Cipher(NamedTuple):
    """How to make the calls: `seal(plaintext, aad)` and `unseal(sealed, aad)` each give a call without arguments.

    The call is spelled as an application spells it, the look-up of the method included.
    """

    seal: Callable[[bytes, bytes], Callable[[], Any]]
    unseal: Callable[[Any, bytes], Callable[[], bytes | str]]


CHUNK = 1 << 18


def floor() -> Cipher:
    """The least that Python can do: one cipher object kept, a random nonce, nothing around it."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    cipher = AESGCM(os.urandom(32))
    seal, unseal, random = cipher.encrypt, cipher.decrypt, os.urandom

    def encrypt(plaintext: bytes, aad: bytes) -> bytes:
        nonce = random(12)
        return nonce + seal(nonce, plaintext, aad)

    def decrypt(blob: bytes, aad: bytes) -> bytes:
        return unseal(blob[:12], blob[12:], aad)

    return Cipher(
        lambda plaintext, aad: lambda: encrypt(plaintext, aad),
        lambda sealed, aad: lambda: decrypt(sealed, aad),
    )


def floor_in_base64() -> Cipher:
    """The floor, its answer as base64 text by the standard library."""
    from base64 import b64decode, b64encode

    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    cipher = AESGCM(os.urandom(32))
    seal, unseal, random = cipher.encrypt, cipher.decrypt, os.urandom

    def encrypt(plaintext: bytes, aad: bytes) -> str:
        nonce = random(12)
        return b64encode(nonce + seal(nonce, plaintext, aad)).decode("ascii")

    def decrypt(text: str, aad: bytes) -> bytes:
        blob = b64decode(text, validate=True)
        return unseal(blob[:12], blob[12:], aad)

    return Cipher(
        lambda plaintext, aad: lambda: encrypt(plaintext, aad),
        lambda sealed, aad: lambda: decrypt(sealed, aad),
    )


def tink_aes256_gcm() -> Cipher:
    """tink's AEAD with the template AES256_GCM."""
    import tink
    from tink import aead

    aead.register()
    primitive = tink.new_keyset_handle(aead.aead_key_templates.AES256_GCM).primitive(aead.Aead)
    return Cipher(
        lambda plaintext, aad: lambda: primitive.encrypt(plaintext, aad),
        lambda sealed, aad: lambda: primitive.decrypt(sealed, aad),
    )


def aws_encryption_sdk(*, caching: bool) -> Cipher:
    """The AWS Encryption SDK over a raw 256-bit wrapping key; with `caching`, without signature, one key for many.

    `caching` is its fastest committing configuration, the other its default.
    """
    warnings.simplefilter("ignore")
    logging.getLogger("aws_encryption_sdk").setLevel(logging.ERROR)
    import aws_encryption_sdk as sdk
    from aws_encryption_sdk.identifiers import Algorithm, EncryptionKeyType, WrappingAlgorithm
    from aws_encryption_sdk.internal.crypto.wrapping_keys import WrappingKey
    from aws_encryption_sdk.key_providers.raw import RawMasterKeyProvider

    wrapping = WrappingKey(
        WrappingAlgorithm.AES_256_GCM_IV12_TAG16_NO_PADDING, os.urandom(32), EncryptionKeyType.SYMMETRIC
    )

    class Provider(RawMasterKeyProvider):
        provider_id = "bench"

        def _get_raw_key(self, key_id: str) -> WrappingKey:
            return wrapping

    provider = Provider()
    provider.add_master_key("one")
    client = sdk.EncryptionSDKClient()
    if caching:
        materials = {
            "materials_manager": sdk.CachingCryptoMaterialsManager(
                master_key_provider=provider,
                cache=sdk.LocalCryptoMaterialsCache(100),
                max_age=3600.0,
                max_messages_encrypted=1 << 31,
            )
        }
        algorithm = {"algorithm": Algorithm.AES_256_GCM_HKDF_SHA512_COMMIT_KEY}
    else:
        materials, algorithm = {"key_provider": provider}, {}

    def encrypt(plaintext: bytes, aad: bytes) -> bytes:
        context = {"aad": aad.decode("ascii")}
        return client.encrypt(source=plaintext, encryption_context=context, **materials, **algorithm)[0]

    def decrypt(blob: bytes, aad: bytes) -> bytes:
        plaintext, header = client.decrypt(source=blob, **materials)
        # Its documents ask the caller to compare the context; one that does not has checked no AAD.
        if header.encryption_context.get("aad") != aad.decode("ascii"):
            raise ValueError("another context")
        return plaintext

    return Cipher(
        lambda plaintext, aad: lambda: encrypt(plaintext, aad),
        lambda sealed, aad: lambda: decrypt(sealed, aad),
    )


class FakeSecretsManager:
    """What aws-secretsmanager-caching asks of a boto client, answered from a dictionary: no network, no signature."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)

    def describe_secret(self, SecretId: str) -> dict[str, Any]:
        return {"Name": SecretId, "VersionIdsToStages": {"version-1": ["AWSCURRENT"]}}

    def get_secret_value(self, SecretId: str, **_: Any) -> dict[str, Any]:
        return {"Name": SecretId, "VersionId": "version-1", "SecretString": self._values[SecretId]}


def aws_secret_cache(values: Mapping[str, str]) -> Callable[[str], str]:
    """The read of aws-secretsmanager-caching over a client that answers at once."""
    from aws_secretsmanager_caching import SecretCache, SecretCacheConfig

    return SecretCache(SecretCacheConfig(max_cache_size=10_000), FakeSecretsManager(values)).get_secret_string


class FileCipher(NamedTuple):
    """Encrypt and decrypt from a path to a path."""

    encrypt: Callable[[Path, Path], object]
    decrypt: Callable[[Path, Path], object]


def tink_streaming() -> FileCipher:
    """tink's streaming AEAD with 1 MiB segments, its fastest template."""
    import tink
    from tink import streaming_aead

    streaming_aead.register()
    template = streaming_aead.streaming_aead_key_templates.AES256_GCM_HKDF_1MB
    primitive = tink.new_keyset_handle(template).primitive(streaming_aead.StreamingAead)

    def encrypt(source: Path, target: Path) -> None:
        with source.open("rb") as reader, primitive.new_encrypting_stream(target.open("wb"), b"bench") as writer:
            while chunk := reader.read(CHUNK):
                writer.write(chunk)

    def decrypt(source: Path, target: Path) -> None:
        with target.open("wb") as writer, primitive.new_decrypting_stream(source.open("rb"), b"bench") as reader:
            while chunk := reader.read(CHUNK):
                writer.write(chunk)

    return FileCipher(encrypt, decrypt)


def pyrage_files() -> FileCipher:
    """pyrage, the age format in Rust, to one X25519 recipient."""
    import pyrage

    identity = pyrage.x25519.Identity.generate()
    recipient = identity.to_public()
    return FileCipher(
        lambda source, target: pyrage.encrypt_file(str(source), str(target), [recipient]),
        lambda source, target: pyrage.decrypt_file(str(source), str(target), [identity]),
    )


def file_floor() -> FileCipher:
    """The least for files: one chunk at a time into one buffer, the cipher into another, and out; no format."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    cipher = AESGCM(os.urandom(32))

    def convert(source: Path, target: Path, size: int, into: Callable[..., int], grown: int) -> None:
        chunk, room = bytearray(size), bytearray(size + grown)
        count = 0
        with source.open("rb", buffering=0) as reader, target.open("wb", buffering=0) as writer:
            while length := reader.readinto(chunk):
                view = memoryview(room)[: length + grown]
                into(count.to_bytes(12, "big"), memoryview(chunk)[:length], b"", view)
                writer.write(view)
                count += 1

    return FileCipher(
        lambda source, target: convert(source, target, CHUNK, cipher.encrypt_into, 16),
        lambda source, target: convert(source, target, CHUNK + 16, cipher.decrypt_into, -16),
    )

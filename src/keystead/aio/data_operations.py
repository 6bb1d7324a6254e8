"""Encrypting and decrypting a caller's data: the data methods of the async `KMSService`."""

from __future__ import annotations

import os
from asyncio import to_thread
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO, overload

from keystead.aio.face import Face
from keystead.crypto.aad import AAD
from keystead.crypto.envelope import Envelope
from keystead.gate import WouldWait
from keystead.services.data_operations import Format


class DataOperations(Face):
    """Each method is that of `keystead.KMSService`, with its parameters, results and errors."""

    async def encrypt(self, data: bytes, *, aad: AAD = None) -> bytes:
        """A compact ciphertext v2 of `data`, bound to `aad`."""
        now = self._sync._try_encrypt(data, aad=aad)
        return await to_thread(self._sync.encrypt, data, aad=aad) if isinstance(now, WouldWait) else now

    async def decrypt(self, blob: bytes, *, aad: AAD = None) -> bytes:
        """The plaintext of a compact ciphertext v2."""
        now = self._sync._try_decrypt(blob, aad=aad)
        return await to_thread(self._sync.decrypt, blob, aad=aad) if isinstance(now, WouldWait) else now

    async def encrypt_many(self, items: Iterable[bytes], *, aad: AAD = None) -> list[bytes]:
        """A compact ciphertext of each item."""
        return await to_thread(self._sync.encrypt_many, items, aad=aad)

    async def decrypt_many(self, blobs: Iterable[bytes], *, aad: AAD = None) -> list[bytes]:
        """The plaintext of each compact ciphertext; the first that fails ends it."""
        return await to_thread(self._sync.decrypt_many, blobs, aad=aad)

    async def encrypt_data(self, plaintext: str | bytes, *, aad: AAD = None) -> Envelope:
        """An envelope v1 of text or bytes."""
        now = self._sync._try_encrypt_data(plaintext, aad=aad)
        return await to_thread(self._sync.encrypt_data, plaintext, aad=aad) if isinstance(now, WouldWait) else now

    @overload
    async def decrypt_data(
        self,
        envelope: Mapping[str, Any] | str | bytes,
        *,
        aad: AAD = None,
        encoding: str = "utf-8",
        require_aad: bool = False,
    ) -> str: ...

    @overload
    async def decrypt_data(
        self, envelope: Mapping[str, Any] | str | bytes, *, aad: AAD = None, encoding: None, require_aad: bool = False
    ) -> bytes: ...

    async def decrypt_data(
        self,
        envelope: Mapping[str, Any] | str | bytes,
        *,
        aad: AAD = None,
        encoding: str | None = "utf-8",
        require_aad: bool = False,
    ) -> str | bytes:
        """The plaintext of an envelope v1; `encoding=None` gives bytes."""
        how: dict[str, Any] = {"aad": aad, "encoding": encoding, "require_aad": require_aad}
        now = self._sync._try_decrypt_data(envelope, **how)
        return await to_thread(lambda: self._sync.decrypt_data(envelope, **how)) if isinstance(now, WouldWait) else now

    async def reencrypt(self, x: bytes | str | Mapping[str, Any], *, aad: AAD = None, to: Format | None = None) -> Any:
        """The same plaintext under the active data key."""
        return await to_thread(self._sync.reencrypt, x, aad=aad, to=to)

    async def encrypt_stream(
        self, source: str | os.PathLike[str] | BinaryIO, target: str | os.PathLike[str] | BinaryIO, *, aad: AAD = None
    ) -> int:
        """Encrypt a file of any size; how many bytes were read."""
        return await to_thread(self._sync.encrypt_stream, source, target, aad=aad)

    async def decrypt_stream(
        self, source: str | os.PathLike[str] | BinaryIO, target: str | os.PathLike[str] | BinaryIO, *, aad: AAD = None
    ) -> int:
        """Decrypt what `encrypt_stream` wrote; how many bytes were written."""
        return await to_thread(self._sync.decrypt_stream, source, target, aad=aad)

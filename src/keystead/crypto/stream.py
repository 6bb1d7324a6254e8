"""Streams: chunked sealing of data of any size, as docs/formats.md gives it byte by byte.

    offset  length  part
    0       2       magic "ks"
    2       1       version 0x81 (stream, first version)
    3       1       algorithm 0x01: AES-256-GCM, HKDF-SHA256, 32-byte commitment
    4       8       data-key reference
    12      32      salt
    44      32      commitment
    76      4       chunk size in bytes, big-endian
    80              chunks: ciphertext and 16-byte tag each

Every chunk but the last holds exactly the chunk size of plaintext; the last holds 1 to that many bytes, or none where
the stream is empty. The nonce is an 11-byte big-endian counter and a last byte, 1 for the last chunk and 0 before it.
The AAD of each chunk is SHA-256 of the header followed by the caller's AAD.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import Lock
from typing import Final, NamedTuple, NoReturn, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keystead.crypto.kdf import derive_into
from keystead.crypto.mac import same, sha256
from keystead.crypto.material import KEY_LENGTH, random_bytes, zero
from keystead.crypto.purpose import Purpose, label
from keystead.errors import DecryptionError, EnvelopeError, UsageError

Buffer: TypeAlias = bytes | bytearray | memoryview

MAGIC: Final = b"ks\x81\x01"
REFERENCE_LENGTH: Final = 8
SALT_LENGTH: Final = 32
HEADER_LENGTH: Final = 80
TAG_LENGTH: Final = 16
DEFAULT_CHUNK: Final = 256 * 1024
MIN_CHUNK: Final = 1024
MAX_CHUNK: Final = 4 * 1024 * 1024
MAX_CHUNKS: Final = 1 << 32


class StreamHeader(NamedTuple):
    """The parts of a header that decide how to open: which data key, and the chunk size in bytes."""

    reference: bytes
    salt: bytes
    commitment: bytes
    chunk_size: int


def parse_header(header: bytes) -> StreamHeader:
    """The parts of the first 80 bytes of a stream.

    Raises:
        EnvelopeError: the form is not that of a stream; `field` names the part.
    """
    if type(header) is not bytes:
        raise EnvelopeError("header", "must be bytes")
    if header[:2] != MAGIC[:2]:
        raise EnvelopeError("magic", "is not that of a stream")
    if header[2:3] != MAGIC[2:3]:
        raise EnvelopeError("version", "is not one of a stream that this keystead reads")
    if header[3:4] != MAGIC[3:4]:
        raise EnvelopeError("algorithm", "is not one that this keystead reads")
    if len(header) != HEADER_LENGTH:
        raise EnvelopeError("header", f"must be {HEADER_LENGTH} bytes")
    chunk_size = int.from_bytes(header[76:80], "big")
    if not MIN_CHUNK <= chunk_size <= MAX_CHUNK:
        raise EnvelopeError("chunk size", f"must be {MIN_CHUNK} to {MAX_CHUNK} bytes")
    return StreamHeader(header[4:12], header[12:44], header[44:76], chunk_size)


class _Chunks:
    """What sealing and opening share: the order of chunks, each under its own nonce, in the process that began."""

    __slots__ = ("_aad", "_count", "_lock", "_over", "_process", "chunk_size", "header")

    def __init__(self, header: bytes, chunk_size: int, aad: bytes, first: int = 0) -> None:
        self.header = header
        self.chunk_size = chunk_size
        self._aad = sha256(header + aad)
        self._lock = Lock()
        self._count = first
        self._over = False
        self._process = os.getpid()

    def _fits(self, length: int, last: bool) -> bool:
        if length == self.chunk_size:
            return True
        return last and (0 < length < self.chunk_size or (length == 0 and self._count == 0))

    def _require_ready(self) -> None:
        if self._process != os.getpid():
            raise UsageError(
                "this stream was begun in another process",
                why="after a fork both processes would go on with the same nonces",
                hint="begin a stream in the process that uses it",
            )
        if self._over:
            raise UsageError("this stream is over", hint="begin another for more data")
        if self._count >= MAX_CHUNKS:
            raise UsageError(f"a stream has at most {MAX_CHUNKS} chunks", hint="choose a larger chunk size")

    def _next_nonce(self, last: bool) -> bytes:
        # Two threads reading one counter would use one nonce twice.
        with self._lock:
            self._require_ready()
            nonce = self._count.to_bytes(11, "big") + (b"\x01" if last else b"\x00")
            self._count += 1
            self._over = last
        return nonce

    def __reduce__(self) -> NoReturn:
        raise TypeError("a stream is not pickled or copied: the copy would use its nonces again")


class StreamSealer(_Chunks):
    """Seals one stream under a key of its own, derived from `data_key` (32 bytes) and a fresh 32-byte salt.

    `reference` is the data key's 8 bytes, `aad` the caller's canonical AAD, `chunk_size` 1 KiB to 4 MiB of plaintext.
    Emit `header`, then each chunk in order. Chunks come from one thread; use after a fork is refused.

    Raises:
        UsageError: a chunk size out of bounds.
    """

    __slots__ = ("_encrypt_into",)

    def __init__(
        self,
        reference: bytes,
        data_key: bytes | bytearray,
        *,
        aad: bytes = b"",
        chunk_size: int = DEFAULT_CHUNK,
        purpose: Purpose = Purpose.STREAM,
    ) -> None:
        header, both = _begun(reference, data_key, chunk_size, purpose)
        super().__init__(header, chunk_size, aad)
        self._encrypt_into: Callable[[bytes, Buffer, bytes, Buffer], int] = _cipher(both).encrypt_into

    @classmethod
    def under(cls, header: bytes, stream_key: bytes, *, aad: bytes = b"") -> StreamSealer:
        """A sealer of the stream that `begin_stream` began elsewhere, once. Raises EnvelopeError."""
        sealer = cls.__new__(cls)
        _Chunks.__init__(sealer, header, parse_header(header).chunk_size, aad)
        sealer._encrypt_into = AESGCM(stream_key).encrypt_into
        return sealer

    def seal_into(self, chunk: Buffer, target: bytearray | memoryview, *, last: bool) -> None:
        """Seal the next chunk into `target`, which is exactly 16 bytes longer.

        Raises:
            UsageError: a chunk of the wrong size, one after the last, or another process than the one that began.
        """
        if len(target) != len(chunk) + TAG_LENGTH:
            raise UsageError(f"the target of a chunk must be {TAG_LENGTH} bytes longer than the chunk")
        self._require_ready()
        if not self._fits(len(chunk), last):
            raise UsageError(
                f"a chunk of this stream is {self.chunk_size} bytes",
                hint="only the last may be shorter, and it may be empty only when it is the first",
            )
        self._encrypt_into(self._next_nonce(last), chunk, self._aad, target)

    def seal(self, chunk: Buffer, *, last: bool) -> bytes:
        """The next chunk, sealed; errors as `seal_into`."""
        target = bytearray(len(chunk) + TAG_LENGTH)
        self.seal_into(chunk, target, last=last)
        return bytes(target)


class StreamOpener(_Chunks):
    """Opens one stream whose 80 header bytes are `header`; `parse_header` tells first which data key to give.

    Call for each chunk in order, with `last=True` exactly for the one after which the input ends. The first failure
    ends the stream. Chunks come from one thread; use after a fork is refused. `first` is the number of the chunk that
    comes first, 0 for all of them.

    Raises:
        EnvelopeError: the form of the header.
        DecryptionError: the header does not commit to this data key and purpose.
    """

    __slots__ = ("_decrypt_into",)

    def __init__(
        self,
        header: bytes,
        data_key: bytes | bytearray,
        *,
        aad: bytes = b"",
        purpose: Purpose = Purpose.STREAM,
        first: int = 0,
    ) -> None:
        parts = parse_header(header)
        both = _derive(data_key, parts.salt, purpose)
        if not same(bytes(both[32:]), parts.commitment):
            zero(both)
            raise DecryptionError
        super().__init__(header, parts.chunk_size, aad, first)
        self._decrypt_into: Callable[[bytes, Buffer, bytes, Buffer], int] = _cipher(both).decrypt_into

    def open_into(self, sealed: Buffer, target: bytearray | memoryview, *, last: bool) -> None:
        """Open the next chunk into `target`, which is exactly 16 bytes shorter and means nothing after an error.

        Raises:
            DecryptionError: it does not authenticate at this place, as the last one or not, or has no chunk's size.
            UsageError: the stream is over or failed, or another process than the one that began.
        """
        self._require_ready()
        length = len(sealed) - TAG_LENGTH
        if not self._fits(length, last):
            self._over = True
            raise DecryptionError
        if len(target) != length:
            raise UsageError(f"the target of a chunk must be {TAG_LENGTH} bytes shorter than the sealed chunk")
        try:
            self._decrypt_into(self._next_nonce(last), sealed, self._aad, target)
        except InvalidTag:
            self._over = True
            raise DecryptionError from None

    def open(self, sealed: Buffer, *, last: bool) -> bytes:
        """The next chunk's plaintext; errors as `open_into`."""
        target = bytearray(max(len(sealed) - TAG_LENGTH, 0))
        self.open_into(sealed, target, last=last)
        plaintext = bytes(target)
        zero(target)
        return plaintext


def begin_stream(reference: bytes, data_key: bytes | bytearray) -> tuple[bytes, bytes]:
    """The header of a fresh stream, and its key, for who seals it elsewhere: it opens this stream and no other."""
    header, both = _begun(reference, data_key, DEFAULT_CHUNK, Purpose.STREAM)
    stream_key = bytes(both[:KEY_LENGTH])
    zero(both)
    return header, stream_key


def _begun(reference: bytes, data_key: bytes | bytearray, chunk_size: int, purpose: Purpose) -> tuple[bytes, bytearray]:
    """A header with a fresh salt, and what is derived for it: the key of the stream, and the commitment."""
    if len(reference) != REFERENCE_LENGTH:
        raise ValueError("a reference is 8 bytes")
    if not MIN_CHUNK <= chunk_size <= MAX_CHUNK:
        raise UsageError(f"the chunk size of a stream must be {MIN_CHUNK} to {MAX_CHUNK} bytes")
    salt = random_bytes(SALT_LENGTH)
    both = _derive(data_key, salt, purpose)
    return MAGIC + reference + salt + bytes(both[KEY_LENGTH:]) + chunk_size.to_bytes(4, "big"), both


def _derive(data_key: bytes | bytearray, salt: bytes, purpose: Purpose) -> bytearray:
    if len(data_key) != KEY_LENGTH:
        raise ValueError(f"a data key is {KEY_LENGTH} bytes")
    both = bytearray(2 * KEY_LENGTH)
    derive_into(both, data_key, salt=salt, info=label("stream", purpose))
    return both


def _cipher(both: bytearray) -> AESGCM:
    stream_key = both[:KEY_LENGTH]
    cipher = AESGCM(stream_key)
    zero(stream_key)
    zero(both)
    return cipher

"""Streams with a server: sealed here under a key for one stream, opened there chunk by chunk.

Files and pipes are treated as in process (`keystead.keys.stream_io`): a path appears whole or not at all.
"""

from __future__ import annotations

from keystead.crypto.aad import AAD, canonical_aad
from keystead.crypto.stream import TAG_LENGTH, StreamSealer, parse_header
from keystead.errors import DecryptionError
from keystead.keys.stream import End, end_of
from keystead.keys.stream_io import open_stream, seal_stream
from keystead.services.stream_operations import StreamOperations


def encrypt_stream(streams: StreamOperations, source: End, target: End, aad: AAD) -> int:
    """Seal `source` into `target`; how many bytes were read. Errors as of `KMSService.encrypt_stream`."""
    bound = canonical_aad(aad)
    begun = streams.begin()
    return seal_stream(end_of(source), end_of(target), StreamSealer.under(begun.header, begun.key, aad=bound))


def decrypt_stream(streams: StreamOperations, source: End, target: End, aad: AAD) -> int:
    """Open `source` into `target`; how many bytes were written. Errors as of `KMSService.decrypt_stream`."""
    canonical_aad(aad)
    return open_stream(end_of(source), end_of(target), lambda header: _Opener(streams, header, aad))


class _Opener:
    """Has the chunks of one stream opened by the server, in their order."""

    def __init__(self, streams: StreamOperations, header: bytes, aad: AAD) -> None:
        self.chunk_size = parse_header(header).chunk_size
        self._streams = streams
        self._header = header
        self._aad = aad
        self._index = 0

    def open_into(self, sealed: memoryview, target: memoryview, *, last: bool) -> None:
        """Open the next chunk, as `StreamOpener.open_into`."""
        plaintext = self._streams.open_chunk(self._header, bytes(sealed), index=self._index, last=last, aad=self._aad)
        if len(plaintext) != len(sealed) - TAG_LENGTH:
            raise DecryptionError
        target[:] = plaintext
        self._index += 1

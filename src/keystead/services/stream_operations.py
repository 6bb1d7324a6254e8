"""The pieces of `encrypt_stream` and `decrypt_stream`, for a client that streams on a machine of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keystead.crypto.aad import AAD
from keystead.keys import stream
from keystead.services.session_face import SessionFace

if TYPE_CHECKING:
    from keystead.keys.stream import StreamKey


class StreamOperations:
    """What a server does for streams: it begins them, and opens their chunks."""

    def __init__(self, face: SessionFace) -> None:
        self._face = face

    def begin(self) -> StreamKey:
        """A header under the active data key, and the key of the one stream that begins with it.

        Whoever asked seals one stream with it, once, as docs/formats.md says; the AAD goes into its chunks.

        Raises:
            KeyStateError, SessionEnded, Denied, AuditUnavailable.
        """
        node = self._face._node
        return stream.begin(node.gate, node.ring, self._face._session)

    def open_chunk(self, header: bytes, chunk: bytes, *, index: int, last: bool, aad: AAD = None) -> bytes:
        """The plaintext of one sealed chunk of a stream, `index` counted from 0, `last` for the one that ends it.

        A stream is whole once its last chunk was opened with `last`; before, its end may have been taken away.

        Raises:
            EnvelopeError: the header's form. DecryptionError: it is no such chunk of this stream. KeyStateError.
            UsageError: an index that no chunk has.
        """
        node = self._face._node
        return stream.open_chunk(
            node.gate, node.ring, self._face._session, header, chunk, index=index, last=last, aad=aad
        )

"""Encrypting and decrypting streams under the data keys: each passes the gate once and has a record of its own."""

from __future__ import annotations

import os
from typing import Any, BinaryIO

from keystead.crypto.aad import AAD, canonical_aad
from keystead.crypto.stream import StreamOpener, StreamSealer, parse_header
from keystead.errors import DataKeyNotFound, DecryptionError
from keystead.gate import Gate, Session
from keystead.keys.lifecycle import Use
from keystead.keys.ring import KeyRing
from keystead.keys.stream_io import open_stream, seal_stream

End = str | os.PathLike[str] | BinaryIO


def encrypt_stream(gate: Gate[Any], ring: KeyRing, session: Session, ends: tuple[End, End], aad: AAD = None) -> int:
    """Seal `ends[0]` into `ends[1]` under the active data key; how many bytes were read.

    Raises:
        FileUnavailable, UsageError, KeyStateError.
    """
    bound = canonical_aad(aad)
    with gate.read(session, "data:encrypt", "data-key/*", "data_encrypted") as detail:
        record = ring.active()
        detail["data_key"] = record.key_id
        sealer = ring.derive(record, Use.PROTECT, lambda material: StreamSealer(record.reference, material, aad=bound))
        detail["bytes"] = seal_stream(_end(ends[0]), _end(ends[1]), sealer)
        return int(detail["bytes"])


def decrypt_stream(gate: Gate[Any], ring: KeyRing, session: Session, ends: tuple[End, End], aad: AAD = None) -> int:
    """Open `ends[0]` into `ends[1]`; how many bytes were written.

    Raises:
        EnvelopeError, DecryptionError, KeyStateError, FileUnavailable.
    """
    bound = canonical_aad(aad)

    def opener(header: bytes) -> StreamOpener:
        try:
            record = ring.by_reference(parse_header(header).reference)
        except DataKeyNotFound:
            raise DecryptionError from None
        detail["data_key"] = record.key_id
        return ring.derive(record, Use.PROCESS, lambda material: StreamOpener(header, material, aad=bound))

    with gate.read(session, "data:decrypt", "data-key/*", "data_decrypted") as detail:
        detail["bytes"] = open_stream(_end(ends[0]), _end(ends[1]), opener)
        return int(detail["bytes"])


def _end(end: End) -> Any:
    return os.fspath(end) if isinstance(end, os.PathLike) else end

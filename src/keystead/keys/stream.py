"""Encrypting and decrypting streams under the data keys: each passes the gate once and has a record of its own.

Whoever streams on another machine begins a stream here and seals it there, and has it opened here chunk by chunk:
docs/decisions/0016-streams-over-http.md.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from keystead.crypto.aad import AAD, canonical_aad
from keystead.crypto.stream import MAX_CHUNKS, StreamOpener, StreamSealer, begin_stream, parse_header
from keystead.errors import DataKeyNotFound, DecryptionError, UsageError
from keystead.gate import Gate, Session
from keystead.keys.lifecycle import Use
from keystead.keys.ring import KeyRing
from keystead.keys.stream_io import open_stream, seal_stream

End = str | os.PathLike[str] | BinaryIO


@dataclass(frozen=True, slots=True)
class StreamKey:
    """The 80 bytes of header that a stream begins with, and the key that seals this one stream."""

    header: bytes
    key: bytes = field(repr=False)


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
        detail["bytes"] = seal_stream(end_of(ends[0]), end_of(ends[1]), sealer)
        return int(detail["bytes"])


def decrypt_stream(gate: Gate[Any], ring: KeyRing, session: Session, ends: tuple[End, End], aad: AAD = None) -> int:
    """Open `ends[0]` into `ends[1]`; how many bytes were written.

    Raises:
        EnvelopeError, DecryptionError, KeyStateError, FileUnavailable.
    """
    bound = canonical_aad(aad)
    with gate.read(session, "data:decrypt", "data-key/*", "data_decrypted") as detail:
        detail["bytes"] = open_stream(
            end_of(ends[0]), end_of(ends[1]), lambda header: _opener(ring, header, bound, 0, detail)
        )
        return int(detail["bytes"])


def begin(gate: Gate[Any], ring: KeyRing, session: Session) -> StreamKey:
    """A stream under the active data key that is sealed elsewhere, once. Raises KeyStateError."""
    with gate.read(session, "data:encrypt", "data-key/*", "data_encrypted") as detail:
        record = ring.active()
        detail["data_key"] = record.key_id
        return StreamKey(*ring.derive(record, Use.PROTECT, lambda material: begin_stream(record.reference, material)))


def open_chunk(
    gate: Gate[Any], ring: KeyRing, session: Session, header: bytes, chunk: bytes, *, index: int, last: bool, aad: AAD
) -> bytes:
    """The plaintext of one sealed chunk, verified at its place and as the last one or not.

    Raises:
        EnvelopeError, DecryptionError, KeyStateError. UsageError: an index that no chunk has.
    """
    if not 0 <= index < MAX_CHUNKS:
        raise UsageError("no stream has a chunk of this index", hint=f"chunks count from 0 to {MAX_CHUNKS - 1}")
    bound = canonical_aad(aad)
    with gate.read(session, "data:decrypt", "data-key/*", "data_decrypted") as detail:
        detail["chunk"] = index
        plaintext = _opener(ring, header, bound, index, detail).open(chunk, last=last)
        detail["bytes"] = len(plaintext)
        return plaintext


def _opener(ring: KeyRing, header: bytes, bound: bytes, first: int, detail: dict[str, str | int]) -> StreamOpener:
    try:
        record = ring.by_reference(parse_header(header).reference)
    except DataKeyNotFound:
        raise DecryptionError from None
    detail["data_key"] = record.key_id
    return ring.derive(record, Use.PROCESS, lambda material: StreamOpener(header, material, aad=bound, first=first))


def end_of(end: End) -> Any:
    """An end of a stream as `keystead.keys.stream_io` takes it: a path as text."""
    return os.fspath(end) if isinstance(end, os.PathLike) else end

"""Streams: chunks open only in their place, under their key, with their AAD, and only when the end is there."""

import copy
import multiprocessing
import os
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.crypto import stream
from keystead.crypto.purpose import Purpose
from keystead.crypto.stream import MAX_CHUNK, MIN_CHUNK, StreamOpener, StreamSealer, parse_header
from keystead.errors import DecryptionError, EnvelopeError, UsageError

DATA_KEY = bytes(range(32))
REFERENCE = b"\x01\x02\x03\x04\x05\x06\x07\x08"
SIZE = MIN_CHUNK


def seal_all(plaintext: bytes, *, aad: bytes = b"aad", size: int = SIZE) -> tuple[bytes, list[bytes]]:
    sealer = StreamSealer(REFERENCE, DATA_KEY, aad=aad, chunk_size=size)
    pieces = [plaintext[at : at + size] for at in range(0, len(plaintext), size)] or [b""]
    return sealer.header, [sealer.seal(piece, last=piece is pieces[-1]) for piece in pieces]


def open_all(header: bytes, chunks: list[bytes], *, aad: bytes = b"aad", data_key: bytes = DATA_KEY) -> bytes:
    opener = StreamOpener(header, data_key, aad=aad)
    return b"".join(opener.open(chunk, last=number == len(chunks) - 1) for number, chunk in enumerate(chunks))


@pytest.mark.parametrize("length", [0, 1, SIZE - 1, SIZE, SIZE + 1, 2 * SIZE, 3 * SIZE - 1, 3 * SIZE, 5 * SIZE + 7])
def test_what_was_sealed_opens_with_exactly_one_last_chunk(length):
    plaintext = os.urandom(length)
    header, chunks = seal_all(plaintext)
    assert len(chunks) == max(1, -(-length // SIZE))
    assert sum(map(len, chunks)) == length + 16 * len(chunks)
    assert open_all(header, chunks) == plaintext


def test_the_header_has_the_written_layout():
    header, _ = seal_all(b"")
    assert len(header) == 80
    assert header[:4] == b"ks\x81\x01"
    assert header[4:12] == REFERENCE
    assert header[76:] == SIZE.to_bytes(4, "big")
    parts = parse_header(header)
    assert (parts.reference, parts.salt, parts.commitment) == (REFERENCE, header[12:44], header[44:76])
    assert parts.chunk_size == SIZE


def test_each_stream_has_a_salt_and_key_of_its_own():
    headers = {seal_all(b"same")[0] for _ in range(50)}
    assert len({header[12:44] for header in headers}) == 50
    assert len({header[44:76] for header in headers}) == 50
    assert seal_all(b"same")[1] != seal_all(b"same")[1]


def test_every_bit_flip_of_header_and_chunks_is_refused():
    header, chunks = seal_all(b"x" * (SIZE + 20))
    whole = header + b"".join(chunks)
    cuts = [80, 80 + SIZE + 16]
    bits = [*range(80 * 8), *range(80 * 8, len(whole) * 8, 37), *range((len(whole) - 36) * 8, len(whole) * 8)]
    told = set()
    for bit in bits:
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        blob = bytes(changed)
        with pytest.raises((EnvelopeError, DecryptionError)) as refused:
            open_all(blob[:80], [blob[cuts[0] : cuts[1]], blob[cuts[1] :]])
        if bit >= 4 * 8 and not 76 * 8 <= bit < 80 * 8:
            assert isinstance(refused.value, DecryptionError)
            told.add(str(refused.value))
    assert told == {str(DecryptionError())}


@pytest.mark.parametrize(
    "order",
    [(1, 0, 2), (0, 2, 1), (0, 0, 1, 2), (0, 1, 1, 2), (0, 1, 2, 2), (1, 2), (0, 2), (2,), (0, 1), (0,), (2, 1, 0)],
)
def test_moved_repeated_and_missing_chunks_are_refused(order):
    header, chunks = seal_all(b"a" * SIZE + b"b" * SIZE + b"c" * SIZE)
    with pytest.raises(DecryptionError):
        open_all(header, [chunks[number] for number in order])


def test_chunks_of_another_stream_are_refused_even_under_the_same_data_key():
    header, chunks = seal_all(b"a" * (2 * SIZE))
    _, others = seal_all(b"a" * (2 * SIZE))
    with pytest.raises(DecryptionError):
        open_all(header, [chunks[0], others[1]])
    with pytest.raises(DecryptionError):
        open_all(header, others)


def test_a_last_chunk_is_not_taken_as_one_before_and_the_other_way_round():
    header, chunks = seal_all(b"a" * (2 * SIZE))
    opener = StreamOpener(header, DATA_KEY, aad=b"aad")
    with pytest.raises(DecryptionError):
        opener.open(chunks[0], last=True)
    opener = StreamOpener(header, DATA_KEY, aad=b"aad")
    opener.open(chunks[0], last=False)
    with pytest.raises(DecryptionError):
        opener.open(chunks[1], last=False)


def test_an_empty_last_chunk_after_others_is_refused_on_both_sides():
    sealer = StreamSealer(REFERENCE, DATA_KEY, chunk_size=SIZE)
    whole = sealer.seal(b"a" * SIZE, last=False)
    with pytest.raises(UsageError):
        sealer.seal(b"", last=True)
    opener = StreamOpener(sealer.header, DATA_KEY)
    assert opener.open(whole, last=False) == b"a" * SIZE
    with pytest.raises(DecryptionError):
        opener.open(bytes(16), last=True)


@pytest.mark.parametrize("length", [*range(16), SIZE + 17, 2 * SIZE + 16])
def test_a_sealed_chunk_of_an_impossible_size_is_refused(length):
    header, _ = seal_all(b"")
    with pytest.raises(DecryptionError):
        StreamOpener(header, DATA_KEY, aad=b"aad").open(bytes(length), last=True)


def test_another_aad_data_key_or_purpose_is_refused():
    header, chunks = seal_all(b"value", aad=b"aad")
    for aad in (b"", b"aae", b"aad\0"):
        with pytest.raises(DecryptionError):
            open_all(header, chunks, aad=aad)
    with pytest.raises(DecryptionError):
        open_all(header, chunks, data_key=bytes(32))
    for purpose in Purpose:
        if purpose is not Purpose.STREAM:
            with pytest.raises(DecryptionError):
                StreamOpener(header, DATA_KEY, aad=b"aad", purpose=purpose)


def test_header_and_aad_do_not_run_into_each_other():
    header, chunks = seal_all(b"value", aad=b"")
    with pytest.raises(DecryptionError):
        open_all(header, chunks, aad=header)


def test_after_a_failure_nothing_more_is_opened():
    header, chunks = seal_all(b"a" * (3 * SIZE))
    opener = StreamOpener(header, DATA_KEY, aad=b"aad")
    opener.open(chunks[0], last=False)
    with pytest.raises(DecryptionError):
        opener.open(chunks[2], last=False)
    with pytest.raises(UsageError, match="over"):
        opener.open(chunks[1], last=False)


def test_after_the_last_chunk_nothing_more_is_sealed_or_opened():
    sealer = StreamSealer(REFERENCE, DATA_KEY, chunk_size=SIZE)
    last = sealer.seal(b"end", last=True)
    with pytest.raises(UsageError, match="over"):
        sealer.seal(b"more", last=True)
    opener = StreamOpener(sealer.header, DATA_KEY)
    assert opener.open(last, last=True) == b"end"
    with pytest.raises(UsageError, match="over"):
        opener.open(last, last=True)


@pytest.mark.parametrize(("length", "last"), [(0, False), (1, False), (SIZE - 1, False), (SIZE + 1, True)])
def test_a_chunk_of_the_wrong_size_is_refused_and_costs_no_nonce(length, last):
    sealer = StreamSealer(REFERENCE, DATA_KEY, chunk_size=SIZE)
    with pytest.raises(UsageError, match=str(SIZE)):
        sealer.seal(bytes(length), last=last)
    opener = StreamOpener(sealer.header, DATA_KEY)
    assert opener.open(sealer.seal(b"x", last=True), last=True) == b"x"


@pytest.mark.parametrize("difference", [-1, 1, -16])
def test_a_target_of_the_wrong_length_is_refused_before_anything_is_written(difference):
    sealer = StreamSealer(REFERENCE, DATA_KEY, chunk_size=SIZE)
    target = bytearray(b"\xee" * (10 + 16 + difference))
    with pytest.raises(UsageError):
        sealer.seal_into(bytes(10), target, last=True)
    assert set(target) == {0xEE}
    sealed = sealer.seal(bytes(10), last=True)
    opener = StreamOpener(sealer.header, DATA_KEY)
    with pytest.raises(UsageError):
        opener.open_into(sealed, bytearray(max(10 + difference, 0)), last=True)
    assert opener.open(sealed, last=True) == bytes(10)


@pytest.mark.parametrize("size", [0, -1, MIN_CHUNK - 1, MAX_CHUNK + 1, 1 << 40])
def test_a_chunk_size_out_of_bounds_is_refused_on_both_sides(size):
    with pytest.raises(UsageError):
        StreamSealer(REFERENCE, DATA_KEY, chunk_size=size)
    header, _ = seal_all(b"")
    if 0 <= size < 1 << 32:
        with pytest.raises(EnvelopeError) as refused:
            parse_header(header[:76] + size.to_bytes(4, "big"))
        assert refused.value.field == "chunk size"


@pytest.mark.parametrize("length", [0, 16, 24, 31, 33, 64])
def test_a_data_key_of_another_length_is_refused(length):
    with pytest.raises(ValueError, match="32 bytes"):
        StreamSealer(REFERENCE, bytes(length))
    with pytest.raises(ValueError, match="32 bytes"):
        StreamOpener(seal_all(b"")[0], bytes(length))
    with pytest.raises(ValueError, match="8 bytes"):
        StreamSealer(bytes(7), DATA_KEY)


@given(st.binary(max_size=100) | st.binary(max_size=90).map(lambda tail: stream.MAGIC + tail) | st.none() | st.text())
@settings(max_examples=200, deadline=None)
def test_any_header_is_parsed_or_refused_by_the_name_of_a_part(header):
    try:
        parts = parse_header(header)
    except EnvelopeError as refused:
        assert refused.field in ("header", "magic", "version", "algorithm", "chunk size")
    else:
        assert MIN_CHUNK <= parts.chunk_size <= MAX_CHUNK
        with pytest.raises(DecryptionError):
            StreamOpener(header, DATA_KEY)


@given(plaintext=st.binary(max_size=4 * SIZE), aad=st.binary(max_size=50), size=st.integers(SIZE, 2 * SIZE))
@settings(max_examples=60, deadline=None)
def test_sealed_opens_for_all_inputs(plaintext, aad, size):
    header, chunks = seal_all(plaintext, aad=aad, size=size)
    assert open_all(header, chunks, aad=aad) == plaintext


def test_a_stream_is_not_copied_or_pickled_since_the_copy_would_use_its_nonces_again():
    sealer = StreamSealer(REFERENCE, DATA_KEY)
    for refused in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            refused(sealer)
    assert DATA_KEY.hex() not in repr(sealer)


def test_threads_never_share_a_nonce():
    sealer = StreamSealer(REFERENCE, DATA_KEY, chunk_size=SIZE)
    with ThreadPoolExecutor(8) as pool:
        sealed = list(pool.map(lambda _: sealer.seal(bytes(SIZE), last=False), range(2_000)))
    assert len(set(sealed)) == 2_000, "the same plaintext under one key differs only by its nonce"


def _use_in_child(use, results):
    try:
        use()
    except UsageError as refused:
        results.put(str(refused))
    else:
        results.put("used")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_stream_object_is_refused_after_a_fork_and_goes_on_in_its_own_process():
    context = multiprocessing.get_context("fork")
    sealer = StreamSealer(REFERENCE, DATA_KEY, chunk_size=SIZE)
    first = sealer.seal(bytes(SIZE), last=False)
    opener = StreamOpener(sealer.header, DATA_KEY)
    opener.open(first, last=False)
    for use in (
        lambda: sealer.seal(bytes(SIZE), last=False),
        lambda: sealer.seal_into(b"x", bytearray(17), last=True),
        lambda: opener.open(bytes(17), last=True),
    ):
        results = context.SimpleQueue()
        child = context.Process(target=_use_in_child, args=(use, results))
        child.start()
        child.join()
        assert "another process" in results.get()
    assert opener.open(sealer.seal(b"end", last=True), last=True) == b"end"


def test_the_number_of_chunks_is_bounded(monkeypatch):
    monkeypatch.setattr(stream, "MAX_CHUNKS", 2)
    sealer = StreamSealer(REFERENCE, DATA_KEY, chunk_size=SIZE)
    chunks = [sealer.seal(bytes(SIZE), last=False) for _ in range(2)]
    with pytest.raises(UsageError, match="at most 2 chunks"):
        sealer.seal(b"", last=True)
    opener = StreamOpener(sealer.header, DATA_KEY)
    for chunk in chunks:
        opener.open(chunk, last=False)
    with pytest.raises(UsageError, match="at most 2 chunks"):
        opener.open(bytes(17), last=True)

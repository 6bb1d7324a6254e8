"""Known answers of streams."""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from second import DATA_KEY, FORGED, FORM, OTHER_KEY, REFERENCE, Case, flip, hkdf, info, pattern, stream

SIZE = 1024
SALT = pattern("salt negative", 32)
HEADER, (A, B, C) = stream(pattern("negative", 3 * SIZE), b"file", SIZE, SALT)
WHOLE = HEADER + A + B + C
BASE = {"data_key": DATA_KEY.hex(), "purpose": "stream", "aad": b"file".hex()}


def stream_cases() -> Case:
    """stream.json."""
    positive = [
        _positive(name, length, purpose)
        for name, length, purpose in (
            ("empty", 0, "stream"),
            ("one byte", 1, "stream"),
            ("one chunk exactly", SIZE, "stream"),
            ("a chunk and a byte", SIZE + 1, "stream"),
            ("three chunks exactly", 3 * SIZE, "stream"),
            ("for a backup", 1500, "backup"),
        )
    ]
    return {"format": "stream", "positive": positive, "negative": [*_forged(), *_bad_forms()]}


def _positive(name: str, length: int, purpose: str) -> Case:
    salt, aad, plaintext = pattern(f"salt {name}", 32), f"file:{name}".encode(), pattern(name, length)
    header, chunks = stream(plaintext, aad, SIZE, salt, purpose)
    both = hkdf(DATA_KEY, salt, info("stream", purpose), 64)
    return {
        "name": name,
        "data_key": DATA_KEY.hex(),
        "reference": REFERENCE.hex(),
        "purpose": purpose,
        "salt": salt.hex(),
        "stream_key": both[:32].hex(),
        "commitment": both[32:].hex(),
        "chunk_size": SIZE,
        "plaintext": plaintext.hex(),
        "aad": aad.hex(),
        "stream": (header + b"".join(chunks)).hex(),
    }


def _empty_last() -> bytes:
    key = hkdf(DATA_KEY, SALT, info("stream", "stream"), 64)[:32]
    return AESGCM(key).encrypt((2).to_bytes(11, "big") + b"\x01", b"", hashlib.sha256(HEADER + b"file").digest())


def _forged() -> list[Case]:
    changed = {
        "one bit of the reference": flip(WHOLE, 8 * 4),
        "one bit of the salt": flip(WHOLE, 8 * 12),
        "one bit of the commitment": flip(WHOLE, 8 * 44),
        "another chunk size": HEADER[:76] + (2 * SIZE).to_bytes(4, "big") + A + B + C,
        "one bit of the first chunk": flip(WHOLE, 8 * 80),
        "one bit of the last tag": flip(WHOLE, 8 * (len(WHOLE) - 1)),
        "last chunk missing": HEADER + A + B,
        "no chunk": HEADER,
        "cut in a chunk": WHOLE[:-1],
        "cut to less than a tag": HEADER + A + B + C[:15],
        "one byte more": WHOLE + b"\0",
        "first and second swapped": HEADER + B + A + C,
        "second twice": HEADER + A + B + B + C,
        "last twice": WHOLE + C,
        "first missing": HEADER + B + C,
        "an authentic empty chunk as the last of several": HEADER + A + B + _empty_last(),
    }
    cases: list[Case] = [{"name": name, **BASE, "stream": blob.hex()} for name, blob in changed.items()]
    cases += [
        {"name": "another aad", **BASE, "aad": "", "stream": WHOLE.hex()},
        {"name": "another purpose", **BASE, "purpose": "backup", "stream": WHOLE.hex()},
        {"name": "another data key", **BASE, "data_key": OTHER_KEY.hex(), "stream": WHOLE.hex()},
    ]
    return [{**case, "outcome": FORGED} for case in cases]


def _bad_forms() -> list[Case]:
    forms = [
        ("nothing", b"", "header"),
        ("cut in the header", WHOLE[:79], "header"),
        ("another magic", b"KS" + WHOLE[2:], "magic"),
        ("version of a compact ciphertext", WHOLE[:2] + b"\x02" + WHOLE[3:], "version"),
        ("algorithm 2", WHOLE[:3] + b"\x02" + WHOLE[4:], "algorithm"),
        ("chunk size 0", WHOLE[:76] + bytes(4) + WHOLE[80:], "chunk size"),
        ("chunk size 1023", WHOLE[:76] + (1023).to_bytes(4, "big") + WHOLE[80:], "chunk size"),
        ("chunk size over 4 MiB", WHOLE[:76] + ((4 << 20) + 1).to_bytes(4, "big") + WHOLE[80:], "chunk size"),
    ]
    return [
        {"name": name, **BASE, "stream": blob.hex(), "outcome": FORM, "field": field} for name, blob, field in forms
    ]

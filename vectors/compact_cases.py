"""Known answers of compact ciphertext v2."""

from __future__ import annotations

from second import (
    DATA_KEY,
    FORGED,
    FORM,
    OTHER_KEY,
    PURPOSES,
    REFERENCE,
    Case,
    b64,
    compact,
    flip,
    hkdf,
    info,
    pattern,
    text_form,
)

SALT, NONCE = pattern("salt negative", 16), pattern("nonce negative", 12)
GOOD = compact(b"value", b"user:7", "caller", SALT, NONCE)
BASE = {"data_key": DATA_KEY.hex(), "purpose": "caller", "aad": b"user:7".hex()}


def compact_cases() -> Case:
    """compact_v2.json."""
    positive = [
        _positive(purpose, name, plaintext, aad)
        for number, purpose in enumerate(PURPOSES)
        for name, plaintext, aad in (
            ("empty", b"", b""),
            ("bound", b"correct horse battery staple", b"user:7"),
            ("long", pattern("long", 300 + number), pattern("long aad", 40)),
        )
    ]
    return {"format": "compact ciphertext v2", "positive": positive, "negative": [*_forged(), *_bad_forms()]}


def _positive(purpose: str, name: str, plaintext: bytes, aad: bytes) -> Case:
    salt, nonce = pattern(f"salt {purpose} {name}", 16), pattern(f"nonce {purpose} {name}", 12)
    both = hkdf(DATA_KEY, salt, info("v2", purpose), 64)
    blob = compact(plaintext, aad, purpose, salt, nonce)
    return {
        "name": f"{purpose}: {name}",
        "data_key": DATA_KEY.hex(),
        "reference": REFERENCE.hex(),
        "purpose": purpose,
        "salt": salt.hex(),
        "nonce": nonce.hex(),
        "message_key": both[:32].hex(),
        "commitment": both[32:].hex(),
        "plaintext": plaintext.hex(),
        "aad": aad.hex(),
        "blob": blob.hex(),
        "text": text_form(blob),
    }


def _forged() -> list[Case]:
    parts = {"reference": 4, "salt": 12, "commitment": 28, "nonce": 60, "ciphertext": 72, "tag": 77}
    cases: list[Case] = [
        {"name": f"one bit of {part}", **BASE, "blob": flip(GOOD, 8 * at).hex()} for part, at in parts.items()
    ]
    other = compact(b"value", b"user:7", "caller", SALT, NONCE, key=OTHER_KEY)
    cases += [
        {"name": "another aad", **BASE, "aad": "", "blob": GOOD.hex()},
        {"name": "another purpose", **BASE, "purpose": "secret", "blob": GOOD.hex()},
        {"name": "another data key", **BASE, "data_key": OTHER_KEY.hex(), "blob": GOOD.hex()},
        {"name": "commitment to another key", **BASE, "blob": (other[:60] + GOOD[60:]).hex()},
        {"name": "one byte more", **BASE, "blob": (GOOD + b"\0").hex()},
        {"name": "last byte missing", **BASE, "blob": GOOD[:-1].hex()},
    ]
    return [{**case, "outcome": FORGED} for case in cases]


def _bad_forms() -> list[Case]:
    forms = [
        ("nothing", b"", "magic"),
        ("another magic", b"KS" + GOOD[2:], "magic"),
        ("version 1", GOOD[:2] + b"\x01" + GOOD[3:], "version"),
        ("version of a stream", GOOD[:2] + b"\x81" + GOOD[3:], "version"),
        ("algorithm 0", GOOD[:3] + b"\x00" + GOOD[4:], "algorithm"),
        ("algorithm 2", GOOD[:3] + b"\x02" + GOOD[4:], "algorithm"),
        ("shorter than header and tag", GOOD[:87], "ciphertext"),
        ("only four bytes", GOOD[:4], "ciphertext"),
    ]
    # 92 bytes leave a last group of two, with two bits that encode nothing.
    text, short = text_form(GOOD), text_form(GOOD[:-1])
    spellings = {
        "padded": short + "=",
        "trailing bits": short[:-1] + chr(ord(short[-1]) + 1),
        "prefix in capitals": "KS2_" + text[4:],
        "no prefix": text[4:],
        "line end": text + "\n",
        "standard alphabet": "ks2_" + b64(b"\xfb\xff\xfe" + GOOD[3:]).rstrip("="),
        "too many characters": text + "A" * (5 - len(text[4:]) % 4),
    }
    return [
        {"name": name, **BASE, "blob": blob.hex(), "outcome": FORM, "field": field} for name, blob, field in forms
    ] + [
        {"name": f"text: {name}", **BASE, "text": spelling, "outcome": FORM, "field": "text"}
        for name, spelling in spellings.items()
    ]

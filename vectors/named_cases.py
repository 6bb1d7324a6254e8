"""Known answers of compact ciphertexts under named keys: each type's algorithm, and deterministic encryption."""

from __future__ import annotations

from second import DATA_KEY, FORGED, FORM, OTHER_KEY, REFERENCE, SUITES, Case, compact, flip, hkdf, info, pattern

TYPES = {
    "aes-256-gcm": "aes-256-gcm",
    "aes-256-gcm-siv": "aes-256-gcm-siv",
    "chacha20-poly1305": "chacha20-poly1305",
    "aes-256-gcm-siv-deterministic": "aes-256-gcm-siv",
}
"""Each algorithm, and the type of the keys that have it."""
PURPOSE = "named-key"


def named_cases() -> Case:
    """named_keys.json."""
    return {
        "format": "compact ciphertext v2 under named keys",
        "positive": [
            _positive(algorithm, name, plaintext, aad)
            for algorithm in TYPES
            for name, plaintext, aad in (
                ("empty", b"", b""),
                ("bound", b"correct horse battery staple", b"user:7"),
                ("long", pattern(f"long {algorithm}", 300), pattern("long aad", 40)),
            )
        ],
        "negative": [case for algorithm in TYPES for case in (*_forged(algorithm), *_of_another_type(algorithm))],
    }


def _salt_and_nonce(algorithm: str, name: str) -> tuple[bytes, bytes]:
    deterministic = algorithm.endswith("deterministic")
    return pattern(f"salt {algorithm} {name}", 16), bytes(12) if deterministic else pattern(f"nonce {algorithm}", 12)


def _positive(algorithm: str, name: str, plaintext: bytes, aad: bytes) -> Case:
    salt, nonce = _salt_and_nonce(algorithm, name)
    both = hkdf(DATA_KEY, salt, info("v2", PURPOSE, algorithm), 64)
    return {
        "name": f"{algorithm}: {name}",
        "key_type": TYPES[algorithm],
        "deterministic": algorithm.endswith("deterministic"),
        "data_key": DATA_KEY.hex(),
        "reference": REFERENCE.hex(),
        "purpose": PURPOSE,
        "salt": salt.hex(),
        "nonce": nonce.hex(),
        "message_key": both[:32].hex(),
        "commitment": both[32:].hex(),
        "plaintext": plaintext.hex(),
        "aad": aad.hex(),
        "blob": compact(plaintext, aad, PURPOSE, salt, nonce, algorithm=algorithm).hex(),
    }


def _forged(algorithm: str) -> list[Case]:
    salt, nonce = _salt_and_nonce(algorithm, "forged")
    good = compact(b"value", b"user:7", PURPOSE, salt, nonce, algorithm=algorithm)
    base = {"key_type": TYPES[algorithm], "data_key": DATA_KEY.hex(), "purpose": PURPOSE, "aad": b"user:7".hex()}
    parts = {"reference": 4, "salt": 12, "commitment": 28, "nonce": 60, "ciphertext": 72, "tag": 77}
    cases = [
        {"name": f"{algorithm}: one bit of {part}", **base, "blob": flip(good, 8 * at).hex()}
        for part, at in parts.items()
    ]
    cases += [
        {"name": f"{algorithm}: another aad", **base, "aad": "", "blob": good.hex()},
        {"name": f"{algorithm}: another purpose", **base, "purpose": "caller", "blob": good.hex()},
        {"name": f"{algorithm}: another key", **base, "data_key": OTHER_KEY.hex(), "blob": good.hex()},
        {"name": f"{algorithm}: last byte missing", **base, "blob": good[:-1].hex()},
    ]
    if TYPES[algorithm] == "aes-256-gcm-siv":
        # Both algorithms are this type's, so the form holds, and the commitment is to the other label.
        other = next(name for name, kind in TYPES.items() if kind == TYPES[algorithm] and name != algorithm)
        renamed = good[:3] + SUITES[other][0] + good[4:]
        cases.append({"name": f"{algorithm}: renamed {other}", **base, "blob": renamed.hex()})
    return [{**case, "outcome": FORGED} for case in cases]


def _of_another_type(algorithm: str) -> list[Case]:
    """Sound ciphertexts of this algorithm, and the same bytes renamed, given to a key of each other type."""
    salt, nonce = _salt_and_nonce(algorithm, "other type")
    good = compact(b"value", b"user:7", PURPOSE, salt, nonce, algorithm=algorithm)
    cases: list[Case] = []
    for key_type in sorted(set(TYPES.values()) - {TYPES[algorithm]}):
        base = {"key_type": key_type, "data_key": DATA_KEY.hex(), "purpose": PURPOSE, "aad": b"user:7".hex()}
        renamed = good[:3] + SUITES[key_type][0] + good[4:]
        cases += [
            {
                "name": f"{algorithm}: for a key of type {key_type}",
                **base,
                "blob": good.hex(),
                "outcome": FORM,
                "field": "algorithm",
            },
            {"name": f"{algorithm}: renamed {key_type}", **base, "blob": renamed.hex(), "outcome": FORGED},
        ]
    return cases

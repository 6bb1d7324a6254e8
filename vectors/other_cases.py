"""Known answers of AAD, wrapped keys and key derivation."""

from __future__ import annotations

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from second import DATA_KEY, FORGED, OTHER_KEY, PURPOSES, SUITES, Case, fields, flip, hkdf, info, pattern, wrap


def aad_cases() -> Case:
    """aad.json."""
    mappings: list[dict[str, str]] = [
        {},
        {"user": "7"},
        {"b": "2", "a": "1"},
        {"a": "", "": "a"},
        {"a|b": "c"},
        {"a": "b|c"},
        {"\u00fc": "\u00e9", "\U0001f511": "key", "\uffee": "before it"},
    ]
    texts = ("", "user:7", "gr\u00fc\u00dfe", "\U0001f511")
    bindings: list[tuple[str, list[str | int | None]]] = [
        ("secret", ["store", "API_KEY", 3]),
        ("secret", ["store", "API_KEY", None]),
        ("secret", ["store", "API_KEY", ""]),
        ("slot", []),
        ("data-key", ["x" * 300, -1]),
    ]
    return {
        "format": "canonical AAD",
        "mappings": [
            {"mapping": mapping, "aad": b"".join(fields(name, mapping[name]) for name in sorted(mapping)).hex()}
            for mapping in mappings
        ],
        "texts": [{"text": text, "aad": text.encode().hex()} for text in texts],
        "bindings": [
            {"kind": kind, "fields": values, "aad": (b"\x01" + fields(kind, *values)).hex()}
            for kind, values in bindings
        ],
    }


def wrapping_cases() -> Case:
    """wrapping.json."""
    key, material, nonce = pattern("wrapping key", 32), pattern("material", 32), pattern("wrapping nonce", 12)
    aad = b"\x01" + fields("data-key", "store", "default-1")
    wrapped = wrap(key, material, nonce, aad)
    base = {"wrapping_key": key.hex(), "aad": aad.hex()}
    changed = {
        "another version": b"\x02" + wrapped[1:],
        "one bit of the nonce": flip(wrapped, 8),
        "one bit of the key": flip(wrapped, 8 * 13),
        "one bit of the tag": flip(wrapped, 8 * 60),
        "last byte missing": wrapped[:-1],
        "one byte more": wrapped + b"\0",
        "nothing": b"",
    }
    return {
        "format": "wrapped key",
        "positive": [
            {"name": "a data key", **base, "material": material.hex(), "nonce": nonce.hex(), "wrapped": wrapped.hex()}
        ],
        "negative": [
            *({"name": name, **base, "wrapped": blob.hex(), "outcome": FORGED} for name, blob in changed.items()),
            {"name": "another aad", **base, "aad": "", "wrapped": wrapped.hex(), "outcome": FORGED},
            {
                "name": "another key",
                **base,
                "wrapping_key": OTHER_KEY.hex(),
                "wrapped": wrapped.hex(),
                "outcome": FORGED,
            },
        ],
    }


def derivation_cases() -> Case:
    """derivation.json."""
    passphrases = [
        ("cheapest allowed", "correct horse", 2, 1, 19_456),
        ("default", "correct horse battery staple", 3, 4, 65_536),
        ("composed characters", "p\u00e4sswort \u212b", 2, 1, 19_456),
    ]
    stretched = []
    for name, passphrase, iterations, lanes, memory in passphrases:
        salt = pattern(f"salt {name}", 16)
        normalized = passphrase.replace("\u212b", "\u00c5")
        kdf = Argon2id(salt=salt, length=32, iterations=iterations, lanes=lanes, memory_cost=memory)
        stretched.append(
            {
                "name": name,
                "passphrase": passphrase,
                "salt": salt.hex(),
                "iterations": iterations,
                "lanes": lanes,
                "memory_kib": memory,
                "key": kdf.derive(normalized.encode()).hex(),
            }
        )
    contexts = [
        ("empty", b"", 32),
        ("tenant", b"tenant:blau", 32),
        ("shortest", b"tenant:blau", 16),
        ("long", b"\xff" * 300, 100),
    ]
    salts = {"v1": b"", "v2": pattern("salt v2", 16), "stream": pattern("salt stream", 32)}
    return {
        "format": "key derivation",
        "labels": [
            {
                "form": form,
                "purpose": purpose,
                "data_key": DATA_KEY.hex(),
                "salt": salt.hex(),
                "info": info(form, purpose).decode(),
                "okm": hkdf(DATA_KEY, salt, info(form, purpose), 32 if form == "v1" else 64).hex(),
            }
            for form, salt in salts.items()
            for purpose in PURPOSES
            if form != "v1" or purpose == "caller"
        ],
        "algorithms": [
            {
                "form": "v2",
                "purpose": "named-key",
                "algorithm": algorithm,
                "data_key": DATA_KEY.hex(),
                "salt": salts["v2"].hex(),
                "info": info("v2", "named-key", algorithm).decode(),
                "okm": hkdf(DATA_KEY, salts["v2"], info("v2", "named-key", algorithm), 64).hex(),
            }
            for algorithm in SUITES
        ],
        "contexts": [
            {
                "name": name,
                "material": DATA_KEY.hex(),
                "context": context.hex(),
                "length": length,
                "key": hkdf(DATA_KEY, b"", b"keystead/named-key/context" + fields(length, context), length).hex(),
            }
            for name, context, length in contexts
        ],
        "argon2id": stretched,
    }

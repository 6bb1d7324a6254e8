"""Known answers of envelope v1."""

from __future__ import annotations

import json
from base64 import b64decode

from second import DATA_KEY, FORGED, FORM, OTHER_KEY, Case, b64, envelope, envelope_key, fields, flip, pattern

GOOD = envelope(b"value", b"user:7", pattern("iv negative", 12), 1_707_000_000_000)
BASE = {"data_key": DATA_KEY.hex(), "aad": b"user:7".hex()}


def envelope_cases() -> Case:
    """envelope_v1.json."""
    return {"format": "envelope v1", "positive": _positive(), "negative": [*_bad_fields(), *_bad_texts(), *_forged()]}


def _positive() -> list[Case]:
    cases = [
        ("empty plaintext, no aad", b"", b""),
        ("short text", b"correct horse battery staple", b""),
        ("bound to a user", "mnemonic: zebra \u00fcber".encode(), b"user:7"),
        ("aad of a mapping", b"\x00\xff\x10", fields("id", "7", "tenant", "blue")),
        ("one block", pattern("block", 16), pattern("aad", 16)),
        ("several blocks and a rest", pattern("long", 1_001), pattern("long aad", 77)),
    ]
    return [
        {
            "name": name,
            "data_key": DATA_KEY.hex(),
            "message_key": envelope_key().hex(),
            "plaintext": plaintext.hex(),
            "aad": aad.hex(),
            "envelope": envelope(plaintext, aad, pattern(f"iv {name}", 12), 1_707_000_000_000 + number),
        }
        for number, (name, plaintext, aad) in enumerate(cases)
    ]


def _bad_fields() -> list[Case]:
    iv, tag = GOOD["iv"], GOOD["tag"]
    changes: list[tuple[str, str, object]] = [
        ("version 2", "v", 2),
        ("version as text", "v", "1"),
        ("version true", "v", True),
        ("version 1.0", "v", 1.0),
        ("another algorithm", "alg", "aes-128-gcm"),
        ("algorithm in capitals", "alg", "AES-256-GCM"),
        ("empty key id", "keyId", ""),
        ("key id of 129 characters", "keyId", "k" * 129),
        ("key id with a line end", "keyId", "a\nb"),
        ("key id beyond ASCII", "keyId", "caf\u00e9"),
        ("iv of 11 bytes", "iv", b64(bytes(11))),
        ("iv of 16 bytes", "iv", b64(bytes(16))),
        ("iv with a line end", "iv", iv + "\n"),
        ("iv with the URL alphabet", "iv", "-_" + iv[2:]),
        ("tag of 12 bytes", "tag", b64(b64decode(tag)[:12])),
        ("tag of 15 bytes", "tag", b64(b64decode(tag)[:15])),
        ("tag without padding", "tag", tag.rstrip("=")),
        ("tag with trailing bits", "tag", tag[:21] + chr(ord(tag[21]) + 1) + "=="),
        ("ciphertext null", "ciphertext", None),
        ("ciphertext a number", "ciphertext", 7),
        ("aad a number", "aad", 0),
        ("aad false", "aad", False),
        ("timestamp negative", "timestamp", -1),
        ("timestamp as text", "timestamp", "1707000000000"),
        ("timestamp of 2^53", "timestamp", 1 << 53),
    ]
    cases = [
        {"name": name, **BASE, "envelope": {**GOOD, field: value}, "outcome": FORM, "field": field}
        for name, field, value in changes
    ]
    cases.append({"name": "a field more", **BASE, "envelope": {**GOOD, "x": 1}, "outcome": FORM, "field": "envelope"})
    instead = {name: value for name, value in GOOD.items() if name != "aad"} | {"x": 1}
    cases.append({"name": "a field for aad", **BASE, "envelope": instead, "outcome": FORM, "field": "envelope"})
    for field in (name for name in GOOD if name != "aad"):
        rest = {name: value for name, value in GOOD.items() if name != field}
        cases.append({"name": f"{field} missing", **BASE, "envelope": rest, "outcome": FORM, "field": field})
    return cases


def _bad_texts() -> list[Case]:
    text = json.dumps(GOOD)
    changes = [
        ("tag twice", f'{text[:-1]}, "tag": "{GOOD["tag"]}"}}', "tag"),
        ("v twice, escaped", f'{text[:-1]}, "\\u0076": 1}}', "v"),
        ("more behind it", text + "{}", "envelope"),
        ("a list", f"[{text}]", "envelope"),
        ("cut", text[:-1], "envelope"),
        ("NaN", text.replace("1707000000000}", "NaN}"), "envelope"),
        ("byte order mark", "\ufeff" + text, "envelope"),
    ]
    return [
        {"name": name, **BASE, "text": changed, "outcome": FORM, "field": field} for name, changed, field in changes
    ]


def _forged() -> list[Case]:
    cases: list[Case] = []
    for field in ("iv", "tag", "ciphertext", "aad"):
        changed = {**GOOD, field: b64(flip(b64decode(GOOD[field]), 0))}
        cases.append({"name": f"one bit of {field}", **BASE, "envelope": changed})
        cases.append({**cases[-1], "name": f"one bit of {field}, its own aad accepted", "aad": None})
    cases += [
        {"name": "another aad", **BASE, "aad": b"user:8".hex(), "envelope": GOOD},
        {"name": "empty aad given", **BASE, "aad": "", "envelope": GOOD},
        {"name": "another data key", **BASE, "data_key": OTHER_KEY.hex(), "envelope": GOOD},
        {"name": "aad taken away", **BASE, "aad": None, "envelope": {**GOOD, "aad": ""}},
    ]
    return [{**case, "outcome": FORGED} for case in cases]

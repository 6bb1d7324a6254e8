"""docs/formats.md agrees with the code in every number that both give."""

import re
from pathlib import Path

import pytest

from keystead.crypto import compact, envelope, importing, stream, wrapping
from keystead.crypto.aad import canonical_aad
from keystead.crypto.derive import MAX_DERIVED, MIN_DERIVED
from keystead.crypto.kdf import RFC_9106_LOW_MEMORY, Argon2Parameters, derive
from keystead.crypto.purpose import Purpose, label
from keystead.crypto.types import CIPHERS, KeyType
from keystead.node import backup_file

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/formats.md").read_text("utf-8")


def section(title: str) -> str:
    return re.split(r"^## ", PAGE.split(f"\n## {title}\n")[1], flags=re.MULTILINE)[0]


def layout(title: str) -> list[tuple[int, int]]:
    first = re.search(r"^\| offset .*?^$", section(title), flags=re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^\| (\d+) \| (\d+) \|", first[0], flags=re.MULTILINE)
    return [(int(offset), int(length)) for offset, length in rows]


@pytest.mark.parametrize(
    ("title", "length"),
    [
        ("Compact ciphertext v2", compact.HEADER_LENGTH),
        ("Streams", stream.HEADER_LENGTH),
        ("Wrapped keys", wrapping.WRAPPED_LENGTH),
        ("Wrapped imports", 512),
        ("Backups", backup_file.HEADER_LENGTH),
    ],
)
def test_each_layout_is_without_gaps_and_of_the_length_in_code(title, length):
    rows = layout(title)
    end = 0
    for offset, size in rows:
        assert offset == end
        end = offset + size
    assert end == length


def test_magic_bytes_are_those_of_the_code():
    for title, magic in (("Compact ciphertext v2", compact.MAGIC), ("Streams", stream.MAGIC)):
        told = section(title)
        assert f"`{magic[:2].hex(' ')}`" in told
        assert f"version: `{magic[2:3].hex()}`" in told
        assert f"algorithm: `{magic[3:4].hex()}`" in told


def test_algorithms_of_named_keys_are_those_of_the_code():
    rows = re.findall(
        r"^\| `(\d\d)` \| [^|]*\| `([\w-]+)` \| `([\w-]+)` \|", section("Compact ciphertext v2"), re.MULTILINE
    )
    assert {key_type for _, _, key_type in rows} == set(CIPHERS)
    for byte, word, key_type in rows:
        start = b"ks\x02" + bytes.fromhex(byte)
        compact.check_form(start + bytes(84), KeyType(key_type))
        both = derive(bytes(32), salt=bytes(16), info=label("v2", Purpose.NAMED_KEY, word), length=64)
        prefix = start + bytes(24) + both[32:]
        assert compact.message_key_for(prefix, bytes(32), Purpose.NAMED_KEY, KeyType(key_type)).prefix == prefix
    assert len(rows) == 4


def test_bounds_are_those_of_the_code():
    assert f"{stream.MIN_CHUNK:,} to {stream.MAX_CHUNK:,}; keystead takes {stream.DEFAULT_CHUNK:,}" in section(
        "Streams"
    )
    assert f"{compact.OVERHEAD} bytes or more" in section("Compact ciphertext v2")
    assert f"| {MIN_DERIVED} to {MAX_DERIVED:,} |" in section("Keys and labels")
    assert f"1 to {importing.MAX_MATERIAL:,} bytes" in section("Wrapped imports")
    assert f"{envelope.MAX_TEXT >> 20} MiB of text" in section("Envelope v1")
    assert f"1 to {envelope.MAX_KEY_ID} printable" in section("Envelope v1")
    assert re.findall(r"^\| `(\w+)` \| (?:number|text|base64)", section("Envelope v1"), flags=re.MULTILINE) == [
        *envelope.Envelope.__annotations__
    ]


@pytest.mark.parametrize("name", ["passes", "lanes", "memory"])
def test_argon2_bounds_and_defaults_are_those_of_the_code(name):
    field = {"passes": "iterations", "lanes": "lanes", "memory": "memory_kib"}[name]
    row = re.search(rf"^\| {name} \| ([\d,]+)[^|]*\| ([\d,]+) to ([\d,]+)", section("Passphrases"), flags=re.MULTILINE)
    default, low, high = (int(number.replace(",", "")) for number in row.groups())
    assert getattr(RFC_9106_LOW_MEMORY, field) == default
    usual = {"iterations": 3, "lanes": 4, "memory_kib": 65_536}
    for inside in (low, high):
        assert Argon2Parameters(**{**usual, field: inside}).problem() is None
    for outside in (low - 1, high + 1):
        assert Argon2Parameters(**{**usual, field: outside}).problem()


def test_every_format_label_and_purpose_is_listed():
    for form in ("v1", "v2", "stream"):
        assert f"`{label(form, Purpose.CALLER).decode().removesuffix('caller')}" in section("Keys and labels")
    listed = re.findall(r"^- `/([\w-]+)`", section("Keys and labels"), flags=re.MULTILINE)
    assert listed == [purpose.value for purpose in Purpose]


def test_the_worked_example_of_an_aad_is_right():
    example = section("AAD").split("```")[1]
    assert bytes.fromhex("".join(example.split())) == canonical_aad({"b": "", "a": "1"})


def test_every_vector_file_is_listed_and_there():
    listed = set(re.findall(r"`vectors/(\w+\.json)`", section("Vectors")))
    assert listed == {path.name for path in (ROOT / "vectors").glob("*.json")}

"""Searching files for values that must not be in them, in any of the ways a value leaks.

As a command it takes names and values as a JSON object from its input and files or folders as arguments, and prints
what it found as JSON. It runs as a process of its own, since opening the files of a SQLite database next to SQLite in
one process would end SQLite's locks on them.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

WINDOW = 8
_HEX = 2 * WINDOW
_BASE64 = WINDOW * 8 // 6


@dataclass(frozen=True)
class Findings:
    """How much was searched for and where, and per file the names of the values that were found in it."""

    files: int = 0
    bytes: int = 0
    windows: int = 0
    patterns: int = 0
    found: dict[str, list[str]] = field(default_factory=dict)

    @property
    def names(self) -> set[str]:
        """The names of all values that were found anywhere."""
        return {name for names in self.found.values() for name in names}

    @property
    def first(self) -> str:
        """One of the files with the names of what is in it, in words; "none"."""
        return next((f"{file} ({', '.join(names)})" for file, names in self.found.items()), "none")


def windows(value: str) -> set[bytes]:
    """Every eight neighbouring bytes of a value.

    Raises:
        ValueError: the value is shorter than that, and a find would mean nothing.
    """
    data = value.encode()
    if len(data) < WINDOW:
        raise ValueError(f"a value of fewer than {WINDOW} bytes cannot be searched for")
    return {data[at : at + WINDOW] for at in range(len(data) - WINDOW + 1)}


def patterns(window: bytes) -> Iterator[bytes]:
    """A window raw, in hex, and in base64 at each place that it can have there, in both alphabets."""
    yield window
    yield window.hex().encode()
    yield window.hex().upper().encode()
    for before in range(3):
        # what stands before a window shifts its letters; the first ones also hold bits of it and are left out
        first = (before * 8 + 5) // 6
        for letters in (base64.b64encode, base64.urlsafe_b64encode):
            yield letters(bytes(before) + window + bytes(2))[first : first + _BASE64]


def search(values: Mapping[str, str], places: Iterable[Path]) -> Findings:
    """Look into every file of these places for every window of every value."""
    owners: dict[bytes, str] = {}
    count = 0
    for name, value in values.items():
        for window in windows(value):
            count += 1
            owners.update(dict.fromkeys(patterns(window), name))
    files, size, found = 0, 0, {}
    for path in sorted(file for place in places for file in _files(place)):
        data = path.read_bytes()
        files, size = files + 1, size + len(data)
        names = sorted(_found(data.rstrip(b"\0"), owners))
        if names:
            found[str(path)] = names
    return Findings(files, size, count, len(owners), found)


def _files(place: Path) -> Iterator[Path]:
    return (path for path in place.rglob("*") if path.is_file()) if place.is_dir() else iter((place,))


def _found(data: bytes, owners: Mapping[bytes, str]) -> set[str]:
    return {
        owners[part]
        for length in (WINDOW, _BASE64, _HEX)
        for at in range(len(data) - length + 1)
        if (part := data[at : at + length]) in owners
    }


def search_apart(values: Mapping[str, str], *places: Path) -> Findings:
    """The same as `search`, in a process of its own."""
    command = [sys.executable, __file__, *map(str, places)]
    done = subprocess.run(command, input=json.dumps(dict(values)).encode(), stdout=subprocess.PIPE, check=True)
    return Findings(**json.loads(done.stdout))


if __name__ == "__main__":
    print(json.dumps(asdict(search(json.load(sys.stdin), map(Path, sys.argv[1:])))))

"""Where chains lie on disk, and reading them from either end.

The folder holds one folder a chain (`0001`, `0002`, ...); a chain's records stand in `000001.jsonl`, `000002.jsonl`
and so on, one line each, in order.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from keystead.audit.chain import MAX_LINE, Line, follows, genesis, parse_line

_CHAIN: Final = re.compile(r"[0-9]{4,9}")
_FILE: Final = re.compile(r"([0-9]{6,12})\.jsonl")
_BLOCK: Final = 1 << 16


def chain_name(number: int) -> str:
    """The name of the chain slot with this number, from 1."""
    return f"{number:04d}"


def is_chain_name(name: str) -> bool:
    """Whether a text is the name of a chain slot."""
    return _CHAIN.fullmatch(name) is not None


def file_name(number: int) -> str:
    """The name of a chain's file with this number, from 1."""
    return f"{number:06d}.jsonl"


def chain_names(folder: Path) -> list[str]:
    """The chains that have a folder, in order; none where there is no audit folder."""
    try:
        names = [item.name for item in os.scandir(folder) if is_chain_name(item.name) and item.is_dir()]
    except FileNotFoundError:
        return []
    return sorted(names, key=lambda name: (int(name), name))


def chain_files(chain_folder: Path) -> list[Path]:
    """A chain's files, in order."""
    try:
        found = [chain_folder / item.name for item in os.scandir(chain_folder) if _FILE.fullmatch(item.name)]
    except FileNotFoundError:
        return []
    return sorted(found, key=file_number)


def file_number(path: Path) -> int:
    """The number in a file's name."""
    match = _FILE.fullmatch(path.name)
    if match is None:
        raise ValueError(f"{path.name} is no file of an audit chain")
    return int(match[1])


def open_file(path: Path) -> BinaryIO:
    """A chain's file for reading; a symbolic link in its place is refused with OSError."""
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")


class RawLine(NamedTuple):
    """One line as it stands in a file: where, without its newline, and whether it had one."""

    path: Path
    line_number: int
    data: bytes
    whole: bool


def lines(chain_folder: Path) -> Iterator[RawLine]:
    """A chain's lines from the first, a torn one at the end of a file included."""
    for path in chain_files(chain_folder):
        with open_file(path) as file:
            line_number = 0
            while data := file.readline(MAX_LINE + 1):
                line_number += 1
                whole = data.endswith(b"\n")
                yield RawLine(path, line_number, data[:-1] if whole else data, whole)


class TailLine(NamedTuple):
    """A whole line met from the end: its file, where it begins in it, and its bytes without the newline."""

    path: Path
    offset: int
    data: bytes


def lines_backward(chain_folder: Path) -> Iterator[TailLine]:
    """A chain's whole lines from the last to the first; a torn line at the end of a file is left out.

    Where a file holds something longer than any line, that is the last thing given of the file.
    """
    for path in reversed(chain_files(chain_folder)):
        with open_file(path) as file:
            yield from _backward(path, file)


def _backward(path: Path, file: BinaryIO) -> Iterator[TailLine]:
    position = file.seek(0, os.SEEK_END)
    rest, first = b"", True
    while position:
        length = min(_BLOCK, position)
        position -= length
        file.seek(position)
        parts = (file.read(length) + rest).split(b"\n")
        rest = parts[0]
        if len(rest) > 2 * MAX_LINE:
            yield TailLine(path, position, rest)
            return
        end = position + sum(len(part) + 1 for part in parts) - 1
        for part in reversed(parts[1:]):
            begin = end - len(part)
            if not first:
                yield TailLine(path, begin, part)
            first, end = False, begin - 1
    if rest and not first:
        yield TailLine(path, 0, rest)


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a chain: records, last link, highest sequence; the last file, its whole bytes and torn bytes after.

    `sound` is False where the last line is no line of this chain; `number` is that line's outbox number.
    """

    count: int
    link: bytes
    sequence: int
    path: Path | None
    size: int
    torn: bytes
    sound: bool
    number: int | None = None


def read_tail(folder: Path, chain: str) -> Tail:
    """The end of a chain, from its last two lines alone."""
    chain_folder = folder / chain
    files = chain_files(chain_folder)
    path = files[-1] if files else None
    size, torn = (0, b"") if path is None else _whole_size(path)
    backward = lines_backward(chain_folder)
    last = next(backward, None)
    if last is None:
        return Tail(0, genesis(chain), 0, path, size, torn, sound=True)
    before = next(backward, None)
    parsed = _parsed(last.data)
    previous = _parsed(before.data) if before else None
    if parsed is None or (before is not None and previous is None):
        return Tail(0, b"", 0, path, size, torn, sound=False)
    link, index = (previous.link, previous.index + 1) if previous else (genesis(chain), 0)
    sound = parsed.index == index and follows(link, last.data, parsed)
    return Tail(parsed.index + 1, parsed.link, parsed.sequence, path, size, torn, sound, parsed.number)


def _parsed(data: bytes) -> Line | None:
    try:
        return parse_line(data)
    except ValueError:
        return None


def _whole_size(path: Path) -> tuple[int, bytes]:
    with open_file(path) as file:
        end = position = file.seek(0, os.SEEK_END)
        torn = b""
        while position:
            length = min(_BLOCK, position)
            position -= length
            file.seek(position)
            block = file.read(length)
            newline = block.rfind(b"\n")
            torn = block[newline + 1 :] + torn
            if newline >= 0:
                break
        return end - len(torn), torn

"""The documents of the project, and the fenced blocks in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\S*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
_SHOWN_ONLY = re.compile(r"<!-- shown only: (.+) -->\s*\Z")


@dataclass(frozen=True)
class Block:
    """A fenced block. `line` is its first line in the page; `shown_only` why it is not run, "" where it is."""

    page: str
    line: int
    language: str
    text: str
    shown_only: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def read(name: str) -> str:
    """The text of a page."""
    return (ROOT / name).read_text("utf-8")


def blocks(name: str) -> list[Block]:
    """The blocks of a page, in order."""
    return list(_blocks(name, read(name)))


def _blocks(name: str, text: str) -> Iterator[Block]:
    for match in _FENCE.finditer(text):
        before = text[: match.start()]
        mark = _SHOWN_ONLY.search(before)
        content = re.sub(rf"^{match['indent']}", "", match["text"], flags=re.MULTILINE)
        yield Block(name, before.count("\n") + 2, match["language"], content, mark[1] if mark else "")


def section(name: str, title: str) -> str:
    """What stands under a heading of a page, up to the next one of the same or a higher level."""
    found = re.search(rf"^(#+) {re.escape(title)}$", read(name), flags=re.MULTILINE)
    if found is None:
        raise AssertionError(f"{name} has no section {title!r}")
    rest = read(name)[found.end() :]
    return re.split(rf"^#{{1,{len(found[1])}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """The rows of every table in a text, without the heads; the backticks around a whole cell are taken off."""
    lines = text.split("\n")
    found = []
    for number, line in enumerate(lines):
        is_row = line.startswith("|") and not re.fullmatch(r"[| :-]+", line)
        is_head = number + 1 < len(lines) and re.fullmatch(r"\|[| :-]+", lines[number + 1]) is not None
        if is_row and not is_head:
            found.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return found

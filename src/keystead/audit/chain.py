"""How records are linked: one line each, whose last field is SHA-256 over the line before and the line itself.

A line is `{"i":INDEX,"s":SEQUENCE,"n":NUMBER,"c":CONTENT,"h":"LINK"}`: the record's place in its chain, the highest
outbox number known when it was written, its own outbox number where it came from the outbox, its content, and the
link, which is SHA-256 over the 32 bytes of the line before's link and this line up to `,"h"`. The first line follows
the genesis of its chain's name, so that no chain passes for another. Nothing here does I/O.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

MAX_LINE: Final = 1 << 20
"""Bytes of one line; the longest that a bounded record can need is below this."""
_LINE: Final = re.compile(
    rb'\{"i":(0|[1-9][0-9]{0,17}),"s":(0|[1-9][0-9]{0,17})(?:,"n":([1-9][0-9]{0,17}))?,'
    rb'"c":(\{[ -~]*\}),"h":"([0-9a-f]{64})"\}'
)
_LINK_FIELD: Final = len(b',"h":"') + 64 + len(b'"}')


def genesis(chain: str) -> bytes:
    """What the first record of a chain is linked to."""
    return sha256(b"keystead/audit/chain/" + chain.encode("ascii")).digest()


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chain. `number` is the outbox number or None, `sequence` the highest known, `link` 32 bytes."""

    index: int
    sequence: int
    number: int | None
    content: bytes
    link: bytes


def make_line(previous: bytes, index: int, sequence: int, number: int | None, content: bytes) -> tuple[bytes, bytes]:
    """A line (without its newline) and its link, for a content that follows `previous`."""
    if number is None:
        body = b'{"i":%d,"s":%d,"c":%b' % (index, sequence, content)
    else:
        body = b'{"i":%d,"s":%d,"n":%d,"c":%b' % (index, sequence, number, content)
    link = sha256(previous + body).digest()
    return b'%b,"h":"%b"}' % (body, link.hex().encode()), link


def parse_line(line: bytes) -> Line:
    """The parts of a line; its link is not checked.

    Raises:
        ValueError: the line has another form.
    """
    match = _LINE.fullmatch(line)
    if match is None:
        raise ValueError("not a line of an audit chain")
    number = None if match[3] is None else int(match[3])
    return Line(int(match[1]), int(match[2]), number, match[4], bytes.fromhex(match[5].decode()))


def follows(previous: bytes, line: bytes, parsed: Line) -> bool:
    """Whether the line is linked to `previous`."""
    return sha256(previous + line[:-_LINK_FIELD]).digest() == parsed.link

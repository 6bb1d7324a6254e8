"""Request targets: read once, strictly, so that the name that is authorized is the name that is used.

What has two readings is refused and never tidied: dot segments, empty segments, escapes of what delimits or of what
needs none, another case of the prefix, absolute forms, fragments.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import parse_qsl

from keystead.api.operations import PREFIX

MAX_TARGET: Final = 4096
_PLAIN: Final = re.compile(rb"/[!$&'()*+,;=:@\-._~0-9A-Za-z/]*")
_WITH_ESCAPES: Final = re.compile(rb"/(?:[!$&'()*+,;=:@\-._~0-9A-Za-z/]|%[0-9A-Fa-f]{2})*")
_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_QUERY: Final = re.compile(rb"(?:[!$&'()*+,;=:@\-._~0-9A-Za-z/?\[\]]|%[0-9A-Fa-f]{2})*")
_AMBIGUOUS: Final = frozenset(b"/\\.%;") | frozenset(range(0x21)) | frozenset(range(0x7F, 0x100))


class Target(NamedTuple):
    """What a target names: below the prefix a collection, a name in it and a verb, "" for what is not there."""

    collection: str
    name: str
    verb: str
    query: str


def read_target(raw: bytes) -> Target | None:
    """The parts of a target; None for whatever has another form, or more than one reading."""
    path, _, query = raw.partition(b"?")
    if len(raw) > MAX_TARGET or not _QUERY.fullmatch(query):
        return None
    if not _PLAIN.fullmatch(path):
        if not _WITH_ESCAPES.fullmatch(path) or any(int(two, 16) in _AMBIGUOUS for two in _ESCAPE.findall(path)):
            return None
        path = _ESCAPE.sub(lambda found: bytes((int(found[1], 16),)), path)
    text = path.decode("ascii")
    if not text.startswith(f"{PREFIX}/"):
        return None
    rest, _, verb = text[len(PREFIX) + 1 :].partition(":")
    collection, *segments = rest.split("/")
    if not collection or ":" in verb or "/" in verb or any(segment in ("", ".", "..") for segment in segments):
        return None
    return Target(collection, "/".join(segments), verb, query.decode("ascii"))


def query_pairs(query: str) -> list[tuple[str, str]]:
    """The names and values of a query string.

    Raises:
        ValueError: it is none.
    """
    if not query:
        return []
    return parse_qsl(query, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=64)

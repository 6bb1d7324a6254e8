"""Resources, and the patterns that a policy names them by: compared segment by segment, and never as text.

A segment of a pattern is a literal, `*` (one whole segment), or a literal with `*` behind it (the beginning of one
segment). `**` stands last and for one or more segments. Wildcards are read from patterns only: in the name of a
resource `*` is a character like any other, so that what a caller chooses never widens what a policy says.
"""

from __future__ import annotations

import re
from typing import Final

ONE: Final = "*"
REST: Final = "**"
MAX_RESOURCE: Final = 640
"""Characters of a resource: its kind, and the longest name there is."""
_LITERAL = re.compile(r"[A-Za-z0-9_+=.@:-]*")
NAMED_KINDS: Final = frozenset(
    (
        *("secret", "key", "data-key", "random", "digest", "slot", "session"),
        *("policy", "token", "user", "role", "auth-method"),
    )
)
"""What resources with a name begin with."""
NAMELESS_KINDS: Final = frozenset(("store", "secrets", "root-key", "audit", "config", "cache"))
"""Resources that have none."""
KINDS: Final = NAMED_KINDS | NAMELESS_KINDS
_DOTS: Final = frozenset((".", ".."))

Pattern = tuple[str, ...]


def segments_of(resource: str) -> list[str] | None:
    """The segments of a resource that is asked for; None where it is too long, or one of them is empty, `.` or `..`.

    What is not canonical is refused and never put right: somebody else might put it right in another way.
    """
    if len(resource) > MAX_RESOURCE:
        return None
    segments = resource.split("/")
    for segment in segments:
        if not segment or segment in _DOTS:
            return None
    return segments


def parse_pattern(text: str) -> Pattern:
    """The segments of a pattern.

    Raises:
        ValueError: it is none; the message says what is wrong with it.
    """
    if not text:
        raise ValueError("is empty")
    if len(text) > MAX_RESOURCE:
        raise ValueError(f"has {len(text)} characters, and {MAX_RESOURCE} are allowed")
    segments = tuple(text.split("/"))
    for position, segment in enumerate(segments):
        _check_segment(segment, last=position == len(segments) - 1)
    _check_kind(segments)
    return segments


def _check_kind(pattern: Pattern) -> None:
    """A kind that is misspelled would name nothing, and a deny on it deny nothing, without anybody knowing."""
    kind = pattern[0]
    if kind != REST and not any(_segment_matches(kind, one) for one in KINDS):
        raise ValueError(f"begins with no kind of resource: there are {', '.join(sorted(KINDS))}")
    if kind in NAMELESS_KINDS and len(pattern) > 1:
        raise ValueError(f"gives a name to {kind}, which has none")


def _check_segment(segment: str, *, last: bool) -> None:
    if not segment:
        raise ValueError("has an empty segment")
    if segment in _DOTS:
        raise ValueError("has a segment . or ..")
    if segment == REST:
        if not last:
            raise ValueError("has ** before its last segment")
        return
    literal = segment.removesuffix(ONE)
    if ONE in literal:
        raise ValueError("has * elsewhere than at the end of a segment")
    if not _LITERAL.fullmatch(literal):
        raise ValueError("has a character that no resource has: use A-Z a-z 0-9 _ + = . @ : - / and *")


def matches(pattern: Pattern, segments: list[str]) -> bool:
    """Whether a pattern names the resource of these segments."""
    if pattern[-1] == REST:
        pattern = pattern[:-1]
        if len(segments) <= len(pattern):
            return False
        segments = segments[: len(pattern)]
    if len(pattern) != len(segments):
        return False
    return all(_segment_matches(wanted, segment) for wanted, segment in zip(pattern, segments, strict=True))


def _segment_matches(wanted: str, segment: str) -> bool:
    if wanted.endswith(ONE):
        return segment.startswith(wanted[:-1])
    return wanted == segment

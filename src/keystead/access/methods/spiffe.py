"""SPIFFE ids of workloads (SPIFFE-ID and X.509-SVID standards), and patterns for them."""

from __future__ import annotations

import re
from typing import Final

MAX_SPIFFE_ID: Final = 2_048
_DOMAIN: Final = r"[a-z0-9._-]{1,255}"
_SEGMENT: Final = r"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._-]+"
_ID: Final = re.compile(rf"spiffe://{_DOMAIN}(?:/{_SEGMENT})+", re.ASCII)
_PATTERN: Final = re.compile(rf"spiffe://{_DOMAIN}(?:/(?:{_SEGMENT}|\*))+", re.ASCII)


def is_spiffe_id(text: str) -> bool:
    """Whether a text is the id of a workload: a trust domain in lower case and a path, no `.` or `..` in it.

    A trust domain alone names no workload but whoever signs for all of them.
    """
    return len(text) <= MAX_SPIFFE_ID and _ID.fullmatch(text) is not None


def is_pattern(text: str) -> bool:
    """Whether a text is an id, or one with `*` in the place of whole segments of its path."""
    return len(text) <= MAX_SPIFFE_ID and _PATTERN.fullmatch(text) is not None


def matches(pattern: str, spiffe_id: str) -> bool:
    """Whether an id is the pattern's own, segment by segment; `*` stands for one segment, never for several or none."""
    wanted, there = pattern.split("/"), spiffe_id.split("/")
    return len(wanted) == len(there) and all(w in ("*", t) for w, t in zip(wanted, there, strict=True))

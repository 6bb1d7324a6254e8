"""JSON from strangers, read in one way only (RFC 8259; RFC 8725 section 2.4 tells why)."""

from __future__ import annotations

from json import JSONDecoder
from typing import Any, Final, NoReturn, cast

_MAX_DIGITS: Final = 20


def parse_object(data: bytes) -> dict[str, Any]:
    """The one JSON object that `data` is, in UTF-8.

    The caller bounds the length of `data`.

    Raises:
        ValueError: it is none, a name stands twice in an object at any depth, a number is not finite or has more than
            20 digits, or it is nested too deeply.
    """
    try:
        text = data.decode("utf-8")
        value, end = _SCAN(text, 0)
        if end != len(text):
            value = _DECODER.decode(text)
    except (ValueError, RecursionError, StopIteration):
        value = None
    # Raised outside the handler: the reader's error holds the text, which may be a token.
    if not isinstance(value, dict):
        raise ValueError("not a JSON object that can be read in one way only")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice")
    return found


def _integer(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError("a number with too many digits")
    return int(text)


def _decimal(text: str) -> float:
    number = float(text)
    if len(text) > 2 * _MAX_DIGITS or number in (float("inf"), float("-inf")):
        raise ValueError("a number out of bounds")
    return number


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


_DECODER: Final = JSONDecoder(
    object_pairs_hook=_unique, parse_int=_integer, parse_float=_decimal, parse_constant=_no_constant
)
# What `decode` calls, without its looking for white space around; where there is any, `decode` is asked.
_SCAN: Final = cast(Any, _DECODER).scan_once

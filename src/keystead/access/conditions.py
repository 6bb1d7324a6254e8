"""Conditions of a statement: what else must hold, beside action and resource.

A condition holds, does not hold, or cannot be told for want of facts: no source is known, no second factor was ever
shown, the call brought no tags or no encryption context. What cannot be told never helps the caller: for an allow it
counts as not met, for a deny as met.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from keystead.access.asked import Asked
from keystead.clock import parse_duration
from keystead.errors import UsageError

if TYPE_CHECKING:
    from keystead.access.networks import Network

MAX_ENTRIES: Final = 100
MAX_TEXT: Final = 512
METHODS: Final = ("certificate", "jwt", "local", "password", "role", "token")
"""How a session may have been proved."""
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MINUTE_MS, _DAY_MINUTES = 60_000, 1_440
_EPOCH_WEEKDAY = 3  # 1 January 1970 was a Thursday
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,3})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_HOURS = re.compile(r"([01]\d|2[0-4]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)", re.ASCII)
_METHOD = re.compile(r"[a-z][a-z0-9-]{0,31}")


Check = Callable[[Asked], bool | None]


class Condition(NamedTuple):
    """One condition. `volatile`: it may turn out otherwise at the next call of the same session on the same thing."""

    name: str
    volatile: bool
    holds: Check


def parse_conditions(given: Any) -> tuple[Condition, ...]:
    """The conditions of a statement, from the mapping in its document.

    Raises:
        ValueError: the message names the field and what is wrong with it.
    """
    if not isinstance(given, dict):
        raise ValueError("must be an object")
    parsed = []
    for name, value in given.items():
        if name not in _PARSERS:
            raise ValueError(f"{_shown(name)} is unknown: there are {', '.join(_PARSERS)}")
        volatile, parse = _PARSERS[name]
        try:
            parsed.append(Condition(name, volatile, parse(value)))
        except UsageError as error:
            raise ValueError(f"{name}: {error.message}") from None
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return tuple(parsed)


def all_hold(conditions: Sequence[Condition], asked: Asked) -> bool | None:
    """Whether all hold; False where one does not; None where none fails and one cannot be told."""
    outcome: bool | None = True
    for condition in conditions:
        held = condition.holds(asked)
        if held is False:
            return False
        if held is None:
            outcome = None
    return outcome


def _shown(name: str) -> str:
    return repr(name[:40]).encode("ascii", "backslashreplace").decode()


def _fields(given: Any, known: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(given, dict) or not given:
        raise ValueError(f"must be an object with {' or '.join(known)}")
    for name in given:
        if name not in known:
            raise ValueError(f"{_shown(name)} is unknown: there are {', '.join(known)}")
    return given


def _texts(given: Any) -> list[str]:
    if not isinstance(given, list) or not 1 <= len(given) <= MAX_ENTRIES:
        raise ValueError(f"must be a list of 1 to {MAX_ENTRIES} texts")
    if not all(isinstance(one, str) for one in given) or len(set(given)) != len(given):
        raise ValueError("must be a list of texts, each of them once")
    return given


def _pairs(given: Any, *, empty: bool = False) -> Mapping[str, str]:
    if not isinstance(given, dict) or not (empty or given) or len(given) > MAX_ENTRIES:
        raise ValueError(f"must be an object of {0 if empty else 1} to {MAX_ENTRIES} texts")
    for key, value in given.items():
        if not key or not isinstance(value, str) or max(len(key), len(value)) > MAX_TEXT:
            raise ValueError(f"must be an object of text to text, each of at most {MAX_TEXT} characters")
    return MappingProxyType(dict(given))


def _time(given: Any) -> Check:
    fields = _fields(given, ("after", "before", "hours", "days"))
    after = _moment(fields["after"], "after") if "after" in fields else None
    before = _moment(fields["before"], "before") if "before" in fields else None
    if after is not None and before is not None and after >= before:
        raise ValueError("after is not before before")
    hours = _spans(fields["hours"]) if "hours" in fields else None
    days = _weekdays(fields["days"]) if "days" in fields else None

    def holds(asked: Asked) -> bool:
        now = asked.now_ms
        if (after is not None and now < after) or (before is not None and now >= before):
            return False
        day, minute = divmod(now // _MINUTE_MS, _DAY_MINUTES)
        if days is not None and (day + _EPOCH_WEEKDAY) % 7 not in days:
            return False
        return hours is None or any(start <= minute < end for start, end in hours)

    return holds


def _moment(given: Any, field: str) -> int:
    if isinstance(given, str) and _MOMENT.fullmatch(given):
        try:
            return round(datetime.fromisoformat(given).astimezone(UTC).timestamp() * 1000)
        except (ValueError, OverflowError):
            pass
    raise ValueError(f"{field} must be a moment such as 2026-11-24T08:00:00Z")


def _spans(given: Any) -> tuple[tuple[int, int], ...]:
    spans = []
    for text in _texts([given] if isinstance(given, str) else given):
        match = _HOURS.fullmatch(text)
        start, end = (0, 0) if match is None else (_minutes(match[1], match[2]), _minutes(match[3], match[4]))
        if not start < end <= _DAY_MINUTES:
            raise ValueError("hours must be such as 08:00-18:00, in UTC, the first before the second, at most to 24:00")
        spans.append((start, end))
    return tuple(spans)


def _minutes(hours: str, minutes: str) -> int:
    return int(hours) * 60 + int(minutes)


def _weekdays(given: Any) -> frozenset[int]:
    names = _texts(given)
    if not set(names) <= set(DAYS):
        raise ValueError(f"days must be of {', '.join(DAYS)}")
    return frozenset(DAYS.index(name) for name in names)


def _source(given: Any) -> Check:
    networks = [_network(text) for text in _texts(given)]

    def holds(asked: Asked) -> bool | None:
        address = asked.source.address()
        return None if address is None else any(address in network for network in networks)

    return holds


def _network(text: str) -> Network:
    from keystead.access.networks import network_of  # noqa: PLC0415 - only who has such a condition pays for the import

    try:
        return network_of(text)
    except ValueError as error:
        raise ValueError(f"{_shown(text)} is no network such as 10.0.0.0/8 or 2001:db8::/32") from error


def _tags(given: Any) -> Check:
    wanted = _pairs(given).items()

    def holds(asked: Asked) -> bool | None:
        tags = asked.tags
        return None if tags is None else all(tags.get(key) == value for key, value in wanted)

    return holds


def _method(given: Any) -> Check:
    methods = frozenset(_texts(given))
    if not all(_METHOD.fullmatch(method) for method in methods):
        raise ValueError("must be a list of auth methods, in lower case, such as local or password")

    def holds(asked: Asked) -> bool:
        return asked.method in methods

    return holds


def _mfa_age(given: Any) -> Check:
    limit = parse_duration(given if isinstance(given, str) else "", what="it")

    def holds(asked: Asked) -> bool | None:
        return None if asked.mfa_ms is None else 0 <= asked.now_ms - asked.mfa_ms <= limit

    return holds


def _context(given: Any) -> Check:
    fields = _fields(given, ("equals", "contains"))
    equals = dict(_pairs(fields["equals"], empty=True)) if "equals" in fields else None
    contains = _pairs(fields["contains"]).items() if "contains" in fields else ()

    def holds(asked: Asked) -> bool | None:
        context = asked.context
        if context is None:
            return None
        if equals is not None and dict(context) != equals:
            return False
        return all(context.get(key) == value for key, value in contains)

    return holds


_PARSERS: Final[Mapping[str, tuple[bool, Callable[[Any], Check]]]] = MappingProxyType(
    {
        "time": (True, _time),
        "source": (False, _source),
        "tags": (True, _tags),
        "method": (False, _method),
        "mfa_age": (True, _mfa_age),
        "context": (True, _context),
    }
)

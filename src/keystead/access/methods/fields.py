"""What configurations of auth methods are made of, and how a wrong one is told: every field with its problem."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from keystead.access.policy_names import is_policy_name
from keystead.clock import format_duration, parse_duration
from keystead.errors import ConfigurationError, UsageError

MAX_ENTRIES: Final = 256
MAX_TEXT: Final = 2_048


class Problems:
    """The problems of one configuration, gathered so that all of them are told at once."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._found: dict[str, str] = {}

    def require(self, good: bool, field: str, problem: str) -> bool:
        """Whether it is good; if not, the field's first problem is kept."""
        if not good:
            self._found.setdefault(field, problem)
        return good

    def texts(self, field: str, value: object, *, at_least: int = 0, fits: Callable[[str], bool] | None = None) -> bool:
        """Whether a field is a tuple of different texts, each of 1 to 2,048 characters that `fits` takes."""
        return (
            self.require(isinstance(value, tuple) and all(is_text(text) for text in value), field, "must list texts")
            and self.require(at_least <= len(_tuple(value)) <= MAX_ENTRIES, field, _how_many(at_least))
            and self.require(len(set(_tuple(value))) == len(_tuple(value)), field, "lists something twice")
            and self.require(fits is None or all(map(fits, _tuple(value))), field, "lists something of another form")
        )

    def policies(self, field: str, value: object) -> bool:
        """Whether a field lists names of policies: 1 to 128 of `a-z 0-9 - _ .`, none that stands for the owner."""
        return self.texts(field, value, fits=is_policy_name)

    def duration(self, field: str, value: object, low_ms: int, high_ms: int) -> bool:
        """Whether a field is a number of milliseconds within bounds."""
        good = isinstance(value, int) and not isinstance(value, bool) and low_ms <= value <= high_ms
        bounds = f"{format_duration(low_ms) if low_ms else '0s'} to {format_duration(high_ms)}"
        return self.require(good, field.removesuffix("_ms"), f"must be {bounds}")

    def raise_any(self) -> None:
        """Nothing, if there was no problem.

        Raises:
            ConfigurationError: there was; `problems` maps each field to its own.
        """
        if self._found:
            raise ConfigurationError(
                f"not a configuration of {self._what}", problems=self._found, hint="see docs/auth-methods.md"
            )


def is_text(value: object) -> bool:
    """Whether a value is a text of 1 to 2,048 printable characters."""
    return isinstance(value, str) and 1 <= len(value) <= MAX_TEXT and value.isprintable()


def known_fields(given: object, known: Iterable[str], what: str, within: str = "") -> dict[str, Any]:
    """A copy of a JSON object that has only fields from `known`.

    Raises:
        ConfigurationError: it is no object, or has another field, which is named, since a misspelled one would be
            silently off.
    """
    problems = Problems(what)
    found: dict[str, Any] = dict(given) if isinstance(given, Mapping) else {}
    good = isinstance(given, Mapping) and all(isinstance(name, str) for name in found)
    if problems.require(good, within or "configuration", "must be a JSON object"):
        unknown = sorted(found.keys() - set(known))
        for name in unknown[:MAX_ENTRIES]:
            shown = name if name.isprintable() and len(name) <= 64 else "a field"
            problems.require(False, f"{within}.{shown}" if within else shown, "is not known")
    problems.raise_any()
    return found


def tupled(value: object) -> Any:
    """A JSON list as a tuple; what is no list stays what it is, to be refused by its field's own check."""
    return tuple(value) if isinstance(value, list) else value


def duration_ms(given: object, field: str, what: str) -> int:
    """A duration such as `30s` in milliseconds; `0s` is one.

    Raises:
        ConfigurationError: another spelling.
    """
    try:
        return parse_duration(given, what=field, allow_zero=True)  # type: ignore[arg-type]
    except UsageError:
        raise ConfigurationError(
            f"not a configuration of {what}", problems={field: "must be a duration such as 30s or 10m"}
        ) from None


def _tuple(value: object) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else ()


def _how_many(at_least: int) -> str:
    return f"must list {at_least} to {MAX_ENTRIES}" if at_least else f"must list at most {MAX_ENTRIES}"

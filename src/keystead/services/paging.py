"""Pages of a listing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from keystead.errors import UsageError
from keystead.secrets.read import check_limit

T = TypeVar("T")


class Page(NamedTuple, Generic[T]):
    """Some of a listing. `next` is what to give as `after` for the rest; None: there is no more."""

    items: list[T]
    next: str | None


def page_of(found: Sequence[T], name_of: Callable[[T], str], *, limit: int, after: str | None) -> Page[T]:
    """Up to `limit` of what was found, in its order, from behind the one that `after` names.

    Raises:
        UsageError: a limit outside 1 to 1,000, or nothing is named so.
    """
    check_limit(limit)
    start = 0
    if after is not None:
        names = [name_of(item) for item in found]
        if after not in names:
            raise UsageError("after names nothing in this list", hint="give what a page had as next")
        start = names.index(after) + 1
    items = list(found[start : start + limit])
    return Page(items, name_of(items[-1]) if start + limit < len(found) else None)

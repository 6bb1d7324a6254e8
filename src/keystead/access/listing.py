"""Pages of what a session may list: what it may not is left out, and shortens no page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Row = TypeVar("Row")


def permitted(
    page: Callable[[str, int], Sequence[Row]],
    name_of: Callable[[Row], str],
    may: Callable[[str], bool],
    limit: int,
    after: str | None,
) -> tuple[list[Row], str | None]:
    """Up to `limit` rows that may be listed, in the order of their names, and what to give as `after` for the rest.

    `page` gives up to so many rows from behind a name.
    """
    found: list[Row] = []
    start = after or ""
    while len(found) <= limit and (rows := page(start, limit + 1)):
        start = name_of(rows[-1])
        found += [row for row in rows if may(name_of(row))]
    return found[:limit], name_of(found[limit - 1]) if len(found) > limit else None

"""Lists come in pages: 100 at a time unless told, each with the place to go on from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from keystead.errors import UsageError
from keystead.services.kms import KMSService


def pages(listing: Callable[..., Any], **how: Any) -> list[list[Any]]:
    found, after = [], None
    while True:
        page = listing(after=after, **how)
        found.append(page.items)
        after = page.next
        if after is None:
            return found


def filled(kms: KMSService, count: int) -> dict[str, Callable[..., Any]]:
    """Listings of `count` things each."""
    kms.store_secret("A", "1")
    for number in range(2, count + 1):
        kms.store_secret(f"N{number:04}", "x")
        kms.rotate_secret("A", str(number))
        kms.rotate_data_key()
        KMSService.on(kms.node, principal=f"p{number}")
    return {
        "secrets": kms.list_secrets,
        "versions": lambda **how: kms.list_versions("A", **how),
        "data keys": kms.list_data_keys,
        "sessions": kms.sessions,
    }


def test_every_list_is_a_page_of_at_most_100_unless_told(kms: KMSService) -> None:
    for name, listing in filled(kms, 102).items():
        assert [len(items) for items in pages(listing)] == [100, 2], name
        assert listing(limit=102).next is None, name


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 1000])
def test_pages_of_any_size_together_are_the_whole_list_once_and_in_order(kms: KMSService, limit: int) -> None:
    for name, listing in filled(kms, 4).items():
        together = [item for items in pages(listing, limit=limit) for item in items]
        whole = listing(limit=1000)
        if name == "sessions":  # each call is an operation of the session
            assert [item.id for item in together] == [item.id for item in whole.items]
        else:
            assert together == whole.items
        assert (len(whole.items), whole.next) == (4, None)
    assert [version.version for version in kms.list_versions("A").items] == [1, 2, 3, 4]
    assert [key.state for key in kms.list_data_keys().items] == ["deactivated"] * 3 + ["active"]
    assert [session.principal for session in kms.sessions().items[1:]] == ["local:p2", "local:p3", "local:p4"]


def test_a_limit_out_of_bounds_and_a_place_that_no_page_gave_are_usage_errors(kms: KMSService) -> None:
    listings = filled(kms, 2)
    for listing in listings.values():
        for limit in (0, -1, 1001, "1", 1.0, True, None):
            with pytest.raises(UsageError, match="limit"):
                listing(limit=limit)
    for name in ("versions", "data keys", "sessions"):
        for after in ("", "nothing", 1, "\udc80", "-1"):
            with pytest.raises(UsageError, match="after"):
                listings[name](after=after)

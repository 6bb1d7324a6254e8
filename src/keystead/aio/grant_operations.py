"""The async `kms.grants`."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keystead.access.grants import GrantInfo
    from keystead.services import grant_operations as services
    from keystead.services.paging import Page


class GrantOperations:
    """`kms.grants`: each method is that of the sync service, with its parameters, results and errors."""

    def __init__(self, sync: services.GrantOperations) -> None:
        self._sync = sync

    async def create(
        self,
        key: str,
        grantee: str,
        operations: Iterable[str],
        *,
        retiring: str | None = None,
        name: str | None = None,
        context_equals: Mapping[str, str] | None = None,
        context_subset: Mapping[str, str] | None = None,
        ttl: timedelta | str | None = None,
    ) -> GrantInfo:
        """Let a principal do these operations with a key."""
        return await to_thread(
            self._sync.create,
            key,
            grantee,
            operations,
            retiring=retiring,
            name=name,
            context_equals=context_equals,
            context_subset=context_subset,
            ttl=ttl,
        )

    async def get(self, key: str, grant_id: str) -> GrantInfo:
        """A grant of a key."""
        return await to_thread(self._sync.get, key, grant_id)

    async def list(
        self,
        key: str | None = None,
        *,
        grantee: str | None = None,
        retiring: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> Page[GrantInfo]:
        """A page of the grants of a key, to a grantee, or that a principal may retire."""
        return await to_thread(self._sync.list, key, grantee=grantee, retiring=retiring, limit=limit, after=after)

    async def revoke(self, key: str, grant_id: str) -> None:
        """End a grant, as who manages the key."""
        return await to_thread(self._sync.revoke, key, grant_id)

    async def retire(self, key: str, grant_id: str) -> None:
        """End a grant, as its retiring principal, or as its grantee where that was granted."""
        return await to_thread(self._sync.retire, key, grant_id)

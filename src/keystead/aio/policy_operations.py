"""The async `kms.policies`."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keystead.access.explain import Access, Explanation
    from keystead.access.stored import PolicyInfo
    from keystead.services import policy_operations as services
    from keystead.services.paging import Page
    from keystead.services.policy_operations import Circumstances


class PolicyOperations:
    """`kms.policies`: each method is that of the sync service, with its parameters, results and errors."""

    def __init__(self, sync: services.PolicyOperations) -> None:
        self._sync = sync

    async def write(
        self, name: str, document: str | Mapping[str, Any], *, expected_version: int | None = None
    ) -> PolicyInfo:
        """Write a policy, in the place of the one of its name."""
        return await to_thread(self._sync.write, name, document, expected_version=expected_version)

    async def read(self, name: str) -> PolicyInfo:
        """A policy."""
        return await to_thread(self._sync.read, name)

    async def list(self, *, limit: int = 100, after: str | None = None) -> Page[PolicyInfo]:
        """A page of the policies that this session may list, in the order of their names."""
        return await to_thread(self._sync.list, limit=limit, after=after)

    async def delete(self, name: str) -> None:
        """Delete a policy."""
        return await to_thread(self._sync.delete, name)

    async def test(
        self,
        policy: str | Mapping[str, Any],
        action: str,
        resource: str,
        circumstances: Circumstances | None = None,
    ) -> Explanation:
        """What one policy would say, stored or given."""
        return await to_thread(self._sync.test, policy, action, resource, circumstances)

    async def explain(
        self,
        who: str | Iterable[str],
        action: str,
        resource: str,
        circumstances: Circumstances | None = None,
    ) -> Explanation:
        """Why a session, or who has these policies, may do something or not."""
        return await to_thread(self._sync.explain, who, action, resource, circumstances)

    async def who_can(self, action: str, resource: str) -> Access:
        """Every statement and grant about an action on a resource, and which sessions and stored principals may."""
        return await to_thread(self._sync.who_can, action, resource)

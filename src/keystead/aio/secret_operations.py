"""Secrets at rest: the secret methods of the async `KMSService`."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Mapping
from datetime import timedelta

from keystead.aio.face import Face
from keystead.secrets.labels import KEEP, Keep
from keystead.secrets.model import SecretInfo, VersionInfo
from keystead.secrets.value import SecretValue
from keystead.secrets.write import Value
from keystead.services.paging import Page
from keystead.services.secret_operations import TTL, Swept


class SecretOperations(Face):
    """Each method is that of `keystead.KMSService`, with its parameters, results and errors."""

    async def store_secret(
        self,
        name: str,
        value: Value | None = None,
        *,
        ttl: TTL = KEEP,
        ttl_days: int | None = None,
        tags: Mapping[str, str] | Keep | None = KEEP,
        generate: str | None = None,
        expected_version: int | None = None,
    ) -> SecretInfo:
        """Store a new version of a secret."""
        return await to_thread(
            self._sync.store_secret,
            name,
            value,
            ttl=ttl,
            ttl_days=ttl_days,
            tags=tags,
            generate=generate,
            expected_version=expected_version,
        )

    async def store_secrets(
        self,
        values: Mapping[str, Value],
        *,
        ttl: TTL = KEEP,
        ttl_days: int | None = None,
        tags: Mapping[str, str] | Keep | None = KEEP,
    ) -> list[SecretInfo]:
        """Store many secrets in one transaction."""
        return await to_thread(self._sync.store_secrets, values, ttl=ttl, ttl_days=ttl_days, tags=tags)

    async def get_secret(self, name: str, *, version: int | None = None, label: str | None = None) -> SecretValue:
        """The value of a secret, read from the store."""
        return await to_thread(self._sync.get_secret, name, version=version, label=label)

    async def rotate_secret(
        self,
        name: str,
        new_value: Value | None = None,
        *,
        expected_version: int | None = None,
        compromised: bool = False,
        grace: timedelta | str | None = None,
    ) -> SecretInfo:
        """Make a new version the current one."""
        return await to_thread(
            self._sync.rotate_secret,
            name,
            new_value,
            expected_version=expected_version,
            compromised=compromised,
            grace=grace,
        )

    async def delete_secret(self, name: str) -> None:
        """Delete a secret: unreadable from now on, until `undelete_secret`."""
        return await to_thread(self._sync.delete_secret, name)

    async def undelete_secret(self, name: str) -> None:
        """Undo a deletion."""
        return await to_thread(self._sync.undelete_secret, name)

    async def destroy_secret(self, name: str, *, version: int | None = None) -> None:
        """Destroy one version, or the whole secret."""
        return await to_thread(self._sync.destroy_secret, name, version=version)

    async def sweep(self) -> Swept:
        """Record what has expired, and destroy what expired long enough ago."""
        return await to_thread(self._sync.sweep)

    async def list_secrets(
        self,
        prefix: str | None = None,
        tags: Mapping[str, str] | None = None,
        expired: bool | None = None,
        *,
        deleted: bool = False,
        limit: int = 100,
        after: str | None = None,
    ) -> Page[SecretInfo]:
        """A page of secrets in the order of their names, without values."""
        return await to_thread(
            self._sync.list_secrets, prefix, tags, expired, deleted=deleted, limit=limit, after=after
        )

    async def list_versions(self, name: str, *, limit: int = 100, after: str | None = None) -> Page[VersionInfo]:
        """A page of the versions of a secret, oldest first, without values."""
        return await to_thread(self._sync.list_versions, name, limit=limit, after=after)

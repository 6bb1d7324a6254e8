"""The async SecretsManager."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from keystead.aio.kms import KMSService
from keystead.gate import WouldWait
from keystead.secrets.labels import KEEP, Keep
from keystead.secrets.model import SecretInfo
from keystead.secrets.value import SecretValue
from keystead.secrets.write import Value
from keystead.services.import_environment import Conflicts, ImportReport
from keystead.services.manager_status import SecretsStatus
from keystead.services.paging import Page
from keystead.services.secret_operations import TTL
from keystead.services.secrets_manager import MISSING

if TYPE_CHECKING:
    from keystead.node.backup import BackupReport


class SecretsManager:
    """`keystead.SecretsManager` for async code: the same parameters, methods, results and errors."""

    def __init__(self, kms: KMSService, cache_ttl: float | timedelta | str = 300) -> None:
        self.kms = kms
        self._sync = kms._sync._secrets_manager(cache_ttl)

    async def initialize(
        self,
        *,
        env: Mapping[str, str] | None = None,
        names: Iterable[str] | None = None,
        prefix: str | None = None,
        conflicts: Conflicts = "store",
    ) -> ImportReport:
        """Import the application's secrets from the environment into the store, and get ready to serve them."""
        return await to_thread(self._sync.initialize, env=env, names=names, prefix=prefix, conflicts=conflicts)

    async def get_secret(
        self, name: str, default: Any = MISSING, *, version: int | None = None, label: str | None = None
    ) -> Any:
        """The value of a secret; `default` where the store never held it and no variable has it."""
        if version is None and label is None:
            now = self._sync._try_find(name)
            if not isinstance(now, WouldWait):
                return now.value
        return await to_thread(self._sync.get_secret, name, default, version=version, label=label)

    async def get_secrets(
        self, names: Iterable[str], *, missing: Literal["raise", "skip"] = "raise"
    ) -> dict[str, SecretValue]:
        """The values of many secrets, in one query for those not cached."""
        return await to_thread(self._sync.get_secrets, names, missing=missing)

    async def set_secret(
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
            self._sync.set_secret,
            name,
            value,
            ttl=ttl,
            ttl_days=ttl_days,
            tags=tags,
            generate=generate,
            expected_version=expected_version,
        )

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

    async def list_secrets(
        self,
        prefix: str | None = None,
        tags: Mapping[str, str] | None = None,
        expired: bool | None = None,
        *,
        limit: int = 100,
        after: str | None = None,
    ) -> Page[SecretInfo]:
        """A page of secrets without values."""
        return await to_thread(self._sync.list_secrets, prefix, tags, expired, limit=limit, after=after)

    async def clear_cache(self) -> None:
        """Forget every cached value; the next read asks the store."""
        self._sync.clear_cache()

    async def backup_secrets(self, to: str | Path, *, passphrase: str, shreddable: bool = False) -> BackupReport:
        """Write the store to one encrypted file."""
        return await to_thread(self._sync.backup_secrets, to, passphrase=passphrase, shreddable=shreddable)

    async def restore_secrets(
        self, source: str | Path, *, passphrase: str, shred_keys: str | Path | None = None
    ) -> BackupReport:
        """Restore a backup into this store, which must be empty."""
        return await to_thread(self._sync.restore_secrets, source, passphrase=passphrase, shred_keys=shred_keys)

    async def get_status(self) -> SecretsStatus:
        """Hits, misses, hit rate, entries, and what was imported, failed, or fell back to the environment."""
        return await to_thread(self._sync.get_status)

"""The async ConfigLoader."""

from __future__ import annotations

import os
from asyncio import to_thread
from collections.abc import Callable, Mapping
from typing import Any, Generic, Self, TypeVar, overload

from keystead.aio.secrets_manager import SecretsManager
from keystead.config.ports import SecretSource
from keystead.config.schema import MISSING
from keystead.config.status import ConfigStatus
from keystead.services import config_loader

T = TypeVar("T")


class ConfigLoader(Generic[T]):
    """`keystead.ConfigLoader` for async code: the same parameters, methods, results and errors.

    Secrets come from a SecretsManager, async or not, or from whatever answers `get_secrets` without being awaited.
    """

    @overload
    def __init__(
        self: ConfigLoader[None],
        schema: None = None,
        *,
        env: Mapping[str, str] | None = None,
        env_file: str | os.PathLike[str] | None = None,
        overrides: Mapping[str, Any] | None = None,
        _record: Callable[[Mapping[str, str | int]], None] | None = None,
    ) -> None: ...

    @overload
    def __init__(
        self,
        schema: type[T],
        *,
        env: Mapping[str, str] | None = None,
        env_file: str | os.PathLike[str] | None = None,
        overrides: Mapping[str, Any] | None = None,
        _record: Callable[[Mapping[str, str | int]], None] | None = None,
    ) -> None: ...

    def __init__(
        self,
        schema: type[Any] | None = None,
        *,
        env: Mapping[str, str] | None = None,
        env_file: str | os.PathLike[str] | None = None,
        overrides: Mapping[str, Any] | None = None,
        _record: Callable[[Mapping[str, str | int]], None] | None = None,
    ) -> None:
        how: dict[str, Any] = {"env": env, "env_file": env_file, "overrides": overrides, "_record": _record}
        self._sync: config_loader.ConfigLoader[Any] = config_loader.ConfigLoader(schema, **how)

    def _over(self, sync: config_loader.ConfigLoader[Any]) -> Self:
        self._sync = sync
        return self

    async def load(self, secrets: SecretSource | SecretsManager | None = None) -> T:
        """An instance of the schema."""
        return await to_thread(self._sync.load, _source(secrets))

    async def get(self, name: str, default: Any = MISSING) -> Any:
        """One setting."""
        return await to_thread(self._sync.get, name, default)

    async def get_public(self) -> dict[str, Any]:
        """The fields that the schema marks public, as values that JSON has."""
        return self._sync.get_public()

    async def get_connections(self) -> dict[str, str]:
        """The fields that hold URIs, each with every credential masked."""
        return self._sync.get_connections()

    async def is_valid(self, secrets: SecretSource | SecretsManager | None = None) -> bool:
        """Whether the last attempt to load succeeded."""
        return await to_thread(self._sync.is_valid, _source(secrets))

    async def get_status(self, secrets: SecretSource | SecretsManager | None = None) -> ConfigStatus:
        """Each field's source and every error, never a value, of the last attempt."""
        return await to_thread(self._sync.get_status, _source(secrets))

    def __repr__(self) -> str:
        return repr(self._sync)


def _source(secrets: SecretSource | SecretsManager | None) -> SecretSource | None:
    return secrets._sync if isinstance(secrets, SecretsManager) else secrets

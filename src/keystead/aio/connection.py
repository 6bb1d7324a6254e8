"""What `keystead.aio.connect()` gives: the async services on one store, opened together and closed together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Mapping
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from keystead.aio.config_loader import ConfigLoader
from keystead.aio.kms import KMSService
from keystead.aio.secrets_manager import SecretsManager
from keystead.clock import Clock
from keystead.node.settings import Settings
from keystead.opening import made
from keystead.seal.credential import Credential
from keystead.services import connection

if TYPE_CHECKING:
    from keystead.access.token_text import AccessToken
    from keystead.client.transport import Certificates

T = TypeVar("T")


class Connection:
    """An open store: `.kms`, `.secrets`, `.config(Schema)`, `.config_loader(Schema)`. An async context manager."""

    def __init__(self, kms: KMSService, cache_ttl: float | timedelta | str = 300) -> None:
        self.kms = kms
        self._cache_ttl = cache_ttl
        self.secrets = SecretsManager(kms, cache_ttl)
        self._sync = connection.Connection(kms._sync, cache_ttl)
        self._sync.secrets = self.secrets._sync

    def config_loader(
        self,
        schema: type[T] | None = None,
        *,
        env: Mapping[str, str] | None = None,
        env_file: str | Path | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> ConfigLoader[Any]:
        """A loader whose loading is recorded here; `load(connection.secrets)` fills it."""
        sync = self._sync.config_loader(schema, env=env, env_file=env_file, overrides=overrides)
        return ConfigLoader.__new__(ConfigLoader)._over(sync)

    async def config(self, schema: type[T], **sources: Any) -> T:
        """The loaded instance of a schema; `sources` are the keyword arguments of `config_loader`."""
        loaded: T = await self.config_loader(schema, **sources).load(self.secrets)
        return loaded

    async def login(self, method: str, *, source: str | None = None, **credentials: Any) -> AccessToken:
        """An access token for whoever these credentials prove."""
        return await self.kms.login(method, source=source, **credentials)

    async def as_token(self, token: str | AccessToken, *, source: str | None = None, binding: str = "") -> Connection:
        """The services on this store for whoever shows an access token. Closing them ends that session."""
        return Connection(await self.kms.as_token(token, source=source, binding=binding), self._cache_ttl)

    async def close(self) -> None:
        """Close the services and the store. Closing again changes nothing."""
        await self.kms.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class Connecting:
    """A store that is opened when this is awaited or entered; nothing is done before."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __await__(self) -> Generator[Any, None, Connection]:
        return self._open().__await__()

    async def __aenter__(self) -> Connection:
        return await self._open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connection.close()

    async def _open(self) -> Connection:
        opening = asyncio.ensure_future(self._connection.kms.initialize())
        try:
            await asyncio.shield(opening)
        except BaseException:
            # Nobody else closes what was opened so far: connections to a server whose first answer is an error, or
            # what the thread goes on opening after a cancellation.
            await asyncio.gather(opening, return_exceptions=True)
            await self._connection.close()
            raise
        return self._connection


def connect(
    url: str | Path | None = None,
    *,
    master_key: str | Credential | None = None,
    principal: str | None = None,
    cache_ttl: float | timedelta | str = 300,
    settings: Settings | None = None,
    clock: Clock | None = None,
    prompt: Callable[[], str] | None = None,
    accept_rollback: bool = False,
    token: str | AccessToken | None = None,
    certificates: Certificates | None = None,
) -> Connecting:
    """Open a store, or connect to a server: `async with connect() as store`, or `store = await connect()`.

    Arguments and errors as for `keystead.connect`.
    """
    sync = made(
        url,
        master_key=master_key,
        principal=principal,
        settings=settings,
        clock=clock,
        prompt=prompt,
        accept_rollback=accept_rollback,
        token=token,
        certificates=certificates,
    )
    return Connecting(Connection(KMSService.__new__(KMSService)._over(sync), cache_ttl))

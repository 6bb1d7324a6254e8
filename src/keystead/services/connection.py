"""What `keystead.connect()` gives: the services on one store, opened together and closed together."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from keystead.services.kms import KMSService
from keystead.services.secrets_manager import SecretsManager

if TYPE_CHECKING:
    from keystead.access.token_text import AccessToken
    from keystead.services.config_loader import ConfigLoader

T = TypeVar("T")


class Connection:
    """An open store: `.kms`, `.secrets`, `.config(Schema)`, `.config_loader(Schema)`. A context manager."""

    def __init__(self, kms: KMSService, cache_ttl: float | timedelta | str = 300) -> None:
        self.kms = kms
        self._cache_ttl = cache_ttl
        self.secrets: SecretsManager = kms._secrets_manager(cache_ttl)

    def config_loader(
        self,
        schema: type[T] | None = None,
        *,
        env: Mapping[str, str] | None = None,
        env_file: str | Path | None = None,
        overrides: Mapping[str, Any] | None = None,
    ) -> ConfigLoader[Any]:
        """A loader whose loading is recorded here; `load(connection.secrets)` fills it."""
        from keystead.services.config_loader import ConfigLoader  # noqa: PLC0415 - a rare call; opening a store does not pay for it

        record = self.secrets._record_configuration
        return ConfigLoader(schema, env=env, env_file=env_file, overrides=overrides, _record=record)

    def config(self, schema: type[T], **sources: Any) -> T:
        """The loaded instance of a schema; `sources` are the keyword arguments of `config_loader`.

        Raises:
            ConfigurationError: every problem at once, never with a value.
        """
        loaded: T = self.config_loader(schema, **sources).load(self.secrets)
        return loaded

    def login(self, method: str, *, source: str | None = None, **credentials: Any) -> AccessToken:
        """An access token for whoever these credentials prove: as `KMSService.login`.

        Raises:
            UsageError, AuthenticationFailed, LockedOut.
        """
        return self.kms.login(method, source=source, **credentials)

    def as_token(self, token: str | AccessToken, *, source: str | None = None, binding: str = "") -> Connection:
        """The services on this store for whoever shows an access token: as `KMSService.as_token`. Closing them ends
        that session, and leaves the store open.

        Raises:
            AuthenticationFailed, UsageError.
        """
        return type(self)(self.kms.as_token(token, source=source, binding=binding), self._cache_ttl)

    def close(self) -> None:
        """Close the services and the store. Closing again changes nothing."""
        self.kms.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

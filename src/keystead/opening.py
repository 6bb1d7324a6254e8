"""`connect()`: the services on a store in this process, or on a server; only what that takes is imported."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keystead.clock import Clock
from keystead.errors import UsageError
from keystead.node.location import URL_VARIABLE
from keystead.node.settings import Settings, environment
from keystead.seal.credential import Credential

if TYPE_CHECKING:
    from keystead.access.token_text import AccessToken
    from keystead.client.transport import Certificates
    from keystead.services.connection import Connection
    from keystead.services.kms import KMSService


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
) -> Connection:
    """Open a store, or connect to a server.

    `url` is that of a store, with arguments and errors as for `KMSService` and its `initialize`; or
    `https://host:port`, with the access token to show (None: KEYSTEAD_TOKEN, or what KEYSTEAD_TOKEN_FILE names) and
    `certificates` other than the system's. None: KEYSTEAD_URL, else `.keystead/` here or above.

    Raises:
        UsageError: arguments of the one with a url of the other.
        AuthenticationFailed, ServerUnavailable, FileUnavailable: of a server.
    """
    kms = made(
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
    from keystead.services.connection import Connection  # noqa: PLC0415 - an import of this module does no work

    connection = Connection(kms, cache_ttl)
    try:
        kms.initialize()
    except BaseException:
        kms.close()
        raise
    return connection


def made(
    url: str | Path | None,
    *,
    token: str | AccessToken | None,
    certificates: Certificates | None,
    accept_rollback: bool,
    **opening: Any,
) -> KMSService:
    """The service that `connect` opens, not open yet. Raises UsageError, FileUnavailable."""
    server = server_url(url)
    if server is None:
        if token is not None or certificates is not None:
            raise UsageError("token and certificates are for servers", hint="connect(...).as_token(token) for a store")
        from keystead.services.kms import KMSService  # noqa: PLC0415 - only the one of the two that is asked for

        return KMSService(url, accept_rollback=accept_rollback, **opening)
    if accept_rollback or any(given is not None for given in opening.values()):
        raise UsageError("these arguments are for a store, and not for a server", hint="give token=... only")
    from keystead.client.connection import on_server  # noqa: PLC0415 - as above

    return on_server(server, token=token, certificates=certificates, variables=environment())


def server_url(url: str | Path | None) -> str | None:
    """The url of a server that was given, here or in KEYSTEAD_URL; None where that is a store's."""
    named = url if url is not None else environment().get(URL_VARIABLE) or None
    return named if isinstance(named, str) and named.startswith(("https://", "http://")) else None

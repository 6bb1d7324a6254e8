"""The async KMSService."""

from __future__ import annotations

import threading
from asyncio import CancelledError, to_thread
from collections.abc import AsyncIterator, Callable, Iterable
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from keystead.aio.data_operations import DataOperations
from keystead.aio.grant_operations import GrantOperations
from keystead.aio.identity_operations import IdentityOperations, TokenOperations
from keystead.aio.key_operations import KeyOperations, SlotOperations
from keystead.aio.policy_operations import PolicyOperations
from keystead.aio.secret_operations import SecretOperations
from keystead.clock import Clock
from keystead.node.node import Node
from keystead.node.settings import Settings
from keystead.seal.credential import Credential
from keystead.services import audit_operations, kms
from keystead.services.status import Status

if TYPE_CHECKING:
    from keystead.access.token_text import AccessToken
    from keystead.aio.named_keys import NamedKeyOperations
    from keystead.audit.reader import LogEntry
    from keystead.audit.report import Report
    from keystead.node.backup import BackupReport
    from keystead.services.login import WhoAmI


class AuditOperations:
    """`kms.audit`: each method is that of the sync service, with its parameters, results and errors."""

    def __init__(self, sync: audit_operations.AuditOperations) -> None:
        self._sync = sync

    async def verify(self) -> Report:
        """Check every record, link, checkpoint MAC and signature."""
        return await to_thread(self._sync.verify)

    async def tail(self, count: int = 20) -> list[LogEntry]:
        """The last records of all chains, oldest first."""
        return await to_thread(self._sync.tail, count)

    async def follow(self, stop: threading.Event, *, count: int = 0) -> AsyncIterator[LogEntry]:
        """The last `count` records, then those that are written from now on, until `stop` is set.

        Cancelling sets `stop`, since a thread is waiting for it.
        """
        entries = await to_thread(self._sync.follow, stop, count=count)
        try:
            while (entry := await to_thread(next, entries, None)) is not None:
                yield entry
        except CancelledError:
            stop.set()
            raise

    async def public_key(self) -> bytes:
        """The 32-byte Ed25519 key by which an outsider verifies checkpoints."""
        return self._sync.public_key()


class KMSService(DataOperations, SecretOperations, KeyOperations):
    """`keystead.KMSService` for async code: the same parameters, methods, results and errors.

    An async context manager: entering it initializes, leaving it closes.
    """

    def __init__(
        self,
        url: str | Path | None = None,
        *,
        master_key: str | Credential | None = None,
        principal: str | None = None,
        settings: Settings | None = None,
        clock: Clock | None = None,
        prompt: Callable[[], str] | None = None,
        accept_rollback: bool = False,
    ) -> None:
        self._over(
            kms.KMSService(
                url,
                master_key=master_key,
                principal=principal,
                settings=settings,
                clock=clock,
                prompt=prompt,
                accept_rollback=accept_rollback,
            )
        )

    def _over(self, sync: kms.KMSService) -> Self:
        self._sync = sync
        self.slots = SlotOperations(sync.slots)
        self.audit = AuditOperations(sync.audit)
        self.policies = PolicyOperations(sync.policies)
        self.grants = GrantOperations(sync.grants)
        self.tokens = TokenOperations(sync.tokens)
        self.identities = IdentityOperations(sync.identities)
        return self

    @cached_property
    def keys(self) -> NamedKeyOperations:
        """Named keys."""
        from keystead.aio.named_keys import NamedKeyOperations  # noqa: PLC0415 - most processes use none

        return NamedKeyOperations(self._sync.keys)

    @classmethod
    def on(cls, node: Node, *, principal: str | None = None) -> Self:
        """A service on a node that is open already; closing the service leaves the node open."""
        return cls.__new__(cls)._over(kms.KMSService.on(node, principal=principal))

    async def as_token(self, token: str | AccessToken, *, source: str | None = None, binding: str = "") -> Self:
        """A further service on this store, whose session acts by an access token; closing it ends that session."""
        sync = await to_thread(self._sync.as_token, token, source=source, binding=binding)
        return type(self).__new__(type(self))._over(sync)

    async def login(self, method: str, *, source: str | None = None, **credentials: Any) -> AccessToken:
        """An access token for whoever these credentials prove; `as_token` acts by it."""
        return await to_thread(self._sync.login, method, source=source, **credentials)

    async def verify_second_factor(self, code: str) -> int:
        """Show a second factor again for the access token that this session acts by."""
        return await to_thread(self._sync.verify_second_factor, code)

    async def whoami(self) -> WhoAmI:
        """Who acts by this service's session."""
        return await to_thread(self._sync.whoami)

    async def initialize(self) -> Self:
        """Open the store and a session on it. A second call changes nothing."""
        await to_thread(self._sync.initialize)
        return self

    @property
    def notices(self) -> list[str]:
        """What a person should know about how the store was opened, never with a value."""
        return self._sync.notices

    @property
    def node(self) -> Node:
        """The open node, for assembly of further services on it."""
        return self._sync.node

    @property
    def session_id(self) -> str:
        """The id of this service's session."""
        return self._sync.session_id

    @property
    def principal(self) -> str:
        """Who acts by this service's session, such as `local:ada` or `user:ada`."""
        return self._sync.principal

    async def own_credential(self) -> dict[str, Credential]:
        """The slot by which this service opened its store, and its credential, looked for again: for `rekey`."""
        return await to_thread(self._sync.own_credential)

    async def on_event(
        self, names: str | Iterable[str], callback: Callable[[dict[str, Any]], None]
    ) -> Callable[[], None]:
        """Call back, on the thread that wrote it, after the record of one of these events; what ends that again.

        A callback that wants the event loop goes there by `loop.call_soon_threadsafe`.
        """
        return await to_thread(self._sync.on_event, names, callback)

    async def get_status(self) -> Status:
        """Figures about the store, its keys, secrets and sessions, the cache and the audit log."""
        return await to_thread(self._sync.get_status)

    async def backup(self, to: str | Path, *, passphrase: str, shreddable: bool = False) -> BackupReport:
        """Write the store to one new encrypted file."""
        return await to_thread(self._sync.backup, to, passphrase=passphrase, shreddable=shreddable)

    async def restore(
        self, source: str | Path, *, passphrase: str, shred_keys: str | Path | None = None
    ) -> BackupReport:
        """Restore a backup into this store, which must be empty."""
        return await to_thread(self._sync.restore, source, passphrase=passphrase, shred_keys=shred_keys)

    async def close(self) -> None:
        """End the session; a service that opened its store closes it. Closing again changes nothing."""
        return await to_thread(self._sync.close)

    async def __aenter__(self) -> Self:
        return await self.initialize()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

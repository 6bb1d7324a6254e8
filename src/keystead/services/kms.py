"""KMSService: master key, data keys, envelopes, secrets at rest, sessions, status."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from keystead.access.principal import local_principal
from keystead.clock import Clock
from keystead.errors import UsageError
from keystead.node.node import Node
from keystead.node.opening import Opening, find_again, open_node
from keystead.node.settings import Settings
from keystead.seal.credential import Credential
from keystead.services.audit_operations import AuditOperations
from keystead.services.data_operations import DataOperations
from keystead.services.grant_operations import GrantOperations
from keystead.services.identity_operations import IdentityOperations, TokenOperations
from keystead.services.key_operations import KeyOperations, SlotOperations
from keystead.services.login import LoginOperations
from keystead.services.policy_operations import PolicyOperations
from keystead.services.secret_operations import SecretOperations
from keystead.services.status import Status, read_status
from keystead.services.stream_operations import StreamOperations

if TYPE_CHECKING:
    from keystead.access.session import Session
    from keystead.access.token_text import AccessToken
    from keystead.node.backup import BackupReport
    from keystead.services.import_environment import Target
    from keystead.services.named_keys import NamedKeyOperations
    from keystead.services.secrets_manager import SecretsManager


class KMSService(DataOperations, SecretOperations, KeyOperations, LoginOperations):
    """The key management service on one store, bound to one session.

    `url` is `sqlite:///path`, a path, or None to look for `.keystead/` here and upwards. `master_key` is base64 text or
    a credential; None looks in `KMS_MASTER_KEY`, `KMS_MASTER_KEY_FILE`, the `.env` beside the store, its `master.key`,
    and for a passphrase. `principal` names who acts; by default the operating-system user.

    Nothing is opened before `initialize`.
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
        self._how = Opening(
            url, master_key, local_principal(principal), settings, clock, prompt, None, None, accept_rollback
        )
        self._principal = local_principal(principal)
        self._owns_node = True
        self._opening = threading.Lock()
        self.slots = SlotOperations(self)
        self.audit = AuditOperations(self)
        self.policies = PolicyOperations(self)
        self.grants = GrantOperations(self)
        self.tokens = TokenOperations(self)
        self.identities = IdentityOperations(self)
        self._streams = StreamOperations(self)

    @classmethod
    def on(cls, node: Node, *, principal: str | None = None) -> Self:
        """A service on a node that is open already; closing the service leaves the node open."""
        service = cls(principal=principal)
        service._owns_node = False
        service._bind(node)
        return service

    def as_token(self, token: str | AccessToken, *, source: str | None = None, binding: str = "") -> Self:
        """A further service on this store, whose session acts by an access token; closing it ends that session.

        `source` is the address that the caller comes from, `binding` what a token is bound to, such as a fingerprint.

        Raises:
            AuthenticationFailed: it is no access token of this store, has ended, or may not be used from there.
            UsageError: a source that is no address.
        """
        from keystead.access.token_text import AccessToken  # noqa: PLC0415 - a rare call; opening does not pay for it
        from keystead.access.words import source_text  # noqa: PLC0415 - the same

        text, node = token.reveal() if isinstance(token, AccessToken) else token, self._node
        service = self._acting(node, node.identities.open_session(self._session, text, source_text(source), binding))
        service._how = self._how
        return service

    @classmethod
    def _acting(cls, node: Node, session: Session) -> Self:
        """A service on an open node for a session that was opened there; closing it ends that session."""
        service = cls()
        service._owns_node = False
        service._bind(node, session)
        return service

    def initialize(self) -> Self:
        """Open the store and a session on it. A second call changes nothing, also from another thread.

        Raises:
            StoreNotFound, StoreUnavailable, SchemaTooNew, MasterKeyMissing, MasterKeyInvalid, WrongMasterKey,
            IntegrityError, RollbackDetected, AuditUnavailable.
        """
        with self._opening:
            if self._opened is None or self._opened.closed:
                self._open()
        return self

    def _open(self) -> None:
        node = open_node(self._how)
        try:
            self._bind(node)
        except BaseException:
            node.close()
            raise

    def _bind(self, node: Node, session: Session | None = None) -> None:
        self._bound = session or node.open_session(self._principal)
        self._opened = node
        self._use = node.data_use(self._bound, self.__dict__)

    @cached_property
    def keys(self) -> NamedKeyOperations:
        """Named keys."""
        from keystead.services.named_keys import NamedKeyOperations  # noqa: PLC0415 - most processes use none

        return NamedKeyOperations(self)

    def _secrets_manager(self, cache_ttl: float | timedelta | str) -> SecretsManager:
        from keystead.services.secrets_manager import SecretsManager  # noqa: PLC0415 - which knows this service

        return SecretsManager(self, cache_ttl)

    def _import_target(self) -> Target:
        from keystead.services.import_environment import OnNode  # noqa: PLC0415 - which knows this service

        return OnNode(self)

    @property
    def notices(self) -> list[str]:
        """What a person should know about how the store was opened, never with a value."""
        return list(self._node.notices)

    @property
    def node(self) -> Node:
        """The open node, for assembly of further services on it."""
        return self._node

    @property
    def session_id(self) -> str:
        """The id of this service's session."""
        return self._session.id

    @property
    def principal(self) -> str:
        """Who acts by this service's session, such as `local:ada` or `user:ada`."""
        return str(self._session.principal)

    def on_event(self, names: str | Iterable[str], callback: Callable[[dict[str, Any]], None]) -> Callable[[], None]:
        """Call back after the audit record of one of these events was written; what ends that again.

        A callback that fails changes nothing. Once the session has ended it hears of its own attempts only.
        Raises UsageError for a name that no event has.
        """
        self._node.gate.authorize(self._session, "audit:read", "audit")
        return self._node.recorder.on_event(self._session, names, callback)

    def get_status(self) -> Status:
        """Figures about the store, its keys, secrets and sessions, the cache and the audit log."""
        if self._opened is None:
            return Status()
        return read_status(self._opened, self._session)

    def backup(self, to: str | Path, *, passphrase: str, shreddable: bool = False) -> BackupReport:
        """Write the store to one new encrypted file, consistent while others write, verified after writing.

        With `shreddable`, the file opens only together with the store's folder of shred keys, and what is under a data
        key that is destroyed later cannot be restored from it. Without, it holds everything, and stays readable.

        Raises:
            UsageError: a weak passphrase. StoreExists: the file is there already.
            FileUnavailable, StoreBusy, StoreUnavailable: no file is left.
        """
        from keystead.node.backup import write_backup  # noqa: PLC0415 - a rare call; opening a store does not pay for it

        return write_backup(self._node, self._session, Path(to), passphrase, shreddable=shreddable)

    def _backup_to_send(self, passphrase: str, *, shreddable: bool = False) -> tuple[BinaryIO, BackupReport]:
        """A backup as an open file without a name: what a server answers to `backup`."""
        from keystead.node.backup import backup_to_send  # noqa: PLC0415 - as in `backup`

        return backup_to_send(self._node, self._session, passphrase, shreddable=shreddable)

    def restore(self, source: str | Path, *, passphrase: str, shred_keys: str | Path | None = None) -> BackupReport:
        """Restore a backup into this store, which must be empty and opened by this service alone.

        The store takes over the backup's id, keys and secrets; what opens it is the key it was opened with here. Its
        audit log goes on. `shred_keys` is the folder of shred keys of the store that wrote a shreddable backup: a data
        key that has none there any more is restored as destroyed, and so is what it encrypted.

        Raises:
            BackupError: damaged, foreign, another passphrase, or other shred keys. FileUnavailable: it cannot be read.
            StoreExists: the store has held secrets, or encrypted data. StoreBusy: it is open elsewhere too.
            UsageError: this service shares its store with others, or shred keys are missing. Nothing was changed.
        """
        if not self._owns_node:
            raise UsageError("a service on a shared node cannot restore", hint="restore with a KMSService of its own")
        from keystead.node.backup import restore_backup  # noqa: PLC0415 - as in `backup`

        node = self._node
        report = restore_backup(
            node,
            self._session,
            Path(source),
            passphrase=passphrase,
            shred_keys=None if shred_keys is None else Path(shred_keys),
            find_credential=lambda: find_again(self._how, node.location),
        )
        node.close()
        self._open()
        return report

    def close(self) -> None:
        """End the session; a service that opened its store closes it. Closing again changes nothing."""
        if self._opened is None or self._bound is None:
            return
        if self._owns_node:
            self._opened.close()
        else:
            self._opened.close_session(self._bound)

    def __enter__(self) -> Self:
        return self.initialize()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

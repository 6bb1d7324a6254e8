"""`KMSService` on a server."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self
from urllib.parse import quote, urlencode

from keystead.access.methods.strict_json import parse_object
from keystead.access.token_text import AccessToken
from keystead.api.endpoint import Endpoint
from keystead.api.operations import OPERATIONS
from keystead.api.reading import shape_of
from keystead.api.structures import Secret
from keystead.client.audit import follow
from keystead.client.backups import fetch_backup
from keystead.client.faces import remote
from keystead.client.renewal import Renewal
from keystead.client.streams import decrypt_stream, encrypt_stream
from keystead.client.transport import Transport, target_of
from keystead.clock import Clock, SystemClock
from keystead.crypto.aad import AAD
from keystead.errors import (
    AuthenticationFailed,
    CallerError,
    DataError,
    KeysteadError,
    Sealed,
    ServerUnavailable,
    SessionEnded,
    UsageError,
    VersionConflict,
)
from keystead.gate import WOULD_WAIT, WouldWait
from keystead.keys.stream import End
from keystead.seal.slots import SlotInfo, find_slot
from keystead.secrets.names import Reference, check_name
from keystead.secrets.value import SecretValue
from keystead.secrets.write import Value
from keystead.services.audit_operations import AuditOperations
from keystead.services.grant_operations import GrantOperations
from keystead.services.identity_operations import IdentityOperations, TokenOperations
from keystead.services.key_operations import SlotOperations
from keystead.services.kms import KMSService
from keystead.services.named_keys import NamedKeyOperations
from keystead.services.policy_operations import PolicyOperations
from keystead.services.secrets_manager import SecretsManager
from keystead.services.stream_operations import StreamOperations

if TYPE_CHECKING:
    from keystead.audit.reader import LogEntry
    from keystead.node.backup import BackupReport
    from keystead.services.import_environment import Target
    from keystead.services.login import WhoAmI

_TOKEN: Final = shape_of(AccessToken)
_SECRET: Final = Secret()
_READ_MANY: Final = Endpoint(next(one for one in OPERATIONS if one.method == "get_secrets"), SecretsManager.get_secrets)
_WHOAMI: Final = Endpoint(next(one for one in OPERATIONS if one.method == "whoami"), KMSService.whoami)
_FILES: Final = frozenset({"encrypt_stream", "decrypt_stream", "backup"})
_HERE: Final = frozenset({"initialize", "close", "as_token", "login", "keys", "on"}) | _FILES


class _Face:
    """One of the faces below `kms`."""

    def __init__(self, asking: RemoteKMS) -> None:
        self._asking = asking

    def _is_ready(self, operation: str, name: str, data: bytes) -> bool:  # noqa: ARG002 - as the services' is called
        return False


def _below(face: type, path: str, **own: Any) -> type:
    told = {"__doc__": face.__doc__, "__module__": __name__}
    return type(face.__name__, (_Face, face), {**remote(face, path), **own, **told})


def _follow(self: Any, stop: threading.Event, *, count: int = 0) -> Iterator[LogEntry]:
    """The last `count` records, then those that are written from now on; see `keystead.client.audit`."""
    return follow(self, self._asking.session_id, stop, count)


@functools.wraps(SlotOperations.find)
def _find(self: Any, which: str) -> SlotInfo:
    found: SlotInfo = find_slot(self.list(limit=1_000).items, which)
    return found


_KEYS: Final = _below(NamedKeyOperations, "kms.keys")
_STREAMS: Final = _below(StreamOperations, "kms._streams")
_SLOTS: Final = _below(SlotOperations, "kms.slots", find=_find)
_AUDIT: Final = _below(AuditOperations, "kms.audit", follow=_follow)
_TOKENS: Final = _below(TokenOperations, "kms.tokens")
_GRANTS: Final = _below(GrantOperations, "kms.grants")
_POLICIES: Final = _below(PolicyOperations, "kms.policies")
_IDENTITIES: Final = _below(IdentityOperations, "kms.identities")


class RemoteKMS(KMSService):
    """The key management service of a server, for whoever shows an access token.

    Its methods take, give and raise what those of `KMSService` do, and ServerUnavailable where the server cannot be
    reached. Nothing is asked before `initialize`. `token` None: only `login` can be asked for. An access token that can
    be renewed is, from then on until `close`; see `keystead.client.renewal`.
    """

    def __init__(self, transport: Transport, token: str | None, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self._transport = transport
        self._token = token
        self._who: WhoAmI | None = None
        self._closed = False
        self._on_change: list[Callable[[], None]] = []
        self._opening = threading.Lock()
        self._renewal = Renewal(self.clock, self._renewed)
        self._owns_node = True
        self.slots = _SLOTS(self)
        self.audit = _AUDIT(self)
        self.policies = _POLICIES(self)
        self.grants = _GRANTS(self)
        self.tokens = _TOKENS(self)
        self.identities = _IDENTITIES(self)
        self._streams = _STREAMS(self)

    @cached_property
    def keys(self) -> NamedKeyOperations:
        """Named keys."""
        found: NamedKeyOperations = _KEYS(self)
        return found

    @property
    def _asking(self) -> Self:
        return self

    def ask(self, endpoint: Endpoint, arguments: dict[str, Any]) -> Any:
        """What an operation gives; see `Transport.call`."""
        with self._shown():
            try:
                return self._transport.call(endpoint, arguments, self._token)
            finally:
                if endpoint.operation.changes:
                    for forget in self._on_change:
                        forget()

    @contextmanager
    def _shown(self) -> Iterator[None]:
        """A block that shows the access token to the server, and says of one that has ended what to do."""
        if self._closed:
            raise SessionEnded("the connection was closed", hint="connect again")
        self._renewal.require_here()
        try:
            yield
        except (AuthenticationFailed, SessionEnded):
            if not self._renewal.has_ended:
                raise
        else:
            return
        raise SessionEnded(
            f"the access token for {self.url} has ended, and was not or could not be renewed",
            hint="log in again (keystead login, or login(...)), and connect with the new token",
        )

    def _renewed(self) -> int | None:
        """Renew the access token; for how many ms it lasts then."""
        return self._left(self._members("POST", "/tokens:renew", {}))

    def _left(self, members: dict[str, Any]) -> int | None:
        left = members.get("expires_in_ms")
        if left is not None and type(left) is not int:
            raise self._no_answer()
        return left

    def on_own_change(self, forget: Callable[[], None]) -> None:
        """Call back whenever something was, or may have been, changed by this service."""
        self._on_change.append(forget)

    @property
    def url(self) -> str:
        """Where the server is."""
        return self._transport.url

    def changes(self) -> int:
        """A number that is another one after any change on the server. Raises ServerUnavailable."""
        number = self._members("GET", "/changes").get("changes")
        if type(number) is not int:
            raise self._no_answer()
        return number

    def read_secret(self, reference: Reference) -> tuple[SecretValue, int | None]:
        """The value of a secret, and for how many ms it may be kept at most; errors as of `get_secret`."""
        selector = [("version", reference.version), ("label", reference.label)]
        query = urlencode([(name, str(value)) for name, value in selector if value is not None])
        path = f"/secrets/{quote(check_name(reference.name), safe='/+=@')}"
        found = self._members("GET", f"{path}?{query}" if query else path)
        try:
            return _SECRET.decode(found), found["expires_in_ms"]
        except (ValueError, KeyError, TypeError):
            raise self._no_answer() from None

    def read_secrets(self, names: list[str], *, missing: str) -> dict[str, SecretValue]:
        """The values of many secrets, not kept here; as `SecretsManager.get_secrets`."""
        found: dict[str, SecretValue] = self.ask(_READ_MANY, {"names": names, "missing": missing})
        return found

    def _members(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        with self._shown():
            answered = self._transport.send(method, target_of(path), body, self._token)
        try:
            return parse_object(answered.body)
        except ValueError:
            raise self._no_answer() from None

    def _no_answer(self) -> ServerUnavailable:
        return ServerUnavailable(f"{self.url} gave an answer that is none", hint="check that it is a keystead server")

    def initialize(self) -> Self:
        """Ask the server who acts. A second call changes nothing.

        Raises:
            AuthenticationFailed: there is no access token, or the server does not accept it.
            ServerUnavailable: it cannot be reached.
        """
        with self._opening:
            if self._who is None:
                if self._token is None:
                    raise AuthenticationFailed(
                        f"an access token is needed for {self._transport.url}",
                        hint="keystead login, or give token=..., KEYSTEAD_TOKEN or KEYSTEAD_TOKEN_FILE",
                    )
                asked_at, found = self.clock.monotonic(), self._members("GET", "/whoami")
                try:
                    self._who = _WHOAMI.value(found, {})
                except (ValueError, KeyError, TypeError):
                    raise self._no_answer() from None
                self._renewal.begin(asked_at, self._left(found), renewable=found.get("renewable") is True)
        return self

    def login(self, method: str, *, source: str | None = None, **credentials: Any) -> AccessToken:
        """An access token for whoever these credentials prove; as `KMSService.login`, which the server asks.

        The server sees for itself where the caller comes from, and which certificate TLS showed.

        Raises:
            UsageError, AuthenticationFailed, LockedOut, ServerUnavailable.
        """
        if source is not None:
            raise UsageError("the server sees for itself where its callers come from", hint="leave source out")
        credentials.pop("chain", None)
        answered = self._transport.send("POST", target_of(f"/login/{method}"), credentials, None)
        try:
            found: AccessToken = _TOKEN.decode(parse_object(answered.body))
        except (ValueError, KeyError, TypeError):
            raise self._no_answer() from None
        return found

    def as_token(self, token: str | AccessToken, *, source: str | None = None, binding: str = "") -> Self:
        """A further service on this server, for whoever shows another access token."""
        if source is not None or binding:
            raise UsageError("the server sees for itself where its callers come from", hint="leave these out")
        text = token.reveal() if isinstance(token, AccessToken) else token
        return type(self)(self._transport, text, self.clock).initialize()

    def encrypt_stream(self, source: End, target: End, *, aad: AAD = None) -> int:
        """Encrypt a file of any size in constant memory, here, under a key for this one stream; as of `KMSService`."""
        return encrypt_stream(self._streams, source, target, aad)

    def decrypt_stream(self, source: End, target: End, *, aad: AAD = None) -> int:
        """Decrypt what `encrypt_stream` wrote, chunk by chunk on the server; as `KMSService.decrypt_stream`."""
        return decrypt_stream(self._streams, source, target, aad)

    def backup(self, to: str | Path, *, passphrase: str, shreddable: bool = False) -> BackupReport:
        """Write the server's store to one new encrypted file here, verified after writing; as `KMSService.backup`."""
        with self._shown():
            given = {"passphrase": passphrase, "shreddable": shreddable}
            return fetch_backup(self._transport, self._token, Path(to), given)

    def _secrets_manager(self, cache_ttl: float | timedelta | str) -> SecretsManager:
        from keystead.client.secrets_manager import RemoteSecretsManager  # noqa: PLC0415 - which knows this service

        return RemoteSecretsManager(self, cache_ttl)

    def _import_target(self) -> Target:
        return ImportTarget(self)

    @property
    def notices(self) -> list[str]:
        """What a person should know: nothing, of a server."""
        return []

    @property
    def node(self) -> NoReturn:
        """There is no node here."""
        raise UsageError("the store is open on the server, not here", hint="run this on the machine of the store")

    @property
    def session_id(self) -> str:
        """The id of the session that acts here, on the server."""
        return self._identity.session

    @property
    def principal(self) -> str:
        """Who acts, such as `user:ada`."""
        return self._identity.principal

    @property
    def _identity(self) -> WhoAmI:
        if self._who is None:
            raise Sealed("the connection is not open", hint="call initialize() first")
        return self._who

    def _waits(self, *_args: Any, **_named: Any) -> WouldWait:
        """What `keystead.aio` asks first: a server is always waited for."""
        return WOULD_WAIT

    _try_encrypt = _try_decrypt = _try_encrypt_data = _try_decrypt_data = _waits

    def close(self) -> None:
        """Close the connections. The access token lives on; `kms.tokens.revoke()` ends it."""
        self._closed = True
        self._renewal.stop()
        self._transport.close()


class ImportTarget:
    """Where the environment is imported into."""

    def __init__(self, kms: RemoteKMS) -> None:
        self._kms = kms

    def tell(self, event: str, **figures: int) -> None:
        """The server records what it is asked."""

    def read(self, names: list[str]) -> Mapping[str, SecretValue | KeysteadError]:
        """What is held under each name, or the error that reading it gives."""
        found: dict[str, SecretValue | KeysteadError] = {}
        for name in names:
            try:
                found[name] = self._kms.read_secret(Reference(name))[0]
            except (CallerError, DataError) as error:
                found[name] = error
        return found

    def store(self, values: dict[str, Value], *, if_absent: bool) -> list[str]:
        """One by one where each must be absent, else at once."""
        if not if_absent:
            return [info.name for info in self._kms.store_secrets(values)]
        stored = []
        for name, value in values.items():
            with suppress(VersionConflict):  # somebody was faster, and is told as a conflict
                stored.append(self._kms.store_secret(name, value, expected_version=0).name)
        return stored


for _name, _method in remote(KMSService, "kms", kept=_HERE).items():
    setattr(RemoteKMS, _name, _method)

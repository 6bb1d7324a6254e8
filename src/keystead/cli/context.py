"""One call of the command: its global options, and the store it opens."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from keystead.cli import entry, output
from keystead.errors import AuthenticationFailed, StoreNotFound, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from keystead.audit.reader import LogEntry
    from keystead.cli.kept_token import Kept, KeptToken
    from keystead.client.kms import RemoteKMS
    from keystead.node.settings import Settings
    from keystead.services.connection import Connection
    from keystead.services.kms import KMSService
    from keystead.services.paging import Page

T = TypeVar("T")
_PAGE: Final = 1000
_ONLY_WHEN_ASKED = "the key was found in"


@dataclass(slots=True)
class Context:
    """The global options of one call."""

    store: str | None = None
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    acting: str = ""
    """Who acts by an access token; "" for the owner."""
    hear: Callable[[str], None] | None = None
    """Who is told sentences in the place of a person at stderr."""
    _is_logging: bool = False
    _never: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def kms(self, *, accept_rollback: bool = False) -> Iterator[KMSService]:
        """The KMSService of the store or server, open for this block: of who logged in, else of the store's owner."""
        with self.owner(accept_rollback=accept_rollback) as service:
            kept = self._shown(service)
            if kept is None:
                yield service.initialize()
                return
            with self.as_kept(service, kept) as acting:
                self.acting = acting.principal
                yield acting

    @contextmanager
    def owner(self, *, accept_rollback: bool = False, serving: bool = False) -> Iterator[KMSService]:
        """The same of the owner, whoever logged in; of a server, whose owner is not here, of nobody yet.

        `serving` is for others, with a record of each use.
        """
        from keystead.opening import server_url

        self.log()
        if server_url(self.store) is not None:
            with closing(self._at_server()) as service:
                yield service
            return
        from keystead.services.kms import KMSService

        settings = self._serving_settings() if serving else None
        with KMSService(
            self.store, prompt=entry.passphrase_prompt(), accept_rollback=accept_rollback, settings=settings
        ) as service:
            self._tell(service.notices)
            yield service

    def _at_server(self, certificate: str = "", key: str = "") -> RemoteKMS:
        from pathlib import Path

        from keystead.client.connection import AUTHORITIES
        from keystead.client.kms import RemoteKMS
        from keystead.client.transport import Certificates, Transport
        from keystead.node.settings import environment
        from keystead.opening import server_url

        named = environment().get(AUTHORITIES)
        files = Certificates(
            Path(named) if named else None, Path(certificate) if certificate else None, Path(key) if key else None
        )
        return RemoteKMS(Transport(server_url(self.store) or "", certificates=files), None)

    def _serving_settings(self) -> Settings:
        from pathlib import Path

        from keystead.node.location import locate
        from keystead.node.settings import environment, for_serving, load_settings

        return for_serving(load_settings(locate(self.store, environment(), Path.cwd())))

    def _shown(self, service: KMSService) -> Kept | None:
        from keystead.cli.kept_token import Kept

        given = self.given_token()
        return self.kept(service).read() if given is None else Kept(given)

    def as_kept(self, service: KMSService, kept: Kept) -> KMSService:
        """The service of whoever logged in; what the token is bound to is shown again.

        Raises:
            AuthenticationFailed. Of a token that is bound to a certificate also UsageError, FileUnavailable and
                MasterKeyInvalid, as `certificate.client` does.
        """
        from keystead.client.kms import RemoteKMS

        binding = ""
        if isinstance(service, RemoteKMS):
            service = self._at_server(kept.certificate, kept.key)
        elif kept.certificate:
            from keystead.cli.certificate import client

            binding = client(kept.certificate, kept.key).binding
        try:
            return service.as_token(kept.token, binding=binding)
        except AuthenticationFailed as error:
            variable = self.token_variable()
            error.message = f"the access token of {variable or 'the last login'} is not accepted"
            error.hint = "unset it, or give another" if variable else "keystead login USER, or keystead logout"
            raise

    @staticmethod
    def token_variable() -> str:
        """The variable that gives an access token in the place of one that is kept; "" for none."""
        from keystead.client.connection import token_variable
        from keystead.node.settings import environment

        return token_variable(environment())

    @staticmethod
    def given_token() -> str | None:
        """The access token in the environment, which goes before one that is kept."""
        from keystead.client.connection import token_in
        from keystead.node.settings import environment

        return token_in(environment())

    @staticmethod
    def kept(service: KMSService) -> KeptToken:
        """Where the access token for this store is kept."""
        from keystead.cli.kept_token import KeptToken, server_key
        from keystead.client.kms import RemoteKMS

        if isinstance(service, RemoteKMS):
            return KeptToken(server_key(service.url))
        return KeptToken(service.node.root.store_id.hex())

    @property
    def is_at_server(self) -> bool:
        """Whether commands ask a server, and not a store on this machine."""
        from keystead.opening import server_url

        return server_url(self.store) is not None

    def require_store_here(self, folder: Path | None = None) -> None:
        """Go on with the store of this machine where KEYSTEAD_URL names a server: `folder`'s, else `.keystead/` here or
        above. For what is about a store and its server, and not about what is in it.

        Raises:
            UsageError: there is none here.
        """
        if self.store is not None or not self.is_at_server:
            return
        from pathlib import Path

        from keystead.node.location import FOLDER, locate

        if folder is None:
            try:
                folder = locate(None, {}, Path.cwd()).database.parent
            except StoreNotFound:
                raise UsageError(
                    "this works only on the machine of the store, KEYSTEAD_URL names a server, and here is no store",
                    hint="run it there, or name a store of this machine: --store PATH",
                ) from None
        else:
            folder /= FOLDER
        self.store = str(folder)
        self.say(f"note: KEYSTEAD_URL names a server; this is about the store in {self.store}")

    def log_entries(self, count: int) -> list[LogEntry]:
        """The last records of the log, oldest first. Of a store here, without its master key."""
        from keystead.services.audit_operations import read_log

        if not self.is_at_server:
            return read_log(self.store, count)
        with self.kms() as kms:
            return kms.audit.tail(count)

    def following_log(self, count: int) -> Iterator[LogEntry]:
        """The same, then those that are written from now on. A server is asked for them once a second."""
        from keystead.services.audit_operations import follow_log

        if not self.is_at_server:
            yield from follow_log(self.store, count)
            return
        with self.kms() as kms:
            yield from kms.audit.follow(self._never, count=count)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """The store's services, open for this block."""
        from keystead.services.connection import Connection

        with self.kms() as kms:
            yield Connection(kms)

    def _tell(self, notices: list[str]) -> None:
        for notice in notices:
            if self.verbose or not notice.startswith(_ONLY_WHEN_ASKED):
                self.say(f"note: {notice}")

    def say(self, text: str) -> None:
        """A sentence for a person on stderr, unless --quiet; with --json in a document of its own."""
        if self.quiet:
            return
        if self.hear is not None:
            self.hear(text)
            return
        output.talk(output.as_document("note/1", note=text.strip().removeprefix("note: ")) if self.json else text)

    def log(self) -> None:
        """Send the log to stderr: from INFO with --verbose, from LOG_LEVEL where it is set, else not at all.

        What fails is told by the command itself, so that the log need not say it again.
        """
        import logging

        if self._is_logging:
            return
        self._is_logging = True
        level = self.log_level()
        logger = logging.getLogger("keystead")
        if level is None:
            logger.addHandler(logging.NullHandler())
            logger.propagate = False
            return
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("[%(levelname)s] %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(level)

    def log_level(self) -> int | None:
        """From which level on the events of the log are shown; None for not at all."""
        import logging

        from keystead.node.settings import environment

        level = logging.getLevelName(environment().get("LOG_LEVEL", "").upper())
        if self.quiet or not (self.verbose or isinstance(level, int)):
            return None
        if self.verbose:
            return min(level, logging.INFO) if isinstance(level, int) else logging.INFO
        return int(level)


def every(listing: Callable[..., Page[T]]) -> list[T]:
    """All that a listing has, page after page."""
    page = listing(limit=_PAGE)
    found = page.items
    while page.next is not None:
        page = listing(limit=_PAGE, after=page.next)
        found += page.items
    return found


pass_context = click.make_pass_decorator(Context, ensure=True)


def global_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that every command takes, before its name or behind it."""

    def remember(ctx: click.Context, option: click.Parameter, given: Any) -> None:
        if given:
            setattr(ctx.ensure_object(Context), str(option.name), given)

    def option(*names: str, **how: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        return click.option(*names, expose_value=False, callback=remember, **how)

    store = "The store: sqlite:///path, or a path (default: KEYSTEAD_URL, else .keystead/ here or above)."
    command = option("-v", "--verbose", is_flag=True, help="Tell on stderr what happens.")(command)
    command = option("-q", "--quiet", is_flag=True, help="Say nothing but the answer.")(command)
    command = option("--json", is_flag=True, help="Print one JSON document.")(command)
    return option("-s", "--store", metavar="URL", help=store)(command)

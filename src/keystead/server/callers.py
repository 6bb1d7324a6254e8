"""Callers: who shows an access token, and the session that acts for it here, kept from request to request."""

from __future__ import annotations

import threading
from collections import OrderedDict
from types import MappingProxyType
from typing import Any, Final

from keystead.crypto.hmac_keys import HmacKey
from keystead.crypto.material import random_bytes
from keystead.crypto.types import KeyType
from keystead.errors import KeysteadError, SessionEnded
from keystead.keys.named.short import attempts
from keystead.node.node import Node
from keystead.node.sessions import gone_among
from keystead.services.connection import Connection
from keystead.services.kms import KMSService

MAX_CALLERS: Final = 20_000
SWEPT: Final = 100
"""How many are looked at in one sweep: what it takes is to delay no request."""


class Caller:
    """One session of one access token, from one address, by one client certificate."""

    __slots__ = ("connection", "keys", "kms", "name", "node", "sealing", "secrets", "session")

    def __init__(self, node: Node, kms: KMSService) -> None:
        self.node = node
        self.kms = kms
        self.session = kms._session
        self.name = str(self.session.principal)
        self.connection = Connection(kms)
        self.secrets = self.connection.secrets
        # What the server's own environment holds is for no caller.
        self.secrets._environment = MappingProxyType({})
        use = kms.keys._use()
        self.sealing = use.hot.sealing
        self.keys = attempts(use, node.clock.monotonic, node.counts.resume)

    def is_ready(self) -> bool:
        """Whether nothing changed anywhere since the caller's last request, and its session lives."""
        return not self.session.ended and not self.node.is_behind(self.session)

    def catch_up(self) -> None:
        """Bring everything that is kept for the caller up to date.

        Raises:
            SessionEnded: its session, or its access token, has ended.
        """
        if not self.is_ready():
            self.node.catch_up(self.session)
        if self.session.ended:
            raise SessionEnded("the access token has ended", hint="log in, or ask for a new one")


class Callers:
    """The callers of one worker, the most recent ones, by keyed hashes of what they show."""

    def __init__(self, node: Node, owner: KMSService, most: int = MAX_CALLERS) -> None:
        self._node = node
        self._owner = owner
        self._most = most
        self._key = HmacKey(KeyType.HMAC_SHA_256, random_bytes(32))
        self._known: OrderedDict[bytes, Caller] = OrderedDict()
        self._opening: dict[bytes, threading.Lock] = {}
        self._unseen: list[bytes] = []
        self._lock = threading.Lock()

    def named(self, token: str, source: str, binding: str) -> bytes:
        """What a caller is kept under: nothing of it tells the token, nor takes longer the more of one was guessed."""
        made = self._key.start()
        made.update(f"{source}\n{binding}\n{token}".encode("utf-8", "surrogateescape"))
        named: bytes = made.finalize()
        return named

    def known(self, named: bytes) -> Caller | None:
        """The caller, if its session is open here."""
        return self._known.get(named)

    def open(self, named: bytes, token: str, source: str, binding: str) -> Caller:
        """The caller, whose session is opened where it is not.

        Raises:
            AuthenticationFailed: it is no access token, has ended, or may not be used from there.
        """
        with self._lock:
            opening = self._opening.setdefault(named, threading.Lock())
        try:
            with opening:
                caller = self._known.get(named)
                if caller is not None and not caller.session.ended:
                    with self._lock:
                        self._known.move_to_end(named)
                    return caller
                caller = self._opened(token, source, binding)
                with self._lock:
                    self._known[named] = caller
                    self._known.move_to_end(named)
                    ended = [self._known.popitem(last=False)[1] for _ in range(len(self._known) - self._most)]
                for former in ended:
                    former.kms.close()
                return caller
        finally:
            with self._lock:
                self._opening.pop(named, None)

    def _opened(self, token: str, source: str, binding: str) -> Caller:
        session = self._node.identities.open_session(self._owner._session, token, source, binding, lazy=True)
        return Caller(self._node, KMSService._acting(self._node, session))

    def sweep(self) -> None:
        """Look at some of the callers, and at others the next time: those whose access tokens have ended are forgotten.

        Most of them never come again, and would be kept until many thousands had come behind them.

        Raises:
            What reading the store raises.
        """
        with self._lock:
            self._unseen = self._unseen or list(self._known)
            names, self._unseen = self._unseen[:SWEPT], self._unseen[SWEPT:]
            looked = {named: caller for named in names if (caller := self._known.get(named)) is not None}
        gone = {session.id for session in gone_among(self._node, [caller.session for caller in looked.values()])}
        for named, caller in looked.items():
            if caller.session.id in gone:
                caller.session.end()
                self.drop(named, caller)

    def drop(self, named: bytes, caller: Caller) -> None:
        """Forget a caller whose session has ended."""
        with self._lock:
            if self._known.get(named) is caller:
                del self._known[named]
        caller.kms.close()

    def count(self) -> int:
        """How many there are."""
        return len(self._known)

    def close(self) -> None:
        """End every session."""
        with self._lock:
            callers, self._known = list(self._known.values()), OrderedDict()
        for caller in callers:
            try:
                caller.kms.close()
            except KeysteadError:
                continue


def token_of(header: Any) -> str | None:
    """The access token of an Authorization header; None for none, or for another scheme."""
    if not isinstance(header, bytes):
        return None
    scheme, _, token = header.partition(b" ")
    if scheme.lower() != b"bearer" or not token or not token.isascii():
        return None
    return token.strip().decode("ascii")

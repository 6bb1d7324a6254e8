"""Requests that are done once, however often they are asked: the key that the caller gave commits with the change.

Who asks again with the same key gets the same answer, from any process, for a day. The answer is encrypted under a
data key, purpose `answer`, since it may hold a token. Where a process ended between the change and its answer, who asks
again is told that it was done.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from keystead.crypto.aad import bind, join_fields
from keystead.crypto.purpose import Purpose
from keystead.errors import AlreadyExists, DataError, KeyStateError, UsageError
from keystead.gate import Session
from keystead.storage.request_keys import RequestRow, SqliteRequestKeys

if TYPE_CHECKING:
    from keystead.node.node import Node

KEPT_MS: Final = 86_400_000
MAX_KEY_LENGTH: Final = 128
MAX_ANSWER: Final = 262_144


class Asked(NamedTuple):
    """A request under a key of its caller: whose session, and keyed hashes of the key and of all that was asked."""

    session: str
    key: bytes
    request: bytes


_NOW: Final[ContextVar[Asked | None]] = ContextVar("asked_once", default=None)


class Once:
    """The request keys of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def asked(self, session: Session, key: str, *request: bytes | str) -> Asked:
        """A request of this session's principal under a key.

        Raises:
            UsageError: a key that is none.
        """
        if not 1 <= len(key) <= MAX_KEY_LENGTH or not key.isascii() or not key.isprintable():
            raise UsageError("the idempotency key is none", hint=f"send 1 to {MAX_KEY_LENGTH} printable characters")
        binder = self._node.root.identity_binder()
        whose = join_fields(str(session.principal), key)
        return Asked(session.id, binder.hashed("request-key", whose), binder.hashed("request", join_fields(*request)))

    def answer(self, asked: Asked) -> bytes | None:
        """What was answered before; None where the request was not done yet.

        Raises:
            UsageError: the key was used for another request.
            AlreadyExists: it was done, and its answer is not known.
        """
        row = SqliteRequestKeys(self._node.store.read()).get(asked.key)
        if row is None:
            return None
        if row.request != asked.request:
            raise UsageError("the idempotency key was used for another request", hint="give each request its own")
        try:
            if row.answer is not None:
                return self._node.ring.open_stored(row.answer, _aad(asked), Purpose.ANSWER)
        except (DataError, KeyStateError):
            pass
        raise _done(row.operation_id)

    @contextmanager
    def doing(self, asked: Asked) -> Iterator[None]:
        """The first change of this session inside the block commits together with the key."""
        before = _NOW.set(asked)
        try:
            yield
        finally:
            _NOW.reset(before)

    def alongside(self, session: Session, transaction: Any, operation_id: str) -> None:
        """Inside each change: put the key of the request that asks for it into the transaction.

        Raises:
            AlreadyExists: another request with this key was faster; nothing is changed.
        """
        asked = _NOW.get()
        if asked is None or asked.session != session.id:
            return
        _NOW.set(None)
        row = RequestRow(asked.key, asked.request, self._node.clock.now_ms(), operation_id, None)
        if not SqliteRequestKeys(transaction).insert(row):
            raise _done(operation_id)

    def keep(self, asked: Asked, answer: bytes) -> None:
        """Keep what was answered; what is too long is not."""
        if len(answer) > MAX_ANSWER:
            return
        _, key = self._node.ring.storing_key(Purpose.ANSWER)
        with self._node.write() as transaction:
            SqliteRequestKeys(transaction).put_answer(asked.key, key.seal(answer, _aad(asked)))

    def sweep(self) -> None:
        """Forget what is older than a day."""
        before = self._node.clock.now_ms() - KEPT_MS
        if SqliteRequestKeys(self._node.store.read()).any_before(before):
            with self._node.write() as transaction:
                SqliteRequestKeys(transaction).forget_before(before)


def _aad(asked: Asked) -> bytes:
    return bind("answer", asked.key, asked.request)


def _done(operation_id: str) -> AlreadyExists:
    return AlreadyExists(
        "this request was done before, or is being done",
        why=f"its idempotency key is known, and its answer is not yet ({operation_id})",
        hint="ask again in a moment, or read what is there",
    )

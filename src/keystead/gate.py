"""The one way into a use case: check the session, authorize, record, and open a transaction where one is needed.

The gate knows policy, journal and store only as Protocols, so that every room's use cases can pass through it. What it
promises: nothing is done for an ended session or against the policy; a success is recorded before its answer leaves, a
change together with its record in one transaction; a refusal or failure is recorded outside the transaction that was
rolled back; where no record can be written, nothing is done.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Generic, Protocol, TypeVar

from keystead.clock import Clock
from keystead.errors import (
    AuditUnavailable,
    Denied,
    IdentityNotFound,
    KeyNotFound,
    KeysteadError,
    NotFound,
    OperatorError,
    OutcomeUnknown,
    PolicyNotFound,
    SecretNotFound,
    SessionEnded,
    UsageError,
    VersionConflict,
)


class WouldWait(Enum):
    """The type of `WOULD_WAIT`."""

    WOULD_WAIT = "would wait"


WOULD_WAIT: Final = WouldWait.WOULD_WAIT
"""What a non-waiting attempt gives where store, log or another thread may have to be waited for."""

REQUEST_ID: Final = ContextVar("request_id", default="")
"""The id of the request that a server is answering: plain ASCII; "" in process."""

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)
Detail = dict[str, str | int]
Facts = Mapping[str, Mapping[str, str]] | None
"""What a policy may ask about a resource and a call beside their names: its `tags`, the encryption `context`."""


class Session(Protocol):
    """Who is acting: an id, a principal, how it proved who it is, and whether and when that ends."""

    @property
    def id(self) -> str: ...
    @property
    def ended(self) -> bool: ...
    @property
    def principal(self) -> Any: ...
    @property
    def authentication(self) -> Any: ...
    @property
    def expires_ms(self) -> int | None: ...


class Decision(Protocol):
    """What a policy answers."""

    @property
    def allowed(self) -> bool: ...
    @property
    def reason(self) -> str: ...
    @property
    def reason_class(self) -> str: ...
    @property
    def visible(self) -> bool: ...
    @property
    def volatile(self) -> bool: ...


class Policy(Protocol):
    """Decides; no I/O."""

    def decide(self, session: Session, action: str, resource: str, facts: Facts) -> Decision:
        """Whether the session's principal may do the action on the resource, and why."""

    def may_ever(self, session: Session, action: str, resource: str) -> bool:
        """Whether it may on any resource of this one's kind."""


@dataclass(slots=True, eq=False, repr=False)
class Entry:
    """One fact on its way to the audit log. `detail` holds no value of a secret."""

    session: str
    principal: str
    event: str
    target: str
    outcome: str = "success"
    operation_id: str = ""
    detail: Detail = field(default_factory=dict)


class Recorder(Protocol[T_contra]):
    """Where entries go."""

    def ready(self) -> None:
        """Return if a record can be written; AuditUnavailable otherwise."""

    def append(self, entry: Entry) -> None:
        """Write a record to the journal now."""

    def enqueue(self, transaction: T_contra, entries: list[Entry]) -> object:
        """Put records into the outbox of a transaction; what `committed` will want."""

    def committed(self, queued: object) -> None:
        """The transaction is durable: move its records to the journal."""


@dataclass(slots=True, eq=False, repr=False)
class Change(Generic[T]):
    """An open change: its transaction and the records that will be committed with it."""

    transaction: T
    operation_id: str
    entries: list[Entry]
    detail: Detail = field(default_factory=dict)
    skip: bool = False

    def also(self, event: str, target: str, **detail: str | int) -> None:
        """Record one more fact in the same transaction."""
        first = self.entries[0]
        self.entries.append(
            Entry(first.session, first.principal, event, target, "success", self.operation_id, dict(detail))
        )


class Reading:
    """The block of a use case that changes nothing; it gives the detail of the record to come."""

    __slots__ = ("_event", "_gate", "_resource", "_session", "detail")

    def __init__(self, gate: Gate[Any], session: Session, resource: str, event: str) -> None:
        self._gate = gate
        self._session = session
        self._resource = resource
        self._event = event
        self.detail: Detail = {}

    def __enter__(self) -> Detail:
        return self.detail

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        session = self._session
        if error is not None:
            self._gate.failed(session, self._resource, self._event, error)
        else:
            entry = Entry(session.id, str(session.principal), self._event, self._resource, detail=self.detail)
            self._gate.recorder.append(entry)


class Gate(Generic[T]):
    """The gate of one node.

    `write` opens a transaction; `refresh` brings sessions and keys up to date, and says until when (monotonic seconds)
    what it learned may be relied on.
    """

    def __init__(
        self,
        policy: Policy,
        recorder: Recorder[T],
        write: Callable[[str], AbstractContextManager[T]],
        refresh: Callable[[], float],
        new_id: Callable[[], str],
        *,
        clock: Clock,
    ) -> None:
        self._policy = policy
        self.recorder = recorder
        self._write = write
        self._refresh = refresh
        self._new_id = new_id
        self._clock = clock
        self.take_use: Callable[[Session], str | None] = lambda _: None
        """Take one use of a session's access token, durably; the class of the reason where it has none left."""
        self.alongside: Callable[[Session, T, str], None] = lambda *_: None
        """What is put into the transaction of each change besides; it may refuse the change by raising."""

    def refreshed(self, session: Session, resource: str) -> float:
        """See what other processes changed, also before anything is decided; until when (monotonic seconds) that holds.

        Raises:
            What `refresh` raises, recorded as a failure.
        """
        if session.ended:
            return -1.0
        try:
            return self._refresh()
        except KeysteadError as error:
            # Nothing is done in any case; a log that cannot be written either is no reason to say anything else.
            with suppress(OperatorError):
                self.failed(session, resource, "kms_error", error)
            raise

    def admit(self, session: Session, action: str, resource: str, facts: Facts = None, *, asked: str = "") -> float:
        """Return if the session lives and its principal may do this; until when (monotonic seconds) that holds.

        `asked` is the name that the caller used, where the resource has another: a refusal tells no other.

        Raises:
            SessionEnded, Denied: recorded as refusals. What `refresh` raises: recorded as a failure.
        """
        until = self.refreshed(session, resource)
        if self.authorize(session, action, resource, facts, asked=asked):
            until = min(until, self._clock.monotonic())
        if session.expires_ms is not None:
            until = min(until, self._clock.monotonic() + (session.expires_ms - self._clock.now_ms()) / 1000)
        # What has a number of uses comes through here for each.
        return min(until, self._clock.monotonic()) if session.authentication.limited else until

    def authorize(self, session: Session, action: str, resource: str, facts: Facts = None, *, asked: str = "") -> bool:
        """The same without asking the store whether anything changed: for what just asked.

        What comes out is whether the next call has to be decided anew.
        """
        if self._is_over(session):
            # Nothing is done in any case, so that a log that is closed by now is no reason to say anything else.
            with suppress(AuditUnavailable):
                self._denied(session, action, resource, "the session has ended", "session-ended")
            over = (
                "log in, or ask for a new access token" if session.authentication.accessor else "open the store again"
            )
            raise SessionEnded(f"session {session.id} has ended", hint=f"{over}, or ask why it was revoked")
        if session.authentication.limited:
            self._take_use(session, action, resource)
        decision = self._policy.decide(session, action, resource, facts)
        if not decision.allowed:
            self._denied(session, action, resource, decision.reason, decision.reason_class)
            raise refusal(session, action, resource, decision, asked)
        return decision.volatile

    def may(self, session: Session, action: str, resource: str, facts: Facts = None) -> bool:
        """Whether this is allowed: asked for one item of a listing that was admitted, which a refusal hides."""
        return self._policy.decide(session, action, resource, facts).allowed

    def ahead(self, session: Session, action: str, resource: str, facts: Facts = None, *, at_all: bool = False) -> None:
        """Refuse now, before work that a stranger must not order, what would be refused behind it; takes no use.
        `at_all`: only that work tells on which resource of its kind, and refused is who may do this on none."""
        may = self._policy.may_ever(session, action, resource) if at_all else self.may(session, action, resource, facts)
        if not may or self._is_over(session):
            self.admit(session, action, resource, facts)

    def _is_over(self, session: Session) -> bool:
        return session.ended or (session.expires_ms is not None and self._clock.now_ms() >= session.expires_ms)

    def _take_use(self, session: Session, action: str, resource: str) -> None:
        try:
            gone = self.take_use(session)
        except KeysteadError as error:
            with suppress(OperatorError):
                self.failed(session, resource, "kms_error", error)
            raise
        if gone is not None:
            self._denied(session, action, resource, "the access token has ended", gone)
            raise SessionEnded(
                f"session {session.id} has ended", why=gone, hint="log in, or ask for a new access token"
            )

    def _denied(self, session: Session, action: str, resource: str, reason: str, reason_class: str) -> None:
        entry = Entry(session.id, str(session.principal), "access_denied", resource, "denied")
        entry.detail = {"action": action, "reason": reason, "reason_class": reason_class}
        if session.authentication.source:
            entry.detail["source"] = session.authentication.source
        self.recorder.append(entry)

    def read(
        self, session: Session, action: str, resource: str, event: str, facts: Facts = None, *, asked: str = ""
    ) -> Reading:
        """A use case that changes nothing. The record is written before the answer leaves."""
        self.admit(session, action, resource, facts, asked=asked)
        return Reading(self, session, resource, event)

    @contextmanager
    def change(
        self, session: Session, action: str, resource: str, event: str, facts: Facts = None, *, asked: str = ""
    ) -> Iterator[Change[T]]:
        """A use case that changes the store; its records and the change commit together.

        A block that sets `change.skip` found nothing to do for what nobody asked for, such as a sweep: the transaction
        ends without a record.
        """
        self.admit(session, action, resource, facts, asked=asked)
        self.recorder.ready()
        operation_id = self._new_id()
        entry = Entry(session.id, str(session.principal), event, resource, operation_id=operation_id)
        queued: object = None
        try:
            with self._write(operation_id) as transaction:
                change = Change(transaction, operation_id, [entry], entry.detail)
                self.alongside(session, transaction, operation_id)
                yield change
                if not change.skip:
                    queued = self.recorder.enqueue(transaction, change.entries)
        except BaseException as error:
            self.failed(session, resource, event, error, operation_id, source=str(entry.detail.get("source", "")))
            raise
        if queued is not None:
            self.recorder.committed(queued)

    def failed(
        self,
        session: Session,
        resource: str,
        event: str,
        error: BaseException,
        operation_id: str = "",
        *,
        source: str = "",
    ) -> None:
        """Record a failure outside any transaction: its class and code, never its text.

        `source` is where it came from, where that is not known of the session, such as at a login.
        """
        # A signal may have raised just after the commit.
        hidden = isinstance(error, OutcomeUnknown) or not isinstance(error, Exception)
        outcome = "unknown" if hidden else "failed"
        entry = Entry(session.id, str(session.principal), event, resource, outcome, operation_id)
        entry.detail = failure(error, source or session.authentication.source)
        self.recorder.append(entry)


_PARTS: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")


def failure(error: BaseException, source: str = "") -> Detail:
    """What a record of a failure says of it: error, code, the class of the reason for who counts them, and source.

    The class is the one that the error has of its own, or else its name in small letters, such as `key-state`.
    """
    known = isinstance(error, KeysteadError)
    reason_class = getattr(error, "reason_class", "") if known else "internal"
    if not reason_class:
        reason_class = _PARTS.sub("-", type(error).__name__.removesuffix("Error")).lower()
    detail: Detail = {"error": type(error).__name__, "code": error.code if known else "internal"}  # type: ignore[attr-defined]
    detail["reason_class"] = reason_class
    if source:
        detail["source"] = source
    return detail


_MISSING: Final[Mapping[str, tuple[type[NotFound], str, str]]] = {
    "secret": (SecretNotFound, "no secret {}", "keystead set {}, or keystead list to see what there is"),
    "key": (KeyNotFound, "no key {!r} in this store", "keystead key list"),
    "policy": (PolicyNotFound, "no policy {!r} in this store", "keystead policy list"),
    "token": (IdentityNotFound, "there is no such access token", "it may have ended; keystead token list"),
    "user": (IdentityNotFound, "there is no user {}", "keystead user list"),
    "role": (IdentityNotFound, "there is no role {}", "keystead role list"),
    "auth-method": (IdentityNotFound, "no auth method {!r} in this store", "keystead auth list"),
}


def require_expected(what: str, current: int, expected: object) -> None:
    """Nothing, where `what` is at the version that was expected, 0 for none at all; None expects nothing.

    Raises:
        UsageError: no version's number. VersionConflict: another one is there.
    """
    if expected is None:
        return
    if type(expected) is not int or expected < 0:
        raise UsageError("expected_version must be 0 (must not exist) or a version's number")
    if current != expected:
        raise VersionConflict(
            f"{what} is at version {current}, not {expected}",
            expected=expected,
            current=current,
            hint="read it again, and repeat the change if it is still wanted",
        )


def missing(kind: str, name: str) -> NotFound:
    """What is told of a thing that is not there, in the same words as to who may not know of one that is."""
    kind_of_error, text, hint = _MISSING[kind]
    return kind_of_error(text.format(name), hint=hint.format(name))


def refusal(session: Session, action: str, resource: str, decision: Decision, asked: str = "") -> KeysteadError:
    """What a refused caller is told: who may not see a thing, that there is none of the name that was `asked` for."""
    kind, _, name = resource.partition("/")
    if not decision.visible and kind in _MISSING and name and "*" not in name:
        error = missing(kind, asked or name)
        error.refused = True
        return error
    return Denied(f"{session.principal} may not {action} {resource}", why=decision.reason)

"""The sessions of a node's services: opened, closed and ended, each with its record."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from keystead.access.principal import Principal
from keystead.access.session import Authentication, Session
from keystead.errors import AuditUnavailable, IntegrityError
from keystead.storage.store_row import SqliteRevocations

KEPT: Final = 250
"""Sessions of a process above which ended ones are forgotten; the log has them all."""
KEPT_ENDED: Final = 100

if TYPE_CHECKING:
    from keystead.node.identities import Identities
    from keystead.node.node import Node


def open_session(
    node: Node, principal: Principal, authentication: Authentication | None = None, *, lazy: bool = False
) -> Session:
    """A session for a service; recorded. A `lazy` one is brought up to date when it acts: `Node.catch_up`.

    Raises:
        AuditUnavailable.
    """
    session = Session.start(principal, node.clock.now_ms(), authentication or Authentication())
    detail = {}
    if authentication is not None:
        told = (
            ("method", authentication.method),
            ("accessor", authentication.accessor),
            ("source", authentication.source),
        )
        detail = {name: text for name, text in told if text}
    node.record(session, "session_opened", f"session/{session.id}", **detail)
    if lazy:
        node.periods.add_lazy(session)
    node.sessions[session.id] = session
    if len(node.sessions) > node.sessions_bound:
        for known in [known for known in list(node.sessions.values()) if known.ended][:-KEPT_ENDED]:
            _forget(node, known.id)
        # Where most of them live, looking through all of them at each opening would cost more than they do.
        node.sessions_bound = max(KEPT, 2 * len(node.sessions))
    return session


def _forget(node: Node, session_id: str) -> None:
    node.sessions.pop(session_id, None)
    node.counts.forget(session_id)
    node.recorder.forget(session_id)
    node.periods.forget(session_id)


def identities_of(node: Node) -> Identities:
    """Access tokens, logins, users and roles: made when first asked for."""
    from keystead.node.identities import Identities  # noqa: PLC0415 - most stores have none; opening does not pay

    return Identities(node)


def close_session(node: Node, session: Session) -> None:
    """End the session of a service that is closed; recorded, unless the session is of the process that forked this one.

    Closing it again changes nothing. An end is never refused, also where it cannot be recorded. One that had ended
    before, since its access token did, is forgotten all the same: what it kept for its periods is large.
    """
    if not session.ended:
        node.end_session(session.id)
        if session.id not in node.inherited_sessions:
            with suppress(AuditUnavailable):
                node.record(session, "session_closed", f"session/{session.id}")
    node.periods.forget(session.id)


def see_sessions(node: Node) -> None:
    """End the sessions that were revoked, or whose access tokens were; others go on for as long as those do now."""
    live = {session.id: session for session in _eager(node)}
    if live:
        for session_id in SqliteRevocations(node.store.read()).among(list(live)):
            live[session_id].end()
    see_tokens(node)


def see_session(node: Node, session: Session) -> None:
    """The same for one session."""
    if not session.ended and SqliteRevocations(node.store.read()).among([session.id]):
        session.end()
    _see_tokens_of(node, [session])


def gone_among(node: Node, sessions: Sequence[Session]) -> list[Session]:
    """Those of a few sessions that were revoked, or whose access tokens have ended; none is ended here."""
    live = [session for session in sessions if not session.ended and session.authentication.accessor]
    revoked = SqliteRevocations(node.store.read()).among([session.id for session in live])
    gone = {session.id for session in node.identities.register.see(live)} | revoked
    return [session for session in sessions if session.ended or session.id in gone]


def see_tokens(node: Node) -> None:
    """The same for access tokens only."""
    _see_tokens_of(node, _eager(node))


def _eager(node: Node) -> list[Session]:
    """The sessions that live, but for those that are looked at when they act."""
    return [
        session
        for session in list(node.sessions.values())
        if not session.ended and not node.periods.is_lazy(session.id)
    ]


def _see_tokens_of(node: Node, sessions: list[Session]) -> None:
    acting = [session for session in sessions if session.authentication.accessor and not session.ended]
    if not acting:
        return
    try:
        gone = node.identities.register.see(acting)
    except IntegrityError:
        gone = acting  # which of them it concerns cannot be said
    for session in gone:
        node.end_session(session.id)

"""The sessions of a node's services: opened, closed and ended, each with its record."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from keystead.access.principal import Principal
from keystead.access.session import Authentication, Session
from keystead.errors import AuditUnavailable, IntegrityError
from keystead.storage.store_row import SqliteRevocations

KEPT: Final = 1000
"""Sessions of a process above which ended ones are forgotten; the log has them all."""
KEPT_ENDED: Final = 100

if TYPE_CHECKING:
    from keystead.node.identities import Identities
    from keystead.node.node import Node


def open_session(node: Node, principal: Principal, authentication: Authentication | None = None) -> Session:
    """A session for a service; recorded. Raises AuditUnavailable."""
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
    node.sessions[session.id] = session
    if len(node.sessions) > KEPT:
        for known in [known for known in list(node.sessions.values()) if known.ended][:-KEPT_ENDED]:
            node.sessions.pop(known.id, None)
    return session


def identities_of(node: Node) -> Identities:
    """Access tokens, logins, users and roles: made when first asked for."""
    from keystead.node.identities import Identities  # noqa: PLC0415 - most stores have none; opening does not pay

    return Identities(node)


def close_session(node: Node, session: Session) -> None:
    """End the session of a service that is closed; recorded, unless the session is of the process that forked this one.

    Closing it again changes nothing. An end is never refused, also where it cannot be recorded.
    """
    if not session.ended:
        node.end_session(session.id)
        if session.id not in node.inherited_sessions:
            with suppress(AuditUnavailable):
                node.record(session, "session_closed", f"session/{session.id}")
        node.forget_callbacks(session)


def see_sessions(node: Node) -> None:
    """End the sessions that were revoked, or whose access tokens were; others go on for as long as those do now."""
    live = {session.id: session for session in list(node.sessions.values()) if not session.ended}
    if live:
        for session_id in SqliteRevocations(node.store.read()).among(list(live)):
            live[session_id].end()
    see_tokens(node)


def see_tokens(node: Node) -> None:
    """The same for access tokens only."""
    acting = [
        session for session in list(node.sessions.values()) if session.authentication.accessor and not session.ended
    ]
    if not acting:
        return
    try:
        gone = node.identities.register.see(acting)
    except IntegrityError:
        gone = acting  # which of them it concerns cannot be said
    for session in gone:
        node.end_session(session.id)

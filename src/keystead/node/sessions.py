"""The sessions of a node's services: opened, closed and ended, each with its record."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from keystead.access.principal import Principal
from keystead.access.session import Session
from keystead.errors import AuditUnavailable

KEPT: Final = 1000
"""Sessions of a process above which ended ones are forgotten; the log has them all."""
KEPT_ENDED: Final = 100

if TYPE_CHECKING:
    from keystead.node.node import Node


def open_session(node: Node, principal: Principal) -> Session:
    """A session for a service; recorded. Raises AuditUnavailable."""
    session = Session.start(principal, node.clock.now_ms())
    node.record(session, "session_opened", f"session/{session.id}")
    node.sessions[session.id] = session
    if len(node.sessions) > KEPT:
        for known in [known for known in list(node.sessions.values()) if known.ended][:-KEPT_ENDED]:
            node.sessions.pop(known.id, None)
    return session


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

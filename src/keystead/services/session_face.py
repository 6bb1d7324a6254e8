"""What every service is: a cheap face over a node, bound to one session."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from keystead.errors import Sealed, SessionEnded

if TYPE_CHECKING:
    from keystead.access.session import Session
    from keystead.keys.use import DataUse
    from keystead.node.node import Node


class SessionFace:
    """The node and the session of a service; both come with `initialize` and go with `close`."""

    _opened: Node | None = None
    _bound: Session | None = None

    @property
    def _node(self) -> Node:
        if self._opened is None:
            raise _not_open()
        if self._opened.closed:
            raise SessionEnded("the store was closed", hint="open it again")
        return self._opened

    @property
    def _session(self) -> Session:
        if self._bound is None:
            raise _not_open()
        return self._bound

    @cached_property
    def _use(self) -> DataUse:
        # A plain attribute once the store is open: a property's call would show on the hot path.
        raise _not_open()


def record_configuration(face: SessionFace, summary: Mapping[str, str | int]) -> None:
    """A configuration was loaded for this session. Raises Denied where it may not load any."""
    node, session = face._node, face._session
    node.gate.admit(session, "config:read", "config")
    node.record(session, "configuration_loaded", "config", **summary)


def _not_open() -> Sealed:
    return Sealed("the store is not open", hint="call initialize() first")

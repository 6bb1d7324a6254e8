"""What every service is: a cheap face over a node, bound to one session."""

from __future__ import annotations

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
    _data: DataUse | None = None

    @property
    def _node(self) -> Node:
        if self._opened is None:
            raise Sealed("the store is not open", hint="call initialize() first")
        if self._opened.closed:
            raise SessionEnded("the store was closed", hint="open it again")
        return self._opened

    @property
    def _session(self) -> Session:
        if self._bound is None:
            raise Sealed("the store is not open", hint="call initialize() first")
        return self._bound

    @property
    def _use(self) -> DataUse:
        if self._data is None:
            raise Sealed("the store is not open", hint="call initialize() first")
        return self._data

"""What of a node stands still while its process forks, and begins anew in the child."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keystead.node.node import Node


def survive_forks(node: Node) -> None:
    """Let the node be usable on both sides of any later fork, for as long as it is open.

    A fork copies one thread and all memory. So it waits, a bounded time, for what the background thread is doing; the
    store waits in the same way for other threads inside SQLite (`keystead.storage.forks`).
    """
    reference = weakref.ref(node)
    os.register_at_fork(
        before=_on(reference, _hold),
        after_in_parent=_on(reference, _let_go),
        after_in_child=_on(reference, _begin_anew),
    )


def _on(reference: weakref.ref[Node], do: Callable[[Node], None]) -> Callable[[], None]:
    def call() -> None:
        node = reference()
        if node is not None:
            do(node)

    return call


def _hold(node: Node) -> None:
    # Called before the stores are held: the background thread may need its store to come to an end.
    if not node.closed:
        node.ticker.hold()


def _let_go(node: Node) -> None:
    node.ticker.let_go()


def _begin_anew(node: Node) -> None:
    if not node.closed:
        node.after_fork()

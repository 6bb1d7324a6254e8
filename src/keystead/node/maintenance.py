"""What a node does by itself from time to time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keystead.errors import CallerError, DataError, KeysteadError
from keystead.keys.lifecycle import KeyState
from keystead.node.grants import sweep_grants
from keystead.secrets.labels import DEFAULT_JUMP_LIMIT_MS
from keystead.storage.ended import KEPT_ENDED_MS, anything_ended
from keystead.storage.named_keys import SqliteNamedKeys

if TYPE_CHECKING:
    from keystead.node.node import Node


def maintain(node: Node) -> None:
    """Sweep what expired, rotate and destroy the keys that are due, and go on with unfinished scrubbing.

    After a jump of the clock no named key is due: it may be so only for a clock that was set wrong.
    """
    node.refresh()
    node.sweeper.sweep(node.system)
    failed: KeysteadError | None = None
    if SqliteNamedKeys(node.store.read()).due(node.clock.now_ms()) and node.clock.ahead_ms() <= DEFAULT_JUMP_LIMIT_MS:
        try:
            node.named.manager.maintain(node.system)
        except (CallerError, DataError) as error:
            failed = error
    if anything_ended(node.store.read(), node.clock.now_ms() - KEPT_ENDED_MS):
        node.identities.sweep(node.system)
        sweep_grants(node, node.system)
    node.once.sweep()
    records = node.ring.stored()
    for record in records:
        if record.state is KeyState.ACTIVE:
            due = node.data_keys.describe(record).rotation_due
            if due is not None:
                node.data_keys.rotate(node.system, if_active=record.key_id, reason=due)
    # Last, since a shred key that cannot be removed ends the round.
    for record in records:
        if record.state is KeyState.SCRUBBING:
            node.data_keys.finish_scrubbing(node.system, record)
    if failed is not None:
        raise failed

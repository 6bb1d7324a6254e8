"""What a node does by itself from time to time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keystead.keys.lifecycle import KeyState
from keystead.storage.ended import KEPT_ENDED_MS, anything_ended

if TYPE_CHECKING:
    from keystead.node.node import Node


def maintain(node: Node) -> None:
    """Sweep what expired, rotate the data key if that is due, and go on with unfinished scrubbing."""
    node.refresh()
    node.sweeper.sweep(node.system)
    if anything_ended(node.store.read(), node.clock.now_ms() - KEPT_ENDED_MS):
        node.identities.sweep(node.system)
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

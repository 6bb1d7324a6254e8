"""The grants of an open store: the use cases on them, and what the policy engine learns of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from keystead.errors import IntegrityError, KeyNotFound
from keystead.secrets.labels import DEFAULT_JUMP_LIMIT_MS
from keystead.storage.ended import KEPT_ENDED_MS

if TYPE_CHECKING:
    from keystead.access.grants import Grant
    from keystead.access.ports import GrantRows
    from keystead.access.session import Session
    from keystead.gate import Change
    from keystead.keys.named.grants import GrantManager
    from keystead.node.node import Node


def grant_manager(node: Node) -> GrantManager:
    """The use cases on one node's grants."""
    from keystead.keys.named.grants import GrantManager, KeptGrants, KeptHeads  # noqa: PLC0415 - most stores have none
    from keystead.storage.grants import SqliteGrants  # noqa: PLC0415 - as above
    from keystead.storage.named_keys import SqliteNamedKeys  # noqa: PLC0415 - as above

    manager = node.named.manager
    return GrantManager(
        node.gate,
        KeptGrants(node.root.identity_binder, lambda: SqliteGrants(node.store.read()), SqliteGrants),
        KeptHeads(manager.binder, manager.read_rows, SqliteNamedKeys),
        node.clock,
        # Every session may be allowed less than a moment ago.
        node.periods.end,
    )


def sweep_grants(node: Node, session: Session) -> None:
    """Remove a bounded batch of the grants whose time was over a day ago; after a jump of the clock nothing is."""
    from keystead.storage.grants import SqliteGrants  # noqa: PLC0415 - as above

    before = node.clock.now_ms() - KEPT_ENDED_MS
    if node.clock.ahead_ms() <= DEFAULT_JUMP_LIMIT_MS and SqliteGrants(node.store.read()).ended_before(before, 1):
        grant_manager(node).sweep(session, before)


def end_grants_to(change: Change[Any], grantee: str) -> int:
    """Remove the grants to a principal that is no more, within its removal; how many there were."""
    from keystead.keys.named.grants import end_all  # noqa: PLC0415 - as above
    from keystead.storage.grants import SqliteGrants  # noqa: PLC0415 - as above

    rows = SqliteGrants(change.transaction)
    return end_all(rows, change, rows.to(grantee))


def end_grants_of(change: Change[Any], key_id: str) -> int:
    """The same of a key that is destroyed."""
    from keystead.keys.named.grants import end_all  # noqa: PLC0415 - as above
    from keystead.storage.grants import SqliteGrants  # noqa: PLC0415 - as above

    rows = SqliteGrants(change.transaction)
    return end_all(rows, change, rows.of_key(key_id))


class AuthenticGrants:
    """The grants of a store for the policy engine. A row that keystead did not write for this store allows nothing."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def has_any(self, principal: str) -> bool:
        """Whether there is a row of this grantee."""
        return self._rows().has_any(principal)

    def of(self, name: str, principal: str | None) -> Sequence[Grant]:
        """The grants of the key of this name to a principal, or to any. The key's head is checked, since its id tells
        which grants count."""
        from keystead.access.grants import grant_of  # noqa: PLC0415 - as above

        try:
            head = self._node.named.ring.find(name).head
        except (KeyNotFound, IntegrityError):
            return ()
        if head.name != name:
            return ()
        rows, binder = self._rows().of_key(head.key_id, principal), self._node.root.identity_binder()
        return tuple(grant_of(row) for row in rows if binder.is_authentic(row))

    def _rows(self) -> GrantRows:
        from keystead.storage.grants import SqliteGrants  # noqa: PLC0415 - as above

        return SqliteGrants(self._node.store.read())

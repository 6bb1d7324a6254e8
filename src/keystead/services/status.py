"""The status of a store, as an object and, with the same names, as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from keystead.access.session import Session
from keystead.clock import format_duration
from keystead.keys.lifecycle import KeyState
from keystead.node.node import Node
from keystead.seal.slots import describe_slots
from keystead.secrets.labels import DEFAULT_JUMP_LIMIT_MS
from keystead.storage.secrets import SqliteSecrets
from keystead.storage.store_row import SqliteSlots


@dataclass(frozen=True, slots=True)
class Status:
    """Figures of one node. Lengths and ages are in ms; names and counts only, never a value."""

    initialized: bool = False
    master_key_present: bool = False
    store: str = ""
    store_id: str = ""
    schema: int = 0
    session: str = ""
    slots: list[dict[str, Any]] = field(default_factory=list)
    data_keys_count: int = 0
    active_data_keys: int = 0
    oldest_data_key_age_ms: int = 0
    rotation_due: str | None = None
    secrets_count: int = 0
    expired_secrets_count: int = 0
    sessions_count: int = 0
    operations_by_session: dict[str, int] = field(default_factory=dict)
    cache: dict[str, Any] = field(default_factory=dict)
    audit_head: dict[str, Any] = field(default_factory=dict)
    store_answers: bool = True
    notices: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The same figures under the same names."""
        return asdict(self)

    def to_json(self) -> str:
        """The same figures as one JSON document."""
        return json.dumps(self.as_dict(), indent=2, sort_keys=True)


def read_status(node: Node, session: Session) -> Status:
    """The status of an open node; recorded."""
    with node.gate.read(session, "status:read", "store", "status_read"):
        now = node.clock.now_ms()
        connection = node.store.read()
        secrets, expired = SqliteSecrets(connection).counts(now)
        records = node.ring.stored()
        kept = [record for record in records if record.state is not KeyState.DESTROYED]
        due = [node.data_keys.describe(record).rotation_due for record in records]
        figures = node.cache.figures
        entries, size = node.cache.size()
        head = node.journal.head
        return Status(
            initialized=True,
            master_key_present=not node.root.sealed and not node.root.outdated,
            store=str(node.location.database),
            store_id=node.root.store_id.hex(),
            schema=connection.execute("PRAGMA user_version").fetchone()[0],
            session=session.id,
            slots=[asdict(slot) for slot in describe_slots(SqliteSlots(connection).all())],
            data_keys_count=len(records),
            active_data_keys=sum(record.state is KeyState.ACTIVE for record in records),
            oldest_data_key_age_ms=max((now - record.created_ms for record in kept), default=0),
            rotation_due=next((reason for reason in due if reason), None),
            secrets_count=secrets,
            expired_secrets_count=expired,
            sessions_count=sum(not known.ended for known in node.sessions.values()),
            operations_by_session={known: node.operations(known) for known in node.sessions},
            cache={"hits": node.counts.total(event="cache_hit"), **asdict(figures), "entries": entries, "bytes": size},
            audit_head={"chain": head.chain, "count": head.count, "hash": head.hash},
            store_answers=node.stale_since is None,
            notices=[*node.notices, *_clock_notice(node)],
        )


def _clock_notice(node: Node) -> list[str]:
    ahead = node.clock.ahead_ms()
    if ahead <= DEFAULT_JUMP_LIMIT_MS:
        return []
    return [
        f"the clock jumped ahead by {format_duration(ahead - ahead % 1000)}: what reads as expired is not served, and "
        "nothing is destroyed or recorded as expired until the clock is set right or the store is opened again"
    ]

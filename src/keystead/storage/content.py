"""What the store holds, for comparing it with its log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from keystead.audit.ports import StoreState, TokenState
from keystead.storage.audit import Store

_NEWEST = "SELECT NULL, seq FROM sqlite_sequence WHERE name = 'audit_outbox'"
_HEADS = {
    "secrets": " UNION ALL SELECT 'secret/' || name, lower(hex(substr(mac, 1, 16))) FROM secrets",
    "named_keys": " UNION ALL SELECT 'key/' || name, lower(hex(substr(mac, 1, 16))) FROM named_keys",
    "key_aliases": " UNION ALL SELECT 'alias/' || alias, lower(hex(substr(mac, 1, 16))) FROM key_aliases",
    "policies": " UNION ALL SELECT 'policy/' || name, lower(hex(substr(mac, 1, 16))) FROM policies",
    "auth_methods": " UNION ALL SELECT 'auth-method/' || name, lower(hex(substr(mac, 1, 16))) FROM auth_methods",
    "users": " UNION ALL SELECT 'user/' || name, lower(hex(substr(mac, 1, 16))) FROM users",
    "roles": " UNION ALL SELECT 'role/' || name, lower(hex(substr(mac, 1, 16))) FROM roles",
    "key_grants": " UNION ALL SELECT 'grant/' || grant_id, lower(hex(substr(mac, 1, 16))) FROM key_grants",
}
_ROWS = {
    "data-key": "SELECT key_id FROM data_keys",
    "secret": "SELECT name FROM secrets",
    "key": "SELECT name FROM named_keys",
    "alias": "SELECT alias FROM key_aliases",
    "policy": "SELECT name FROM policies",
    "grant": "SELECT grant_id FROM key_grants",
    "token": "SELECT accessor FROM access_tokens",
    "user": "SELECT name FROM users",
    "failed-logins": "SELECT name FROM login_failures",
    "role": "SELECT name FROM roles",
    "secret-id": "SELECT accessor FROM secret_ids",
    "auth-method": "SELECT name FROM auth_methods",
}
_TOKENS = "SELECT accessor, principal, parent, revoked_ms IS NULL FROM access_tokens"
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table'"
_ALIVE = {
    "data-key": "SELECT 1 FROM data_keys WHERE key_id = ? AND wrapped IS NOT NULL",
    "slot": "SELECT 1 FROM key_slots WHERE slot_id = ?",
    "secret-id": "SELECT 1 FROM secret_ids WHERE accessor = ?",
    "secret": "SELECT 1 FROM secret_versions WHERE name = ? AND version = ? AND ciphertext IS NOT NULL",
    "key": "SELECT 1 FROM named_key_versions v JOIN named_keys k ON k.key_id = v.key_id"
    " WHERE k.name = ? AND v.version = ? AND v.material IS NOT NULL",
}


class SqliteContent:
    """A store's content as the audit room asks for it; each call is its own transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def state(self) -> StoreState:
        """The newest change, and what it left."""
        newest, heads, tokens = 0, {}, {}
        with self._store.translated(), self._store.at_one_moment():
            connection = self._store.read()
            # A log is verified without a key also beside a store of an earlier schema.
            there = {name for (name,) in connection.execute(_TABLES)}
            heads_of = "".join(query for table, query in _HEADS.items() if table in there)
            for name, told in connection.execute(_NEWEST + heads_of):
                if name is None:
                    newest = int(told)
                else:
                    heads[str(name)] = str(told)
            if "access_tokens" in there:
                for accessor, principal, parent, live in connection.execute(_TOKENS):
                    tokens[str(accessor)] = TokenState(str(principal), str(parent or ""), bool(live))
        return StoreState(newest, heads, tokens)

    def rows(self) -> Iterator[tuple[str, Any]]:
        """The kind and the name or id of each row that keystead binds to the store, as the file has it."""
        for kind, query in _ROWS.items():
            with self._store.translated():
                found = self._store.read().execute(query).fetchall()
            for (name,) in found:
                yield kind, name

    def is_alive(self, target: str, version: int) -> bool:
        """Whether a data key has its material, a key slot is there or (`version` not 0) a version has its value."""
        kind, _, name = target.partition("/")
        versioned = kind in ("secret", "key")
        if kind not in _ALIVE or (versioned and not version):
            return False
        values = (name, version) if versioned else (name,)
        with self._store.translated():
            return self._store.read().execute(_ALIVE[kind], values).fetchone() is not None

"""What the store holds, for comparing it with its log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from keystead.audit.ports import DataKeyState, StoreState, TokenState
from keystead.storage.audit import AuditRows, Store

_BOUND = {
    "data-key": ("data_keys", "key_id"),
    "secret": ("secrets", "name"),
    "key": ("named_keys", "name"),
    "alias": ("key_aliases", "alias"),
    "policy": ("policies", "name"),
    "grant": ("key_grants", "grant_id"),
    "token": ("access_tokens", "accessor"),
    "user": ("users", "name"),
    "failed-logins": ("login_failures", "name"),
    "role": ("roles", "name"),
    "secret-id": ("secret_ids", "accessor"),
    "auth-method": ("auth_methods", "name"),
}
"""The rows that keystead binds to the store: of each kind the table, and the column of its name."""
_COMPARED = ("secret", "key", "alias", "policy", "auth-method", "user", "role", "grant")
# Names and texts as bytes: what is no UTF-8 is named, and keeps nothing else from being looked at.
_DIGESTS = "SELECT CAST({} AS BLOB), lower(hex(substr(mac, 1, 16))) FROM {}"
_NAMES = "SELECT typeof({0}), CAST({0} AS BLOB) FROM {1}"
_TOKENS = (
    "SELECT CAST(accessor AS BLOB), CAST(principal AS BLOB), CAST(parent AS BLOB), revoked_ms IS NULL"
    " FROM access_tokens"
)
_SECRET_IDS = "SELECT CAST(accessor AS BLOB), CAST(role AS BLOB) FROM secret_ids"
_DATA_KEYS = "SELECT CAST(key_id AS BLOB), state = 'active', CAST(reserved AS INTEGER) FROM data_keys"
_GENERATION = "SELECT CAST(root_generation AS INTEGER) FROM store"
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
        heads: dict[str, str] = {}
        tokens: dict[str, TokenState] = {}
        secret_ids: dict[str, str] = {}
        with self._store.translated(), self._store.at_one_moment():
            connection = self._store.read()
            newest = AuditRows(connection).last_number()
            # A log is verified without a key also beside a store of an earlier schema.
            there = {name for (name,) in connection.execute(_TABLES)}
            for kind in _COMPARED:
                table, column = _BOUND[kind]
                found = connection.execute(_DIGESTS.format(column, table)) if table in there else ()
                heads.update((f"{kind}/{_text(name)}", told) for name, told in found)
            if "access_tokens" in there:
                for accessor, principal, parent, live in connection.execute(_TOKENS):
                    tokens[_text(accessor)] = TokenState(_text(principal), _text(parent), bool(live))
                secret_ids.update((_text(accessor), _text(role)) for accessor, role in connection.execute(_SECRET_IDS))
            data_keys = {
                _text(key_id): DataKeyState(bool(active), reserved or 0)
                for key_id, active, reserved in connection.execute(_DATA_KEYS)
            }
            generation = sum(found or 0 for (found,) in connection.execute(_GENERATION))
        return StoreState(newest, heads, tokens, secret_ids, data_keys, generation)

    def rows(self) -> Iterator[tuple[str, Any]]:
        """The kind and the name or id of each row that keystead binds to the store, as the file has it; None for a
        name that is none, by which no row is found."""
        for kind, (table, column) in _BOUND.items():
            with self._store.translated():
                found = self._store.read().execute(_NAMES.format(column, table)).fetchall()
            for type_, name in found:
                yield kind, _name(name) if type_ == "text" else name

    def is_alive(self, target: str, version: int) -> bool:
        """Whether a data key has its material, a key slot is there or (`version` not 0) a version has its value."""
        kind, _, name = target.partition("/")
        versioned = kind in ("secret", "key")
        if kind not in _ALIVE or (versioned and not version):
            return False
        values = (name, version) if versioned else (name,)
        with self._store.translated():
            return self._store.read().execute(_ALIVE[kind], values).fetchone() is not None


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode("utf-8", "backslashreplace")


def _name(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None

"""What the store holds, for comparing it with its log."""

from __future__ import annotations

from keystead.storage.audit import Store

# One statement is one snapshot: the newest change, and every head as it left them.
_HEADS = (
    "SELECT NULL, seq FROM sqlite_sequence WHERE name = 'audit_outbox'"
    " UNION ALL SELECT 'secret/' || name, lower(hex(substr(mac, 1, 16))) FROM secrets"
)
_POLICIES = " UNION ALL SELECT 'policy/' || name, lower(hex(substr(mac, 1, 16))) FROM policies"
_HAS_POLICIES = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'policies'"
_ALIVE = {
    "data-key": "SELECT 1 FROM data_keys WHERE key_id = ? AND wrapped IS NOT NULL",
    "slot": "SELECT 1 FROM key_slots WHERE slot_id = ?",
    "secret": "SELECT 1 FROM secret_versions WHERE name = ? AND version = ? AND ciphertext IS NOT NULL",
}


class SqliteContent:
    """A store's content as the audit room asks for it; each call is its own transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def heads(self) -> tuple[int, dict[str, str]]:
        """The number of the newest change, and then the digest of each secret's head and each policy by its target."""
        newest, heads = 0, {}
        with self._store.translated():
            connection = self._store.read()
            # A log is verified without a key also beside a store of an earlier schema.
            has_policies = connection.execute(_HAS_POLICIES).fetchone() is not None
            for name, told in connection.execute(_HEADS + _POLICIES if has_policies else _HEADS):
                if name is None:
                    newest = int(told)
                else:
                    heads[str(name)] = str(told)
        return newest, heads

    def is_alive(self, target: str, version: int) -> bool:
        """Whether a data key has its material, a key slot is there or (`version` not 0) a version has its value."""
        kind, _, name = target.partition("/")
        if kind not in _ALIVE or (kind == "secret" and not version):
            return False
        values = (name, version) if kind == "secret" else (name,)
        with self._store.translated():
            return self._store.read().execute(_ALIVE[kind], values).fetchone() is not None

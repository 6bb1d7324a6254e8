"""How a node plugs the rooms together: each is given what it needs, and knows nothing of the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keystead.keys.manage import DataKeyManager
from keystead.node.once import Once
from keystead.secrets.read import SecretReader
from keystead.secrets.sweep import Sweeper
from keystead.secrets.write import SecretWriter
from keystead.storage.accounts import SqliteAccounts
from keystead.storage.backups import SqliteBackups
from keystead.storage.data_keys import SqliteDataKeys
from keystead.storage.named_keys import SqliteNamedKeys
from keystead.storage.secrets import SqliteSecrets

if TYPE_CHECKING:
    from keystead.node.node import Node


def assemble(node: Node) -> None:
    """Plug the rooms' use cases into what the node has of store, clock, gate and keys."""
    node.once = Once(node)
    node.gate.alongside = node.once.alongside
    node.sweeper = Sweeper(
        node.gate,
        node.binder,
        node.read_secrets,
        SqliteSecrets,
        node.clock,
        node.settings.destroy_expired_after_ms,
        node.secrets_changed,
        node.scrub,
    )
    node.reader = SecretReader(node.gate, node.ring, node.binder, node.read_secrets, node.clock, node.expire_quietly)
    node.writer = SecretWriter(node.reader, SqliteSecrets, node.secrets_changed, node.scrub)
    node.data_keys = DataKeyManager(
        node.gate,
        node.ring,
        node.root,
        SqliteDataKeys,
        node.clock,
        node.settings.data_key_max_age_ms,
        node.versions_under,
        node.destroy_versions,
        node.store.checkpoint,
        node.keys_changed,
        node.same_root,
        node.shred_keys,
        lambda reference: SqliteBackups(node.store.read()).holding(reference),
        lambda transaction: SqliteNamedKeys(node.store.read() if transaction is None else transaction),
        lambda reference: SqliteAccounts(node.store.read()).second_factors_under(reference),
    )

"""What a node has for named keys, made when they are first used: most processes never do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keystead.access.session import Session
from keystead.errors import MasterKeyInvalid, UsageError
from keystead.keys.named.look import NamedKeyReader
from keystead.keys.named.manage import NamedKeyManager
from keystead.keys.named.model import KeyBinder
from keystead.keys.named.portable import KeyPorter
from keystead.keys.named.ring import NamedKeyRing
from keystead.keys.named.use import NamedKeyUse
from keystead.node.grants import end_grants_of
from keystead.seal.providers.passphrase import Passphrase, require_strength
from keystead.storage.named_keys import SqliteNamedKeys

if TYPE_CHECKING:
    from keystead.node.node import Node


class NamedKeys:
    """The named keys of one node: the ring of loaded ones, and the use cases that make, change and move them."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.ring = NamedKeyRing(node.ring, self._rows, self._binder, node.clock)
        self.reader = NamedKeyReader(node.gate, node.ring, self._binder, self._rows)
        self.manager = NamedKeyManager(
            node.gate,
            node.ring,
            self._binder,
            self._rows,
            SqliteNamedKeys,
            node.clock,
            node.keys_changed,
            node.scrub,
            end_grants_of,
        )
        self.porter = KeyPorter(self.manager, self.ring, _require_passphrase)

    def _rows(self) -> SqliteNamedKeys:
        return SqliteNamedKeys(self._node.store.read())

    def _binder(self) -> KeyBinder:
        return KeyBinder(self._node.root.store_id, self._node.root.integrity_key())

    def use(self, session: Session) -> NamedKeyUse:
        """The operations of one session; it is told of changes until that is closed."""
        node = self._node
        use = NamedKeyUse(self.ring, node.gate, node.counts, session, node.clock)
        node.on_change(session, use.end_period)
        return use


def _require_passphrase(text: str) -> None:
    try:
        passphrase = Passphrase(text)
    except MasterKeyInvalid as error:
        raise UsageError(
            "the passphrase of the key's backup cannot be used", why=error.why, hint="give another"
        ) from None
    require_strength(passphrase)

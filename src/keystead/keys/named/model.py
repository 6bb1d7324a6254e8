"""What a named key is: its head, its versions, and how both are bound to the store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from keystead.crypto.aad import bind, join_fields
from keystead.crypto.mac import MacKey, same
from keystead.errors import IntegrityError
from keystead.keys.lifecycle import KeyState


class KeyHead(NamedTuple):
    """The one row of a named key that changes. Times are ms since the epoch.

    `primary` is the version that protects, `latest` the highest number given; versions under `min_decrypt` process
    nothing, and a caller may ask for none under `min_encrypt`. `destroy_ms` is when a scheduled destruction is due.
    `tags` is a JSON object with sorted names. `epoch` rises with each change; `mac` binds all of it to the store.
    """

    name: str
    key_id: str
    type: str
    usage: str
    state: str
    origin: str
    deterministic: bool
    exportable: bool
    description: str
    tags: str
    latest: int
    primary: int
    min_encrypt: int
    min_decrypt: int
    rotation_ms: int | None
    rotated_ms: int
    destroy_ms: int | None
    created_ms: int
    updated_ms: int
    epoch: int
    mac: bytes

    @property
    def digest(self) -> str:
        """What the record of a change says of the head that it left: the first half of its MAC, in hex."""
        return self.mac[:16].hex()

    @property
    def state_now(self) -> str:
        """Its state, which is suspended while its destruction is scheduled, also where it had been deactivated."""
        waiting = self.destroy_ms is not None and self.state == KeyState.DEACTIVATED
        return KeyState.SUSPENDED.value if waiting else self.state

    def facts(self) -> Mapping[str, str]:
        """Its tags."""
        return {} if self.tags == "{}" else json.loads(self.tags)


class KeyVersionRow(NamedTuple):
    """One numbered version. It never changes, except that its material is destroyed, or encrypted under another key.

    `reference` stands in the header of what it encrypts, `salt` derives where one must always derive the same;
    `public` is the public key (SPKI DER), None for symmetric types; `material` is encrypted under the
    data key of `key_reference`.
    """

    version: int
    reference: bytes
    salt: bytes
    key_reference: bytes
    created_ms: int
    public: bytes | None
    material: bytes | None
    destroyed_ms: int | None


@dataclass(frozen=True, slots=True)
class KeyVersionInfo:
    """A version without its material. Times are ms since the epoch."""

    version: int
    created_ms: int
    primary: bool
    state: str
    data_key: str


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """A named key without its material. Times are ms since the epoch, `rotation_ms` is a length.

    `state` is a key state; a key whose destruction is scheduled is suspended (or compromised), and `destroy_ms` tells
    when it is due.
    """

    name: str
    id: str
    type: str
    usage: str
    state: str
    origin: str
    version: int
    min_encrypt: int
    min_decrypt: int
    deterministic: bool
    exportable: bool
    description: str
    tags: Mapping[str, str]
    aliases: tuple[str, ...]
    operations: tuple[str, ...]
    rotation_ms: int | None
    next_rotation_ms: int | None
    destroy_ms: int | None
    created_ms: int
    updated_ms: int


class KeyBinder:
    """Binds the rows of named keys to one store by MAC and AAD."""

    def __init__(self, store_id: bytes, integrity_key: bytes | bytearray) -> None:
        self._store_id = store_id
        self._key = MacKey(integrity_key)

    def _mac(self, head: KeyHead) -> bytes:
        return self._key.mac(bind("named-key", self._store_id, *head[:-1]))

    def sealed(self, head: KeyHead, **changes: object) -> KeyHead:
        """The head with changes, its epoch raised and its MAC made anew."""
        changed = head._replace(epoch=head.epoch + 1, **changes)  # type: ignore[arg-type]
        return changed._replace(mac=self._mac(changed))

    def check(self, head: KeyHead) -> KeyHead:
        """The head, if it is one that keystead wrote for this store.

        Raises:
            IntegrityError: it was edited, swapped or damaged.
        """
        if not same(self._mac(head), head.mac):
            raise IntegrityError(
                f"the record of key {head.name} is not what keystead wrote",
                hint="`keystead audit verify` says what was recorded; restore a backup elsewhere and compare",
            )
        return head

    def alias_mac(self, alias: str, key_id: str) -> bytes:
        """What binds an alias to the key that it stands for."""
        return self._key.mac(bind("key-alias", self._store_id, alias, key_id))

    def version_aad(self, head: KeyHead, row: KeyVersionRow) -> bytes:
        """What the encrypted material of a version binds: everything that decides how it may be used."""
        return bind("named-key-version", self._store_id) + join_fields(
            head.key_id,
            head.type,
            head.usage,
            int(head.deterministic),
            int(head.exportable),
            row.version,
            row.reference,
            row.salt,
            row.key_reference,
            row.created_ms,
            row.public,
        )


def tags_text(tags: Mapping[str, str]) -> str:
    """Tags as the head keeps them."""
    return json.dumps(dict(sorted(tags.items())), separators=(",", ":"), ensure_ascii=True) if tags else "{}"

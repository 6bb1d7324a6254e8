"""What a secret is: its head, its versions, and how both are bound to the store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from keystead.crypto.aad import bind, join_fields
from keystead.crypto.mac import MacKey, same
from keystead.errors import IntegrityError, SecretDeleted, SecretExpired
from keystead.secrets.labels import Labels, is_expired

MAX_VALUE_BYTES: Final = 64 * 1024
Encoding = Literal["text", "bytes"]


class Head(NamedTuple):
    """The one row of a secret that changes. Times are ms since the epoch; texts are kept as the store has them.

    `labels` is `current,previous,previous_until_ms,pending`, empty where one is not set; `tags` a JSON object with
    sorted names.
    `expires_ms` is the current version's. `epoch` rises with each change; `mac` binds all of it to the store.
    """

    name: str
    secret_id: bytes
    latest: int
    labels: str
    ttl_ms: int | None
    rule: str | None
    tags: str
    created_ms: int
    updated_ms: int
    expires_ms: int | None
    expired_ms: int | None
    deleted_ms: int | None
    destroyed_ms: int | None
    epoch: int
    mac: bytes

    def where(self) -> Labels:
        """Where the labels point."""
        return Labels(*[int(text) if text else None for text in self.labels.split(",")])

    @property
    def digest(self) -> str:
        """What the record of a change says of the head that it left: the first half of its MAC, in hex."""
        return self.mac[:16].hex()

    @property
    def current(self) -> int | None:
        """The version that the label `current` is on."""
        number = self.labels.partition(",")[0]
        return int(number) if number else None

    def is_current(self, version: int) -> bool:
        """Whether the label `current` is on this version."""
        return self.labels.startswith(f"{version},")


class VersionRow(NamedTuple):
    """One numbered version. It never changes, except that its ciphertext is destroyed."""

    version: int
    key_reference: bytes
    created_ms: int
    expires_ms: int | None
    encoding: str
    ciphertext: bytes | None
    destroyed_ms: int | None


@dataclass(frozen=True, slots=True)
class SecretInfo:
    """A secret without its value. Times are ms since the epoch, `ttl_ms` a length.

    `destroyed`: nothing can be read, because the secret or the value of its current version was destroyed.
    """

    name: str
    version: int
    created_ms: int
    updated_ms: int
    expires_ms: int | None
    ttl_ms: int | None
    tags: Mapping[str, str]
    generate: str | None
    previous: int | None
    expired: bool
    deleted: bool
    destroyed: bool


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """A version without its value. Times are ms since the epoch."""

    version: int
    labels: tuple[str, ...]
    created_ms: int
    expires_ms: int | None
    data_key: str
    state: Literal["live", "expired", "deleted", "destroyed"]


def labels_text(labels: Labels) -> str:
    """Labels as the head keeps them."""
    return ",".join("" if place is None else str(place) for place in labels)


def tags_text(tags: Mapping[str, str]) -> str:
    """Tags as the head keeps them."""
    return json.dumps(dict(sorted(tags.items())), separators=(",", ":"), ensure_ascii=True) if tags else "{}"


def tags_of(head: Head) -> dict[str, str]:
    """The tags that a head keeps."""
    return {} if head.tags == "{}" else json.loads(head.tags)


def info(head: Head, now_ms: int, *, value_gone: bool = False) -> SecretInfo:
    """What may be shown of a head; `value_gone`: the current version was destroyed, by itself or with its data key."""
    labels = head.where()
    ended = labels.previous_until_ms is not None and now_ms >= labels.previous_until_ms
    return SecretInfo(
        head.name,
        labels.current or 0,
        head.created_ms,
        head.updated_ms,
        head.expires_ms,
        head.ttl_ms,
        tags_of(head),
        head.rule,
        None if ended else labels.previous,
        is_expired(head.expires_ms, now_ms),
        head.deleted_ms is not None,
        value_gone or head.destroyed_ms is not None,
    )


class Binder:
    """Binds heads and versions to one store by MAC and AAD."""

    def __init__(self, store_id: bytes, integrity_key: bytes | bytearray) -> None:
        self._store = store_id.hex()
        self._key = MacKey(integrity_key)
        self._version_prefix = bind("secret-version", store_id)

    def _head_mac(self, head: Head) -> bytes:
        # Only name and tags are free text; behind their lengths the fields cannot be read another way.
        message = (
            f"ks-head-1|{self._store}|{head.secret_id.hex()}|{len(head.name)}:{head.name}|{head.latest}|{head.labels}|"
            f"{head.ttl_ms}|{head.rule}|{len(head.tags)}:{head.tags}|{head.created_ms}|{head.updated_ms}|"
            f"{head.expires_ms}|{head.expired_ms}|{head.deleted_ms}|{head.destroyed_ms}|{head.epoch}"
        )
        return self._key.mac(message.encode())

    def sealed(self, head: Head, **changes: object) -> Head:
        """The head with changes, its epoch raised and its MAC made anew."""
        changed = head._replace(epoch=head.epoch + 1, **changes)  # type: ignore[arg-type]
        return Head(*changed[:-1], self._head_mac(changed))

    def check(self, head: Head) -> Head:
        """The head, if it is one that keystead wrote for this store.

        Raises:
            IntegrityError: it was edited, swapped or damaged.
        """
        try:
            authentic = same(self._head_mac(head), head.mac)
        except (TypeError, AttributeError):  # columns of other types than keystead writes
            authentic = False
        if not authentic:
            raise IntegrityError(
                f"the record of secret {head.name} is not what keystead wrote",
                hint="`keystead audit verify` says what was recorded; restore a backup elsewhere and compare",
            )
        return head

    def version_aad(self, head: Head, row: VersionRow) -> bytes:
        """What the ciphertext of a version binds."""
        return self._version_prefix + join_fields(
            head.secret_id,
            head.name,
            row.version,
            row.key_reference,
            row.created_ms,
            row.expires_ms,
            row.encoding,
        )


def require_readable(head: Head) -> None:
    """Return if the secret as a whole may be read.

    Raises:
        SecretDeleted: it was deleted or destroyed.
    """
    if head.destroyed_ms is not None:
        raise SecretDeleted(f"secret {head.name} was destroyed", hint="store it again under a new value")
    if head.deleted_ms is not None:
        raise SecretDeleted(f"secret {head.name} was deleted", hint=f"keystead rm --undo {head.name} brings it back")


def require_live(head: Head, row: VersionRow, now_ms: int) -> None:
    """Return if the version is not destroyed and not expired.

    Raises:
        SecretDeleted, SecretExpired; IntegrityError where its value is gone though nobody destroyed it.
    """
    if is_expired(row.expires_ms, now_ms):
        raise SecretExpired(
            f"secret {head.name}#{row.version} has expired", hint="store or rotate it to start its TTL anew"
        )
    if row.ciphertext is None and row.destroyed_ms is None:
        raise IntegrityError(
            f"the value of secret {head.name}#{row.version} was taken away, not destroyed",
            hint="restore a backup elsewhere and compare",
        )
    if row.ciphertext is None:
        raise SecretDeleted(
            f"secret {head.name}#{row.version} was destroyed",
            hint=f"keystead set {head.name} stores a new value",
        )

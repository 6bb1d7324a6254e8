"""Making, looking at and changing named keys: what `kms.keys` offers beside using them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from keystead.clock import parse_duration
from keystead.keys.named.form import NewKey, Settings
from keystead.keys.named.manage import NamedKeyManager
from keystead.keys.named.model import KeyInfo, KeyVersionInfo
from keystead.secrets.labels import KEEP, Keep
from keystead.secrets.read import check_limit
from keystead.services.paging import Page, page_of
from keystead.services.session_face import SessionFace

if TYPE_CHECKING:
    from keystead.node.named_keys import NamedKeys

Rotation = timedelta | str | Keep | None


class NamedKeyChanges:
    """The administration methods of `kms.keys`."""

    def __init__(self, face: SessionFace) -> None:
        self._face = face

    def _named(self) -> NamedKeys:
        return self._face._node.named

    @property
    def _manager(self) -> NamedKeyManager:
        return self._named().manager

    # Making and looking

    def create(
        self,
        name: str,
        *,
        type: str = "aes-256-gcm",  # noqa: A002 - the field's name
        usage: str | None = None,
        deterministic: bool = False,
        exportable: bool = False,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        rotation: timedelta | str | None = None,
    ) -> KeyInfo:
        """Make a key. `usage` chooses what an RSA key is for; `rotation` is how often a new version is made.

        A `deterministic` key gives the same ciphertext for the same data and context, so that it can be searched for,
        and shows by that which are equal. What is `exportable` and `deterministic` cannot be changed later.

        Raises:
            UsageError: no such type, or not for that. AlreadyExists: a key or an alias has this name.
        """
        new = new_key(type, usage, tags, rotation, deterministic=deterministic, exportable=exportable, text=description)
        return self._manager.create(self._face._session, name, new)

    def read(self, name: str) -> KeyInfo:
        """A key without its material. Raises KeyNotFound."""
        return self._named().reader.read(self._face._session, name)

    def list(self, prefix: str | None = None, *, limit: int = 100, after: str | None = None) -> Page[KeyInfo]:
        """A page of the keys in the order of their names.

        Raises:
            UsageError: a limit outside 1 to 1,000.
        """
        check_limit(limit)
        return Page(*self._named().reader.page(self._face._session, "" if prefix is None else prefix, limit, after))

    def versions(self, name: str, *, limit: int = 100, after: str | None = None) -> Page[KeyVersionInfo]:
        """A page of the versions of a key, oldest first. Raises KeyNotFound."""
        found = self._named().reader.versions(self._face._session, name)
        return page_of(found, lambda info: str(info.version), limit=limit, after=after)

    # Changing

    def configure(
        self,
        name: str,
        *,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        min_encrypt: int | None = None,
        min_decrypt: int | None = None,
        rotation: Rotation = KEEP,
    ) -> KeyInfo:
        """Change what is given: description, tags, lowest versions to protect and to process, rotation (None: none).

        Raises:
            KeyNotFound, KeyStateError; UsageError: `min_decrypt` <= `min_encrypt` <= primary version does not hold.
        """
        rotation_ms = None if isinstance(rotation, Keep) else 0 if rotation is None else _rotation_ms(rotation)
        settings = Settings(description, tags, min_encrypt, min_decrypt, rotation_ms)
        return self._manager.configure(self._face._session, name, settings)

    def rotate(self, name: str) -> KeyInfo:
        """Make a new primary version; earlier ones only open and verify. Raises KeyNotFound, KeyStateError."""
        return self._manager.rotate(self._face._session, name)

    def suspend(self, name: str) -> KeyInfo:
        """Let nobody use a key until it is resumed. Raises KeyNotFound, KeyStateError."""
        return self._manager.suspend(self._face._session, name)

    def resume(self, name: str) -> KeyInfo:
        """Let a suspended key be used again. Raises KeyNotFound; KeyStateError where its destruction is scheduled."""
        return self._manager.resume(self._face._session, name)

    def deactivate(self, name: str) -> KeyInfo:
        """Let a key only open and verify, for good. Raises KeyNotFound, KeyStateError."""
        return self._manager.deactivate(self._face._session, name)

    def mark_compromised(self, name: str) -> KeyInfo:
        """Note that others may have a key: nobody uses it any more, for good. Raises KeyNotFound, KeyStateError."""
        return self._manager.compromised(self._face._session, name)

    def schedule_destruction(self, name: str, *, days: int = 30) -> KeyInfo:
        """Suspend a key now, and destroy it after 7 to 30 days. Raises KeyNotFound, KeyStateError, UsageError."""
        return self._manager.schedule_destruction(self._face._session, name, days)

    def cancel_destruction(self, name: str) -> KeyInfo:
        """Call a scheduled destruction off; the key stays suspended. Raises KeyNotFound, KeyStateError."""
        return self._manager.cancel_destruction(self._face._session, name)

    def destroy(self, name: str) -> KeyInfo:
        """Destroy a key that is not active, with all its versions, now. There is no undo.

        Raises:
            KeyNotFound; KeyStateError: it is active, or destroyed.
        """
        return self._manager.destroy(self._face._session, name)

    def set_alias(self, alias: str, name: str) -> KeyInfo:
        """Let `alias` stand for a key; one that stands for a key of the same type and usage moves.

        Raises:
            KeyNotFound, AlreadyExists, UsageError.
        """
        return self._manager.set_alias(self._face._session, alias, name)

    def remove_alias(self, alias: str) -> KeyInfo:
        """Take an alias away; the key that it stood for stays. Raises KeyNotFound."""
        return self._manager.remove_alias(self._face._session, alias)


def new_key(
    kind: str,
    usage: str | None,
    tags: Mapping[str, str] | None,
    rotation: timedelta | str | None,
    *,
    deterministic: bool,
    exportable: bool,
    text: str,
) -> NewKey:
    """What a key is to be, of the arguments of a face."""
    rotation_ms = None if rotation is None else _rotation_ms(rotation)
    return NewKey(kind, usage, deterministic, exportable, text, {} if tags is None else tags, rotation_ms)


def _rotation_ms(rotation: timedelta | str) -> int:
    return parse_duration(rotation, what="rotation")

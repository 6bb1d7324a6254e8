"""Data keys, key slots, sessions: the administration methods of the async `KMSService`."""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from keystead.aio.face import Face

if TYPE_CHECKING:
    from keystead.keys.manage import Affected, DataKeyInfo
    from keystead.seal.credential import Credential
    from keystead.seal.slots import SlotInfo
    from keystead.services import key_operations as services
    from keystead.services.key_operations import SessionInfo
    from keystead.services.paging import Page


class SlotOperations:
    """`kms.slots`: each method is that of the sync service, with its parameters, results and errors."""

    def __init__(self, sync: services.SlotOperations) -> None:
        self._sync = sync

    async def list(self, *, limit: int = 100, after: str | None = None) -> Page[SlotInfo]:
        """A page of the key slots, oldest first."""
        return await to_thread(self._sync.list, limit=limit, after=after)

    async def find(self, which: str) -> SlotInfo:
        """The slot of an id, the beginning of one, or a label."""
        return await to_thread(self._sync.find, which)

    async def add(self, credential: Credential, *, label: str) -> SlotInfo:
        """Add a slot by which `credential` opens the store."""
        return await to_thread(self._sync.add, credential, label=label)

    async def remove(self, which: str) -> SlotInfo:
        """Remove a slot by id, unique beginning of it, or label; the last one stays."""
        return await to_thread(self._sync.remove, which)


class KeyOperations(Face):
    """Each method is that of `keystead.KMSService`, with its parameters, results and errors."""

    async def rotate_data_key(self) -> DataKeyInfo:
        """Make a new active data key; the former one only decrypts from now on."""
        return await to_thread(self._sync.rotate_data_key)

    async def list_data_keys(self, *, limit: int = 100, after: str | None = None) -> Page[DataKeyInfo]:
        """A page of the data keys, oldest first, without material."""
        return await to_thread(self._sync.list_data_keys, limit=limit, after=after)

    async def affected_by_destroying(self, id: str) -> Affected:  # noqa: A002 - the field's name
        """What destroying a data key would make unreadable here."""
        return await to_thread(self._sync.affected_by_destroying, id)

    async def destroy_data_key(self, id: str) -> DataKeyInfo:  # noqa: A002 - the field's name
        """Destroy a data key and every stored version under it."""
        return await to_thread(self._sync.destroy_data_key, id)

    async def rekey(
        self, credentials: Mapping[str, Credential] | None = None, *, drop: Iterable[str] = ()
    ) -> tuple[SlotInfo, ...]:
        """Make a new root key and rewrap the data keys."""
        return await to_thread(self._sync.rekey, credentials, drop=drop)

    async def sessions(self, *, limit: int = 100, after: str | None = None) -> Page[SessionInfo]:
        """A page of the sessions of this process, oldest first."""
        return await to_thread(self._sync.sessions, limit=limit, after=after)

    async def revoke_session(self, id: str) -> None:  # noqa: A002 - the field's name
        """End a session of this or any other process on the store."""
        return await to_thread(self._sync.revoke_session, id)

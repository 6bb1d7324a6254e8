"""Data keys, key slots, sessions: the administration methods of `KMSService`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from keystead.access.session import check_session_id
from keystead.errors import UsageError
from keystead.keys.manage import Affected, DataKeyInfo
from keystead.node.opening import Opening, find_again
from keystead.seal.credential import Credential, check_credential
from keystead.seal.slots import SlotInfo, find_slot
from keystead.secrets.names import check_names
from keystead.services.paging import Page, page_of
from keystead.services.session_face import SessionFace
from keystead.storage.store_row import SqliteRevocations

if TYPE_CHECKING:
    from keystead.node.slots import SlotManager

_KEY_ID: Final = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9_+=.@-]{1,256}")


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """A session of this process. Times are ms since the epoch; `operations` counts its audit records' uses.

    `method` is how its principal proved who it is; `accessor` names the access token that it acts by, "" for none.
    """

    id: str
    principal: str
    started_ms: int
    ended: bool
    operations: int
    method: str
    accessor: str
    expires_ms: int | None


class SlotOperations:
    """`kms.slots`: what opens the store."""

    def __init__(self, face: SessionFace) -> None:
        self._face = face

    def _manager(self) -> SlotManager:
        from keystead.node.slots import SlotManager  # noqa: PLC0415 - a rare call; opening a store does not pay for it

        return SlotManager(self._face._node)

    def list(self, *, limit: int = 100, after: str | None = None) -> Page[SlotInfo]:
        """A page of the key slots, oldest first.

        Raises:
            UsageError: a limit outside 1 to 1,000, or an `after` that is no page's `next`.
        """
        return page_of(self._manager().listing(self._face._session), lambda slot: slot.id, limit=limit, after=after)

    def find(self, which: str) -> SlotInfo:
        """The slot of an id, the beginning of one, or a label. Raises SlotNotFound; UsageError where several fit."""
        return find_slot(self._manager().listing(self._face._session), which)

    def add(self, credential: Credential, *, label: str) -> SlotInfo:
        """Add a slot by which `credential` opens the store; no secret is rewritten.

        Raises:
            UsageError: a bad label or a weak passphrase. Conflict: there is a slot of this credential.
        """
        return self._manager().add(self._face._session, check_credential(credential), label)

    def remove(self, which: str) -> SlotInfo:
        """Remove a slot by id, unique beginning of it, or label; the last one stays.

        Raises:
            SlotNotFound, UsageError, KeyStateError.
        """
        return self._manager().remove(self._face._session, which)


class KeyOperations(SessionFace):
    """The administration methods of `KMSService`."""

    _how: Opening

    def rotate_data_key(self) -> DataKeyInfo:
        """Make a new active data key; the former one only decrypts from now on."""
        return self._node.data_keys.rotate(self._session)

    def list_data_keys(self, *, limit: int = 100, after: str | None = None) -> Page[DataKeyInfo]:
        """A page of the data keys, oldest first, without material.

        Raises:
            UsageError: a limit outside 1 to 1,000, or an `after` that is no page's `next`.
        """
        return page_of(self._node.data_keys.listing(self._session), lambda key: key.id, limit=limit, after=after)

    def affected_by_destroying(self, id: str) -> Affected:  # noqa: A002 - the field's name
        """What destroying a data key would make unreadable here. Raises DataKeyNotFound."""
        return self._node.data_keys.affected(self._session, check_data_key_id(id))

    def destroy_data_key(self, id: str) -> DataKeyInfo:  # noqa: A002 - the field's name
        """Destroy a data key and every stored version under it. There is no undo.

        Copies of the store made earlier stay readable by whoever holds a slot of that time. The answer's state is
        `scrubbing` while another process's reader keeps the bytes in the write-ahead log; the node goes on by itself.

        Raises:
            DataKeyNotFound; KeyStateError for the active key and a destroyed one.
        """
        return self._node.data_keys.destroy(self._session, check_data_key_id(id))

    def own_credential(self) -> dict[str, Credential]:
        """The slot by which this service opened its store, and its credential, looked for again: for `rekey`."""
        slot = self._node.opened_slot
        return {} if slot is None else {slot.id: find_again(self._how, self._node.location)}

    def rekey(
        self, credentials: Mapping[str, Credential] | None = None, *, drop: Iterable[str] = ()
    ) -> tuple[SlotInfo, ...]:
        """Make a new root key and rewrap the data keys; no secret is rewritten.

        `credentials` maps slot ids to what opens them, None: `own_credential()`; every slot is either opened or in
        `drop`. After a leak, rotate the data key too: old copies of the store still yield the old ones.

        Raises:
            UsageError, WrongMasterKey, DecryptionError: nothing was changed.
        """
        from keystead.node.slots import SlotManager  # noqa: PLC0415 - a rare call; opening a store does not pay for it

        given = self.own_credential() if credentials is None else credentials
        for credential in given.values():
            check_credential(credential)
        return SlotManager(self._node).rekey(self._session, given, check_names(drop))

    def sessions(self, *, limit: int = 100, after: str | None = None) -> Page[SessionInfo]:
        """A page of the sessions of this process, oldest first.

        Raises:
            UsageError: a limit outside 1 to 1,000, or an `after` that is no page's `next`.
        """
        node = self._node
        with node.gate.read(self._session, "session:list", "session/*", "sessions_listed"):
            found = [
                SessionInfo(
                    session.id,
                    str(session.principal),
                    session.started_ms,
                    session.ended,
                    node.operations(session.id),
                    session.authentication.method,
                    session.authentication.accessor,
                    session.expires_ms,
                )
                for session in list(node.sessions.values())
                if node.gate.may(self._session, "session:list", f"session/{session.id}")
            ]
            return page_of(found, lambda session: session.id, limit=limit, after=after)

    def revoke_session(self, id: str) -> None:  # noqa: A002 - the field's name
        """End a session of this or any other process on the store, which sees it within one second.

        Raises:
            UsageError: not a session's id.
        """
        node = self._node
        check_session_id(id)
        with node.gate.change(self._session, "session:revoke", f"session/{id}", "session_revoked") as change:
            SqliteRevocations(change.transaction).insert(id, node.clock.now_ms())
        node.end_session(id)


def check_data_key_id(text: str) -> str:
    """The id itself, if it has the form of a data key's. Raises UsageError."""
    if not isinstance(text, str) or not _KEY_ID.fullmatch(text):
        raise UsageError("not the id of a data key", hint="keystead keys list")
    return text

"""Creating, rotating, listing and destroying data keys. Each use case passes the gate once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keystead.clock import Clock
from keystead.crypto.material import KeyMaterial
from keystead.errors import DataKeyNotFound, FileUnavailable, KeyStateError
from keystead.gate import Gate, Session
from keystead.keys.lifecycle import KeyState, require_transition
from keystead.keys.limits import grant, rotation_due
from keystead.keys.model import DataKeyRecord, check_count, counted, new_record, unwrapped, wrapped_under
from keystead.keys.ports import DataKeyRows, NamedUnder, RootAccess, ShredKeys
from keystead.keys.ring import KeyRing


@dataclass(frozen=True, slots=True)
class DataKeyInfo:
    """A data key without its material. Times are ms since the epoch; `messages` counts envelopes v1, never too low."""

    id: str
    state: str
    created_ms: int
    state_ms: int
    messages: int
    rotation_due: str | None


@dataclass(frozen=True, slots=True)
class KnownBackup:
    """A backup as it was noted when it was begun: its absolute path then, or `(sent to PRINCIPAL)` where a server sent
    it, and ms since the epoch.

    `shred_keys` is the folder of the shred keys that open its data keys; None: an ordinary backup, which opens them by
    itself.
    """

    path: str
    created_ms: int
    shred_keys: str | None


@dataclass(frozen=True, slots=True)
class Affected:
    """What is under a data key: (name, version) of each stored secret version, and of each named-key version; the users
    whose second factor is.

    Envelopes and ciphertexts are kept by callers.

    `backups` are the known backups that hold the key. Destroying it reaches those whose `shred_keys` is the folder
    `shred_keys` of this store, and no other.
    """

    key_id: str
    versions: list[tuple[str, int]]
    backups: list[KnownBackup]
    shred_keys: str
    named_keys: list[tuple[str, int]]
    second_factors: list[str]

    def stays_readable_in(self) -> list[KnownBackup]:
        """The known backups that open the key also after it was destroyed here."""
        return [backup for backup in self.backups if backup.shred_keys != self.shred_keys]


@dataclass(slots=True, eq=False, repr=False)
class DataKeyManager:
    """The use cases on one node's data keys.

    `under_key(transaction, reference)` lists the stored versions under a key, `destroy_versions` overwrites them;
    `named` gives the rows of named keys, whose versions are under one too, and `factors_under` the users whose
    second factor is;
    `checkpoint` truncates the write-ahead log and says whether no reader was in the way; `changed` is called after
    each commit; `same_root(transaction)` raises Sealed where another process replaced the root key. `shred_keys` keeps
    what opens this store's shreddable backups, and `backups_holding(reference)` lists the known ones.
    """

    gate: Gate[Any]
    ring: KeyRing
    root: RootAccess
    rows: Callable[[Any], DataKeyRows]
    clock: Clock
    max_age_ms: int | None
    under_key: Callable[[Any, bytes], list[tuple[str, int]]]
    destroy_versions: Callable[[Any, list[tuple[str, int]]], None]
    checkpoint: Callable[[], bool]
    changed: Callable[[], None]
    same_root: Callable[[Any], object]
    shred_keys: ShredKeys
    backups_holding: Callable[[bytes], list[KnownBackup]]
    named: Callable[[Any], NamedUnder]
    factors_under: Callable[[bytes], list[str]]

    def listing(self, session: Session) -> list[DataKeyInfo]:
        """Every data key, oldest first."""
        with self.gate.read(session, "data-key:list", "data-key/*", "data_keys_listed") as detail:
            records = [
                record
                for record in self.ring.stored()
                if self.gate.may(session, "data-key:list", f"data-key/{record.key_id}")
            ]
            detail["count"] = len(records)
            return [self.describe(record) for record in records]

    def describe(self, record: DataKeyRecord) -> DataKeyInfo:
        """What may be shown of a record."""
        due = None
        if record.state is KeyState.ACTIVE:
            due = rotation_due(record.created_ms, self.clock.now_ms(), self.max_age_ms, record.reserved)
        return DataKeyInfo(
            record.key_id, record.state.value, record.created_ms, record.state_ms, record.reserved, due and due.value
        )

    def add_first(self, transaction: Any) -> None:
        """Put the first data key into a new store, inside the transaction that makes the store."""
        self._insert_new(transaction)

    def rotate(self, session: Session, *, if_active: str | None = None, reason: str = "by hand") -> DataKeyInfo:
        """Make a new active data key; the former one only decrypts from now on.

        With `if_active`, nothing happens where another key is active already: somebody else was first.

        Raises:
            Sealed: another process replaced the root key.
        """
        with self.gate.change(session, "data-key:rotate", "data-key/*", "data_key_rotated") as change:
            self.same_root(change.transaction)
            rows = self.rows(change.transaction)
            former = [record for record in rows.all() if record.state is KeyState.ACTIVE]
            if if_active is not None and [record.key_id for record in former][-1:] != [if_active]:
                change.skip = True
                new = former[-1]
            else:
                for record in former:
                    rows.update(self._moved(record, KeyState.DEACTIVATED))
                new = self._insert_new(change.transaction)
                change.entries[0].target = f"data-key/{new.key_id}"
                change.detail["reason"] = reason
                change.detail["former"] = former[-1].key_id if former else ""
        self.changed()
        return self.describe(new)

    def _moved(self, record: DataKeyRecord, to: KeyState) -> DataKeyRecord:
        require_transition(record.state, to, record.key_id)
        # A copy of its own: the ring may forget its one at any moment, for example for another process's change.
        material = unwrapped(record, self.root.wrapping_key(), self.root.store_id)
        moved = record._replace(state=to, state_ms=self.clock.now_ms())
        moved = wrapped_under(moved, material, self.root.wrapping_key(), self.root.store_id)
        material.forget()
        return moved

    def _insert_new(self, transaction: Any) -> DataKeyRecord:
        rows, now = self.rows(transaction), self.clock.now_ms()
        key_id, suffix = f"default-{now}", 1
        while rows.get(key_id) is not None:
            suffix += 1
            key_id = f"default-{now}-{suffix}"
        material = KeyMaterial.generate()
        record = counted(new_record(key_id, now), 0, self.root.integrity_key(), self.root.store_id)
        record = wrapped_under(record, material, self.root.wrapping_key(), self.root.store_id)
        material.forget()
        rows.insert(record)
        return record

    def reserve(self, transaction: Any, key_id: str, wanted: int) -> int:
        """Reserve messages of a key inside a transaction; how many were granted, 0 where it is used up.

        Raises:
            DataKeyNotFound, KeyStateError, IntegrityError.
        """
        rows = self.rows(transaction)
        record = rows.get(key_id)
        if record is None:
            raise DataKeyNotFound(f"no data key {key_id} in this store", hint="keystead keys list")
        if record.state is not KeyState.ACTIVE:
            raise KeyStateError(f"data key {key_id} is {record.state.value}", hint="use the active one")
        integrity, store_id = self.root.integrity_key(), self.root.store_id
        check_count(record, integrity, store_id)
        granted = grant(record.reserved, wanted)
        if granted:
            rows.save_count(counted(record, record.reserved + granted, integrity, store_id))
        return granted

    def affected(self, session: Session, key_id: str) -> Affected:
        """What destroying a data key would make unreadable here, and the known backups that hold it.

        Raises:
            DataKeyNotFound: there is no such key.
        """
        with self.gate.read(session, "data-key:list", f"data-key/{key_id}", "data_keys_listed") as detail:
            record = self.ring.by_id(key_id)
            versions, backups = self.under_key(None, record.reference), self.backups_holding(record.reference)
            named = [(name, version) for _, name, version in self.named(None).under_key(record.reference)]
            detail.update(versions=len(versions), named_key_versions=len(named), backups=len(backups))
            factors = self.factors_under(record.reference)
            return Affected(key_id, versions, backups, self.shred_keys.path, named, factors)

    def destroy(self, session: Session, key_id: str) -> DataKeyInfo:
        """Destroy a data key and all stored versions under it. There is no undo.

        The answer's state is `destroyed` once a truncating checkpoint found no reader in the way, `scrubbing` until
        then; scrubbing is resumed by the node and at the next open.

        Raises:
            DataKeyNotFound: there is no such key.
            KeyStateError: it is the active one, or destroyed already.
            FileUnavailable: its shred key stays; the key is `scrubbing`, lost to every use, until that can be removed.
        """
        with self.gate.change(session, "data-key:destroy", f"data-key/{key_id}", "data_key_scrubbing") as change:
            rows = self.rows(change.transaction)
            record = rows.get(key_id)
            if record is None:
                raise DataKeyNotFound(f"no data key {key_id[:64]!r} in this store", hint="keystead keys list")
            if record.state is KeyState.ACTIVE:
                raise KeyStateError(
                    f"data key {key_id} is the active one", hint="keystead keys rotate, then destroy the former one"
                )
            if record.state is KeyState.SCRUBBING:
                change.detail["changed"] = 0
            else:
                require_transition(record.state, KeyState.SCRUBBING, key_id)
                versions = self.under_key(change.transaction, record.reference)
                self.destroy_versions(change.transaction, versions)
                record = record._replace(state=KeyState.SCRUBBING, state_ms=self.clock.now_ms(), wrapped=None)
                rows.update(record)
                change.detail["versions"] = len(versions)
                named = self.named(change.transaction).destroy_under(record.reference, self.clock.now_ms())
                change.detail["named_key_versions"] = named
        self.changed()
        return self.finish_scrubbing(session, record)

    def finish_scrubbing(self, session: Session, record: DataKeyRecord) -> DataKeyInfo:
        """Tell a scrubbing key destroyed, if its shred key is, and its bytes are gone from the write-ahead log too.

        Raises:
            FileUnavailable: the shred key cannot be removed.
        """
        try:
            self.shred_keys.destroy(record.reference)
        except FileUnavailable as error:
            self.gate.failed(session, f"data-key/{record.key_id}", "data_key_destroyed", error)
            raise
        if not self.checkpoint():
            return self.describe(record)
        with self.gate.change(session, "data-key:destroy", f"data-key/{record.key_id}", "data_key_destroyed") as change:
            rows = self.rows(change.transaction)
            found = rows.get(record.key_id)
            if found is None or found.state is not KeyState.SCRUBBING:
                change.skip = True
            else:
                record = found._replace(state=KeyState.DESTROYED, state_ms=self.clock.now_ms())
                rows.update(record)
        self.changed()
        return self.describe(record)

"""Key slots of an open store: listing, adding, removing, and the new root key (`rekey`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from keystead.access.session import Session
from keystead.crypto.material import KeyMaterial
from keystead.errors import UsageError
from keystead.keys.model import unwrapped, wrapped_under
from keystead.node.node import Node
from keystead.node.root import wrap_audit_key, wrap_integrity_key
from keystead.seal.credential import Credential
from keystead.seal.provider import Slot, make_slot, open_slot, remake_slot, root_check
from keystead.seal.root import wrapping_key
from keystead.seal.slots import SlotInfo, add_slot, describe_slots, find_slot, free_label, remove_slot
from keystead.storage.data_keys import SqliteDataKeys
from keystead.storage.store_row import SqliteSlots, SqliteStoreRow, StoreRow


class SlotManager:
    """The use cases on one node's key slots. Each passes the gate once."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def listing(self, session: Session) -> tuple[SlotInfo, ...]:
        """Every slot, oldest first."""
        with self._node.gate.read(session, "slot:list", "slot/*", "slots_listed"):
            return self._permitted(session, "slot:list", SqliteSlots(self._node.store.read()).all())

    def _permitted(self, session: Session, action: str, slots: list[Slot]) -> tuple[SlotInfo, ...]:
        may = self._node.gate.may
        return describe_slots([slot for slot in slots if may(session, action, f"slot/{slot.id}")])

    def add(self, session: Session, credential: Credential, label: str) -> SlotInfo:
        """Add a slot by which `credential` opens the store; nothing else is rewritten.

        Raises:
            UsageError: a label out of bounds, or a passphrase that is too weak.
            Conflict: the store has a slot of this credential or label, or too many.
        """
        node = self._node
        with node.gate.change(session, "slot:add", "slot/*", "slot_added") as change:
            row = self._node.same_root(change.transaction)
            rows = SqliteSlots(change.transaction)
            label = free_label(rows.all(), label)
            slot = make_slot(
                node.root.root(), credential, store_id=row.store_id.hex(), label=label, now_ms=node.clock.now_ms()
            )
            add_slot(rows.all(), slot)
            rows.insert(slot)
            change.entries[0].target = f"slot/{slot.id}"
        return describe_slots([slot])[0]

    def remove(self, session: Session, which: str) -> SlotInfo:
        """Remove a slot by its id, a unique beginning of it, or its label.

        Raises:
            SlotNotFound, UsageError; KeyStateError for the last slot.
        """
        with self._node.gate.change(session, "slot:remove", "slot/*", "slot_removed") as change:
            self._node.same_root(change.transaction)
            rows = SqliteSlots(change.transaction)
            # Of those that the session may remove: of the others it is told as if they were not there.
            chosen = find_slot(self._permitted(session, "slot:remove", rows.all()), which)
            _, removed = remove_slot(rows.all(), chosen.id)
            rows.delete(removed.id)
            change.entries[0].target = f"slot/{removed.id}"
        self._node.store.checkpoint()
        return describe_slots([removed])[0]

    def rekey(self, session: Session, credentials: Mapping[str, Credential], drop: list[str]) -> tuple[SlotInfo, ...]:
        """Make a new root key and rewrap the data keys under it; no secret is rewritten.

        `credentials` maps a slot's id to what opens it; each slot that is not in `drop` needs one, and must open.

        Raises:
            UsageError: a slot has neither, or none would be left.
            WrongMasterKey, DecryptionError: a credential does not open its slot; nothing was changed.
        """
        node = self._node
        with node.gate.change(session, "root:rekey", "root-key", "root_key_rotated") as change:
            row = self._node.same_root(change.transaction)
            slots = SqliteSlots(change.transaction)
            new_root = KeyMaterial.generate()
            remade = [
                remake_slot(slot, new_root, credential, store_id=row.store_id.hex())
                for slot, credential in self._kept(slots.all(), credentials, drop, row)
            ]
            slots.replace_all(remade)
            self._rewrap(change.transaction, row, new_root)
            change.detail["slots"] = len(remade)
            change.detail["generation"] = row.root_generation + 1
        node.adopt_root(new_root)
        node.store.checkpoint()
        return describe_slots(remade)

    @staticmethod
    def _kept(
        slots: list[Slot], credentials: Mapping[str, Credential], drop: list[str], row: StoreRow
    ) -> list[tuple[Slot, Credential]]:
        dropped = {find_slot(slots, which).id for which in drop}
        kept = []
        for slot in slots:
            if slot.id in dropped:
                continue
            credential = credentials.get(slot.id)
            if credential is None:
                raise UsageError(
                    f"slot {slot.id} ({slot.label}) was neither opened nor dropped",
                    hint="give its master key, passphrase or kit, or drop it by name",
                )
            open_slot(slot, credential, store_id=row.store_id.hex(), root_check=row.root_check).forget()
            kept.append((slot, credential))
        if not kept:
            raise UsageError("no slot would be left to open the store by", hint="keep at least one")
        return kept

    def _rewrap(self, transaction: Any, row: StoreRow, new_root: KeyMaterial) -> None:
        root, keys = self._node.root, SqliteDataKeys(transaction)
        new_wrapping = wrapping_key(new_root).view()
        for record in keys.all():
            if record.wrapped is None:
                continue
            material = unwrapped(record, root.wrapping_key(), row.store_id)
            keys.update(wrapped_under(record, material, new_wrapping, row.store_id))
            material.forget()
        wrapped = (
            wrap_integrity_key(new_root, root.integrity(), row.store_id),
            wrap_audit_key(new_root, root.audit(), row.store_id),
        )
        SqliteStoreRow(transaction).replace_root(row.root_generation + 1, root_check(new_root), wrapped)

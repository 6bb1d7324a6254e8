"""The rules over a store's key slots: which one a credential opens, and what may be added or removed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from keystead.crypto.material import KeyMaterial
from keystead.errors import DecryptionError, IntegrityError, KeyStateError, SlotNotFound, UsageError, WrongMasterKey
from keystead.seal.credential import Credential, credential_fingerprint
from keystead.seal.provider import Slot, open_slot
from keystead.seal.providers.recovery import RecoveryKit

MAX_SLOTS = 16
"""Bounds what a wrong passphrase costs, as each slot of its kind is tried."""

_PREFIX = "slot_"
_WORDS = {"master-key": "master key", "recovery": "recovery kit"}


class OpenedSlot(NamedTuple):
    """The slot that opened, and the root key that it held, which is the caller's to forget."""

    slot: Slot
    root: KeyMaterial


@dataclass(frozen=True, slots=True)
class SlotInfo:
    """One line of `slots list`. `fingerprint` names the credential and is empty for kinds that have none."""

    id: str
    kind: str
    label: str
    created_ms: int
    fingerprint: str


AnySlot = TypeVar("AnySlot", Slot, SlotInfo)


def describe_slots(slots: Sequence[Slot]) -> tuple[SlotInfo, ...]:
    """The slots as people see them, oldest first."""
    ordered = sorted(slots, key=lambda slot: (slot.created_ms, slot.id))
    return tuple(SlotInfo(slot.id, slot.kind, slot.label, slot.created_ms, _named(slot)) for slot in ordered)


def open_any(slots: Sequence[Slot], credential: Credential, *, store_id: str, root_check: bytes) -> OpenedSlot:
    """The root key, by the first slot of the credential's kind that it opens; fingerprints are compared before.

    Nothing is written. A slot that was changed does not keep another one from opening.

    Raises:
        WrongMasterKey: no slot is this credential's; the message names its fingerprint and those of the store.
        IntegrityError: a slot that should have opened was changed, or there are more slots than keystead writes.
    """
    if len(slots) > MAX_SLOTS:
        raise IntegrityError(
            f"store {store_id} has {len(slots)} key slots, and keystead writes at most {MAX_SLOTS}",
            hint="the store's file was changed; restore it from a backup",
        )
    given = credential_fingerprint(credential)
    changed: IntegrityError | None = None
    for slot in slots:
        if slot.kind != credential.kind or (given and _named(slot) and _named(slot) != given):
            continue
        try:
            return OpenedSlot(slot, open_slot(slot, credential, store_id=store_id, root_check=root_check))
        except IntegrityError as error:
            changed = changed or error
        except DecryptionError:
            # with a matching fingerprint the credential is right, so the slot is not
            changed = changed or (_changed(slot) if given and _named(slot) else None)
    if changed is not None:
        raise changed
    raise _wrong(slots, credential, given, store_id)


def add_slot(slots: Sequence[Slot], slot: Slot) -> tuple[Slot, ...]:
    """The slots with one more.

    Raises:
        KeyStateError: there are 16 already; its id or label is taken; a slot has the same fingerprint, so that
            removing one of the two would take nothing from who holds the credential.
    """
    if len(slots) >= MAX_SLOTS:
        raise KeyStateError(
            f"the store has {MAX_SLOTS} key slots, which is the most it can have",
            hint="remove one that is no longer needed: keystead slots remove ID",
        )
    for other in slots:
        if slot.id == other.id or slot.label == other.label:
            raise KeyStateError(
                f"slot {other.id} has the label {other.label} already", hint="give the new slot another label"
            )
        if slot.kind == other.kind and _named(slot) and _named(slot) == _named(other):
            raise KeyStateError(
                f"slot {other.id} ({other.label}) is of the same {_word(slot.kind)} (fingerprint {_named(slot)})",
                hint="one slot is enough for it; give another credential",
            )
    return (*slots, slot)


def remove_slot(slots: Sequence[Slot], which: str) -> tuple[tuple[Slot, ...], Slot]:
    """The slots that stay, and the one that `which` names and that goes.

    Raises:
        SlotNotFound: `which` names none.
        UsageError: `which` fits more than one.
        KeyStateError: it is the last one.
    """
    slot = find_slot(slots, which)
    if len(slots) == 1:
        raise KeyStateError(
            f"slot {slot.id} ({slot.label}) is the last one and cannot be removed",
            why="without a slot nothing in the store could ever be read again",
            hint="add another slot first: keystead slots add",
        )
    return tuple(other for other in slots if other.id != slot.id), slot


def find_slot(slots: Sequence[AnySlot], which: str) -> AnySlot:
    """The slot that `which` names: an id, a label, or the beginning of one id (with or without `slot_`).

    Raises:
        SlotNotFound: it names none.
        UsageError: it fits more than one.
    """
    if not isinstance(which, str):
        raise UsageError("not a key slot's id or label", hint="see `keystead slots list`")
    for exact in ([s for s in slots if s.id == which], [s for s in slots if s.label == which]):
        if len(exact) == 1:
            return exact[0]
    digits = which.removeprefix(_PREFIX)
    fitting = [slot for slot in slots if digits and slot.id.removeprefix(_PREFIX).startswith(digits)]
    if len(fitting) > 1:
        raise UsageError(
            f"{which!r} fits more than one slot: {', '.join(slot.id for slot in fitting)}", hint="give the whole id"
        )
    if not fitting:
        raise SlotNotFound(f"the store has no key slot {which!r}", hint="see `keystead slots list`")
    return fitting[0]


def free_label(slots: Sequence[Slot], wish: str) -> str:
    """`wish`, or where a slot has that label `wish-2`, `wish-3` and so on."""
    taken = {slot.label for slot in slots}
    label, number = wish, 1
    while label in taken:
        number += 1
        label = f"{wish}-{number}"
    return label


def _named(slot: Slot) -> str:
    found = slot.metadata.get("fingerprint", "")
    return found if isinstance(found, str) else ""


def _word(kind: str) -> str:
    return _WORDS.get(kind, kind)


def _changed(slot: Slot) -> IntegrityError:
    return IntegrityError(
        f"slot {slot.id} ({slot.label}) is of this {_word(slot.kind)} and yet does not open: it was changed",
        hint="open by another slot, or restore the store from a backup",
    )


def _wrong(slots: Sequence[Slot], credential: Credential, given: str, store_id: str) -> WrongMasterKey:
    word = _word(credential.kind)
    name = f"the {word} (fingerprint {given})" if given else f"the {word}"
    fitting = [slot for slot in slots if slot.kind == credential.kind]
    known = ", ".join(f"{slot.id} {_named(slot)}".rstrip() for slot in fitting)
    why = f"its slots of that kind are {known}" if known else f"it has no slot of that kind; it has {_kinds(slots)}"
    if isinstance(credential, RecoveryKit) and credential.store_id not in ("", store_id):
        why += f"; the kit names store {credential.store_id}"
    return WrongMasterKey(
        f"{name} opens no key slot of store {store_id}",
        why=why,
        hint="nothing was written; give the credential of one of its slots, as `keystead slots list` showed them",
    )


def _kinds(slots: Sequence[Slot]) -> str:
    return ", ".join(sorted({slot.kind for slot in slots})) or "none at all"

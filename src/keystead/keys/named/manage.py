"""Making named keys and changing them. Each use case passes the gate once, and its change commits with its record."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from keystead.clock import Clock
from keystead.crypto.asymmetric import generate, load_private, normal_material
from keystead.crypto.compact import REFERENCE_LENGTH, SALT_LENGTH
from keystead.crypto.material import random_bytes, zero
from keystead.crypto.purpose import Purpose
from keystead.crypto.types import KeyType
from keystead.errors import (
    AlreadyExists,
    CallerError,
    DataError,
    IntegrityError,
    KeyNotFound,
    KeyStateError,
    KeysteadError,
    UsageError,
)
from keystead.gate import Change, Gate, Session
from keystead.keys.lifecycle import KeyState, require_transition
from keystead.keys.named.form import NewKey, Settings, check_new, configured, key_type
from keystead.keys.named.look import found_or_none, key_info
from keystead.keys.named.model import KeyBinder, KeyHead, KeyInfo, KeyVersionRow, tags_text
from keystead.keys.named.names import check_key_name
from keystead.keys.named.ports import AliasRow, NamedKeyRows
from keystead.keys.named.ring import checked, require_same
from keystead.keys.named.rules import SYMMETRIC, Usage, check_usage, way_on
from keystead.keys.ring import KeyRing

T = TypeVar("T")
DAY_MS: Final = 24 * 3_600_000
WAITING_DAYS: Final = range(7, 31)
MAX_ALIASES: Final = 50
_ROTATED_BY: Final = {
    "imported": "import another version: keystead key import --new-version",
    "generated": "keystead key rotate; only what was imported is rotated by importing",
}


@dataclass(slots=True, eq=False, repr=False)
class NamedKeyManager:
    """The use cases of one node's named keys. `changed` is called after each commit, `scrub` after a destruction;
    `end_grants` removes the grants of a key, by its id, within a change, and says how many there were."""

    gate: Gate[Any]
    ring: KeyRing
    binder: Callable[[], KeyBinder]
    read_rows: Callable[[], NamedKeyRows]
    rows: Callable[[Any], NamedKeyRows]
    clock: Clock
    changed: Callable[[], None]
    scrub: Callable[[], None]
    end_grants: Callable[[Change[Any], str], int]

    # Making

    def create(self, session: Session, name: str, new: NewKey, material: bytearray | None = None) -> KeyInfo:
        """A new key with its first version, of fresh or of imported material, which is zeroed.

        Raises:
            UsageError: a type, usage or combination that is none. AlreadyExists: a key or an alias has this name.
        """
        try:
            return self._create(session, name, new, material)
        finally:
            if material is not None:
                zero(material)

    def _create(self, session: Session, name: str, new: NewKey, material: bytearray | None) -> KeyInfo:
        check_key_name(name)
        kind = key_type(new.type)
        usage = check_usage(kind, new.usage)
        check_new(kind, usage, new)
        if material is not None:
            material = normal_material(kind, material)
        head = self._head(name, kind, usage, new, "imported" if material is not None else "generated")
        facts = {"tags": new.tags}
        self.gate.ahead(session, "key:create", f"key/{name}", facts)
        made = generate(kind) if material is None else material
        try:
            with self.gate.change(session, "key:create", f"key/{name}", "key_created", facts) as change:
                rows = self.rows(change.transaction)
                if rows.head(name) is not None or rows.alias(name) is not None:
                    raise AlreadyExists(f"there is a key or an alias {name}", hint="choose another name, or rotate it")
                rows.add_version(head.key_id, self._version(head, 1, made))
                head = self.binder().sealed(head)
                rows.put(head)
                change.detail.update(
                    type=kind.value, usage=usage.value, origin=head.origin, head=head.digest, version=1
                )
        finally:
            zero(made)
        self.changed()
        return key_info(head, ())

    def _head(self, name: str, kind: KeyType, usage: Usage, new: NewKey, origin: str) -> KeyHead:
        now = self.clock.now_ms()
        return KeyHead(
            name,
            str(uuid.UUID(bytes=random_bytes(16), version=4)),
            kind.value,
            usage.value,
            KeyState.ACTIVE.value,
            origin,
            new.deterministic,
            new.exportable,
            new.description,
            tags_text(new.tags),
            1,
            1,
            1,
            1,
            new.rotation_ms,
            now,
            None,
            now,
            now,
            0,
            b"",
        )

    def _version(self, head: KeyHead, number: int, material: bytearray) -> KeyVersionRow:
        kind = KeyType(head.type)
        public = None
        if kind not in SYMMETRIC and Usage(head.usage) is not Usage.MAC:
            public = load_private(kind, material).public().der
        reference, salt = random_bytes(REFERENCE_LENGTH), random_bytes(SALT_LENGTH)
        row = KeyVersionRow(number, reference, salt, b"", self.clock.now_ms(), public, None, None)
        return self.encrypted(head, row, material)

    def encrypted(self, head: KeyHead, row: KeyVersionRow, material: bytearray) -> KeyVersionRow:
        """The version with its material encrypted under the active data key."""
        record, key = self.ring.storing_key(Purpose.NAMED_KEY)
        row = row._replace(key_reference=record.reference)
        return row._replace(material=key.seal(bytes(material), self.binder().version_aad(head, row)))

    # Changing

    @contextmanager
    def changing(self, session: Session, name: str, action: str, event: str) -> Iterator[_Changing]:
        """A change of one key, found by name or alias: what the block leaves in `head` is what the store has then."""
        check_key_name(name)
        found = found_or_none(self.read_rows(), self.binder(), name)
        target = name if found is None else found.name
        facts = None if found is None else {"tags": found.facts()}
        with self.gate.change(session, action, f"key/{target}", event, facts, asked=name) as change:
            rows = self.rows(change.transaction)
            head = checked(rows, self.binder(), name)
            require_same(name, head, target)
            now = _Changing(rows, head, change)
            yield now
            if now.head is not head:
                sealed = self.binder().sealed(now.head, updated_ms=self.clock.now_ms())
                rows.put(sealed)
                now.head = sealed
            change.detail.setdefault("head", now.head.digest)
        self.changed()

    def configure(self, session: Session, name: str, settings: Settings) -> KeyInfo:
        """Change description, tags, minimum versions or the rotation schedule.

        Raises:
            KeyNotFound; UsageError: a minimum beyond the versions, or that would leave the primary one out.
        """
        with self.changing(session, name, "key:configure", "key_configured") as now:
            require_there(now.head)
            now.head = configured(now.head, settings)
            now.change.detail["fields"] = ",".join(
                field for field, value in zip(Settings._fields, settings, strict=True) if value is not None
            )
        return self._after(now)

    def rotate(self, session: Session, name: str, material: bytearray | None = None, *, due: bool = False) -> KeyInfo:
        """A new primary version, of fresh or of imported material, which is zeroed; earlier ones only open and verify.

        With `due`, nothing happens where somebody else was first.

        Raises:
            KeyNotFound, KeyStateError; UsageError: imported keys are rotated by importing, and others not.
        """
        ahead: dict[str, bytearray] = {}
        try:
            if material is None:
                ahead = self._made_ahead(session, name)
            return self._rotate(session, name, material, ahead, due=due)
        finally:
            for made in (*ahead.values(), *([] if material is None else [material])):
                zero(made)

    def _made_ahead(self, session: Session, name: str) -> dict[str, bytearray]:
        """Fresh material by the id of the key, if that can be rotated, and by this session: an RSA key takes seconds,
        and within the change nobody else could write the store for so long."""
        check_key_name(name)
        head = found_or_none(self.read_rows(), self.binder(), name)
        if head is None or (head.state, head.origin) != (KeyState.ACTIVE, "generated"):
            return {}
        may = self.gate.may(session, "key:rotate", f"key/{head.name}", {"tags": head.facts()})
        return {head.key_id: generate(KeyType(head.type))} if may else {}

    def _rotate(
        self, session: Session, name: str, material: bytearray | None, ahead: dict[str, bytearray], *, due: bool
    ) -> KeyInfo:
        with self.changing(session, name, "key:rotate", "key_rotated") as now:
            head, at = now.head, self.clock.now_ms()
            if due and (head.rotation_ms is None or head.rotated_ms + head.rotation_ms > at):
                now.change.skip = True
            else:
                require_state(head, KeyState.ACTIVE)
                if (head.origin == "imported") is (material is None):
                    raise UsageError(f"the material of key {name} was {head.origin}", hint=_ROTATED_BY[head.origin])
                kind, number = KeyType(head.type), head.latest + 1
                if material is None:
                    made = ahead[head.key_id] if head.key_id in ahead else generate(kind)
                else:
                    made = normal_material(kind, material)
                try:
                    now.rows.add_version(head.key_id, self._version(head, number, made))
                finally:
                    zero(made)
                now.head = head._replace(latest=number, primary=number, rotated_ms=at)
                now.change.detail.update(version=number, reason="schedule" if due else "by hand")
        return self._after(now)

    def suspend(self, session: Session, name: str) -> KeyInfo:
        """Let nobody use a key, until it is resumed."""
        return self._move(session, name, "key:suspend", "key_suspended", KeyState.SUSPENDED)

    def resume(self, session: Session, name: str) -> KeyInfo:
        """Let a suspended key be used again. Raises KeyStateError where its destruction is scheduled."""
        return self._move(session, name, "key:resume", "key_resumed", KeyState.ACTIVE)

    def deactivate(self, session: Session, name: str) -> KeyInfo:
        """Let a key only open and verify, for good."""
        return self._move(session, name, "key:deactivate", "key_deactivated", KeyState.DEACTIVATED)

    def compromised(self, session: Session, name: str) -> KeyInfo:
        """Note that others may have the key: nobody uses it any more, for good."""
        return self._move(session, name, "key:compromised", "key_compromised", KeyState.COMPROMISED)

    def _move(self, session: Session, name: str, action: str, event: str, to: KeyState) -> KeyInfo:
        with self.changing(session, name, action, event) as now:
            if now.head.state == to:
                now.change.detail["changed"] = 0
            else:
                if now.head.destroy_ms is not None:
                    raise KeyStateError(f"the destruction of key {name} is scheduled", hint="cancel it first")
                require_transition(KeyState(now.head.state), to, name)
                now.head = now.head._replace(state=to.value)
        return self._after(now)

    def schedule_destruction(self, session: Session, name: str, days: int) -> KeyInfo:
        """Suspend a key, and destroy it when the waiting period of 7 to 30 days is over."""
        if isinstance(days, bool) or not isinstance(days, int) or days not in WAITING_DAYS:
            raise UsageError("the waiting period is 7 to 30 days")
        with self.changing(session, name, "key:schedule-destruction", "key_destruction_scheduled") as now:
            require_there(now.head)
            if now.head.destroy_ms is not None:
                raise KeyStateError(f"the destruction of key {name} is scheduled already", hint="cancel it first")
            state = KeyState.SUSPENDED if now.head.state == KeyState.ACTIVE else KeyState(now.head.state)
            now.head = now.head._replace(state=state.value, destroy_ms=self.clock.now_ms() + days * DAY_MS)
            now.change.detail["days"] = days
        return self._after(now)

    def cancel_destruction(self, session: Session, name: str) -> KeyInfo:
        """Call a scheduled destruction off; a key that was active stays suspended until it is resumed."""
        with self.changing(session, name, "key:cancel-destruction", "key_destruction_cancelled") as now:
            require_there(now.head)
            if now.head.destroy_ms is None:
                raise KeyStateError(f"no destruction of key {name} is scheduled", hint=f"keystead key show {name}")
            now.head = now.head._replace(destroy_ms=None)
        return self._after(now)

    def destroy(self, session: Session, name: str, *, due: bool = False) -> KeyInfo:
        """Destroy every version of a key. There is no undo, and its name is not given again.

        With `due`, nothing happens where its time is not over.

        Raises:
            KeyNotFound; KeyStateError: it is active: suspend it first, or schedule the destruction.
        """
        with self.changing(session, name, "key:destroy", "key_destroyed") as now:
            head, at = now.head, self.clock.now_ms()
            if due and (head.destroy_ms is None or head.destroy_ms > at or head.state == KeyState.DESTROYED):
                now.change.skip = True
            else:
                require_there(head)
                if head.state == KeyState.ACTIVE:
                    raise KeyStateError(f"key {name} is active", hint="suspend it first, or schedule its destruction")
                now.rows.destroy_versions(head.key_id, None, at)
                now.head = head._replace(state=KeyState.DESTROYED.value, destroy_ms=None, rotation_ms=None)
                now.change.detail.update(through=head.latest, grants=self.end_grants(now.change, head.key_id))
        self.scrub()
        return self._after(now)

    def _after(self, now: _Changing) -> KeyInfo:
        return key_info(now.head, tuple(self.read_rows().aliases(now.head.key_id)))

    # Aliases

    def set_alias(self, session: Session, alias: str, name: str) -> KeyInfo:
        """Let another name stand for a key; one that stands for a key of the same type and usage moves.

        It takes the right on the key, on the name that becomes its alias, and on the key that loses it.

        Raises:
            AlreadyExists: a key has this name. UsageError: the alias stands for a key of another kind.
        """
        check_key_name(alias)
        loser = self._admit_alias(session, alias)
        with self.changing(session, name, "key:alias", "key_alias_set") as now:
            require_there(now.head)
            if now.rows.head(alias) is not None:
                raise AlreadyExists(f"there is a key {alias}", hint="an alias needs a name of its own")
            former = now.rows.alias(alias)
            held = None if former is None else now.rows.by_id(former.key_id)
            if held is not None:
                require_same(alias, held, loser)
            if held is not None and (held.type, held.usage) != (now.head.type, now.head.usage):
                raise UsageError(f"alias {alias} stands for a key of another type or usage", hint="remove it first")
            if (held is None or held.key_id != now.head.key_id) and len(
                now.rows.aliases(now.head.key_id)
            ) >= MAX_ALIASES:
                raise UsageError(f"a key has at most {MAX_ALIASES} aliases")
            mac = self.binder().alias_mac(alias, now.head.key_id)
            now.rows.put_alias(AliasRow(alias, now.head.key_id, mac))
            now.change.detail.update(alias=alias, alias_digest=mac[:16].hex())
        return self._after(now)

    def _admit_alias(self, session: Session, alias: str) -> str:
        """The key that an alias stands for, "" for none, once the session may take the name and take it from there."""
        self.gate.admit(session, "key:alias", f"key/{alias}")
        try:
            former = checked(self.read_rows(), self.binder(), alias)
        except KeyNotFound:
            return ""
        except IntegrityError as error:
            self.gate.failed(session, f"key/{alias}", "key_alias_set", error)
            raise
        if former.name == alias:
            return ""
        self.gate.admit(session, "key:alias", f"key/{former.name}", {"tags": former.facts()}, asked=alias)
        return former.name

    def remove_alias(self, session: Session, alias: str) -> KeyInfo:
        """Take an alias away; the key stays. Raises KeyNotFound where there is no such alias."""
        with self.changing(session, alias, "key:alias", "key_alias_removed") as now:
            if now.rows.alias(alias) is None:
                raise KeyNotFound(f"{alias} is a key, and no alias", hint="keystead key show lists its aliases")
            now.rows.remove_alias(alias)
            now.change.detail.update(alias=alias, alias_digest="")
        return self._after(now)

    # By itself

    def maintain(self, session: Session) -> None:
        """Rotate and destroy what is due. A key that fails keeps no other waiting; the first error is raised then."""
        now = self.clock.now_ms()
        first: KeysteadError | None = None
        rows = self.read_rows()
        for name in rows.due(now):
            try:
                head = checked(rows, self.binder(), name)
                if head.destroy_ms is not None and head.destroy_ms <= now:
                    self.destroy(session, head.name, due=True)
                else:
                    self.rotate(session, head.name, due=True)
            except (CallerError, DataError) as error:
                first = error if first is None else first
        if first is not None:
            raise first


@dataclass(slots=True, eq=False, repr=False)
class _Changing:
    rows: NamedKeyRows
    head: KeyHead
    change: Change[Any]


def require_there(head: KeyHead) -> None:
    """Nothing, unless the key was destroyed. Raises KeyStateError."""
    if head.state == KeyState.DESTROYED:
        raise KeyStateError(f"key {head.name} was destroyed", hint="create a key of another name")


def require_state(head: KeyHead, *states: KeyState) -> None:
    """Nothing, where the key is in one of these states. Raises KeyStateError."""
    require_there(head)
    if head.state not in states:
        needed = " or ".join(states)
        hint = way_on(KeyState(head.state))
        raise KeyStateError(f"key {head.name} is {head.state}, and must be {needed} for that", hint=hint)

"""The sweeper: records that versions expired, and destroys them a while later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from keystead.clock import Clock
from keystead.errors import IntegrityError
from keystead.gate import Change, Gate, Session
from keystead.secrets.labels import DEFAULT_JUMP_LIMIT_MS, is_destroy_due, is_expired
from keystead.secrets.model import Binder, Head, VersionRow
from keystead.secrets.ports import SecretRows

BATCH: Final = 200


@dataclass(slots=True, eq=False, repr=False)
class Sweeper:
    """The sweeper of one node; reading enforces expiry without it. `destroy_after_ms` is the time until destruction."""

    gate: Gate[Any]
    binder: Callable[[], Binder]
    read_rows: Callable[[], SecretRows]
    rows: Callable[[Any], SecretRows]
    clock: Clock
    destroy_after_ms: int
    changed: Callable[[list[str]], None]
    scrub: Callable[[], None]
    _told: set[str] = field(default_factory=set)

    def is_due(self) -> bool:
        """Whether a sweep would find something."""
        now = self.clock.now_ms()
        rows = self.read_rows()
        return bool(rows.newly_expired(now, 1) or rows.destroyable(now - self.destroy_after_ms, 1))

    def sweep(self, session: Session) -> tuple[int, int]:
        """Record what expired and destroy what is due, a bounded batch each; how many of both.

        After a jump of the clock nothing is: what reads as expired may be so only for a clock that was set wrong. A
        record that was edited is left alone, told once by a process, and keeps no other from its end.
        """
        if self._jumped():
            return 0, 0
        now = self.clock.now_ms()
        expired = self.read_rows().newly_expired(now, BATCH)
        if expired:
            self._record(session, expired, now)
        due = self.read_rows().destroyable(now - self.destroy_after_ms, BATCH)
        if due:
            self._destroy(session, due, now)
        return len(expired), len(due)

    def expire(self, session: Session, name: str) -> None:
        """Record that one secret has expired, if nobody has and the clock did not jump."""
        if not self._jumped():
            self._record(session, [name], self.clock.now_ms())

    def _jumped(self) -> bool:
        return self.clock.ahead_ms() > DEFAULT_JUMP_LIMIT_MS

    def _record(self, session: Session, names: list[str], now: int) -> None:
        edited: dict[str, IntegrityError] = {}
        with self.gate.change(session, "secret:write", "secret/*", "secret_expired") as change:
            rows = self.rows(change.transaction)
            change.skip = True
            for name in names:
                head = self._checked(rows, name, edited)
                if head is None or head.expired_ms is not None or not is_expired(head.expires_ms, now):
                    continue
                sealed = self.binder().sealed(head, expired_ms=now)
                rows.put(sealed)
                self._note(change, "secret_expired", sealed, sealed.current or 0)
        self.changed(names)
        self._tell(session, "secret_expired", edited)

    def _destroy(self, session: Session, due: list[tuple[str, int]], now: int) -> None:
        edited: dict[str, IntegrityError] = {}
        with self.gate.change(session, "secret:destroy", "secret/*", "secret_destroyed") as change:
            rows = self.rows(change.transaction)
            change.skip = True
            for name, version in due:
                head = self._checked(rows, name, edited)
                row = None if head is None else self._version(rows, name, version, edited)
                if head is None or row is None or row.ciphertext is None:
                    continue
                ahead, after = self.clock.ahead_ms(), self.destroy_after_ms
                if not is_destroy_due(_ended_ms(head, row), now, ahead_ms=ahead, destroy_after_ms=after):
                    continue
                rows.destroy_version(name, version, now)
                sealed = self.binder().sealed(head, updated_ms=now)
                rows.put(sealed)
                self._note(change, "secret_destroyed", sealed, version)
        self.changed([name for name, _ in due])
        self._tell(session, "secret_destroyed", edited)
        self.scrub()

    def _checked(self, rows: SecretRows, name: str, edited: dict[str, IntegrityError]) -> Head | None:
        head = rows.head(name)
        try:
            return None if head is None else self.binder().check(head)
        except IntegrityError as error:
            edited[name] = error
            return None

    @staticmethod
    def _version(rows: SecretRows, name: str, version: int, edited: dict[str, IntegrityError]) -> VersionRow | None:
        try:
            return rows.version(name, version)
        except IntegrityError as error:
            edited[name] = error
            return None

    def _tell(self, session: Session, event: str, edited: dict[str, IntegrityError]) -> None:
        for name in edited.keys() - self._told:
            self._told.add(name)
            self.gate.failed(session, f"secret/{name}", event, edited[name])

    @staticmethod
    def _note(change: Change[Any], event: str, head: Head, version: int) -> None:
        target = f"secret/{head.name}"
        if change.skip:
            change.skip = False
            change.entries[0].target = target
            change.detail["version"], change.detail["head"] = version, head.digest
        else:
            change.also(event, target, version=version, head=head.digest)


def _ended_ms(head: Head, row: VersionRow) -> int | None:
    """From when the time until destruction runs. A current version's begins when its end was recorded: a process that
    starts under a clock set wrong sees no jump, and must not destroy at once what expired for that clock only."""
    if row.expires_ms is None or not head.is_current(row.version):
        return row.expires_ms
    recorded = head.expired_ms if head.deleted_ms is None else head.deleted_ms
    return None if recorded is None else max(recorded, row.expires_ms)

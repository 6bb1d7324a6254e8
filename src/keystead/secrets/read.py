"""Reading secrets: one, many, a listing, the history of one. Each use case passes the gate once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from keystead.clock import Clock
from keystead.crypto.purpose import Purpose
from keystead.errors import (
    CallerError,
    DecryptionError,
    IntegrityError,
    KeyStateError,
    KeysteadError,
    SecretNotFound,
    UsageError,
)
from keystead.gate import Entry, Gate, Session, missing
from keystead.keys.ring import KeyRing
from keystead.secrets.facts import SecretFacts
from keystead.secrets.labels import is_expired, resolve_version
from keystead.secrets.model import (
    Binder,
    Head,
    SecretInfo,
    VersionInfo,
    VersionRow,
    info,
    require_live,
    require_readable,
    tags_of,
)
from keystead.secrets.names import Reference, check_name, check_prefix, check_tags, choose
from keystead.secrets.ports import Filter, SecretRows
from keystead.secrets.value import SecretValue

MAX_PAGE = 1000
_NUMBER = re.compile("[0-9]{1,10}")


def check_limit(limit: int) -> None:
    """Return if a page may have so many items.

    Raises:
        UsageError: it may not.
    """
    if type(limit) is not int or not 1 <= limit <= MAX_PAGE:
        raise UsageError(f"limit must be 1 to {MAX_PAGE}")


class Found(NamedTuple):
    """A value read, and until when it may be served (ms since the epoch; None: no end of its own)."""

    value: SecretValue
    until_ms: int | None


@dataclass(slots=True, eq=False, repr=False)
class SecretReader:
    """The reading use cases of one node's secrets. `expire` is called for a name found expired and not recorded."""

    gate: Gate[Any]
    ring: KeyRing
    binder: Callable[[], Binder]
    rows: Callable[[], SecretRows]
    clock: Clock
    expire: Callable[[str], None]

    def facts(self, name: str) -> SecretFacts:
        """What a policy may ask about a secret."""
        return SecretFacts(name, self.rows, self.binder)

    def get(self, session: Session, name: str, version: int | None, label: str | None) -> Found:
        """The value of a secret: its current version, or the one of a number or label, beside the name or in it.

        Raises:
            SecretNotFound, SecretExpired, SecretDeleted, IntegrityError, KeyStateError.
        """
        name, version, label = choose(name, version, label)
        with self.gate.read(session, "secret:read", f"secret/{name}", "secret_retrieved", self.facts(name)) as detail:
            rows = self.rows()
            both = rows.current(name)
            if both is None:
                raise missing("secret", name)
            found = self._open(rows, *both, version, label)
            detail["version"] = found.value.version
            return found

    def get_many(
        self, session: Session, references: Iterable[Reference], *, quiet: bool = False
    ) -> dict[Reference, Found | KeysteadError]:
        """The values of many secrets in one query, each with a record of its own; failures stand beside the values.

        With `quiet` a name that the store never held is no failure; all of them have one record together.
        """
        wanted = list(dict.fromkeys(references))
        rows = self.rows()
        heads = {both[0].name: both for both in rows.currents(sorted({reference.name for reference in wanted}))}
        answers: dict[Reference, Found | KeysteadError] = {}
        absent: list[str] = []
        for reference in wanted:
            resource, facts = f"secret/{reference.name}", self.facts(reference.name)
            try:
                if quiet and reference.name not in heads:
                    self.gate.admit(session, "secret:read", resource, facts)
                    absent.append(reference.name)
                    answers[reference] = missing("secret", reference.name)
                    continue
                with self.gate.read(session, "secret:read", resource, "secret_retrieved", facts) as detail:
                    both = heads.get(reference.name)
                    if both is None:
                        raise missing("secret", reference.name)
                    found = self._open(rows, *both, reference.version, reference.label)
                    detail["version"] = found.value.version
                    answers[reference] = found
            except (CallerError, IntegrityError, DecryptionError, KeyStateError) as error:
                answers[reference] = error
        self._note_absent(session, absent)
        return answers

    def _note_absent(self, session: Session, names: list[str]) -> None:
        if names:
            detail: dict[str, str | int] = {"absent": len(names), "names": ",".join(names)}
            self.gate.recorder.append(
                Entry(session.id, str(session.principal), "secrets_listed", "secret/*", detail=detail)
            )

    def _open(
        self, rows: SecretRows, head: Head, current: VersionRow | None, version: int | None, label: str | None
    ) -> Found:
        try:
            return self._open_typed(rows, head, current, version, label)
        except (TypeError, AttributeError) as error:
            # SQLite keeps any type in any column; whoever can write the file may use that.
            raise _not_ours(head, version or head.latest) from error

    def _open_typed(
        self, rows: SecretRows, head: Head, current: VersionRow | None, version: int | None, label: str | None
    ) -> Found:
        self.binder().check(head)
        require_readable(head)
        now = self.clock.now_ms()
        row, ends = current, None
        if version is not None or label is not None or row is None or not head.is_current(row.version):
            labels = head.where()
            number = resolve_version(head.name, labels, now, version=version, label=label)
            row = rows.version(head.name, number)
            if row is None and 1 <= number <= head.latest:
                # Versions are destroyed and never removed, so this is no answer that a default may stand in for.
                raise _not_ours(head, number)
            if row is None:
                raise SecretNotFound(
                    f"secret {head.name} has no version {number}", hint=f"keystead history {head.name}"
                )
            ends = labels.previous_until_ms if label == "previous" else None
        if is_expired(row.expires_ms, now):
            if row.ciphertext is not None:
                self._decrypt(head, row)  # an expiry is believed only of a row that is authentic
            if head.expired_ms is None and head.is_current(row.version):
                self.expire(head.name)
        require_live(head, row, now)
        until = row.expires_ms if ends is None else min(row.expires_ms or ends, ends)
        return Found(self._decrypt(head, row), until)

    def _decrypt(self, head: Head, row: VersionRow) -> SecretValue:
        blob = row.ciphertext or b""
        if blob[4:12] != row.key_reference or row.destroyed_ms is not None:
            raise _not_ours(head, row.version)
        try:
            data = self.ring.open_stored(blob, self.binder().version_aad(head, row), Purpose.SECRET)
        except DecryptionError:
            raise _not_ours(head, row.version) from None
        if row.encoding == "text":
            return SecretValue(data.decode(), name=head.name, version=row.version)
        return SecretValue(data, name=head.name, version=row.version)

    def held(self, name: str) -> bool:
        """Whether the store has ever held this name, tombstones included."""
        return self.rows().head(name) is not None

    def check(self, name: str) -> None:
        """Return if the head of a secret and all of its versions are what keystead wrote, or there is no such secret.

        Raises:
            IntegrityError: naming the first that is not.
        """
        rows = self.rows()
        head = rows.head(name)
        if head is None:
            return
        self.binder().check(head)
        for number in range(1, head.latest + 1):
            row = rows.version(name, number)
            if row is None or not self._is_whole(head, row):
                raise _not_ours(head, number)

    def _is_whole(self, head: Head, row: VersionRow) -> bool:
        if row.ciphertext is None:
            return row.destroyed_ms is not None
        try:
            self._decrypt(head, row)
        except KeyStateError:
            return not self.ring.is_ended(row.key_reference)
        return True

    def page(
        self, session: Session, chosen: Filter, limit: int, after: str | None
    ) -> tuple[list[SecretInfo], str | None]:
        """A page of secrets in the order of their names, and the name to go on from, if more follow."""
        check_limit(limit)
        check_prefix(chosen.prefix)
        check_tags(chosen.tags)
        if chosen.expired not in (None, True, False):
            raise UsageError("expired must be True, False or None")
        if after is not None:
            check_name(after)
        with self.gate.read(session, "secret:list", f"secret/{chosen.prefix}*", "secrets_listed") as detail:
            items = list(islice(self._listed(session, chosen, limit + 1, after), limit + 1))
            detail["count"] = min(len(items), limit)
            return items[:limit], items[limit - 1].name if len(items) > limit else None

    def _listed(self, session: Session, chosen: Filter, count: int, after: str | None) -> Iterator[SecretInfo]:
        """The secrets of a listing, without those that the session may not list: it is not to learn of them."""
        now, rows, binder = self.clock.now_ms(), self.rows(), self.binder()
        while True:
            found = rows.page(chosen, now, count, after)
            for head, gone in found:
                after = binder.check(head).name
                if self.gate.may(session, "secret:list", f"secret/{after}", {"tags": tags_of(head)}):
                    yield info(head, now, value_gone=gone)
            if len(found) < count:
                return

    def history(
        self, session: Session, name: str, limit: int, after: str | None
    ) -> tuple[list[VersionInfo], str | None]:
        """A page of the versions of a secret, oldest first, and the number to go on from, if more follow."""
        check_name(name)
        check_limit(limit)
        if after is not None and not (isinstance(after, str) and _NUMBER.fullmatch(after)):
            raise UsageError("after is not the number of a version", hint="give what a page had as next")
        with self.gate.read(session, "secret:list", f"secret/{name}", "secrets_listed", self.facts(name)):
            rows = self.rows()
            head = rows.head(name)
            if head is None:
                raise missing("secret", name)
            self.binder().check(head)
            now = self.clock.now_ms()
            found = rows.versions(name, int(after or 0), limit + 1)
            items = [self._version_info(head, row, now) for row in found[:limit]]
            return items, str(items[-1].version) if len(found) > limit else None

    def _version_info(self, head: Head, row: VersionRow, now: int) -> VersionInfo:
        where = head.where()
        ended = where.previous_until_ms is not None and now >= where.previous_until_ms
        pointing = {"current": where.current, "previous": None if ended else where.previous, "pending": where.pending}
        labels = tuple(label for label, version in pointing.items() if version == row.version)
        state = "live"
        if row.ciphertext is None:
            state = "destroyed"
        elif head.deleted_ms is not None:
            state = "deleted"
        elif is_expired(row.expires_ms, now):
            state = "expired"
        try:
            key_id = self.ring.by_reference(row.key_reference).key_id
        except KeysteadError:
            key_id = "?"
        return VersionInfo(row.version, labels, row.created_ms, row.expires_ms, key_id, state)  # type: ignore[arg-type]


def _not_ours(head: Head, version: int) -> IntegrityError:
    return IntegrityError(
        f"the value of secret {head.name}#{version} is not what keystead wrote there",
        hint="`keystead audit verify` says what was recorded; restore a backup elsewhere and compare",
    )

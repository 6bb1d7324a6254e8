"""Grants on named keys: making, looking at, revoking and retiring them. Each use case passes the gate once.

Who may create grants by a policy may grant any operation of the key. Who may by a grant gives on no more than that one
holds: the engine decides so, since it is told of the grant that is wanted (`keystead.access.grants`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, NamedTuple

from keystead.access.binding import IdentityBinder
from keystead.access.grants import MANAGING, GrantInfo, GrantRecord, info_of
from keystead.access.ports import GrantRows
from keystead.access.words import check_principal
from keystead.clock import Clock
from keystead.crypto.material import random_bytes
from keystead.crypto.types import KeyType
from keystead.errors import GrantNotFound, UsageError
from keystead.gate import Change, Gate, Session
from keystead.keys.lifecycle import KeyState
from keystead.keys.named.look import found_or_none
from keystead.keys.named.manage import require_state
from keystead.keys.named.model import KeyBinder, KeyHead
from keystead.keys.named.names import check_key_name
from keystead.keys.named.ports import NamedKeyRows
from keystead.keys.named.ring import checked, require_same
from keystead.keys.named.rules import SYMMETRIC, Operation, Usage, operations

MAX_GRANTS: Final = 1000
"""Grants of one key."""
MAX_PAIRS: Final = 8
"""Pairs of one constraint."""
MAX_TEXT: Final = 384
SWEPT: Final = 500
"""Grants that are removed in one transaction at most, once their time is over."""
_ID: Final = re.compile(r"grt_[0-9a-f]{32}")
_NAME: Final = re.compile(r"[A-Za-z0-9:/_-]{1,256}", re.ASCII)


class NewGrant(NamedTuple):
    """What a grant is to be; `ttl_ms` None: it does not end by itself."""

    grantee: str
    operations: Iterable[str]
    retiring: str | None = None
    name: str | None = None
    context_equals: Mapping[str, str] | None = None
    context_subset: Mapping[str, str] | None = None
    ttl_ms: int | None = None


class KeptGrants(NamedTuple):
    """Where the grants of a store are, and what binds them to it."""

    binder: Callable[[], IdentityBinder]
    read_rows: Callable[[], GrantRows]
    rows: Callable[[Any], GrantRows]


class KeptHeads(NamedTuple):
    """The same of named keys."""

    binder: Callable[[], KeyBinder]
    read_rows: Callable[[], NamedKeyRows]
    rows: Callable[[Any], NamedKeyRows]


class Which(NamedTuple):
    """Which grants a listing is of: of a key, to a grantee, with a retiring principal; all that is given holds."""

    key: str | None = None
    grantee: str | None = None
    retiring: str | None = None


def grantable(kind: KeyType, usage: Usage) -> frozenset[str]:
    """What can be granted on a key of this type and usage: what it can do, and managing the grant.

    Export is left out: material that was taken out is not given back when a grant ends.
    """
    return frozenset(map(str, operations(kind, usage) - {Operation.EXPORT})) | set(MANAGING)


def check_grant_id(grant_id: str) -> str:
    """The id itself, if it has the form of one. Raises UsageError."""
    if not isinstance(grant_id, str) or not _ID.fullmatch(grant_id):
        raise UsageError("not the id of a grant", hint="ids are grt_ and 32 hex digits")
    return grant_id


@dataclass(slots=True, eq=False, repr=False)
class GrantManager:
    """The use cases on the grants of one store. `changed` is called after each commit."""

    gate: Gate[Any]
    kept: KeptGrants
    heads: KeptHeads
    clock: Clock
    changed: Callable[[], None]

    def create(self, session: Session, key: str, new: NewGrant) -> GrantInfo:
        """A grant; one with a name and the same in everything is given back as it is, and not made again.

        Raises:
            KeyNotFound; KeyStateError: the key is neither active nor deactivated; UsageError: an operation that its
            type cannot do, a constraint where there is no encryption context, too many grants. Denied.
        """
        record = self._form(session, new)
        with self._changing(session, key, "key:create-grant", "grant_created", record) as (head, rows, change):
            require_state(head, KeyState.ACTIVE, KeyState.DEACTIVATED)
            _check_fits(head, record)
            wanted = record._replace(key_id=head.key_id)
            found = self._same(rows, wanted)
            if found is None:
                self._require_room(rows, head, change)
                found = self.kept.binder().bound(wanted)
                rows.insert(found)
            else:
                change.detail["changed"] = 0
            _note(change, found, found.digest)
        self.changed()
        return info_of(found, head.name)

    def _form(self, session: Session, new: NewGrant) -> GrantRecord:
        """What is wanted, all of its form checked, still without key and MAC. Raises UsageError."""
        now = self.clock.now_ms()
        if new.name is not None and not (isinstance(new.name, str) and _NAME.fullmatch(new.name)):
            raise UsageError("not the name of a grant", hint="use 1 to 256 of the characters A-Z a-z 0-9 : / _ -")
        if new.ttl_ms is not None and new.ttl_ms < 1:
            raise UsageError("a grant lasts for some time, or leave its length out")
        return GrantRecord(
            f"grt_{random_bytes(16).hex()}",
            "",
            check_principal(new.grantee),
            None if new.retiring is None else check_principal(new.retiring),
            _operations(new.operations),
            new.name,
            _constraint(new.context_equals, "context_equals"),
            _constraint(new.context_subset, "context_subset"),
            str(session.principal),
            now,
            None if new.ttl_ms is None else now + new.ttl_ms,
        )

    def _require_room(self, rows: GrantRows, head: KeyHead, change: Change[Any]) -> None:
        """Nothing, where the key may have one more; those whose time is over make room. Raises UsageError."""
        there = rows.of_key(head.key_id)
        if len(there) < MAX_GRANTS:
            return
        # Not what is over only for a clock that was set wrong.
        now = self.clock.now_ms() - self.clock.ahead_ms()
        over = [row for row in there if row.expires_ms is not None and row.expires_ms <= now]
        if not end_all(rows, change, over):
            raise UsageError(f"a key has at most {MAX_GRANTS} grants", hint="revoke some, or write a policy")

    def _same(self, rows: GrantRows, wanted: GrantRecord) -> GrantRecord | None:
        if wanted.name is None:
            return None
        binder = self.kept.binder()
        alike = (row for row in rows.of_key(wanted.key_id, wanted.grantee) if row.content() == wanted.content())
        return next((row for row in alike if binder.is_authentic(row)), None)

    def get(self, session: Session, key: str, grant_id: str) -> GrantInfo:
        """A grant; its grantee and its retiring principal may look at it too.

        Raises:
            KeyNotFound, GrantNotFound; IntegrityError where it is not what keystead wrote.
        """
        check_grant_id(grant_id)
        target, facts = self._known(key, self._stored(grant_id))
        with self.gate.read(session, "key:list-grants", f"key/{target}", "grant_read", facts, asked=key) as detail:
            detail["grant"] = grant_id
            head = self._same_key(self.heads.read_rows(), key, target)
            row = _present(self.kept.read_rows().get(grant_id), head, grant_id)
            return info_of(_check(row, self.kept.binder()), head.name)

    def page(self, session: Session, which: Which, limit: int, after: str | None) -> tuple[list[GrantInfo], str | None]:
        """A page of the grants that the session may see, in the order of their ids, and the id to go on from.

        Who asks for grants to itself, or that it may retire, needs no policy for that; of a key, where there is one.

        Raises:
            KeyNotFound; UsageError: no key and no principal. IntegrityError: one was edited.
        """
        if after is not None:
            check_grant_id(after)
        if which == Which():
            raise UsageError("name a key or a principal", hint="list grants by key, grantee or retiring principal")
        principals = {"grantee": which.grantee, "retiring": which.retiring}
        own = {name: check_principal(text) for name, text in principals.items() if text is not None}
        target, facts = "*", dict[str, Mapping[str, str]](grant=own)
        if which.key is not None:
            # Of one key only a grant that is there counts as its own, or whoever asked would learn of every key.
            target, facts = self._known(which.key, self._first(which) if own else None)
        asked = which.key or ""
        with self.gate.read(session, "key:list-grants", f"key/{target}", "grants_listed", facts, asked=asked) as detail:
            head = None if which.key is None else self._same_key(self.heads.read_rows(), which.key, target)
            found = list(islice(self._seen(session, which, head, limit + 1, after or ""), limit + 1))
            detail["count"] = min(len(found), limit)
        return found[:limit], found[limit - 1].id if len(found) > limit else None

    def _seen(
        self, session: Session, which: Which, head: KeyHead | None, count: int, after: str
    ) -> Iterator[GrantInfo]:
        rows, heads = self.kept.read_rows(), self.heads.read_rows()
        grant_binder, key_binder = self.kept.binder(), self.heads.binder()
        while page := rows.page(count, after, (head and head.key_id, which.grantee, which.retiring)):
            for row in page:
                after = row.grant_id
                _check(row, grant_binder)
                of_row = head or heads.by_id(row.key_id)
                if of_row is None:
                    continue
                facts = {"tags": key_binder.check(of_row).facts(), "grant": row.facts()}
                if self.gate.may(session, "key:list-grants", f"key/{of_row.name}", facts):
                    yield info_of(row, of_row.name)

    def _first(self, which: Which) -> GrantRecord | None:
        """The first grant of a key that a listing is of; None where there is none, or no such key."""
        head = found_or_none(self.heads.read_rows(), self.heads.binder(), check_key_name(which.key or ""))
        if head is None:
            return None
        found = self.kept.read_rows().page(MAX_GRANTS, "", (head.key_id, which.grantee, which.retiring))
        binder = self.kept.binder()
        return next((row for row in found if binder.is_authentic(row)), None)

    def revoke(self, session: Session, key: str, grant_id: str) -> None:
        """End a grant, also one that was edited. Raises KeyNotFound, GrantNotFound."""
        self._end(session, key, grant_id, ("key:revoke-grant", "grant_revoked"))

    def retire(self, session: Session, key: str, grant_id: str) -> None:
        """End a grant, as its retiring principal, or as its grantee where it grants that.

        Raises:
            KeyNotFound, GrantNotFound, Denied.
        """
        self._end(session, key, grant_id, ("key:retire-grant", "grant_retired"))

    def _end(self, session: Session, key: str, grant_id: str, how: tuple[str, str]) -> None:
        about = self._stored(check_grant_id(grant_id))
        with self._changing(session, key, *how, about) as (head, rows, change):
            row = _present(rows.get(grant_id), head, grant_id)
            rows.delete(grant_id)
            _note(change, row, "")
        self.changed()

    # By itself

    def sweep(self, session: Session, before_ms: int) -> None:
        """Remove a bounded batch of the grants whose time was over before a moment."""
        with self.gate.change(session, "key:revoke-grant", "key/*", "grant_ended") as change:
            rows = self.kept.rows(change.transaction)
            ended = rows.ended_before(before_ms, SWEPT)
            change.skip = not ended
            change.detail["grants"] = end_all(rows, change, ended)
        self.changed()

    # What is there

    @contextmanager
    def _changing(
        self, session: Session, key: str, action: str, event: str, about: GrantRecord | None
    ) -> Iterator[tuple[KeyHead, GrantRows, Change[Any]]]:
        target, facts = self._known(key, about)
        with self.gate.change(session, action, f"key/{target}", event, facts, asked=key) as change:
            head = self._same_key(self.heads.rows(change.transaction), key, target)
            change.detail.update(key=head.name, key_id=head.key_id)
            yield head, self.kept.rows(change.transaction), change

    def _known(self, key: str, about: GrantRecord | None) -> tuple[str, dict[str, Mapping[str, str]]]:
        """The key's own name, and what a policy may ask of it and of the grant that the call is about."""
        found = found_or_none(self.heads.read_rows(), self.heads.binder(), check_key_name(key))
        facts: dict[str, Mapping[str, str]] = {} if found is None else {"tags": found.facts()}
        if about is not None and found is not None and about.key_id in ("", found.key_id):
            facts["grant"] = about.facts()
        return (key if found is None else found.name), facts

    def _same_key(self, rows: NamedKeyRows, key: str, authorized: str) -> KeyHead:
        head = checked(rows, self.heads.binder(), key)
        require_same(key, head, authorized)
        return head

    def _stored(self, grant_id: str) -> GrantRecord | None:
        """The record of a grant, for deciding; None where keystead did not write it."""
        row = self.kept.read_rows().get(grant_id)
        return row if row is not None and self.kept.binder().is_authentic(row) else None


def end_all(rows: GrantRows, change: Change[Any], ended: Iterable[GrantRecord]) -> int:
    """Remove grants, with a record each, which tells that they are to stay away; how many there were."""
    count = 0
    for row in ended:
        rows.delete(row.grant_id)
        change.also("grant_ended", f"grant/{row.grant_id}", key_id=row.key_id, grantee=row.grantee, head="")
        count += 1
    return count


def _check(row: GrantRecord, binder: IdentityBinder) -> GrantRecord:
    return binder.check(row, f"grant {row.grant_id}")


def _note(change: Change[Any], record: GrantRecord, digest: str) -> None:
    change.entries[0].target = f"grant/{record.grant_id}"
    change.detail.update(grantee=record.grantee, operations=record.operations, head=digest)


def _present(row: GrantRecord | None, head: KeyHead, grant_id: str) -> GrantRecord:
    if row is None or row.key_id != head.key_id:
        raise GrantNotFound(f"key {head.name} has no grant {grant_id}", hint=f"keystead grant list {head.name}")
    return row


def _operations(given: Iterable[str]) -> str:
    found = [] if isinstance(given, str) or not isinstance(given, Iterable) else list(given)
    known = {*map(str, Operation), *MANAGING} - {Operation.EXPORT.value}
    if not found or not all(isinstance(one, str) and one in known for one in found):
        what = (
            "one of these is not an operation that can be granted" if found else "operations are a list of at least one"
        )
        raise UsageError(what, hint=f"there are {', '.join(sorted(known))}")
    return json.dumps(sorted(set(map(str, found))), separators=(",", ":"))


def _constraint(given: Mapping[str, str] | None, what: str) -> str | None:
    if given is None:
        return None
    texts = [text for pair in given.items() for text in pair] if isinstance(given, Mapping) else []
    fits = all(isinstance(text, str) and text.isprintable() and len(text) <= MAX_TEXT for text in texts)
    if not fits or not 2 <= len(texts) <= 2 * MAX_PAIRS:
        raise UsageError(
            f"{what} is a mapping of 1 to {MAX_PAIRS} names to values",
            hint=f"each of at most {MAX_TEXT} printable characters",
        )
    return json.dumps(dict(sorted(given.items())), separators=(",", ":"))


def _check_fits(head: KeyHead, wanted_grant: GrantRecord) -> None:
    kind, usage = KeyType(head.type), Usage(head.usage)
    able, wanted = grantable(kind, usage), set(json.loads(wanted_grant.operations))
    beyond = sorted(wanted - able)
    if beyond:
        raise UsageError(
            f"key {head.name} is of type {kind} for {usage}, and {beyond[0]} cannot be granted on it",
            hint=f"there are {', '.join(sorted(able))}",
        )
    constrained = wanted_grant.context_equals is not None or wanted_grant.context_subset is not None
    if constrained and (kind not in SYMMETRIC or wanted <= set(MANAGING)):
        raise UsageError(
            "a constraint is about the encryption context, and none of these operations on this key has one",
            hint="constrain operations of a symmetric encryption key, or leave the constraint out",
        )

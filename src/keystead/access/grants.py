"""Grants: what a principal may do with one named key, beside what policies say. Values in, values out.

A grant allows and never denies. It is asked where no statement decided: a deny of a policy wins over it, and so does a
policy that cannot be believed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from keystead.access.compile import Verdict
from keystead.access.policy import Decision
from keystead.gate import Facts

READ: Final = "read"
CREATE: Final = "create-grant"
RETIRE: Final = "retire-grant"
LIST: Final = "list-grants"
MANAGING: Final = (CREATE, READ, RETIRE)
"""What can be granted beside the operations of a key. It has no encryption context, and no constraint is held to it."""
UNDECIDED: Final = frozenset(("no-statement", "condition"))
"""The classes of reason with which policies leave it to grants."""
_OWN: Final = frozenset((RETIRE, LIST))


class GrantRecord(NamedTuple):
    """The row of a grant. Times are ms since the epoch; `operations` is a JSON list, sorted.

    `key_id` is what the key keeps for ever, `grantee` and `retiring` are principals as text. `context_equals` and
    `context_subset` are JSON objects with sorted names. None: there is none. `mac` binds all of it to the store.
    """

    grant_id: str
    key_id: str
    grantee: str
    retiring: str | None
    operations: str
    name: str | None
    context_equals: str | None
    context_subset: str | None
    creator: str
    created_ms: int
    expires_ms: int | None
    mac: bytes = b""

    @property
    def bound_as(self) -> str:
        """What kind of row its MAC says it is."""
        return "key-grant"

    @property
    def digest(self) -> str:
        """What the record of a change says of the row: the first half of its MAC, in hex."""
        return self.mac[:16].hex()

    def content(self) -> tuple[object, ...]:
        """All that was asked for when it was made: two grants with the same are one, where they have a name."""
        return self._replace(grant_id="", creator="", created_ms=0, mac=b"")

    def facts(self) -> Mapping[str, str]:
        """The same for a decision about this grant."""
        told = {name: value for name, value in self._asdict().items() if isinstance(value, str)}
        return told if self.expires_ms is None else told | {"expires_ms": str(self.expires_ms)}


class Grant(NamedTuple):
    """What a grant says, for deciding by it."""

    id: str
    grantee: str
    retiring: str | None
    operations: frozenset[str]
    equals: Mapping[str, str] | None
    subset: Mapping[str, str] | None
    expires_ms: int | None

    def ended(self, now_ms: int) -> bool:
        """Whether its time is over; its last moment is the one before `expires_ms`."""
        return self.expires_ms is not None and now_ms >= self.expires_ms

    def constrains(self, verb: str) -> bool:
        """Whether it looks at the encryption context of this."""
        return verb not in MANAGING and (self.equals is not None or self.subset is not None)

    def permits(self, context: Mapping[str, str] | None) -> bool:
        """Whether its constraints hold for an encryption context."""
        if context is None:
            return self.equals is None and self.subset is None
        given = dict(context)
        same = self.equals is None or given == self.equals
        return same and (self.subset is None or self.subset.items() <= given.items())

    def covers(self, other: Grant) -> bool:
        """Whether another one allows nothing beyond this one: no other operation, context or moment."""
        if not other.operations <= self.operations:
            return False
        if self.expires_ms is not None and (other.expires_ms is None or other.expires_ms > self.expires_ms):
            return False
        if other.operations <= set(MANAGING):
            return True
        pairs = {**(other.subset or {}), **(other.equals or {})}.items()
        return (self.equals is None or other.equals == self.equals) and (
            self.subset is None or self.subset.items() <= pairs
        )


@dataclass(frozen=True, slots=True)
class GrantInfo:
    """A grant. Times are ms since the epoch; `key` is the key's name, `key_id` what it keeps for ever.

    `context_equals` and `context_subset` are what the encryption context must be, or have in it; None: anything.
    """

    id: str
    key: str
    key_id: str
    grantee: str
    operations: tuple[str, ...]
    retiring: str | None
    name: str | None
    context_equals: Mapping[str, str] | None
    context_subset: Mapping[str, str] | None
    creator: str
    created_ms: int
    expires_ms: int | None


def info_of(record: GrantRecord, key: str) -> GrantInfo:
    """What may be shown of a record that was checked."""
    return GrantInfo(
        record.grant_id,
        key,
        record.key_id,
        record.grantee,
        tuple(json.loads(record.operations)),
        record.retiring,
        record.name,
        _pairs(record.context_equals),
        _pairs(record.context_subset),
        record.creator,
        record.created_ms,
        record.expires_ms,
    )


def grant_of(record: GrantRecord) -> Grant:
    """What a record that was checked says."""
    return _grant(record.facts())


def _grant(facts: Mapping[str, str]) -> Grant:
    ends = facts.get("expires_ms")
    return Grant(
        facts["grant_id"],
        facts["grantee"],
        facts.get("retiring"),
        frozenset(json.loads(facts["operations"])),
        _pairs(facts.get("context_equals")),
        _pairs(facts.get("context_subset")),
        None if ends is None else int(ends),
    )


def _pairs(text: str | None) -> Mapping[str, str] | None:
    return None if text is None else json.loads(text)


def verb_of(action: str) -> str:
    """What of keys an action does, as grants call it; "", which no grant allows, for an action of something else."""
    noun, _, verb = action.partition(":")
    return verb if noun == "key" else ""


def kept_first(grants: Iterable[Grant]) -> tuple[Grant, ...]:
    """Grants in the order in which they are asked: first what gives a decision that can be kept."""
    return tuple(sorted(grants, key=lambda one: (_is_changing(one), one.id)))


def _is_changing(grant: Grant) -> bool:
    return grant.equals is not None or grant.subset is not None or grant.expires_ms is not None


class Wanted(NamedTuple):
    """Who wants to do what with a key, and when.

    In `facts`, `context` is the encryption context of the call and `grant` the grant that it is about: the one to make,
    to look at or to retire.
    """

    principal: str
    action: str
    facts: Facts
    now_ms: int


def decided(verdict: Verdict, grants: Iterable[Grant], wanted: Wanted) -> Verdict:
    """The verdict of policies that decided nothing, or what these grants of one key to this principal make of it."""
    principal, action, facts, now_ms = wanted
    verb = verb_of(action)
    about, context = (None, None) if facts is None else (facts.get("grant"), facts.get("context"))
    changing, refusing, sees = verdict.volatile or verb in _OWN, "", verdict.decision.visible
    if about is not None and verb in _OWN:
        why = _own(about, principal, verb, now_ms)
        if why:
            return _allowed(why, changing=True)
    for grant in grants:
        changing = changing or grant.expires_ms is not None
        if grant.ended(now_ms):
            continue
        sees = True
        if verb not in grant.operations or verb in _OWN:
            continue
        looks = grant.constrains(verb) or verb == CREATE
        if not looks or _fits(grant, verb, about, context):
            ends = looks or grant.expires_ms is not None
            return _allowed(f"grant {grant.id} allows it", changing=verdict.volatile or ends)
        changing, refusing = True, refusing or grant.id
    denied = verdict.decision._replace(visible=sees)
    if refusing:
        denied = denied._replace(
            reason=f"grant {refusing} allows it only within its constraints", reason_class="condition"
        )
    return Verdict(denied, changing)


def _fits(grant: Grant, verb: str, about: Mapping[str, str] | None, context: Mapping[str, str] | None) -> bool:
    if verb == CREATE:
        return about is not None and grant.covers(_grant(about))
    return grant.permits(context)


def _own(about: Mapping[str, str], principal: str, verb: str, now_ms: int) -> str:
    """Why it may look at a grant, or retire it, since it is its own; "" where it may not by that."""
    if about.get("retiring") == principal:
        return "it is its retiring principal"
    if about.get("grantee") != principal:
        return ""
    if verb == LIST:
        return "it is its grantee"
    grant = _grant(about)
    return f"grant {grant.id} allows it" if RETIRE in grant.operations and not grant.ended(now_ms) else ""


def why(grant: Grant, wanted: Wanted) -> tuple[bool, str]:
    """Whether a grant to this principal allows what is wanted, and why, in words."""
    verb, facts = verb_of(wanted.action), wanted.facts or {}
    if grant.ended(wanted.now_ms):
        return False, "its time is over"
    if verb not in grant.operations:
        return False, "it is of other operations"
    if verb in _OWN:
        return False, "it is of no other grant than itself"
    if not (grant.constrains(verb) or verb == CREATE):
        return True, "it is of this operation"
    if _fits(grant, verb, facts.get("grant"), facts.get("context")):
        return True, "it is of this operation, and its constraints are met"
    return False, "its constraints are not met"


def allowing(grant: Grant, action: str, now_ms: int) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Whom a grant allows an action, each with what else must hold.

    That is of the encryption `context`, the `time`, or the `grant` that is made, retired or looked at.
    """
    verb = verb_of(action)
    about = ("grant", verb in (CREATE, *_OWN))
    if verb == LIST or (verb in grant.operations and not grant.ended(now_ms)):
        ends = verb != LIST and grant.expires_ms is not None
        yield grant.grantee, _held((("context", grant.constrains(verb)), ("time", ends), about))
    if verb in _OWN and grant.retiring is not None:
        yield grant.retiring, _held((about,))


def _held(names: Iterable[tuple[str, bool]]) -> tuple[str, ...]:
    return tuple(name for name, looked_at in names if looked_at)


def _allowed(reason: str, *, changing: bool) -> Verdict:
    return Verdict(Decision(True, reason, "granted"), changing)

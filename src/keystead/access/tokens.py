"""What an access token is, and its rules: values in, values out, no clock and no store.

A token ends by itself, by its last use, or by being revoked, whichever comes first. Renewing moves the end, never
beyond `max_ms` and the parent's end, and never for a token that has ended.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from keystead.access.words import as_text, is_within
from keystead.errors import Denied, UsageError

MAX_USES: Final = 1_000_000
LET_GO: Final = ""
"""The parent of a token whose parent ended without it: it has none any more, and was made by another all the same."""


class TokenRecord(NamedTuple):
    """The row of an access token. Times are ms since the epoch; lists and mappings are JSON text.

    `hash` is the keyed hash of the token, `parent` the accessor of the token it was made with, or LET_GO. `ttl_ms` is
    what it was made for and is renewed by; with `period_ms`, renewing gives that instead. `max_ms`: no renewal goes
    beyond. `uses_left` counts down; None: as many as wanted. `networks`: where it may be used from; `binding`: what
    else must be shown with it, such as a certificate's fingerprint. `epoch` rises with each change; `mac` binds all of
    it to the store.
    """

    hash: bytes
    accessor: str
    parent: str | None
    principal: str
    method: str
    policies: str
    meta: str
    networks: str
    binding: str
    created_ms: int
    ttl_ms: int
    expires_ms: int
    max_ms: int | None
    period_ms: int | None
    renewable: int
    uses_left: int | None
    mfa_ms: int | None
    revoked_ms: int | None
    epoch: int = 0
    mac: bytes = b""

    @property
    def bound_as(self) -> str:
        """What kind of row its MAC says it is."""
        return "access-token"


@dataclass(frozen=True, slots=True)
class TokenInfo:
    """What may be shown of an access token. Times are ms since the epoch, `ttl_ms` and `period_ms` lengths.

    `uses_left` None: as many as wanted. `max_expires_ms` None: renewals go on for ever. `parent` None: it has none.
    `ended`: why it is none any more, as a class such as `token-expired`; None while it is one.
    """

    accessor: str
    principal: str
    method: str
    policies: tuple[str, ...]
    parent: str | None
    meta: Mapping[str, str]
    networks: tuple[str, ...]
    created_ms: int
    ttl_ms: int
    expires_ms: int
    max_expires_ms: int | None
    period_ms: int | None
    renewable: bool
    uses_left: int | None
    revoked_ms: int | None
    ended: str | None


class TokenRules(NamedTuple):
    """What the tokens of a login, or one that is created, are given. Lengths are in ms; None is the store's default."""

    policies: tuple[str, ...] = ()
    ttl_ms: int | None = None
    max_ttl_ms: int | None = None
    period_ms: int | None = None
    uses: int | None = None
    renewable: bool = True
    networks: tuple[str, ...] = ()


class TokenLimits(NamedTuple):
    """The store's default TTL, and the longest life of a token that is not periodic, in ms."""

    ttl_ms: int
    max_ttl_ms: int


class Holder(NamedTuple):
    """For whom a token is made, how that was proved, and what is noted with it.

    The token lasts no longer than the proof, which is over at `until_ms`; None: that never is.
    """

    principal: str
    method: str
    meta: str = "{}"
    binding: str = ""
    mfa_ms: int | None = None
    until_ms: int | None = None


def info(record: TokenRecord, now_ms: int) -> TokenInfo:
    """What may be shown of a record."""
    return TokenInfo(
        record.accessor,
        record.principal,
        record.method,
        texts(record.policies),
        record.parent or None,
        json.loads(record.meta),
        texts(record.networks),
        record.created_ms,
        record.ttl_ms,
        record.expires_ms,
        record.max_ms,
        record.period_ms,
        bool(record.renewable),
        record.uses_left,
        record.revoked_ms,
        why_ended(record, now_ms),
    )


def texts(kept: str) -> tuple[str, ...]:
    """A list of texts as the store keeps it."""
    return tuple(json.loads(kept))


def rules_text(rules: TokenRules) -> str:
    """Rules as the store keeps them with a user or role."""
    return as_text(rules._asdict())


def rules_of(kept: str) -> TokenRules:
    """The rules that a user or role was given."""
    fields = json.loads(kept)
    return TokenRules(**{**fields, "policies": tuple(fields["policies"]), "networks": tuple(fields["networks"])})


def check_rules(rules: TokenRules, limits: TokenLimits) -> TokenRules:
    """The rules themselves, if they contradict neither each other nor the store's limits.

    Raises:
        UsageError: they do.
    """
    if rules.uses is not None and (type(rules.uses) is not int or not 1 <= rules.uses <= MAX_USES):
        raise UsageError(f"uses must be 1 to {MAX_USES}, or None for as many as wanted")
    if type(rules.renewable) is not bool:
        raise UsageError("renewable must be True or False")
    for what, length in (("ttl", rules.ttl_ms), ("max_ttl", rules.max_ttl_ms), ("period", rules.period_ms)):
        if length is not None and length > limits.max_ttl_ms:
            raise UsageError(f"{what} is longer than tokens live here", hint="the setting token_max_ttl says how long")
    if rules.max_ttl_ms is not None and max(rules.ttl_ms or 0, rules.period_ms or 0) > rules.max_ttl_ms:
        raise UsageError("max_ttl is shorter than ttl or period", hint="give a longer max_ttl, or none")
    if rules.period_ms is not None and not rules.renewable:
        raise UsageError("a token with a period is renewed, or it would have no use for it", hint="leave out one")
    return rules


def issued(
    hashed: bytes,
    accessor: str,
    holder: Holder,
    rules: TokenRules,
    now_ms: int,
    *,
    limits: TokenLimits,
    parent: TokenRecord | None = None,
) -> TokenRecord:
    """The record of a new token, still without MAC. It ends no later than its parent does, ever."""
    ttl_ms = rules.period_ms or rules.ttl_ms or min(limits.ttl_ms, rules.max_ttl_ms or limits.ttl_ms)
    max_ms: int | None = now_ms + (rules.max_ttl_ms or limits.max_ttl_ms)
    if rules.period_ms is not None and rules.max_ttl_ms is None:
        max_ms = None
    max_ms = _earliest(max_ms, holder.until_ms)
    if parent is not None:
        max_ms = _earliest(max_ms, parent.max_ms)
    return TokenRecord(
        hashed,
        accessor,
        None if parent is None else parent.accessor,
        holder.principal,
        holder.method,
        as_text(list(rules.policies)),
        holder.meta,
        as_text(list(rules.networks)),
        holder.binding,
        now_ms,
        ttl_ms,
        _end(now_ms + ttl_ms, max_ms, parent),
        max_ms,
        rules.period_ms,
        int(rules.renewable),
        rules.uses,
        holder.mfa_ms,
        None,
    )


def _earliest(one: int | None, other: int | None) -> int | None:
    return one if other is None else other if one is None else min(one, other)


def _end(wanted_ms: int, max_ms: int | None, parent: TokenRecord | None) -> int:
    bounds = [wanted_ms]
    if max_ms is not None:
        bounds.append(max_ms)
    if parent is not None:
        bounds.append(parent.expires_ms)
    return min(bounds)


def why_ended(record: TokenRecord, now_ms: int) -> str | None:
    """As a class for who counts refusals: why a token is none any more; None while it is one.

    Its last moment is the one before `expires_ms`.
    """
    if record.revoked_ms is not None:
        return "token-revoked"
    if now_ms >= record.expires_ms:
        return "token-expired"
    if record.uses_left is not None and record.uses_left < 1:
        return "token-used-up"
    return None


def why_refused(record: TokenRecord, now_ms: int, source: str, binding: str) -> str | None:
    """The same, and whether it may be used from there and with what was shown beside it."""
    ended = why_ended(record, now_ms)
    if ended is not None:
        return ended
    if not is_within(source, texts(record.networks)):
        return "wrong-source"
    if record.binding and record.binding != binding:
        return "wrong-binding"
    return None


def renewed(
    record: TokenRecord, now_ms: int, increment_ms: int | None, parent: TokenRecord | None = None
) -> TokenRecord:
    """The record of a live token with a later end, still under its old MAC; an end is never moved nearer.

    Raises:
        UsageError: it is not renewable. Denied: it has ended, or its parent has.
    """
    if not record.renewable:
        raise UsageError(f"access token {record.accessor} is not renewable", hint="log in, or create a new one")
    ended = why_ended(record, now_ms)
    if ended is None and record.parent:
        ended = "parent-gone" if parent is None else why_ended(parent, now_ms)
    if ended is not None:
        raise Denied(f"access token {record.accessor} has ended", why=ended, hint="log in, or create a new one")
    length = record.period_ms or increment_ms or record.ttl_ms
    return record._replace(expires_ms=max(record.expires_ms, _end(now_ms + length, record.max_ms, parent)))


def used(record: TokenRecord) -> TokenRecord:
    """The record with one use less, still under its old MAC. A token without a count is left as it is.

    Raises:
        Denied: none is left.
    """
    if record.uses_left is None:
        return record
    if record.uses_left < 1:
        raise Denied(f"access token {record.accessor} has no use left", why="token-used-up")
    return record._replace(uses_left=record.uses_left - 1)


def may_create_child(parent: TokenRecord, now_ms: int, policies: tuple[str, ...]) -> None:
    """Return if this token may make another with these policies: a live one without a count, and no more than it has.

    Raises:
        Denied: it may not.
    """
    why = why_ended(parent, now_ms)
    if why is None and parent.uses_left is not None:
        why = "an access token with a number of uses makes no other"
    if why is None and not set(policies) <= set(texts(parent.policies)):
        why = "the policies of a child are some of its parent's"
    if why is not None:
        raise Denied(f"access token {parent.accessor} may not create this one", why=why)

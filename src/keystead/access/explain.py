"""Why a decision falls as it does: every statement that had a say, and what spoke for or against it.

Looks at each statement in turn, without the tree by which decisions are made, so that the one checks the other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from keystead.access.asked import Asked
from keystead.access.compile import CompiledSet, Policy
from keystead.access.grants import Grant, Wanted, allowing, why
from keystead.access.patterns import matches, segments_of
from keystead.access.policy import Decision, needs_no_policy
from keystead.access.statements import Statement, action_groups


@dataclass(frozen=True, slots=True)
class Considered:
    """A statement that was looked at; `why` says what made it apply or not."""

    policy: str
    statement: str
    effect: str
    applies: bool
    why: str


@dataclass(frozen=True, slots=True)
class ConsideredGrant:
    """A grant to the principal on the key that was looked at; `why` says what made it apply or not."""

    grant: str
    applies: bool
    why: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision, why it fell so, and every statement that was looked at, in the order of policies and statements.

    `reason_class` is `owner`, `allowed`, `granted`, `explicit-deny`, `no-statement`, `condition` or `integrity`;
    `visible` says whether the session may know that the resource is there. `grants` are looked at for a session, where
    no statement decided.
    """

    action: str
    resource: str
    allowed: bool
    reason: str
    reason_class: str
    visible: bool
    statements: tuple[Considered, ...]
    grants: tuple[ConsideredGrant, ...] = ()


@dataclass(frozen=True, slots=True)
class Speaking:
    """A statement that speaks about an action on a resource, and the names of its conditions."""

    policy: str
    statement: str
    effect: str
    conditions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Granted:
    """A grant that allows an action on a key, whom, and what else it looks at: `context`, `time`, `grant`.

    Whom is its grantee, or, to retire it or look at it, its retiring principal too.
    """

    grant: str
    grantee: str
    conditions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Access:
    """Who can do something: what policies and grants say of it, which sessions of this process may do it now, and which
    principals that the store knows may by policies. The local owner may do all beside."""

    action: str
    resource: str
    statements: tuple[Speaking, ...]
    sessions: tuple[str, ...]
    principals: tuple[PrincipalAccess, ...]
    grants: tuple[Granted, ...] = ()


@dataclass(frozen=True, slots=True)
class PrincipalAccess:
    """Somebody in the store who can do something.

    `kind` is `user`, `role`, `token` or `auth-method`, and `name` its name, or the accessor of a live access token.
    `principal` is who acts then; of an auth method it ends in `*`. `conditions` names what it hangs on that the store
    does not know, such as `source` or `time`; of an auth method, `roles` where its roles decide. Where there are none,
    it may in any case.
    """

    kind: str
    name: str
    principal: str
    policies: tuple[str, ...]
    conditions: tuple[str, ...]


def explain(policies: CompiledSet, action: str, resource: str, asked: Asked) -> Explanation:
    """The decision of these policies, with every statement and why it applies or not."""
    decision = needs_no_policy(action) or policies.decide(action, resource, asked).decision
    return explained(decision, policies.policies, action, resource, asked)


def explained(decision: Decision, policies: Iterable[Policy], action: str, resource: str, asked: Asked) -> Explanation:
    """The same for a decision that was made already."""
    considered = tuple(
        _considered(policy.name, statement, action, resource, asked)
        for policy in policies
        for statement in policy.statements
    )
    return Explanation(
        action, resource, decision.allowed, decision.reason, decision.reason_class, decision.visible, considered
    )


def _considered(policy: str, statement: Statement, action: str, resource: str, asked: Asked) -> Considered:
    applies, why = _why(statement, action, resource, asked)
    return Considered(policy, statement.id, statement.effect, applies, why)


def _why(statement: Statement, action: str, resource: str, asked: Asked) -> tuple[bool, str]:
    if set(statement.actions).isdisjoint(action_groups(action)):
        return False, "it is about other actions"
    segments = segments_of(resource)
    pattern = next((one for one in statement.resources if segments is not None and matches(one, segments)), None)
    if pattern is None:
        return False, "it is about other resources"
    holding = [(condition.name, condition.holds(asked)) for condition in statement.conditions]
    against = [f"{name} is not met" for name, held in holding if held is False]
    unknown = [name for name, held in holding if held is None]
    if against:
        return False, ", ".join(against)
    about = f"{'/'.join(pattern)} is its resource"
    if unknown:
        counted = "met, since it denies" if statement.denies else "not met, since it allows"
        return statement.denies, f"{', '.join(unknown)} cannot be told and counts as {counted}"
    return True, f"{about}, and its conditions are met" if holding else about


def speaking(policies: Iterable[Policy], action: str, resource: str) -> Iterator[Speaking]:
    """Every statement of these policies that speaks about the action on the resource."""
    for policy, statement in _speaking(policies, action, resource):
        names = tuple(condition.name for condition in statement.conditions)
        yield Speaking(policy.name, statement.id, statement.effect, names)


def _speaking(policies: Iterable[Policy], action: str, resource: str) -> Iterator[tuple[Policy, Statement]]:
    segments, groups = segments_of(resource) or [], set(action_groups(action))
    for policy in policies:
        for statement in policy.statements:
            if not groups.isdisjoint(statement.actions) and any(
                matches(pattern, segments) for pattern in statement.resources
            ):
                yield policy, statement


def may_under(
    policies: CompiledSet, action: str, resource: str, asked: Asked, unsettled: Collection[str]
) -> tuple[str, ...] | None:
    """Whether somebody may do this at all: the conditions that it hangs on, sorted, or None where it never may.

    `unsettled` are the names of conditions that no fact settles yet; all others are held against what is known.
    """
    if needs_no_policy(action) is not None:
        return ()
    if policies.problem:
        return None
    surely, allowing, denying = False, set[str](), set[str]()
    for _, statement in _speaking(policies.policies, action, resource):
        settled = [each.holds(asked) for each in statement.conditions if each.name not in unsettled]
        hanging = {each.name for each in statement.conditions if each.name in unsettled}
        if False in settled or (None in settled and not statement.denies):
            continue
        if statement.denies:
            if not hanging:
                return None
            denying |= hanging
        else:
            surely = surely or not hanging
            allowing |= hanging
    if not surely and not allowing:
        return None
    return tuple(sorted(denying if surely else allowing | denying))


def considered(grants: Iterable[Grant], wanted: Wanted) -> tuple[ConsideredGrant, ...]:
    """Each of these grants of a key to a principal, and whether it allows what is wanted."""
    return tuple(ConsideredGrant(grant.id, *why(grant, wanted)) for grant in grants)


def granting(grants: Iterable[Grant], action: str, now_ms: int) -> tuple[Granted, ...]:
    """Those of a key's grants that allow an action, and whom, in the order of their ids."""
    ordered = sorted(grants, key=lambda one: one.id)
    return tuple(Granted(one.id, *to_whom) for one in ordered for to_whom in allowing(one, action, now_ms))

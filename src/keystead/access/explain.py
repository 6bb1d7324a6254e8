"""Why a decision falls as it does: every statement that had a say, and what spoke for or against it.

Looks at each statement in turn, without the tree by which decisions are made, so that the one checks the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from keystead.access.asked import Asked
from keystead.access.compile import CompiledSet, Policy
from keystead.access.grants import Grant, Wanted, conditions, verb_of, why
from keystead.access.patterns import matches, segments_of
from keystead.access.policy import Decision
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
    """A grant that allows an action on a key, to whom, and what else it looks at: `context`, `time`, `grant`."""

    grant: str
    grantee: str
    conditions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Access:
    """Who can do something: what policies and grants say of it, and which sessions of this process may do it now."""

    action: str
    resource: str
    statements: tuple[Speaking, ...]
    sessions: tuple[str, ...]
    grants: tuple[Granted, ...] = ()


def explain(policies: CompiledSet, action: str, resource: str, asked: Asked) -> Explanation:
    """The decision of these policies, with every statement and why it applies or not."""
    return explained(policies.decide(action, resource, asked).decision, policies.policies, action, resource, asked)


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
    segments, groups = segments_of(resource) or [], set(action_groups(action))
    for policy in policies:
        for statement in policy.statements:
            if not groups.isdisjoint(statement.actions) and any(
                matches(pattern, segments) for pattern in statement.resources
            ):
                names = tuple(condition.name for condition in statement.conditions)
                yield Speaking(policy.name, statement.id, statement.effect, names)


def considered(grants: Iterable[Grant], wanted: Wanted) -> tuple[ConsideredGrant, ...]:
    """Each of these grants of a key to a principal, and whether it allows what is wanted."""
    return tuple(ConsideredGrant(grant.id, *why(grant, wanted)) for grant in grants)


def granting(grants: Iterable[Grant], action: str, now_ms: int) -> tuple[Granted, ...]:
    """Those of a key's grants that allow an action, in the order of their ids."""
    verb = verb_of(action)
    able = (grant for grant in grants if verb in grant.operations and not grant.ended(now_ms))
    return tuple(Granted(one.id, one.grantee, conditions(one, action)) for one in sorted(able, key=lambda one: one.id))

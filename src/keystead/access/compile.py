"""The policies of a session, compiled: a tree over the segments of resources, with the statements at its ends.

Compiled when policies are written or loaded. A decision walks the segments of one resource and meets only the
statements whose resource fits, grouped by action; how many other policies there are does not matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from keystead.access.asked import Asked
from keystead.access.conditions import all_hold
from keystead.access.patterns import ONE, REST, Pattern, matches, segments_of
from keystead.access.policy import Decision
from keystead.access.statements import NAMED, Statement, action_groups

NO_POLICY: Final = "the session has no policy"


class Policy(NamedTuple):
    """A policy's name and what it says; `problem` in the place of statements that cannot be believed or understood."""

    name: str
    statements: tuple[Statement, ...]
    problem: str = ""


class Placed(NamedTuple):
    """A statement and the policy it stands in."""

    policy: str
    statement: Statement

    def __str__(self) -> str:
        return f"statement {self.statement.id} of policy {self.policy}"


class _Bucket:
    """The statements of one end of the tree and one way to name actions. Of those without conditions one is enough."""

    __slots__ = ("allow", "allow_if", "deny", "deny_if")

    def __init__(self) -> None:
        self.deny: Placed | None = None
        self.allow: Placed | None = None
        self.deny_if: list[Placed] = []
        self.allow_if: list[Placed] = []

    def add(self, placed: Placed) -> None:
        if placed.statement.conditions:
            (self.deny_if if placed.statement.denies else self.allow_if).append(placed)
        elif placed.statement.denies:
            self.deny = self.deny or placed
        else:
            self.allow = self.allow or placed


_Leaf = dict[str, _Bucket]


class _Branch:
    """A place in the tree: what may follow, and the statements whose pattern ends here or in `**` behind here."""

    __slots__ = ("here", "lengths", "literals", "one", "prefixes", "rest")

    def __init__(self) -> None:
        self.literals: dict[str, _Branch] = {}
        self.prefixes: dict[str, _Branch] = {}
        self.lengths: tuple[int, ...] = ()
        self.one: _Branch | None = None
        self.here: _Leaf = {}
        self.rest: _Leaf = {}

    def leaf(self, pattern: Pattern) -> _Leaf:
        """The end of a pattern; made where it is missing."""
        branch = self
        for segment in pattern:
            if segment == REST:
                return branch.rest
            branch = branch._child(segment)
        return branch.here

    def _child(self, segment: str) -> _Branch:
        if segment == ONE:
            self.one = self.one or _Branch()
            return self.one
        if segment.endswith(ONE):
            prefix = segment[:-1]
            self.lengths = tuple(sorted({*self.lengths, len(prefix)}))
            return self.prefixes.setdefault(prefix, _Branch())
        return self.literals.setdefault(segment, _Branch())

    def leaves(self, segments: Sequence[str]) -> list[_Leaf]:
        """The ends of all patterns that name the resource of these segments."""
        found: list[_Leaf] = []
        branches = [self]
        for segment in segments:
            following: list[_Branch] = []
            for branch in branches:
                if branch.rest:
                    found.append(branch.rest)
                child = branch.literals.get(segment)
                if child is not None:
                    following.append(child)
                if branch.one is not None:
                    following.append(branch.one)
                for length in branch.lengths:
                    child = branch.prefixes.get(segment[:length])
                    if child is not None and length <= len(segment):
                        following.append(child)
            branches = following
        found += [branch.here for branch in branches if branch.here]
        return found


class Verdict(NamedTuple):
    """A decision, and whether the same session may be told otherwise at its next call though no policy changed."""

    decision: Decision
    volatile: bool


class CompiledSet:
    """The policies that a session names, in the order of their names; decides by rule alone, without a store."""

    __slots__ = ("_names", "_root", "policies", "problem")

    def __init__(self, policies: Iterable[Policy]) -> None:
        self.policies = tuple(policies)
        self.problem = next((f"policy {one.name} {one.problem}" for one in self.policies if one.problem), "")
        self._names = ", ".join(one.name for one in self.policies[:5]) + (", ..." if len(self.policies) > 5 else "")
        self._root = _Branch()
        for policy in self.policies:
            for statement in policy.statements:
                placed = Placed(policy.name, statement)
                for pattern in statement.resources:
                    leaf = self._root.leaf(pattern)
                    for action in statement.actions:
                        leaf.setdefault(action, _Bucket()).add(placed)

    def decide(self, action: str, resource: str, asked: Asked) -> Verdict:
        """Whether this is allowed: never where a deny is met, else where an allow is met, else not.

        Where a policy of the set cannot be believed, nothing is: its denies are not known.
        """
        if self.problem:
            return Verdict(_denied(self.problem, "integrity"), volatile=False)
        segments = segments_of(resource)
        if segments is None:
            return Verdict(_denied("the resource is not in its one spelling", "no-statement"), volatile=False)
        leaves = self._root.leaves(segments)
        outcome = _weigh(action, leaves, asked)
        if outcome.reason_class == "allowed":
            return Verdict(Decision(True, f"{outcome.placed} allows it", "allowed"), outcome.volatile)
        visible, changing = _sees(leaves, asked)
        decision = Decision(False, self._reason(outcome), outcome.reason_class, visible)
        return Verdict(decision, outcome.volatile or changing)

    def allows_somewhere(self, action: str, kind: str) -> bool:
        """Whether any statement allows the action on any resource of a kind, whatever its conditions."""
        groups = action_groups(action)
        return not self.problem and any(
            not one.denies
            and not set(groups).isdisjoint(one.actions)
            and any(pattern[0] == REST or matches(pattern[:1], [kind]) for pattern in one.resources)
            for policy in self.policies
            for one in policy.statements
        )

    def _reason(self, outcome: _Outcome) -> str:
        placed = outcome.placed
        if placed is None:
            return f"no statement of {self._names} allows it" if self.policies else NO_POLICY
        if outcome.reason_class == "explicit-deny":
            return f"{placed} denies it"
        names = ", ".join(condition.name for condition in placed.statement.conditions)
        return f"{placed} allows it only under conditions that are not met ({names})"


class _Outcome(NamedTuple):
    """How statements were weighed: the class of the reason, the statement that decided, and whether that may change."""

    reason_class: str
    placed: Placed | None
    volatile: bool


def _weigh(action: str, leaves: list[_Leaf], asked: Asked) -> _Outcome:
    groups = action_groups(action)
    buckets = [bucket for leaf in leaves for group in groups if (bucket := leaf.get(group)) is not None]
    allow: Placed | None = None
    conditional = False
    for bucket in buckets:
        if bucket.deny is not None:
            return _Outcome("explicit-deny", bucket.deny, volatile=False)
        allow = allow or bucket.allow
        conditional = conditional or bool(bucket.deny_if or bucket.allow_if)
    if conditional:
        return _weigh_conditions(buckets, allow, asked)
    return _Outcome("no-statement" if allow is None else "allowed", allow, volatile=False)


def _weigh_conditions(buckets: list[_Bucket], allow: Placed | None, asked: Asked) -> _Outcome:
    volatile = False
    for placed in (placed for bucket in buckets for placed in bucket.deny_if):
        volatile = volatile or _is_volatile(placed)
        if all_hold(placed.statement.conditions, asked) is not False:
            return _Outcome("explicit-deny", placed, volatile)
    if allow is not None:
        return _Outcome("allowed", allow, volatile)
    unmet: Placed | None = None
    for placed in (placed for bucket in buckets for placed in bucket.allow_if):
        volatile = volatile or _is_volatile(placed)
        if all_hold(placed.statement.conditions, asked) is True:
            return _Outcome("allowed", placed, volatile)
        unmet = unmet or placed
    return _Outcome("no-statement" if unmet is None else "condition", unmet, volatile)


def _sees(leaves: list[_Leaf], asked: Asked) -> tuple[bool, bool]:
    """Whether some action on the resource is allowed, and whether that may change by itself."""
    allowing = {
        group for leaf in leaves for group, bucket in leaf.items() if bucket.allow is not None or bucket.allow_if
    }
    changing = False
    for action in dict.fromkeys(action for group in allowing for action in NAMED[group]):
        outcome = _weigh(action, leaves, asked)
        changing = changing or outcome.volatile
        if outcome.reason_class == "allowed":
            return True, changing
    return False, changing


def _is_volatile(placed: Placed) -> bool:
    return any(condition.volatile for condition in placed.statement.conditions)


def _denied(reason: str, reason_class: str) -> Decision:
    return Decision(False, reason, reason_class, visible=False)

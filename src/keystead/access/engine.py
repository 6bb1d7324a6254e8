"""The policy engine of a node: who may do what, from the policies that sessions name and the grants of named keys.

A decision that only policies, method and source decided is kept for its session, action and resource until anything in
the store changes. What time, a second factor, tags or an encryption context had a part in is decided anew each time.

Grants are asked where policies left a named key undecided, so that nobody else pays for them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from keystead.access.asked import Asked, Source
from keystead.access.policy import Decision, needs_no_statement
from keystead.clock import Clock
from keystead.gate import Facts, Session

if TYPE_CHECKING:
    from keystead.access.compile import CompiledSet, Policy, Verdict
    from keystead.access.grants import Grant
    from keystead.access.ports import KeyGrants, PolicyRow, PolicyRows
    from keystead.access.stored import PolicyBinder

    Grants = tuple[Grant, ...]

MAX_DECISIONS: Final = 10_000
MAX_SETS: Final = 256
MAX_POLICIES: Final = 10_000
_MANY: Final = 500
_KEY: Final = "key/"
LISTING: Final = "key:list"
"""No grant lets anybody do it, and a listing asks for each key."""
_ANY: Final = ""
"""Under which it is kept whether a session's principal has any grant; no key has this name."""
_OWNERS: Final = {
    "local": Decision(True, "the local owner may do all", "owner"),
    "system": Decision(True, "the node itself may do all", "owner"),
}


class _Known(NamedTuple):
    """Something learned of the store, and in which period; in a later one it has to be looked at again."""

    period: int
    value: Any


class PolicyEngine:
    """Decides for the sessions of one node.

    `rows` gives the policies of the store, `binder` what checks them, `grants` the grants of its keys (None: there are
    none). Principals of kind `local` and `system` may do all. No lock is taken: a thread that decides while something
    changes keeps what it learned under the period that it learned it in, and nobody asks for that any more.
    """

    __slots__ = ("_binder", "_clock", "_grants", "_held", "_kept", "_period", "_policies", "_rows", "_sets")

    def __init__(
        self,
        rows: Callable[[], PolicyRows],
        binder: Callable[[], PolicyBinder],
        clock: Clock,
        grants: Callable[[], KeyGrants] | None = None,
    ) -> None:
        self._rows = rows
        self._grants = grants
        self._binder = binder
        self._clock = clock
        self._period = 0
        # Under the session itself, which is one with its id and found faster.
        self._kept: dict[tuple[Session, str, str], Decision] = {}
        # Hashing a thousand names would take longer than deciding.
        self._held: dict[Session, tuple[CompiledSet, Source, dict[str, Grants]]] = {}
        self._sets: dict[tuple[str, ...], _Known] = {}
        self._policies: dict[str, _Known] = {}

    def decide(self, session: Session, action: str, resource: str, facts: Facts) -> Decision:
        """Whether the session's principal may do the action on the resource, and why.

        Raises:
            What reading the store raises, where policies have to be read anew.
        """
        kept = self._kept.get((session, action, resource))
        if kept is not None:
            return kept
        given = without_policy(session, action, resource)
        if given is not None:
            return given
        # Whatever changes from here on puts other dictionaries in the place of these.
        keeping, held = self._kept, self._held
        found = held.get(session)
        if found is None:
            found = self.compiled(session.authentication.policies), Source(session.authentication.source), {}
            if len(held) >= MAX_DECISIONS:
                held.clear()
            held[session] = found
        policies, source, granted = found
        asked = Asked(session.authentication, facts, self._clock.now_ms(), source)
        verdict = policies.decide(action, resource, asked)
        if not verdict.decision.allowed and resource.startswith(_KEY):
            verdict = self._by_grants(verdict, session, (action, resource, facts, asked.now_ms), granted)
        if not verdict.volatile:
            if len(keeping) >= MAX_DECISIONS:
                keeping.clear()
            keeping[session, action, resource] = verdict.decision
            return verdict.decision
        return verdict.decision._replace(volatile=True)

    def may_ever(self, session: Session, action: str, resource: str) -> bool:
        """Whether a statement of the session's policies allows the action on any resource of this one's kind; no grant
        is asked."""
        own, kind = of_owner(session.principal.kind) is not None, resource.partition("/")[0]
        return own or self.compiled(session.authentication.policies).allows_somewhere(action, kind)

    def _by_grants(
        self, verdict: Verdict, session: Session, call: tuple[str, str, Facts, int], granted: dict[str, Grants]
    ) -> Verdict:
        from keystead.access.grants import UNDECIDED, Wanted, decided  # noqa: PLC0415 - who may do all pays no import

        if self._grants is None or call[0] == LISTING or verdict.decision.reason_class not in UNDECIDED:
            return verdict
        # Whoever makes an access token for somebody else says with its policies what that one may do.
        if session.authentication.delegated:
            return verdict
        action, resource, facts, now_ms = call
        principal = str(session.principal)
        grants = self._granted(self._grants, principal, resource.removeprefix(_KEY), granted)
        return decided(verdict, grants, Wanted(principal, action, facts, now_ms))

    def _granted(
        self, source: Callable[[], KeyGrants], principal: str, name: str, granted: dict[str, Grants]
    ) -> Grants:
        """The grants of a key to a principal, as the store has them in this period."""
        if not granted and not source().has_any(principal):
            granted[_ANY] = ()
        if _ANY in granted:
            return ()
        if name not in granted:
            from keystead.access.grants import kept_first  # noqa: PLC0415 - as above

            if len(granted) >= MAX_DECISIONS:
                granted.clear()
            granted[name] = kept_first(source().of(name, principal))
        return granted[name]

    def forget(self) -> None:
        """Something in the store changed: decide anew, and look at the policies again when they are asked for."""
        self._period += 1
        self._kept, self._held = {}, {}

    def compiled(self, names: tuple[str, ...]) -> CompiledSet:
        """The policies of these names, as the store has them now; names without a policy add nothing."""
        period = self._period
        known = self._sets.get(names)
        if known is not None and known.period == period:
            return known.value  # type: ignore[no-any-return]
        from keystead.access.compile import CompiledSet  # noqa: PLC0415 - as above

        policies = self._current(names, period)
        unchanged = known is not None and _same(known.value.policies, policies)
        compiled: CompiledSet = known.value if known is not None and unchanged else CompiledSet(policies)
        if len(self._sets) >= MAX_SETS:
            self._sets = {}
        self._sets[names] = _Known(period, compiled)
        return compiled

    def _current(self, names: tuple[str, ...], period: int) -> list[Policy]:
        from keystead.access.stored import loaded  # noqa: PLC0415 - as above

        wanted = sorted(set(names))
        rows: dict[str, PolicyRow] = {}
        for start in range(0, len(wanted), _MANY):
            rows |= {row.name: row for row in self._rows().named(wanted[start : start + _MANY])}
        binder = None
        policies: list[Policy] = []
        if len(self._policies) > MAX_POLICIES:
            self._policies = {}
        for name, row in sorted(rows.items()):
            known = self._policies.get(name)
            if known is None or known.value[0] != row:
                binder = binder or self._binder()
                known = _Known(period, (row, loaded(row, binder)))
                self._policies[name] = known
            policies.append(known.value[1])
        return policies


def without_policy(session: Session, action: str, resource: str) -> Decision | None:
    """What is allowed whatever policies say: all to the owner and the node, and to others what needs no statement."""
    return of_owner(session.principal.kind) or needs_no_statement(session, action, resource)


def of_owner(kind: str) -> Decision | None:
    """What is allowed to every principal of a kind: all to the owner and the node, None to others."""
    return _OWNERS.get(kind)


def _same(former: tuple[Policy, ...], now: list[Policy]) -> bool:
    return len(former) == len(now) and all(one is other for one, other in zip(former, now, strict=True))

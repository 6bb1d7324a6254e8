"""Trying policies of an open store: what one would say, why somebody may do something or not, and who can.

Who asks is shown no policy that it may not try, and no principal that it may not list: it is not to learn of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from keystead.access import explain, grants
from keystead.access.asked import Asked
from keystead.access.compile import NO_POLICY, CompiledSet, Policy
from keystead.access.engine import LISTING, of_owner, without_policy
from keystead.access.patterns import KINDS, segments_of
from keystead.access.policy import Decision, needs_no_policy
from keystead.access.session import Authentication
from keystead.access.statements import check_action, new_document, parse_document
from keystead.access.stored import check_policy_name, loaded
from keystead.access.tokens import rules_of, texts, why_ended
from keystead.errors import SessionNotFound, UsageError
from keystead.gate import missing
from keystead.node.grants import AuthenticGrants
from keystead.node.policies import binder_of, present
from keystead.secrets.names import check_name
from keystead.storage.policies import SqlitePolicies

if TYPE_CHECKING:
    from keystead.access.compile import Verdict
    from keystead.access.explain import Access, ConsideredGrant, Explanation, Granted, PrincipalAccess
    from keystead.access.session import Session
    from keystead.node.node import Node

Row = TypeVar("Row")
PAGE: Final = 1_000
_OF_THE_CALL: Final = frozenset(("time", "source", "mfa_age", "context"))
"""Conditions that are settled by a call only, and not by what the store knows of a principal."""
_OF_THE_NAME: Final = frozenset(("key:create", "key:restore", "key:alias", LISTING))
"""What is asked of a name that is given or listed, and not of the key that it stands for."""


class Supposed(NamedTuple):
    """Whom a trial is about: how a session would be proved, and its principal ("": one without grants). `now_ms` None:
    now."""

    authentication: Authentication
    tags: Mapping[str, str] | None
    context: Mapping[str, str] | None
    now_ms: int | None
    principal: str = ""


class _Holder(NamedTuple):
    """A principal in the store, the policies that it would act by, and what is settled of how it would be proved."""

    kind: str
    name: str
    principal: str
    policies: tuple[str, ...]
    method: str
    mfa: bool = True
    by_role: bool = False


class PolicyTrials:
    """The trials on one node's policies. Each passes the gate once."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def test(self, session: Session, given: Any, action: str, resource: str, supposed: Supposed) -> Explanation:
        """What one policy, stored or given, would say.

        Raises:
            PolicyNotFound, UsageError; IntegrityError where it is not what keystead wrote.
        """
        name = given if isinstance(given, str) and not given.lstrip().startswith("{") else ""
        if name:
            check_policy_name(name)
        with self._trying(session, name or "*", action, resource):
            if name:
                row = present(SqlitePolicies(self._node.store.read()).get(name), name)
                read = parse_document(binder_of(self._node).check(row).document)
            else:
                read = new_document(given)
            policy = Policy(name or "(given)", read.statements)
            return explain.explain(CompiledSet((policy,)), action, resource, self._asked(supposed))

    def explain(
        self, session: Session, who: str | tuple[str, ...], action: str, resource: str, supposed: Supposed
    ) -> Explanation:
        """Why a session of this process, or one that had these policies, may do something or not.

        Without policies, a user or role that is there has its own.

        Raises:
            SessionNotFound, PolicyNotFound, UsageError.
        """
        with self._trying(session, "*", action, resource):
            resource = self._decided_by(session, action, resource)
            if supposed.tags is None:
                supposed = supposed._replace(tags=self._tags(session, action, resource))
            if isinstance(who, str):
                return self._explain_session(session, who, action, resource, supposed)
            rows = {row.name for row in SqlitePolicies(self._node.store.read()).named(who)}
            for name in who:
                if name not in rows or not self._may_try(session, name):
                    raise missing("policy", name)
            if not who:
                who, method = self._policies_of(session, supposed.principal)
                # Of the owner's method, which is what is supposed unless told, is no other principal.
                if method and supposed.authentication.method == "local":
                    supposed = supposed._replace(authentication=supposed.authentication._replace(method=method))
            absent = "" if who else self._absent(session, supposed.principal)
            if not self._may_know_of(session, supposed.principal, resource):
                supposed = supposed._replace(principal="")
            told = self._explain_policies(session, who, action, resource, supposed)
            return replace(told, reason=absent) if absent and told.reason == NO_POLICY else told

    def _may_know_of(self, session: Session, principal: str, resource: str) -> bool:
        """Whether who asks may learn what grants make of a principal: itself, one that it may list, or of that key."""
        kind, _, name = principal.partition(":")
        if principal == str(session.principal) or of_owner(kind) is not None:
            return True
        listed = kind in ("user", "role") and self._node.gate.may(session, f"{kind}:list", f"{kind}/{name}")
        return listed or (resource.startswith("key/") and self._may_list_grants(session, resource))

    def _policies_of(self, session: Session, principal: str) -> tuple[tuple[str, ...], str]:
        """The policies of a user or role that is there and that who asks may list, and how it logs in; "" of others."""
        kind, _, name = principal.partition(":")
        directory = self._node.identities.directory
        rows, binder = directory.read_rows(), directory.binder()
        found = rows.user(name) if kind == "user" else rows.role(name) if kind == "role" else None
        known = found is not None and binder.is_authentic(found)
        if found is None or not known or not self._node.gate.may(session, f"{kind}:list", f"{kind}/{name}"):
            return (), ""
        return rules_of(found.rules).policies, "password" if kind == "user" else "role"

    def _absent(self, session: Session, principal: str) -> str:
        """That there is no such user or role, in words for who may list them; "" where there is, or of others."""
        kind, _, name = principal.partition(":")
        rows = self._node.identities.directory.read_rows()
        if kind not in ("user", "role") or (rows.user(name) if kind == "user" else rows.role(name)) is not None:
            return ""
        return f"there is no {kind} {name}" if self._node.gate.may(session, f"{kind}:list", f"{kind}/{name}") else ""

    def _explain_policies(
        self, session: Session, names: tuple[str, ...], action: str, resource: str, supposed: Supposed
    ) -> Explanation:
        compiled, asked = self._node.policies.compiled(names), self._asked(supposed)
        decision = of_owner(supposed.principal.partition(":")[0]) or needs_no_policy(action)
        looked: tuple[ConsideredGrant, ...] = ()
        if decision is None:
            verdict = compiled.decide(action, resource, asked)
            verdict, looked = self._by_grants(session, verdict, action, resource, supposed)
            decision = verdict.decision
        decision, shown = self._shown(session, decision, compiled.policies)
        return replace(explain.explained(decision, shown, action, resource, asked), grants=looked)

    def _shown(
        self, session: Session, decision: Decision, policies: tuple[Policy, ...]
    ) -> tuple[Decision, tuple[Policy, ...]]:
        """The policies that who asks may try; where there are others, the decision does not tell of them."""
        shown = tuple(policy for policy in policies if self._may_try(session, policy.name))
        if len(shown) < len(policies):
            decision = decision._replace(reason="policies that you may not try have a part in it")
        return decision, shown

    def _explain_session(
        self, session: Session, id_: str, action: str, resource: str, supposed: Supposed
    ) -> Explanation:
        node = self._node
        found = node.sessions.get(id_)
        seen = found is session or node.gate.may(session, "session:list", f"session/{id_}")
        if found is None or not seen:
            raise SessionNotFound(
                f"no session {id_} in this process", hint="give the names of the policies of a session elsewhere"
            )
        asked = self._asked(supposed._replace(authentication=found.authentication))
        decision, policies = without_policy(found, action, resource), tuple[Policy, ...]()
        looked: tuple[ConsideredGrant, ...] = ()
        if decision is None or decision.reason_class != "owner":
            compiled = node.policies.compiled(found.authentication.policies)
            policies = compiled.policies
            if decision is None:
                holds = "" if found.authentication.delegated else str(found.principal)
                about = supposed._replace(principal=holds)
                verdict = compiled.decide(action, resource, asked)
                verdict, looked = self._by_grants(session, verdict, action, resource, about)
                decision = verdict.decision
        if found.ended or (found.expires_ms is not None and asked.now_ms >= found.expires_ms):
            decision = Decision(False, "the session has ended", "session-ended", visible=False)
        decision, shown = self._shown(session, decision, policies)
        return replace(explain.explained(decision, shown, action, resource, asked), grants=looked)

    def _by_grants(
        self, session: Session, verdict: Verdict, action: str, resource: str, supposed: Supposed
    ) -> tuple[Verdict, tuple[ConsideredGrant, ...]]:
        """What grants make of a verdict that decided nothing, and which were looked at."""
        undecided = verdict.decision.reason_class in grants.UNDECIDED
        if not (undecided and supposed.principal and resource.startswith("key/")) or action == LISTING:
            return verdict, ()
        wanted = grants.Wanted(supposed.principal, action, _facts(supposed), self._asked(supposed).now_ms)
        found = AuthenticGrants(self._node).of(resource.removeprefix("key/"), supposed.principal)
        after = grants.decided(verdict, grants.kept_first(found), wanted)
        if not found or self._may_list_grants(session, resource):
            return after, explain.considered(found, wanted)
        hidden = after.decision._replace(reason="grants that you may not list have a part in it")
        return after._replace(decision=hidden), ()

    def who_can(self, session: Session, action: str, resource: str) -> Access:
        """Every statement of every policy that speaks about this, the sessions of this process that may do it now, and
        the users, roles, live access tokens and auth methods whose principals may.

        Raises:
            UsageError; IntegrityError where a policy is not what keystead wrote.
        """
        node = self._node
        with self._trying(session, "*", action, resource):
            rows, binder = SqlitePolicies(node.store.read()), binder_of(node)
            every = _every(lambda start: rows.page(PAGE, start), lambda row: row.name)
            tried = (loaded(binder.check(row), binder) for row in every if self._may_try(session, row.name))
            resource = self._decided_by(session, action, resource)
            spoken = tuple(explain.speaking(tried, action, resource))
            tags, now = self._tags(session, action, resource), node.clock.now_ms()
            facts = None if tags is None else {"tags": tags}
            able = [
                one.id
                for one in list(node.sessions.values())
                if not one.ended
                and (one.expires_ms is None or now < one.expires_ms)
                and node.gate.may(session, "session:list", f"session/{one.id}")
                and node.gate.may(one, action, resource, facts)
            ]
            principals = tuple(self._able(session, action, resource, tags))
            granting = self._granting(session, action, resource)
            return explain.Access(action, resource, spoken, tuple(able), principals, granting)

    def _granting(self, session: Session, action: str, resource: str) -> tuple[Granted, ...]:
        if not resource.startswith("key/") or not self._may_list_grants(session, resource):
            return ()
        found = AuthenticGrants(self._node).of(resource.removeprefix("key/"), None)
        return explain.granting(found, action, self._node.clock.now_ms())

    # Who is in the store

    def _able(
        self, session: Session, action: str, resource: str, tags: Mapping[str, str] | None
    ) -> Iterator[PrincipalAccess]:
        now, may = self._node.clock.now_ms(), self._node.gate.may
        facts = None if tags is None else {"tags": tags}
        for holder in self._holders(now):
            if not may(session, f"{holder.kind}:list", f"{holder.kind}/{holder.name}"):
                continue
            unsettled = _OF_THE_CALL if holder.mfa else _OF_THE_CALL - {"mfa_age"}
            if tags is None:
                unsettled |= {"tags"}
            asked = Asked(Authentication(holder.method), facts, now)
            compiled = self._node.policies.compiled(holder.policies)
            hanging = explain.may_under(compiled, action, resource, asked, unsettled)
            if hanging is not None:
                shown = tuple(name for name in holder.policies if self._may_try(session, name))
                conditions = ("roles", *hanging) if holder.by_role else hanging
                yield explain.PrincipalAccess(holder.kind, holder.name, holder.principal, shown, conditions)

    def _holders(self, now: int) -> Iterator[_Holder]:
        """Who can act by the store, in the order of kinds and names; a row that was edited proves nothing."""
        identities = self._node.identities
        directory, register, methods = identities.directory, identities.register, identities.auth_methods.kept
        accounts, binder = directory.read_rows(), directory.binder()
        for user in _every(lambda start: accounts.users(start, PAGE), lambda row: row.name):
            if binder.is_authentic(user):
                yield _Holder("user", user.name, f"user:{user.name}", rules_of(user.rules).policies, "password")
        for role in _every(lambda start: accounts.roles(start, PAGE), lambda row: row.name):
            if binder.is_authentic(role):
                yield _Holder("role", role.name, f"role:{role.name}", rules_of(role.rules).policies, "role")
        tokens = register.read_rows()
        for token in _every(lambda start: tokens.page(start, PAGE, None), lambda row: row.accessor):
            if binder.is_authentic(token) and why_ended(token, now) is None:
                policies, mfa = texts(token.policies), token.mfa_ms is not None
                yield _Holder("token", token.accessor, token.principal, policies, token.method, mfa)
        stored = methods.read_rows()
        for method in _every(lambda start: stored.page(PAGE, start), lambda row: row.name):
            if binder.is_authentic(method):
                yield from _of_method(method)

    # What all trials have

    def _trying(self, session: Session, name: str, action: str, resource: str) -> Any:
        check_action(action)
        segments = segments_of(resource) if isinstance(resource, str) and resource.isprintable() else None
        if segments is None:
            raise UsageError("not a resource", hint="write it as kind and name, such as secret/db/password")
        if segments[0] not in KINDS:
            # Else it would be said of what is misspelled that nobody may.
            raise UsageError("there is no such kind of resource", hint=f"there are {', '.join(sorted(KINDS))}")
        return self._node.gate.read(session, "policy:test", f"policy/{name}", "policy_tested")

    def _decided_by(self, session: Session, action: str, resource: str) -> str:
        """What a call on this resource is decided by: of a key its own name, where an alias stands for one that who
        asks may list."""
        kind, _, name = resource.partition("/")
        known = self._node.named.reader.known(name) if kind == "key" and action not in _OF_THE_NAME else None
        if known is None or known[0] == name:
            return resource
        own = f"key/{known[0]}"
        return own if self._node.gate.may(session, "key:list", own, {"tags": known[1]}) else resource

    def _may_list_grants(self, session: Session, resource: str) -> bool:
        tags = self._node.named.reader.tags(resource.removeprefix("key/"))
        return self._node.gate.may(session, "key:list-grants", resource, None if tags is None else {"tags": tags})

    def _may_try(self, session: Session, name: str) -> bool:
        return self._node.gate.may(session, "policy:test", f"policy/{name}")

    def _tags(self, session: Session, action: str, resource: str) -> Mapping[str, str] | None:
        """The tags that a call on this secret or key would bring, if who asks may list it; None: they are not known."""
        node, (kind, _, name) = self._node, resource.partition("/")
        tags = None
        if kind == "secret" and _is_secret(name):
            tags = Asked(session.authentication, node.reader.facts(name), 0).tags
        elif kind == "key" and action != "key:create":
            tags = node.named.reader.tags(name)
        facts = None if tags is None else {"tags": tags}
        return tags if node.gate.may(session, f"{kind}:list", resource, facts) else None

    def _asked(self, supposed: Supposed) -> Asked:
        now = self._node.clock.now_ms() if supposed.now_ms is None else supposed.now_ms
        return Asked(supposed.authentication, _facts(supposed), now)


def _facts(supposed: Supposed) -> dict[str, Mapping[str, str]]:
    given = {"tags": supposed.tags, "context": supposed.context}
    return {name: facts for name, facts in given.items() if facts is not None}


def _is_secret(name: str) -> bool:
    try:
        check_name(name)
    except UsageError:
        return False
    return True


def _every(page: Callable[[str], Iterable[Row]], name_of: Callable[[Row], str]) -> Iterator[Row]:
    start = ""
    while rows := list(page(start)):
        yield from rows
        start = name_of(rows[-1])


def _of_method(record: Any) -> Iterator[_Holder]:
    """Whom an auth method lets in: by the policies of all, or by those and the policies of one of its roles.

    Several roles can only deny more, so that who may by several may by one of them.
    """
    import json  # noqa: PLC0415 - a rare call

    config = json.loads(record.config)
    always, principal = config.get("policies", []), f"{record.kind}:{record.name}/*"
    for role in [None, *config.get("roles", [])] if always else config["roles"]:
        policies = {*always, *(role["policies"] if role else ())}
        by_role = bool(config.get("roles"))
        yield _Holder("auth-method", record.name, principal, tuple(sorted(policies)), record.kind, by_role=by_role)

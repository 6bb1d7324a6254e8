"""Policies of an open store: the engine that decides, and writing, reading, listing, deleting and trying policies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from keystead.access.asked import Asked
from keystead.access.engine import PolicyEngine
from keystead.errors import PolicyNotFound, SessionNotFound, UsageError, VersionConflict
from keystead.gate import Gate
from keystead.node.grants import AuthenticGrants
from keystead.node.recorder import new_operation_id
from keystead.secrets.read import check_limit
from keystead.storage.policies import SqlitePolicies

if TYPE_CHECKING:
    from keystead.access.compile import Verdict
    from keystead.access.explain import Access, ConsideredGrant, Explanation, Granted
    from keystead.access.ports import PolicyRow
    from keystead.access.session import Authentication, Session
    from keystead.access.stored import PolicyBinder, PolicyInfo
    from keystead.node.node import Node


def policy_engine(node: Node) -> PolicyEngine:
    """The engine of a node; it is told of each change in the store."""
    grants = AuthenticGrants(node)
    engine = PolicyEngine(lambda: SqlitePolicies(node.store.read()), lambda: _binder(node), node.clock, lambda: grants)
    node.on_change(node.system, engine.forget)
    return engine


def make_gate(node: Node) -> Gate[Any]:
    """The gate of a node, before which its policies decide."""
    return Gate(node.policies, node.recorder, node.write, node.refresh, new_operation_id, clock=node.clock)


def _binder(node: Node) -> PolicyBinder:
    from keystead.access.stored import PolicyBinder  # noqa: PLC0415 - where the owner is alone, nobody pays for it

    return PolicyBinder(node.root.store_id, node.root.integrity_key())


class Supposed(NamedTuple):
    """Whom a trial is about: how a session would be proved, and its principal ("": one without grants). `now_ms` None:
    now."""

    authentication: Authentication
    tags: Mapping[str, str] | None
    context: Mapping[str, str] | None
    now_ms: int | None
    principal: str = ""


class PolicyManager:
    """The use cases on one node's policies. Each passes the gate once."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def write(self, session: Session, name: str, given: Any, expected: int | None) -> PolicyInfo:
        """Write a policy, in the place of the one of its name.

        Raises:
            UsageError: a bad name or document. VersionConflict: `expected` is not the version that is there (0: none).
        """
        from keystead.access.ports import PolicyRow  # noqa: PLC0415 - a rare call
        from keystead.access.statements import parse_document  # noqa: PLC0415 - as above
        from keystead.access.stored import check_policy_name  # noqa: PLC0415 - as above

        check_policy_name(name)
        document = parse_document(given)
        node = self._node
        with node.gate.change(session, "policy:write", f"policy/{name}", "policy_written") as change:
            rows = SqlitePolicies(change.transaction)
            former = rows.get(name)
            _check_expected(name, former, expected)
            now = node.clock.now_ms()
            created = now if former is None else former.created_ms
            version = 1 if former is None else former.version + 1
            row = _binder(node).sealed(PolicyRow(name, document.text, created, now, version, b""))
            rows.put(row)
            change.detail.update(version=version, statements=len(document.statements), head=row.mac[:16].hex())
        self._changed()
        return _info(row)

    def read(self, session: Session, name: str) -> PolicyInfo:
        """A policy.

        Raises:
            PolicyNotFound, UsageError; IntegrityError where it is not what keystead wrote.
        """
        from keystead.access.stored import check_policy_name  # noqa: PLC0415 - a rare call

        check_policy_name(name)
        with self._node.gate.read(session, "policy:read", f"policy/{name}", "policy_read") as detail:
            row = _present(SqlitePolicies(self._node.store.read()).get(name), name)
            detail["version"] = row.version
            return _info(_binder(self._node).check(row))

    def page(self, session: Session, limit: int, after: str | None) -> tuple[list[PolicyInfo], str | None]:
        """A page of the policies that the session may list, in the order of their names, and the name to go on from.

        Raises:
            UsageError: a limit outside 1 to 1,000, or an `after` that is no name. IntegrityError: one was edited.
        """
        from keystead.access.stored import check_policy_name  # noqa: PLC0415 - a rare call

        check_limit(limit)
        if after is not None:
            check_policy_name(after)
        found: list[PolicyInfo] = []
        gate, start = self._node.gate, after or ""
        with gate.read(session, "policy:list", "policy/*", "policies_listed") as detail:
            rows = SqlitePolicies(self._node.store.read())
            binder = _binder(self._node)
            while len(found) <= limit and (page := rows.page(limit + 1, start)):
                start = page[-1].name
                found += [
                    _info(binder.check(row)) for row in page if gate.may(session, "policy:list", f"policy/{row.name}")
                ]
            detail["count"] = min(len(found), limit)
        return found[:limit], found[limit - 1].name if len(found) > limit else None

    def delete(self, session: Session, name: str) -> None:
        """Delete a policy, also one that was edited. Raises PolicyNotFound, UsageError."""
        from keystead.access.stored import check_policy_name  # noqa: PLC0415 - a rare call

        check_policy_name(name)
        with self._node.gate.change(session, "policy:delete", f"policy/{name}", "policy_deleted") as change:
            rows = SqlitePolicies(change.transaction)
            row = _present(rows.get(name), name)
            rows.delete(name)
            change.detail.update(version=row.version, head="")
        self._changed()

    def test(self, session: Session, given: Any, action: str, resource: str, supposed: Supposed) -> Explanation:
        """What one policy, stored or given, would say.

        Raises:
            PolicyNotFound, UsageError; IntegrityError where it is not what keystead wrote.
        """
        from keystead.access import explain  # noqa: PLC0415 - a rare call
        from keystead.access.compile import CompiledSet, Policy  # noqa: PLC0415 - as above
        from keystead.access.statements import parse_document  # noqa: PLC0415 - as above
        from keystead.access.stored import check_policy_name  # noqa: PLC0415 - as above

        name = given if _is_name(given) else ""
        if name:
            check_policy_name(name)
        with self._trying(session, name or "*", action, resource):
            if name:
                row = _binder(self._node).check(_present(SqlitePolicies(self._node.store.read()).get(name), name))
                given = row.document
            policy = Policy(name or "(given)", parse_document(given).statements)
            return explain.explain(CompiledSet((policy,)), action, resource, self._asked(supposed))

    def explain(
        self, session: Session, who: str | tuple[str, ...], action: str, resource: str, supposed: Supposed
    ) -> Explanation:
        """Why a session of this process, or one that had these policies, may do something or not.

        Raises:
            SessionNotFound, PolicyNotFound, UsageError.
        """
        from keystead.access import explain  # noqa: PLC0415 - a rare call

        with self._trying(session, "*", action, resource):
            if isinstance(who, str):
                return self._explain_session(who, action, resource, supposed)
            rows = {row.name for row in SqlitePolicies(self._node.store.read()).named(who)}
            for name in who:
                if name not in rows:
                    raise _missing(name)
            policies, asked = self._node.policies.compiled(who), self._asked(supposed)
            verdict = policies.decide(action, resource, asked)
            looked, verdict = self._by_grants(verdict, action, resource, supposed)
            told = explain.explained(verdict.decision, policies.policies, action, resource, asked)
            return replace(told, grants=looked)

    def _explain_session(self, id_: str, action: str, resource: str, supposed: Supposed) -> Explanation:
        from keystead.access import explain  # noqa: PLC0415 - a rare call
        from keystead.access.compile import Verdict  # noqa: PLC0415 - as above

        node = self._node
        found = node.sessions.get(id_)
        if found is None:
            raise SessionNotFound(
                f"no session {id_} in this process", hint="give the names of the policies of a session elsewhere"
            )
        known = supposed._replace(authentication=found.authentication)
        decision = node.policies.decide(found, action, resource, _facts(supposed))
        policies = () if decision.reason_class == "owner" else node.policies.compiled(found.authentication.policies)
        statements = policies.policies if policies else ()
        told = explain.explained(decision, statements, action, resource, self._asked(known))
        asked = supposed._replace(principal=str(found.principal), now_ms=None)
        return replace(told, grants=self._by_grants(Verdict(decision, volatile=False), action, resource, asked)[0])

    def _by_grants(
        self, verdict: Verdict, action: str, resource: str, supposed: Supposed
    ) -> tuple[tuple[ConsideredGrant, ...], Verdict]:
        """The grants that are looked at where no statement decided, and what they make of the verdict."""
        from keystead.access import explain, grants  # noqa: PLC0415 - a rare call

        undecided = verdict.decision.reason_class in {"granted", *grants.UNDECIDED}
        if not (undecided and supposed.principal and resource.startswith("key/")):
            return (), verdict
        now = self._node.clock.now_ms() if supposed.now_ms is None else supposed.now_ms
        wanted = grants.Wanted(supposed.principal, action, _facts(supposed), now)
        found = AuthenticGrants(self._node).of(resource.removeprefix("key/"), supposed.principal)
        return explain.considered(found, wanted), grants.decided(verdict, grants.kept_first(found), wanted)

    def who_can(self, session: Session, action: str, resource: str) -> Access:
        """Every statement that speaks about this, the grants that allow it, and the sessions here that may do it now.

        Raises:
            UsageError; IntegrityError where a policy is not what keystead wrote.
        """
        from keystead.access import explain  # noqa: PLC0415 - a rare call
        from keystead.access.stored import loaded  # noqa: PLC0415 - as above

        node = self._node
        with self._trying(session, "*", action, resource):
            rows, binder, start = SqlitePolicies(node.store.read()), _binder(node), ""
            spoken: list[Any] = []
            while page := rows.page(1000, start):
                start = page[-1].name
                spoken += explain.speaking((loaded(binder.check(row), binder) for row in page), action, resource)
            able = [
                one.id for one in list(node.sessions.values()) if not one.ended and self._may(one, action, resource)
            ]
            return explain.Access(action, resource, tuple(spoken), tuple(able), self._granting(action, resource))

    def _granting(self, action: str, resource: str) -> tuple[Granted, ...]:
        from keystead.access import explain  # noqa: PLC0415 - a rare call

        if not resource.startswith("key/"):
            return ()
        found = AuthenticGrants(self._node).of(resource.removeprefix("key/"), None)
        return explain.granting(found, action, self._node.clock.now_ms())

    def _may(self, session: Session, action: str, resource: str) -> bool:
        return self._node.gate.may(session, action, resource)

    def _trying(self, session: Session, name: str, action: str, resource: str) -> Any:
        from keystead.access.patterns import segments_of  # noqa: PLC0415 - a rare call
        from keystead.access.statements import check_action  # noqa: PLC0415 - as above

        check_action(action)
        if not isinstance(resource, str) or not resource.isprintable() or segments_of(resource) is None:
            raise UsageError("not a resource", hint="write it as kind and name, such as secret/db/password")
        return self._node.gate.read(session, "policy:test", f"policy/{name}", "policy_tested")

    def _asked(self, supposed: Supposed) -> Asked:
        now = self._node.clock.now_ms() if supposed.now_ms is None else supposed.now_ms
        return Asked(supposed.authentication, _facts(supposed), now)

    def _changed(self) -> None:
        # Every session may be allowed less than a moment ago.
        self._node._end_periods()


def _facts(supposed: Supposed) -> dict[str, Mapping[str, str]]:
    given = {"tags": supposed.tags, "context": supposed.context}
    return {name: value for name, value in given.items() if value is not None}


def _is_name(given: Any) -> bool:
    return isinstance(given, str) and not given.lstrip().startswith("{")


def _present(row: PolicyRow | None, name: str) -> PolicyRow:
    if row is None:
        raise _missing(name)
    return row


def _missing(name: str) -> PolicyNotFound:
    return PolicyNotFound(f"no policy {name!r} in this store", hint="keystead policy list")


def _check_expected(name: str, former: PolicyRow | None, expected: int | None) -> None:
    if expected is None:
        return
    if type(expected) is not int or expected < 0:
        raise UsageError("expected_version must be 0 (must not exist) or a version's number")
    current = 0 if former is None else former.version
    if current != expected:
        raise VersionConflict(
            f"policy {name} is at version {current}, not {expected}",
            expected=expected,
            current=current,
            hint="read it again, and repeat the change if it is still wanted",
        )


def _info(row: PolicyRow) -> PolicyInfo:
    import json  # noqa: PLC0415 - a rare call

    from keystead.access.stored import PolicyInfo  # noqa: PLC0415 - as above

    fields = json.loads(row.document)
    return PolicyInfo(
        row.name,
        row.version,
        row.created_ms,
        row.updated_ms,
        fields.get("description", ""),
        len(fields["statements"]),
        fields,
    )

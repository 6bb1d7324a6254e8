"""Policies of an open store: the engine that decides, and writing, reading, listing and deleting policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keystead.access.engine import PolicyEngine
from keystead.gate import Gate, missing, require_expected
from keystead.node.grants import AuthenticGrants
from keystead.node.recorder import new_operation_id
from keystead.secrets.read import check_limit
from keystead.storage.policies import SqlitePolicies

if TYPE_CHECKING:
    from keystead.access.ports import PolicyRow
    from keystead.access.session import Session
    from keystead.access.stored import PolicyBinder, PolicyInfo
    from keystead.node.node import Node


def policy_engine(node: Node) -> PolicyEngine:
    """The engine of a node; it is told of each change in the store."""
    grants = AuthenticGrants(node)
    engine = PolicyEngine(
        lambda: SqlitePolicies(node.store.read()), lambda: binder_of(node), node.clock, lambda: grants
    )
    node.on_change(node.system, engine.forget)
    return engine


def make_gate(node: Node) -> Gate[Any]:
    """The gate of a node, before which its policies decide."""
    return Gate(node.policies, node.recorder, node.write, node.refresh, new_operation_id, clock=node.clock)


def binder_of(node: Node) -> PolicyBinder:
    """What checks the policies of a node's store."""
    from keystead.access.stored import PolicyBinder  # noqa: PLC0415 - where the owner is alone, nobody pays for it

    return PolicyBinder(node.root.store_id, node.root.integrity_key())


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
        from keystead.access.statements import new_document  # noqa: PLC0415 - as above
        from keystead.access.stored import check_policy_name  # noqa: PLC0415 - as above

        check_policy_name(name)
        document = new_document(given)
        node = self._node
        with node.gate.change(session, "policy:write", f"policy/{name}", "policy_written") as change:
            rows = SqlitePolicies(change.transaction)
            former = rows.get(name)
            require_expected(f"policy {name}", 0 if former is None else former.version, expected)
            now = node.clock.now_ms()
            created = now if former is None else former.created_ms
            version = 1 if former is None else former.version + 1
            row = binder_of(node).sealed(PolicyRow(name, document.text, created, now, version, b""))
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
            row = present(SqlitePolicies(self._node.store.read()).get(name), name)
            detail["version"] = row.version
            return _info(binder_of(self._node).check(row))

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
            binder = binder_of(self._node)
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
            row = present(rows.get(name), name)
            rows.delete(name)
            change.detail.update(version=row.version, head="")
        self._changed()

    def _changed(self) -> None:
        # Every session may be allowed less than a moment ago.
        self._node.periods.end()


def present(row: PolicyRow | None, name: str) -> PolicyRow:
    """The row, if there is one. Raises PolicyNotFound."""
    if row is None:
        raise missing("policy", name)
    return row


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

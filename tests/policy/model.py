"""What a policy means, in the fewest lines: each statement in turn, each segment in turn, no tree and no regex."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime
from typing import Any, NamedTuple

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Call(NamedTuple):
    """A call as the model sees it; None is not known."""

    action: str
    resource: str
    now_ms: int = 0
    method: str = "local"
    source: str = ""
    mfa_ms: int | None = None
    tags: dict[str, str] | None = None
    context: dict[str, str] | None = None


def segment(pattern: str, given: str) -> bool:
    return given[: len(pattern) - 1] == pattern[:-1] if pattern[-1:] == "*" else pattern == given


def names(pattern: str, resource: str) -> bool:
    wanted, given = pattern.split("/"), resource.split("/")
    if wanted[-1] == "**":
        return len(given) >= len(wanted) and all(map(segment, wanted[:-1], given))
    return len(wanted) == len(given) and all(map(segment, wanted, given))


def acts(listed: list[str], action: str) -> bool:
    return any(one in ("*", action) or (one[-2:] == ":*" and one[:-1] == action[: len(one) - 1]) for one in listed)


def holds(name: str, want: Any, call: Call) -> bool | None:
    if name == "method":
        return call.method in want
    if name == "mfa_age":
        limit = int(want[:-1]) * {"s": 1, "m": 60, "h": 3600}[want[-1]] * 1000
        return None if call.mfa_ms is None else call.mfa_ms <= call.now_ms <= call.mfa_ms + limit
    if name == "tags":
        return None if call.tags is None else want.items() <= call.tags.items()
    if name == "context":
        found = call.context
        same = found is not None and want.get("equals", found) == found
        return None if found is None else same and want.get("contains", {}).items() <= found.items()
    if name == "source":
        address = ipaddress.ip_address(call.source) if call.source else None
        return None if address is None else any(address in ipaddress.ip_network(one) for one in want)
    now = datetime.fromtimestamp(call.now_ms / 1000, UTC)
    after, before = (datetime.fromisoformat(want[end]) if end in want else now for end in ("after", "before"))
    in_span = after <= now and ("before" not in want or now < before)
    hours = want.get("hours", "00:00-24:00")
    spans = [one.split("-") for one in ([hours] if isinstance(hours, str) else hours)]
    clock = now.strftime("%H:%M")
    return in_span and DAYS[now.weekday()] in want.get("days", DAYS) and any(a <= clock < b for a, b in spans)


def applies(statement: dict[str, Any], call: Call) -> bool:
    held = [holds(name, want, call) for name, want in statement.get("conditions", {}).items()]
    met = False not in held and (None not in held or statement["effect"] == "deny")
    named = any(names(pattern, call.resource) for pattern in statement["resources"])
    return met and named and acts(statement["actions"], call.action)


def allows(policies: list[dict[str, Any]], call: Call) -> bool:
    """Never where a deny applies, else where an allow applies, else not; never for a resource in another spelling."""
    if any(part in ("", ".", "..") for part in call.resource.split("/")):
        return False
    effects = [one["effect"] for policy in policies for one in policy["statements"] if applies(one, call)]
    return "allow" in effects and "deny" not in effects


class Given(NamedTuple):
    """A grant as the model sees it."""

    key: str
    grantee: str
    operations: set[str]
    equals: dict[str, str] | None = None
    subset: dict[str, str] | None = None
    end_ms: int | None = None


def permits(grant: Given, operation: str, context: dict[str, str] | None) -> bool:
    """Whether its constraints hold: for what manages grants and keys there are none."""
    if operation in ("read", "create-grant", "retire-grant") or (grant.equals is None and grant.subset is None):
        return True
    given = context or {}
    contained = all(given.get(name) == value for name, value in (grant.subset or {}).items())
    return context is not None and (grant.equals is None or grant.equals == given) and contained


def gives(grant: Given, principal: str, call: Call) -> bool:
    operation = call.action.removeprefix("key:")
    live = grant.end_ms is None or call.now_ms < grant.end_ms
    named = grant.grantee == principal and call.resource == f"key/{grant.key}" and operation in grant.operations
    # A grant to make or retire grants is asked with the grant that it is about; without one it gives nothing.
    return live and named and operation[-6:] != "-grant" and permits(grant, operation, call.context)


def allows_with(policies: list[dict[str, Any]], grants: list[Given], principal: str, call: Call) -> bool:
    """As before, or by a grant where no deny applies."""
    denied = any(one["effect"] == "deny" and applies(one, call) for policy in policies for one in policy["statements"])
    return allows(policies, call) or (not denied and any(gives(grant, principal, call) for grant in grants))


def within(wanted: Given, parent: Given, contexts: list[dict[str, str]]) -> bool:
    """Whether a grant gives nothing beyond another, tried with each of these contexts, operation by operation."""
    ends = parent.end_ms is None or (wanted.end_ms is not None and wanted.end_ms <= parent.end_ms)
    tried = [(one, context) for one in wanted.operations for context in contexts if permits(wanted, one, context)]
    return ends and all(one in parent.operations and permits(parent, one, context) for one, context in tried)

"""The policies that docs/policies.md shows allow and deny what it says of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.docs.pages import blocks

from keystead.access.asked import Asked
from keystead.access.compile import CompiledSet, Policy
from keystead.access.policy import Action
from keystead.access.session import Authentication
from keystead.access.statements import Statement, parse_document
from keystead.errors import UsageError

SHOWN = {
    found["description"]: found
    for block in blocks("docs/policies.md")
    if block.language == "json"
    for found in [json.loads(block.text)]
}
NOON = 1_795_521_600_000  # a Tuesday
OFFICE = {"source": "192.0.2.9"}
CONTEXT = {"tenant": "acme", "order": "7"}
CASES: list[tuple[str, str, str, dict[str, Any], bool]] = [
    ("least privilege for an app", "secret:read", "secret/shop/db/password", {}, True),
    ("least privilege for an app", "data:decrypt", "data-key/*", {}, True),
    ("least privilege for an app", "secret:read", "secret/bank/db", {}, False),
    ("least privilege for an app", "secret:write", "secret/shop/db", {}, False),
    ("least privilege for an app", "secret:list", "secret/shop/*", {}, False),
    ("an auditor", "audit:verify", "audit", {}, True),
    ("an auditor", "secret:list", "secret/*", {}, True),
    ("an auditor", "secret:read", "secret/shop/db", {}, False),
    ("an auditor", "policy:write", "policy/x", {}, False),
    ("an operator", "secret:rotate", "secret/shop/db", OFFICE, True),
    ("an operator", "secret:rotate", "secret/shop/db", {}, False),
    ("an operator", "data-key:destroy", "data-key/x", OFFICE, False),
    ("an operator", "data-key:destroy", "data-key/x", {**OFFICE, "mfa_ms": NOON - 899_999}, True),
    ("an operator", "data-key:destroy", "data-key/x", {**OFFICE, "mfa_ms": NOON - 900_001}, False),
    ("an operator", "secret:read", "secret/shop/db", OFFICE, False),
    ("production stands still outside hours", "secret:write", "secret/prod/db", {}, True),
    ("production stands still outside hours", "secret:write", "secret/prod/db", {"hours": 6}, False),
    ("production stands still outside hours", "secret:write", "secret/prod/db", {"hours": -4 - 1 / 3600}, False),
    ("production stands still outside hours", "secret:write", "secret/prod/db", {"hours": 4 * 24}, False),
    ("production stands still outside hours", "secret:read", "secret/prod/db", {"hours": 6}, True),
    ("production stands still outside hours", "secret:write", "secret/dev/db", {"hours": 6}, True),
    ("one tenant by its encryption context", "key:decrypt", "key/orders", {"context": CONTEXT}, True),
    ("one tenant by its encryption context", "key:decrypt", "key/orders", {"context": {"tenant": "Acme"}}, False),
    ("one tenant by its encryption context", "key:decrypt", "key/orders", {}, False),
    ("one tenant by its encryption context", "key:decrypt", "key/other", {"context": CONTEXT}, False),
]


def read(title: str) -> tuple[Statement, ...]:
    """The statements of a policy that is shown; those about named keys once there are such actions."""
    try:
        return parse_document(SHOWN[title]).statements
    except UsageError:
        assert title.startswith("one tenant") and "key:decrypt" not in set(Action)
        pytest.skip("there are no named keys yet")


@pytest.mark.parametrize(("title", "action", "resource", "how", "expected"), CASES)
def test_a_policy_that_is_shown_does_what_is_said(
    title: str, action: str, resource: str, how: dict[str, Any], expected: bool
) -> None:
    policies = [Policy("shown", read(title))]
    if title.startswith("production"):
        wide = {"id": "w", "effect": "allow", "actions": ["*"], "resources": ["**"]}
        policies.append(Policy("beside", parse_document({"version": 1, "statements": [wide]}).statements))
    facts = {"context": how["context"]} if "context" in how else None
    proved = Authentication(source=how.get("source", ""), mfa_ms=how.get("mfa_ms"))
    asked = Asked(proved, facts, NOON + round(how.get("hours", 0) * 3_600_000))
    assert CompiledSet(policies).decide(action, resource, asked).decision.allowed is expected


def test_every_policy_that_is_shown_has_its_cases() -> None:
    assert {case[0] for case in CASES} | {"what it is for"} == set(SHOWN)

"""`keystead policy`: written from a file, read back, listed, tried, explained, removed; mistakes told by place."""

from __future__ import annotations

import json

import pytest
from tests.cli.conftest import Commands

GOOD = json.dumps(
    {
        "version": 1,
        "description": "for the shop",
        "statements": [
            {
                "id": "read",
                "effect": "allow",
                "actions": ["secret:read"],
                "resources": ["secret/shop/*"],
                "conditions": {"source": ["10.0.0.0/8"]},
            }
        ],
    }
)


@pytest.fixture
def shop(ks: Commands) -> Commands:
    (ks.folder / "shop.json").write_text(GOOD)
    ks.good("policy", "write", "shop", "shop.json")
    return ks


def test_a_policy_is_written_read_listed_and_removed(shop: Commands) -> None:
    assert json.loads(shop.good("policy", "read", "shop").text) == json.loads(GOOD)
    assert "version 2" in shop.good("policy", "write", "shop", "-", input=GOOD).err
    assert shop("policy", "write", "shop", "-", "--expected-version", "0", input=GOOD).code == 6
    assert shop.good("policy", "ls").text.split("\t")[0] == "shop"
    for words in (["read", "shop"], ["list"], ["who-can", "secret:read", "secret/shop/a"]):
        assert shop.good("policy", *words, "--json").document["schema"].startswith("keystead.")
    assert shop("policy", "rm", "shop").code == 2
    shop.good("policy", "rm", "shop", "--yes")
    assert (shop("policy", "read", "shop").code, shop.good("policy", "list").text) == (3, "")


def test_a_trial_tells_whether_and_why_and_ends_with_4_where_it_would_be_denied(shop: Commands) -> None:
    asked = ("secret:read", "secret/shop/a")
    allowed = shop.good("policy", "test", "shop", *asked, "--source", "10.1.1.1")
    assert allowed.text.startswith("allowed: statement read of policy shop allows it\n")
    denied = shop("policy", "test", "shop", *asked, "--json")
    assert (denied.code, denied.document["reason_class"]) == (4, "condition")
    given = shop.good("policy", "test", "-", *asked, "--file", "--source", "10.1.1.1", input=GOOD)
    assert "policy (given)" in given.text
    explained = shop.good("policy", "explain", "shop", *asked)
    assert "source cannot be told" in explained.text
    assert shop.good("policy", "who-can", *asked).text == "shop\tread\tallow\tsource\n"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["write", "Shop", "shop.json"], 2, "not the name of a policy"), (["write", "root", "shop.json"], 2, "root"),
        (["write", "shop", "nowhere.json"], 1, "nowhere.json"),
        (["test", "none", "secret:read", "secret/a"], 3, "none"),
        (["test", "shop", "secret:look", "secret/a"], 2, "secret:read"),
        (["test", "shop", "secret:read", "a//b"], 2, "kind"),
        (["explain", "shop,none", "secret:read", "secret/a"], 3, "none"),
        (["explain", "shop", "secret:read", "secret/a", "--at", "noon"], 2, "2026-11-24T08:00:00Z"),
        (["explain", "shop", "secret:read", "secret/a", "--mfa-age", "5"], 2, "duration"),
        (["explain", "ses_1", "secret:read", "secret/a"], 2, "id of a session"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_what_to_do(shop: Commands, words: list[str], code: int, said: str) -> None:
    done = shop("policy", *words)
    assert (done.code, done.out) == (code, b"")
    assert said in done.err
    assert "next" in done.err


def test_what_is_wrong_with_a_document_is_told_by_statement_and_field(shop: Commands) -> None:
    for former, wrong, said in (
        ('"allow"', '"Allow"', "statement read: effect: must be allow or deny"),
        ("secret:read", "secret:look", "statement read: actions 1: 'secret:look' is no action"),
        ("shop/*", "shop*/x*y", "statement read: resources 1: 'secret/shop*/x*y' has * elsewhere"),
        ("10.0.0.0/8", "10.0.0.1/8", "statement read: conditions: source: '10.0.0.1/8' is no network"),
        ('"version": 1', '"version": 1, "version": 1', "field 'version' stands twice"),
        ("{", "", "the policy is not JSON"),
    ):
        done = shop("policy", "write", "shop", "-", input=GOOD.replace(former, wrong, 1))
        assert done.code == 2
        assert said in done.err
    assert shop.good("policy", "read", "shop", "--json").document["version"] == 1

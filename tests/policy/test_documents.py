"""A policy document means one thing or is refused, by the name of the statement and the field."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.policy.conftest import allow, document

import keystead
from keystead.access.conditions import METHODS
from keystead.access.policy import Action
from keystead.access.statements import MAX_DOCUMENT, new_document, parse_document
from keystead.errors import UsageError

GOOD = document({"id": "read-db", **allow("secret/db/*", actions=("secret:read",))})
VECTORS = Path(__file__).parents[1] / "vectors" / "data" / "keystead_own"


def changed(**fields: Any) -> dict[str, Any]:
    """The good document with fields of its statement changed; None takes one away."""
    statement = {**GOOD["statements"][0], **fields}
    return {**GOOD, "statements": [{name: value for name, value in statement.items() if value is not None}]}


def test_the_form_that_the_documents_show_is_read_whole() -> None:
    text = json.dumps(
        {
            "version": 1,
            "description": "what it is for",
            "statements": [
                {
                    "id": "a",
                    "effect": "allow",
                    "actions": ["secret:read", "policy:*", "*"],
                    "resources": ["secret/db/*", "secret/app/**", "policy/orders", "secret/app-*", "**", "*", "*/x"],
                    "conditions": {
                        "time": {
                            "after": "2026-01-01T00:00:00Z",
                            "before": "2027-01-01T00:00:00+01:00",
                            "hours": ["08:00-18:00", "20:00-24:00"],
                            "days": ["mon", "sun"],
                        },
                        "source": ["10.0.0.0/8", "2001:db8::/32", "192.0.2.1"],
                        "tags": {"env": "prod"},
                        "method": ["password", "local"],
                        "mfa_age": "15m",
                        "context": {"equals": {"a": "b"}, "contains": {"a": "b"}},
                    },
                }
            ],
        }
    )
    read = parse_document(text)
    assert read.description == "what it is for"
    assert [condition.name for condition in read.statements[0].conditions] == [
        "time", "source", "tags", "method", "mfa_age", "context",
    ]  # fmt: skip
    assert json.loads(read.text) == json.loads(text)


@pytest.mark.parametrize("action", [*Action, "*", *sorted({f"{each.partition(':')[0]}:*" for each in Action})])
def test_every_action_and_every_noun_can_be_named(action: str) -> None:
    assert parse_document(changed(actions=[action])).statements[0].actions == (action,)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"id": None}, "id"), ({"id": ""}, "id"), ({"id": " x"}, "id"), ({"id": 3}, "id"), ({"id": "a" * 65}, "id"),
        ({"effect": None}, "effect"), ({"effect": "Allow"}, "effect"), ({"effect": "allow "}, "effect"),
        ({"effect": "permit"}, "effect"), ({"effect": True}, "effect"),
        ({"actions": None}, "actions"), ({"actions": []}, "actions"), ({"actions": "*"}, "actions"),
        ({"actions": ["secret:look"]}, "actions"), ({"actions": ["Secret:read"]}, "actions"),
        ({"actions": ["secret:read "]}, "actions"), ({"actions": ["secret:r*"]}, "actions"),
        ({"actions": ["*:read"]}, "actions"), ({"actions": ["secret"]}, "actions"),
        ({"actions": ["nothing:*"]}, "actions"),
        ({"actions": ["secret:read", "secret:read"]}, "actions"), ({"actions": [["secret:read"]]}, "actions"),
        ({"actions": ["secret:**"]}, "actions"), ({"actions": [""]}, "actions"),
        ({"resources": None}, "resources"), ({"resources": []}, "resources"), ({"resources": {"a": 1}}, "resources"),
        ({"resources": ["a", "a"]}, "resources"), ({"resources": [None]}, "resources"),
        ({"conditions": []}, "conditions"), ({"conditions": None, "condition": {}}, "condition"),
        ({"Effect": "allow"}, "Effect"), ({"principal": "*"}, "principal"), ({"notActions": ["*"]}, "notActions"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_refused_by_the_name_of_its_statement(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_document(changed(**fields))
    assert re.match(r"statement (read-db|1): ", refused.value.message)
    assert field in refused.value.message
    assert refused.value.hint


@pytest.mark.parametrize(
    "resource",
    ["", "/", "/secret", "secret/", "secret//a", "secret/./a", "secret/../a", "..", ".", "secret/a*b", "secret/*a",
     "secret/**/a", "secret/a**", "***", "secret/***", "**/a", "secret/+", "secret/a b", " secret/a", "secret/a ",
     "Secret/a", "SECRET/*", "secret/{{name}}", "secret/$a", "secret/a?", "secret/[a]", "secret/é", "secret/a\n",
     "secret/a\\b", "secret/%2e%2e",
     "secrets/prod/**", "secret-s/a", "sekret/**", "sx*/a", "keys/a", "store/*", "audit/**",
     "secret/a\0", "secret/" + "a" * 700],
)  # fmt: skip
def test_a_resource_with_another_wildcard_or_spelling_is_refused(resource: str) -> None:
    if resource == "secret/+":  # a plus is a character of names, and no wildcard
        assert parse_document(changed(resources=[resource])).statements[0].resources == (("secret", "+"),)
        return
    with pytest.raises(UsageError, match="statement read-db: resources 1: "):
        parse_document(changed(resources=[resource]))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Time", {"hours": "08:00-18:00"}), ("ip", ["10.0.0.0/8"]), ("time", {}), ("time", []), ("time", {"at": "x"}),
        ("time", {"after": "2026-01-01"}), ("time", {"after": "2026-01-01T00:00:00"}), ("time", {"after": 3}),
        ("time", {"after": "2026-13-01T00:00:00Z"}), ("time", {"before": "2026-01-01T25:00:00Z"}),
        ("time", {"after": "2026-01-02T00:00:00Z", "before": "2026-01-01T00:00:00Z"}),
        ("time", {"hours": "18:00-08:00"}), ("time", {"hours": "8:00-18:00"}), ("time", {"hours": "08:00-24:01"}),
        ("time", {"hours": []}), ("time", {"hours": "08:00-08:00"}), ("time", {"hours": 8}),
        ("time", {"days": ["Mon"]}),
        ("time", {"days": ["mon", "mon"]}), ("time", {"days": "mon"}), ("time", {"hours": "٠٨:00-18:00"}),
        ("source", "10.0.0.0/8"), ("source", []), ("source", ["10.0.0.1/8"]), ("source", ["10.0.0"]),
        ("source", ["any"]),
        ("source", [167772160]), ("tags", {}), ("tags", {"a": 1}), ("tags", {"a": ["b"]}), ("tags", ["a"]),
        ("method", "local"), ("method", []), ("method", ["Local"]), ("method", ["lo cal"]), ("mfa_age", 300),
        ("mfa_age", "300"), ("mfa_age", "0s"), ("mfa_age", ""), ("context", {}), ("context", {"a": "b"}),
        ("context", {"equals": {"a": 1}}), ("context", {"contains": {}}), ("context", {"equals": None}),
    ],
)  # fmt: skip
def test_a_condition_that_is_unknown_or_wrong_is_refused_by_its_name(name: str, value: Any) -> None:
    with pytest.raises(UsageError, match="statement read-db: conditions: ") as refused:
        parse_document(changed(conditions={name: value}))
    assert name in refused.value.message


@pytest.mark.parametrize(
    "given",
    [
        {}, {**GOOD, "version": 2}, {**GOOD, "version": True}, {**GOOD, "version": "1"}, {**GOOD, "version": 1.0},
        {**GOOD, "statements": []}, {**GOOD, "statements": {}}, {**GOOD, "statements": [1]}, {**GOOD, "name": "x"},
        {**GOOD, "description": 3}, {**GOOD, "description": "a\nb"}, {**GOOD, "description": "a" * 513},
        {"version": 1, "statements": [GOOD["statements"][0], GOOD["statements"][0]]},
        {**GOOD, "x": object()}, {**GOOD, "x": float("nan")}, {**GOOD, 1: "a", "1": "b"},
        {"version": 1, "statements": GOOD["statements"] * 201},
        "", "[]", "3", "null", '"{}"', "{", "{'version': 1}", 3, None, ["{}"], b"\xff", "[" * 60_000,
        "x" * (MAX_DOCUMENT + 1),
    ],
)  # fmt: skip
def test_what_is_no_policy_is_a_usage_error(given: Any) -> None:
    with pytest.raises(UsageError) as refused:
        parse_document(given)
    assert refused.value.message


@pytest.mark.parametrize("place", ['{"version":1,', '"effect":"deny",'])
def test_a_field_that_stands_twice_is_refused(place: str) -> None:
    text = json.dumps(GOOD, separators=(",", ":"))
    twice = (
        text.replace('{"version":1,', '{"version":1,"version":1,', 1)
        if "version" in place
        else text.replace('"effect":"allow",', '"effect":"deny","effect":"allow",', 1)
    )
    assert twice != text
    with pytest.raises(UsageError, match="stands twice"):
        parse_document(twice)


def test_hostile_json_is_a_usage_error() -> None:
    cases = json.loads((VECTORS / "hostile_json.json").read_text("utf-8"))
    texts = [value for value in walk(cases) if isinstance(value, str)]
    assert len(texts) > 10
    for text in texts:
        with pytest.raises(UsageError):
            parse_document(text)


def walk(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [found for one in value.values() for found in walk(one)]
    if isinstance(value, list):
        return [found for one in value for found in walk(one)]
    return [value]


def test_a_document_that_is_kept_longer_than_it_was_given_is_refused_when_it_is_written() -> None:
    """What is kept is ASCII, so that a letter may take six bytes; what is read again must not be too long then."""
    for letter, many in (("e", 100), ("é", 60), ("😀", 30)):
        tags = {f"k{number}": letter * 500 for number in range(many)}
        text = json.dumps(document(allow(tags=tags)), ensure_ascii=False)
        assert len(text) < MAX_DOCUMENT
        try:
            kept = parse_document(text).text
        except UsageError as error:
            assert "longer than 65536 bytes" in error.message
            assert letter != "e"
        else:
            assert letter == "e"
            assert parse_document(kept).text == kept


@pytest.mark.parametrize("kind", ["secret", "key", "random", "token"])
def test_a_kind_without_its_name_is_refused_where_it_is_written(kind: str) -> None:
    """No resource is called so: an allow of it would allow nothing, and a deny deny nothing, unseen."""
    bare = changed(resources=["config", kind])
    with pytest.raises(UsageError, match=rf"statement read-db: resources 2: '{kind}' has no name: write {kind}/NAME"):
        new_document(bare)
    # One that an earlier keystead took is not one that nobody understands, which would deny all that is beside it.
    assert parse_document(bare).statements[0].resources == (("config",), (kind,))
    assert new_document(changed(resources=["*", "s*", "**", "config", f"{kind}/**"]))


def test_a_method_that_there_is_none_of_is_refused_where_it_is_written() -> None:
    """A deny by it would deny nothing, unseen."""
    misspelled = changed(conditions={"method": ["password", "pasword"]})
    with pytest.raises(UsageError, match=r"statement read-db: conditions: method: there is no 'pasword': there are "):
        new_document(misspelled)
    assert parse_document(misspelled).statements[0].conditions[0].name == "method"
    assert new_document(changed(conditions={"method": list(METHODS)}))


def test_the_methods_of_a_condition_are_those_of_logins_and_the_owners_own(tmp_path: Path) -> None:
    with keystead.connect(tmp_path / "app.db", master_key=keystead.generate_master_key()) as store:
        assert {*METHODS} == {*store.kms.node.identities.logins.methods, "local", "token"}

"""Every route, with its guard: asked for by nobody, by who holds another right, and by who holds none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.server.conftest import ADMINISTRATOR, Server

from keystead.api.endpoint import Endpoint
from keystead.api.shapes import Maybe
from keystead.server.routes import Routes

ENDPOINTS = Routes().all()
OWN = {"whoami", "lookup", "renew", "revoke", "verify_second_factor"}
"""What anybody may do with the access token that is shown."""
SAMPLES: dict[str, Any] = {
    "operation": "encrypt",
    "items": [{"plaintext": "AAAA"}],
    "plaintexts": ["AAAA"],
    "ciphertexts": ["AAAA"],
    "type": "ed25519",
    "kind": "jwt",
    "action": "secret:read",
    "resource": "secret/guarded",
    "names": ["guarded"],
    "values": {"guarded": "x"},
    "who": ["elsewhere"],
    "document": ADMINISTRATOR,
    "policy": "elsewhere",
    "config": {},
    "password": "correct horse battery",
    "passphrase": "correct horse battery staple",
    "principal": "user:guarded",
    "accessor": f"acc_{'0' * 32}",
    "secret_id": "guarded",
    "length": 32,
    "code": "123456",
    "context": {"a": "b"},
    "grantee": "user:guarded",
    "operations": ["encrypt"],
    "grant_id": f"grt_{'0' * 32}",
}
CHOSEN = {"grants.list": {"key": "guarded"}}
"""What an operation takes one of."""
NAMES = {"id": f"ses_{'0' * 32}", "accessor": f"acc_{'0' * 32}"}
"""What stands in a path where that is no name of a person's choice."""
PROVED = {
    "identities.lookup_secret_id": 401,
    "identities.write_auth_method": 400,
    "keys.owner": 400,
    "keys.restore": 422,
}
"""What is refused before anybody is asked, since what is given here proves or holds nothing."""


def sample(schema: dict[str, Any]) -> Any:
    """Some value of a schema."""
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return sample(schema["anyOf"][0])
    if "contentEncoding" in schema:
        return "AAAA"
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    return {"integer": 1, "boolean": True, "array": [], "object": {}, "number": 1.0}.get(kind, "guarded")


def asked(endpoint: Endpoint) -> tuple[str, str, bytes]:
    """A request that has everything it must have."""
    name = NAMES.get(endpoint.path_parameter, "guarded")
    path = endpoint.before + (f"{name}{endpoint.verb}" if endpoint.path_parameter else "")
    members = {}
    for _, name, shape, required in endpoint.given:
        if required:
            inner = shape.inner if isinstance(shape, Maybe) else shape
            members[name] = SAMPLES.get(name, sample(next(iter(inner.members(name).values()))))
    members |= CHOSEN.get(endpoint.operation.id, {})
    if endpoint.in_query:
        query = "&".join(f"{name}={value}" for name, value in members.items())
        return endpoint.operation.verb, f"{path}?{query}" if query else path, b""
    return endpoint.operation.verb, path, json.dumps(members).encode()


@pytest.fixture(scope="module")
def without_rights(server: Server) -> str:
    """The access token of who holds a right on something else."""
    with server.connect() as connection:
        kms = connection.kms
        statement = {"id": "x", "effect": "allow", "actions": ["*"], "resources": ["secret/elsewhere/*"]}
        kms.policies.write("elsewhere", {"version": 1, "statements": [statement]})
        kms.store_secret("guarded", "HIDDEN-VALUE")
        kms.keys.create("guarded")
        role = kms.identities.create_role("elsewhere", policies=["elsewhere"])
        secret_id = kms.identities.create_secret_id("elsewhere")
        return connection.login("role", role_id=role.role_id, secret_id=secret_id.reveal()).reveal()


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.operation.id)
def test_nobody_is_told_to_log_in(server: Server, endpoint: Endpoint) -> None:
    method, path, body = asked(endpoint)
    answer = server.request(method, path, body or None, token=None)
    assert (answer.status, answer.json["code"]) == (401, "KS1611")


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.operation.id)
def test_who_holds_no_right_is_refused_or_told_that_there_is_nothing(
    server: Server, without_rights: str, endpoint: Endpoint
) -> None:
    if endpoint.operation.method in OWN:
        pytest.skip("anybody may do that with the token that is shown")
    method, path, body = asked(endpoint)
    answer = server.request(method, path, body or None, token=without_rights)
    assert b"HIDDEN-VALUE" not in answer.body
    if endpoint.operation.method == "get_secrets":
        # Skipping what was never held does not skip what is denied.
        assert answer.status == 404
    elif endpoint.is_batch:
        assert [item["error"]["code"] for item in answer.json["items"]] == ["KS1105"]
    else:
        assert answer.status in (403, 404, PROVED.get(endpoint.operation.id, 404)), answer.json


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.operation.id)
def test_a_member_that_nobody_knows_is_refused(server: Server, endpoint: Endpoint) -> None:
    if endpoint.in_query:
        method, path, _ = asked(endpoint)
        answer = server.request(method, f"{path}{'&' if '?' in path else '?'}mistyped=1")
    else:
        method, path, body = asked(endpoint)
        answer = server.request(method, path, {**json.loads(body), "mistyped": 1})
    assert (answer.status, answer.json["code"]) == (400, "KS1001")
    assert "not known" in answer.json["detail"]
    assert "mistyped" not in answer.body.decode()


def test_the_document_has_each_route_once_and_each_reference_leads_somewhere(server: Server) -> None:
    document = server.request("GET", "/api/v1/openapi.json", token=None).json
    found = {(path, verb.upper()) for path, verbs in document["paths"].items() for verb in verbs}
    logins = {(f"/api/v1/login/{method}", "POST") for method in ("password", "role", "jwt", "certificate")}
    operations = {(f"/api/v1{each.operation.path}", each.operation.verb) for each in ENDPOINTS}
    assert found == operations | logins | {("/api/v1/changes", "GET")}
    names = [verb["operationId"] for verbs in document["paths"].values() for verb in verbs.values()]
    assert len(names) == len(set(names))
    assert '"$ref": "#/components/schemas/Problem"' in json.dumps(document)


def test_the_document_tells_all_that_answers_have(server: Server) -> None:
    document = server.request("GET", "/api/v1/openapi.json", token=None).json
    server.request("PUT", "/api/v1/secrets/told", {"value": "x"})
    for method, path, template in (
        ("GET", "/whoami", "/whoami"),
        ("POST", "/tokens:renew", "/tokens:renew"),
        ("GET", "/secrets/told", "/secrets/{name}"),
        ("GET", "/changes", "/changes"),
        ("POST", "/data:begin-stream", "/data:begin-stream"),
    ):
        described = document["paths"][f"/api/v1{template}"][method.lower()]["responses"]["200"]
        answer = server.request(method, f"/api/v1{path}", {} if method == "POST" else None)
        told = described["content"]["application/json"]["schema"]["properties"]
        assert answer.status == 200
        assert answer.json.keys() - told.keys() == set(), path
    backup = document["paths"]["/api/v1/maintenance:backup"]["post"]
    assert backup["responses"]["200"]["content"].keys() == {"application/octet-stream"}
    assert "to" not in backup["requestBody"]["content"]["application/json"]["schema"]["properties"]

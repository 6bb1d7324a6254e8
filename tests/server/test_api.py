"""The paths that a client meets first, asked for over real sockets."""

from __future__ import annotations

import base64
import json
import re
import subprocess

import pytest
from tests.docs.pages import section
from tests.server.conftest import Server

PLAIN = base64.b64encode(b"hello").decode()


def test_the_first_paths_do_what_they_say(server: Server) -> None:
    made = server.request("POST", "/api/v1/keys", {"name": "first/orders", "type": "aes-256-gcm"})
    assert (made.status, made.json["name"]) == (201, "first/orders")
    for _ in range(3):  # the slow way, then the short one
        sealed = server.request(
            "POST", "/api/v1/keys/first/orders:encrypt", {"plaintext": PLAIN, "context": {"tenant": "acme"}}
        )
        assert sealed.status == 200
        assert sealed.json["key_version"] == 1
        opened = server.request(
            "POST",
            "/api/v1/keys/first/orders:decrypt",
            {"ciphertext": sealed.json["ciphertext"], "context": {"tenant": "acme"}},
        )
        assert opened.json == {"plaintext": PLAIN}
    members = server.request("GET", "/api/v1/openapi.json", token=None).json["paths"]
    told = members["/api/v1/keys/{name}:encrypt"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert set(told["required"]) == set(sealed.json)
    wrong = server.request(
        "POST", "/api/v1/keys/first/orders:decrypt", {"ciphertext": sealed.json["ciphertext"], "context": {"a": "b"}}
    )
    assert (wrong.status, wrong.json["code"]) == (422, "KS2002")


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa-p256"])
def test_signing_and_verifying(server: Server, kind: str) -> None:
    server.request("POST", "/api/v1/keys", {"name": f"first/{kind}", "type": kind})
    for _ in range(2):
        made = server.request("POST", f"/api/v1/keys/first/{kind}:sign", {"message": PLAIN}).json
        assert made["key_version"] == 1
        for message, good in ((PLAIN, True), ("", False)):
            body = {"message": message, "signature": made["signature"]}
            assert server.request("POST", f"/api/v1/keys/first/{kind}:verify", body).json == {"valid": good}


def test_every_item_of_a_batch_is_answered_as_a_single_call_is(server: Server) -> None:
    server.request("POST", "/api/v1/keys", {"name": "first/batch"})
    long = base64.b64encode(bytes(20_000)).decode()  # too long for the short way
    for items in ([{"plaintext": PLAIN}] * 3, [{"plaintext": long}] * 2):
        body = {"operation": "encrypt", "items": [*items, {"plaintext": PLAIN, "algorithm": "none"}]}
        made = server.request("POST", "/api/v1/keys/first/batch:batch", body).json["items"]
        assert [item["key_version"] for item in made[:-1]] == [1] * len(items)
        assert made[-1]["error"]["code"] == "KS1001"
    wrong = server.request("POST", "/api/v1/keys/first/none:batch", {"operation": "encrypt", "items": items})
    assert {item["error"]["code"] for item in wrong.json["items"]} == {"KS1105"}


def test_macs(server: Server) -> None:
    server.request("POST", "/api/v1/keys", {"name": "first/mac", "type": "hmac-sha-256"})
    for _ in range(2):
        made = server.request("POST", "/api/v1/keys/first/mac:mac", {"message": PLAIN}).json
        for message, good in ((PLAIN, True), ("", False)):
            body = {"message": message, "mac": made["mac"]}
            assert server.request("POST", "/api/v1/keys/first/mac:verify-mac", body).json == {"valid": good}


def test_secrets_are_put_got_rotated_and_deleted(server: Server) -> None:
    put = server.request("PUT", "/api/v1/secrets/db/password", {"value": "one", "ttl": "5m", "tags": {"env": "prod"}})
    assert (put.status, put.json["version"], put.headers["etag"]) == (200, 1, '"1"')
    for _ in range(3):
        got = server.request("GET", "/api/v1/secrets/db/password")
        assert (got.json["value"], got.headers.get("etag")) == ("one", '"1"')
        assert 0 < got.json["expires_in_ms"] <= 300_000
        assert got.headers["cache-control"] == "no-store"
    rotated = server.request("POST", "/api/v1/secrets/db/password:rotate", {"value": "two"})
    assert rotated.json["version"] == 2
    assert server.request("GET", "/api/v1/secrets/db/password").json["value"] == "two"
    assert server.request("GET", "/api/v1/secrets/db/password?version=1").json["value"] == "one"
    listed = server.request("GET", "/api/v1/secrets?prefix=db/&tags.env=prod").json
    assert [item["name"] for item in listed["items"]] == ["db/password"]
    assert server.request("DELETE", "/api/v1/secrets/db/password").status == 204
    assert server.request("GET", "/api/v1/secrets/db/password").status == 410


def test_an_item_of_a_batch_that_is_wrong_has_its_error_in_its_place(server: Server) -> None:
    server.request("POST", "/api/v1/keys", {"name": "mixed/batch"})
    items = [{"plaintext": "AAAA"}, {"plaintext": "!"}, {}, {"plaintext": "AAAA", "x": 1}, {"plaintext": "AAAA"}]
    for operation, good in (("encrypt", [0, 4]), ("generate_data_key", [2])):
        body = {"operation": operation, "items": items}
        made = server.request("POST", "/api/v1/keys/mixed/batch:batch", body)
        assert made.status == 200
        assert [number for number, item in enumerate(made.json["items"]) if "error" not in item] == good
        assert {item["error"]["code"] for item in made.json["items"] if "error" in item} == {"KS1001"}


def test_a_batch_that_is_too_large_is_refused_before_anything_is_done(server: Server) -> None:
    server.request("POST", "/api/v1/keys", {"name": "large/batch"})
    for operation in ("encrypt", "derive"):
        for count in (0, 1_001):
            body = {"operation": operation, "items": [{"plaintext": "AAAA"}] * count}
            refused = server.request("POST", "/api/v1/keys/large/batch:batch", body)
            assert (refused.status, "1 to 1,000" in refused.json["detail"]) == (400, True)


def test_bytes_travel_as_base64(server: Server) -> None:
    value = base64.b64encode(b"\x00\xff").decode()
    assert server.request("PUT", "/api/v1/secrets/raw", {"value_base64": value}).status == 200
    for _ in range(2):
        assert server.request("GET", "/api/v1/secrets/raw").json["value_base64"] == value


def test_a_precondition_is_kept(server: Server) -> None:
    server.request("PUT", "/api/v1/secrets/pre", {"value": "a"})
    refused = server.request("PUT", "/api/v1/secrets/pre", {"value": "b"}, headers={"If-Match": '"7"'})
    assert (refused.status, refused.json["code"], refused.json["current"]) == (412, "KS1301", 1)
    assert server.request("PUT", "/api/v1/secrets/pre", {"value": "b"}, headers={"If-Match": '"1"'}).status == 200
    body = {"value": "c", "expected_version": 9}
    assert server.request("PUT", "/api/v1/secrets/pre", body).status == 409
    assert server.request("PUT", "/api/v1/secrets/pre", {"value": "c"}, headers={"If-Match": "x"}).status == 400
    assert server.request("PUT", "/api/v1/secrets/pre", {"value": "c"}, headers={"If-Match": ""}).status == 400


def test_a_precondition_that_cannot_be_kept_lets_nothing_happen(server: Server) -> None:
    server.request("PUT", "/api/v1/secrets/only", {"value": "a"})
    for method, header in (("DELETE", {"If-Match": '"7"'}), ("PUT", {"If-None-Match": "*"})):
        body = {"value": "b"} if method == "PUT" else None
        refused = server.request(method, "/api/v1/secrets/only", body, headers=header)
        assert (refused.status, refused.json["code"]) == (400, "KS1001")
    headers = {"If-Match": '"1"', "If-None-Match": "*"}
    assert server.request("GET", "/api/v1/secrets/only", headers=headers).json["value"] == "a"


def test_a_length_of_time_that_is_none_is_told_by_its_name(server: Server) -> None:
    for path, body, name in (
        ("/secrets/long", {"value": "a", "ttl": "90 d"}, "ttl"),
        ("/tokens", {"max_ttl": "0s"}, "max_ttl"),
        ("/keys", {"name": "long", "rotation": "soon"}, "rotation"),
    ):
        refused = server.request("PUT" if "secrets" in path else "POST", f"/api/v1{path}", body)
        assert (refused.status, refused.json["detail"].split(" ")[0]) == (400, name)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/api/v1/nothing", None, 404, "KS1604"),
        ("GET", "/nothing", None, 404, "KS1604"),
        ("PATCH", "/api/v1/secrets/x", {}, 405, "KS1605"),
        ("GET", "/api/v1/secrets/absent", None, 404, "KS1101"),
        ("POST", "/api/v1/keys", {"name": "a b"}, 400, "KS1001"),
        ("POST", "/api/v1/keys", {"nme": "a"}, 400, "KS1001"),
        ("POST", "/api/v1/keys", {}, 400, "KS1001"),
        ("POST", "/api/v1/keys", b"[]", 400, "KS1603"),
        ("POST", "/api/v1/keys", b'{"name":"a","name":"b"}', 400, "KS1603"),
        ("POST", "/api/v1/keys", b'{"name":NaN}', 400, "KS1603"),
        ("POST", "/api/v1/keys", b'{"name":"\xff"}', 400, "KS1603"),
        ("POST", "/api/v1/keys", b'{"tags":' + b'{"a":' * 40 + b"1" + b"}" * 41, 400, "KS1603"),
        ("GET", "/api/v1/secrets?limit=0", None, 400, "KS1001"),
        ("GET", "/api/v1/secrets?limit=x", None, 400, "KS1001"),
        ("GET", "/api/v1/secrets?nme=x", None, 400, "KS1001"),
        ("GET", "/api/v1/secrets?limit=1&limit=2", None, 400, "KS1001"),
        ("PUT", "/api/v1/secrets/x?y=z", {"value": "a"}, 400, "KS1001"),
        ("PUT", "/api/v1/secrets/x", {"value": "a", "value_base64": "YQ=="}, 400, "KS1001"),
        ("PUT", "/api/v1/secrets/x", {"value_base64": "YR=="}, 400, "KS1001"),
        ("PUT", "/api/v1/secrets/x", {"value": "a", "ttl": 5}, 400, "KS1001"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(
    server: Server, method: str, path: str, body: object, status: int, code: str
) -> None:
    answer = server.request(method, path, body)
    assert (answer.status, answer.json["code"], answer.json["status"]) == (status, code, status)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["request_id"] == answer.headers["x-request-id"]


def test_nobody_gets_in_without_a_token(server: Server) -> None:
    for headers in ({}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer"}):
        answer = server.request("GET", "/api/v1/secrets", token=None, headers=headers)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Bearer realm="keystead"')
    assert server.request("GET", "/api/v1/secrets", token="ks_svc_wrong").status == 401


def test_a_request_id_comes_back_and_stands_in_the_log(server: Server) -> None:
    answer = server.request("GET", "/api/v1/secrets/logged", headers={"X-Request-Id": "mine-42"})
    assert answer.headers["x-request-id"] == "mine-42"
    entries = server.request("GET", "/api/v1/audit?count=20").json["items"]
    assert any(entry["record"]["request_id"] == "mine-42" for entry in entries)
    hostile = server.request("GET", "/api/v1/secrets/logged", headers={"X-Request-Id": 'a"b'})
    assert hostile.headers["x-request-id"] != 'a"b'


def test_a_batch_leaves_one_record_that_says_how_many_and_one_for_each_that_failed(server: Server) -> None:
    server.request("POST", "/api/v1/keys", {"name": "first/batch", "type": "aes-256-gcm"})
    items = [{"plaintext": PLAIN, "context": {"n": str(number)}} for number in range(50)]
    asked = {"operation": "encrypt", "items": items}
    sealed = server.request("POST", "/api/v1/keys/first/batch:batch", asked).json["items"]
    blobs = [
        {"ciphertext": item["ciphertext"], "context": {"n": str(n if n % 10 else -1)}} for n, item in enumerate(sealed)
    ]
    opened = server.request(
        "POST",
        "/api/v1/keys/first/batch:batch",
        {"operation": "decrypt", "items": blobs},
        headers={"X-Request-Id": "batch-7"},
    ).json["items"]
    assert [number for number, item in enumerate(opened) if "error" in item] == [0, 10, 20, 30, 40]
    entries = server.request("GET", "/api/v1/audit?count=40").json["items"]
    mine = [entry["record"] for entry in entries if entry["record"]["request_id"] == "batch-7"]
    told = [(record["outcome"], record["detail"].get("uses")) for record in mine]
    # A use is counted before its outcome is known.
    assert sorted(told, key=str) == [("failed", None)] * 5 + [("success", 50)]
    assert {record["target"] for record in mine} == {"key/first/batch"}


def test_a_login_gives_a_token_that_acts(server: Server) -> None:
    user = {"name": "ada", "password": "correct horse battery", "policies": ["administrator"]}
    assert server.request("POST", "/api/v1/users", user).status == 201
    login = {"name": "ada", "password": "correct horse battery"}
    made = server.request("POST", "/api/v1/login/password", login, token=None)
    assert made.status == 200
    assert server.request("GET", "/api/v1/whoami", token=made.json["token"]).json["principal"] == "user:ada"
    wrong = server.request("POST", "/api/v1/login/password", {**login, "password": "x"}, token=None)
    unknown = server.request("POST", "/api/v1/login/password", {**login, "name": "bob"}, token=None)
    assert (wrong.status, unknown.status) == (401, 401)
    assert {**wrong.json, "request_id": ""} == {**unknown.json, "request_id": ""}


def test_health_and_metrics_need_no_token_and_name_nothing(server: Server) -> None:
    server.request("PUT", "/api/v1/secrets/named-in-no-metric", {"value": "a"})
    assert server.request("GET", "/health/live", token=None).json == {"status": "live"}
    assert server.request("GET", "/health/ready", token=None).json == {"status": "ready", "problems": []}
    text = server.request("GET", "/metrics", token=None).body
    assert b'keystead_requests_total{method="PUT",status="200"}' in text
    assert b"named-in-no-metric" not in text
    page = section("docs/server.md", "Operating it")
    alerted = set(re.findall(r"\bkeystead_[a-z_]+", page))
    assert len(alerted) >= 3
    assert alerted <= set(re.findall(r"\bkeystead_[a-z_]+", text.decode()))


def test_curl_uses_it(server: Server) -> None:
    body = json.dumps({"value": "by curl"})
    command = [
        "curl",
        "-sS",
        "-f",
        "-H",
        f"Authorization: Bearer {server.token}",
        "-H",
        "Content-Type: application/json",
    ]
    url = f"{server.url}/api/v1/secrets/by/curl"
    subprocess.run([*command, "-X", "PUT", "-d", body, url], check=True, capture_output=True)
    got = subprocess.run([*command, url], check=True, capture_output=True)
    assert json.loads(got.stdout)["value"] == "by curl"


def test_changes_are_told_to_who_waits(server: Server) -> None:
    before = server.request("GET", "/api/v1/changes").json["changes"]
    same = server.request("GET", f"/api/v1/changes?after={before}").json["changes"]
    assert same == before
    server.request("PUT", "/api/v1/secrets/changed", {"value": "x"})
    assert server.request("GET", f"/api/v1/changes?after={before}&timeout=10").json["changes"] > before
    assert server.request("GET", "/api/v1/changes", token=None).status == 401


def test_a_login_by_another_method_than_post_is_told_which_there_is(server: Server) -> None:
    for method in ("GET", "PUT", "TRACE"):
        answer = server.request(method, "/api/v1/login/password", {})
        assert answer.status == 405


def test_a_wrong_ttl_is_refused_also_where_nothing_is_to_be_stored(server: Server) -> None:
    assert server.request("POST", "/api/v1/secrets:write", {"values": {}, "ttl": "AAA"}).status == 400
    assert server.request("POST", "/api/v1/secrets:write", {"values": {}, "ttl": "1h"}).status == 200

"""A write that is asked for twice under one key is done once, by whichever worker, and whatever is killed between."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest
from tests.server.conftest import Server

import keystead
from keystead.node.once import KEPT_MS
from keystead.testing import ManualClock


def keyed(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


def test_the_same_request_under_one_key_is_done_once_and_answered_alike(server: Server) -> None:
    server.request("PUT", "/api/v1/secrets/once", {"value": "0"})
    first, again = (
        server.request("POST", "/api/v1/secrets/once:rotate", {"value": "1"}, headers=keyed("one")) for _ in range(2)
    )
    assert (first.status, first.json["version"]) == (200, 2)
    assert (again.status, again.body, again.headers["idempotent-replayed"]) == (200, first.body, "true")
    assert again.headers["etag"] == first.headers["etag"]
    assert server.request("GET", "/api/v1/secrets/once").json["version"] == 2
    other = server.request("POST", "/api/v1/secrets/once:rotate", {"value": "1"}, headers=keyed("two"))
    assert other.json["version"] == 3


def test_what_is_given_out_once_comes_back_to_who_asks_again(server: Server) -> None:
    first, again = (server.request("POST", "/api/v1/tokens", {"ttl": "5m"}, headers=keyed("token")) for _ in range(2))
    assert first.status == 201
    assert again.json["token"] == first.json["token"]


def test_a_key_belongs_to_its_request_and_to_its_principal(server: Server) -> None:
    server.request("PUT", "/api/v1/secrets/whose", {"value": "0"}, headers=keyed("whose"))
    reused = server.request("PUT", "/api/v1/secrets/whose", {"value": "other"}, headers=keyed("whose"))
    assert (reused.status, reused.json["code"]) == (400, "KS1001")
    with server.connect() as connection:
        connection.kms.policies.write(
            "whose",
            {"version": 1, "statements": [
                {"id": "w", "effect": "allow", "actions": ["secret:write"], "resources": ["secret/whose"]}]},
        )  # fmt: skip
        role = connection.kms.identities.create_role("whose", policies=["whose"])
        secret_id = connection.kms.identities.create_secret_id("whose")
        token = connection.login("role", role_id=role.role_id, secret_id=secret_id.reveal()).reveal()
    theirs = server.request("PUT", "/api/v1/secrets/whose", {"value": "other"}, token=token, headers=keyed("whose"))
    assert theirs.status == 200


def test_a_key_belongs_to_the_condition_of_its_request(server: Server) -> None:
    asked = [
        server.request("PUT", "/api/v1/secrets/once-if", {"value": "1"}, headers={**keyed("if"), "If-Match": version})
        for version in ('"0"', '"0"', '"7"')
    ]
    assert [(reply.status, "idempotent-replayed" in reply.headers) for reply in asked[:2]] == [
        (200, False),
        (200, True),
    ]
    assert "another request" in asked[2].json["detail"]


def test_a_request_that_failed_is_tried_again_under_its_key(server: Server) -> None:
    missing = server.request("POST", "/api/v1/secrets/later:rotate", {"value": "1"}, headers=keyed("later"))
    assert missing.status == 404
    server.request("PUT", "/api/v1/secrets/later", {"value": "0"})
    done = server.request("POST", "/api/v1/secrets/later:rotate", {"value": "1"}, headers=keyed("later"))
    assert (done.status, done.json["version"]) == (200, 2)


@pytest.mark.parametrize("key", ["", "x" * 129, "a\tb"])
def test_a_key_that_is_none_is_refused(server: Server, key: str) -> None:
    answer = server.request("PUT", "/api/v1/secrets/none", {"value": "0"}, headers=keyed(key))
    assert answer.status == 400


def test_many_at_once_under_one_key_make_one_change_in_all_workers(own_server: Any) -> None:
    server = own_server("--workers", "2")
    server.request("PUT", "/api/v1/secrets/raced", {"value": "0"})
    answers: list[Any] = []

    def ask() -> None:
        answers.append(server.request("POST", "/api/v1/secrets/raced:rotate", {"value": "1"}, headers=keyed("raced")))

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    statuses = Counter(answer.status for answer in answers)
    assert set(statuses) <= {200, 409}
    assert {answer.json["version"] for answer in answers if answer.status == 200} == {2}
    assert server.request("GET", "/api/v1/secrets/raced").json["version"] == 2


def test_a_change_whose_answer_was_lost_is_not_made_again(tmp_path: Any) -> None:
    clock = ManualClock()
    with keystead.connect(tmp_path / "s.db", master_key=keystead.generate_master_key(), clock=clock) as store:
        kms = store.kms
        node, session = kms.node, kms._session
        kms.store_secret("lost", "0")
        asked = node.once.asked(session, "lost", "POST", "x")
        with node.once.doing(asked):
            kms.rotate_secret("lost", "1")
        with pytest.raises(keystead.errors.AlreadyExists, match="done before"):
            node.once.answer(asked)
        with pytest.raises(keystead.errors.AlreadyExists), node.once.doing(asked):
            kms.rotate_secret("lost", "2")
        assert kms.get_secret("lost").version == 2
        clock.advance(KEPT_MS + 1)
        kms.sweep()
        node.maintain()
        assert node.once.answer(asked) is None


def test_the_answer_lies_encrypted_and_bound_to_its_request(server: Server) -> None:
    import sqlite3

    asked = {"ttl": "5m"}
    tokens = [server.request("POST", "/api/v1/tokens", asked, headers=keyed(key)).json["token"] for key in ("a", "b")]
    data = b"".join(path.read_bytes() for path in server.folder.rglob("*") if path.is_file())
    assert not any(token.encode() in data for token in tokens)
    with sqlite3.connect(server.folder / "keystead.db") as connection:
        rows = connection.execute(
            "SELECT key, answer FROM request_keys WHERE answer IS NOT NULL ORDER BY created_ms DESC LIMIT 2"
        ).fetchall()
        for (key, _), (_, answer) in zip(rows, reversed(rows), strict=True):
            connection.execute("UPDATE request_keys SET answer = ? WHERE key = ?", (answer, key))
    connection.close()
    replays = [server.request("POST", "/api/v1/tokens", asked, headers=keyed(key)) for key in ("a", "b")]
    # It was done, and what was answered is not believed.
    assert [replay.status for replay in replays] == [409, 409]

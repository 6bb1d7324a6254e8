"""Attacks on who somebody is, through HTTP, each by its number in docs/attacks.md: access tokens, lock-out, roles.

What the checks themselves refuse is tried one by one in tests/access; here is what the way over the wire adds:
addresses, workers, headers, what is told and how long it takes.
"""

from __future__ import annotations

import http.client
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from tests.server.conftest import CHEAP_PASSWORDS, Reply, Server, prepared, told
from tests.server.test_workers import Kept

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two workers, and an Argon2id that is cheap and yet of several lanes."""
    made = prepared(tmp_path_factory.mktemp("identities"), "--workers", "2", LOG_LEVEL="DEBUG")
    (made.folder / "keystead.toml").write_text(CHEAP_PASSWORDS)
    running = made.start()
    listening = threading.Thread(target=running.listen, daemon=True)
    listening.start()
    yield running
    assert running.process is not None
    running.process.terminate()
    assert running.process.wait(30) == 0
    listening.join()


def by_password(server: Server, name: Any, password: str = "wrong password", **how: Any) -> Reply:
    return server.log_in("password", {"name": name, "password": password}, **how)


def user(server: Server, name: str) -> None:
    body = {"name": name, "password": PASSWORD, "policies": ["administrator"]}
    assert server.request("POST", "/api/v1/users", body).status == 201


# Access tokens


@pytest.mark.parametrize("form", [
    "Basic {}", "Token {}", "{}", "Bearer\t{}", "Bearer {}\u00e9", "Bearer {},{}", "Bearer", "Bearer ", "Bearer {} {}",
    "Bearer {}=", "Bearer \"{}\"",
])  # fmt: skip
def test_t64_a_token_is_taken_in_one_form_only(server: Server, form: str) -> None:
    shown = form.replace("{}", server.token)
    answer = server.request("GET", "/api/v1/whoami", token=None, headers={"Authorization": shown})
    assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Bearer realm="keystead"')
    assert server.token not in str(answer)


def test_t64_a_token_in_another_place_is_none(server: Server) -> None:
    for target, headers in (
        (f"/api/v1/whoami?access_token={server.token}", {}),
        (f"/api/v1/status?token={server.token}", {}),
        ("/api/v1/whoami", {"Cookie": f"token={server.token}"}),
        ("/api/v1/whoami", {"X-Vault-Token": server.token, "X-Keystead-Token": server.token}),
        ("/api/v1/whoami", {"Proxy-Authorization": f"Bearer {server.token}"}),
    ):
        answer = server.request("GET", target, token=None, headers=headers)
        assert (answer.status, answer.json["code"]) == (401, "KS1611")
        assert server.token not in str(answer)


def test_t64_how_long_a_wrong_token_takes_tells_nothing_of_how_much_of_it_is_right(server: Server) -> None:
    shown = {"near": server.token[:-8] + "00000000", "far": "ks_svc_" + "0" * (len(server.token) - 7)}
    spent: dict[str, list[float]] = {what: [] for what in shown}
    connection = http.client.HTTPConnection(*server.address, timeout=10)
    with closing(connection):
        for _ in range(100):
            for what, text in shown.items():
                began = time.perf_counter()
                connection.request("GET", "/api/v1/whoami", headers={"Authorization": f"Bearer {text}"})
                answer = connection.getresponse()
                answer.read()
                spent[what].append(time.perf_counter() - began)
                assert answer.status == 401
    near, far = (min(times) for times in spent.values())  # what else the machine does only adds to the others
    # What a comparison byte by byte would add is far less; this finds a look at a row, or a derivation.
    assert near == pytest.approx(far, rel=0.5)


def test_t65_a_parent_that_ends_takes_its_children_along_and_an_accessor_proves_nothing(server: Server) -> None:
    parent = server.request("POST", "/api/v1/tokens", {"policies": ["administrator"]}).json
    child = server.request("POST", "/api/v1/tokens", {}, token=parent["token"]).json
    grandchild = server.request("POST", "/api/v1/tokens", {}, token=child["token"]).json
    for each in (parent, child, grandchild):
        assert server.request("GET", "/api/v1/whoami", token=each["token"]).status == 200
        assert server.request("GET", "/api/v1/whoami", token=each["info"]["accessor"]).status == 401
        assert server.log_in("token", {"token": each["info"]["accessor"]}).status == 401
    assert server.request("POST", "/api/v1/tokens:revoke", {}, token=parent["token"]).json["revoked"] == 3
    for each in (parent, child, grandchild):
        for _ in range(4):  # whichever worker is asked
            assert server.request("GET", "/api/v1/whoami", token=each["token"]).status == 401
        assert server.log_in("token", {"token": each["token"]}).status == 401


# Passwords


def test_t67_five_tries_whatever_address_and_worker_they_reach_and_nobody_learns_who_is_there(server: Server) -> None:
    user(server, "locked")
    answers: dict[str, list[Reply]] = {"locked": [], "nobody": []}
    for number in range(7):
        for name, replies in answers.items():
            forged = {"X-Forwarded-For": f"198.51.100.{number}", "Forwarded": f"for=198.51.100.{number}"}
            replies.append(by_password(server, name, source=f"127.0.0.{number + 2}", headers=forged))
    assert [told(each) for each in answers["locked"]] == [told(each) for each in answers["nobody"]]
    assert [each.status for each in answers["locked"]] == [401] * 5 + [429] * 2
    right = by_password(server, "locked", PASSWORD, source="127.0.0.99")
    assert told(right) == told(answers["nobody"][-1])
    assert 1 <= int(right.headers["retry-after"]) <= 900


def test_t67_no_other_spelling_is_a_try_at_a_name_nor_locks_it(server: Server) -> None:
    user(server, "spelled")
    stranger = told(by_password(server, "somebody-else"))
    for name in ("Spelled", " spelled", "spelled ", "spelled\u0000", "ｓpelled", "spelled\u200b", "spe\u0131led", "*"):
        assert told(by_password(server, name, PASSWORD)) == stranger
    assert by_password(server, "spelled", PASSWORD).status == 200


def test_t67_who_is_logged_in_stays_so_while_the_name_is_locked_and_another_way_in_is_open(server: Server) -> None:
    user(server, "boss")
    shown = by_password(server, "boss", PASSWORD).json["token"]
    for _ in range(6):
        last = by_password(server, "boss")
    assert last.status == 429
    assert server.request("GET", "/api/v1/whoami", token=shown).json["principal"] == "user:boss"
    assert server.log_in("token", {"token": shown}).status == 200


def test_t67_who_there_is_cannot_be_told_by_the_time(server: Server) -> None:
    def is_same(number: int) -> bool:
        user(server, f"timed{number}")
        spent: dict[str, list[float]] = {"timed": [], "absent": []}
        for attempt in range(4):
            for what, times in spent.items():
                began = time.perf_counter()
                by_password(server, f"{what}{number}", f"guess {attempt}")
                times.append(time.perf_counter() - began)
        there, absent = (statistics.median(times) for times in spent.values())
        return bool(there == pytest.approx(absent, rel=0.6))

    # A round that had to share the processor tells nothing; a derivation too few or too many shows in each.
    assert any(is_same(number) for number in range(4))


def test_t67_strangers_who_try_many_passwords_at_once_keep_nobody_waiting_and_are_all_answered(server: Server) -> None:
    """Derivations of OpenSSL that ran at once waited for each other for ever, and all threads waited for them."""
    known = [Kept(server) for _ in range(4)]
    with ThreadPoolExecutor(48) as pool:
        trying = [pool.submit(by_password, server, f"flood{number}") for number in range(48)]
        while sum(each.done() for each in trying) < 2:
            time.sleep(0.01)
        for each in known:
            assert each.ask("GET", "/api/v1/whoami")[0] == 200
        waiting = sum(not each.done() for each in trying)
        assert {each.result().status for each in trying} == {401}
    assert waiting > 24


@pytest.mark.parametrize("member", ["source", "method", "self", "session", "credentials", "chain", "binding"])
@pytest.mark.parametrize("method", ["password", "role", "token", "jwt"])
def test_t67_a_login_takes_its_own_members_only(server: Server, method: str, member: str) -> None:
    answer = server.log_in(method, {"name": "ada", "password": PASSWORD, member: "127.0.0.1"})
    assert (answer.status, answer.json["code"]) == (400, "KS1001")


def test_t67_and_t71_a_page_in_a_browser_cannot_send_a_login(server: Server) -> None:
    """What a form or a simple request of another origin can send is no JSON, and what asks first is refused."""
    user(server, "browser")
    body = {"name": "browser", "password": PASSWORD}
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        answer = server.log_in("password", body, headers={"Content-Type": kind, "Origin": "https://evil.example"})
        assert (answer.status, answer.json["code"]) == (415, "KS1608")
    assert server.log_in("password?name=browser", body).status == 400
    asking = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = server.request("OPTIONS", "/api/v1/login/password", token=None, headers=asking)
    assert answer.status >= 400
    assert not [name for name in answer.headers if name.startswith("access-control")]
    answer = server.request("GET", "/api/v1/whoami", headers={"Origin": "https://evil.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]


# Roles


def test_t70_a_secret_id_that_may_be_used_once_is_used_once_by_all_workers(server: Server) -> None:
    role = server.request("POST", "/api/v1/roles", {"name": "once"}).json
    shown = server.request("POST", "/api/v1/roles/once:create-secret-id", {"uses": 1}).json["secret_id"]
    body = {"role_id": role["role_id"], "secret_id": shown}
    with ThreadPoolExecutor(12) as pool:
        statuses = sorted(each.status for each in pool.map(lambda _: server.log_in("role", body), range(12)))
    assert statuses == [200] + [401] * 11


def test_t70_a_secret_id_of_one_role_is_nothing_to_another(server: Server) -> None:
    roles = {name: server.request("POST", "/api/v1/roles", {"name": name}).json for name in ("mine", "other")}
    secret = server.request("POST", "/api/v1/roles/mine:create-secret-id", {}).json
    crossed = {"role_id": roles["other"]["role_id"], "secret_id": secret["secret_id"]}
    assert server.log_in("role", crossed).status == 401
    accessor = {"accessor": secret["info"]["accessor"]}
    assert server.request("POST", "/api/v1/roles/other:destroy-secret-id", accessor).status == 404
    assert server.log_in("role", {**crossed, "role_id": roles["mine"]["role_id"]}).status == 200


@pytest.mark.parametrize("name", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "True-Client-IP", "X-Client-IP", "Via"])
def test_t70_no_header_says_from_where_somebody_comes(server: Server, name: str) -> None:
    role = server.request("POST", "/api/v1/roles", {
        "name": name.lower(), "login_networks": ["127.0.0.77/32"], "networks": ["127.0.0.78/32"],
        "policies": ["administrator"],
    }).json  # fmt: skip
    secret = server.request("POST", f"/api/v1/roles/{name.lower()}:create-secret-id", {}).json["secret_id"]
    body = {"role_id": role["role_id"], "secret_id": secret}

    def claiming(address: str) -> dict[str, str]:
        return {name: f"for={address}" if name == "Forwarded" else address}

    assert server.log_in("role", body, headers=claiming("127.0.0.77")).status == 401
    shown = server.log_in("role", body, source="127.0.0.77", headers=claiming("10.0.0.1")).json["token"]
    assert server.request("GET", "/api/v1/whoami", token=shown, headers=claiming("127.0.0.78")).status == 401
    assert server.request("GET", "/api/v1/whoami", token=shown, source="127.0.0.78").status == 200

"""Workers that are killed and stopped in the midst of work: nothing acknowledged is lost, nothing old is acted on."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from tests.server.conftest import ANSWERS, Server

import keystead
from keystead.clock import SystemClock
from keystead.errors import KeysteadError, SecretNotFound
from keystead.storage.sqlite import BUSY_SECONDS
from keystead.storage.writer_lock import WriterLock

ROUNDS = int(os.environ.get("KEYSTEAD_SERVER_ROUNDS", "300"))
KILLING_ROUNDS = int(os.environ.get("KEYSTEAD_SERVER_KILLING_ROUNDS", "30"))


class Kept:
    """A connection that is kept, to one worker."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._connection = http.client.HTTPConnection(*server.address, timeout=20)

    def ask(self, method: str, path: str, body: Any = None, token: str = "") -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token or self._server.token}", "Content-Type": "application/json"}
        for _ in range(600):  # half a minute, on a machine that does much else too
            try:
                self._connection.request(method, path, None if body is None else json.dumps(body), headers)
                answer = self._connection.getresponse()
                data = answer.read()
                return answer.status, json.loads(data) if data else None
            except (OSError, http.client.HTTPException):
                self._connection.close()
                time.sleep(0.05)
        raise AssertionError("the server did not come back")


def many(server: Server, count: int = 8) -> list[Kept]:
    """Connections that between them reach every worker."""
    return [Kept(server) for _ in range(count)]


@pytest.mark.parametrize("killing", [False, True], ids=["in peace", "while workers are killed"])
def test_t41_a_request_that_begins_after_the_answer_to_a_change_sees_it_in_every_worker(
    own_server: Any, killing: bool
) -> None:
    server = own_server("--workers", "2")
    connections, turn = many(server), itertools.count()
    chosen = random.Random(41)
    with server.connect() as connection:
        kms = connection.kms
        kms.keys.create("seen")
        document = {"version": 1, "statements": [
            {"id": "a", "effect": "allow", "actions": ["key:*", "secret:*"], "resources": ["key/seen", "secret/seen"]}
        ]}  # fmt: skip
        kms.policies.write("seen", document)
        role = kms.identities.create_role("seen", policies=["seen"])
        secret_id = kms.identities.create_secret_id("seen").reveal()
    old: list[str] = []
    tries, kills = itertools.count(), itertools.count()

    def look(what: str, wanted: Any, ask: Any) -> None:
        for each in connections:
            got = ask(each)
            next(tries)
            if got != wanted:
                old.append(f"{what}: {got} in the place of {wanted}")

    def token() -> str:
        login = {"role_id": role.role_id, "secret_id": secret_id}
        return str(connections[0].ask("POST", "/api/v1/login/role", login)[1]["token"])

    version = connections[0].ask("PUT", "/api/v1/secrets/seen", {"value": "0"})[1]["version"]
    rounds = KILLING_ROUNDS if killing else ROUNDS
    for number in range(rounds):
        if killing and number % 5 == 4:
            os.kill(chosen.choice(server.workers()), signal.SIGKILL)
            next(kills)
        change = connections[next(turn) % len(connections)]
        kind = number % 4
        if kind == 0:
            # Where a kill leaves it open whether the change was made, it is made anew: only answers promise.
            status, told = change.ask("PUT", "/api/v1/secrets/seen", {"value": str(number)})
            assert status == 200
            version = told["version"]
            look("secret", (version, str(number)), _value)
        elif kind == 1:
            status, told = change.ask("POST", "/api/v1/keys/seen:rotate", {})
            assert status == 200
            number_now = told["version"]
            look("key", number_now, _sealed)
        elif kind == 2:
            shown = token()
            look("live token", 200, lambda each, shown=shown: each.ask("GET", "/api/v1/whoami", token=shown)[0])
            accessor = change.ask("GET", "/api/v1/whoami", token=shown)[1]["accessor"]
            change.ask("DELETE", f"/api/v1/tokens/{accessor}")
            look("revoked token", 401, lambda each, shown=shown: each.ask("GET", "/api/v1/whoami", token=shown)[0])
        else:
            shown = token()
            look("allowed", 200, lambda each, shown=shown: each.ask("GET", "/api/v1/secrets/seen", token=shown)[0])
            denied = {**document, "statements": [{**document["statements"][0], "effect": "deny"}]}
            assert change.ask("PUT", "/api/v1/policies/seen", {"document": denied})[0] == 200
            look("denied", 404, lambda each, shown=shown: each.ask("GET", "/api/v1/secrets/seen", token=shown)[0])
            assert change.ask("PUT", "/api/v1/policies/seen", {"document": document})[0] == 200
            look(
                "allowed again", 200, lambda each, shown=shown: each.ask("GET", "/api/v1/secrets/seen", token=shown)[0]
            )
    print(f"{rounds:,} changes, {next(tries):,} tries behind their answers, {len(old)} of them saw old state")
    print(f"{next(kills)} workers were killed")
    assert old == []


def _value(each: Kept) -> tuple[int, str]:
    answer = each.ask("GET", "/api/v1/secrets/seen")[1]
    return answer["version"], answer["value"]


def _sealed(each: Kept) -> int:
    version: int = each.ask("POST", "/api/v1/keys/seen:encrypt", {"plaintext": "AAAA"})[1]["key_version"]
    return version


def writers(server: Server, stop: threading.Event, told: dict[str, str], failed: list[str]) -> list[threading.Thread]:
    """Threads that store secrets; `told` has each that was acknowledged."""

    def work(mine: int) -> None:
        kept = Kept(server)
        for number in itertools.count():
            if stop.is_set():
                return
            name, value = f"w{mine}/{number}", f"value-{mine}-{number}"
            status, _ = kept.ask("PUT", f"/api/v1/secrets/{name}", {"value": value})
            if status == 200:
                told[name] = value
            elif status not in (500, 503):
                failed.append(f"{status} for {name}")

    threads = [threading.Thread(target=work, args=(mine,), daemon=True) for mine in range(4)]
    for thread in threads:
        thread.start()
    return threads


def figures(server: Server) -> dict[str, int]:
    """The figures of the server, by name and labels."""
    lines = server.request("GET", "/metrics", token=None).body.decode().splitlines()
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {name: int(value) for name, _, value in pairs}


def test_every_worker_tells_the_figures_of_all_and_counts_go_on_where_one_was_replaced(own_server: Any) -> None:
    server = own_server("--workers", "2")
    answered, connections = 'keystead_requests_total{method="GET",status="404"}', many(server)
    for number in range(40):
        assert connections[number % 8].ask("GET", "/api/v1/secrets/nothing")[0] == 404
    assert {figures(server)[answered] for _ in range(6)} == {40}
    assert figures(server)["keystead_workers"] == 2
    assert figures(server)["keystead_worker_restarts_total"] == 0
    os.kill(server.workers()[0], signal.SIGKILL)
    end = time.monotonic() + 20
    while figures(server)["keystead_worker_restarts_total"] < 1 and time.monotonic() < end:
        time.sleep(0.1)
    for number in range(40):
        assert connections[number % 8].ask("GET", "/api/v1/secrets/nothing")[0] == 404
    told = figures(server)
    assert (told[answered], told["keystead_worker_restarts_total"]) == (80, 1)


def check_store(server: Server, told: dict[str, str]) -> None:
    """What the store holds once the server is gone, and its log."""
    with keystead.connect(server.folder, master_key=server.master_key) as store:
        lost = []
        for name, value in told.items():
            try:
                if store.kms.get_secret(name).reveal() != value:
                    lost.append(name)
            except SecretNotFound:
                lost.append(name)
        assert lost == []
        report = store.kms.audit.verify()
        assert not report.problems


def test_workers_that_are_killed_lose_nothing_that_was_acknowledged_and_come_back(own_server: Any) -> None:
    server = own_server("--workers", "2")
    stop, told, failed = threading.Event(), dict[str, str](), list[str]()
    threads = writers(server, stop, told, failed)
    for _ in range(4):
        time.sleep(0.5)
        workers = server.workers()
        assert workers
        os.kill(random.choice(workers), signal.SIGKILL)
    time.sleep(1)
    end = time.monotonic() + 30
    while len(told) <= 20 and time.monotonic() < end:
        time.sleep(0.1)
    stop.set()
    for thread in threads:
        thread.join(30)
    end = time.monotonic() + 20
    while len(server.workers()) < 2 and time.monotonic() < end:
        time.sleep(0.1)
    assert len(server.workers()) == 2
    assert server.stop() == 0
    assert failed == []
    assert len(told) > 20
    check_store(server, told)


def test_a_parent_that_is_killed_is_followed_by_another_and_nothing_is_lost(own_server: Any) -> None:
    server = own_server("--workers", "2")
    stop, told, failed = threading.Event(), dict[str, str](), list[str]()
    threads = writers(server, stop, told, failed)
    time.sleep(0.5)
    server.process.kill()
    server.process.wait()
    server.said = b""
    found = server.wait_for(re.compile(rb'"event":"listening".*"url":"([^"]+)"'))
    assert found[1].decode() == server.url
    before, end = len(told), time.monotonic() + 30
    while len(told) <= before and time.monotonic() < end:
        time.sleep(0.1)
    stop.set()
    for thread in threads:
        thread.join(30)
    assert len(told) > before
    assert failed == []
    assert server.request("GET", "/health/ready", token=None).status == 200
    assert len(stop_followers(server)) == 1
    check_store(server, told)


def test_who_takes_over_waits_for_a_store_that_is_busy(own_server: Any) -> None:
    server = own_server("--workers", "2")
    held = WriterLock(server.folder / "keystead.db.lock", server.folder, SystemClock(), 10)
    held.take()
    server.process.kill()
    server.process.wait()
    server.said = b""
    time.sleep(BUSY_SECONDS + 3)  # longer than an opening waits
    held.give()
    held.close()
    server.wait_for(ANSWERS)
    assert server.request("PUT", "/api/v1/secrets/after", {"value": "x"}).status == 200
    stop_followers(server)


def stop_followers(server: Server) -> list[int]:
    """Stop the parents that followed one that was killed; which they were."""
    listing = subprocess.run(["pgrep", "-f", str(server.folder)], check=False, capture_output=True, text=True)
    parents = [int(pid) for pid in listing.stdout.split() if _parent(int(pid)) == 1]
    for pid in parents:
        os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + 20
    while any(_parent(pid) is not None for pid in parents) and time.monotonic() < end:
        time.sleep(0.1)
    return parents


def _parent(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def test_t46_sigterm_under_load_loses_no_request(own_server: Any) -> None:
    server = own_server("--workers", "2")
    with server.connect() as connection:
        connection.kms.keys.create("drain")
    broken: list[str] = []
    answered: list[int] = []
    stopping = threading.Event()

    def work() -> None:
        connection = http.client.HTTPConnection(*server.address, timeout=20)
        headers = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"}
        while True:
            try:
                connection.connect()
            except OSError:
                return  # nobody listens any more
            try:
                while True:
                    connection.request("POST", "/api/v1/keys/drain:encrypt", '{"plaintext":"AAAA"}', headers)
                    answer = connection.getresponse()
                    answer.read()
                    answered.append(answer.status)
                    if answer.status not in (200, 503):
                        broken.append(str(answer.status))
                    if answer.will_close:
                        break
            except (http.client.RemoteDisconnected, ConnectionError, BrokenPipeError):
                # A connection that idled may be closed at any time, before anything of a request was read.
                if not stopping.is_set():
                    broken.append("closed in the midst")
            except http.client.IncompleteRead:
                broken.append("half an answer")
            connection.close()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    end = time.monotonic() + 30
    while len(answered) <= 100 and time.monotonic() < end:
        time.sleep(0.05)
    stopping.set()
    assert server.stop() == 0
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert broken == []
    assert len(answered) > 100


def test_a_server_that_cannot_open_its_store_says_why_and_ends(own_server: Any, tmp_path: Any) -> None:
    server = own_server()
    command = [sys.executable, "-m", "keystead", "serve", "--store", str(server.folder), "--port", "0"]
    wrong = {"PATH": os.environ["PATH"], "KMS_MASTER_KEY": keystead.generate_master_key()}
    done = subprocess.run(command, env=wrong, capture_output=True, text=True, timeout=30, cwd=tmp_path, check=False)
    assert (done.returncode, "KS3104" in done.stderr) == (5, True)
    right = {**wrong, "KMS_MASTER_KEY": server.master_key}
    taken = [*command[:-1], str(server.address[1])]
    done = subprocess.run(taken, env=right, capture_output=True, text=True, timeout=30, cwd=tmp_path, check=False)
    assert (done.returncode, "cannot listen" in done.stderr) == (8, True)
    open_to_all = [*command, "--address", "0.0.0.0"]
    done = subprocess.run(open_to_all, env=right, capture_output=True, text=True, timeout=30, cwd=tmp_path, check=False)
    assert (done.returncode, "in the clear" in done.stderr) == (1, True)


def test_a_server_that_could_not_write_its_last_records_does_not_end_as_if_it_had(own_server: Any) -> None:
    server = own_server()
    for worker in server.workers():
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    assert server.stop() == 1


def test_who_acts_is_told_in_the_log_of_each_worker(own_server: Any) -> None:
    server = own_server("--workers", "2")
    for each in many(server):
        assert each.ask("GET", "/api/v1/whoami")[0] == 200
    server.stop()
    with keystead.connect(server.folder, master_key=server.master_key) as store:
        opened = [
            entry.record for entry in store.kms.audit.tail(100)
            if entry.record.event == "session_opened" and entry.record.principal == "token:administrator"
        ]  # fmt: skip
    assert opened
    assert all(record.detail["source"] == "127.0.0.1" for record in opened)


def test_errors_of_ours_are_all_that_comes_out(own_server: Any) -> None:
    server = own_server()
    with server.connect() as connection, pytest.raises(KeysteadError):
        connection.kms.keys.read("none")


def test_callers_whose_tokens_have_ended_are_not_kept(own_server: Any) -> None:
    server = own_server()
    # those that end come last, so that all are kept at once also where the machine is slow
    made = [server.request("POST", "/api/v1/tokens", {"ttl": ttl}).json for ttl in ["1h"] * 10 + ["10s"] * 10]
    for each in made:
        assert server.request("GET", "/api/v1/whoami", token=each["token"]).status == 200
    assert callers(server) == 21
    for each in made[:10]:
        assert server.request("DELETE", f"/api/v1/tokens/{each['info']['accessor']}").status == 200
    end = time.monotonic() + 30
    while callers(server) > 1 and time.monotonic() < end:
        time.sleep(0.2)
    assert callers(server) == 1


def callers(server: Server) -> int:
    """How many sessions of access tokens the only worker keeps."""
    found = re.search(rb"^keystead_callers (\d+)$", server.request("GET", "/metrics").body, re.MULTILINE)
    assert found is not None
    return int(found[1])

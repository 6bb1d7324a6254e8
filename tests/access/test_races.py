"""Two processes, and many threads, that want the last use of one thing: exactly one gets it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.access.conftest import KEY, PASSWORD

import keystead
from keystead.clock import SystemClock
from keystead.errors import AuthenticationFailed, LockedOut, SessionEnded
from keystead.services.connection import Connection

RACER = Path(__file__).with_name("racer.py")


@contextmanager
def racers(path: Path, *words: str) -> Iterator[list[subprocess.Popen[str]]]:
    started = [
        subprocess.Popen(
            [sys.executable, RACER, path, KEY, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    try:
        for one in started:
            assert one.stdout is not None and one.stdout.readline() == "ready\n"
        yield started
    finally:
        for one in started:
            one.communicate(timeout=60)


def go(started: list[subprocess.Popen[str]], times: int) -> int:
    """How often somebody won, when all are told at once so many times."""
    for one in started:
        assert one.stdin is not None
        one.stdin.write("go\n" * times)
    for one in started:
        assert one.stdin is not None
        one.stdin.flush()
    won = 0
    for one in started:
        assert one.stdout is not None
        won += sum(one.stdout.readline() == "True\n" for _ in range(times))
    return won


def test_of_two_processes_exactly_one_takes_the_last_use_of_a_token(path: Path) -> None:
    with keystead.connect(path, master_key=KEY) as store:
        token = store.kms.tokens.create(name="x", uses=4)
    with racers(path, "use", token.reveal()) as started:
        assert go(started, 3) == 4  # six tries, four uses: both had some, and one the last


def test_of_two_processes_exactly_one_logs_in_with_the_last_use_of_a_secret_id(path: Path) -> None:
    with keystead.connect(path, master_key=KEY) as store:
        role = store.kms.identities.create_role("ci")
        secret = store.kms.identities.create_secret_id("ci", uses=4)
    with racers(path, "login", role.role_id, secret.reveal()) as started:
        assert go(started, 3) == 4  # six tries, four uses: both had some, and one the last


def test_many_threads_take_no_more_uses_than_there_are(store: Connection) -> None:
    acting = store.as_token(store.kms.tokens.create(name="x", uses=5))

    def use(_: int) -> bool:
        try:
            acting.kms.whoami()
        except SessionEnded:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(use, range(20))) == 5


def test_guesses_at_the_same_time_are_looked_at_no_more_often_than_one_after_the_other(
    store: Connection, argon2: list[tuple[int, int, int]]
) -> None:
    store.kms.identities.create_user("ada", PASSWORD)

    def guess(number: int) -> type[Exception]:
        try:
            store.login("password", name="ada", password=f"guess {number}")
        except (AuthenticationFailed, LockedOut) as error:
            return type(error)
        raise AssertionError

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(guess, range(30)))
    assert (found.count(AuthenticationFailed), found.count(LockedOut)) == (5, 25)


def test_a_real_clock_serves_as_well(path: Path) -> None:
    with keystead.connect(path, master_key=KEY, clock=SystemClock()) as store:
        token = store.kms.tokens.create(name="x", ttl="1h")
        with store.as_token(token) as there:
            assert there.kms.tokens.renew().expires_ms >= token.info.expires_ms

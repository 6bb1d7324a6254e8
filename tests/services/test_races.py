"""Threads and processes at once: no lost update, no old value, nobody starved."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.services.conftest import Open

import keystead.errors
from keystead.clock import SystemClock
from keystead.services.connection import Connection
from keystead.storage.writer_lock import WriterLock

PRELUDE = """
import json, sys, threading, keystead
from keystead.errors import VersionConflict
store = keystead.connect(sys.argv[1], master_key=sys.argv[2])
print("ready", flush=True)
"""
RACING = (
    PRELUDE
    + """
def race(number):
    for turn in range(rounds):
        barrier.wait()
        try:
            store.kms.store_secret("API_KEY", f"{sys.argv[3]} {number} {turn}", expected_version=turn)
        except VersionConflict:
            continue
        wins.append((turn, f"{sys.argv[3]} {number} {turn}"))

rounds, wins = int(sys.argv[4]), []
# Nobody starts a turn before all threads of this process have ended the last one, and both processes began together.
barrier = threading.Barrier(8)
sys.stdin.readline()
threads = [threading.Thread(target=race, args=(number,)) for number in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps(wins))
"""
)
WRITING = (
    PRELUDE
    + """
import time
sys.stdin.readline()
end, count = time.monotonic() + float(sys.argv[4]), 0
while time.monotonic() < end:
    store.kms.store_secret(f"N{sys.argv[3]}", "x")
    count += 1
print(json.dumps(count))
"""
)


def together(program: str, path: Path, key: str, count: int, argument: object) -> list[object]:
    """What each of several processes says that were let go at the same moment."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(path), key, str(number), str(argument)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for number in range(count)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * count
    return [json.loads(line) for line in said]


def test_of_two_processes_with_eight_threads_each_exactly_one_wins_each_version(
    opened: Open, path: Path, key: str
) -> None:
    rounds = 20
    store = opened(clock=None)
    wins = [tuple(win) for process in together(RACING, path, key, 2, rounds) for win in process]  # type: ignore[attr-defined]
    assert Counter(turn for turn, _ in wins) == Counter(range(rounds))
    values = dict(wins)
    for turn in range(rounds):
        assert store.kms.get_secret("API_KEY", version=turn + 1).reveal() == values[turn]
    assert len(store.kms.list_versions("API_KEY", limit=1000).items) == rounds


def test_of_four_processes_that_write_none_starves(opened: Open, path: Path, key: str) -> None:
    store = opened(clock=None)
    counts = together(WRITING, path, key, 4, 1.5)
    assert [len(store.kms.list_versions(f"N{number}", limit=1000).items) for number in range(4)] == counts
    assert min(counts) * 8 >= max(counts), counts  # type: ignore[call-overload,operator,type-var]


def hammer(*jobs: Callable[[], None]) -> None:
    """Run each in a thread of its own; the first that fails is raised."""
    with ThreadPoolExecutor(len(jobs)) as pool:
        for done in [pool.submit(job) for job in jobs]:
            done.result(120)


def test_no_thread_sees_an_old_value_after_a_rotation_returned(opened: Open) -> None:
    store = opened(clock=None)
    store.kms.store_secret("API_KEY", "0")
    rotated, over = [0], threading.Event()

    def rotate() -> None:
        try:
            for number in range(1, 150):
                store.kms.rotate_secret("API_KEY", str(number))
                rotated[0] = number
        finally:
            over.set()

    def read() -> None:
        while not over.is_set():
            known = rotated[0]
            assert int(store.secrets.get_secret("API_KEY").reveal()) >= known
            assert int(store.secrets.get_secrets(["API_KEY"])["API_KEY"].reveal()) >= known

    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        hammer(rotate, read, read)
    finally:
        sys.setswitchinterval(switch)
    assert store.secrets.get_secret("API_KEY").reveal() == "149"


def test_threads_encrypt_and_decrypt_while_data_keys_rotate_and_die(opened: Open) -> None:
    store = opened(clock=None)
    over = threading.Event()
    kept = (store.kms.encrypt(b"kept"), store.kms.encrypt_data("kept"))
    first = store.kms.list_data_keys(limit=1000).items[0].id

    def rotate() -> None:
        try:
            for _ in range(12):
                former = store.kms.list_data_keys(limit=1000).items[-1].id
                store.kms.rotate_data_key()
                if former != first:
                    store.kms.destroy_data_key(former)
        finally:
            over.set()

    def use() -> None:
        while not over.is_set():
            store.kms.encrypt(b"x")
            store.kms.encrypt_data("x")
            assert store.kms.decrypt(kept[0]) == b"kept"
            assert store.kms.decrypt_data(kept[1]) == "kept"

    hammer(rotate, use, use)
    assert store.kms.encrypt_data("x")["keyId"] == store.kms.list_data_keys(limit=1000).items[-1].id
    states = Counter(info.state for info in store.kms.list_data_keys(limit=1000).items)
    assert states == {"deactivated": 1, "active": 1, "destroyed": 11}


def test_what_is_destroyed_opens_nothing_from_the_moment_it_was_told(opened: Open) -> None:
    store = opened(clock=None)
    over = threading.Event()
    dead: list[bytes] = []
    living = [store.kms.encrypt(b"x")]

    def destroy() -> None:
        try:
            for _ in range(10):
                former, blob = store.kms.list_data_keys(limit=1000).items[-1].id, living[0]
                store.kms.rotate_data_key()
                living[0] = store.kms.encrypt(b"x")
                store.kms.destroy_data_key(former)
                dead.append(blob)
        finally:
            over.set()

    def open_all() -> None:
        while not over.is_set():
            for blob in dead:
                assert not opens(store, blob)
            opens(store, living[0])

    hammer(destroy, open_all, open_all)
    assert len(dead) == 10
    assert [blob for blob in dead if opens(store, blob)] == []


def opens(store: Connection, blob: bytes) -> bool:
    try:
        return store.kms.decrypt(blob) == b"x"
    except keystead.errors.KeysteadError:
        return False


def test_sixteen_threads_lose_no_version(opened: Open) -> None:
    store = opened(clock=None)

    def write() -> None:
        for _ in range(5):
            store.kms.store_secret("API_KEY", "x")

    hammer(*[write] * 16)
    assert [version.version for version in store.kms.list_versions("API_KEY").items] == list(range(1, 81))


def test_threads_that_open_the_lock_file_at_once_leave_it_free(tmp_path: Path) -> None:
    path, clock = tmp_path / "store.lock", SystemClock()
    other = WriterLock(path, path, clock, 0.0)
    with ThreadPoolExecutor(8) as threads:
        for _ in range(500):
            lock, begin = WriterLock(path, path, clock, 10.0), threading.Barrier(8)

            def write(lock: WriterLock = lock, begin: threading.Barrier = begin) -> None:
                begin.wait()
                lock.take()
                lock.give()

            def look(lock: WriterLock = lock, begin: threading.Barrier = begin) -> int:
                begin.wait()
                return lock.changes()

            waiting = [threads.submit(write), *(threads.submit(look) for _ in range(7))]
            written, *looked = [done.result() for done in waiting]
            assert (written, len(looked)) == (None, 7)
            other.take()  # else StoreBusy, for as long as the process lives
            other.give()
            lock.close()

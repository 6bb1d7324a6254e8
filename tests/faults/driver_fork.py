"""A real process that forks after use: `driver_fork.py MODE DATABASE KEY [NUMBER] [FILE]`, findings as JSON lines."""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keystead
from keystead.node import ticker
from keystead.services.connection import Connection
from keystead.storage import sqlite
from keystead.storage.snapshot import describe, take_snapshot

ALARM_SECONDS = 20
# A fork waits for this one without bound, since it is held for no longer than adding to a set takes.
WAITED_FOR = "Forks._lock"
_LOCKS = (type(threading.Lock()), type(threading.RLock()))


def use_everything(store: Connection, mark: str) -> None:
    """One of each kind of use; AssertionError where an answer is wrong."""
    blob = store.kms.encrypt(b"data", aad=mark)
    assert store.kms.decrypt(blob, aad=mark) == b"data"
    assert store.kms.decrypt_data(store.kms.encrypt_data(mark)) == mark
    store.kms.store_secret(f"OF_{mark}", mark)
    assert store.kms.get_secret(f"OF_{mark}").reveal() == mark
    assert store.secrets.get_secret("SHARED").reveal() == "shared"
    assert store.secrets.get_secret("SHARED").reveal() == "shared"
    store.secrets.set_secret(f"OF_{mark}", mark + "2")
    assert store.secrets.get_secret(f"OF_{mark}").reveal() == mark + "2"
    assert store.kms.get_status().initialized
    assert store.kms.list_secrets(f"OF_{mark}").items


def in_child(work: Any, *, leave: Any = os._exit) -> int:
    """Run `work` in a fork under an alarm; the fork's wait status."""
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    signal.alarm(ALARM_SECONDS)
    try:
        work()
    except BaseException as error:
        sys.stderr.write(f"in the child: {type(error).__name__}: {error}\n")
        os._exit(9)
    leave(0)
    raise AssertionError("unreachable")


def uses(store: Connection, number: int, _file: str) -> Iterator[Any]:
    """Fork and use both sides, again and again; every second child also closes, and leaves as a program does."""
    for turn in range(number):

        def work(turn: int = turn) -> None:
            use_everything(store, f"child_{turn}")
            if turn % 2:
                store.close()

        yield in_child(work, leave=sys.exit if turn % 4 == 3 else os._exit)
        use_everything(store, f"parent_{turn}")


def grandchildren(store: Connection, number: int, _file: str) -> Iterator[Any]:
    """A fork of a fork."""

    def work() -> None:
        use_everything(store, "child")
        assert in_child(lambda: use_everything(store, "grandchild")) == 0
        use_everything(store, "child_again")

    yield in_child(work)


def locks_of(root: object) -> dict[str, Any]:
    """Every lock that can be reached from an object without leaving the package, by the way to it."""
    found: dict[str, Any] = {}
    seen: set[int] = set()
    waiting: list[tuple[str, object]] = [("node", root)]
    while waiting:
        path, item = waiting.pop()
        if id(item) in seen or len(path) > 200:
            continue
        seen.add(id(item))
        if isinstance(item, _LOCKS):
            found[path] = item
            continue
        module = type(item).__module__
        if not (module.startswith("keystead") or module in ("builtins", "threading", "collections", "functools")):
            continue
        if isinstance(item, type | threading.Thread) or type(item).__name__ == "module":
            continue
        names = {id(value): name for name, value in (getattr(item, "__dict__", None) or {}).items()}
        for slot in (name for kind in type(item).__mro__ for name in getattr(kind, "__slots__", ())):
            if hasattr(item, slot):
                names[id(getattr(item, slot))] = slot
        values = (*gc.get_referents(item), *(getattr(item, "__dict__", None) or {}).values())
        waiting += [(f"{path}.{names.get(id(value), type(value).__name__)}", value) for value in values]
    return found


def locks(store: Connection, number: int, _file: str) -> Iterator[Any]:
    """Fork while another thread holds a lock, for each lock there is; the way to each, and the child's status."""
    # A fork waits, a bounded time, for these to be free; here that would be in vain.
    ticker.HOLD_SECONDS = sqlite.BUSY_SECONDS = 0.05
    use_everything(store, "before")
    for turn, (path, lock) in enumerate(sorted(locks_of(store).items())):
        held, leave = threading.Event(), threading.Event()

        seconds = 0.5 if path.endswith(WAITED_FOR) else 60

        def hold(
            lock: Any = lock, held: threading.Event = held, leave: threading.Event = leave, seconds: float = seconds
        ) -> None:
            if lock.acquire(timeout=0.2):
                held.set()
                leave.wait(seconds)
                lock.release()

        thread = threading.Thread(target=hold)
        thread.start()
        if not held.wait(1):
            thread.join()
            continue
        status = in_child(lambda turn=turn: use_everything(store, f"lock_{turn}"))
        leave.set()
        thread.join()
        yield [path, status]


def busy(store: Connection, number: int, _file: str) -> Iterator[Any]:
    """Fork while threads use the store."""
    stopping = threading.Event()

    def work(name: str) -> None:
        turn = 0
        while not stopping.is_set():
            turn += 1
            use_everything(store, f"{name}_{turn}")

    threads = [threading.Thread(target=work, args=(f"thread_{name}",)) for name in range(3)]
    for thread in threads:
        thread.start()
    try:
        for turn in range(number):
            yield in_child(lambda turn=turn: use_everything(store, f"child_{turn}"))
    finally:
        stopping.set()
        for thread in threads:
            thread.join()


def short_lived(store: Connection, number: int, _file: str) -> Iterator[Any]:
    """Fork while threads come, read once and go, their connections with them, and others open stores and close them."""
    other = store.kms.node.location.database.with_name("other.db")

    def read_once() -> None:
        thread = threading.Thread(target=lambda: store.kms.get_secret("SHARED"))
        thread.start()
        thread.join()

    def open_once() -> None:
        keystead.connect(other, master_key=sys.argv[3]).close()

    yield from _forks_beside([read_once, read_once, open_once], store, number)


def copying(store: Connection, number: int, _file: str) -> Iterator[Any]:
    """Fork while another thread makes the image that a backup holds."""
    node = store.kms.node
    store.kms.store_secrets({f"FILLING_{number}": "v" * 500 for number in range(200)})

    def copy_once() -> None:
        image = take_snapshot(node.store)
        with node.store.undivided():
            describe(image)

    yield from _forks_beside([copy_once], store, number)


def _forks_beside(work: list[Callable[[], None]], store: Connection, number: int) -> Iterator[Any]:
    stopping = threading.Event()

    def again(once: Callable[[], None]) -> None:
        while not stopping.is_set():
            once()

    threads = [threading.Thread(target=again, args=(once,)) for once in work]
    for thread in threads:
        thread.start()
    try:
        for turn in range(number):
            yield in_child(lambda turn=turn: use_everything(store, f"child_{turn}"))
    finally:
        stopping.set()
        for thread in threads:
            thread.join()


def nonces(store: Connection, number: int, file: str) -> Iterator[Any]:
    """Encrypt so many times in each of four processes, all forked of one that has encrypted before; salts and nonces
    go to `FILE.N`, 28 bytes a message."""
    store.kms.encrypt(b"warm")
    pids = []
    for process in range(4):
        pid = os.fork()
        if pid == 0:
            with Path(f"{file}.{process}").open("wb") as out:
                for _ in range(number // 10_000):
                    blobs = store.kms.encrypt_many([b"x"] * 10_000)
                    out.write(b"".join([blob[12:28] + blob[60:72] for blob in blobs]))
            os._exit(0)
        pids.append(pid)
    yield [os.waitpid(pid, 0)[1] for pid in pids]


def salts(store: Connection, number: int, file: str) -> Iterator[Any]:
    """Fork so many times; each child's first salt and nonce, and the parent's after it."""
    store.kms.encrypt(b"warm")
    for turn in range(number):
        pid = os.fork()
        if pid == 0:
            blob = store.kms.encrypt(b"x")
            Path(f"{file}.{turn}").write_bytes(blob[12:28] + blob[60:72])
            os._exit(0)
        yield os.waitpid(pid, 0)[1]


def ivs(store: Connection, number: int, file: str) -> Iterator[Any]:
    """The same for envelopes v1: four processes under one key; their ivs, 12 bytes each."""
    import base64

    store.kms.encrypt_data("warm")
    pids = []
    for process in range(4):
        pid = os.fork()
        if pid == 0:
            made = [base64.b64decode(store.kms.encrypt_data("x")["iv"]) for _ in range(number)]
            Path(f"{file}.{process}").write_bytes(b"".join(made))
            os._exit(0)
        pids.append(pid)
    yield [os.waitpid(pid, 0)[1] for pid in pids]


MODES = {mode.__name__: mode for mode in (uses, grandchildren, locks, busy, short_lived, copying, nonces, salts, ivs)}


def main(mode: str, database: str, key: str, number: str = "4", file: str = "") -> None:
    with keystead.connect(Path(database), master_key=key) as store:
        store.kms.store_secret("SHARED", "shared")
        for finding in MODES[mode](store, int(number), file):
            print(json.dumps(finding), flush=True)
        use_everything(store, "at_the_end")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Runs one action on a store in a fork, which kills itself at a numbered call of what writes.

Read from stdin, a JSON line each: action, store, key, place (0: nowhere), and what the action needs. Answered with a
line each: how the fork ended ("killed", "done", or what it raised) and how many places it met.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keystead
from keystead.crypto.kdf import Argon2Parameters
from keystead.node import backup, backup_file  # noqa: F401 - loaded before the fork
from keystead.storage.sqlite import SqliteStore

CALLS = ("fsync", "fdatasync", "link", "pwrite", "write", "unlink", "mkdir", "fchmod", "ftruncate")


class Places:
    """Counts the places of a run and ends the process at one of them."""

    def __init__(self, deadly: int) -> None:
        self.met = 0
        self.deadly = deadly

    def here(self) -> None:
        self.met += 1
        if self.met == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def met(*args: Any, **how: Any) -> Any:
            self.here()
            return call(*args, **how)

        return met

    def lie_in_wait(self) -> None:
        for name in CALLS:
            setattr(os, name, self.around(getattr(os, name)))
        transaction = SqliteStore._transaction

        @contextmanager
        def watched(store: SqliteStore, connection: Any, operation_id: str) -> Iterator[None]:
            with transaction(store, connection, operation_id):
                yield
                self.here()
            self.here()

        SqliteStore._transaction = watched  # type: ignore[method-assign]


def act(kms: keystead.KMSService, action: str, told: dict[str, str]) -> None:
    if action == "backup":
        kms.backup(told["file"], passphrase=told["passphrase"], shreddable=True)
    elif action == "restore":
        kms.restore(told["file"], passphrase=told["passphrase"], shred_keys=told["shred_keys"])
    else:
        kms.destroy_data_key(kms.list_data_keys().items[0].id)


def run(told: dict[str, Any], answer: int) -> None:
    """In the fork."""
    places = Places(told["place"])
    kms = keystead.KMSService(told["store"], master_key=told["key"]).initialize()
    places.lie_in_wait()
    act(kms, told["action"], told)
    places.deadly = 0
    os.write(answer, f"done {places.met}\n".encode())


def main() -> None:
    backup_file.RFC_9106_LOW_MEMORY = Argon2Parameters(iterations=2, lanes=4, memory_kib=19_456)  # type: ignore[misc]
    for line in sys.stdin:
        told = json.loads(line)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                run(told, writing)
            except BaseException as error:
                os.write(writing, f"{type(error).__name__} 0\n".encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as file:
            text = file.read().strip()
        os.waitpid(child, 0)
        print(text or "killed 0", flush=True)


if __name__ == "__main__":
    main()

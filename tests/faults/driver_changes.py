"""A real process that changes a real store, one fork a run, so that a fault can be put into any of its system calls.

Commands come in on stdin as JSON lines (`change`, `folder`, and what the change needs). The fork opens the store, says
`ready PID`, waits for one byte, makes the change, tells `ack WHAT` after each success and `error CLASS TEXT` after a
KeysteadError. The parent says `end STATUS` when it is gone.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keystead
from keystead import errors
from keystead.seal.master_key import parse_master_key
from keystead.testing import ManualClock

_ALLOW_ANY_TRACER = 0x59616D61
PASSPHRASE = "correct horse battery staple galore"


def say(*words: object) -> None:
    # Not `write`, so that a fault put into every `write` of the product leaves the driver its voice.
    os.writev(1, [(" ".join(str(word) for word in words) + "\n").encode()])


class Run:
    """One change on one store."""

    def __init__(self, command: dict[str, Any]) -> None:
        self.command = command
        self.folder = Path(command["folder"])
        self.key = command["key"]
        self.clock: ManualClock | None = None
        self.store: Any = None

    def open(self) -> None:
        self.store = keystead.connect(self.folder / "app.db", master_key=self.key, clock=self.clock)

    def attempt(self, what: str, action: Callable[[], object]) -> None:
        try:
            action()
        except errors.KeysteadError as error:
            say("error", what, type(error).__name__, json.dumps(str(error)), getattr(error, "operation_id", "-"))
        else:
            say("ack", what)

    def ready(self) -> None:
        say("ready", os.getpid())
        os.read(0, 1)


def store(run: Run) -> None:
    run.ready()
    for number in range(3):
        run.attempt(f"NEW_{number}", lambda number=number: run.store.kms.store_secret(f"NEW_{number}", "new" * 20))
    run.attempt("many", lambda: run.store.kms.store_secrets({f"MANY_{n}": "many" * 500 for n in range(5)}))
    run.store.close()


def rotate(run: Run) -> None:
    run.ready()
    for number in range(3):
        run.attempt(f"OLD_{number}", lambda number=number: run.store.kms.rotate_secret(f"OLD_{number}", "second"))
    run.store.close()


def rotate_data_key(run: Run) -> None:
    run.ready()
    run.attempt("rotate_data_key", run.store.kms.rotate_data_key)
    run.store.close()


def rekey(run: Run) -> None:
    slots = run.store.kms.slots.list().items
    credential = parse_master_key(run.key, source="a test")
    run.ready()
    run.attempt("rekey", lambda: run.store.kms.rekey({slot.id: credential for slot in slots}))
    run.store.close()


def destroy_secret(run: Run) -> None:
    run.ready()
    for number in range(2):
        run.attempt(f"OLD_{number}", lambda number=number: run.store.kms.destroy_secret(f"OLD_{number}"))
    run.store.close()


def destroy_data_key(run: Run) -> None:
    oldest = run.store.kms.list_data_keys().items[0].id
    run.ready()
    run.attempt(oldest, lambda: run.store.kms.destroy_data_key(oldest))
    run.store.close()


def create(run: Run) -> None:
    run.ready()
    run.attempt("create", run.open)
    if run.store is not None:
        run.attempt("FIRST", lambda: run.store.kms.store_secret("FIRST", "first"))
        run.store.close()


def reopen(run: Run) -> None:
    run.ready()
    run.attempt("open", run.open)
    if run.store is not None:
        run.store.close()


def slots(run: Run) -> None:
    other = parse_master_key(run.command["other_key"], source="a test")
    run.ready()
    run.attempt("add", lambda: run.store.kms.slots.add(other, label="other"))
    run.attempt("remove", lambda: run.store.kms.slots.remove("other"))
    run.store.close()


def sweep(run: Run) -> None:
    run.ready()
    run.attempt("delete", lambda: run.store.kms.delete_secret("OLD_0"))
    run.attempt("undelete", lambda: run.store.kms.undelete_secret("OLD_0"))
    run.attempt("revoke", lambda: run.store.kms.revoke_session("ses_" + "0" * 32))
    run.store.close()


def backup(run: Run) -> None:
    target = run.folder / "backup.ksb"
    run.ready()
    run.attempt("backup", lambda: run.store.kms.backup(target, passphrase=PASSPHRASE))
    run.store.close()


def restore(run: Run) -> None:
    source = run.folder / "backup.ksb"
    run.ready()
    run.attempt("restore", lambda: run.store.kms.restore(source, passphrase=PASSPHRASE))
    run.store.close()


def envelopes(run: Run) -> None:
    run.ready()
    for made in range(1, 301):
        run.store.kms.encrypt_data("x")
        if made % 50 == 0:
            say("ack", made)
    run.store.close()


def stream(run: Run) -> None:
    source, target = run.folder / "plain.bin", run.folder / "sealed.bin"
    run.ready()
    run.attempt("stream", lambda: run.store.kms.encrypt_stream(source, target))
    run.store.close()


def failing_write(run: Run) -> None:
    """What a process may still do after a write failed: no more writes, but reads."""
    run.ready()
    run.attempt("write", lambda: run.store.kms.store_secret("NEW_0", "new" * 20))
    run.attempt("again", lambda: run.store.kms.store_secret("NEW_1", "new" * 20))
    run.attempt("read", lambda: run.store.kms.get_secret("OLD_0"))
    run.attempt("close", run.store.close)


CHANGES: dict[str, Callable[[Run], None]] = {
    change.__name__: change
    for change in (
        store, rotate, rotate_data_key, rekey, destroy_secret, destroy_data_key, create, reopen, slots, sweep, backup,
        restore, envelopes, stream, failing_write,
    )
}  # fmt: skip
OPENS_ITSELF = {"create", "reopen"}


def in_child(command: dict[str, Any]) -> None:
    run = Run(command)
    if command["change"] not in OPENS_ITSELF:
        run.open()
    CHANGES[command["change"]](run)


def main() -> None:
    # Where the kernel lets only parents trace, the tracer must be allowed by name.
    ctypes.CDLL(None).prctl(_ALLOW_ANY_TRACER, ctypes.c_ulong(-1 & (2**64 - 1)), 0, 0, 0)
    import keystead.services.connection  # noqa: F401 - loaded once, for all forks

    gc.freeze()
    say("serving")
    while line := _line():
        pid = os.fork()
        if pid == 0:
            ctypes.CDLL(None).prctl(_ALLOW_ANY_TRACER, ctypes.c_ulong(-1 & (2**64 - 1)), 0, 0, 0)
            try:
                in_child(json.loads(line))
            except BaseException as error:
                say("crash", type(error).__name__, json.dumps(str(error)))
                os._exit(3)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        say("end", status)


def _line() -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            return b""
        line += byte
    return line


if __name__ == "__main__":
    sys.exit(main())

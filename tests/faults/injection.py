"""Faults in the system calls of a real process: what strace puts there, and what came of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DRIVER = Path(__file__).with_name("driver_changes.py")
WRITES = (
    "write", "pwrite64", "fsync", "fdatasync", "ftruncate", "truncate", "unlink", "unlinkat",
    "rename", "renameat", "renameat2", "link", "linkat", "mkdir", "mkdirat", "fchmod", "fallocate",
)  # fmt: skip
_CALL = re.compile(r"^(?:\[pid +)?(\d+)\]? +([a-z0-9]+)\(")
_ATTACHED = re.compile(rb"[Pp]rocess \d+ attached")


@dataclass(frozen=True, slots=True)
class Point:
    """One system call of a run: which, the how-manieth of its kind in its thread, and where in the whole run."""

    call: str
    nth: int
    place: int

    def __str__(self) -> str:
        return f"#{self.place} {self.call}:{self.nth}"


@dataclass(slots=True)
class Outcome:
    """What a run told: acknowledgements, errors as (what, class, text, operation id), the wait status, a crash."""

    acks: list[str] = field(default_factory=list)
    errors: list[tuple[str, str, str, str]] = field(default_factory=list)
    status: int = -1
    crash: str = ""

    @property
    def killed(self) -> bool:
        return os.WIFSIGNALED(self.status) and os.WTERMSIG(self.status) == signal.SIGKILL

    def error(self, what: str) -> tuple[str, str, str]:
        """Class, text and operation id of the error of one step; empty texts where there was none."""
        return next(((kind, text, operation) for of, kind, text, operation in self.errors if of == what), ("", "", ""))


def why_not() -> str:
    """Why faults cannot be injected here, or ""."""
    if shutil.which("strace") is None:
        return "strace is not installed, and without it no fault can be put into a system call"
    tried = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "strace may not trace here (no ptrace)"


class Server:
    """The driver, loaded once; each run is a fork of it."""

    def __init__(self) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("KMS_", "KEYSTEAD_"))}
        self._process = subprocess.Popen(
            [sys.executable, str(DRIVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
        assert self._read() == ["serving"]

    def run(self, change: str, folder: Path, key: str, trace: list[str] | None = None, **more: Any) -> Outcome:
        """Make a change in a fork, with strace attached (with these arguments) once the store is open."""
        assert self._process.stdin is not None
        command = {"change": change, "folder": str(folder), "key": key, **more}
        self._send(json.dumps(command).encode() + b"\n")
        outcome = Outcome()
        tracer = None
        while (words := self._read())[0] != "end":
            if words[0] == "ready":
                tracer = None if trace is None else attach(int(words[1]), trace)
                self._send(b"g")
            elif words[0] == "ack":
                outcome.acks.append(words[1])
            elif words[0] == "error":
                text = json.loads(" ".join(words[3:-1]))
                outcome.errors.append((words[1], words[2], text, words[-1]))
            else:
                outcome.crash = " ".join(words)
        outcome.status = int(words[1])
        if tracer is not None:
            tracer.wait(timeout=20)
            assert tracer.stderr is not None
            tracer.stderr.close()
        return outcome

    def _send(self, data: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(data)
        self._process.stdin.flush()

    def _read(self) -> list[str]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().decode()
        if not line:
            raise AssertionError("the driver is gone")
        return line.split()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=20)
        assert self._process.stdout is not None
        self._process.stdout.close()


def attach(pid: int, arguments: list[str]) -> subprocess.Popen[bytes]:
    """strace on a running process; back when it traces."""
    tracer = subprocess.Popen(
        ["strace", "-f", *arguments, "-p", str(pid)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert tracer.stderr is not None
    for line in tracer.stderr:
        if _ATTACHED.search(line):
            break
    return tracer


def points(server: Server, change: str, folder: Path, key: str, **more: Any) -> tuple[list[Point], Outcome]:
    """The writing system calls of a clean run, in order."""
    log = folder / "strace.log"
    outcome = server.run(change, folder, key, ["-o", str(log), "-e", f"trace={','.join(WRITES)}"], **more)
    seen: dict[tuple[str, str], int] = {}
    found = []
    for line in log.read_text("utf-8", "replace").splitlines():
        match = _CALL.match(line)
        if match is None:
            continue
        place = (match[1], match[2])
        seen[place] = seen.get(place, 0) + 1
        found.append(Point(match[2], seen[place], len(found) + 1))
    log.unlink()
    return found, outcome


def kill_at(point: Point) -> list[str]:
    """strace's arguments: SIGKILL when the call is entered, before it does anything."""
    return ["-o", "/dev/null", "-e", f"trace={point.call}", "-e", f"inject={point.call}:signal=KILL:when={point.nth}"]


def fail(call: str, error: str, when: str = "1+", path: Path | None = None) -> list[str]:
    """strace's arguments: these calls fail with this error; with `path`, only those on that file."""
    only = [] if path is None else ["-P", str(path)]
    return ["-o", "/dev/null", *only, "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={when}"]


def sample(found: list[Point], most: int) -> list[Point]:
    """At most so many of the points, the first and the last among them, spread evenly."""
    if len(found) <= most:
        return found
    step = (len(found) - 1) / (most - 1)
    return [found[round(number * step)] for number in range(most)]

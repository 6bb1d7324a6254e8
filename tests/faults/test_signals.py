"""T46: Ctrl-C at any step of a change, in a program that goes on afterwards."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

import keystead
from keystead.errors import KeysteadError
from keystead.services.connection import Connection

KEY = keystead.generate_master_key()
SECONDS = 4


def interrupt(pid: int, until: float) -> None:
    """In a process of its own: interrupt another one again and again, at no step in particular."""
    while time.monotonic() < until:
        time.sleep(random.uniform(0.001, 0.01))
        os.kill(pid, signal.SIGINT)


def change_until(store: Connection, until: float) -> tuple[int, int, list[str]]:
    """Rotate again and again: how often that was told, how often it was interrupted, and what else came."""
    told = interrupted = 0
    other: list[str] = []
    while time.monotonic() < until and not other:
        try:
            store.kms.rotate_secret("API_KEY", "x")
            told += 1
        except KeyboardInterrupt:
            interrupted += 1
        except KeysteadError as error:
            other.append(str(error))
    return told, interrupted, other


def break_off(_signal: int, frame: FrameType | None) -> None:
    """As Python's own handler does, where it strikes inside the product."""
    while frame is not None:
        if "/src/keystead/" in frame.f_code.co_filename:
            raise KeyboardInterrupt
        frame = frame.f_back


def in_a_process_of_its_own(path: Path) -> None:
    store = keystead.connect(path, master_key=KEY)
    store.kms.store_secret("API_KEY", "x")
    signal.signal(signal.SIGINT, break_off)
    until = time.monotonic() + SECONDS
    child = os.fork()
    if child == 0:
        interrupt(os.getppid(), until - 0.5)
        os._exit(0)
    told, interrupted, other = change_until(store, until)
    os.waitpid(child, 0)
    version = store.kms.rotate_secret("API_KEY", "last").version
    report = store.kms.audit.verify()
    store.close()
    print(json.dumps([told, interrupted, other, version, [problem.what for problem in report.problems]]))


def test_after_interruptions_at_any_step_the_process_goes_on_and_its_log_verifies(tmp_path: Path) -> None:
    path = str(tmp_path / "app.db")
    code = f"from tests.faults import test_signals as t; t.KEY = {KEY!r}; t.in_a_process_of_its_own(t.Path({path!r}))"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told, interrupted, other, version, problems = json.loads(done.stdout)
    assert interrupted > 20 and told
    assert (other, problems) == ([], [])
    assert version > told
    with keystead.connect(tmp_path / "app.db", master_key=KEY) as store:
        report = store.kms.audit.verify()
        assert report.ok and report.pending == 0

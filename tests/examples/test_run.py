"""`make run`'s program: it ends with 0 when every promise held, and with 1 naming the one that did not."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from examples.tour.web import EXAMPLES

STEPS = 12
# What a caller may have set, and what must not matter.
MISLEADING = {
    "KMS_MASTER_KEY": "not a key at all",
    "KMS_MASTER_KEY_FILE": "/nowhere/master.key",
    "KEYSTEAD_URL": "/nowhere/keystead.db",
    "KEYSTEAD_AUDIT": "/nowhere/audit",
    "JWT_SECRET": "another application's",
    "DATABASE_URI": "sqlite:////nowhere/users.db",
}
CARELESS = """
from keystead.services.data_operations import DataOperations
genuine = DataOperations.decrypt_data
DataOperations.decrypt_data = lambda self, envelope, *, aad=None: genuine(self, envelope)
"""
LEAKING = """
import base64
from tour import steps
genuine = steps.import_env
def leaking(tour):
    lines = genuine(tour)
    (tour.store / "audit" / "debug.log").write_bytes(base64.b64encode(b"now: " + tour.values["REDIS_URL"].encode()))
    return lines
steps.import_env = leaking
"""
NOTICED_LATE = """
from tour import steps
genuine = steps.read_through_cache
def late(tour):
    # as on a slow machine: what another process imported is noticed in the midst of the reads
    tour.connection.kms.node._generation -= 1
    tour.connection.kms.node._fresh_until = tour.connection.kms.node.clock.monotonic() + 0.01
    genuine(tour)
    raise OSError("it held")
steps.read_through_cache = late
"""
FAILING = """
from tour import steps
def failing(tour):
    raise OSError("no space left")
steps.read_through_cache = failing
"""


def run(folder: Path, broken_by: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    script = EXAMPLES / "run.py"
    code = f"import runpy, sys\nsys.path.insert(0, {str(EXAMPLES)!r})\n{broken_by}\n"
    code += (
        f"sys.argv = ['run.py', '--folder', {str(folder)!r}]\nrunpy.run_path({str(script)!r}, run_name='__main__')\n"
    )
    command = [sys.executable, "-c", code] if broken_by else [sys.executable, script, "--folder", folder]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8", **variables}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def steps(output: str, mark: str) -> list[int]:
    return [int(number) for number in re.findall(rf"^ {mark} +(\d+)  ", output, flags=re.M)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run") / "made by the test"


@pytest.fixture(scope="module")
def done(folder: Path) -> subprocess.CompletedProcess[str]:
    return run(folder, **MISLEADING)


def test_every_step_holds_whatever_the_caller_has_set(done: subprocess.CompletedProcess[str]) -> None:
    assert done.stderr == ""
    assert steps(done.stdout, "✓") == list(range(1, STEPS + 1))
    assert done.stdout.splitlines()[-1].startswith(f"Each of the {STEPS} steps held")
    assert done.returncode == 0


def test_it_tells_all_on_two_screens(done: subprocess.CompletedProcess[str]) -> None:
    lines = done.stdout.splitlines()
    assert len(lines) <= 50
    assert [line for line in lines[1:] if len(line) > 100] == []


def test_it_tells_figures_and_masked_values(done: subprocess.CompletedProcess[str]) -> None:
    for told in (
        r"0 of 14 values in \d+ files, [\d,]+ KiB",
        r"the same search finds 14 in app\.env",
        r"14 misses, 100,000 hits",
        r"bob is refused",
        r"mongodb://\*\*\*@db1\.example\.net:27017",
        r"14 of 14 secrets, no master key, and ended with its own exit code 7",
        r"\[INFO\] kms_initialized \[INFO\] secrets_manager_initialized \[INFO\] configuration_loaded",
        r"14 of 14 are the same there, and the old envelope opens",
        r"version 2, seen in this process \d+ ms later",
        r"one letter changed in a copy is found",
    ):
        assert re.search(told, done.stdout), told


def test_no_value_is_in_what_it_tells(done: subprocess.CompletedProcess[str]) -> None:
    text = (EXAMPLES / "app.env").read_text("utf-8")
    credentials = re.findall(r"[A-Za-z0-9_/+%-]{20,}", text)
    assert len(credentials) >= 12
    assert [each for each in credentials if each[:12] in done.stdout and "_" not in each[:12]] == []


def test_the_folder_is_made_anew_each_time(done: subprocess.CompletedProcess[str], folder: Path) -> None:
    left = folder / "left by the last time"
    left.touch()
    again = run(folder, FAILING)
    assert steps(again.stdout, "✓") == [1, 2, 3]
    assert not left.exists()


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    refused = run(tmp_path)
    assert refused.returncode == 1
    assert "holds files that the tour did not make" in refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_envelope_that_opens_for_anyone_is_found_out(tmp_path: Path) -> None:
    broken = run(tmp_path / "run", CARELESS)
    assert broken.returncode == 1
    assert steps(broken.stdout, "✓") == [1, 2, 3, 4]
    assert steps(broken.stdout, "✗") == [5]
    assert "broken promise: bob cannot open ada's envelope" in broken.stdout
    assert f"All is left in {tmp_path / 'run'}" in broken.stdout
    assert (tmp_path / "run" / "app" / ".keystead" / "keystead.db").exists()


def test_what_is_noticed_late_of_the_import_breaks_no_promise_of_the_cache(tmp_path: Path) -> None:
    assert "failed with OSError: it held" in run(tmp_path / "run", NOTICED_LATE).stdout


def test_a_value_that_leaks_into_the_store_is_found_out(tmp_path: Path) -> None:
    leaking = run(tmp_path / "run", LEAKING)
    assert leaking.returncode == 1
    assert steps(leaking.stdout, "✗") == [3]
    assert re.search(r"debug\.log \([\w, ]*\bREDIS_URL\b", leaking.stdout)


def test_a_step_that_fails_ends_it_and_a_plain_terminal_can_show_that(tmp_path: Path) -> None:
    failing = run(tmp_path / "run", FAILING, PYTHONIOENCODING="ascii")
    assert failing.returncode == 1
    assert steps(failing.stdout, "ok") == [1, 2, 3]
    assert steps(failing.stdout, "NO") == [4]
    assert "failed with OSError: no space left" in failing.stdout
    assert "Traceback" in failing.stderr

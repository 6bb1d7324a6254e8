"""The set-up script tells a person what is missing, and leaves a fresh environment alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ("sh", "cat", "cksum", "basename", "env", "sed", "awk")


def make(*words: str) -> str:
    """What make prints, also where the tests themselves were started by make."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(["make", *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder of commands as on a machine that has a shell and no Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        found = next(Path(place) / tool for place in ("/bin", "/usr/bin") if (Path(place) / tool).exists())
        (folder / tool).symlink_to(found)
    return folder


def python_that(folder: Path, script: str) -> None:
    python = folder / "python3"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)


def set_up(bare: Path, venv: Path, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "requirements/set-up", str(venv), "requirements/run.txt"],
        cwd=ROOT, env={"PATH": str(bare), **extra}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_without_python_it_says_which_to_install(bare: Path, tmp_path: Path) -> None:
    done = set_up(bare, tmp_path / "venv")
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed; here is no python3 at all" in done.stderr
    assert "apt-get install python3" in done.stderr


def test_an_older_python_is_named(bare: Path, tmp_path: Path) -> None:
    python_that(bare, 'test "$1" = --version && echo Python 3.9.2 && exit 0; exit 1')
    done = set_up(bare, tmp_path / "venv")
    assert done.returncode == 1
    assert "here is Python 3.9.2" in done.stderr


def test_a_python_that_was_asked_for_and_is_not_there_is_named(bare: Path, tmp_path: Path) -> None:
    done = set_up(bare, tmp_path / "venv", PYTHON="python3.99")
    assert done.returncode == 1
    assert "PYTHON=python3.99 is not there" in done.stderr


def test_without_the_module_venv_it_names_the_package(bare: Path, tmp_path: Path) -> None:
    python_that(bare, 'case "$2" in *ensurepip*) exit 1;; *"%d.%d"*) echo 3.12;; esac; exit 0')
    done = set_up(bare, tmp_path / "venv")
    assert done.returncode == 1
    assert "apt-get install python3.12-venv" in done.stderr


def test_a_fresh_environment_is_left_alone_and_a_changed_one_is_not(bare: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(sys.executable)
    python_that(bare, "exit 1")
    made_from = (
        subprocess.run([sys.executable, "--version"], capture_output=True, check=True).stdout
        + os.fsencode(f"{ROOT}\n")
        + b"".join(
            (ROOT / name).read_bytes() for name in ("requirements/run.txt", "pyproject.toml", "requirements/set-up")
        )
    )
    summed = subprocess.run(["cksum"], input=made_from, capture_output=True, check=True).stdout
    (venv / ".set-up-run").write_bytes(summed)
    assert set_up(bare, venv).returncode == 0
    assert set_up(bare, venv, PYTHON=sys.executable).returncode == 0
    other = set_up(bare, venv, PYTHON="python3.99")
    assert other.returncode == 1
    assert "PYTHON=python3.99 is not there" in other.stderr
    (venv / ".set-up-run").write_text("another\n")
    (venv / "bin" / "python").unlink()
    assert set_up(bare, venv).returncode == 1


def test_the_callers_settings_do_not_reach_a_run() -> None:
    recipe = make("-n", "run")
    command = recipe.split("\n")[1].replace(".venv/bin/python examples/run.py", "env")
    shown = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, check=True,
        env={**os.environ, "KMS_MASTER_KEY": "x", "KEYSTEAD_URL": "y", "KMS_A_2": "line\nKMS_B=1", "KEPT": "kept"},
    ).stdout  # fmt: skip
    assert "KEPT=kept" in shown
    assert "KEYSTEAD_" not in shown
    assert "KMS_" not in shown


def test_help_lists_every_word() -> None:
    shown = make()
    assert [line.split()[1] for line in shown.splitlines()] == [
        "help", "run", "test", "check", "policy-campaign", "api-campaign", "server-campaign", "server-soak",
        "bench", "bench-server", "api-reference", "lock", "clean",
    ]  # fmt: skip

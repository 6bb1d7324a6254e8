"""Standard streams that are closed, or that nobody takes anything from."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from tests.cli.conftest import Commands, Done, environment


def shell(ks: Commands, *words: str, redirected: str) -> Done:
    done = subprocess.run(
        ["sh", "-c", f"{shlex.join(ks.argv(*words))} {redirected}"],
        cwd=ks.folder, env=environment(), capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert b"Traceback" not in done.stderr
    return Done(done.returncode, done.stdout, done.stderr.decode())


@pytest.mark.parametrize(
    "words",
    [
        ["set", "A"],
        ["env", "import", "-"],
        ["decrypt"],
        ["init", "--recover", "-"],
        ["slots", "add", "--passphrase-file", "-"],
        ["backup", "copy", "--passphrase-file", "-"],
    ],
    ids=" ".join,
)
def test_a_closed_stdin_is_told_and_no_other_file_is_read_in_its_place(ks: Commands, words: list[str]) -> None:
    done = shell(ks, *words, redirected="<&-")
    assert (done.code, done.out) == (2, b"")
    assert "stdin is closed" in done.err


def test_no_file_of_the_store_takes_the_place_of_a_closed_stream(ks: Commands) -> None:
    opened = (
        "import os, sys, keystead.cli.main as m, keystead.cli.status as s; s.version.callback = lambda **_: "
        "open('open', 'w').write(' '.join(os.readlink(f'/proc/self/fd/{n}') for n in range(3))); m.main(['version'])"
    )
    for redirected in ("<&-", ">&- 2>&-", "<&- >&- 2>&-"):
        subprocess.run(
            ["sh", "-c", f"{shlex.join([ks.argv()[0], '-c', opened])} {redirected}"],
            cwd=ks.folder, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, timeout=60, check=True,
        )  # fmt: skip
        assert (ks.folder / "open").read_text() == "/dev/null /dev/null /dev/null"
    # A child is not handed what stands in for a closed stream.
    shell(ks, "run", "--", "sh", "-c", "readlink /proc/$$/fd/1 /proc/$$/fd/2 || touch closed", redirected=">&- 2>&-")
    assert (ks.folder / "closed").exists()


@pytest.mark.parametrize("redirected", ["2>&-", "2>/dev/full"])
def test_what_cannot_be_told_changes_no_outcome(ks: Commands, redirected: str) -> None:
    for words, code in (
        (["set", "A", "--generate", "hex:64"], 0),
        (["list"], 0),
        (["get", "NOWHERE"], 3),
        (["get", "NOWHERE", "--json"], 3),
        (["nonsense"], 2),
        (["run", "--", "nowhere-to-be-found"], 127),
        (["rm", "A", "--yes"], 0),
    ):
        assert shell(ks, *words, redirected=redirected).code == code, words


def test_a_reader_of_stderr_that_goes_away_changes_no_outcome(ks: Commands) -> None:
    line = f"{shlex.join(ks.argv('set', 'A', '--generate', 'hex:64'))} 2>&1 >/dev/null | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], cwd=ks.folder, env=environment(), timeout=60, check=False)
    assert done.returncode == 0
    assert len(ks.good("get", "A").out) == 64

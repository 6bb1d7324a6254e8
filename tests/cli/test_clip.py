"""get --clip: into the clipboard by a program's stdin, and out of it again if it is still there."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.cli.conftest import CANARY, PATIENCE, Commands, Done, environment

# Each keeps what it was given in a file beside it, and its arguments in another.
XCLIP = """#!/bin/sh
here=$(dirname "$0"); echo "$0 $@" >> "$here/calls"
case "$*" in *-o*) cat "$here/held" ;; *) cat > "$here/held" ;; esac
"""
WL_COPY = """#!/bin/sh
here=$(dirname "$0"); echo "$0 $@" >> "$here/calls"
if [ "$1" = --clear ]; then : > "$here/held"; else cat > "$here/held"; fi
"""
WL_PASTE = """#!/bin/sh
cat "$(dirname "$0")/held"
"""
SOON = "import sys, keystead.cli.clip as c; c.SECONDS = {}; from keystead.cli.main import main; main(sys.argv[1:])"


class Board:
    """A clipboard of files, its programs, and calls of the command that find them."""

    def __init__(self, ks: Commands, folder: Path) -> None:
        folder.mkdir()
        self.ks, self.folder, self.held = ks, folder, folder / "held"
        for name in ("sh", "cat", "dirname"):
            (folder / name).symlink_to(str(shutil.which(name)))
        self.env = {"PATH": str(folder), "DISPLAY": ":99"}

    def add(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(0o755)

    def __call__(self, *words: str, seconds: float = 30) -> Done:
        done = subprocess.run(
            [sys.executable, "-c", SOON.format(seconds), *words],
            cwd=self.ks.folder, env=environment(**self.env), capture_output=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert b"Traceback" not in done.stderr
        return Done(done.returncode, done.stdout, done.stderr.decode())

    def becomes(self, text: str) -> bool:
        end = time.monotonic() + PATIENCE
        while self.held.read_text() != text and time.monotonic() < end:
            time.sleep(0.05)
        return self.held.read_text() == text


@pytest.fixture
def board(ks: Commands, tmp_path: Path) -> Board:
    ks.good("set", "A", input=CANARY)
    return Board(ks, tmp_path / "programs")


def test_a_value_is_copied_and_cleared_and_nothing_shows_it(board: Board) -> None:
    board.add("xclip", XCLIP)
    done = board("get", "A", "--clip", seconds=3)
    assert (done.code, done.out) == (0, b"")
    assert "A#1 is in the clipboard for 3 seconds" in done.err
    assert board.held.read_text() == CANARY
    assert board.becomes("")
    assert CANARY not in done.err + (board.folder / "calls").read_text()


def test_what_waits_holds_no_value_and_nothing_that_opens_the_store(board: Board) -> None:
    board.add("xclip", XCLIP)
    board.env["KMS_MASTER_KEY_FILE"] = str(board.ks.store / "master.key")
    assert board("get", "A", "--clip", seconds=5).code == 0
    (waiting,) = (
        path for path in Path("/proc").glob("[0-9]*")
        if b"keystead.cli.clip" in read(path / "cmdline") and str(board.folder).encode() in read(path / "environ")
    )  # fmt: skip
    words = read(waiting / "cmdline").split(b"\0")
    assert words[4:6] == [b"xclip", b"5"]
    assert b"KMS_" not in read(waiting / "environ")
    assert CANARY.encode() not in read(waiting / "environ") + b" ".join(words)
    assert board.becomes("")


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_what_was_copied_since_stays(board: Board) -> None:
    board.add("xclip", XCLIP)
    assert board("get", "A", "--clip", seconds=3).code == 0
    board.held.write_text("something else")
    end = time.monotonic() + PATIENCE
    while "-o" not in (board.folder / "calls").read_text() and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(0.3)
    assert board.held.read_text() == "something else"


def test_as_json_the_document_has_all_but_the_value(board: Board) -> None:
    board.add("xclip", XCLIP)
    done = board("get", "A", "--clip", "--json")
    document = json.loads(done.out)
    assert (document["schema"], document["name"], document["version"]) == ("keystead.get/1", "A", 1)
    assert document["cleared_after_seconds"] == 30
    assert CANARY not in done.text
    assert board.held.read_text() == CANARY


def test_on_wayland_its_own_program_comes_first(board: Board) -> None:
    board.add("xclip", XCLIP)
    board.add("wl-copy", WL_COPY)
    board.add("wl-paste", WL_PASTE)
    board.env["WAYLAND_DISPLAY"] = "wayland-0"
    assert board("get", "A", "--clip", seconds=1).code == 0
    assert board.becomes("")
    assert "xclip" not in (board.folder / "calls").read_text()


def test_where_no_program_or_no_clipboard_is_the_error_says_what_to_install(board: Board) -> None:
    refused = board("get", "A", "--clip")
    assert (refused.code, refused.out) == (1, b"")
    assert "install xclip or xsel" in refused.err
    del board.env["DISPLAY"]
    refused = board("get", "A", "--clip", "--json")
    assert json.loads(refused.err)["code"] == "KS3301"
    assert "DISPLAY" in json.loads(refused.err)["why"]


def test_a_program_that_fails_is_an_error_and_bytes_are_refused(board: Board) -> None:
    board.add("xclip", "#!/bin/sh\nexit 1\n")
    refused = board("get", "A", "--clip")
    assert (refused.code, "could not copy" in refused.err) == (1, True)
    board.ks.good("set", "B", "--bytes", input=b"\xff")
    assert board("get", "B", "--clip").code == 2


def test_a_value_that_nothing_would_clear_is_not_left_in_the_clipboard(board: Board) -> None:
    board.add("xclip", XCLIP)
    broken = SOON.replace("main(sys", "sys.executable = '/nowhere'; main(sys")
    done = subprocess.run(
        [sys.executable, "-c", broken.format(30), "get", "A", "--clip"],
        cwd=board.ks.folder, env=environment(**board.env), capture_output=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert board.held.read_text() == ""

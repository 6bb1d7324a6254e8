"""env import: into the store, out of the file, and back, wherever it is interrupted."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from tests.cli.conftest import CANARY, Commands, environment

TEXT = f"""# the application
JWT_SECRET={CANARY}
export MONGODB_URI="mongodb://app:pa ss@db/app"   # with a comment
PLAIN=kept

EMPTY=
KMS_MASTER_KEY_FILE=somewhere
KEYSTEAD_URL=elsewhere
MULTI="one
two"
JWT_SECRET={CANARY}2
"""


@pytest.fixture
def file(ks: Commands) -> Path:
    path = ks.folder / ".env"
    path.write_text(TEXT)
    path.chmod(0o640)
    return path


def copy_of(file: Path, number: int = 1) -> Path:
    return file.with_name(file.name + ".keystead" + ("" if number == 1 else f".{number}"))


def test_values_become_secrets_and_the_file_stays(ks: Commands, file: Path) -> None:
    done = ks.good("env", "import", ".env", "--json").document
    assert done["schema"] == "keystead.env-import/1"
    assert done["imported"] == ["JWT_SECRET", "MONGODB_URI", "PLAIN", "MULTI"]
    assert ks.good("get", "JWT_SECRET").text == CANARY + "2"
    assert ks.good("get", "MULTI").text == "one\ntwo"
    assert file.read_text() == TEXT


def test_keysteads_own_variables_and_empty_values_are_refused_by_name(ks: Commands, file: Path) -> None:
    done = ks.good("env", "import", ".env")
    for name in ("EMPTY", "KMS_MASTER_KEY_FILE", "KEYSTEAD_URL"):
        assert name in done.err
        assert ks("get", name).code == 3
    assert CANARY not in done.err + done.text


def test_a_second_import_finds_all_there(ks: Commands, file: Path) -> None:
    ks.good("env", "import", ".env")
    again = ks.good("env", "import", ".env", "--json").document
    assert (again["imported"], len(again["present"])) == ([], 4)
    assert len(ks.good("history", "PLAIN").text.splitlines()) == 1


def test_where_store_and_file_differ_the_store_wins_unless_told(ks: Commands, file: Path) -> None:
    ks.good("set", "PLAIN", input="mine")
    first = ks.good("env", "import", ".env", "--rewrite", "--json").document
    assert first["conflicts"] == ["PLAIN"]
    assert "PLAIN" not in first["taken_out"]
    assert "PLAIN=kept\n" in file.read_text()
    assert ks.good("get", "PLAIN").text == "mine"
    ks.good("env", "import", ".env", "--overwrite")
    assert ks.good("get", "PLAIN").text == "kept"


def test_only_what_is_named_is_imported(ks: Commands, file: Path) -> None:
    assert ks.good("env", "import", ".env", "--only", "PLAIN", "--json").document["imported"] == ["PLAIN"]
    refused = ks("env", "import", ".env", "--only", "PLAIN,NOWHERE")
    assert refused.code == 2
    assert "NOWHERE" in refused.err


def test_rewriting_takes_the_values_out_and_leaves_the_rest(ks: Commands, file: Path) -> None:
    done = ks.good("env", "import", ".env", "--rewrite")
    left = file.read_text()
    assert left == "# the application\n\nEMPTY=\nKMS_MASTER_KEY_FILE=somewhere\nKEYSTEAD_URL=elsewhere\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert stat.S_IMODE(copy_of(file).stat().st_mode) == 0o600
    assert CANARY.encode() not in copy_of(file).read_bytes()
    assert "--undo" in done.err
    assert sorted(path.name for path in ks.folder.iterdir()) == [".env", ".env.keystead", ".keystead"]


def test_undo_brings_the_file_back_to_the_byte(ks: Commands, file: Path) -> None:
    ks.good("env", "import", ".env", "--rewrite")
    ks.good("env", "import", "--undo", ".env")
    assert file.read_text() == TEXT
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert not copy_of(file).exists()
    assert ks("env", "import", "--undo", ".env").code == 1


def test_undo_brings_a_file_back_that_was_removed_since(ks: Commands, file: Path) -> None:
    ks.good("env", "import", ".env", "--rewrite")
    file.unlink()
    ks.good("env", "import", "--undo", ".env")
    assert file.read_text() == TEXT


def test_undo_asks_where_the_file_was_changed_since(ks: Commands, file: Path) -> None:
    ks.good("env", "import", ".env", "--rewrite")
    file.write_text("NEW=1\n")
    refused = ks("env", "import", "--undo", ".env")
    assert refused.code == 2
    assert file.read_text() == "NEW=1\n"
    ks.good("env", "import", "--undo", ".env", "--yes")
    assert file.read_text() == TEXT


def test_a_second_rewriting_keeps_the_first_copy_too(ks: Commands, file: Path) -> None:
    ks.good("env", "import", ".env", "--rewrite")
    between = file.read_text() + "LATER=more\n"
    file.write_text(between)
    ks.good("env", "import", ".env", "--rewrite")
    assert "LATER" not in file.read_text()
    ks.good("env", "import", "--undo", ".env")
    assert file.read_text() == between
    ks.good("env", "import", "--undo", ".env", "--yes")
    assert file.read_text() == TEXT


def test_a_value_that_another_line_needs_stays(ks: Commands) -> None:
    file = ks.folder / "app.env"
    file.write_text("USER_NAME=app\nPASSWORD=secret\nURL=db://${USER_NAME}:${PASSWORD}@${NOWHERE}/\n")
    done = ks.good("env", "import", "app.env", "--rewrite")
    assert file.read_text() == "USER_NAME=app\nPASSWORD=secret\nURL=db://${USER_NAME}:${PASSWORD}@${NOWHERE}/\n"
    assert "nothing sets" in done.err
    file.write_text("USER_NAME=app\nPASSWORD=secret\nURL=db://${USER_NAME}:${PASSWORD}@db/\n")
    ks.good("env", "import", "app.env", "--rewrite")
    assert file.read_text() == ""
    assert ks.good("get", "URL").text == "db://app:secret@db/"


def test_a_link_is_followed_to_the_file_that_holds_the_values(ks: Commands, file: Path) -> None:
    (ks.folder / "link.env").symlink_to(file)
    ks.good("env", "import", "link.env", "--rewrite")
    assert (ks.folder / "link.env").is_symlink()
    assert CANARY not in file.read_text()
    ks.good("env", "import", "--undo", "link.env")
    assert file.read_text() == TEXT


def test_stdin_is_imported_and_cannot_be_rewritten(ks: Commands) -> None:
    ks.good("env", "import", "-", input="A=1\nB=2\n")
    assert ks.good("get", "B").text == "2"
    assert ks("env", "import", "-", "--rewrite", input="A=1\n").code == 2


def test_a_file_that_is_none_changes_nothing_and_names_the_line(ks: Commands) -> None:
    (ks.folder / "bad.env").write_text(f"A=1\nB='{CANARY}\n")
    refused = ks("env", "import", "bad.env", "--rewrite")
    assert refused.code == 1
    assert "line 2" in refused.err
    assert CANARY not in refused.err
    assert ks.good("list").text == ""
    assert ks("env", "import", "nowhere.env").code == 1
    assert ks("env", "import", ".keystead").code == 1


def test_a_copy_of_another_file_or_store_is_not_put_back(ks: Commands, file: Path) -> None:
    ks.good("env", "import", ".env", "--rewrite")
    shutil.copy(copy_of(file), copy_of(ks.folder / "other.env"))
    (ks.folder / "other.env").write_text("mine")
    assert ks("env", "import", "--undo", "other.env").code == 7
    damaged = bytearray(copy_of(file).read_bytes())
    damaged[200] ^= 1
    copy_of(file).write_bytes(damaged)
    before = file.read_text()
    assert ks("env", "import", "--undo", ".env").code == 7
    assert (file.read_text(), (ks.folder / "other.env").read_text()) == (before, "mine")


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace stops the process between two calls")
@pytest.mark.parametrize("step", ["link", "rename", "fsync,fdatasync:when=5+"])
def test_killed_between_two_steps_nothing_is_lost_and_the_next_run_goes_on(ks: Commands, file: Path, step: str) -> None:
    ks.good("set", "WARM", input="x")
    call, _, when = step.partition(":")
    inject = f"inject={call}:signal=KILL" + (f":{when}" if when else "")
    command = ["strace", "-f", "-q", "-o", os.devnull, "-e", inject, *ks.argv("env", "import", ".env", "--rewrite")]
    killed = subprocess.run(command, cwd=ks.folder, env=environment(), capture_output=True, timeout=60, check=False)
    assert killed.returncode == -9
    text = file.read_text()
    if text != TEXT:
        assert CANARY not in text
        assert copy_of(file).exists()
    ks.good("env", "import", ".env", "--rewrite")
    assert ks.good("get", "JWT_SECRET").text == CANARY + "2"
    assert CANARY not in file.read_text()
    ks.good("env", "import", "--undo", ".env")
    assert file.read_text() == TEXT
    assert not copy_of(file).exists()


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace stops the process between two calls")
@pytest.mark.parametrize("inject", ["rename:signal=KILL", "unlink,unlinkat:signal=KILL:when=2+"])
def test_killed_while_the_file_is_put_back_the_next_undo_goes_on(ks: Commands, file: Path, inject: str) -> None:
    ks.good("env", "import", ".env", "--rewrite")
    command = ["strace", "-f", "-q", "-o", os.devnull, "-e", f"inject={inject}"]
    command += ks.argv("env", "import", "--undo", ".env")
    killed = subprocess.run(command, cwd=ks.folder, env=environment(), capture_output=True, timeout=60, check=False)
    assert killed.returncode == -9
    assert copy_of(file).exists()
    ks.good("env", "import", "--undo", ".env")
    assert file.read_text() == TEXT
    assert not copy_of(file).exists()


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace tells the order of calls")
def test_the_copy_is_on_the_disk_before_the_file_is_replaced_and_its_new_name_after(ks: Commands, file: Path) -> None:
    calls = ks.folder / "calls"
    command = ["strace", "-f", "-q", "-y", "-o", str(calls), "-e", "trace=fsync,rename,renameat,renameat2"]
    subprocess.run(
        [*command, *ks.argv("env", "import", ".env", "--rewrite")], cwd=ks.folder, env=environment(), check=True
    )
    lines = calls.read_text().splitlines()
    at = [number for number, line in enumerate(lines) if "rename" in line and line.count(".env") >= 2]
    flushed = [number for number, line in enumerate(lines) if "fsync(" in line and f"<{ks.folder}>" in line]
    assert len(at) >= 1 and flushed
    assert any(number < at[-1] for number in flushed), "the copy's name"
    assert flushed[-1] > at[-1], "the new file's name"


def test_where_the_copy_cannot_be_written_the_file_stays_as_it_was(ks: Commands, file: Path) -> None:
    (ks.folder / ".env.keystead").mkdir()
    (ks.folder / "..env.keystead.2.partial").mkdir()
    refused = ks("env", "import", ".env", "--rewrite")
    assert refused.code == 1
    assert file.read_text() == TEXT

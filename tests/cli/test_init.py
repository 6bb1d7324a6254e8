"""init: the store, its key, its recovery kit, and the way back when the key is lost."""

from __future__ import annotations

import re
import stat
import subprocess
from pathlib import Path

from tests.cli.conftest import CANARY, Commands

KIT_LINE = re.compile(r"([0-9A-HJKMNP-TV-Z]{4}-){5}[0-9A-HJKMNP-TV-Z]{4}")


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder but the audit log, which records even a look."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "audit" not in path.parts
    }


def modes(folder: Path) -> set[tuple[str, str]]:
    """Type and mode of everything below a folder, and of the folder."""
    return {
        ("folder" if path.is_dir() else "file", oct(stat.S_IMODE(path.stat().st_mode)))
        for path in (folder, *folder.rglob("*"))
        if path.name != ".gitignore"
    }


def test_init_makes_a_store_with_a_key_beside_it_and_says_where(bare: Commands) -> None:
    done = bare.good("init", "--no-recovery-kit")
    assert (bare.store / ".gitignore").read_text() == "*\n"
    assert len((bare.store / "master.key").read_text()) == 45
    assert str(bare.store / "master.key") in done.err
    assert (bare.store / "master.key").read_text().strip() not in done.err + done.text
    bare.good("set", "A", input="x")


def test_files_and_folders_are_private_whatever_the_umask(bare: Commands) -> None:
    bare.good("init", "--recovery-file", "kit.txt", umask=0)
    bare.good("set", "A", input="x", umask=0)
    assert modes(bare.store) == {("folder", "0o700"), ("file", "0o600")}
    assert stat.S_IMODE((bare.folder / "kit.txt").stat().st_mode) == 0o600


def test_a_tight_umask_does_not_stop_init(bare: Commands) -> None:
    bare.good("init", "--no-recovery-kit", umask=0o777)
    bare.good("set", "A", input="x", umask=0o777)
    assert bare.good("get", "A").text == "x"


def test_a_second_init_changes_nothing_and_says_so(ks: Commands) -> None:
    ks.good("set", "A", input="x")
    before = files(ks.store)
    again = ks.good("init")
    assert "nothing was changed" in again.err
    assert files(ks.store) == before
    assert ks.good("init", "--json").document["created"] is False
    assert ks.good("init", "--recovery-file", "kit.txt").code == 0
    assert not (ks.folder / "kit.txt").exists()


def test_an_init_with_a_key_that_cannot_be_used_leaves_nothing_behind(bare: Commands) -> None:
    for source in ({"KMS_MASTER_KEY": "bad"}, {"KMS_MASTER_KEY_FILE": "/no/such/file"}):
        for words in (("init", "--no-recovery-kit"), ("init", "--no-recovery-kit", "deep/er"), ("up", "--port", "0")):
            assert bare(*words, env=source).code != 0
            assert list(bare.folder.iterdir()) == []


def test_init_takes_a_folder(bare: Commands) -> None:
    bare.good("init", "--no-recovery-kit", "deep/er")
    assert (bare.folder / "deep/er/.keystead/keystead.db").exists()
    assert bare("init", "--no-recovery-kit", "/proc/x").code == 8


def test_a_key_that_is_found_in_a_source_is_used_and_not_written_down(bare: Commands) -> None:
    line = bare.good("generate-master-key").text.strip()
    name, _, key = line.partition("=")
    assert name == "KMS_MASTER_KEY"
    done = bare.good("init", "--no-recovery-kit", env={"KMS_MASTER_KEY": key})
    assert "KMS_MASTER_KEY" in done.err
    assert key not in done.err
    assert not (bare.store / "master.key").exists()
    bare.good("set", "A", input="x", env={"KMS_MASTER_KEY": key})
    assert bare("get", "A").code == 5


def test_a_key_that_cannot_be_used_makes_no_store(bare: Commands) -> None:
    refused = bare("init", "--no-recovery-kit", env={"KMS_MASTER_KEY": "c2hvcnQ="})
    assert refused.code == 5
    assert "5 bytes" in refused.err
    assert not (bare.store / "keystead.db").exists()
    assert not (bare.store / "master.key").exists()


def test_without_a_terminal_the_recovery_kit_needs_a_decision(bare: Commands) -> None:
    refused = bare("init")
    assert refused.code == 2
    assert "--recovery-file" in refused.err
    assert "--no-recovery-kit" in refused.err
    assert not bare.store.exists()


def test_the_recovery_kit_is_shown_once_on_a_terminal(bare: Commands) -> None:
    shown = bare.terminal("init")
    assert shown.code == 0
    assert len(KIT_LINE.findall(shown.screen)) == 3 or shown.screen.count("=== recovery key ===") == 1
    again = bare.terminal("init")
    assert "recovery key" not in again.screen
    kinds = sorted(slot["kind"] for slot in bare.good("slots", "list", "--json").document["slots"])
    assert kinds == ["master-key", "recovery"]


def test_the_kit_goes_to_a_file_and_not_to_the_output(bare: Commands) -> None:
    done = bare.good("init", "--recovery-file", "kit.txt")
    kit = (bare.folder / "kit.txt").read_text()
    assert kit.count("=== recovery key ===") == 1
    lines = [line.strip() for line in kit.splitlines() if KIT_LINE.fullmatch(line.strip())]
    assert len(lines) == 3
    assert not any(line in done.err + done.text for line in lines)
    assert str(bare.folder / "kit.txt") in done.err


def test_the_kit_is_refused_in_the_stores_folder_unless_it_is_for_a_trial(bare: Commands) -> None:
    for path in (".keystead/kit.txt", ".keystead/../.keystead/kit.txt"):
        refused = bare("init", "--recovery-file", path)
        assert refused.code == 2
        assert not (bare.store / "keystead.db").exists()
    (bare.folder / "link").symlink_to(bare.store)
    bare.store.mkdir(exist_ok=True)
    assert bare("init", "--recovery-file", "link/kit.txt").code == 2
    bare.good("init", "--dev", "--recovery-file", ".keystead/kit.txt")
    assert (bare.store / "kit.txt").exists()


def test_a_kit_file_that_cannot_be_written_makes_no_store(bare: Commands) -> None:
    (bare.folder / "there").write_text("mine")
    assert bare("init", "--recovery-file", "there").code == 6
    assert bare("init", "--recovery-file", "no/such/folder/kit").code in (1, 2)
    assert (bare.folder / "there").read_text() == "mine"
    assert not (bare.store / "keystead.db").exists()


def test_a_lost_key_is_replaced_with_the_help_of_the_kit(bare: Commands) -> None:
    bare.good("init", "--recovery-file", "kit.txt")
    bare.good("set", "A", input=CANARY)
    old = (bare.store / "master.key").read_text()
    (bare.store / "master.key").unlink()
    locked = bare("get", "A")
    assert locked.code == 5
    assert "--recover" in locked.err
    recovered = bare.good("init", "--recover", "kit.txt")
    new = (bare.store / "master.key").read_text()
    assert new != old
    assert new.strip() not in recovered.err + recovered.text
    assert bare.good("get", "A").text == CANARY
    slots = bare.good("slots", "list", "--json").document["slots"]
    assert sorted(slot["kind"] for slot in slots) == ["master-key", "master-key", "recovery"]


def test_recovery_reads_the_three_lines_alone_from_stdin(bare: Commands) -> None:
    bare.good("init", "--recovery-file", "kit.txt")
    lines = [line.strip() for line in (bare.folder / "kit.txt").read_text().splitlines()]
    typed = "\n".join(line for line in lines if KIT_LINE.fullmatch(line)).lower()
    (bare.store / "master.key").unlink()
    bare.good("init", "--recover", "-", input=typed)
    bare.good("set", "A", input="x")
    assert bare.good("get", "A").text == "x"


def test_a_wrong_kit_changes_nothing(bare: Commands) -> None:
    bare.good("init", "--recovery-file", "kit.txt")
    other = bare.elsewhere(bare.folder.parent / "other")
    other.good("init", "--recovery-file", "kit.txt")
    (bare.store / "master.key").unlink()
    before = files(bare.store)
    assert bare("init", "--recover", str(other.folder / "kit.txt")).code == 5
    kit = bare.folder / "kit.txt"
    typo = re.sub(r"(?<=\n    )(.)", lambda found: "7" if found[1] != "7" else "8", kit.read_text(), count=1)
    kit.write_text(typo)
    mistyped = bare("init", "--recover", "kit.txt")
    assert mistyped.code == 5
    assert "line 1" in mistyped.err
    assert bare("init", "--recover", "nowhere").code == 1
    assert not (bare.store / "master.key").exists()
    assert files(bare.store) == before


def test_recovery_does_not_overwrite_a_key_file(bare: Commands) -> None:
    bare.good("init", "--recovery-file", "kit.txt")
    old = (bare.store / "master.key").read_text()
    assert bare("init", "--recover", "kit.txt").code == 6
    assert (bare.store / "master.key").read_text() == old
    bare.good("init", "--recover", "kit.txt", "--key-file", "new.key")
    (bare.store / "master.key").unlink()
    bare.good("set", "A", input="x", env={"KMS_MASTER_KEY_FILE": str(bare.folder / "new.key")})


def test_a_passphrase_opens_a_store_without_a_key(bare: Commands) -> None:
    (bare.folder / "words").write_text("correct horse battery staple\n")
    (bare.folder / "words").chmod(0o600)
    bare.good("init", "--no-recovery-kit", "--passphrase-file", "words")
    assert not (bare.store / "master.key").exists()
    bare.good("set", "A", input="x", env={"KMS_PASSPHRASE_FILE": str(bare.folder / "words")})
    shown = bare.terminal("get", "A", answers=[("Passphrase", "correct horse battery staple")])
    assert shown.code == 0
    assert "staple" not in shown.screen
    assert "x\n" in shown.screen
    wrong = bare.terminal("get", "A", answers=[("Passphrase", "incorrect horse battery")])
    assert wrong.code == 5


def test_a_passphrase_is_asked_for_twice_by_init(bare: Commands) -> None:
    shown = bare.terminal(
        "init", "--no-recovery-kit", "--passphrase",
        answers=[("Passphrase", "correct horse battery staple"), ("epeat", "correct horse battery staple")],
    )  # fmt: skip
    assert shown.code == 0
    assert "staple" not in shown.screen


def test_a_weak_passphrase_makes_no_store(bare: Commands) -> None:
    (bare.folder / "words").write_text("short\n")
    (bare.folder / "words").chmod(0o600)
    assert bare("init", "--no-recovery-kit", "--passphrase-file", "words").code == 2
    assert not (bare.store / "keystead.db").exists()


def test_init_tells_all_of_it_as_json(bare: Commands) -> None:
    document = bare.good("init", "--json", "--recovery-file", "kit.txt").document
    assert document["schema"] == "keystead.init/1"
    assert document["created"] is True
    assert document["database"] == str(bare.store / "keystead.db")
    assert document["key"] == str(bare.store / "master.key")
    assert document["recovery_file"] == str(bare.folder / "kit.txt")


def test_several_at_once_make_one_store_that_opens(bare: Commands) -> None:
    racing = [bare.start("init", "--no-recovery-kit", stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    ended = []
    for process in racing:
        _, err = process.communicate(timeout=60)
        assert b"Traceback" not in err
        ended.append(process.returncode)
    assert 0 in ended
    assert set(ended) <= {0, 6}
    bare.good("set", "A", input="x")
    assert bare.good("get", "A").text == "x"
    assert len(bare.good("slots", "list", "--json").document["slots"]) == 1


def test_init_follows_the_store_that_was_named(bare: Commands) -> None:
    key = bare.good("generate-master-key").text.strip().partition("=")[2]
    named = {"KEYSTEAD_URL": "named.db", "KMS_MASTER_KEY": key}
    bare.good("init", "--no-recovery-kit", env=named)
    assert (bare.folder / "named.db").exists()
    assert not bare.store.exists()
    bare.good("set", "A", input="x", env=named)
    assert bare("-s", "other.db", "init", "--no-recovery-kit").code == 5
    assert not (bare.folder / "master.key").exists()


def test_recovery_needs_a_store(bare: Commands) -> None:
    bare.good("init", "--recovery-file", "kit.txt")
    other = bare.elsewhere(bare.folder.parent / "other")
    kit = str(bare.folder / "kit.txt")
    assert other("init", "--recover", kit).code == 3
    assert other("init", "--recover", kit, ".").code == 3
    assert other("-s", "new.db", "init", "--recover", kit).code == 3
    assert list(other.folder.iterdir()) == []

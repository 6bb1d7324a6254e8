"""backup and restore, the audit log, sessions."""

from __future__ import annotations

import json
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from tests.cli.conftest import CANARY, Commands

WORDS = "correct horse battery staple"


@pytest.fixture
def words(tmp_path: Path) -> str:
    path = tmp_path / "words"
    path.write_text(WORDS + "\n")
    path.chmod(0o600)
    return str(path)


def test_a_backup_restores_elsewhere_under_a_key_of_its_own(ks: Commands, words: str, tmp_path: Path) -> None:
    ks.good("set", "A", input=CANARY)
    ks.good("set", "B", "--bytes", input=b"\0\xff")
    written = ks.good("backup", "all.ksb", "--passphrase-file", words, "--json").document
    assert (written["schema"], written["secrets"]) == ("keystead.backup/1", 2)
    assert stat.S_IMODE((ks.folder / "all.ksb").stat().st_mode) == 0o600
    assert CANARY.encode() not in (ks.folder / "all.ksb").read_bytes()
    target = tmp_path / "elsewhere"
    restored = ks.good("restore", "all.ksb", "--into", str(target), "--passphrase-file", words, "--json").document
    assert restored["database"] == str(target / ".keystead/keystead.db")
    there = ks.elsewhere(target)
    assert there.good("get", "A").text == CANARY
    assert there.good("get", "B").out == b"\0\xff"
    assert (target / ".keystead/master.key").read_text() != (ks.store / "master.key").read_text()


def test_a_backup_overwrites_nothing_and_needs_a_strong_passphrase(ks: Commands, words: str) -> None:
    (ks.folder / "there").write_text("mine")
    assert ks("backup", "there", "--passphrase-file", words).code == 6
    assert (ks.folder / "there").read_text() == "mine"
    assert ks("backup", "new", "--passphrase-file", "-", input="short\n").code == 2
    assert ks("backup", "new").code == 2
    assert not (ks.folder / "new").exists()


def test_a_restore_overwrites_nothing_and_a_bad_one_leaves_nothing(ks: Commands, words: str, tmp_path: Path) -> None:
    ks.good("set", "A", input="x")
    ks.good("backup", "all", "--passphrase-file", words)
    assert ks("restore", "all", "--passphrase-file", words).code == 6
    there = ks.elsewhere(tmp_path / "elsewhere")
    source = str(ks.folder / "all")
    assert there("restore", source, "--passphrase-file", "-", input="another six words here").code == 7
    damaged = bytearray((ks.folder / "all").read_bytes())
    damaged[-1] ^= 1
    (ks.folder / "damaged").write_bytes(damaged)
    assert there("restore", str(ks.folder / "damaged"), "--passphrase-file", words).code == 7
    assert there("restore", str(ks.folder / "nowhere"), "--passphrase-file", words).code == 1
    (tmp_path / "no-shred-keys").mkdir()
    ks.good("backup", "shreddable", "--shreddable", "--passphrase-file", words)
    shreddable = ("restore", str(ks.folder / "shreddable"), "--passphrase-file", words)
    assert there(*shreddable, "--shred-keys", str(tmp_path / "no-shred-keys")).code == 7
    assert not there.store.exists()
    there.good("restore", source, "--passphrase-file", words)
    assert there.good("get", "A").text == "x"


def test_passphrases_of_backups_are_asked_for_on_a_terminal(ks: Commands, tmp_path: Path) -> None:
    ks.good("set", "A", input="x")
    shown = ks.terminal("backup", "all", answers=[("Passphrase of the backup", WORDS), ("epeat", WORDS)])
    assert shown.code == 0
    assert WORDS not in shown.screen
    there = ks.elsewhere(tmp_path / "elsewhere")
    shown = there.terminal("restore", str(ks.folder / "all"), answers=[("Passphrase of the backup", WORDS)])
    assert shown.code == 0
    assert there.good("get", "A").text == "x"


def test_the_log_verifies_with_the_key_with_the_public_one_and_without(ks: Commands) -> None:
    ks.good("set", "A", input="x")
    whole = ks.good("audit", "verify", "--json").document
    assert (whole["ok"], whole["checked"]) == (True, "keys")
    (ks.store / "master.key").unlink()
    public = ks.good("audit", "verify", "--public-key", whole["public_key"], "--json").document
    assert (public["ok"], public["checked"]) == (True, "public key")
    bare = ks.good("audit", "verify", "--without-key", "--json").document
    assert (bare["ok"], bare["checked"]) == (True, "links")
    assert ks("audit", "verify").code == 5
    assert ks("audit", "verify", "--public-key", "00").code == 2
    assert ks("audit", "verify", "--public-key", "00" * 32).code == 7


def test_a_changed_record_is_named_and_the_code_tells(ks: Commands) -> None:
    ks.good("set", "A", input="x")
    (path,) = (ks.store / "audit").glob("0001/*.jsonl")
    lines = path.read_bytes().split(b"\n")
    place = next(at for at, line in enumerate(lines) if b"secret_stored" in line)
    lines[place] = lines[place].replace(b"secret/A", b"secret/B")
    path.write_bytes(b"\n".join(lines))
    refused = ks("audit", "verify", "--without-key", "--json")
    assert refused.code == 7
    document = json.loads(refused.out)
    assert document["ok"] is False
    assert document["problems"][0]["line"] == place + 1
    told = ks("audit", "verify", "--without-key")
    assert told.code == 7
    assert f"record {place}" in told.err
    assert "KS2005" in told.err


def test_the_tail_shows_what_happened_without_a_key(ks: Commands) -> None:
    ks.good("set", "A", input="x")
    ks("get", "NOWHERE")
    (ks.store / "master.key").unlink()
    text = ks.good("audit", "tail", "-n", "50").text
    assert re.search(r"secret_stored secret/A local:\w+", text)
    assert re.search(r"secret_retrieved FAILED secret/NOWHERE", text)
    assert re.search(r"link=[0-9a-f]{16}\.\.\. ", text)  # as docs/audit.md shows it
    assert not re.search(r"[0-9a-f]{64}", text)
    assert len(ks.good("audit", "tail", "-n", "2").text.splitlines()) == 2
    document = ks.good("audit", "tail", "-n", "50", "--json").document
    assert "secret_stored" in [record["event"] for record in document["records"]]
    lines = ks.good("audit", "tail", "-n", "3", "--jsonl").text.splitlines()
    assert all(json.loads(line)["event"] for line in lines)
    assert re.search(r'"link": "[0-9a-f]{64}"', lines[-1])


def test_following_shows_each_record_once_as_it_comes(ks: Commands) -> None:
    before = [json.loads(line) for line in ks.good("audit", "tail", "-n", "3", "--jsonl").text.splitlines()]
    process = ks.start("audit", "tail", "-f", "-n", "3", "--json", stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert [json.loads(process.stdout.readline()) for _ in before] == before
        ks.good("set", "FOLLOWED", input="x")
        seen = []
        while not any(record["target"] == "secret/FOLLOWED" for record in seen):
            seen.append(json.loads(process.stdout.readline()))
        places = [(record["chain"], record["index"]) for record in before + seen]
        assert len(places) == len(set(places))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_store_that_was_put_back_opens_once_that_is_accepted(ks: Commands) -> None:
    ks.good("set", "A", input="one")
    database = ks.store / "keystead.db"
    old = database.read_bytes()
    ks.good("set", "A", input="two")
    for suffix in ("-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)
    database.write_bytes(old)
    refused = ks("get", "A")
    assert refused.code == 7
    assert "accept-rollback" in refused.err
    assert ks("audit", "accept-rollback").code == 2
    shown = ks.terminal("audit", "accept-rollback", answers=[("Type", "accept-rollback")])
    assert shown.code == 0
    assert ks.good("get", "A").text == "one"
    assert "rollback_accepted" in ks.good("audit", "tail").text
    again = ks.good("audit", "accept-rollback")
    assert "nothing was changed" in again.err


def test_sessions_of_the_log_are_listed_and_one_is_revoked(ks: Commands) -> None:
    ks.good("set", "A", input="x")
    (ks.folder / "mode").write_text("")
    found = ks.good("sessions", "list", "--json").document["sessions"]
    assert all(re.fullmatch(r"ses_[0-9a-f]{32}", session["id"]) for session in found)
    assert all(session["principal"].startswith("local:") for session in found)
    ks.good("sessions", "revoke", found[0]["id"])
    assert "session_revoked" in ks.good("audit", "tail").text
    assert ks("sessions", "revoke", "nonsense").code == 2


def test_a_copied_store_is_read_with_its_key_only(ks: Commands, tmp_path: Path) -> None:
    ks.good("set", "A", input=CANARY)
    shutil.copytree(ks.store, tmp_path / "copy/.keystead", ignore=shutil.ignore_patterns("master.key"))
    there = ks.elsewhere(tmp_path / "copy")
    assert there("get", "A").code == 5
    key = (ks.store / "master.key").read_text().strip()
    assert there.good("get", "A", env={"KMS_MASTER_KEY": key}).text == CANARY

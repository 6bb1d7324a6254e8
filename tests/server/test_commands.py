"""The command line at a server: what it does there, and what it says where only the machine of the store will do."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import Commands, Preloaded, environment
from tests.server.conftest import Server

PASSPHRASE = "seven herons over a quiet harbour"


@pytest.fixture(scope="module")
def preloaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Preloaded]:
    process = Preloaded(tmp_path_factory.mktemp("calls"))
    yield process
    process.close()


@pytest.fixture
def at(server: Server, preloaded: Preloaded, tmp_path: Path) -> Commands:
    """The command in a folder without a store, with the server's url and an access token in its environment."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    private = os.open(folder / "passphrase", os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(private, PASSPHRASE.encode())
    os.close(private)
    return Commands(folder, preloaded)


@pytest.fixture
def env(server: Server) -> dict[str, str]:
    return {"KEYSTEAD_URL": server.url, "KEYSTEAD_TOKEN": server.token}


def test_files_and_pipes_of_any_size(at: Commands, env: dict[str, str]) -> None:
    plain = os.urandom(600_000)
    (at.folder / "plain").write_bytes(plain)
    at.good("encrypt", "--in", "plain", "--out", "sealed", "--aad", "a=b", env=env)
    at.good("decrypt", "--in", "sealed", "--out", "back", "--aad", "a=b", env=env)
    assert (at.folder / "back").read_bytes() == plain
    piped = at.good("encrypt", "--format", "stream", input=plain, env=env).out
    assert at.good("decrypt", input=piped, env=env).out == plain
    cut = at("decrypt", input=piped[:-1], env=env)
    assert (cut.code, cut.out) == (7, plain[: 2 * 262_144])
    (at.folder / "cut").write_bytes(piped[: 80 + 262_144 + 16])
    assert at("decrypt", "--in", "cut", "--out", "no", env=env).code == 7
    assert not (at.folder / "no").exists()


def test_the_document_of_a_ciphertext_does_not_name_a_data_key_that_only_the_server_knows(
    at: Commands, env: dict[str, str]
) -> None:
    sealed = at.good("encrypt", "--json", input=b"data", env=env).document
    assert (sealed["format"], sealed["data_key"]) == ("v2-text", None)
    opened = at.good("decrypt", "--json", input=sealed["ciphertext"], env=env).document
    assert (opened["plaintext"], opened["data_key"]) == ("data", None)


def test_a_backup_comes_here_and_is_restored_here_only(at: Commands, env: dict[str, str]) -> None:
    given = ("--passphrase-file", "passphrase")
    done = at.good("backup", "b", *given, env=env)
    assert "read back and verified" in done.err
    assert at("backup", "b", *given, env=env).code == 6
    refused = at("restore", "b", *given, env=env)
    assert refused.code == 2
    assert "only on the machine of the store" in refused.err
    at.good("restore", "b", "--into", "new", *given, env=env)
    assert (at.folder / "new" / ".keystead" / "keystead.db").is_file()


@pytest.mark.parametrize(
    "words",
    [
        ("init",),
        ("rekey",),
        ("slots", "add", "--recovery-file", "kit"),
        ("slots", "add", "--passphrase-file", "passphrase"),
        ("restore", "passphrase", "--passphrase-file", "passphrase"),
        ("audit", "accept-rollback", "--yes"),
        ("audit", "verify", "--without-key"),
        ("serve",),
        ("doctor",),
        ("config", "explain"),
    ],
    ids=" ".join,
)
def test_what_must_be_done_at_the_store_says_so(at: Commands, env: dict[str, str], words: tuple[str, ...]) -> None:
    before = set(at.folder.iterdir())
    done = at(*words, env=env)
    assert done.code == 2
    assert "on the machine of the store" in done.err
    assert set(at.folder.iterdir()) == before


def test_following_the_log_begins_with_as_many_records_as_were_asked_for(at: Commands, env: dict[str, str]) -> None:
    at.good("set", "followed/before", input=b"x", env=env)
    following = subprocess.Popen(
        [sys.executable, "-m", "keystead", "audit", "tail", "-f", "-n", "1"],
        cwd=at.folder,
        env=environment(**env),
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - nothing else runs here
    )
    assert following.stdout is not None
    try:
        lines = [following.stdout.readline()]
        at.good("set", "followed/after", input=b"x", env=env)
        while "followed/after" not in lines[-1]:
            lines.append(following.stdout.readline())
            assert lines[-1]
    finally:
        following.kill()
        following.wait(30)
        following.stdout.close()
    assert "followed/before" not in "".join(lines)


def test_what_is_about_a_store_here_leaves_the_url_of_its_server_aside(preloaded: Preloaded, tmp_path: Path) -> None:
    commands, url = Commands(tmp_path, preloaded), {"KEYSTEAD_URL": "http://127.0.0.1:7780"}
    commands.good("init", "--no-recovery-kit", env={"KEYSTEAD_URL": ""})
    done = commands("doctor", env=url)
    assert done.code in (0, 1)
    assert "note: KEYSTEAD_URL names a server; this is about the store in" in done.err
    assert "max_body_bytes" in commands.good("config", "explain", env=url).text
    (commands.folder / "keystead.toml").write_text("[sever]\nport = 7000\n")
    assert commands("config", "explain").code == 1


def test_up_starts_again_in_the_shell_that_its_first_screen_told_to_name_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    for again in (False, True):
        variables = {"HOME": str(home), "XDG_STATE_HOME": str(home)}
        if again:
            variables["KEYSTEAD_URL"] = "http://127.0.0.1:7780"
        up = subprocess.Popen(
            [sys.executable, "-m", "keystead", "up", "--port", "0"],
            cwd=tmp_path,
            env=environment(**variables),
            stderr=subprocess.PIPE,
            text=True,
        )
        assert up.stderr is not None
        said, end = "", time.monotonic() + 60
        while "what to mend" not in said:
            line = up.stderr.readline()
            assert line, said
            assert time.monotonic() < end
            said += line
        up.send_signal(signal.SIGTERM)
        assert up.wait(60) == 0
        up.stderr.close()
        assert ("(new)" in said) is not again
        without_paths = said[said.index("  api ") :].splitlines()
        assert max(map(len, without_paths)) <= 80
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == [".keystead"]


def test_up_on_a_port_that_is_taken_makes_nothing_and_leaves_the_token_of_the_other_server(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        kept = tmp_path / "keystead" / f"token-127.0.0.1_{port}"
        kept.parent.mkdir()
        kept.touch(0o600)
        kept.write_text("ks_the_other_servers\n")
        folder = tmp_path / "project"
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-m", "keystead", "up", "--port", port],
            cwd=folder,
            env=environment(HOME=str(tmp_path), XDG_STATE_HOME=str(tmp_path)),
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert (done.returncode, f"cannot listen on 127.0.0.1:{port}" in done.stderr) == (8, True)
    assert kept.read_text() == "ks_the_other_servers\n"
    assert list(folder.iterdir()) == []


def test_up_makes_nothing_where_the_env_file_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"A=\xff\n")
    done = subprocess.run(
        [sys.executable, "-m", "keystead", "up", "--port", "0"],
        cwd=tmp_path,
        env=environment(HOME=str(tmp_path), XDG_STATE_HOME=str(tmp_path / "state")),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, "not UTF-8" in done.stderr) == (1, True)
    assert [path.name for path in tmp_path.iterdir()] == [".env"]

"""The credential is taken from the first source that has one, and only from a place that is private."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keystead.crypto.material import KeyMaterial
from keystead.errors import MasterKeyInvalid, MasterKeyMissing
from keystead.seal.master_key import MasterKey, fingerprint, generate_master_key, parse_master_key
from keystead.seal.private_file import write_private
from keystead.seal.providers.passphrase import Passphrase
from keystead.seal.providers.recovery import RecoveryKit
from keystead.seal.sources import FoundCredential, find_credential

TEXT = "correct horse battery staple"
Check = Callable[[BaseException, str], None]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    store = tmp_path / "app" / ".keystead"
    store.mkdir(parents=True)
    return store


def write(path: Path, text: str, *, mode: int = 0o600) -> Path:
    path.write_text(text, "utf-8")
    path.chmod(mode)
    return path


def key_of(found: FoundCredential) -> str:
    assert isinstance(found.credential, MasterKey)
    return fingerprint(found.credential)


def mark(text: str) -> str:
    return fingerprint(parse_master_key(text, source="a test"))


def set_all(folder: Path) -> tuple[dict[str, str], dict[str, str], str]:
    """Every source with a key of its own: the environment, the keys by source, the argument."""
    keys = {name: generate_master_key() for name in ("argument", "variable", "file", ".env", "master.key")}
    key_file = write(folder.parent / "key.txt", keys["file"] + "\n")
    write(folder.parent / ".env", f"A=1\nKMS_MASTER_KEY={keys['.env']}\nB=2\n")
    write(folder / "master.key", keys["master.key"] + "\n")
    words = write(folder.parent / "words", TEXT + "\n")
    environment = {
        "KMS_MASTER_KEY": keys["variable"],
        "KMS_MASTER_KEY_FILE": str(key_file),
        "KMS_PASSPHRASE_FILE": str(words),
    }
    return environment, keys, keys["argument"]


def test_sources_come_in_their_order(folder: Path) -> None:
    environment, keys, argument = set_all(folder)
    found = find_credential(environment=environment, argument=argument, store_folder=folder)
    assert (found.source, key_of(found)) == ("argument", mark(keys["argument"]))
    found = find_credential(environment=environment, store_folder=folder)
    assert (found.source, key_of(found)) == ("KMS_MASTER_KEY", mark(keys["variable"]))
    del environment["KMS_MASTER_KEY"]
    found = find_credential(environment=environment, store_folder=folder)
    assert (found.source, key_of(found)) == (f"KMS_MASTER_KEY_FILE ({folder.parent}/key.txt)", mark(keys["file"]))
    del environment["KMS_MASTER_KEY_FILE"]
    found = find_credential(environment=environment, store_folder=folder)
    assert (found.source, key_of(found)) == (str(folder.parent / ".env"), mark(keys[".env"]))
    (folder.parent / ".env").unlink()
    found = find_credential(environment=environment, store_folder=folder)
    assert (found.source, key_of(found)) == (str(folder / "master.key"), mark(keys["master.key"]))
    (folder / "master.key").unlink()
    found = find_credential(environment=environment, store_folder=folder, prompt=lambda: "not asked at all")
    assert found.source == f"KMS_PASSPHRASE_FILE ({folder.parent}/words)"
    assert isinstance(found.credential, Passphrase)
    assert found.credential.reveal() == TEXT
    found = find_credential(environment={}, store_folder=folder, prompt=lambda: "asked in the end")
    assert found.source == "passphrase prompt"
    assert isinstance(found.credential, Passphrase)
    assert found.credential.reveal() == "asked in the end"


def test_finding_none_lists_each_source_with_what_was_there(folder: Path) -> None:
    write(folder.parent / ".env", "OTHER=1\n")
    with pytest.raises(MasterKeyMissing) as caught:
        find_credential(environment={}, store_folder=folder)
    assert caught.value.looked_at == (
        "argument: not given",
        "KMS_MASTER_KEY: not set",
        "KMS_MASTER_KEY_FILE: not set",
        f"{folder.parent}/.env: no line KMS_MASTER_KEY=",
        f"{folder}/master.key: no such file",
        "KMS_PASSPHRASE_FILE: not set",
        "KMS_PASSPHRASE_FD: not set",
        "passphrase prompt: nobody to ask",
    )
    assert "keystead init --recover" in caught.value.hint


def test_a_credential_given_as_such_is_taken(master_key: MasterKey) -> None:
    for credential in (master_key, Passphrase("short"), RecoveryKit.generate(store_id="store_a")):
        found = find_credential(environment={}, argument=credential)
        assert found.credential is credential
        assert (found.source, found.path, found.notes) == ("argument", None, ())


@pytest.mark.parametrize("name", ["KMS_MASTER_KEY", "KMS_MASTER_KEY_FILE", "KMS_PASSPHRASE_FILE", "KMS_PASSPHRASE_FD"])
def test_a_variable_set_to_nothing_is_an_error_and_not_unset(name: str, folder: Path) -> None:
    if not name.startswith("KMS_PASSPHRASE"):
        write(folder / "master.key", generate_master_key())
    with pytest.raises(MasterKeyInvalid, match=name):
        find_credential(environment={name: ""}, store_folder=folder, prompt=lambda: TEXT)


def test_an_unusable_source_is_not_passed_over_for_a_later_one(folder: Path) -> None:
    write(folder / "master.key", generate_master_key())
    for environment in ({"KMS_MASTER_KEY": "tooshort"}, {"KMS_MASTER_KEY_FILE": str(folder / "absent")}):
        with pytest.raises(MasterKeyInvalid):
            find_credential(environment=environment, store_folder=folder)


def test_sources_that_disagree_are_noted_and_the_first_wins(folder: Path) -> None:
    environment, keys, _ = set_all(folder)
    (folder / "master.key").chmod(0o644)
    found = find_credential(environment=environment, store_folder=folder)
    assert key_of(found) == mark(keys["variable"])
    file, dotenv, key_file, words = found.notes
    assert mark(keys["file"]) in file
    assert mark(keys["variable"]) in file
    assert mark(keys[".env"]) in dotenv
    assert "0644" in key_file
    assert words.startswith("KMS_PASSPHRASE_FILE was not used")
    for text in keys.values():
        assert not any(text[i : i + 8] in note for note in found.notes for i in range(37))


def test_sources_that_agree_are_not_noted(folder: Path) -> None:
    text = generate_master_key()
    write(folder / "master.key", text + "\n")
    write(folder.parent / ".env", f"KMS_MASTER_KEY={text}\n")
    assert find_credential(environment={"KMS_MASTER_KEY": text}, store_folder=folder).notes == ()


def test_a_key_left_over_is_noted_when_a_kit_is_given(folder: Path) -> None:
    write(folder / "master.key", generate_master_key())
    kit = RecoveryKit.generate(store_id="store_a")
    (note,) = find_credential(environment={}, argument=kit, store_folder=folder).notes
    assert "master.key" in note


def test_a_key_beside_its_store_is_told_apart(folder: Path) -> None:
    write(folder / "master.key", generate_master_key())
    assert find_credential(environment={}, store_folder=folder).beside(folder)
    write(folder.parent / "key.txt", generate_master_key())
    environment = {"KMS_MASTER_KEY_FILE": str(folder.parent / "key.txt")}
    assert not find_credential(environment=environment, store_folder=folder).beside(folder)
    assert not find_credential(environment={"KMS_MASTER_KEY": generate_master_key()}).beside(folder)


@pytest.fixture(params=["master.key", "KMS_MASTER_KEY_FILE", ".env", "KMS_PASSPHRASE_FILE"])
def placed(request: pytest.FixtureRequest, folder: Path) -> tuple[Path, Callable[[], FoundCredential]]:
    """A file with a good credential in it, and the search that finds it there."""
    text = TEXT if request.param == "KMS_PASSPHRASE_FILE" else generate_master_key()
    environment = {}
    if request.param == ".env":
        path = write(folder.parent / ".env", f"KMS_MASTER_KEY={text}\n")
    elif request.param == "master.key":
        path = write(folder / "master.key", text)
    else:
        path = write(folder.parent / "private", text)
        environment = {request.param: str(path)}
    return path, lambda: find_credential(environment=environment, store_folder=folder)


Placed = tuple[Path, Callable[[], FoundCredential]]


@pytest.mark.parametrize("mode", [0o640, 0o644, 0o660, 0o604, 0o602, 0o620, 0o601, 0o777])
def test_a_file_that_others_can_reach_is_refused(mode: int, placed: Placed) -> None:
    path, search = placed
    path.chmod(mode)
    with pytest.raises(MasterKeyInvalid, match=f"{mode:04o}") as caught:
        search()
    assert caught.value.hint == f"chmod 600 {path}"
    assert str(path) in caught.value.message


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_private_file_is_taken(mode: int, placed: Placed) -> None:
    path, search = placed
    path.chmod(mode)
    assert search().path == path


def test_a_symbolic_link_is_refused_even_to_a_private_file(placed: Placed) -> None:
    path, search = placed
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))
    with pytest.raises(MasterKeyInvalid, match="symbolic link"):
        search()


@as_root
def test_a_file_of_another_user_is_refused(placed: Placed) -> None:
    path, search = placed
    os.chown(path, 12_345, -1)
    with pytest.raises(MasterKeyInvalid, match="belongs to user 12345") as caught:
        search()
    assert "chown" in caught.value.hint


@as_root
def test_a_file_that_this_user_cannot_read_is_named(folder: Path) -> None:
    path = write(folder.parent / "key.txt", generate_master_key(), mode=0o600)
    code = (
        "import os, sys\n"
        "from keystead.seal.sources import find_credential\n"
        "from keystead.errors import MasterKeyInvalid\n"
        "os.setuid(12345)\n"
        "try: find_credential(environment={'KMS_MASTER_KEY_FILE': sys.argv[1]})\n"
        "except MasterKeyInvalid as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert "Permission denied" in done.stdout
    assert str(path) in done.stdout


def test_what_is_no_file_is_refused_and_never_waited_for(folder: Path) -> None:
    pipe, directory = folder.parent / "pipe", folder.parent / "directory"
    os.mkfifo(pipe, 0o600)
    directory.mkdir(mode=0o700)
    for path in (pipe, directory, Path("/dev/zero")):
        with pytest.raises(MasterKeyInvalid, match="not a regular file"):
            find_credential(environment={"KMS_MASTER_KEY_FILE": str(path)})
    long = write(folder.parent / "long", "A" * 10_000)
    with pytest.raises(MasterKeyInvalid, match="longer than 8192"):
        find_credential(environment={"KMS_MASTER_KEY_FILE": str(long)})


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), os.mkfifo], ids=["directory", "pipe"])
def test_a_dotenv_that_is_no_file_is_passed_over(make: Callable[[Path], None], folder: Path) -> None:
    make(folder.parent / ".env")
    write(folder / "master.key", generate_master_key())
    assert find_credential(environment={}, store_folder=folder).source.endswith("master.key")


@pytest.mark.parametrize("line", ["OTHER=1", "# KMS_MASTER_KEY=1", "KMS_MASTER_KEY_FILE=x", "XKMS_MASTER_KEY=x", ""])
def test_a_dotenv_without_the_line_may_lie_open(line: str, folder: Path) -> None:
    write(folder.parent / ".env", f"{line}\n", mode=0o644)
    with pytest.raises(MasterKeyMissing, match=r"\.env: no line KMS_MASTER_KEY="):
        find_credential(environment={}, store_folder=folder)


@pytest.mark.parametrize(
    "line", ["KMS_MASTER_KEY={}", "export KMS_MASTER_KEY={}", 'KMS_MASTER_KEY="{}"', "KMS_MASTER_KEY='{}'  ",
             "  KMS_MASTER_KEY = {}", "KMS_MASTER_KEY={}\r"],
)  # fmt: skip
def test_a_dotenv_line_is_read_as_people_write_it(line: str, folder: Path) -> None:
    text = generate_master_key()
    write(folder.parent / ".env", f"A=b\n{line.format(text)}\nC=d")
    assert key_of(find_credential(environment={}, store_folder=folder)) == mark(text)


@pytest.mark.parametrize(
    "lines", ["KMS_MASTER_KEY=", "KMS_MASTER_KEY={0}\nKMS_MASTER_KEY={0}", "KMS_MASTER_KEY={0} # note",
              "KMS_MASTER_KEY=\"{0}'", "KMS_MASTER_KEY={0}x", "KMS_MASTER_KEY=\udcff"],
)  # fmt: skip
def test_a_dotenv_line_that_is_not_clear_is_refused(lines: str, folder: Path, tells_nothing_of: Check) -> None:
    text = generate_master_key()
    path = folder.parent / ".env"
    path.write_bytes(lines.format(text).encode("utf-8", "surrogateescape"))
    path.chmod(0o600)
    with pytest.raises(MasterKeyInvalid, match=r"\.env") as caught:
        find_credential(environment={}, store_folder=folder)
    tells_nothing_of(caught.value, text)


@pytest.mark.parametrize("name", ["KMS_MASTER_KEY_FILE", "KMS_PASSPHRASE_FILE"])
@pytest.mark.parametrize(
    "value", ["oKGio6SlpqeoqaqrrK2ur7CxsrO0tba3uLm6u7y9vr8=", "correct horse battery", "x" * 5_000, "a null\x00byte"],
    ids=["key", "passphrase", "long", "null"],
)  # fmt: skip
def test_a_credential_put_where_a_path_belongs_is_not_repeated(name: str, value: str, tells_nothing_of: Check) -> None:
    with pytest.raises(MasterKeyInvalid, match=f"{name} cannot be used") as caught:
        find_credential(environment={name: value})
    tells_nothing_of(caught.value, value)


@pytest.fixture
def pipe_with() -> Iterator[Callable[[bytes], int]]:
    opened: list[int] = []

    def make(data: bytes) -> int:
        reading, writing = os.pipe()
        os.write(writing, data)
        os.close(writing)
        opened.append(reading)
        return reading

    yield make
    for descriptor in opened:
        os.close(descriptor)


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_passphrase_comes_over_a_descriptor(ending: str, pipe_with: Callable[[bytes], int]) -> None:
    descriptor = pipe_with(TEXT.encode() + ending.encode())
    os.set_inheritable(descriptor, True)
    found = find_credential(environment={"KMS_PASSPHRASE_FD": str(descriptor)})
    assert isinstance(found.credential, Passphrase)
    assert found.credential.reveal() == TEXT
    assert found.source == "KMS_PASSPHRASE_FD"
    assert not os.get_inheritable(descriptor)


def test_of_a_passphrase_only_one_line_break_is_taken_away(folder: Path) -> None:
    for written, meant in (("  a b c \n\n", "  a b c \n"), ("a b c\r", "a b c\r"), ("a b c\t\n", "a b c\t")):
        path = folder / "words"
        path.write_bytes(written.encode())
        path.chmod(0o600)
        found = find_credential(environment={"KMS_PASSPHRASE_FILE": str(path)})
        assert isinstance(found.credential, Passphrase)
        assert found.credential.reveal() == meant


@pytest.mark.parametrize("number", ["", "-1", "3.5", "three", "999999", "9999999999", " 3", "٣"])
def test_a_descriptor_that_is_none_is_refused(number: str) -> None:
    with pytest.raises(MasterKeyInvalid, match="KMS_PASSPHRASE_FD"):
        find_credential(environment={"KMS_PASSPHRASE_FD": number})


@pytest.mark.parametrize("data", [b"", b"\n", b"\xff\xfe not text", b"x" * 9_000])
def test_a_descriptor_without_a_passphrase_is_refused(data: bytes, pipe_with: Callable[[bytes], int]) -> None:
    with pytest.raises(MasterKeyInvalid, match="KMS_PASSPHRASE_FD"):
        find_credential(environment={"KMS_PASSPHRASE_FD": str(pipe_with(data))})


def test_a_private_file_is_written_for_nobody_else_and_never_over_another(folder: Path) -> None:
    path = folder / "master.key"
    before = os.umask(0)
    try:
        write_private(path, b"first")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o7777 == 0o600
    with pytest.raises(FileExistsError):
        write_private(path, b"second")
    assert path.read_bytes() == b"first"
    (folder / "link").symlink_to(folder / "target")
    with pytest.raises(FileExistsError):
        write_private(folder / "link", b"third")
    assert not (folder / "target").exists()


def test_a_restrictive_umask_does_not_lock_the_owner_out(folder: Path) -> None:
    before = os.umask(0o777)
    try:
        write_private(folder / "master.key", b"first")
    finally:
        os.umask(before)
    assert (folder / "master.key").stat().st_mode & 0o7777 == 0o600


def test_what_is_found_prints_no_value(folder: Path) -> None:
    environment, keys, argument = set_all(folder)
    found = find_credential(environment=environment, argument=argument, store_folder=folder)
    assert not any(text[:8] in repr(found) for text in keys.values())
    key = KeyMaterial(found.credential.view()) if isinstance(found.credential, MasterKey) else None
    assert key is not None
    assert key.view().hex() not in repr(found)

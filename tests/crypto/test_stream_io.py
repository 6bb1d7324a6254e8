"""Streams between files and pipes: a file appears whole or not at all, a pipe gets only verified chunks."""

import errno
import io
import os
import resource
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from keystead.crypto.stream import DEFAULT_CHUNK, MIN_CHUNK, StreamOpener, StreamSealer
from keystead.errors import DecryptionError, EnvelopeError, FileUnavailable, UsageError
from keystead.keys import stream_io
from keystead.keys.stream_io import open_stream, seal_stream

DATA_KEY = bytes(range(32))
SIZE = MIN_CHUNK


def sealer(size: int = SIZE, aad: bytes = b"aad") -> StreamSealer:
    return StreamSealer(bytes(8), DATA_KEY, aad=aad, chunk_size=size)


def opener_for(header: bytes) -> StreamOpener:
    return StreamOpener(header, DATA_KEY, aad=b"aad")


def sealed_bytes(plaintext: bytes, size: int = SIZE) -> bytes:
    target = io.BytesIO()
    seal_stream(io.BytesIO(plaintext), target, sealer(size))
    return target.getvalue()


@pytest.fixture
def folder(tmp_path):
    """A folder in which nothing but named files may be left over."""
    made = tmp_path / "files"
    made.mkdir()
    return made


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("length", [0, 1, SIZE - 1, SIZE, SIZE + 1, 2 * SIZE, 7 * SIZE, 7 * SIZE + 3])
@pytest.mark.parametrize("kind", [str, Path])
def test_a_file_comes_back_as_it_was(folder, length, kind):
    plain = folder / "plain"
    plain.write_bytes(os.urandom(length))
    assert seal_stream(kind(plain), kind(folder / "sealed"), sealer()) == length
    chunks = max(1, -(-length // SIZE))
    assert (folder / "sealed").stat().st_size == 80 + length + 16 * chunks
    assert open_stream(kind(folder / "sealed"), kind(folder / "back"), opener_for) == length
    assert (folder / "back").read_bytes() == plain.read_bytes()
    assert names(folder) == {"plain", "sealed", "back"}


def test_ten_mebibytes_come_back_at_the_default_chunk_size(folder):
    plain = folder / "plain"
    plain.write_bytes(os.urandom(10 << 20))
    assert seal_stream(plain, folder / "sealed", sealer(DEFAULT_CHUNK)) == 10 << 20
    assert (folder / "sealed").stat().st_size == 80 + (10 << 20) + 40 * 16, "no empty chunk after an exact multiple"
    assert open_stream(folder / "sealed", folder / "back", opener_for) == 10 << 20
    assert (folder / "back").read_bytes() == plain.read_bytes()


def test_a_file_may_be_sealed_and_opened_in_place(folder):
    path = folder / "file"
    path.write_bytes(b"x" * (3 * SIZE))
    seal_stream(path, path, sealer())
    assert path.read_bytes()[:2] == b"ks"
    open_stream(path, path, opener_for)
    assert path.read_bytes() == b"x" * (3 * SIZE)
    assert names(folder) == {"file"}


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_a_written_file_is_for_its_owner_only_whatever_the_umask(folder, umask):
    before = os.umask(umask)
    try:
        seal_stream(io.BytesIO(b"x"), folder / "sealed", sealer())
        open_stream(io.BytesIO((folder / "sealed").read_bytes()), folder / "back", opener_for)
    finally:
        os.umask(before)
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in ("sealed", "back")} == {0o600}


def test_an_older_wider_file_is_replaced_and_not_written_into(folder):
    target = folder / "target"
    target.write_bytes(b"old")
    target.chmod(0o644)
    other_name = folder / "other-name"
    other_name.hardlink_to(target)
    seal_stream(io.BytesIO(b"new"), target, sealer())
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert other_name.read_bytes() == b"old"


def test_a_link_is_replaced_and_what_it_points_to_stays(folder):
    elsewhere = folder / "elsewhere"
    elsewhere.write_bytes(b"untouched")
    (folder / "link").symlink_to(elsewhere)
    open_stream(io.BytesIO(sealed_bytes(b"new")), folder / "link", opener_for)
    assert elsewhere.read_bytes() == b"untouched"
    assert not (folder / "link").is_symlink()
    assert (folder / "link").read_bytes() == b"new"


@pytest.mark.parametrize("make", ["fifo", "folder", "device"])
def test_a_target_that_is_no_regular_file_is_refused(folder, make):
    target = folder / "target"
    if make == "fifo":
        os.mkfifo(target)
    elif make == "folder":
        target.mkdir()
    else:
        target = Path("/dev/null")
    for run in (
        lambda: seal_stream(io.BytesIO(b"x"), target, sealer()),
        lambda: open_stream(io.BytesIO(sealed_bytes(b"x")), target, opener_for),
    ):
        with pytest.raises(UsageError, match="no regular file"):
            run()
    assert target.exists()
    assert not [name for name in names(folder) if name.endswith(".part")]


DAMAGES = {
    "cut in the header": lambda blob: blob[:79],
    "only a header": lambda blob: blob[:80],
    "cut in a chunk": lambda blob: blob[: 80 + SIZE],
    "cut between chunks": lambda blob: blob[: 80 + 2 * (SIZE + 16)],
    "last byte missing": lambda blob: blob[:-1],
    "one byte more": lambda blob: blob + b"\0",
    "a chunk of zeros more": lambda blob: blob + bytes(SIZE + 16),
    "twice": lambda blob: blob + blob,
    "last chunk twice": lambda blob: blob + blob[80 + 2 * (SIZE + 16) :],
    "first two swapped": lambda blob: (
        blob[:80] + blob[80 + SIZE + 16 : 80 + 2 * (SIZE + 16)] + blob[80 : 80 + SIZE + 16] + blob[-(SIZE + 16) :]
    ),
    "first taken away": lambda blob: blob[:80] + blob[80 + SIZE + 16 :],
    "a bit of the last chunk": lambda blob: blob[:-1] + bytes((blob[-1] ^ 1,)),
    "empty": lambda blob: b"",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_stream_leaves_no_output_and_what_was_there_before(folder, damage):
    damaged = DAMAGES[damage](sealed_bytes(b"a" * SIZE + b"b" * SIZE + b"c" * SIZE))
    source = folder / "sealed"
    source.write_bytes(damaged)
    with pytest.raises((DecryptionError, EnvelopeError)):
        open_stream(source, folder / "back", opener_for)
    assert names(folder) == {"sealed"}
    (folder / "back").write_bytes(b"older")
    with pytest.raises((DecryptionError, EnvelopeError)):
        open_stream(source, folder / "back", opener_for)
    assert (folder / "back").read_bytes() == b"older"
    assert names(folder) == {"sealed", "back"}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_pipe_gets_only_verified_chunks_and_then_an_error(damage):
    plaintext = b"a" * SIZE + b"b" * SIZE + b"c" * SIZE
    out = io.BytesIO()
    with pytest.raises((DecryptionError, EnvelopeError)):
        open_stream(io.BytesIO(DAMAGES[damage](sealed_bytes(plaintext))), out, opener_for)
    assert plaintext.startswith(out.getvalue())
    assert len(out.getvalue()) % SIZE == 0
    assert out.getvalue() != plaintext, "what fails never gives the whole"


@pytest.mark.parametrize("cut", range(0, 80, 7))
def test_an_input_that_ends_in_the_header_is_refused_by_form(cut):
    with pytest.raises(EnvelopeError) as refused:
        open_stream(io.BytesIO(sealed_bytes(b"x")[:cut]), io.BytesIO(), opener_for)
    assert refused.value.field == "header"


def test_no_chunk_leaves_before_it_is_verified(monkeypatch):
    blob = sealed_bytes(b"a" * SIZE + b"b" * SIZE + b"c" * 10)
    events = []
    verify = StreamOpener.open_into

    def watched(self, chunk, target, *, last):
        verify(self, chunk, target, last=last)
        events.append("verified")

    class Out:
        def write(self, data):
            events.append("written")
            return len(data)

    monkeypatch.setattr(StreamOpener, "open_into", watched)
    open_stream(io.BytesIO(blob), Out(), opener_for)
    assert events == ["verified", "written"] * 3


class Dribble(io.RawIOBase):
    """A source and target that moves a few bytes at a time, as pipes and sockets do."""

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data)

    def readable(self):
        return True

    def writable(self):
        return True

    def readinto(self, buffer):
        count = min(len(buffer), len(self.data), 313)
        buffer[:count] = self.data[:count]
        del self.data[:count]
        return count

    def write(self, data):
        count = min(len(data), 271)
        self.data += data[:count]
        return count


class OnlyReads:
    """A source that has `read` and nothing else."""

    def __init__(self, data: bytes) -> None:
        self.inner = io.BytesIO(data)

    def read(self, size):
        return self.inner.read(min(size, 100))


@pytest.mark.parametrize("make", [Dribble, OnlyReads, io.BytesIO, lambda data: io.BufferedReader(Dribble(data))])
def test_short_reads_and_writes_are_gathered(make):
    plaintext = os.urandom(3 * SIZE + 5)
    target = Dribble()
    assert seal_stream(make(plaintext), target, sealer()) == len(plaintext)
    back = Dribble()
    assert open_stream(make(bytes(target.data)), back, opener_for) == len(plaintext)
    assert bytes(back.data) == plaintext


def test_a_real_pipe_carries_a_stream_between_threads():
    plaintext = os.urandom(200_000)
    read_end, write_end = os.pipe()

    def produce():
        with os.fdopen(write_end, "wb") as target:
            seal_stream(io.BytesIO(plaintext), target, sealer())

    producer = threading.Thread(target=produce)
    producer.start()
    out = io.BytesIO()
    with os.fdopen(read_end, "rb", buffering=0) as source:
        open_stream(source, out, opener_for)
    producer.join()
    assert out.getvalue() == plaintext


def test_a_buffered_target_is_flushed_at_the_end(folder):
    with (folder / "out").open("wb", buffering=1 << 20) as target:
        open_stream(io.BytesIO(sealed_bytes(b"value")), target, opener_for)
        assert (folder / "out").read_bytes() == b"value"


def test_text_files_are_refused():
    with pytest.raises(UsageError, match="binary"):
        seal_stream(io.StringIO("text"), io.BytesIO(), sealer())
    with pytest.raises(UsageError, match="binary"):
        seal_stream(io.BytesIO(b"x"), io.StringIO(), sealer())


def test_a_source_that_does_not_wait_is_refused():
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    with (
        os.fdopen(read_end, "rb", buffering=0) as waiting,
        os.fdopen(write_end, "wb"),
        pytest.raises(UsageError, match="wait"),
    ):
        seal_stream(waiting, io.BytesIO(), sealer())


class NeverReady:
    """A non-blocking end that has nothing to give and no room to take."""

    def read(self, size):
        return None

    def write(self, data):
        return None


def test_ends_that_say_not_now_are_refused():
    with pytest.raises(UsageError, match="wait"):
        seal_stream(NeverReady(), io.BytesIO(), sealer())
    with pytest.raises(UsageError, match="wait"):
        seal_stream(io.BytesIO(b"x"), NeverReady(), sealer())


def test_a_file_that_is_not_there_is_named(folder):
    with pytest.raises(FileUnavailable, match="missing") as refused:
        seal_stream(folder / "missing", folder / "out", sealer())
    assert isinstance(refused.value.__cause__, FileNotFoundError)
    with pytest.raises(FileUnavailable, match="no-folder"):
        seal_stream(io.BytesIO(b"x"), folder / "no-folder" / "out", sealer())
    assert names(folder) == set()


class FailsLater:
    """A source that breaks after some bytes, with the caller's own kind of error."""

    def __init__(self, error: BaseException) -> None:
        self.left = 3
        self.error = error

    def read(self, size):
        self.left -= 1
        if not self.left:
            raise self.error
        return bytes(size)


@pytest.mark.parametrize("error", [OSError(errno.EIO, "read failed"), KeyboardInterrupt(), RuntimeError("own")])
def test_a_source_that_breaks_leaves_no_output_and_its_own_error(folder, error):
    with pytest.raises(type(error)) as raised:
        seal_stream(FailsLater(error), folder / "out", sealer())
    assert raised.value is error
    assert names(folder) == set()


@pytest.mark.parametrize("nameless", [True, False])
@pytest.mark.parametrize("call", ["write", "fsync", "replace", "fchmod"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_disk_error_at_any_step_leaves_no_output_and_names_the_path(folder, monkeypatch, call, number, nameless):
    def failing(*_args, **_labels):
        raise OSError(number, os.strerror(number))

    if not nameless:
        monkeypatch.setattr(stream_io, "_NAMELESS", 0)
    if call == "write":
        monkeypatch.setattr(stream_io, "FileIO", type("Failing", (io.FileIO,), {"write": failing}))
    else:
        monkeypatch.setattr(os, call, failing)
    (folder / "out").write_bytes(b"older")
    with pytest.raises(FileUnavailable, match="out") as refused:
        open_stream(io.BytesIO(sealed_bytes(b"value" * SIZE)), folder / "out", opener_for)
    assert refused.value.__cause__.errno == number
    assert (folder / "out").read_bytes() == b"older"
    assert names(folder) == {"out"}


def test_a_full_disk_leaves_no_output(folder):
    code = (
        "import io, resource, signal, sys\n"
        "from pathlib import Path\n"
        "from keystead.crypto.stream import StreamSealer\n"
        "from keystead.errors import FileUnavailable\n"
        "from keystead.keys.stream_io import seal_stream\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try:\n"
        "    seal_stream(io.BytesIO(bytes(1 << 20)), Path(sys.argv[1]), StreamSealer(bytes(8), bytes(32)))\n"
        "except FileUnavailable as refused:\n"
        "    print(refused)\n"
    )
    run = subprocess.run([sys.executable, "-c", code, folder / "out"], capture_output=True, text=True, check=True)
    assert "cannot write" in run.stdout
    assert str(folder / "out") in run.stdout
    assert names(folder) == set()


@pytest.mark.parametrize("nameless", [True, False])
def test_the_file_is_synced_before_it_takes_its_name_and_the_folder_after(folder, monkeypatch, nameless):
    events = []
    sync, replace = os.fsync, os.replace

    def synced(descriptor):
        events.append("folder synced" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file synced")
        sync(descriptor)

    def renamed(*names, **folders):
        events.append("renamed")
        replace(*names, **folders)

    if not nameless:
        monkeypatch.setattr(stream_io, "_NAMELESS", 0)
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    seal_stream(io.BytesIO(b"x"), folder / "out", sealer())
    assert events == ["file synced", "renamed", "folder synced"]
    assert (folder / "out").stat().st_nlink == 1
    assert names(folder) == {"out"}


def test_a_killed_process_leaves_no_part_of_the_plaintext(folder):
    probe = os.open(folder, os.O_RDONLY)
    try:
        os.close(os.open(".", os.O_WRONLY | getattr(os, "O_TMPFILE", os.O_DIRECTORY), 0o600, dir_fd=probe))
    except OSError:
        pytest.skip("this file system has no files without a name, so a killed process leaves a .part file")
    finally:
        os.close(probe)
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from keystead.crypto.stream import StreamSealer\n"
        "from keystead.keys.stream_io import seal_stream\n"
        "class Source:\n"
        "    left = 3\n"
        "    def read(self, size):\n"
        "        self.left -= 1\n"
        "        if not self.left:\n"
        "            os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return bytes(size)\n"
        "seal_stream(Source(), Path(sys.argv[1]), StreamSealer(bytes(8), bytes(32)))\n"
    )
    run = subprocess.run([sys.executable, "-c", code, folder / "out"], check=False)
    assert run.returncode == -9
    assert names(folder) == set()


def test_a_bare_name_is_written_in_the_working_folder(folder, monkeypatch):
    monkeypatch.chdir(folder)
    seal_stream(io.BytesIO(b"x"), "sealed", sealer())
    open_stream("sealed", Path("back"), opener_for)
    assert (folder / "back").read_bytes() == b"x"
    assert names(folder) == {"sealed", "back"}


def test_memory_does_not_grow_with_the_file(folder):
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from keystead.crypto.stream import StreamOpener, StreamSealer\n"
        "from keystead.keys.stream_io import open_stream, seal_stream\n"
        "folder = Path(sys.argv[1])\n"
        "def round_trip(size):\n"
        "    with open(folder / 'plain', 'wb') as file:\n"
        "        file.truncate(size)\n"
        "    seal_stream(folder / 'plain', folder / 'sealed', StreamSealer(bytes(8), bytes(32)))\n"
        "    open_stream(folder / 'sealed', folder / 'back', lambda header: StreamOpener(header, bytes(32)))\n"
        # not ru_maxrss, in which what the test's own process once had lives on
        "    status = Path('/proc/self/status').read_text()\n"
        "    return int(status.partition('VmHWM:')[2].split()[0])\n"
        "small = round_trip(1 << 20)\n"
        "print(round_trip(48 << 20) - small)\n"
    )
    run = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True)
    kibibytes = int(run.stdout)
    assert kibibytes * 1024 < 4 * DEFAULT_CHUNK
    assert resource.getpagesize() <= DEFAULT_CHUNK

"""Streams between files and pipes: a file appears whole or not at all, a pipe gets only verified chunks."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from keystead.crypto.material import random_bytes, zero
from keystead.crypto.stream import HEADER_LENGTH, TAG_LENGTH, StreamSealer
from keystead.errors import EnvelopeError, FileUnavailable, UsageError

_NEW_FILE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
_NAMELESS: Final = getattr(os, "O_TMPFILE", 0) if Path("/proc/self/fd").is_dir() else 0


class Readable(Protocol):
    """A binary file object to read from; `readinto` is used where there is one."""

    def read(self, size: int, /) -> bytes | None: ...


class Writable(Protocol):
    """A binary file object to write to; it may take less than it is given and say how much."""

    def write(self, data: memoryview, /) -> int | None: ...


class ChunkOpener(Protocol):
    """What opens the chunks of one stream in their order, as `keystead.crypto.stream.StreamOpener` does."""

    chunk_size: int

    def open_into(self, sealed: memoryview, target: memoryview, *, last: bool) -> None: ...


Source: TypeAlias = str | Path | Readable
Target: TypeAlias = str | Path | Writable


def seal_stream(source: Source, target: Target, sealer: StreamSealer) -> int:
    """Seal all of `source` into `target`; the number of plaintext bytes.

    A path as target appears, with mode 0600, only when it is whole and on the disk; what was there is replaced.

    Raises:
        FileUnavailable: a path that cannot be read or written.
        UsageError: a target that is no regular file, or file objects that are not binary.
    """
    with _reading(source) as readable, _writing(target) as writable:
        fill = _filler(readable)
        put = _putter(writable)
        put(memoryview(sealer.header))
        size = sealer.chunk_size
        total = 0
        # One chunk is read ahead, since only the end of the input tells which chunk is the last.
        chunk, ahead, sealed = bytearray(size), bytearray(size), memoryview(bytearray(size + TAG_LENGTH))
        try:
            length = fill(chunk)
            while True:
                following = fill(ahead) if length == size else 0
                room = sealed[: length + TAG_LENGTH]
                sealer.seal_into(memoryview(chunk)[:length], room, last=not following)
                put(room)
                total += length
                if not following:
                    return total
                chunk, ahead, length = ahead, chunk, following
        finally:
            zero(chunk)
            zero(ahead)


def open_stream(source: Source, target: Target, opener_for: Callable[[bytes], ChunkOpener]) -> int:
    """Open the stream in `source` into `target`; the number of plaintext bytes.

    `opener_for` is given the 80 header bytes and finds the data key. No chunk leaves before its tag was verified. A
    path as target appears, with mode 0600, only when the whole stream was verified; to a file object the verified
    chunks go out as they come, and an error afterwards means that the rest is missing or damaged.

    Raises:
        EnvelopeError: the header's form, or an input that ends inside the header.
        DecryptionError: a chunk was changed, moved, repeated or taken away, or bytes follow the last.
        FileUnavailable: a path that cannot be read or written.
        UsageError: a target that is no regular file, or file objects that are not binary.
    """
    with _reading(source) as readable:
        fill = _filler(readable)
        header = bytearray(HEADER_LENGTH)
        found = fill(header)
        if found < HEADER_LENGTH:
            raise EnvelopeError("header", f"ends after {found} of {HEADER_LENGTH} bytes")
        opener = opener_for(bytes(header))
        with _writing(target) as writable:
            return _open_chunks(fill, _putter(writable), opener)


def _open_chunks(fill: Callable[[bytearray], int], put: Callable[[memoryview], None], opener: ChunkOpener) -> int:
    size = opener.chunk_size + TAG_LENGTH
    total = 0
    sealed, ahead, plaintext = bytearray(size), bytearray(size), bytearray(opener.chunk_size)
    room = memoryview(plaintext)
    try:
        length = fill(sealed)
        while True:
            following = fill(ahead) if length == size else 0
            opened = max(length - TAG_LENGTH, 0)
            opener.open_into(memoryview(sealed)[:length], room[:opened], last=not following)
            put(room[:opened])
            total += opened
            if not following:
                return total
            sealed, ahead, length = ahead, sealed, following
    finally:
        zero(plaintext)


def _filler(readable: Readable) -> Callable[[bytearray], int]:
    """A function that fills a buffer as far as the input goes: less than all means the end."""
    read_into = getattr(readable, "readinto", None)

    def fill(buffer: bytearray) -> int:
        filled, view = 0, memoryview(buffer)
        while filled < len(buffer):
            count = read_into(view[filled:]) if read_into else _copy_in(readable, view[filled:])
            if count is None:
                raise UsageError("the source of a stream does not wait for its data", hint="give a blocking file")
            if not count:
                break
            filled += count
        return filled

    return fill


def _copy_in(readable: Readable, room: memoryview) -> int | None:
    data = readable.read(len(room))
    if data is None:
        return None
    if not isinstance(data, (bytes, bytearray, memoryview)) or len(data) > len(room):
        raise UsageError("the source of a stream must be opened in binary mode")
    room[: len(data)] = data
    return len(data)


def _putter(writable: Writable) -> Callable[[memoryview], None]:
    write = writable.write

    def put(data: memoryview) -> None:
        while data:
            try:
                count = write(data)
            except TypeError as error:
                raise UsageError("the target of a stream must be opened in binary mode") from error
            if count is None:
                raise UsageError("the target of a stream does not wait until it can write", hint="give a blocking file")
            data = data[count:]

    return put


class _File:
    """An open file that was named by its path, whose errors name it."""

    __slots__ = ("_opened", "_path")

    def __init__(self, opened: FileIO, path: Path) -> None:
        self._opened = opened
        self._path = path

    def read(self, size: int, /) -> bytes | None:
        with _named("read", self._path):
            return self._opened.read(size)

    def readinto(self, buffer: memoryview, /) -> int | None:
        with _named("read", self._path):
            return self._opened.readinto(buffer)

    def write(self, data: memoryview, /) -> int | None:
        with _named("write", self._path):
            return self._opened.write(data)

    def sync(self) -> None:
        with _named("write", self._path):
            os.fsync(self._opened.fileno())


@contextmanager
def _named(what: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FileUnavailable(
            f"cannot {what} {path.absolute()}",
            why=error.strerror or type(error).__name__,
            hint="check that the path is right, the permissions, and the room on the disk",
        ) from error


@contextmanager
def _reading(source: Source) -> Iterator[Readable]:
    if not isinstance(source, (str, Path)):
        yield source
        return
    path = Path(source)
    with _named("read", path):
        opened = FileIO(path, "rb")
    with opened:
        yield _File(opened, path)


@contextmanager
def _writing(target: Target) -> Iterator[Writable]:
    if isinstance(target, (str, Path)):
        with _appearing(Path(target)) as file:
            yield file
        return
    yield target
    flush = getattr(target, "flush", None)
    if flush is not None:
        flush()


@contextmanager
def _appearing(path: Path) -> Iterator[Writable]:
    """A file that takes its name only when everything in it is on the disk, and is gone otherwise."""
    _require_replaceable(path)
    with _named("write", path):
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    temporary = f".keystead-{random_bytes(8).hex()}.part"
    try:
        with _named("write", path):
            descriptor, nameless = _new_file(folder, temporary)
        with FileIO(descriptor, "wb") as opened:
            file = _File(opened, path)
            with _named("write", path):
                os.fchmod(descriptor, 0o600)
            yield file
            file.sync()
            with _named("write", path):
                if nameless:
                    # With a folder's descriptor the call follows /proc's link instead of linking to it.
                    os.link(f"/proc/self/fd/{descriptor}", temporary, dst_dir_fd=folder, follow_symlinks=True)
                os.replace(temporary, path.name, src_dir_fd=folder, dst_dir_fd=folder)
                os.fsync(folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise
    finally:
        os.close(folder)


def _new_file(folder: int, name: str) -> tuple[int, bool]:
    """An open new file, and whether it has no name yet, so that not even kill -9 leaves a part of it."""
    if _NAMELESS:
        with suppress(OSError):
            return os.open(".", os.O_WRONLY | os.O_CLOEXEC | _NAMELESS, 0o600, dir_fd=folder), True
    return os.open(name, _NEW_FILE, 0o600, dir_fd=folder), False


def _require_replaceable(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except OSError:
        # Missing is the ordinary case; whatever else is wrong is told by opening the new file.
        return
    if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
        raise UsageError(
            f"{path.absolute()} is no regular file, and a new file would take its place",
            hint="give a file object to write to a pipe or a device",
        )

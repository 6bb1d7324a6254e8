"""Chain slots: their folders and locks, and taking the first free one."""

from __future__ import annotations

import fcntl
import itertools
import os
from collections.abc import Collection, Mapping
from itertools import islice
from pathlib import Path
from typing import Final

from keystead.audit.chain import parse_line
from keystead.audit.checkpoints import CHECKPOINT_EVENTS
from keystead.audit.files import Tail, chain_name, lines, lines_backward, read_tail
from keystead.audit.ports import Head

_CHECKPOINTS: Final = tuple(b'"event":"%b"' % event.encode() for event in CHECKPOINT_EVENTS)


def make_private(fd: int, mode: int, folder: Path) -> None:
    """Give what was just made in `folder` its mode, and, as root, the folder's owner: root's visit locks nobody out."""
    os.fchmod(fd, mode)
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(fd, owner.st_uid, owner.st_gid)


def make_folder(path: Path) -> None:
    """A folder with mode 0700 whatever the umask, durably; one that exists is left alone."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        return
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        make_private(fd, 0o700, path.parent)
    finally:
        os.close(fd)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def lock_chain(chain_folder: Path) -> int | None:
    """A descriptor that holds the chain's lock until it is closed; None where someone else holds it, or owns it.

    The lock belongs to the descriptor, so a second journal of the same process is someone else too.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(chain_folder / "lock", flags, 0o600)
    except PermissionError:
        if chain_folder.stat().st_uid == os.geteuid():
            raise
        return None
    try:
        if os.fstat(fd).st_uid == os.geteuid():
            make_private(fd, 0o600, chain_folder)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    except BaseException:
        os.close(fd)
        raise
    return fd


def take_slot(folder: Path, known: Mapping[str, tuple[Head, bytes]], left: Collection[str]) -> tuple[str, Tail, int]:
    """Lock the first free chain that is whole as far as can be seen: its name, its end, and the lock's descriptor.

    A chain whose end is damaged, or is not the store's or does not hold the head that the store knows, is left for
    `verify` to name, and so is one that lost its head, and those in `left`: to go on behind a forged head, or none,
    would put a true one in its place.

    Raises:
        OSError: the folder cannot be written.
    """
    make_folder(folder)
    for number in itertools.count(1):
        chain = chain_name(number)
        if chain in left:
            continue
        make_folder(folder / chain)
        lock_fd = lock_chain(folder / chain)
        if lock_fd is None:
            continue
        try:
            tail = read_tail(folder, chain)
            free = tail.sound and _holds(folder / chain, tail, known[chain][0] if chain in known else None)
        except BaseException:
            os.close(lock_fd)
            raise
        if free:
            return chain, tail, lock_fd
        os.close(lock_fd)
    raise AssertionError("there is always a next number")


def _holds(chain_folder: Path, tail: Tail, head: Head | None) -> bool:
    if head is None:
        return tail.count == 0
    if head.count == tail.count:
        return head.count == 0 or head.hash == tail.link.hex()
    if head.count == 0:
        return _is_young(chain_folder)
    # A chain that was cut and went on from there is as long: the next head would stand in the place of the true one.
    return head.count < tail.count and head.hash == _link_at(chain_folder, head.count)


def _is_young(chain_folder: Path) -> bool:
    """Whether a chain may have no head yet: it has at most one checkpoint, with which its writer was killed."""
    made = (line for line in lines(chain_folder) if any(mark in line.data for mark in _CHECKPOINTS))
    return len(list(islice(made, 2))) < 2


def _link_at(chain_folder: Path, count: int) -> str:
    """The link of a chain's first `count` records, read from its end; "" where a line on the way is no record."""
    for item in lines_backward(chain_folder):
        try:
            line = parse_line(item.data)
        except ValueError:
            break
        if line.index < count:
            return line.link.hex() if line.index == count - 1 else ""
    return ""

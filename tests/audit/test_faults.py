"""Killed processes, full disks and failing flushes: what was acknowledged is in the log, and the log verifies."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from keystead.audit import writer as writer_module
from keystead.audit.chain import parse_line
from keystead.audit.outbox import recover_outbox
from keystead.audit.record import Record
from keystead.audit.report import ChainStatus
from keystead.errors import AuditUnavailable


def strace_works() -> bool:
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-o", os.devnull, "true"], check=False).returncode == 0


needs_strace = pytest.mark.skipif(not strace_works(), reason="strace is absent or may not trace here")


def targets(log: Any) -> list[str]:
    found = []
    for path in sorted(log.folder.glob("*/*.jsonl")):
        lines = path.read_bytes().split(b"\n")[:-1]
        found += [Record.parse(parse_line(line).content).target for line in lines]
    return found


def settled(log: Any) -> None:
    """What the next process does."""
    journal = log.open()
    recover_outbox(journal, log.ports)
    journal.append(log.content("NEXT"))
    journal.close()


KILL_POINTS = [
    ("append", "write", 1), ("append", "fdatasync", 1), ("append", "fsync", 1), ("append", "openat", 2),
    ("append", "ioctl", 1), ("change", "write", 1), ("change", "fdatasync", 2), ("change", "pwrite64", 9),
]  # fmt: skip


@needs_strace
@pytest.mark.parametrize(("doing", "call", "step"), KILL_POINTS)
def test_killed_at_a_call_to_the_disk_nothing_acknowledged_is_lost_or_linked_twice(
    make_log: Callable[[Path], Any], tmp_path: Path, doing: str, call: str, step: int
) -> None:
    points, code, told = 0, -9, list[str]()
    for when in range(1, 1000, step):
        root = tmp_path / str(when)
        root.mkdir()
        log = make_log(root)
        run = killed_at(log, doing, call, when)
        code, told = run.returncode, run.stdout.decode().split()
        assert code in {0, -9, 137}, run.stderr
        settled(log)
        report = log.verify()
        assert report.ok, (when, report.problems)
        held = targets(log)
        assert [held.count(target) for target in told] == [1] * len(told), when
        assert report.pending == 0 and len(set(held) - set(told) - {"chain/0001", "NEXT"}) <= 1
        if code == 0:
            break
        points += 1
    assert points >= 1 and (code, len(told)) == (0, 4)


def killed_at(log: Any, doing: str, call: str, when: int) -> subprocess.CompletedProcess[bytes]:
    """Run child.py until its `when`th such call on a file of the log or the store."""
    chain = log.folder / "0001"
    paths = [log.file(), chain, log.folder, log.root, log.store.path.with_name("store.db-wal"), log.store.path]
    only = [part for path in paths for part in ("-P", str(path))]
    inject = ["-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={when}"]
    script = [sys.executable, str(Path(__file__).with_name("child.py")), str(log.root), doing, "4"]
    return subprocess.run(
        ["strace", "-f", "-qq", "-o", os.devnull, *only, *inject, *script], check=False, capture_output=True
    )


@needs_strace
def test_a_disk_that_fails_a_write_refuses_that_record_and_goes_on_after(log: Any, child_script: Any) -> None:
    log.open().close()
    for when in (1, 2, 3):
        strace = ["strace", "-f", "-qq", "-o", os.devnull, "-P", str(log.file()), "-e", "trace=write"]
        process = child_script("append", 4, *strace, "-e", f"inject=write:error=EIO:when={when}")
        told, talk = process.communicate(timeout=60)
        assert process.returncode == 1 and b"AuditUnavailable" in talk and b"Input/output error" in talk
        assert len(told.split()) == when - 1
        settled(log)
        assert log.verify().ok


def limited(size: int, work: Callable[[], None]) -> int:
    """Run work in a child whose files may not grow beyond `size` bytes; its exit code."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("limit", [700, 1000, 1001, 1337])
def test_a_file_that_can_grow_no_more_holds_whole_lines_only(log: Any, limit: int) -> None:
    log.open().close()

    def work() -> None:
        journal = log.open()
        refused = 0
        for _ in range(10):
            try:
                journal.append(log.content())
            except AuditUnavailable:
                refused += 1
        assert 0 < refused < 10
        with pytest.raises(AuditUnavailable):
            journal.ready()

    assert limited(limit, work) == 0
    assert log.file().read_bytes().endswith(b"}\n")
    settled(log)
    assert log.verify().ok


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MiB."""
    where = tmp_path / "disk"
    where.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("only root can mount a small disk")
    mounting = subprocess.run([mount, "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(where)], check=False)
    if mounting.returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield where
    subprocess.run(["umount", "-l", str(where)], check=True)


def fill(disk: Path) -> Path:
    filler = disk / "filler"
    with filler.open("ab", buffering=0) as file:
        for block in (bytes(1 << 16), bytes(1 << 12)):
            try:
                while file.write(block) == len(block):
                    pass
            except OSError as error:
                assert error.errno == errno.ENOSPC
    return filler


def test_on_a_full_disk_records_go_on_until_the_room_kept_is_used_up(log: Any, small_disk: Path) -> None:
    log.folder.symlink_to(small_disk / "audit")
    (small_disk / "audit").mkdir()
    journal = log.open()
    journal.append(log.content("BEFORE"))
    filler = fill(small_disk)
    written = 0
    content = log.content("FULL", detail={"padding": "x" * 1000})
    with pytest.raises(AuditUnavailable) as caught:
        for _ in range(2000):
            journal.append(content)
            written += len(content)
    assert "free some space" in str(caught.value)
    assert written > 900_000
    with pytest.raises(AuditUnavailable):
        for _ in range(20):
            journal.append(log.content("SMALL"))
    with pytest.raises(AuditUnavailable):
        journal.ready()
    assert log.file().read_bytes().endswith(b"}\n")
    filler.unlink()
    journal.ready()
    journal.append(log.content("AFTER"))
    journal.close()
    report = log.verify()
    assert report.ok and report.chains[0].status is ChainStatus.CLOSED
    assert targets(log)[-2] == "AFTER"


def test_a_change_that_was_committed_when_the_journal_was_full_is_moved_later(
    log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = log.open()
    number, content = log.commit(journal)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(writer_module.os, "write", full)
        with pytest.raises(AuditUnavailable):
            journal.append_outbox((number, content))
        with pytest.raises(AuditUnavailable):
            journal.append(log.content())
    assert log.verify().pending == 1
    journal.append(log.content("AFTER"))
    journal.close()
    assert log.verify().ok and log.verify().pending == 0
    assert targets(log)[:2] == ["API_KEY", "AFTER"] and log.ports.pending() == []


@pytest.mark.parametrize("part", [1, 50, 200])
def test_half_a_write_is_taken_back(log: Any, monkeypatch: pytest.MonkeyPatch, part: int) -> None:
    journal = log.open()
    journal.append(log.content("BEFORE"))
    real = os.write
    with monkeypatch.context() as patch:
        patch.setattr(writer_module.os, "write", lambda fd, data: real(fd, data[:part]))
        with pytest.raises(AuditUnavailable):
            journal.append(log.content("HALF"))
    assert log.file().read_bytes().endswith(b"}\n")
    journal.append(log.content("AFTER"))
    journal.close()
    assert targets(log)[:2] == ["BEFORE", "AFTER"] and log.verify().ok


def test_half_a_write_that_cannot_be_taken_back_is_removed_before_the_next(
    log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = log.open()
    journal.append(log.content("BEFORE"))
    real = os.write

    def broken(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(writer_module.os, "write", lambda fd, data: real(fd, data[:30]))
        patch.setattr(writer_module.os, "ftruncate", broken)
        for _ in range(2):
            with pytest.raises(AuditUnavailable):
                journal.append(log.content("HALF"))
    journal.append(log.content("AFTER"))
    journal.close()
    assert targets(log)[:2] == ["BEFORE", "AFTER"] and log.verify().ok


@pytest.mark.parametrize("fsync", ["os", "group"])
def test_after_a_failed_flush_nothing_more_is_taken_and_no_flush_is_tried_again(
    log: Any, monkeypatch: pytest.MonkeyPatch, fsync: str
) -> None:
    journal = log.open(fsync=fsync)
    calls = []

    def failing(fd: int) -> None:
        calls.append(fd)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(writer_module.os, "fdatasync", failing)
        if fsync == "os":
            journal.append(log.content())
        with pytest.raises(AuditUnavailable):
            journal.append(log.content()) if fsync == "group" else journal.sync()
    for refused in (journal.ready, journal.sync, journal.checkpoint, lambda: journal.append(log.content())):
        with pytest.raises(AuditUnavailable):
            refused()
    assert len(calls) == 1
    with pytest.raises(AuditUnavailable):
        journal.close()
    assert log.ports.heads()["0001"][0].count == 0
    settled(log)
    assert log.verify().ok


def test_a_group_of_waiting_threads_shares_flushes(log: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    journal = log.open(fsync="group")
    content = log.content()
    flushes = []
    real, gate = os.fdatasync, threading.Event()

    def slow(fd: int) -> None:
        flushes.append(fd)
        gate.wait(0.1)
        real(fd)

    monkeypatch.setattr(writer_module.os, "fdatasync", slow)
    threads = [threading.Thread(target=journal.append, args=(content,)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(flushes) < 8
    assert journal.head.count == 16
    journal.close()


def test_a_file_that_somebody_removed_takes_no_record_and_another_opening_begins_a_new_chain(log: Any) -> None:
    journal = log.open()
    journal.append(log.content("KEPT"))
    journal.checkpoint()
    log.file().unlink()
    for call in (lambda: journal.append(log.content()), journal.ready):
        with pytest.raises(AuditUnavailable, match="removed"):
            call()
    again = log.open()
    again.append(log.content("NEXT"))
    again.close()
    assert targets(log)[:1] == ["NEXT"]
    assert [problem.chain for problem in log.verify().problems] == ["0001"]

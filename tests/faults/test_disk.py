"""Disks that fail: a flush that is refused, no room, no permission to write."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.faults.checks import DATABASE, KEPT, OLD, audit_report, check, make_template, value
from tests.faults.injection import fail, sample
from tests.faults.kills import Kills

import keystead
from keystead.errors import (
    AuditUnavailable,
    FileUnavailable,
    KeysteadError,
    OperatorError,
    OutcomeUnknown,
    StoreUnavailable,
)
from keystead.node.outcomes import noting_unknown, settle_unknown


def test_after_a_failed_flush_the_outcome_is_unknown_and_the_process_writes_no_more(kills: Kills) -> None:
    """T25: the flush is not tried again; reads go on; a new process has one state or the other, and can write."""
    folder = kills.fresh("store")
    wal = folder / f"{DATABASE}-wal"
    outcome = kills.server.run("failing_write", folder, kills.key, fail("fdatasync", "EIO", path=wal))
    kind, text, operation = outcome.error("write")
    assert (kind, operation[:3]) == ("OutcomeUnknown", "op_")
    assert "may have happened" in text
    assert outcome.error("again")[0] == "StoreUnavailable"
    assert "no more writes" in outcome.error("again")[1]
    assert "read" in outcome.acks
    check("store", folder, kills.key, outcome)


def test_what_had_an_unknown_outcome_is_repeated_safely_after_reopening(kills: Kills) -> None:
    folder = kills.fresh("store")
    outcome = kills.server.run("failing_write", folder, kills.key, fail("fdatasync", "EIO", path=folder / "app.db-wal"))
    assert outcome.error("write")[0] == "OutcomeUnknown"
    with keystead.connect(folder / DATABASE, master_key=kills.key) as store:
        there = value(store, "NEW_0") == "new" * 20
        assert store.kms.store_secret("NEW_0", "new" * 20, expected_version=int(there)).version == 1 + there
        assert value(store, "NEW_0") == "new" * 20
        assert audit_report(store).ok


def test_the_next_opening_records_whether_the_operation_was_committed_once_and_truly(kills: Kills) -> None:
    """DESIGN 6: reconciled at the next open."""
    folder = kills.fresh("store")
    outcome = kills.server.run("failing_write", folder, kills.key, fail("fdatasync", "EIO", path=folder / "app.db-wal"))
    operation = outcome.error("write")[2]
    for _ in range(2):
        with keystead.connect(folder / DATABASE, master_key=kills.key) as store:
            there = value(store, "NEW_0") == "new" * 20
            settled = [i.record for i in store.kms.audit.tail(500) if i.record.event == "outcome_settled"]
            assert [(record.operation_id, record.detail) for record in settled] == [
                (operation, {"committed": "yes" if there else "no"})
            ]
            assert audit_report(store).ok
    assert list((folder / "app.db.audit" / "unknown").iterdir()) == []


@pytest.mark.parametrize("committed", [True, False])
def test_an_unknown_operation_is_found_where_its_record_is_and_nowhere_else(tmp_path: Path, committed: bool) -> None:
    with keystead.connect(tmp_path / "app.db", master_key=keystead.generate_master_key()) as store:
        store.kms.store_secret("API_KEY", "x")
        node = store.kms.node
        stored = next(i.record for i in store.kms.audit.tail(50) if i.record.event == "secret_stored")
        operation = stored.operation_id if committed else "op_" + "0" * 24
        with pytest.raises(OutcomeUnknown), noting_unknown(node.journal.folder):
            raise OutcomeUnknown("a commit failed", operation_id=operation)
        settle_unknown(node)
        record = [i.record for i in store.kms.audit.tail(5) if i.record.event == "outcome_settled"][-1]
        assert record.detail == {"committed": "yes" if committed else "no"}


def test_an_unknown_outcome_is_in_the_audit_log_under_its_operation(kills: Kills) -> None:
    folder = kills.fresh("store")
    outcome = kills.server.run("failing_write", folder, kills.key, fail("fdatasync", "EIO", path=folder / "app.db-wal"))
    operation = outcome.error("write")[2]
    log = b"".join(path.read_bytes() for path in (folder / "app.db.audit").rglob("*.jsonl"))
    lines = [line for line in log.splitlines() if operation.encode() in line]
    assert len(lines) == 1
    assert b'"outcome":"unknown"' in lines[0]


@pytest.mark.parametrize("call", ["pwrite64", "fdatasync", "write"])
@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
@pytest.mark.parametrize("mode", ["once", "for ever"])
def test_a_call_that_fails_costs_no_acknowledged_change_and_no_half_one(
    kills: Kills, call: str, error: str, mode: str
) -> None:
    """T23, T25: the n-th call fails, once or from then on; the n of each sampled run is another."""
    places = [point for point in kills.points("store") if point.call == call]
    ran = 0
    for point in sample(places, 5):
        folder = kills.fresh("store")
        when = f"{point.nth}+" if mode == "for ever" else str(point.nth)
        outcome = kills.server.run("store", folder, kills.key, fail(call, error, when))
        assert {kind for _, kind, _, _ in outcome.errors} <= {"StoreUnavailable", "OutcomeUnknown", "AuditUnavailable"}
        check("store", folder, kills.key, without_crash_at_close(outcome))
        shutil.rmtree(folder)
        ran += 1
    assert ran == min(5, len(places))


def without_crash_at_close(outcome):  # type: ignore[no-untyped-def]
    """Closing on a disk that fails may end in an error of ours, and in no other."""
    if outcome.crash:
        assert outcome.crash.split()[1] in ("AuditUnavailable", "StoreUnavailable", "OutcomeUnknown"), outcome.crash
        outcome.crash = ""
    return outcome


# A disk that is full


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("this machine does not let a small disk be mounted")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """A file that takes up all the room there is."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 4096, 512, 1):
            try:
                while file.write(b"\0" * size) == size:
                    pass
            except OSError:
                continue
    return ballast


def test_on_a_full_disk_changes_are_refused_reads_go_on_and_all_works_again_with_room(small_disk: Path) -> None:
    """T23: nothing that was acknowledged is lost, and what was refused left nothing behind."""
    key = keystead.generate_master_key()
    make_template(small_disk, key)
    (small_disk / "plain.bin").unlink()
    with keystead.connect(small_disk / DATABASE, master_key=key) as store:
        ballast = fill(small_disk)
        acknowledged, refused = [], []
        for number in range(40):
            try:
                store.kms.store_secret(f"FULL_{number}", "x" * 30_000)
                acknowledged.append(number)
            except (StoreUnavailable, AuditUnavailable) as error:
                refused.append((number, str(error)))
        assert refused
        assert all("full" in text or "No space" in text for _, text in refused)
        assert [value(store, name) for name in OLD] == ["first"] * 5
        ballast.unlink()
        assert store.kms.store_secret("ROOM", "again").version == 1
    with keystead.connect(small_disk / DATABASE, master_key=key) as store:
        assert all(value(store, f"FULL_{number}") == "x" * 30_000 for number in acknowledged)
        assert not any(value(store, f"FULL_{number}") == "x" * 30_000 for number, _ in refused)
        assert value(store, "ROOM") == "again"
        assert audit_report(store).ok


def test_a_store_opened_on_a_full_disk_reads_or_says_why_not(small_disk: Path) -> None:
    key = keystead.generate_master_key()
    make_template(small_disk, key)
    fill(small_disk)
    try:
        with keystead.connect(small_disk / DATABASE, master_key=key) as store:
            assert value(store, OLD[0]) == "first"
    except OperatorError as error:
        assert "full" in error.why or "No space" in error.why
        assert error.hint == "free some space"


def test_a_file_that_may_not_grow_is_an_error_that_says_so(tmp_path: Path) -> None:
    """RLIMIT_FSIZE stands in for a quota where no disk can be mounted."""
    key = keystead.generate_master_key()
    make_template(tmp_path, key)
    program = f"""
import resource, keystead
from keystead.errors import StoreUnavailable, OutcomeUnknown, AuditUnavailable
with keystead.connect({str(tmp_path / DATABASE)!r}, master_key={key!r}) as store:
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    for number in range(40):
        try:
            store.kms.store_secret(f"BIG_{{number}}", "x" * 30_000)
            print("ack", number)
        except (StoreUnavailable, OutcomeUnknown, AuditUnavailable) as error:
            print("refused", type(error).__name__, error)
            break
    print("read", store.kms.get_secret("OLD_0").reveal())
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == "read first"
    assert lines[-2].startswith("refused")
    with keystead.connect(tmp_path / DATABASE, master_key=key) as store:
        for line in lines[:-2]:
            assert value(store, f"BIG_{line.split()[1]}") == "x" * 30_000
        assert audit_report(store).ok


# A disk that may only be read


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A store on a file system that takes no writes, and its master key."""
    key = keystead.generate_master_key()
    source, folder = tmp_path / "source", tmp_path / "ro"
    source.mkdir()
    make_template(source, key)
    if os.geteuid() == 0:
        folder.mkdir()
        mounted = subprocess.run(["mount", "--bind", str(source), str(folder)], capture_output=True, check=False)
        if mounted.returncode:
            pytest.skip("this machine does not let a disk be mounted, and root may write everything else")
        subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
        yield folder, key
        subprocess.run(["umount", "-l", str(folder)], check=True)
    else:
        for path in (*source.rglob("*"), source):
            path.chmod(0o500 if path.is_dir() else 0o400)
        yield source, key
        for path in (source, *source.rglob("*")):
            path.chmod(0o700 if path.is_dir() else 0o600)


def test_a_read_only_store_is_refused_with_what_and_why(read_only: tuple[Path, str]) -> None:
    """T24: its audit log cannot be written, so nothing is read either, and the error names the place."""
    folder, key = read_only
    with pytest.raises((StoreUnavailable, AuditUnavailable, FileUnavailable)) as caught:
        keystead.connect(folder / DATABASE, master_key=key)
    assert str(folder) in str(caught.value)
    assert "read-only" in caught.value.why or "may not" in caught.value.why
    assert caught.value.hint


def test_a_read_only_store_changes_nothing_on_its_disk(read_only: tuple[Path, str]) -> None:
    folder, key = read_only
    before = {path.name: path.stat().st_mtime_ns for path in folder.rglob("*")}
    with pytest.raises(KeysteadError):
        keystead.connect(folder / DATABASE, master_key=key)
    assert {path.name: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert KEPT


# A store of another user


@contextmanager
def another_user() -> Iterator[None]:
    if os.geteuid() != 0:
        pytest.skip("becoming another user needs root")
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o777])
def test_a_store_of_another_user_is_refused_with_what_and_why(mode: int) -> None:
    key = keystead.generate_master_key()
    with tempfile.TemporaryDirectory() as name:  # not tmp_path: nobody else may enter the folders above that
        folder = Path(name)
        make_template(folder, key)
        folder.chmod(mode)
        with another_user(), pytest.raises(StoreUnavailable) as caught:
            keystead.connect(folder / DATABASE, master_key=key)
    assert str(folder / DATABASE) in caught.value.message
    assert caught.value.why
    assert "user" in caught.value.hint


def test_a_path_that_no_file_can_have_is_refused_as_one(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="too long"):
        keystead.connect(tmp_path / ("long" * 100) / DATABASE, master_key=keystead.generate_master_key())

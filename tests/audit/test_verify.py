"""Verification names the first bad record, and tells closed, open and cut apart, with and without keys."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.audit.chain import genesis, make_line, parse_line
from keystead.audit.checkpoints import AuditKeys
from keystead.audit.proofs import checkpoints
from keystead.audit.record import Event, Record
from keystead.audit.report import ChainStatus
from keystead.audit.verify import verify
from keystead.errors import AuditBroken
from keystead.storage.audit import AuditRows

OTHER_KEYS = AuditKeys(b"x" * 32, b"y" * 32)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A closed chain of nine lines, in two files, with three checkpoints and two changes; only its folder is kept."""
    from keystead.audit.journal import Journal
    from keystead.storage.audit import StoreAudit
    from keystead.storage.schema import migrate
    from keystead.storage.sqlite import SqliteStore
    from keystead.testing.clock import ManualClock

    root = tmp_path_factory.mktemp("written")
    clock = ManualClock()
    store = SqliteStore(root / "store.db", clock)
    store.create_file()
    migrate(store, clock)
    ports, keys = StoreAudit(store), AuditKeys(b"m" * 32, b"s" * 32)
    journal = Journal.open(root / "audit", node="n", clock=clock, heads=ports, file_bytes=3000)
    journal.unlock(keys)
    for number in range(6):
        clock.advance(1000)
        event = Event.SECRET_STORED if number % 3 == 1 else Event.SECRET_RETRIEVED
        content = Record(clock.now_ms(), "n", "s", "user:ada", event, f"NAME_{number}").content()
        if event is Event.SECRET_STORED:
            with store.write() as connection:
                row = AuditRows(connection).enqueue(journal.chain, content)
            journal.append_outbox((row, content))
        else:
            journal.append(content)
        if number % 2:
            journal.checkpoint()
    journal.close()
    assert verify(root / "audit", heads=ports, outbox=ports, keys=keys).ok
    yield root / "audit", ports, keys
    store.close()


def all_lines(folder: Path) -> list[bytes]:
    return [line for path in sorted(folder.glob("0001/*.jsonl")) for line in path.read_bytes().split(b"\n")[:-1]]


def copy_with(folder: Path, lines: list[bytes], to: Path) -> Path:
    shutil.rmtree(to, ignore_errors=True)
    (to / "0001").mkdir(parents=True)
    (to / "0001" / "000001.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    return to


def test_the_untouched_log_verifies_at_every_depth(written: Any) -> None:
    folder, ports, keys = written
    full = verify(folder, heads=ports, outbox=ports, keys=keys)
    public = verify(folder, public_key=keys.public_key())
    links = verify(folder)
    assert [report.checked for report in (full, public, links)] == ["keys", "public key", "links"]
    assert all(report.ok and report.records == 10 for report in (full, public, links))
    assert len({report.digest for report in (full, public, links)}) == 1
    assert full.chains[0].status is ChainStatus.CLOSED and full.chains[0].checkpoints == 4


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_changed_byte_is_found_at_its_record_without_any_key(written: Any, tmp_path_factory: Any, data: Any) -> None:
    folder, _, _ = written
    lines = all_lines(folder)
    index = data.draw(st.integers(0, len(lines) - 1))
    place = data.draw(st.integers(0, len(lines[index]) - 1))
    flip = data.draw(st.integers(1, 255))
    changed = bytearray(lines[index])
    changed[place] ^= flip
    lines[index] = bytes(changed)
    report = verify(copy_with(folder, lines, tmp_path_factory.getbasetemp() / "flip"))
    assert report.problems[0].index == index
    assert (report.problems[0].file, report.problems[0].line) == ("0001/000001.jsonl", index + 1)
    assert report.chains[0].status is ChainStatus.BROKEN


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_lines_taken_out_moved_doubled_or_added_are_found_where_they_begin(
    written: Any, tmp_path_factory: Any, data: Any
) -> None:
    folder, _, _ = written
    lines = all_lines(folder)
    index = data.draw(st.integers(0, len(lines) - 2))
    how = data.draw(st.sampled_from(["out", "swap", "twice", "foreign"]))
    if how == "out":
        del lines[index]
    elif how == "swap":
        lines[index], lines[index + 1] = lines[index + 1], lines[index]
    elif how == "twice":
        lines.insert(index, lines[index])
        index += 1
    else:
        lines.insert(index, make_line(genesis("0002"), index, 0, None, parse_line(lines[0]).content)[0])
    report = verify(copy_with(folder, lines, tmp_path_factory.getbasetemp() / "moved"))
    assert report.problems[0].index == index


def relinked(contents: list[bytes], numbers: list[int | None] | None = None) -> list[bytes]:
    """A chain as a forger without keys writes it: every link holds."""
    link, lines, sequence = genesis("0001"), [], 0
    for index, content in enumerate(contents):
        number = numbers[index] if numbers else None
        sequence = max(sequence, number or 0)
        line, link = make_line(link, index, sequence, number, content)
        lines.append(line)
    return lines


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_chain_linked_anew_by_a_forger_fails_at_the_next_checkpoint(
    written: Any, tmp_path_factory: Any, data: Any
) -> None:
    folder, ports, keys = written
    lines = all_lines(folder)
    contents = [parse_line(line).content for line in lines]
    index = data.draw(st.integers(0, len(contents) - 1).filter(lambda at: b"audit_c" not in contents[at]))
    contents[index] = contents[index].replace(b"user:ada", b"user:eve")
    forged = copy_with(
        folder,
        relinked(contents, [parse_line(line).number for line in lines]),
        Path(tmp_path_factory.getbasetemp() / "forged"),
    )
    following = next(at for at in range(index, len(contents)) if b"audit_c" in contents[at])
    assert verify(forged).problems[0].index == following
    assert verify(forged, heads=ports, keys=keys).problems[0].index == following


def test_a_forger_who_drops_the_checkpoints_is_found_by_the_stores_head(written: Any, tmp_path: Path) -> None:
    folder, ports, keys = written
    contents = [parse_line(line).content for line in all_lines(folder)]
    bare = [content.replace(b"user:ada", b"user:eve") for content in contents if b"audit_c" not in content]
    forged = copy_with(folder, relinked(bare), tmp_path / "forged")
    assert verify(forged).ok
    assert verify(forged, heads=ports, keys=keys).chains[0].status is ChainStatus.CUT


def test_checkpoints_of_another_key_are_refused(written: Any) -> None:
    folder, _, _ = written
    assert "wrong MAC" in str(verify(folder, keys=OTHER_KEYS).problems[0])
    report = verify(folder, public_key=OTHER_KEYS.public_key())
    assert "wrong signature" in str(report.problems[0])
    first = next(at for at, line in enumerate(all_lines(folder)) if b"audit_c" in line)
    assert report.problems[0].index == first


def test_every_cut_is_told_from_closed_and_open(written: Any, tmp_path: Path) -> None:
    folder, ports, keys = written
    lines = all_lines(folder)
    statuses = []
    for count in range(len(lines) + 1):
        cut = copy_with(folder, lines[:count], tmp_path / "cut")
        report = verify(cut, heads=ports, keys=keys)
        statuses.append(report.chains[0].status)
        if count < len(lines):
            assert report.problems[0].index == count - 1 or count == 0
            assert str(len(lines)) in report.problems[0].what
    assert statuses == [ChainStatus.CUT] * len(lines) + [ChainStatus.CLOSED]


def test_without_the_store_a_cut_is_an_open_tail_since_its_first_uncovered_record(written: Any, tmp_path: Path) -> None:
    folder, _, keys = written
    lines = all_lines(folder)
    report = verify(copy_with(folder, lines[:-3], tmp_path / "cut"), keys=keys)
    assert report.ok and report.chains[0].status is ChainStatus.OPEN
    assert report.chains[0].since_ms == Record.parse(parse_line(lines[-4]).content).time_ms


def test_a_chain_that_is_gone_is_cut(written: Any, tmp_path: Path) -> None:
    _, ports, keys = written
    report = verify(tmp_path / "nothing", heads=ports, keys=keys)
    assert report.chains[0].status is ChainStatus.CUT and not report.ok
    with pytest.raises(AuditBroken, match="10 records"):
        report.require_ok()


def test_an_earlier_checkpoint_finds_a_chain_that_was_replaced_or_cut(written: Any, tmp_path: Path) -> None:
    folder, _, keys = written
    kept = list(checkpoints(folder, "0001"))
    public = keys.public_key()
    assert verify(folder, public_key=public, earlier=kept).ok
    lines = all_lines(folder)
    cut = copy_with(folder, lines[: kept[0].size + 1], tmp_path / "cut")
    assert verify(cut, public_key=public).ok
    assert verify(cut, public_key=public, earlier=kept[-1:]).chains[0].status is ChainStatus.CUT
    bare = [parse_line(line).content for line in lines if b"audit_c" not in parse_line(line).content]
    other = copy_with(folder, relinked([*bare, *bare]), tmp_path / "other")
    assert not verify(other, public_key=public, earlier=kept[:1]).ok
    forged = replace(kept[0], root=b"\0" * 32)
    assert "signature" in str(verify(folder, public_key=public, earlier=[forged]).problems[0])


def test_a_missing_file_in_the_middle_is_found(written: Any, tmp_path: Path) -> None:
    folder, ports, keys = written
    shutil.copytree(folder, tmp_path / "audit")
    (tmp_path / "audit/0001/000001.jsonl").unlink()
    assert verify(tmp_path / "audit", heads=ports, keys=keys).problems[0].index == 0


def test_a_chain_put_in_anothers_place_is_found(written: Any, tmp_path: Path) -> None:
    folder, _, _ = written
    shutil.copytree(folder / "0001", tmp_path / "audit/0002")
    assert "link" in str(verify(tmp_path / "audit").problems[0])


def test_a_chain_that_the_store_does_not_know_is_named(
    log: Any, make_log: Callable[[Path], Any], tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = make_log(tmp_path / "other")
    for some in (log, other):
        journal = some.open()
        journal.append(some.content())
        journal.close()
    held, second = other.open(), other.open()
    second.append(other.content())
    second.close()
    held.close()
    shutil.copytree(other.folder / "0002", log.folder / "0002")
    report = log.verify()
    assert str(report.problems[0]) == "chain 0002: the store does not know this chain"
    first, second = log.open(), log.open()
    assert (first.chain, second.chain) == ("0001", "0003")
    second.close()
    first.close()


def test_a_head_that_was_edited_in_the_store_is_found(log: Any) -> None:
    journal = log.open()
    journal.append(log.content())
    journal.close()
    with log.store.write() as connection:
        connection.execute("UPDATE audit_chains SET count = count - 1")
    assert "head of audit chain 0001" in str(log.verify().problems[0])
    assert log.verify(keys=None).problems[0].index == 0


def test_the_log_verifies_while_a_process_writes_it(log: Any, child_script: Any) -> None:
    process = child_script("change", 60)
    reports = []
    while process.poll() is None:
        reports.append(log.verify())
    assert process.returncode == 0 and len(reports) > 2
    assert [str(problem) for report in reports for problem in report.problems] == []


@pytest.mark.parametrize("data", [b"\xff" * 99 + b"\n", b"{}\n", b"\n", b"[" * 50_000 + b"\n", b"{" * (3 << 20)])
def test_hostile_files_are_named_and_never_raise(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "0001").mkdir()
    (tmp_path / "0001/000001.jsonl").write_bytes(data)
    report = verify(tmp_path)
    assert report.problems[0].index == 0
    assert report.chains[0].status is ChainStatus.BROKEN

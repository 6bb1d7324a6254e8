"""A journal writes whole linked lines into one chain, whatever runs, dies or forks around it."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from keystead.audit.chain import genesis, make_line, parse_line
from keystead.audit.ports import Head
from keystead.audit.record import Event, Record
from keystead.audit.report import ChainStatus
from keystead.errors import AuditUnavailable


def events(log: Any, chain: str = "0001") -> list[str]:
    return [Record.parse(parse_line(line).content).event for line in log.lines(chain)]


def in_child(work: Callable[[], None]) -> int:
    """Run work in a forked child; its exit code."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_three_hundred_runs_leave_one_chain(log: Any) -> None:
    for _ in range(300):
        journal = log.open()
        journal.append(log.content())
        journal.close()
    assert [item.name for item in log.folder.iterdir()] == ["0001"]
    report = log.verify()
    assert report.ok and report.records == 600
    assert report.chains[0].status is ChainStatus.CLOSED


def test_runs_that_record_nothing_write_nothing(log: Any) -> None:
    log.open().close()
    log.open().close()
    assert log.lines() == []
    assert log.verify().chains[0].status is ChainStatus.EMPTY


def test_a_chain_is_registered_before_its_first_record(log: Any) -> None:
    journal = log.open()
    assert log.lines() == [] and list(log.ports.heads()) == ["0001"]
    journal.close()


def test_journals_that_are_open_together_hold_different_chains(log: Any) -> None:
    first, second = log.open(), log.open()
    assert (first.chain, second.chain) == ("0001", "0002")
    first.close()
    third = log.open()
    assert third.chain == "0001"
    for journal in (second, third):
        journal.append(log.content())
        journal.close()
    assert log.verify().ok


def test_files_and_folders_are_private_whatever_the_umask(log: Any) -> None:
    before = os.umask(0)
    try:
        journal = log.open()
        journal.append(log.content())
        journal.close()
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [log.folder, *log.folder.rglob("*")]}
    assert modes == {"audit": 0o700, "0001": 0o700, "lock": 0o600, "000001.jsonl": 0o600}


def test_threads_append_without_losing_or_mixing_records(log: Any) -> None:
    journal = log.open(fsync="group")
    content = log.content()

    def work() -> None:
        for _ in range(50):
            journal.append(content)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    report = log.verify()
    assert report.ok and report.records == 401


def test_two_processes_append_at_the_same_time(log: Any, child_script: Callable[..., subprocess.Popen[bytes]]) -> None:
    processes = [child_script("append", 200) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    report = log.verify()
    assert report.ok and report.records >= 400
    assert {chain.status for chain in report.chains} == {ChainStatus.CLOSED}


def test_a_file_that_is_full_is_continued_in_the_next(log: Any) -> None:
    journal = log.open(file_bytes=2000)
    for _ in range(30):
        journal.append(log.content())
    journal.close()
    assert len(list((log.folder / "0001").glob("*.jsonl"))) > 3
    assert all(path.stat().st_size <= 2000 for path in (log.folder / "0001").glob("*.jsonl"))
    again = log.open(file_bytes=2000)
    again.append(log.content())
    again.close()
    assert log.verify().ok and log.verify().records == 33


@pytest.mark.parametrize("keep", [1, 20, -2, -1])
def test_a_torn_last_line_is_closed_by_a_recovery_record(log: Any, keep: int) -> None:
    journal = log.open()
    journal.append(log.content("WHOLE"))
    journal.sync()
    whole = log.file().stat().st_size
    journal.append(log.content("TORN"))
    kill_without_closing(journal)
    end = whole + keep if keep > 0 else log.file().stat().st_size + keep
    os.truncate(log.file(), end)
    assert log.verify().chains[0].torn == end - whole
    log.open().close()
    assert events(log) == [Event.SECRET_RETRIEVED, Event.AUDIT_RECOVERED, Event.AUDIT_CLOSED]
    recovery = Record.parse(parse_line(log.lines()[1]).content)
    assert recovery.detail["torn_bytes"] == end - whole
    assert log.verify().ok


def kill_without_closing(journal: Any) -> None:
    """Leave the chain as a killed process would."""
    writer, journal._writer, journal._closed = journal._writer, None, True
    writer.close()


def test_zeros_behind_the_end_are_taken_for_a_torn_line(log: Any) -> None:
    journal = log.open()
    journal.append(log.content())
    kill_without_closing(journal)
    with log.file().open("ab") as file:
        file.write(bytes(5000))
    again = log.open()
    again.append(log.content())
    again.close()
    assert log.verify().ok and b"\x00" not in log.file().read_bytes()


def test_a_chain_that_ends_behind_the_stores_head_is_left_alone(log: Any) -> None:
    journal = log.open()
    for _ in range(3):
        journal.append(log.content())
    journal.close()
    cut = b"".join(line + b"\n" for line in log.lines()[:2])
    log.file().write_bytes(cut)
    other = log.open()
    assert other.chain == "0002"
    other.append(log.content())
    other.close()
    assert log.file().read_bytes() == cut
    assert [chain.status for chain in log.verify().chains] == [ChainStatus.CUT, ChainStatus.CLOSED]


def test_a_chain_that_was_cut_and_went_on_past_the_stores_head_is_left_alone(log: Any) -> None:
    journal = log.open()
    journal.append(log.content("THE_STOLEN_ONE"))
    journal.close()
    count = len(log.lines())
    content = log.content("ANOTHER")
    line, link = make_line(genesis("0001"), 0, 0, None, content)
    lines = [line]
    while len(lines) < count + 2:
        line, link = make_line(link, len(lines), 0, None, content)
        lines.append(line)
    log.file().write_bytes(b"\n".join([*lines, b""]))
    for _ in range(2):
        other = log.open()
        other.append(log.content())
        other.close()
    assert log.lines() == lines
    assert "another than the store knows" in str(log.verify().problems[0])


def test_a_killed_process_leaves_a_chain_past_the_stores_head_that_is_gone_on_with(log: Any) -> None:
    journal = log.open()
    journal.append(log.content())
    journal.checkpoint()
    journal.append_many([log.content() for _ in range(700)])
    kill_without_closing(journal)
    again = log.open()
    assert again.chain == "0001"
    again.close()
    assert log.verify().ok


def test_a_chain_whose_last_line_was_changed_is_left_alone(log: Any) -> None:
    journal = log.open()
    journal.append(log.content("API_KEY"))
    kill_without_closing(journal)
    log.file().write_bytes(log.file().read_bytes().replace(b"API_KEY", b"API_XXX"))
    other = log.open()
    assert other.chain == "0002"
    other.close()
    assert log.verify().chains[0].status is ChainStatus.BROKEN


def test_a_forked_child_takes_a_chain_of_its_own(log: Any) -> None:
    journal = log.open()
    journal.append(log.content("PARENT"))

    def child() -> None:
        journal.append(log.content("CHILD"))
        assert journal.chain == "0002"
        journal.close()

    assert in_child(child) == 0
    journal.append(log.content("PARENT"))
    journal.close()
    assert events(log).count(Event.SECRET_RETRIEVED) == 2 and events(log, "0002").count(Event.SECRET_RETRIEVED) == 1
    assert log.verify().ok


def test_a_child_that_records_nothing_takes_no_chain_and_keeps_no_lock(log: Any) -> None:
    journal = log.open()
    journal.append(log.content())
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        head = journal.checkpoint()
        os.write(writing, b"y" if head == Head("", 0, "") else b"n")
        signal.pause()
    assert os.read(reading, 1) == b"y"
    journal.close()
    again = log.open()
    assert again.chain == "0001"
    again.close()
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reading)
    os.close(writing)


def test_a_fork_while_threads_append_neither_hangs_nor_mixes(log: Any) -> None:
    journal = log.open()
    content = log.content()
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            journal.append(content)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()

    def child() -> None:
        signal.alarm(20)
        journal.append(content)
        journal.close()

    codes = [in_child(child) for _ in range(5)]
    stop.set()
    for thread in threads:
        thread.join()
    journal.close()
    assert codes == [0] * 5
    assert log.verify().ok


def test_records_that_would_break_the_line_are_refused(log: Any) -> None:
    journal = log.open()
    for content in (b'{"a":1}\n', "{ä}".encode()):
        with pytest.raises(ValueError, match="one line"):
            journal.append(content)
    journal.close()


def test_a_closed_journal_refuses_records(log: Any) -> None:
    journal = log.open()
    journal.close()
    journal.close()
    with pytest.raises(AuditUnavailable, match="closed"):
        journal.append(log.content())


def test_a_folder_that_cannot_be_written_is_named(log: Any) -> None:
    log.folder.write_text("a file in the way")
    with pytest.raises(AuditUnavailable) as caught:
        log.open()
    assert str(log.folder) in str(caught.value)


def test_checkpoints_are_made_only_where_records_came(log: Any) -> None:
    journal = log.open()
    journal.append(log.content())
    journal.checkpoint()
    journal.checkpoint()
    assert events(log) == [Event.SECRET_RETRIEVED, Event.AUDIT_CHECKPOINT]
    journal.close()
    assert events(log) == [Event.SECRET_RETRIEVED, Event.AUDIT_CHECKPOINT, Event.AUDIT_CLOSED]


def test_without_keys_there_is_no_checkpoint_and_the_next_run_makes_up_for_it(log: Any) -> None:
    journal = log.open(keys=False)
    journal.append(log.content(event=Event.KMS_ERROR))
    journal.close()
    assert events(log) == [Event.KMS_ERROR]
    assert log.verify().chains[0].status is ChainStatus.OPEN
    journal = log.open()
    journal.append(log.content())
    journal.close()
    report = log.verify()
    assert report.ok and report.chains[0].status is ChainStatus.CLOSED


def test_the_head_in_the_store_is_never_ahead_of_what_was_flushed(log: Any) -> None:
    journal = log.open()
    journal.append(log.content())
    assert log.ports.heads()["0001"][0].count == 0
    head = journal.checkpoint()
    assert log.ports.heads()["0001"][0] == head and head.count == 2
    journal.append(log.content())
    assert log.ports.heads()["0001"][0] == head
    journal.close()
    assert log.ports.heads()["0001"][0].count == 4


def test_a_store_that_is_busy_does_not_stop_a_checkpoint(log: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from keystead.errors import StoreBusy

    journal = log.open()
    journal.append(log.content())

    def busy(*_: object) -> None:
        raise StoreBusy("the store is busy")

    with monkeypatch.context() as patch:
        patch.setattr(log.ports, "save_head", busy)
        journal.checkpoint()
    assert log.ports.heads()["0001"][0].count == 0
    journal.checkpoint()
    assert log.ports.heads()["0001"][0].count == 2
    journal.close()


def test_every_line_is_json_that_other_tools_read(log: Any) -> None:
    journal = log.open()
    journal.append(log.content("A\nB\x1b[31m\u202e"))
    journal.close()
    text = subprocess.run([sys.executable, "-c", READER, str(log.file())], capture_output=True, text=True, check=True)
    assert json.loads(text.stdout) == [0, 1]


READER = "import json,sys; print([json.loads(line)['i'] for line in open(sys.argv[1], encoding='ascii')])"


def test_an_open_file_keeps_room_behind_its_end(log: Any) -> None:
    journal = log.open()
    journal.append(log.content())
    found = log.file().stat()
    journal.close()
    if found.st_blocks * 512 < 4096 * 2:
        pytest.skip("this file system keeps no room behind the end of a file")
    assert found.st_blocks * 512 >= 1 << 20 and found.st_size < 1000


def test_paths_given_as_links_are_not_followed(log: Any, tmp_path: Path) -> None:
    journal = log.open()
    journal.append(log.content())
    journal.close()
    target = tmp_path / "elsewhere"
    log.file().rename(target)
    log.file().symlink_to(target)
    with pytest.raises(AuditUnavailable):
        log.open()
    assert not log.verify().ok

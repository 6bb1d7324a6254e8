"""A committed change's record reaches a chain exactly once, whoever dies in between; a store put back is found."""

from __future__ import annotations

import os
import shutil
from typing import Any

import pytest

from keystead.audit.chain import parse_line
from keystead.audit.outbox import highest_sequence, recover_outbox
from keystead.audit.record import Event, Record
from keystead.storage.audit import AuditRows


def numbers(log: Any, chain: str = "0001") -> list[int]:
    return [number for line in log.lines(chain) if (number := parse_line(line).number) is not None]


def kill(journal: Any) -> None:
    """What kill -9 leaves: the lock is free, nothing was closed."""
    writer, journal._writer, journal._closed = journal._writer, None, True
    writer.close()


def test_a_moved_row_is_deleted_only_after_the_disk_has_its_record(log: Any) -> None:
    journal = log.open()
    number, content = log.commit(journal)
    journal.append_outbox((number, content))
    assert journal.confirmed() == () and len(log.ports.pending()) == 1
    assert log.verify().ok
    journal.sync()
    assert journal.confirmed() == (number,)
    journal.checkpoint()
    assert journal.confirmed() == () and log.ports.pending() == []
    journal.close()
    assert log.verify().ok and log.ports.last_number() == 1


def test_a_row_is_deleted_with_a_later_write(log: Any) -> None:
    journal = log.open()
    journal.append_outbox(log.commit(journal))
    journal.sync()
    moved = journal.confirmed()
    with log.store.write() as connection:
        AuditRows(connection).delete(moved)
    journal.forget(moved)
    assert journal.confirmed() == () and log.ports.pending() == []
    journal.close()


def test_a_row_left_by_a_dead_process_is_moved_once(log: Any) -> None:
    journal = log.open()
    log.commit(journal)
    kill(journal)
    report = log.verify()
    assert report.ok and report.pending == 1
    for expected in ([1], []):
        journal = log.open()
        assert recover_outbox(journal, log.ports) == expected
        journal.close()
    assert numbers(log) == [1] and log.verify().ok and log.verify().pending == 0


def test_a_row_that_was_moved_but_not_deleted_is_not_moved_again(log: Any) -> None:
    journal = log.open()
    journal.append_outbox(log.commit(journal))
    for _ in range(200):
        journal.append(log.content())
    kill(journal)
    journal = log.open()
    assert recover_outbox(journal, log.ports) == [1]
    journal.close()
    assert numbers(log) == [1] and log.ports.pending() == []


def test_a_row_that_was_moved_to_another_chain_is_deleted_only_after_the_disk_has_that_one(
    log: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead, other = log.open(), log.open()
    other.append_outbox(log.commit(dead))
    chains = dead.chain, other.chain
    kill(dead)
    kill(other)  # which need not have flushed what it moved
    number, flush, left = (log.folder / chains[1] / "000001.jsonl").stat().st_ino, os.fdatasync, []

    def flushing(handle: int) -> None:
        if os.fstat(handle).st_ino == number:
            left.append(len(log.ports.pending()))
        flush(handle)

    journal = log.open()
    assert journal.chain == chains[0] != chains[1]
    monkeypatch.setattr(os, "fdatasync", flushing)
    assert recover_outbox(journal, log.ports) == [1]
    assert left == [1] and log.ports.pending() == []
    journal.close()


@pytest.mark.parametrize("content", [b"x\ny", b"garbage", b"{}", b"{" + b"x" * 3_000_000 + b"}", b"\xff\x00"])
def test_a_row_that_is_no_record_is_left_for_verify_and_breaks_no_chain(log: Any, content: bytes) -> None:
    journal = log.open()
    chain = journal.chain
    journal.append(log.content())
    journal.close()
    with log.store.write() as connection:
        AuditRows(connection).enqueue(chain, content)
    for _ in range(2):
        journal = log.open()
        assert recover_outbox(journal, log.ports) == []
        journal.append(log.content())
        journal.close()
        (problem,) = log.verify().problems
        assert problem.what == "the outbox row of change 1 is no record"
    assert sorted(item.name for item in log.folder.iterdir()) == ["0001"]


def test_rows_of_a_process_that_lives_are_left_to_it(log: Any) -> None:
    living, other = log.open(), log.open()
    number, content = log.commit(living)
    assert recover_outbox(other, log.ports) == []
    living.append_outbox((number, content))
    living.close()
    other.close()
    assert numbers(log) == [1] and numbers(log, "0002") == []


def test_rows_of_a_dead_process_go_to_the_chain_of_the_living(log: Any) -> None:
    first, second = log.open(), log.open()
    rows = [log.commit(second) for _ in range(3)]
    second.append_outbox(rows[1])
    kill(second)
    assert recover_outbox(first, log.ports) == [1, 2, 3]
    first.close()
    assert numbers(log) == [1, 3] and numbers(log, "0002") == [2]
    assert log.verify().ok


def test_a_row_whose_chain_has_no_folder_is_moved(log: Any) -> None:
    with log.store.write() as connection:
        AuditRows(connection).enqueue("0007", log.content())
    journal = log.open()
    assert recover_outbox(journal, log.ports) == [1]
    journal.close()
    assert numbers(log) == [1]


def test_a_record_that_never_reached_a_chain_is_missed(log: Any) -> None:
    journal = log.open()
    log.commit(journal)
    journal.append_outbox(log.commit(journal))
    with log.store.write() as connection:
        connection.execute("DELETE FROM audit_outbox WHERE number = 1")
    journal.close()
    assert "change 1 has no record" in str(log.verify().problems[0])


def test_an_outbox_row_that_was_edited_is_found(log: Any) -> None:
    journal = log.open()
    journal.append_outbox(log.commit(journal))
    with log.store.write() as connection:
        connection.execute("UPDATE audit_outbox SET content = ?", (log.content("OTHER"),))
    assert "stands otherwise in the outbox" in str(log.verify().problems[0])
    with log.store.write() as connection:
        AuditRows(connection).enqueue("0001", b"no record")
        AuditRows(connection).delete([1])
    assert "is no record" in str(log.verify().problems[0])
    kill(journal)


def test_a_number_linked_twice_is_found(log: Any) -> None:
    journal = log.open()
    number, content = log.commit(journal)
    journal.append_outbox((number, content))
    journal.append_outbox((number, content))
    journal.close()
    assert "recorded before" in str(log.verify().problems[0])


def test_a_store_that_was_put_back_is_found_from_the_last_lines(log: Any) -> None:
    journal = log.open()
    journal.append_outbox(log.commit(journal))
    journal.close()
    log.store.close()
    old = log.store.path.with_name("old.db")
    log.store.checkpoint()
    log.store.close()
    shutil.copy(log.store.path, old)
    journal = log.open()
    for _ in range(3):
        journal.append_outbox(log.commit(journal))
    journal.append(log.content())
    kill(journal)
    assert highest_sequence(log.folder) == 4 == log.ports.last_number()
    log.store.close()
    shutil.copy(old, log.store.path)
    for suffix in ("-wal", "-shm"):
        log.store.path.with_name(log.store.path.name + suffix).unlink(missing_ok=True)
    assert log.ports.last_number() == 1 < highest_sequence(log.folder)
    assert "the store was put back" in str(log.verify().problems[0])


def test_an_accepted_rollback_gives_no_number_twice_and_excuses_what_is_lost(log: Any) -> None:
    journal = log.open()
    journal.append_outbox(log.commit(journal))
    journal.note_sequence(5)
    journal.append(log.content())
    assert not log.verify().ok
    with log.store.write() as connection:
        AuditRows(connection).raise_number(5)
    accepted = log.content(event=Event.ROLLBACK_ACCEPTED, detail={"store": 1, "log": 5})
    journal.append(accepted)
    number, content = log.commit(journal)
    assert number == 6
    journal.append_outbox((number, content))
    journal.close()
    report = log.verify()
    assert report.ok, report.problems


def test_numbers_rise_and_are_never_given_again(log: Any) -> None:
    journal = log.open()
    first, _ = log.commit(journal)
    log.ports.delete([first])
    with pytest.raises(RuntimeError), log.store.write() as connection:
        AuditRows(connection).enqueue("0001", b"x")
        raise RuntimeError
    second, _ = log.commit(journal)
    assert (first, second) == (1, 2)
    kill(journal)


def test_every_line_after_a_move_carries_the_highest_number_known(log: Any) -> None:
    journal = log.open()
    rows = [log.commit(journal) for _ in range(2)]
    journal.append_outbox(rows[1])
    journal.append_outbox(rows[0])
    journal.append(log.content())
    journal.close()
    assert [parse_line(line).sequence for line in log.lines()] == [2, 2, 2, 2]
    again = log.open()
    again.append(log.content())
    again.close()
    assert highest_sequence(log.folder) == 2
    assert Record.parse(parse_line(log.lines()[0]).content).event == Event.SECRET_STORED


def test_a_saved_head_never_goes_back(log: Any) -> None:
    from keystead.audit.ports import Head

    log.ports.register("0001", 1)
    log.ports.save_head(Head("0001", 5, "aa"), b"mac5")
    log.ports.save_head(Head("0001", 4, "bb"), b"mac4")
    log.ports.register("0001", 2)
    assert log.ports.heads() == {"0001": (Head("0001", 5, "aa"), b"mac5")}

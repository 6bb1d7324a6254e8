"""`tail` shows the last records of all chains in order of time, and `follow` what comes."""

from __future__ import annotations

import threading
from typing import Any

from keystead.audit.reader import follow, tail


def test_the_tail_is_merged_over_all_chains_by_time(log: Any) -> None:
    first, second = log.open(file_bytes=700), log.open()
    for number in range(8):
        (first if number % 2 else second).append(log.content(f"NAME_{number}"))
    assert [entry.record.target for entry in tail(log.folder, 5)] == [f"NAME_{number}" for number in range(3, 8)]
    assert len(tail(log.folder, 100)) == 8 and tail(log.folder, 0) == []
    assert {entry.chain for entry in tail(log.folder, 100)} == {"0001", "0002"}
    first.close()
    second.close()


def test_the_tail_of_no_folder_is_empty_and_bad_lines_are_passed_over(log: Any) -> None:
    assert tail(log.folder, 5) == []
    journal = log.open()
    for number in range(3):
        journal.append(log.content(f"NAME_{number}"))
    with log.file().open("ab") as file:
        file.write(b"garbage\n{half")
    assert [entry.record.target for entry in tail(log.folder, 2)] == ["NAME_1", "NAME_2"]


def test_following_gives_each_new_record_once_over_new_files_and_new_chains(log: Any) -> None:
    journal = log.open(file_bytes=900)
    journal.append(log.content("BEFORE"))
    stop, seen = threading.Event(), list[str]()
    enough = threading.Event()

    def reading() -> None:
        for entry in follow(log.folder, stop):
            seen.append(entry.record.target)
            started.set()
            if len(seen) >= 11 and {"MORE", "OTHER"} <= set(seen):
                enough.set()

    started = threading.Event()
    thread = threading.Thread(target=reading)
    thread.start()
    while not started.wait(0.05):
        journal.append(log.content("FIRST"))
    other = log.open()
    while not enough.wait(0.05):
        journal.append(log.content("MORE"))
        other.append(log.content("OTHER"))
    stop.set()
    thread.join()
    journal.close()
    other.close()
    assert "BEFORE" not in seen and {"FIRST", "MORE", "OTHER"} <= set(seen)

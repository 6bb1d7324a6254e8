"""Counted uses: the first of a period is recorded before its answer, and no use is lost or told twice."""

from __future__ import annotations

import os
import threading
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keystead.audit.counts import Counts
from keystead.audit.record import Event, Record
from keystead.errors import AuditUnavailable
from keystead.testing.clock import ManualClock

ADA = ("ses_a", "user:ada")


def made(fail: list[bool] | None = None) -> tuple[Counts, list[Record]]:
    records: list[Record] = []

    def record(one: Record) -> None:
        if fail and fail[0]:
            raise AuditUnavailable("the audit journal cannot be written")
        records.append(one)

    return Counts(record, clock=ManualClock(), node="n", tell=lambda record: None), records


def counted(records: list[Record]) -> int:
    return sum(int(record.detail["uses"]) for record in records if record.event == Event.USES_COUNTED)


def test_the_first_use_of_a_period_is_recorded_before_the_count(log: Any) -> None:
    counts, records = made()
    counter = counts.use(Event.CACHE_HIT, "secret/A", *ADA)
    assert [(r.event, r.detail["uses"]) for r in records] == [(Event.CACHE_HIT, "at least 1")]
    for _ in range(4):
        counter.use()
    assert len(records) == 1
    counts.flush()
    assert records[1].event == Event.USES_COUNTED
    assert records[1].detail == {"event": "cache_hit", "period": records[0].detail["period"], "uses": 5}
    assert (records[1].session, records[1].principal, records[1].target) == (*ADA, "secret/A")


def test_a_new_period_opens_with_the_next_use_and_an_idle_one_writes_nothing() -> None:
    counts, records = made()
    counter = counts.use(Event.CACHE_HIT, "secret/A", *ADA)
    for _ in range(3):
        counts.flush()
    assert len(records) == 2
    counter.use()
    counts.flush()
    assert [record.event for record in records] == [Event.CACHE_HIT, Event.USES_COUNTED] * 2
    assert counted(records) == 2


def test_targets_events_and_sessions_are_counted_apart() -> None:
    counts, records = made()
    for key in [
        ("cache_hit", "A", *ADA),
        ("cache_hit", "B", *ADA),
        ("cache_miss", "A", *ADA),
        ("cache_hit", "A", "s2", "p"),
    ]:
        counts.use(*key)
        counts.use(*key)
    counts.flush()
    totals = Counter(
        (record.detail["event"], record.target, record.session) for record in records if record.event == "uses_counted"
    )
    assert len(totals) == 4 and counted(records) == 8


def test_a_use_whose_opening_record_fails_is_refused_and_the_next_tries_again() -> None:
    fail = [True]
    counts, records = made(fail)
    with pytest.raises(AuditUnavailable):
        counts.use(Event.CACHE_HIT, "A", *ADA)
    fail[0] = False
    counter = counts.use(Event.CACHE_HIT, "A", *ADA)
    fail[0] = True
    with pytest.raises(AuditUnavailable):
        counts.flush()
    with pytest.raises(AuditUnavailable):
        counter.use()
    fail[0] = False
    counts.flush()
    assert 1 <= counted(records) <= 3


def test_nothing_is_lost_or_told_twice_when_threads_race_with_flush() -> None:
    counts, records = made()
    done = threading.Event()
    uses = 20_000

    def work() -> None:
        counter = counts.use(Event.CACHE_HIT, "A", *ADA)
        for _ in range(uses - 1):
            counter.tick()
            if not counter.open:
                counts.resume(counter)

    def flushing() -> None:
        while not done.is_set():
            counts.flush()

    threads = [threading.Thread(target=work) for _ in range(4)]
    flusher = threading.Thread(target=flushing)
    for thread in [flusher, *threads]:
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    flusher.join()
    counts.flush()
    assert counted(records) == 4 * uses


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["use a", "use b", "held a", "held b", "flush"]), max_size=40))
def test_the_sum_of_the_counts_is_the_number_of_uses_in_any_order(steps: list[str]) -> None:
    counts, records = made()
    held, uses = {}, 0
    for step in steps:
        how, _, target = step.partition(" ")
        if how == "flush":
            counts.flush()
        elif how == "use" or target not in held:
            held[target] = counts.use(Event.CACHE_HIT, target, *ADA)
            uses += 1
        else:
            held[target].use()
            uses += 1
    counts.flush()
    assert counted(records) == uses == counts.total()


def test_a_forked_child_reports_its_own_uses_only() -> None:
    counts, records = made()
    counter = counts.use(Event.CACHE_HIT, "A", *ADA)
    counter.use()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        del records[:]
        counter.use()
        counts.flush()
        os.write(writing, f"{len(records)} {counted(records)}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 100) == b"2 1"
    counts.flush()
    assert counted(records) == 2
    os.close(reading)
    os.close(writing)

"""The end of a soak: everything is killed, started again, compared over HTTP and in process, and the log read."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

from tests.server.soak.other_load import RacingActor, compare_race
from tests.server.soak.world import Actor, World

import keystead
from keystead.audit.chain import parse_line
from keystead.audit.files import chain_names, lines
from keystead.audit.record import Record

SHOWN = 5


def compare_last(world: World, actors: list[Actor]) -> dict[str, str]:
    """Figures of the end, by what they are; differences go into the world."""
    site = world.site
    world.quiet.clear()
    site.kill_all()
    site.start()
    for actor in actors:
        actor.compare()
        actor.connections.close()
    code = site.stop()
    if code != 0:
        world.differ(f"the server ended with {code}")
    said = site.log.read_text("utf-8", "replace")
    for sign in ("Traceback", "failed:", "a defect"):
        if sign in said:
            world.differ(f"the server's log has {sign}: {said[max(0, said.index(sign) - 200) :][:1_000]}")
    began = time.monotonic()
    with keystead.connect(site.store, master_key=site.master_key) as store:
        for actor in actors:
            actor.compare_inside(store)
        compare_race([actor for actor in actors if isinstance(actor, RacingActor)], store)
        report = store.kms.audit.verify()
        for problem in report.problems:
            world.differ(f"audit verify: {problem}")
    records, missing = read_log(site.store / "audit", world.expected)
    for request_id, (event, times) in list(missing.items())[:SHOWN]:
        world.differ(f"the log lacks {event} of {request_id}: {times} missing")
    if len(missing) > SHOWN:
        world.differ(f"the log lacks records of {len(missing) - SHOWN} more requests")
    return {
        "records in the log": f"{records:,}",
        "`audit verify`": f"{report.records:,} records, {len(report.problems)} problems",
        "answers whose record was looked up by the request's id": f"{len(world.expected):,}",
        "of them without": f"{len(missing):,}",
        "seconds to compare in process, verify and read the log": f"{time.monotonic() - began:.0f}",
    }


def read_log(folder: Path, expected: dict[str, tuple[str, int]]) -> tuple[int, dict[str, tuple[str, int]]]:
    """How many records there are, and by request id what is missing of what was expected."""
    found: Counter[tuple[str, str]] = Counter()
    records = 0
    for chain in chain_names(folder):
        for raw in lines(folder / chain):
            record = Record.parse(parse_line(raw.data).content)
            records += 1
            if record.request_id in expected:
                # What a batch did many times has one record.
                found[record.request_id, str(record.event)] += int(record.detail.get("uses", 1))
    missing = {
        request_id: (event, times - found[request_id, event])
        for request_id, (event, times) in expected.items()
        if found[request_id, event] < times
    }
    return records, missing

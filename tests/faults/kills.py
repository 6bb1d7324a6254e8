"""Killing each change at its writing system calls, and checking the store after each kill."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from tests.faults.checks import DATABASE, check, copy, make_template
from tests.faults.driver_changes import PASSPHRASE
from tests.faults.injection import Outcome, Point, Server, kill_at, points, sample

import keystead
from keystead.storage.schema import migrations

TRIES = 4
CHANGES = (
    "store", "rotate", "rotate_data_key", "rekey", "destroy_secret", "destroy_data_key", "create", "reopen", "migrate",
    "slots", "sweep", "envelopes", "stream", "backup", "restore",
)  # fmt: skip


class Kills:
    """Template stores, a driver, and a fresh copy for every run."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.key = keystead.generate_master_key()
        self.other_key = keystead.generate_master_key()
        self.server = Server()
        self._runs = 0
        self._templates: dict[str, Path] = {}

    def close(self) -> None:
        self.server.close()

    def template(self, change: str) -> Path | None:
        """The store that a change begins with; None: there is none yet."""
        if change == "create":
            return None
        kind = change if change in ("migrate", "restore") else "any"
        if kind not in self._templates:
            folder = self.root / f"template-{kind}"
            folder.mkdir()
            make_template(folder, self.key)
            if kind == "migrate":
                take_back_a_migration(folder)
            if kind == "restore":
                become_a_backup(folder, self.key)
            self._templates[kind] = folder
        return self._templates[kind]

    def fresh(self, change: str) -> Path:
        self._runs += 1
        folder = self.root / f"run-{self._runs}"
        template = self.template(change)
        if template is None:
            folder.mkdir()
            return folder
        return copy(template, folder)

    def points(self, change: str) -> list[Point]:
        """The places of a clean run, which is checked too."""
        folder = self.fresh(change)
        found, outcome = points(self.server, driven(change), folder, self.key, other_key=self.other_key)
        assert outcome.status == 0
        assert not outcome.errors
        check(change, folder, self.key, outcome)
        return found

    def kill(self, change: str, point: Point) -> Outcome:
        """One run, killed at this place; AssertionError where the store is not what was promised afterwards."""
        folder = self.fresh(change)
        more = {"other_key": self.other_key}
        outcome = self.server.run(driven(change), folder, self.key, kill_at(point), **more)
        check(change, folder, self.key, outcome)
        shutil.rmtree(folder)
        return outcome

    def run(self, change: str, most: int) -> Iterator[tuple[Point, Outcome]]:
        """Kill a change at so many of its places."""
        for point in sample(self.points(change), most):
            yield self.kill_near(change, point)

    def kill_near(self, change: str, point: Point) -> tuple[Point, Outcome]:
        """Kill a change at a place, or at the next before it that this run comes to.

        Threads take turns otherwise in each run: one that works ahead in the clean run may have nothing to do in
        others, which then end whole, without a fault.
        """
        for _ in range(TRIES):
            outcome = self.kill(change, point)
            if outcome.killed:
                return point, outcome
        while not outcome.killed and point.nth > 1:
            point = replace(point, nth=point.nth - 1)
            outcome = self.kill(change, point)
        return point, outcome


def driven(change: str) -> str:
    """What the driver calls a change."""
    return "reopen" if change == "migrate" else change


def take_back_a_migration(folder: Path) -> None:
    """Make the store one of the schema before the last: what the last migration made is not there yet."""
    last = migrations()[-1]
    with closing(sqlite3.connect(folder / DATABASE, isolation_level=None)) as connection:
        for table in reversed(re.findall(r"CREATE TABLE (\w+)", last.sql)):
            connection.execute(f"DROP TABLE {table}")
        for table, column in re.findall(r"ALTER TABLE (\w+) ADD COLUMN (\w+)", last.sql):
            connection.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        connection.execute("DELETE FROM migrations WHERE number = ?", (last.number,))
        connection.execute(f"PRAGMA user_version = {last.number - 1}")


def become_a_backup(folder: Path, key: str) -> None:
    """Back the store up into `backup.ksb`, and put an empty store in its place."""
    with keystead.connect(folder / DATABASE, master_key=key) as store:
        store.kms.backup(folder / "backup.ksb", passphrase=PASSPHRASE)
    for item in folder.iterdir():
        if item.name.startswith(DATABASE):
            shutil.rmtree(item) if item.is_dir() else item.unlink()
    keystead.connect(folder / DATABASE, master_key=key).close()

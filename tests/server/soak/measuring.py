"""What the operating system says of the server's processes, and lines through it that few outliers do not move.

Under load a worker's memory is that of what it is doing: some 256 KiB a connection as its buffers fill, 64 MiB while a
password is checked. What it keeps shows when nobody asks anything: so the clients rest now and then, without a
connection, until the server has had the time to give back what it can, and the line is drawn through those moments.
"""

from __future__ import annotations

import statistics
import threading
import time
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from tests.server.soak.site import Process
from tests.server.soak.world import World

EVERY_SECONDS = 2.0
LOAD_SECONDS = 27.0
REST_SECONDS = 17.0
"""Until the last client has let go, and a worker has given back what it can, which it does every ten seconds."""
LEAST_RESTS = 6
"""With fewer, a process is told of and no line is drawn."""
MIB = 1024.0


class Sample(NamedTuple):
    """One process at one moment: seconds since the start of the soak, KiB, and numbers."""

    at: float
    rss_kib: int
    anonymous_kib: int
    files: int
    sockets: int
    threads: int


@dataclass
class Course:
    """One process over its life."""

    process: Process
    samples: list[Sample] = field(default_factory=list)
    rests: list[Sample] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{'worker' if self.process.is_worker else 'parent'} {self.process.pid}"

    def settled(self, warm_up: float) -> list[Sample]:
        """The rests behind the warm-up of the soak, and its own, which is a third of its life."""
        first, last = self.samples[0].at, self.samples[-1].at
        since = max(warm_up, first + (last - first) / 3)
        return [sample for sample in self.rests if sample.at >= since]


class Line(NamedTuple):
    """A slope an hour, the points that it was drawn through, and where they begin and end."""

    an_hour: float
    points: int
    first: float
    last: float


def line(points: list[tuple[float, float]]) -> Line | None:
    """Theil and Sen's slope."""
    if len(points) < LEAST_RESTS:
        return None
    slope = statistics.median((b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(points, 2))
    return Line(slope * 3_600, len(points), points[0][1], points[-1][1])


class Measuring(threading.Thread):
    """Looks at every process of the server each few seconds, at the sizes of what it stores, and, from `warm_up` on
    (seconds), at what is left in each process when nobody asks anything."""

    def __init__(self, world: World, began: float, warm_up: float) -> None:
        super().__init__(name="measuring", daemon=True)
        self._world, self._began, self._warm_up = world, began, warm_up
        self.courses: dict[tuple[int, int], Course] = {}
        self.sizes: list[tuple[float, int, int, int]] = []
        self.over = threading.Event()

    def run(self) -> None:
        turn = self._began + self._warm_up + LOAD_SECONDS
        while not self.over.wait(EVERY_SECONDS):
            now = time.monotonic()
            resting = self._world.resting.is_set()
            ends = resting and now >= turn
            self._look(now - self._began, at_rest=ends)
            if ends:
                self._world.resting.clear()
                turn = now + LOAD_SECONDS
            elif not resting and now >= turn:
                self._world.resting.set()
                turn = now + REST_SECONDS
        self._world.resting.clear()

    def _look(self, at: float, *, at_rest: bool) -> None:
        for process in self._world.site.processes():
            sample = look(process.pid, at)
            if sample is not None:
                course = self.courses.setdefault((process.pid, process.started), Course(process))
                course.process = process  # a new parent is a worker's child for a moment
                course.samples.append(sample)
                if at_rest:
                    course.rests.append(sample)
        self.sizes.append((at, *sizes(self._world.site.store)))


def look(pid: int, at: float) -> Sample | None:
    """What a process has now; None where it has just ended."""
    folder = Path(f"/proc/{pid}")
    try:
        status = dict(row.split(":\t", 1) for row in (folder / "status").read_text().splitlines() if ":\t" in row)
        links = [str(entry.readlink()) for entry in (folder / "fd").iterdir()]
        rss, anonymous = (int(status[name].split()[0]) for name in ("VmRSS", "RssAnon"))
    except (OSError, KeyError):
        return None
    sockets = sum(link.startswith("socket:") for link in links)
    return Sample(at, rss, anonymous, len(links) - sockets, sockets, int(status["Threads"]))


def sizes(store: Path) -> tuple[int, int, int]:
    """The bytes of the store, of what is written ahead of it, and of the log."""

    def of(path: Path) -> int:
        return path.stat().st_size if path.exists() else 0

    log = sum(of(path) for path in (store / "audit").rglob("*") if path.is_file())
    return of(store / "keystead.db"), of(store / "keystead.db-wal"), log

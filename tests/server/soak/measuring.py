"""What the operating system says of the server's processes, and lines through it that few outliers do not move."""

from __future__ import annotations

import statistics
import threading
import time
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from tests.server.soak.site import Process, Site

EVERY_SECONDS = 2.0
WINDOW_SECONDS = 20.0
LEAST_WINDOWS = 6
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

    @property
    def name(self) -> str:
        return f"{'worker' if self.process.is_worker else 'parent'} {self.process.pid}"

    def settled(self, warm_up: float) -> list[Sample]:
        """The samples after the warm-up of the soak, and after a third of the process's own life."""
        first, last = self.samples[0].at, self.samples[-1].at
        since = max(warm_up, first + (last - first) / 3) if first > EVERY_SECONDS * 4 else warm_up
        return [sample for sample in self.samples if sample.at >= since]


class Line(NamedTuple):
    """A slope an hour, the windows that it was drawn through, and where they begin and end."""

    an_hour: float
    windows: int
    first: float
    last: float


def line(points: list[tuple[float, float]]) -> Line | None:
    """Theil and Sen's slope through the minima of windows: what is only held for a moment is not seen."""
    if not points:
        return None
    windows: dict[int, list[tuple[float, float]]] = {}
    for at, value in points:
        windows.setdefault(int((at - points[0][0]) // WINDOW_SECONDS), []).append((at, value))
    lowest = [
        (statistics.fmean(at for at, _ in found), min(value for _, value in found))
        for found in windows.values()
        if len(found) >= 3
    ]
    if len(lowest) < LEAST_WINDOWS:
        return None
    slope = statistics.median((b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(lowest, 2))
    return Line(slope * 3_600, len(lowest), lowest[0][1], lowest[-1][1])


class Measuring(threading.Thread):
    """Looks at every process of the server each few seconds, and at the sizes of what it stores."""

    def __init__(self, site: Site, began: float) -> None:
        super().__init__(name="measuring", daemon=True)
        self._site, self._began = site, began
        self.courses: dict[tuple[int, int], Course] = {}
        self.sizes: list[tuple[float, int, int, int]] = []
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(EVERY_SECONDS):
            at = time.monotonic() - self._began
            for process in self._site.processes():
                sample = look(process.pid, at)
                if sample is not None:
                    course = self.courses.setdefault((process.pid, process.started), Course(process))
                    course.process = process  # a new parent is a worker's child for a moment
                    course.samples.append(sample)
            self.sizes.append((at, *sizes(self._site.store)))


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

"""Figures of a server in the text format of Prometheus. Labels have few values, and no names of what is kept.

All workers of a server write into one piece of memory, each into a row of its own, so that whichever of them is asked
tells of all. A worker that starts in the place of another goes on with its row: what only rises does not fall.
"""

from __future__ import annotations

import mmap
from typing import Final, NamedTuple

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE", "refused", "other")
_STATUSES: Final = range(100, 600)


class Figure(NamedTuple):
    """A figure of each worker: what it means, and whether it only rises, or all workers have the same."""

    name: str
    what: str
    rises: bool = False
    shared: bool = False


FIGURES: Final = (
    Figure("connections", "Connections that are open."),
    Figure("callers", "Sessions of access tokens that are kept."),
    Figure("store_generation", "The number of the newest change that was seen.", shared=True),
    Figure("log_lines_dropped_total", "Lines of the log that nobody took in time.", rises=True),
)
_ROW: Final = len(METHODS) * len(_STATUSES) + len(FIGURES)
_FIRST_FIGURE: Final = len(METHODS) * len(_STATUSES)


class Board:
    """The figures of all workers: rows of 64-bit numbers behind the number of restarts, inherited by every worker."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._memory = mmap.mmap(-1, 8 * (1 + workers * _ROW))
        self._numbers = memoryview(self._memory).cast("Q")

    def restarted(self) -> None:
        """A worker was started in the place of another."""
        self._numbers[0] += 1

    def row(self, worker: int) -> memoryview[int]:
        """The numbers of one worker, counted from 0."""
        start = 1 + worker * _ROW
        return self._numbers[start : start + _ROW]

    def text(self) -> str:
        """All of it."""
        rows = [self.row(worker).tolist() for worker in range(self.workers)]
        lines = [
            "# HELP keystead_requests_total Requests answered, by method and status.",
            "# TYPE keystead_requests_total counter",
        ]
        for number, method in enumerate(METHODS):
            for status in _STATUSES:
                at = _place(number, status)
                count = sum(row[at] for row in rows)
                if count:
                    lines.append(f'keystead_requests_total{{method="{method}",status="{status}"}} {count}')
        for at, figure in enumerate(FIGURES, _FIRST_FIGURE):
            values = [row[at] for row in rows]
            lines += _figure(figure, max(values) if figure.shared else sum(values))
        lines += _figure(Figure("workers", "Workers that the server has."), self.workers)
        restarts = Figure("worker_restarts_total", "Workers started in the place of one that ended.", rises=True)
        lines += _figure(restarts, self._numbers[0])
        return "\n".join(lines) + "\n"


class Row(NamedTuple):
    """Where one worker, counted from 0, writes its figures."""

    board: Board
    worker: int


class Metrics:
    """What one worker writes of itself, on its event loop and nowhere else."""

    def __init__(self, row: Row) -> None:
        self._row = row.board.row(row.worker)
        self._starts = {method: _place(number, 0) for number, method in enumerate(METHODS)}
        self._other = self._starts["other"]
        # Of what only rises, what the one before has counted.
        self._before = [self._row[at] if figure.rises else 0 for at, figure in enumerate(FIGURES, _FIRST_FIGURE)]

    def answered(self, method: str, status: int) -> None:
        """One answer left."""
        self._row[self._starts.get(method, self._other) + status] += 1

    def note(self, *values: int) -> None:
        """The figures of now, in the order of `FIGURES`."""
        for at, (value, before) in enumerate(zip(values, self._before, strict=True), _FIRST_FIGURE):
            self._row[at] = before + value


def _place(method: int, status: int) -> int:
    return method * len(_STATUSES) + status - _STATUSES.start


def _figure(figure: Figure, value: int) -> list[str]:
    kind = "counter" if figure.rises else "gauge"
    name = f"keystead_{figure.name}"
    return [f"# HELP {name} {figure.what}", f"# TYPE {name} {kind}", f"{name} {value}"]

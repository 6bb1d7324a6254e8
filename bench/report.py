"""Rows of the table: what was measured, what it is compared with, the target, and whether it was met."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

BEGIN, END = "<!-- figures: written by make bench -->", "<!-- end of figures -->"
_SCALES = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


@dataclass(frozen=True)
class Row:
    """One line of the table; `passed` is None where a figure has no target."""

    what: str
    ours: str
    beside: str
    ratio: str
    target: str
    passed: bool | None


def seconds(value: float) -> str:
    """A duration with three figures and the unit that fits."""
    for scale, unit in _SCALES:
        if abs(value) >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value:.3g} s"


def size(value: float) -> str:
    """A number of bytes with the unit that fits."""
    for scale, unit in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if abs(value) >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value:.0f} B"


def ahead(what: str, ours: float, peer: str, theirs: float, *, times: float | None) -> Row:
    """A row that says how many times as fast as the peer we are; the target is at least `times`."""
    ratio = theirs / ours
    target = "" if times is None else f"≥ {times:g} × as fast" if times != 1 else "faster"
    passed = None if times is None else ratio >= times
    return Row(what, seconds(ours), f"{peer} {seconds(theirs)}", f"{ratio:.2f} × as fast", target, passed)


def within(what: str, ours: float, floor: str, theirs: float, *, times: float | None) -> Row:
    """A row that says how many times the floor's cost ours is; the target is at most `times`."""
    ratio = ours / theirs
    target = "" if times is None else f"≤ {times:.3g} × the cost"
    passed = None if times is None else ratio <= times
    return Row(what, seconds(ours), f"{floor} {seconds(theirs)}", f"{ratio:.2f} × the cost", target, passed)


def bound(what: str, ours: float, limit: float | None, *, unit: str = "s", beside: str = "") -> Row:
    """A row with a figure of its own: at most `limit`, in seconds (`s`), bytes (`B`) or plain numbers."""
    show = {"s": seconds, "B": size}.get(unit, lambda value: f"{value:,.0f}{unit and ' ' + unit}")
    target = "" if limit is None else f"≤ {show(limit)}"
    return Row(what, show(ours), beside, "", target, None if limit is None else ours <= limit)


def verdict(row: Row) -> str:
    """The last column."""
    return "" if row.passed is None else "met" if row.passed else "**missed**"


def as_text(title: str, rows: Iterable[Row]) -> str:
    """The table for a terminal."""
    cells = [[r.what, r.ours, r.beside, r.ratio, r.target, verdict(r).strip("*")] for r in rows]
    if not cells:
        return ""
    widths = [max(len(line[column]) for line in cells) for column in range(6)]
    lines = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return "\n".join((f"\n{title}", *(f"  {line}" for line in lines)))


def as_markdown(title: str, rows: Iterable[Row]) -> str:
    """The table for docs/benchmark.md."""
    lines = [f"### {title}", "", "| what | keystead | beside it | ratio | target | |", "|---|--:|---|--:|--:|---|"]
    lines += [f"| {r.what} | {r.ours} | {r.beside} | {r.ratio} | {r.target} | {verdict(r)} |" for r in rows]
    return "\n".join(lines)


def setting(core: int) -> str:
    """On what the figures were taken: processor, versions; nothing that names a machine."""
    model = "unknown processor"
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = re.search(r"model name\s*:\s*(.+)", info.read_text())
        model = found.group(1).strip() if found else platform.machine()
    names = ("cryptography", "tink", "aws-encryption-sdk", "aws-secretsmanager-caching", "pyrage", "pydantic-settings")
    peers = ", ".join(f"{name} {version(name)}" for name in names)
    return (
        f"{model}, {os.cpu_count()} cores, pinned to core {core}; CPython {platform.python_version()}"
        f" ({sys.platform}), SQLite {sqlite3.sqlite_version}; {peers}."
    )


def write_into(page: Path, text: str) -> None:
    """Replace what stands between the two marks of a page.

    Raises:
        AssertionError: the page lacks the marks.
    """
    before, mark, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    assert mark and end, f"{page} has no place for the figures"
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")

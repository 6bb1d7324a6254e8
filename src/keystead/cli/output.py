"""What is printed: data to stdout, talk to stderr, tables for a terminal, JSON for scripts."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from keystead.clock import format_duration


def as_json(schema: str, **fields: Any) -> None:
    """One JSON document on stdout; `schema` names its form."""
    click.echo(json.dumps({"schema": f"keystead.{schema}", **fields}, indent=2, default=str))


def talk(text: str) -> None:
    """A sentence for a person, on stderr."""
    click.echo(text, err=True)


def emphasis(text: str) -> str:
    """Bold on a terminal that shows it."""
    plain = not sys.stdout.isatty() or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    return text if plain else click.style(text, bold=True)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on a terminal, cut to its width; tab-separated lines without a head elsewhere."""
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(row))
        return
    widths = [max(len(cells[at]) for cells in (head, *rows)) for at in range(len(head))]
    total = shutil.get_terminal_size().columns
    click.echo(emphasis(_line(head, widths, total)))
    for row in rows:
        click.echo(_line(row, widths, total))


def _line(cells: Sequence[str], widths: Sequence[int], total: int) -> str:
    line = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
    return line if len(line) <= total else line[: max(total - 1, 1)] + ("…" if _unicode() else "~")


def _unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def moment(ms: int | None) -> str:
    """Milliseconds since the epoch as UTC text; - for none."""
    return "-" if ms is None else datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def age(ms: int) -> str:
    """A length rounded to its largest units, for people."""
    for unit in (86_400_000, 3_600_000, 60_000, 1_000):
        if ms >= unit:
            return format_duration(ms - ms % unit)
    return "0s"

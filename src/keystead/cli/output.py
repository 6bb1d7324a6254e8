"""What is printed: data to stdout, talk to stderr, tables for a terminal, JSON for scripts."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import zip_longest
from typing import IO, Any, BinaryIO, Final, NoReturn

import click

from keystead.clock import format_duration
from keystead.errors import FileUnavailable

_GAP: Final = 2
_NARROW: Final = 7
_NARROWEST: Final = 6
_LAST_STANDARD: Final = 2


def document(schema: str, **fields: Any) -> None:
    """One JSON document on stdout; `schema` names its form and version, such as `list/1`."""
    click.echo(as_document(schema, **fields))


def as_document(schema: str, **fields: Any) -> str:
    """The text of a JSON document."""
    return json.dumps({"schema": f"keystead.{schema}", **fields}, indent=2, default=str)


def talk(text: str) -> None:
    """A sentence for a person, on stderr. Where nobody can be told, what was done is done all the same."""
    try:
        click.echo(text, err=True)
    except OSError:
        _discard(2)


def is_terminal(stream: IO[Any] | None) -> bool:
    """Whether a standard stream is there and is a terminal."""
    return stream is not None and not stream.closed and stream.isatty()


class ClosedStdout(io.TextIOBase):
    """Stands where a process was started without stdout, so that an answer which goes nowhere is an error."""

    def write(self, _text: str) -> NoReturn:
        """Refuse it. Raises FileUnavailable."""
        raise FileUnavailable("stdout is closed", hint="send it to a file or a pipe")

    @property
    def buffer(self) -> NoReturn:
        """The same for bytes."""
        self.write("")


def binary() -> BinaryIO:
    """stdout for bytes.

    Raises:
        FileUnavailable: it is closed.
    """
    return sys.stdout.buffer


def write_bytes(data: bytes) -> None:
    """Bytes as they are to stdout, all of them out of the process when this returns."""
    stdout = binary()
    stdout.write(data)
    stdout.flush()


def emphasis(text: str, stream: IO[Any] | None = None, **style: Any) -> str:
    """Bold, or `style`, on a terminal that shows it and a person who wants it."""
    from keystead.node.settings import environment

    variables = environment()
    plain = bool(variables.get("NO_COLOR")) or variables.get("TERM") == "dumb"
    if plain or not is_terminal(sys.stdout if stream is None else stream):
        return text
    return click.style(text, **(style or {"bold": True}))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on a terminal, fitted to its width; tab-separated lines without a head elsewhere."""
    if not is_terminal(sys.stdout):
        for row in rows:
            click.echo("\t".join(row))
        return
    if not rows:
        return
    widths = _fitted(list(zip(head, *rows, strict=True)))
    for line in _lines(head, widths):
        click.echo(emphasis(line))
    for row in rows:
        for line in _lines(row, widths):
            click.echo(line)


def _fitted(columns: Sequence[Sequence[str]]) -> list[int]:
    """The widths of columns, the widest made narrower until a line fits the terminal; words are broken only then.

    The first column is what the next command is given, and copied from here: the others give way before it.
    """
    room = shutil.get_terminal_size().columns - _GAP * (len(columns) - 1)
    widths = [max(map(len, cells)) for cells in columns]
    words = [max(len(word) for cell in cells for word in ("", *cell.split())) for cells in columns]
    for least in ([widths[0], *words[1:]], [widths[0], *[_NARROW] * len(words[1:])], [_NARROWEST] * len(words)):
        while sum(widths) > room:
            spare = [at for at, width in enumerate(widths) if width > least[at]]
            if not spare:
                break
            widths[max(spare, key=widths.__getitem__)] -= 1
    return widths


def _lines(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    """A row; what is longer than its column goes on below, since a part of an id or of a time is of use to nobody."""
    columns = [textwrap.wrap(cell, width, break_on_hyphens=False) for cell, width in zip(cells, widths, strict=True)]
    gap = " " * _GAP
    return [
        gap.join(part.ljust(width) for part, width in zip(parts, widths, strict=True)).rstrip()
        for parts in zip_longest(*columns, fillvalue="")
    ]


def moment(ms: int | None) -> str:
    """Milliseconds since the epoch as UTC text; - for none."""
    return "-" if ms is None else datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def age(ms: int) -> str:
    """A length rounded down to whole units of its largest kind, for people."""
    for unit in (86_400_000, 3_600_000, 60_000, 1_000):
        if ms >= unit:
            return format_duration(ms - ms % unit)
    return "0s"


def discard_stdout() -> None:
    """Nobody reads stdout any more: let what is left of it go nowhere, so that the interpreter ends in peace."""
    _discard(1)


def _discard(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def hold_standard_streams() -> None:
    """Let no file that is opened take the number of a standard stream that is closed."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _LAST_STANDARD:
        pass
    os.close(descriptor)

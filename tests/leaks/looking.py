"""Canary secrets, and a search for any eight bytes of one in whatever a program lets out."""

from __future__ import annotations

import base64
import dataclasses
import logging
import secrets
import traceback
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

WINDOW = 8
# No digit of base 16: eight of those are in every audit log, which is full of hashes, once in twenty runs by chance.
LETTERS = "ghijklmnopqrstuvwxyz"
Value = TypeVar("Value", str, bytes)


def windows(value: bytes) -> Iterator[bytes]:
    """Every eight bytes of the value in each spelling in which they might get out: raw, hex, base64, escaped."""
    for at in range(len(value) - WINDOW + 1):
        eight = value[at : at + WINDOW]
        yield eight
        yield eight.hex().encode()
        yield eight.hex().upper().encode()
        escaped = repr(eight)[2:-1].encode()
        yield escaped
        yield escaped.replace(b"\\", b"\\\\")
        for shift in range(3):
            # the characters of base64 that these bytes alone decide, at each place they can have in a longer text
            text = base64.b64encode(b"\0" * shift + eight)
            alone = text[-(-shift * 8 // 6) : (shift + WINDOW) * 8 // 6]
            yield alone
            yield alone.translate(bytes.maketrans(b"+/", b"-_"))


class Canaries:
    """The secrets of one test, each random, each remembered."""

    def __init__(self) -> None:
        self._by_beginning: dict[bytes, set[bytes]] = {}
        self._searched: set[bytes] = set()

    def text(self) -> str:
        """Text that is a secret."""
        return self.remember("cAnaRy" + "".join(secrets.choice(LETTERS) for _ in range(24)))

    def data(self) -> bytes:
        """Bytes that are a secret, and no text."""
        return self.remember(b"\xff\xfe" + secrets.token_bytes(30))

    def remember(self, value: Value) -> Value:
        """Take a value for a secret from now on."""
        for window in windows(_bytes(value)):
            self._by_beginning.setdefault(window[:WINDOW], set()).add(window)
        return value

    def in_(self, what: bytes | str) -> list[str]:
        """Which windows of canaries the text or bytes hold. What was searched before has told what it holds."""
        data, beginnings = _bytes(what), self._by_beginning
        if data in self._searched:
            return []
        self._searched.add(data)
        places = (at for at in range(len(data) - WINDOW + 1) if data[at : at + WINDOW] in beginnings)
        found = ((at, window) for at in places for window in beginnings[data[at : at + WINDOW]])
        return [repr(window) for at, window in found if data.startswith(window, at)]


def _bytes(value: str | bytes) -> bytes:
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value


def told_by(value: object, depth: int = 4) -> Iterator[str]:
    """All that a print, a log, a debugger or a serializer makes of a value, and of what it is made of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield from (repr(value), str(value), f"{value}")
    for name in ("to_json", "as_dict", "_asdict"):
        if hasattr(value, name):
            yield repr(getattr(value, name)())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        try:
            yield repr(dataclasses.asdict(value))
        except TypeError:
            yield "a value in it refuses to be copied"
    if depth == 0 or isinstance(value, str | bytes | int | float | None):
        return
    held = vars(value) if hasattr(value, "__dict__") else {}
    parts: list[object] = [part for name, part in held.items() if not name.startswith("_")]
    if isinstance(value, Mapping):
        parts += [*value.keys(), *value.values()]
    elif isinstance(value, list | tuple | set | frozenset):
        parts += value
    for part in parts:
        yield from told_by(part, depth - 1)


def told_by_error(error: BaseException) -> Iterator[str]:
    """The same of an error, and of every error that it hangs on to, shown or not."""
    yield from traceback.format_exception(error)
    queue, seen = [error], set()
    while queue:
        each = queue.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield f"{each!r} {each} {each.args!r} {vars(each)!r}"
        # what codecs and the JSON reader keep of their input
        yield from (repr(getattr(each, name)) for name in ("object", "doc") if hasattr(each, name))
        queue += [linked for linked in (each.__cause__, each.__context__) if linked is not None]


def told_by_record(record: logging.LogRecord) -> str:
    """All that a log record carries, whatever the formatter picks from it."""
    shown = logging.Formatter("%(name)s %(message)s").format(record)
    return f"{shown} {vars(record)!r}"


def told_by_files(folder: Path, but: set[Path]) -> Iterator[tuple[str, bytes]]:
    """Each file below a folder, its name included."""
    for path in sorted(folder.rglob("*")):
        yield f"the name {path}", str(path.relative_to(folder)).encode()
        if path.is_file() and path not in but:
            yield str(path), path.read_bytes().rstrip(b"\0")


def told_by_process(pid: int | str = "self") -> bytes:
    """What a listing of processes shows of one: its command line and the names of its threads."""
    place = Path(f"/proc/{pid}")
    return b" ".join([(place / "cmdline").read_bytes(), *(path.read_bytes() for path in place.glob("task/*/comm"))])

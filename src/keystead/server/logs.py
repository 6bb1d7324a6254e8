"""The server's log: one line for each thing that happened, as JSON or as text, to stderr.

A line holds names that the code gives, figures, templates of routes and classes of errors: never a name of what is
kept, a value, a header or a token. Whatever a client gives is escaped, so that one record stays one line. The log is
for operating the server; what was done to what by whom is in the audit log.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import select
import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from keystead.audit.log import IS_EVENT, LOGGER_NAME

LOG: Final = logging.getLogger("keystead.server")
LEVELS: Final = ("debug", "info", "warning", "error")
FORMATS: Final = ("json", "text")
MOST_WAITING: Final = 4_096
"""Lines that wait for whoever reads the log; what comes while so many do is counted and dropped."""
LONGEST: Final = 400
"""Characters of one text in a line, so that a line is written in one piece."""
FLUSH_SECONDS: Final = 1.0
_FRAMES: Final = 6
_STDERR: Final = 2
_PLAIN: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/_+.@-:#,%{}[]<>")
Field = str | int | float | bool


def say(level: int, event: str, **fields: Field) -> None:
    """Log an event with its fields; those that are "" are left out."""
    if LOG.isEnabledFor(level):
        LOG.log(level, event, extra={"fields": fields})


def defect(error: BaseException | None, request_id: str = "") -> None:
    """Log an exception that should not be: its class and its place, and nothing that it holds."""
    kind = "unknown" if error is None else type(error).__name__
    place = "" if error is None else place_of(error.__traceback__)
    say(logging.ERROR, "defect", error=kind, place=place, request_id=request_id)


def place_of(trace: TracebackType | None) -> str:
    """Where an exception came from: files and lines, the innermost first."""
    found: list[str] = []
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        found.append(f"{file.parent.name}/{file.name}:{trace.tb_lineno}")
        trace = trace.tb_next
    return " < ".join(reversed(found[-_FRAMES:]))


class Lines(logging.Formatter):
    """One record as one line: `as_json`, or as text for people."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        fields = {name: _bounded(value) for name, value in _fields(record).items() if value != ""}
        event = record.msg if hasattr(record, "fields") else "audit" if hasattr(record, IS_EVENT) else "log"
        level = record.levelname.lower()
        if self._as_json:
            told = {"time": at, "level": level, "event": event, "pid": record.process, **fields}
            return json.dumps(told, separators=(",", ":"))
        parts = [at, level.ljust(7), str(event), *(f"{name}={_shown(value)}" for name, value in fields.items())]
        return " ".join(parts)


def _fields(record: logging.LogRecord) -> Mapping[str, Any]:
    fields: Mapping[str, Any] | None = getattr(record, "fields", None)
    if fields is not None:
        return fields
    # Of what others log only the text that stands in their code: its arguments may be anything.
    ours = record.name == LOGGER_NAME or record.name.startswith(f"{LOGGER_NAME}.")
    told: dict[str, Any] = {"logger": record.name, "message": record.getMessage() if ours else str(record.msg)}
    if record.exc_info and record.exc_info[1] is not None:
        told |= {"error": type(record.exc_info[1]).__name__, "place": place_of(record.exc_info[2])}
    return told


def _bounded(value: Any) -> Any:
    return value if not isinstance(value, str) or len(value) <= LONGEST else f"{value[:LONGEST]}..."


def _shown(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str):
        return str(value).lower()
    return value if _PLAIN.issuperset(value) else json.dumps(value)


class Stderr(logging.Handler):
    """Lines to stderr that keep nobody waiting: where nobody takes them in time, they are dropped and counted."""

    def __init__(self, descriptor: int = _STDERR) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._waiting: queue.Queue[logging.LogRecord | None] | None = None
        self._thread: threading.Thread | None = None
        self.dropped = 0
        self._told = 0

    def start(self) -> None:
        """From here on a thread of its own writes; until then whoever logs does, where that does not wait."""
        self._waiting = queue.Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._work, args=(self._waiting,), name="keystead-log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record."""
        if self._waiting is None:
            if _takes(self._descriptor):
                self._write(record)
            else:
                self.dropped += 1
            return
        try:
            self._waiting.put_nowait(record)
        except queue.Full:
            self.dropped += 1

    def stop(self) -> None:
        """Write what waits, for a moment at most; from here on it is as before `start`."""
        thread, waiting, self._thread, self._waiting = self._thread, self._waiting, None, None
        if thread is not None and waiting is not None:
            with suppress(queue.Full):
                waiting.put_nowait(None)
                thread.join(FLUSH_SECONDS)

    def _work(self, waiting: queue.Queue[logging.LogRecord | None]) -> None:
        while (record := waiting.get()) is not None:
            self._write(record)
            if self.dropped > self._told:
                lost, self._told = self.dropped - self._told, self.dropped
                fields = {"levelno": logging.WARNING, "levelname": "WARNING", "msg": "log_lines_dropped"}
                self._write(logging.makeLogRecord({**fields, "fields": {"count": lost}}))

    def _write(self, record: logging.LogRecord) -> None:
        data = memoryview(f"{self.format(record)}\n".encode("ascii", "backslashreplace"))
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:
            self.dropped += 1


def _takes(descriptor: int) -> bool:
    """Whether a line can be written without waiting."""
    asking = select.poll()
    asking.register(descriptor, select.POLLOUT)
    return bool(asking.poll(0))


class _Fitting(logging.Filter):
    """Keeps out the events of the audit log, which name secrets and keys, but for those from the level `events` on."""

    def __init__(self, events: int | None) -> None:
        super().__init__()
        self._events = events

    def filter(self, record: logging.LogRecord) -> bool:
        return not hasattr(record, IS_EVENT) or (self._events is not None and record.levelno >= self._events)


def set_up(form: str, level: str, *, events: int | None) -> Stderr:
    """Send the log of this process and of those that it forks to stderr, and what the packages in use have to warn of.

    `level` is that of the server's own lines. `events` is that of the audit log's events, which name secrets and keys,
    None for none of them.
    """
    handler = Stderr()
    handler.setFormatter(Lines(as_json=form == "json"))
    handler.addFilter(_Fitting(events))
    root, ours = logging.getLogger(), logging.getLogger(LOGGER_NAME)
    for logger in (root, ours):
        logger.handlers.clear()
    root.addHandler(handler)
    ours.propagate = True
    ours.setLevel(logging.WARNING if events is None else min(events, logging.WARNING))
    LOG.setLevel(logging.getLevelNamesMapping()[level.upper()])
    threading.excepthook = _unheard
    return handler


def _unheard(heard: threading.ExceptHookArgs) -> None:
    if not issubclass(heard.exc_type, SystemExit):
        defect(heard.exc_value)

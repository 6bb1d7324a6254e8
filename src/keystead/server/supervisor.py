"""The parent of the workers: it starts them, starts again those that died, and stops them.

The parent opens no store and answers nothing. A worker whose parent was killed starts another one on the same sockets,
so that the server comes back by itself from the loss of any of its processes.
"""

from __future__ import annotations

import logging
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, NoReturn

from keystead.errors import KeysteadError
from keystead.node.settings import environment
from keystead.server.logs import place_of, say

LISTEN_FDS: Final = "KEYSTEAD_LISTEN_FDS"
"""The variable in which a new parent finds the descriptors of the sockets that it takes over."""
_HEARD: Final = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}
_LONGEST_PAUSE: Final = 30.0
_FIRST_PAUSE: Final = 0.1
_HEALTHY_SECONDS: Final = 1.0
_GRACE_SECONDS: Final = 5.0


class Supervisor:
    """Keeps `count` workers alive. `work` is what one does: it is given its number, from 0, which a worker that is
    started in its place has too; what to call once it answers, and what to ask if it is orphaned: whether it is the one
    that has to see to another parent.

    `drain_seconds` is how long workers have for what is under way at the end. `ready` is called once all answer,
    `restarted` for each worker that is started in the place of another.
    """

    def __init__(
        self,
        count: int,
        work: Callable[[int, Callable[[], None], Callable[[], bool]], None],
        *,
        drain_seconds: float,
        ready: Callable[[], None],
        restarted: Callable[[], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._count = count
        self._work = work
        self._drain_seconds = drain_seconds
        self._ready = ready
        self._restarted = restarted
        self._monotonic = monotonic
        self._started: dict[int, float] = {}
        self._numbers: dict[int, int] = {}
        self._restarts = 0
        self._answering: set[int] = set()
        self._told = False
        self._pause = _FIRST_PAUSE
        self._due: list[float] = []
        self._stopping = False
        self._since = 0.0
        self._killed = 0
        self._failed = False
        self._deadline = 0.0
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        # One byte that every worker could read, and only one will.
        self._heir, heirs = os.pipe()
        os.write(heirs, b"1")
        os.close(heirs)
        os.set_blocking(self._heir, False)

    def run(self) -> int:
        """Until a signal says stop, and every worker has ended.

        0, or 1 where workers ended before they ever answered, or one could not write the last records of its log.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
        # What a crash leaves behind must not hold keys, nor, of this process, the credential that it opens them by.
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for _ in range(self._count):
            self._start()
        while self._started or not self._stopping:
            heard = signal.sigtimedwait(_HEARD, 0.2)
            if heard is not None:
                self._hear(heard.si_signo)
            self._note_ready()
            now = self._monotonic()
            if self._stopping and now >= self._deadline:
                self._killed = max(self._killed, len(self._started))
                self._tell(signal.SIGKILL)
            elif not self._stopping:
                due, self._due = [at for at in self._due if at <= now], [at for at in self._due if at > now]
                for _ in due:
                    self._start(again=True)
                if not self._told and self._pause > 1.0:
                    self._stop("workers do not start")
        seconds = round(self._monotonic() - self._since, 3)
        say(logging.WARNING if self._killed else logging.INFO, "drain_ended", seconds=seconds, killed=self._killed)
        return 0 if self._told and not self._failed else 1

    def _hear(self, number: int) -> None:
        if number == signal.SIGCHLD:
            self._bury()
        elif number == signal.SIGHUP:
            self._tell(signal.SIGHUP)
        else:
            self._stop(signal.Signals(number).name)

    def _stop(self, why: str) -> None:
        if not self._stopping:
            say(logging.INFO, "drain_begun", why=why, seconds=self._drain_seconds)
            self._stopping = True
            self._since = self._monotonic()
            self._deadline = self._since + self._drain_seconds + _GRACE_SECONDS
            self._tell(signal.SIGTERM)

    def _tell(self, number: int) -> None:
        for pid in list(self._started):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _bury(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            since = self._started.pop(pid, None)
            self._numbers.pop(pid, None)
            self._answering.discard(pid)
            if since is not None:
                code = os.waitstatus_to_exitcode(status)
                self._failed = self._failed or (self._stopping and code > 0)
                self._say_ended(pid, code)
            if since is not None and not self._stopping:
                now = self._monotonic()
                self._pause = _FIRST_PAUSE if now - since > _HEALTHY_SECONDS else min(_LONGEST_PAUSE, self._pause * 2)
                self._due.append(now + (0.0 if now - since > _HEALTHY_SECONDS else self._pause))

    def _say_ended(self, pid: int, code: int) -> None:
        level = logging.INFO if code == 0 and self._stopping else logging.WARNING
        say(level, "worker_ended", worker=pid, **({"signal": signal_name(-code)} if code < 0 else {"code": code}))

    def _note_ready(self) -> None:
        with suppress(BlockingIOError):
            while data := os.read(self._reader, 4):
                self._answering.add(int.from_bytes(data, "little"))
        if not self._told and len(self._answering & set(self._started)) >= self._count:
            self._told = True
            self._ready()

    def _answers(self) -> None:
        """A worker answers now: its parent is told."""
        os.write(self._writer, os.getpid().to_bytes(4, "little"))

    def _is_heir(self) -> bool:
        """Whether this worker is the first to ask."""
        return os.read(self._heir, 1) == b"1"

    def _start(self, *, again: bool = False) -> None:
        number = min(set(range(self._count)) - set(self._numbers.values()))
        pid = os.fork()
        if pid:
            self._started[pid], self._numbers[pid] = self._monotonic(), number
            self._restarts += again
            if again:
                self._restarted()
                say(logging.WARNING, "worker_restarted", worker=pid, restarts=self._restarts)
            else:
                say(logging.INFO, "worker_started", worker=pid)
        else:
            self._be_worker(number)

    def _be_worker(self, number: int) -> NoReturn:
        code = 1
        try:
            os.close(self._reader)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEARD)
            self._work(number, self._answers, self._is_heir)
            code = 0
        except Exception as error:
            told = _told(error)
            say(
                logging.ERROR,
                "worker_failed",
                error=type(error).__name__,
                message=told,
                place=place_of(error.__traceback__),
            )
        finally:
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    stream.flush()
            os._exit(code)


def signal_name(number: int) -> str:
    """The name of a signal, its number where it has none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def _told(error: Exception) -> str:
    """What an error says, where it is one of ours: others may hold anything."""
    return str(error) if isinstance(error, KeysteadError) else "a defect; tell whoever maintains this"


def take_over(arguments: Sequence[str], sockets: Sequence[socket.socket]) -> None:
    """Start another parent for the same server, on the same sockets; it lives on when this process ends."""
    numbers = [listener.fileno() for listener in sockets]
    variables = {**environment(), LISTEN_FDS: ",".join(map(str, numbers))}
    subprocess.Popen(  # noqa: S603 - this program again, with the arguments that it was given
        [sys.executable, "-m", "keystead", *arguments],
        pass_fds=numbers,
        env=variables,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )

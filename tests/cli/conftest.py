"""The command as people meet it: a process of its own, a clean environment, and where it matters a real terminal."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

CANARY = "canary-9f41c7-value"
PATIENCE = 60.0


class Done(NamedTuple):
    """How a call ended, and what it wrote where."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def document(self) -> dict[str, Any]:
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


class Shown(NamedTuple):
    """What a terminal showed, and how the call on it ended."""

    code: int
    screen: str


def documents(text: str) -> list[dict[str, Any]]:
    """The JSON documents that stand one behind the other in a text."""
    decoder, found = json.JSONDecoder(), []
    while text := text.strip():
        document, end = decoder.raw_decode(text)
        found.append(document)
        text = text[end:]
    return found


def environment(**extra: str) -> dict[str, str]:
    """This process's environment without what would decide for the command."""
    kept = {
        name: text
        for name, text in os.environ.items()
        if not name.startswith(("KMS_", "KEYSTEAD_", "PYTHONDONTWRITE"))
        and name not in {"NO_COLOR", "LOG_LEVEL", "COLUMNS", "LINES"}
    }
    # compiled once for all calls: dozens of processes start here
    kept["PYTHONPYCACHEPREFIX"] = str(Path(tempfile.gettempdir()) / f"keystead-tests-pyc-{os.getuid()}")
    kept["PYTHONUNBUFFERED"] = ""
    return kept | extra


def heed_signals() -> None:
    """What a command does that somebody starts at a terminal; a suite in the background ignores Ctrl-C and hangups."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


def on_its_terminal() -> None:
    """The same, with the terminal at stdin as the process's own."""
    heed_signals()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Preloaded:
    """The process from which calls are forked; see preloaded.py."""

    def __init__(self, folder: Path, tracer: Sequence[str] = ()) -> None:
        self._files = [folder / name for name in ("in", "out", "err")]
        self._process = subprocess.Popen(
            [*tracer, sys.executable, Path(__file__).with_name("preloaded.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(),
            text=True,
        )

    def call(self, argv: Sequence[str], data: bytes, folder: Path, env: Mapping[str, str], umask: int) -> Done:
        given, out, err = self._files
        given.write_bytes(data)
        out.write_bytes(b"")
        err.write_bytes(b"")
        request = {
            "argv": argv,
            "folder": str(folder),
            "environment": environment(**env),
            "umask": umask,
            "files": [str(path) for path in self._files],
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)
        code = int(self._process.stdout.readline())
        return Done(code, out.read_bytes(), err.read_text())

    def close(self) -> None:
        self._process.communicate(timeout=PATIENCE)


class Commands:
    """Calls of the command in one folder."""

    def __init__(self, folder: Path, preloaded: Preloaded) -> None:
        self.folder = folder
        self.preloaded = preloaded

    def elsewhere(self, folder: Path) -> Commands:
        """The command in another folder."""
        folder.mkdir(exist_ok=True)
        return Commands(folder, self.preloaded)

    @property
    def store(self) -> Path:
        return self.folder / ".keystead"

    def argv(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "keystead", *words]

    def __call__(
        self,
        *words: str,
        input: str | bytes = b"",  # noqa: A002 - as subprocess names it
        env: Mapping[str, str] | None = None,
        umask: int = -1,
        cwd: Path | None = None,
    ) -> Done:
        data = input.encode() if isinstance(input, str) else input
        done = self.preloaded.call(words, data, cwd or self.folder, env or {}, umask)
        assert "Traceback" not in done.err
        return done

    def fresh(self, *words: str, input: bytes = b"", env: Mapping[str, str] | None = None) -> Done:  # noqa: A002
        """The same in an interpreter of its own, from its first line on."""
        done = subprocess.run(
            self.argv(*words),
            input=input,
            capture_output=True,
            cwd=self.folder,
            env=environment(**(env or {})),
            timeout=PATIENCE,
            check=False,
        )
        assert b"Traceback" not in done.stderr
        return Done(done.returncode, done.stdout, done.stderr.decode())

    def good(self, *words: str, **how: Any) -> Done:
        done = self(*words, **how)
        assert done.code == 0, f"{words}: {done.code}: {done.err}"
        return done

    def start(self, *words: str, env: Mapping[str, str] | None = None, **how: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.argv(*words),
            cwd=self.folder,
            env=environment(**(env or {})),
            preexec_fn=heed_signals,  # noqa: PLW1509 - before the command is there, in a process without threads
            **how,
        )

    def terminal(
        self,
        *words: str,
        answers: Sequence[tuple[str, str | bytes]] = (),
        env: Mapping[str, str] | None = None,
        width: int = 100,
        stdout: int | None = None,
    ) -> Shown:
        """A call on a terminal of its own; each answer is typed once its question stands on the screen."""
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
        process = subprocess.Popen(
            self.argv(*words),
            stdin=follower,
            stdout=follower if stdout is None else stdout,
            stderr=follower,
            cwd=self.folder,
            env=environment(**{"TERM": "xterm", **(env or {})}),
            start_new_session=True,
            preexec_fn=on_its_terminal,  # noqa: PLW1509 - the same
        )
        os.close(follower)
        waiting, screen, deadline = list(answers), "", time.monotonic() + PATIENCE
        seen = 0
        while time.monotonic() < deadline:
            ready, _, _ = select.select([leader], [], [], 0.2)
            if ready:
                try:
                    part = os.read(leader, 65_536)
                except OSError as error:
                    if error.errno != errno.EIO:
                        raise
                    break
                if not part:
                    break
                screen += part.decode(errors="replace")
            if waiting and waiting[0][0] in screen[seen:]:
                seen = len(screen)
                answer = waiting.pop(0)[1]
                os.write(leader, (answer if isinstance(answer, bytes) else answer.encode()) + b"\n")
        os.close(leader)
        try:
            code = process.wait(timeout=PATIENCE / 4)
        finally:
            process.kill()
        assert "Traceback" not in screen
        assert waiting == [], f"never asked: {waiting[0][0]!r}; the screen was {screen!r}"
        return Shown(code, screen.replace("\r\n", "\n"))


@pytest.fixture(scope="session")
def preloaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Preloaded]:
    process = Preloaded(tmp_path_factory.mktemp("calls"))
    yield process
    process.close()


@pytest.fixture
def bare(tmp_path: Path, preloaded: Preloaded) -> Commands:
    """The command in a folder without a store."""
    folder = tmp_path / "app"
    folder.mkdir()
    return Commands(folder, preloaded)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, preloaded: Preloaded) -> Path:
    """A store as `init` makes it, to be copied."""
    commands = Commands(tmp_path_factory.mktemp("template"), preloaded)
    commands.good("init", "--no-recovery-kit")
    return commands.store


@pytest.fixture
def ks(bare: Commands, template: Path) -> Commands:
    """The command in a folder with a new store, its key beside it."""
    shutil.copytree(template, bare.store)
    return bare

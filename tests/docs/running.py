"""Running what a page shows, as somebody who follows it from top to bottom in one folder would."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import suppress
from fcntl import ioctl
from pathlib import Path

SECONDS = 60
HOME, FOLDER = "/home/ada", "/srv/shop"
_LIKE = (
    # What differs from run to run, made the same in what a page shows and in what comes out.
    (re.compile(r"\b(slot|ses|op|acc)_[0-9a-f]{8,}"), r"\1_ID"),
    (re.compile(r"\bdefault-\d{13}(-\d+)?"), "default-TIME"),
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\dZ"), "TIME"),
    (re.compile(r"\bks2_[A-Za-z0-9_-]{8,}"), "ks2_TEXT"),
    (re.compile(r"\b[0-9a-f]{8,}\b"), "HEX"),
    (re.compile(r"\b[A-Za-z0-9+/]{43}="), "KEY"),
    (re.compile(r"\blocal:\w+"), "local:USER"),
    (re.compile(r"[ \t]+"), " "),
    # A slow machine makes a checkpoint more.
    (re.compile(r"^(\d{4} (?:closed|open since TIME)) \d+ \d+ HEX$", re.MULTILINE), r"\1 N N HEX"),
    (re.compile(r"\bverified \d+ records"), "verified N records"),
    (re.compile(r" +$", re.MULTILINE), ""),
)


def alike(text: str) -> str:
    """A text without what differs from run to run."""
    for pattern, replacement in _LIKE:
        text = pattern.sub(replacement, text)
    return text.strip()


def matches(shown: str, came: str) -> bool:
    """Whether what came out is what is shown; `...` stands for any text, over lines too."""
    pattern = ".*?".join(re.escape(part) for part in alike(shown).split("..."))
    return re.fullmatch(pattern, alike(came), re.DOTALL) is not None


def commands(text: str) -> list[tuple[str, str]]:
    """The commands of a console block (`$ `, continued by `> `), each with the output that is shown for it."""
    found: list[tuple[str, str]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], ""))
        elif line.startswith("> ") and not found[-1][1]:
            found[-1] = (f"{found[-1][0]}\n{line[2:]}", "")
        else:
            found[-1] = (found[-1][0], f"{found[-1][1]}{line}\n")
    return found


def clean_environment(home: Path) -> dict[str, str]:
    """What a new user's shell has: the commands of this virtual environment, and no setting of keystead's."""
    paths = [str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"]
    kept = {name: os.environ[name] for name in ("PYTHONDONTWRITEBYTECODE", "TMPDIR") if name in os.environ}
    return {**kept, "PATH": ":".join(paths), "HOME": str(home), "TERM": "dumb", "LANG": "C.UTF-8"}


class Shell:
    """One shell on a terminal of 100 columns, so that commands say what they say to a person; stdin is empty."""

    def __init__(self, folder: Path, home: Path) -> None:
        self._places = ((str(home), HOME), (str(folder), FOLDER))
        self._terminal, inside = pty.openpty()
        modes = termios.tcgetattr(inside)
        modes[1] &= ~termios.OPOST
        termios.tcsetattr(inside, termios.TCSANOW, modes)
        ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        self._process = subprocess.Popen(
            [shutil.which("bash") or "/bin/sh"],
            stdin=subprocess.PIPE, stdout=inside, stderr=inside, cwd=folder, env=clean_environment(home),
            start_new_session=True,
        )  # fmt: skip
        os.close(inside)

    def run(self, command: str) -> tuple[str, int]:
        """What a command printed, with a reader's folders for this run's, and its exit code."""
        for place, told in self._places:
            command = command.replace(told, place)
        line = f"{{ {command}\n}} </dev/null; printf '\\n:end:%s:\\n' \"$?\"\n"
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode())
        self._process.stdin.flush()
        printed, end = b"", time.monotonic() + SECONDS
        while (found := re.search(rb"\n:end:(\d+):\n\Z", printed)) is None:
            ready, _, _ = select.select([self._terminal], [], [], max(0, end - time.monotonic()))
            if not ready:
                raise AssertionError(f"no end after {SECONDS} s: {command}\n{printed.decode(errors='replace')}")
            printed += os.read(self._terminal, 65_536)
        text = printed[: found.start()].decode()
        for place, told in self._places:
            text = text.replace(place, told)
        return text, int(found[1])

    def close(self) -> None:
        """End the shell."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        # What a page left running, such as a server, ends with its reader.
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait(SECONDS)
        os.close(self._terminal)

"""`get --clip`: a value into the clipboard, and out of it a while later. Run as a program, it is what waits and clears.

The value goes to the clipboard's program on its stdin. What waits holds no value, only a salted digest of it.
"""

from __future__ import annotations

import hmac
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from time import sleep
from typing import IO, Final, NamedTuple, cast

from keystead.errors import FileUnavailable, MissingExtra

SECONDS: Final = 30
_PATIENCE: Final = 10
_READY: Final = b"ready"
_SALT: Final = 16


class Tool(NamedTuple):
    """A program that reaches the clipboard: where it can be used, and how it takes, gives and forgets."""

    variable: str
    take: tuple[str, ...]
    give: tuple[str, ...]
    forget: tuple[str, ...]


TOOLS: Final = (
    Tool("WAYLAND_DISPLAY", ("wl-copy",), ("wl-paste", "--no-newline"), ("wl-copy", "--clear")),
    Tool("DISPLAY", ("xclip", "-selection", "clipboard"), ("xclip", "-selection", "clipboard", "-o"), ()),
    Tool("DISPLAY", ("xsel", "--clipboard", "--input"), ("xsel", "--clipboard", "--output"), ()),
    Tool("", ("pbcopy",), ("pbpaste",), ()),
)


def find_tool() -> Tool:
    """The program that reaches the clipboard here.

    Raises:
        MissingExtra: there is none, or no clipboard.
    """
    from keystead.node.settings import environment

    variables = environment()
    usable = [tool for tool in TOOLS if variables.get(tool.variable) or (not tool.variable and _is_mac())]
    for tool in usable:
        if all(shutil.which(words[0]) for words in (tool.take, tool.give)):
            return tool
    if usable:
        names = " or ".join({"wl-copy": "wl-clipboard"}.get(tool.take[0], tool.take[0]) for tool in usable)
        raise MissingExtra("no program is installed that reaches the clipboard", hint=f"install {names}")
    raise MissingExtra(
        "there is no clipboard here",
        why="neither WAYLAND_DISPLAY nor DISPLAY is set",
        hint="give the value to a program: keystead get NAME | CMD",
    )


def _is_mac() -> bool:
    return sys.platform == "darwin"


def copy(tool: Tool, value: str, environment: dict[str, str]) -> None:
    """Put a value into the clipboard; a process of its own takes it out after SECONDS, if it is still there.

    Raises:
        FileUnavailable: the clipboard did not take it, or nothing would take it out again.
    """
    from keystead.crypto.material import random_bytes

    data = value.encode()
    if _call(tool.take, data) is None:
        raise FileUnavailable(f"{tool.take[0]} could not copy", hint=f"try it alone: echo x | {' '.join(tool.take)}")
    salt = random_bytes(_SALT)
    command = [sys.executable, "-P", "-m", "keystead.cli.clip", tool.take[0], str(SECONDS)]
    try:
        waiting = subprocess.Popen(  # noqa: S603 - this interpreter
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=environment,
            start_new_session=True,
        )
        with cast(IO[bytes], waiting.stdin) as given, cast(IO[bytes], waiting.stdout) as answer:
            given.write(salt + _digest(salt, data))
            given.close()
            ready = answer.read() == _READY
    except OSError:
        ready = False
    if not ready:
        _forget(tool)
        raise FileUnavailable("the value was taken out of the clipboard at once: nothing would have cleared it later")


def clear_later(name: str, seconds: float, proof: bytes) -> None:
    """Wait, and empty the clipboard if what it holds is what the salted digest was made of."""
    tool = next(tool for tool in TOOLS if tool.take[0] == name)
    salt, digest = proof[:_SALT], proof[_SALT:]
    sleep(seconds)
    held = _call(tool.give, answers=True)
    if held is not None and hmac.compare_digest(_digest(salt, held), digest):
        _forget(tool)


def _forget(tool: Tool) -> None:
    _call(tool.forget or tool.take)


def _digest(salt: bytes, data: bytes) -> bytes:
    return hmac.digest(salt, data, "sha256")


def _call(words: Sequence[str], data: bytes = b"", *, answers: bool = False) -> bytes | None:
    """What a program of the table gives back for this input; None where it failed."""
    # One that takes a value stays behind to serve it, with the stdout that it was given: a pipe would never end.
    try:
        done = subprocess.run(  # noqa: S603 - from the table
            words,
            input=data,
            stdout=subprocess.PIPE if answers else subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode else done.stdout or b""


def main() -> None:
    """Say that this process waits, and do."""
    proof = sys.stdin.buffer.read()
    os.write(1, _READY)
    os.close(1)
    clear_later(sys.argv[1], float(sys.argv[2]), proof)


if __name__ == "__main__":
    main()

"""What a person types in: values, passphrases, confirmations. A secret is never taken from the command line."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final

import click

from keystead.cli import output
from keystead.errors import FileUnavailable, UsageError

VALUE_LIMIT: Final = 64 * 1024 + 2
"""Bytes that are read of a value: enough to see that it is too long."""
_PASSPHRASE_LIMIT: Final = 8_192
STDIN: Final = "-"


def stdin() -> BinaryIO:
    """Standard input as bytes.

    Raises:
        UsageError: it is closed.
    """
    if sys.stdin is None:
        raise UsageError("stdin is closed", hint="name a file, or give something on stdin")
    return sys.stdin.buffer


def value(what: str, *, from_file: str | None, keep_newline: bool, as_bytes: bool) -> str | bytes:
    """A secret's value: from a file, from stdin, or asked for twice on a terminal. One newline at the end is dropped.

    Raises:
        UsageError: it is too long, or it is not text and `as_bytes` was not given.
        FileUnavailable: the file cannot be read.
    """
    if from_file not in (None, STDIN):
        data = read_file(Path(str(from_file)), VALUE_LIMIT)
    elif from_file is None and output.is_terminal(sys.stdin):
        text = hidden(what, confirm=True)
        return text.encode() if as_bytes else text
    else:
        data = stdin().read(VALUE_LIMIT)
    if len(data) >= VALUE_LIMIT:
        raise UsageError(
            f"a secret value is at most {VALUE_LIMIT - 2} bytes, and this one has more",
            hint="encrypt a file: keystead encrypt --in FILE --out FILE",
        )
    if as_bytes:
        return data
    if not keep_newline:
        data = data.removesuffix(b"\n")
    try:
        return data.decode()
    except UnicodeDecodeError:
        pass  # raised below, outside: the error of the codec holds the value
    raise UsageError("the value is not UTF-8 text", hint="give --bytes to store it as bytes")


def hidden(what: str, *, confirm: bool) -> str:
    """What is typed at a terminal, unseen; with `confirm` twice.

    Raises:
        UsageError: it is not text in the terminal's encoding.
    """
    try:
        return str(click.prompt(what, hide_input=True, confirmation_prompt=confirm, err=True))
    except UnicodeDecodeError:
        pass  # raised below, outside: the error of the codec holds what was typed
    raise UsageError(
        "what was typed is not text in the encoding of this terminal",
        hint="check LANG and LC_ALL, or give it in a file or on stdin",
    )


def read_file(path: Path, limit: int) -> bytes:
    """At most `limit` bytes of a file. Raises FileUnavailable."""
    try:
        with path.open("rb") as file:
            return file.read(limit)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a path"
        raise FileUnavailable(f"cannot read {path.absolute()}", why=why, hint="check the path") from None


def passphrase_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--passphrase-file and --passphrase-fd."""
    file = click.option(
        "--passphrase-file", metavar="FILE", help="Take the passphrase from this private file (-: stdin)."
    )
    descriptor = click.option(
        "--passphrase-fd", type=click.IntRange(0, 999_999), metavar="N", help="Take it from this open descriptor."
    )
    return file(descriptor(command))


def passphrase(what: str, *, file: str | None, descriptor: int | None = None, confirm: bool) -> str:
    """A passphrase from a file that nobody else may read, from a descriptor, or asked for on a terminal.

    Raises:
        UsageError: there is no terminal, and nothing else was given.
        FileUnavailable, MasterKeyInvalid: it cannot be read, or others can read it.
    """
    if file is not None and descriptor is not None:
        raise UsageError("--passphrase-file and --passphrase-fd contradict each other", hint="give one of them")
    if file == STDIN:
        stdin()
    if file == STDIN or descriptor is not None:
        return _passphrase_text(_read_all(0 if descriptor is None else descriptor))
    if file is not None:
        from keystead.seal.private_file import read_private

        data = read_private(Path(file), limit=_PASSPHRASE_LIMIT)
        if data is None:
            raise FileUnavailable(f"there is no file {Path(file).absolute()}", hint="check the path")
        return _passphrase_text(data)
    if not output.is_terminal(sys.stdin):
        raise UsageError(
            f"there is no terminal to ask for the passphrase of {what}",
            hint="give --passphrase-file FILE or --passphrase-fd N",
        )
    return hidden(f"Passphrase of {what}", confirm=confirm)


def _read_all(descriptor: int) -> bytes:
    data = b""
    try:
        while len(data) <= _PASSPHRASE_LIMIT and (part := os.read(descriptor, _PASSPHRASE_LIMIT)):
            data += part
    except OSError as error:
        raise FileUnavailable(f"descriptor {descriptor} cannot be read", why=error.strerror or "") from None
    return data


def _passphrase_text(data: bytes) -> str:
    if len(data) > _PASSPHRASE_LIMIT:
        raise UsageError("the passphrase is too long", hint="check that the right file was given")
    return data.removesuffix(b"\n").removesuffix(b"\r").decode("utf-8", "surrogateescape")


def passphrase_prompt() -> Callable[[], str] | None:
    """What asks for the store's passphrase, once for all who need it, where somebody can answer; else None."""
    if not output.is_terminal(sys.stdin):
        return None
    answers: list[str] = []

    def ask() -> str:
        if not answers:
            answers.append(hidden("Passphrase of the store", confirm=False))
        return answers[0]

    return ask


def confirm(what: str, typed: str, *, yes: bool) -> None:
    """Return once `typed` was typed back, or if `yes` was given.

    Raises:
        UsageError: it was not, or nobody can be asked.
    """
    if yes:
        return
    if not output.is_terminal(sys.stdin):
        raise UsageError(f"{what}, and nobody is there to confirm it", hint="give --yes if that is meant")
    output.talk(f"{what}.")
    answer = click.prompt(f"Type {typed} to go on", err=True, default="", show_default=False)
    if answer != typed:
        raise UsageError("that was not typed; nothing was changed", hint="run the command again")


def pairs(texts: tuple[str, ...], option: str, form: str = "KEY=VALUE") -> dict[str, str]:
    """`KEY=VALUE` arguments as a mapping.

    Raises:
        UsageError: one without `=`, or a key twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        key, separator, given = text.partition("=")
        if not separator or not key:
            raise UsageError(f"{option} is given as {form}")
        if key in found:
            raise UsageError(f"{option} was given twice for {key}")
        found[key] = given
    return found

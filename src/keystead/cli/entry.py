"""What a person types in: values, passphrases, confirmations. A secret is never taken from the command line."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from keystead.errors import FileUnavailable, UsageError
from keystead.node.settings import environment
from keystead.seal.providers.passphrase import Passphrase
from keystead.secrets.model import MAX_VALUE_BYTES

LIMIT = MAX_VALUE_BYTES + 2


def value(name: str, *, from_file: str | None, keep_newline: bool, as_bytes: bool) -> str | bytes:
    """A secret's value: from a file, from stdin, or asked for twice on a terminal. One newline at the end is dropped.

    Raises:
        UsageError: nothing came, or it is not text and `as_bytes` was not given.
        FileUnavailable: the file cannot be read.
    """
    if from_file not in (None, "-"):
        try:
            with Path(str(from_file)).open("rb") as file:
                data = file.read(LIMIT)
        except OSError as error:
            raise FileUnavailable(f"cannot read {Path(str(from_file)).absolute()}", why=error.strerror or "") from None
    elif sys.stdin.isatty() and from_file is None:
        return str(click.prompt(f"Value of {name}", hide_input=True, confirmation_prompt=True, err=True))
    else:
        data = sys.stdin.buffer.read(LIMIT)
    if not keep_newline and not as_bytes:
        data = data.removesuffix(b"\n").removesuffix(b"\r") if data.endswith(b"\n") else data
    if as_bytes:
        return data
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise UsageError("the value is not UTF-8 text", hint="give --bytes to store it as bytes") from None


def passphrase(what: str, *, file: Path | None, confirm: bool) -> str:
    """A passphrase from a file, or asked for on a terminal.

    Raises:
        UsageError: there is no terminal and no file. FileUnavailable: the file cannot be read.
    """
    if file is not None:
        try:
            text = file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise FileUnavailable(f"cannot read {file.absolute()}", why=type(error).__name__) from None
        return text.removesuffix("\n")
    if not sys.stdin.isatty():
        raise UsageError(f"there is no terminal to ask for {what}", hint="give --passphrase-file FILE")
    return str(click.prompt(f"Passphrase of {what}", hide_input=True, confirmation_prompt=confirm, err=True))


def prompt_passphrase() -> str:
    """Asks for the passphrase that opens the store."""
    return str(click.prompt("Passphrase of the store", hide_input=True, err=True))


def prompt_or_none() -> object:
    """What asks for the store's passphrase, where somebody can answer."""
    return prompt_passphrase if sys.stdin.isatty() and sys.stderr.isatty() else None


def confirm(what: str, typed: str, *, yes: bool) -> None:
    """Return once `typed` was typed back, or `yes` was given.

    Raises:
        UsageError: it was not, or nobody can be asked.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{what}: nobody can be asked", hint="give --yes if you mean it")
    answer = click.prompt(f"{what}\nType {typed} to go on", err=True, default="", show_default=False)
    if answer != typed:
        raise UsageError("that is not what was asked for; nothing was changed")


def new_passphrase(what: str, *, file: Path | None) -> Passphrase:
    """A passphrase for a new slot."""
    return Passphrase(passphrase(what, file=file, confirm=True))


def debug() -> bool:
    """Whether a traceback was asked for."""
    return environment().get("KEYSTEAD_DEBUG") == "1"

"""Encrypting and decrypting data: from stdin to stdout, or file to file."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from keystead.cli.main import Context, pass_context
from keystead.errors import EnvelopeError, UsageError

_LIMIT = 64 * 1024 * 1024
_AAD = click.option(
    "--aad", multiple=True, metavar="KEY=VALUE", help="Bind the ciphertext to this; may be given again."
)
_AAD_TEXT = click.option("--aad-text", help="Bind the ciphertext to this text.")
_IN = click.option("--in", "source", type=click.Path(path_type=Path, dir_okay=False), help="A file of any size.")
_OUT = click.option("--out", "target", type=click.Path(path_type=Path, dir_okay=False), help="Goes with --in.")


def _bound(pairs: tuple[str, ...], text: str | None) -> dict[str, str] | str | None:
    if pairs and text is not None:
        raise UsageError("--aad and --aad-text contradict each other", hint="give one of them")
    if not pairs:
        return text
    bound = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator:
            raise UsageError("--aad is given as key=value", hint="use --aad-text for one text")
        bound[key] = value
    return bound


def _files(source: Path | None, target: Path | None) -> tuple[Path, Path] | None:
    if (source is None) != (target is None):
        raise UsageError("--in and --out go together")
    return None if source is None or target is None else (source, target)


def _stdin() -> bytes:
    data = sys.stdin.buffer.read(_LIMIT + 1)
    if len(data) > _LIMIT:
        raise UsageError(f"more than {_LIMIT} bytes on stdin", hint="give --in FILE --out FILE for files of any size")
    return data


@click.command()
@_AAD
@_AAD_TEXT
@_IN
@_OUT
@click.option(
    "--format", "form", type=click.Choice(["v2-text", "v2", "v1"]), help="v2-text (default), v2 (binary), v1 (JSON)."
)
@pass_context
def encrypt(
    context: Context,
    aad: tuple[str, ...],
    aad_text: str | None,
    source: Path | None,
    target: Path | None,
    form: str | None,
) -> None:
    """Encrypt stdin to stdout, or a file of any size with --in and --out."""
    bound, files = _bound(aad, aad_text), _files(source, target)
    if files is not None:
        if form is not None:
            raise UsageError("--format is for stdin; files are written as streams")
        with context.connect() as store:
            size = store.kms.encrypt_stream(files[0], files[1], aad=bound)
        context.say(f"encrypted {size} bytes to {files[1].absolute()}")
        return
    data = _stdin()
    with context.connect() as store:
        if form == "v1":
            text = json.dumps(store.kms.encrypt_data(data, aad=bound))
        else:
            blob = store.kms.encrypt(data, aad=bound)
            if form == "v2":
                sys.stdout.buffer.write(blob)
                return
            from keystead.crypto.compact import to_text

            text = to_text(blob)
    click.echo(text)


@click.command()
@_AAD
@_AAD_TEXT
@_IN
@_OUT
@pass_context
def decrypt(
    context: Context, aad: tuple[str, ...], aad_text: str | None, source: Path | None, target: Path | None
) -> None:
    """Decrypt stdin to stdout (any of encrypt's formats), or a file with --in and --out."""
    from keystead.crypto.compact import TEXT_PREFIX, from_text

    bound, files = _bound(aad, aad_text), _files(source, target)
    if files is not None:
        with context.connect() as store:
            size = store.kms.decrypt_stream(files[0], files[1], aad=bound)
        context.say(f"decrypted {size} bytes to {files[1].absolute()}")
        return
    data = _stdin()
    with context.connect() as store:
        head = data.lstrip()[:8]
        if head.startswith(b"{"):
            plaintext = store.kms.decrypt_data(data.strip(), aad=bound, encoding=None)
        elif head.startswith(TEXT_PREFIX.encode()):
            try:
                text = data.strip().decode("ascii")
            except UnicodeDecodeError:
                raise EnvelopeError("text", "is not ASCII") from None
            plaintext = store.kms.decrypt(from_text(text), aad=bound)
        else:
            plaintext = store.kms.decrypt(data, aad=bound)
    stdout = sys.stdout.buffer
    stdout.write(plaintext)
    stdout.flush()

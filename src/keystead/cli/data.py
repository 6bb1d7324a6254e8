"""Encrypting and decrypting data: from stdin to stdout, or file to file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

import click

from keystead.cli import entry, output
from keystead.cli.context import Context, global_options, pass_context
from keystead.errors import UsageError

if TYPE_CHECKING:
    from keystead.services.kms import KMSService

_LIMIT: Final = 64 * 1024 * 1024
_FILE = click.Path(path_type=Path)
STREAM: Final = b"ks\x81\x01"
Bound = dict[str, str] | str | None


def _data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    options: tuple[Callable[..., Any], ...] = (
        click.option("--out", "target", type=_FILE, metavar="FILE", help="Write to this file, whole or not at all."),
        click.option("--in", "source", type=_FILE, metavar="FILE", help="Read this file, of any size."),
        click.option("--aad-text", metavar="TEXT", help="Bind the ciphertext to this text."),
        click.option("--aad", multiple=True, metavar="KEY=VALUE", help="Bind the ciphertext to this; again for more."),
    )
    for option in options:
        command = option(command)
    return command


def _bound(pairs: tuple[str, ...], text: str | None) -> Bound:
    if pairs and text is not None:
        raise UsageError("--aad and --aad-text contradict each other", hint="give one of them")
    return entry.pairs(pairs, "--aad") if pairs else text


@click.command()
@_data_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["v2-text", "v2", "v1", "stream"]),
    help="v2-text is compact text (the default), v2 its bytes, v1 an envelope as JSON, stream for any size (the "
    "default with --in or --out).",
)
@global_options
@pass_context
def encrypt(
    context: Context,
    aad: tuple[str, ...],
    aad_text: str | None,
    source: Path | None,
    target: Path | None,
    form: str | None,
) -> None:
    """Encrypt stdin to stdout, or a file to a file.

    The AAD is not in the ciphertext of v2 and of streams: decrypt needs the same one.
    """
    bound = _bound(aad, aad_text)
    of_files = source is not None or target is not None
    if form == "stream" or (form is None and of_files):
        given = entry.stdin() if source is None else source
        with context.kms() as kms:
            size = kms.encrypt_stream(given, output.binary() if target is None else target, aad=bound)
        _tell(context, "encrypted", size, target)
        return
    if of_files:
        raise UsageError(
            f"files are encrypted as streams, not as {form}", hint=f"keystead encrypt --format {form} <FILE"
        )
    data = _all(entry.stdin())
    with context.kms() as kms:
        ciphertext = _encrypted(kms, data, bound, form or "v2-text")
    output.write_bytes(ciphertext)


def _encrypted(kms: KMSService, data: bytes, bound: Bound, form: str) -> bytes:
    from keystead.crypto.compact import to_text

    if form == "v1":
        return json.dumps(kms.encrypt_data(data, aad=bound)).encode() + b"\n"
    blob = kms.encrypt(data, aad=bound)
    return blob if form == "v2" else to_text(blob).encode() + b"\n"


@click.command()
@_data_options
@global_options
@pass_context
def decrypt(
    context: Context, aad: tuple[str, ...], aad_text: str | None, source: Path | None, target: Path | None
) -> None:
    """Decrypt stdin to stdout, or a file to a file.

    It takes whatever `encrypt` writes: the first bytes tell the format. Of a stream on stdin only verified parts are
    written; where its end is missing or damaged, the exit code is 7.
    """
    bound = _bound(aad, aad_text)
    start = entry.read_file(source, len(STREAM)) if source is not None else entry.stdin().read(len(STREAM))
    if start != STREAM and (source is not None or target is not None):
        raise UsageError("files are streams, and this is none", hint="give it on stdin: keystead decrypt < FILE")
    if start == STREAM:
        given = cast(BinaryIO, _Joined(start, entry.stdin())) if source is None else source
        with context.kms() as kms:
            size = kms.decrypt_stream(given, output.binary() if target is None else target, aad=bound)
        _tell(context, "decrypted", size, target)
        return
    data = start + _all(entry.stdin())
    with context.kms() as kms:
        plaintext = _decrypted(kms, data, bound)
    output.write_bytes(plaintext)


class _Joined:
    """What was read of an input already, and the rest of it."""

    def __init__(self, start: bytes, rest: BinaryIO) -> None:
        self._start = start
        self._rest = rest

    def read(self, size: int) -> bytes:
        if self._start:
            part, self._start = self._start[:size], self._start[size:]
            return part
        return self._rest.read(size)


def _decrypted(kms: KMSService, data: bytes, bound: Bound) -> bytes:
    from keystead.crypto.compact import TEXT_PREFIX, from_text

    text = data.strip()
    if text.startswith(b"{"):
        return kms.decrypt_data(text, aad=bound, encoding=None)
    if text.startswith(TEXT_PREFIX.encode()):
        return kms.decrypt(from_text(text.decode("latin-1")), aad=bound)
    return kms.decrypt(data, aad=bound)


def _all(stream: BinaryIO) -> bytes:
    data = stream.read(_LIMIT + 1)
    if len(data) > _LIMIT:
        raise UsageError(f"stdin has more than {_LIMIT} bytes", hint="streams may be of any size: --format stream")
    return data


def _tell(context: Context, done: str, size: int, target: Path | None) -> None:
    if target is not None and context.json:
        output.document(f"{done}/1", file=str(target.absolute()), bytes=size)
    elif target is not None:
        context.say(f"{done} {size} bytes into {target.absolute()}")

"""Encrypting and decrypting data: from stdin to stdout, or file to file."""

from __future__ import annotations

import json
from base64 import b64encode
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
_START: Final = 12
"""How many bytes tell a format and its data key."""
Bound = dict[str, str] | str | None


def _data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    options: tuple[Callable[..., Any], ...] = (
        click.option(
            "--out", "target", type=_FILE, metavar="FILE", help="Write this file, whole or not at all (-: stdout)."
        ),
        click.option("--in", "source", type=_FILE, metavar="FILE", help="Read this file, of any size (-: stdin)."),
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

    The AAD is not in the ciphertext of v2 and of streams: decrypt needs the same one. With --json the ciphertext (or
    the file that was written) stands in one document, with its format and data key; a stream then needs --out.
    """
    bound = _bound(aad, aad_text)
    of_files = source is not None or target is not None
    source, target = _named(source, target)
    if form == "stream" or (form is None and of_files):
        _refuse_in_document(context, target)
        given = entry.stdin() if source is None else source
        with context.kms() as kms:
            size = kms.encrypt_stream(given, output.binary() if target is None else target, aad=bound)
            if target is not None:
                _tell_file(context, kms, "encrypt", size, target, entry.read_file(target, _START))
        return
    if of_files:
        raise UsageError(
            f"files are encrypted as streams, not as {form}", hint=f"keystead encrypt --format {form} <FILE"
        )
    data = _all(entry.stdin(), "--format stream takes any size")
    with context.kms() as kms:
        ciphertext, fields = _encrypted(kms, data, bound, form or "v2-text")
    if context.json:
        output.document("encrypt/1", **fields)
    else:
        output.write_bytes(ciphertext)


def _encrypted(kms: KMSService, data: bytes, bound: Bound, form: str) -> tuple[bytes, dict[str, Any]]:
    """A ciphertext as it is written, and the fields of its document."""
    from keystead.crypto.compact import to_text

    if form == "v1":
        envelope = kms.encrypt_data(data, aad=bound)
        return json.dumps(envelope).encode() + b"\n", _fields(form, envelope["keyId"], envelope=envelope)
    blob = kms.encrypt(data, aad=bound)
    key = _data_key(kms, blob)
    if form == "v2":
        return blob, _fields(form, key, ciphertext_base64=b64encode(blob).decode())
    return to_text(blob).encode() + b"\n", _fields(form, key, ciphertext=to_text(blob))


def _named(source: Path | None, target: Path | None) -> tuple[Path | None, Path | None]:
    """The files that are meant, None for stdin and stdout."""
    source, target = (None if path is None or str(path) == entry.STDIN else path for path in (source, target))
    if target is not None and target.exists() and not target.is_file():
        raise UsageError(
            f"{target.absolute()} is no regular file, and a new file would take its place",
            hint="name a new file; without --out the answer goes to stdout",
        )
    return source, target


def _fields(form: str, key: str | None, **more: Any) -> dict[str, Any]:
    return {"format": form, "data_key": key, **more}


def _data_key(kms: KMSService, start: bytes) -> str | None:
    """The id of the data key that the header of a ciphertext or stream refers to; None where a server knows it."""
    from keystead.client.kms import RemoteKMS

    # A server does not tell which data key it used; its log does.
    return None if isinstance(kms, RemoteKMS) else kms.node.ring.by_reference(start[4:_START]).key_id


@click.command()
@_data_options
@global_options
@pass_context
def decrypt(
    context: Context, aad: tuple[str, ...], aad_text: str | None, source: Path | None, target: Path | None
) -> None:
    """Decrypt stdin to stdout, or a file to a file.

    It takes whatever `encrypt` writes without --json: the first bytes tell the format. With --json the plaintext stands
    in one document: as `plaintext` where it is UTF-8, else as `plaintext_base64`; a stream then needs --out. Of a
    stream on stdin only verified parts are written; where its end is missing or damaged, the exit code is 7.
    """
    bound = _bound(aad, aad_text)
    of_files = source is not None or target is not None
    source, target = _named(source, target)
    start = entry.read_file(source, _START) if source is not None else entry.stdin().read(_START)
    is_stream = start.startswith(STREAM)
    if not is_stream and of_files:
        raise UsageError("files are streams, and this is none", hint="give it on stdin: keystead decrypt < FILE")
    if is_stream:
        _refuse_in_document(context, target)
        given = cast(BinaryIO, _Joined(start, entry.stdin())) if source is None else source
        with context.kms() as kms:
            size = kms.decrypt_stream(given, output.binary() if target is None else target, aad=bound)
            if target is not None:
                _tell_file(context, kms, "decrypt", size, target, start)
        return
    data = start + _all(entry.stdin(), "only streams are larger, and this is none")
    with context.kms() as kms:
        plaintext, fields = _decrypted(kms, data, bound)
    if context.json:
        output.document("decrypt/1", **fields, **_as_text(plaintext))
    else:
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


def _decrypted(kms: KMSService, data: bytes, bound: Bound) -> tuple[bytes, dict[str, Any]]:
    """A plaintext, and what its document tells of the ciphertext."""
    from keystead.crypto.compact import TEXT_PREFIX, from_text

    text = data.strip()
    if text.startswith(b"{"):
        plaintext = kms.decrypt_data(text, aad=bound, encoding=None)
        return plaintext, _fields("v1", json.loads(text)["keyId"])
    form, blob = "v2", data
    if text.startswith(TEXT_PREFIX.encode()):
        form, blob = "v2-text", from_text(text.decode("latin-1"))
    plaintext = kms.decrypt(blob, aad=bound)
    return plaintext, _fields(form, _data_key(kms, blob))


def _as_text(plaintext: bytes) -> dict[str, str]:
    try:
        return {"plaintext": plaintext.decode()}
    except UnicodeDecodeError:
        return {"plaintext_base64": b64encode(plaintext).decode()}


def _all(stream: BinaryIO, hint: str) -> bytes:
    data = stream.read(_LIMIT + 1)
    if len(data) > _LIMIT:
        raise UsageError(f"stdin has more than {_LIMIT} bytes", hint=hint)
    return data


def _refuse_in_document(context: Context, target: Path | None) -> None:
    if context.json and target is None:
        raise UsageError("a stream may be of any size, and a JSON document holds none", hint="give --out FILE")


def _tell_file(context: Context, kms: KMSService, verb: str, size: int, target: Path, start: bytes) -> None:
    if context.json:
        fields = _fields("stream", _data_key(kms, start), file=str(target.absolute()), bytes=size)
        output.document(f"{verb}/1", **fields)
    else:
        context.say(f"{verb}ed {size} bytes into {target.absolute()}")

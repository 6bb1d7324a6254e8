"""Secrets shared by a named key and somebody else, and what needs no key: random bytes and hashes."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Final

import click

from keystead.cli import entry, output
from keystead.cli.context import Context, global_options, pass_context
from keystead.cli.key_use import answer, from_base64, stdin_data, version_option

_FILE: Final = click.Path(path_type=Path)
_LIMIT: Final = 64 * 1024


def add_to(group: click.Group) -> None:
    """Put these commands into the group of named keys."""
    for command in (agree, encapsulate, decapsulate, random, digest):
        group.add_command(command)


@click.command()
@click.argument("name")
@click.argument("public_key", type=_FILE)
@version_option
@global_options
@pass_context
def agree(context: Context, name: str, public_key: Path, number: int | None) -> None:
    """Print the secret shared with a peer's public key. The file is PEM or DER, the secret base64."""
    from keystead.crypto.importing import spki_der

    peer = spki_der(entry.read_file(public_key, _LIMIT))
    with context.kms() as kms:
        secret = kms.keys.agree(name, peer, version=number)
    answer(context, "shared-secret/1", secret)


@click.command()
@click.argument("name")
@version_option
@global_options
@pass_context
def encapsulate(context: Context, name: str, number: int | None) -> None:
    """Make a secret for the holder of a key. It comes as one document, in the clear and encapsulated."""
    with context.kms() as kms:
        made = kms.keys.encapsulate(name, version=number)
    shown = {"secret": made.secret, "ciphertext": made.ciphertext}
    output.document("encapsulated/1", **{part: b64encode(data).decode() for part, data in shown.items()})


@click.command()
@click.argument("name")
@version_option
@global_options
@pass_context
def decapsulate(context: Context, name: str, number: int | None) -> None:
    """Print the secret of an encapsulation on stdin. Both are base64; a wrong one gives another secret."""
    blob = from_base64(stdin_data().strip(), "what is on stdin")
    with context.kms() as kms:
        secret = kms.keys.decapsulate(name, blob, version=number)
    answer(context, "shared-secret/1", secret)


@click.command()
@click.argument("length", type=int, default=32)
@global_options
@pass_context
def random(context: Context, length: int) -> None:
    """Print random bytes as base64. LENGTH is 1 to 1,024, and 32 unless told."""
    with context.kms() as kms:
        made = kms.keys.random_bytes(length)
    answer(context, "random/1", made)


@click.command()
@click.option(
    "--algorithm", default="sha-256", show_default=True, metavar="NAME", help="sha-256/384/512 or sha3-256/384/512."
)
@global_options
@pass_context
def digest(context: Context, algorithm: str) -> None:
    """Print the hash of stdin in hexadecimal digits."""
    data = stdin_data()
    with context.kms() as kms:
        made = kms.keys.digest(data, algorithm=algorithm)
    answer(context, "digest/1", made.hex(), algorithm=algorithm)

"""Named keys in files: wrapped imports, exports, backups."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import click

from keystead.cli import entry, key_output, output
from keystead.cli.context import Context, global_options, pass_context

_FILE: Final = click.Path(path_type=Path)
_LIMIT: Final = 16 * 1024 * 1024


def add_to(group: click.Group) -> None:
    """Put these commands into the group of named keys."""
    for command in (import_command, export, backup, restore, wrap):
        group.add_command(command)


@click.command("wrap")
@click.argument("public_key", type=_FILE)
@global_options
@pass_context
def wrap(context: Context, public_key: Path) -> None:
    """Wrap material on stdin for an import. It needs the PEM public key of a key for imports, and no store."""
    from keystead.crypto.importing import wrap_for_import

    pem, material = entry.read_file(public_key, _LIMIT), entry.stdin().read(_LIMIT)
    context.log()
    output.write_bytes(wrap_for_import(pem, material))


@click.command("import")
@click.argument("name")
@click.option("--wrapping-key", required=True, metavar="NAME", help="The key for imports it was wrapped under.")
@click.option("--new-version", is_flag=True, help="A new version of the imported key NAME.")
@key_output.new_key_options
@global_options
@pass_context
def import_command(
    context: Context,
    name: str,
    wrapping_key: str,
    new_version: bool,
    kind: str,
    usage: str | None,
    exportable: bool,
    description: str,
    tags: tuple[str, ...],
) -> None:
    """Make a key of wrapped material on stdin."""
    wrapped = entry.stdin().read(_LIMIT)
    with context.kms() as kms:
        if new_version:
            made = kms.keys.import_version(name, wrapped, wrapping_key=wrapping_key)
        else:
            made = kms.keys.import_key(
                name,
                wrapped,
                wrapping_key=wrapping_key,
                type=kind,
                usage=usage,
                exportable=exportable,
                description=description,
                tags=entry.pairs(tags, "--tag"),
            )
    key_output.shown(context, made, f"key {made.name} is imported, at version {made.version}")


@click.command()
@click.argument("name")
@click.option("--version", "number", type=int, metavar="N", help="This version of the key.")
@click.option("--out", "target", type=_FILE, required=True, metavar="FILE", help="Write to this new private file.")
@global_options
@pass_context
def export(context: Context, name: str, number: int | None, target: Path) -> None:
    """Write the material of an exportable key. The file is new, and only you can read it."""
    with context.kms() as kms:
        _write(target, lambda: kms.keys.export(name, version=number).material)
    _told(context, target, f"the material of key {name}")


@click.command()
@click.argument("name")
@click.argument("file", type=_FILE)
@entry.passphrase_options
@global_options
@pass_context
def backup(context: Context, name: str, file: Path, passphrase_file: str | None, passphrase_fd: int | None) -> None:
    """Write an exportable key to an encrypted file. All its versions are in it."""
    text = entry.passphrase("the backup", file=passphrase_file, descriptor=passphrase_fd, confirm=True)
    with context.kms() as kms:
        _write(file, lambda: kms.keys.backup(name, passphrase=text))
    _told(context, file, f"key {name}, encrypted")


@click.command()
@click.argument("file", type=_FILE)
@click.option("--name", metavar="NAME", help="Give it another name here.")
@entry.passphrase_options
@global_options
@pass_context
def restore(
    context: Context, file: Path, name: str | None, passphrase_file: str | None, passphrase_fd: int | None
) -> None:
    """Bring in a key that backup wrote."""
    source = entry.read_file(file, _LIMIT + 1)
    text = entry.passphrase("the backup", file=passphrase_file, descriptor=passphrase_fd, confirm=False)
    with context.kms() as kms:
        made = kms.keys.restore(source, passphrase=text, name=name)
    key_output.shown(context, made, f"key {made.name} is restored, at version {made.version}")


def _write(target: Path, content: Callable[[], bytes]) -> None:
    """A new private file. Where none can be, no key leaves the store, and the log tells of none that did."""
    _put(target, b"")
    try:
        data = content()
    finally:
        target.unlink(missing_ok=True)
    _put(target, data)


def _put(target: Path, data: bytes) -> None:
    from keystead.errors import FileUnavailable, StoreExists
    from keystead.seal.private_file import write_private

    try:
        write_private(target, data)
    except FileExistsError:
        raise StoreExists(f"there is a file {target.absolute()} already", hint="name a new one") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a path"
        raise FileUnavailable(
            f"cannot write {target.absolute()}", why=why, hint="name a file in a folder of yours"
        ) from None


def _told(context: Context, target: Path, what: str) -> None:
    if context.json:
        output.document("key-file/1", file=str(target.absolute()))
    else:
        context.say(f"{target.absolute()} holds {what}")

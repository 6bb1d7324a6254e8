"""Backup and restore."""

from __future__ import annotations

from pathlib import Path

import click

from keystead.cli import entry, output
from keystead.cli.main import Context, json_option, pass_context

_PASSPHRASE_FILE = click.option(
    "--passphrase-file", type=click.Path(path_type=Path), help="Take the passphrase from this file."
)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@_PASSPHRASE_FILE
@json_option
@pass_context
def backup(context: Context, file: Path, passphrase_file: Path | None) -> None:
    """Write the whole store to one new encrypted FILE, verified after writing.

    The passphrase opens it without any other key: keep it apart from the file.
    """
    with context.connect() as store:
        text = entry.passphrase(f"the backup {file.name}", file=passphrase_file, confirm=True)
        report = store.kms.backup(file, passphrase=text)
    if context.json:
        output.as_json("backup/1", file=str(file.absolute()), **report.as_dict())
    else:
        context.say(
            f"{file.absolute()}: {report.secrets} secrets, {report.versions} versions, {report.data_keys} data keys, "
            f"{report.bytes} bytes, read back and verified"
        )


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--into", default=".", type=click.Path(path_type=Path, file_okay=False), help="The folder of the new store."
)
@_PASSPHRASE_FILE
@json_option
@pass_context
def restore(context: Context, file: Path, into: Path, passphrase_file: Path | None) -> None:
    """Restore a backup FILE into a new store in --into (default: here), or one that never held a secret.

    The new store's master key is found or made as by `keystead init`; the old store's keys do not open it.
    """
    from keystead.errors import StoreExists
    from keystead.node.backup_file import read_backup
    from keystead.node.location import FOLDER
    from keystead.services.connection import connect
    from keystead.services.setup import make_store

    text = entry.passphrase(f"the backup {file.name}", file=passphrase_file, confirm=False)
    read_backup(file, text).root.seal()
    into.mkdir(parents=True, exist_ok=True)
    try:
        made = make_store(into, with_kit=False)
        source = made.key_source
    except StoreExists:
        source = "where keystead found it"
    with connect(into / FOLDER) as store:
        report = store.kms.restore(file, passphrase=text)
    if context.json:
        output.as_json("restore/1", folder=str((into / FOLDER).absolute()), key=source, **report.as_dict())
        return
    context.say(f"{(into / FOLDER).absolute()}: {report.secrets} secrets, {report.versions} versions restored")
    context.say(f"key        {source}")
    context.say("next       keystead slots add --recovery-file PATH: a restored store has one key slot")

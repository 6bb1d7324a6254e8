"""Backup and restore."""

from __future__ import annotations

from pathlib import Path

import click

from keystead.cli import entry, output
from keystead.cli.context import Context, global_options, pass_context

_FOLDER = click.Path(path_type=Path, file_okay=False)
_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("file", type=_FILE)
@click.option("--shreddable", is_flag=True, help="Let the file open only together with the store's shred keys.")
@entry.passphrase_options
@global_options
@pass_context
def backup(
    context: Context, file: Path, shreddable: bool, passphrase_file: str | None, passphrase_fd: int | None
) -> None:
    """Write the whole store to one new encrypted FILE.

    What was written is read back and verified. The passphrase alone opens it: keep it apart from the file. A shreddable
    backup needs the store's folder of shred keys too, and what is under a data key that is destroyed later is gone from
    it as well.
    """
    from keystead.services.setup import require_absent

    require_absent(file)
    with context.kms() as kms:
        text = entry.passphrase("the backup", file=passphrase_file, descriptor=passphrase_fd, confirm=True)
        report = kms.backup(file, passphrase=text, shreddable=shreddable)
    if context.json:
        output.document("backup/1", file=str(file.absolute()), **report.as_dict())
        return
    held = f"{report.secrets} secrets in {report.versions} versions, and {report.data_keys} data keys"
    context.say(f"{file.absolute()} holds {held}; it was read back and verified")
    if not report.listed:
        context.say("note: the store could not be written, so that it does not know of this backup")


@click.command()
@click.argument("file", type=_FILE)
@click.option("--into", type=_FOLDER, metavar="DIR", help="Restore into DIR/.keystead.")
@click.option("--shred-keys", type=_FOLDER, metavar="DIR", help="The shred keys of the store that wrote the backup.")
@entry.passphrase_options
@global_options
@pass_context
def restore(
    context: Context,
    file: Path,
    into: Path | None,
    shred_keys: Path | None,
    passphrase_file: str | None,
    passphrase_fd: int | None,
) -> None:
    """Restore a backup FILE into a new store.

    The store is .keystead/ here unless told, or one that never held a secret. It opens by its own key, which is found
    or made as by `keystead init`: the former store's keys do not open it. A damaged file, another passphrase, or a
    store that holds secrets changes nothing.
    """
    from keystead.services.setup import place, restore_store

    context.log()
    text = entry.passphrase("the backup", file=passphrase_file, descriptor=passphrase_fd, confirm=False)
    location = place(into, context.store)
    restored = restore_store(file, text, location, shred_keys=shred_keys, prompt=entry.passphrase_prompt())
    if context.json:
        output.document(
            "restore/1", database=str(restored.database), key=restored.key_source, **restored.report.as_dict()
        )
        return
    report = restored.report
    context.say(f"{restored.database} holds {report.secrets} secrets in {report.versions} versions")
    if report.destroyed_keys:
        lost = f"{report.destroyed_versions} versions under {report.destroyed_keys} destroyed data keys"
        context.say(f"{lost} could not be restored")
    context.say(f"its key is {restored.key_source}")
    if restored.is_new:
        context.say("next: keystead slots add --recovery-file FILE, since it has one key slot")

"""Making a store, and opening one by its recovery kit."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

import keystead
from keystead.cli import entry, output
from keystead.cli.context import Context, global_options, pass_context
from keystead.errors import UsageError

if TYPE_CHECKING:
    from keystead.node.location import Location
    from keystead.services.setup import NewStore

_FILE = click.Path(path_type=Path)


@click.command("generate-master-key")
@global_options
@pass_context
def generate_master_key(context: Context) -> None:
    """Print a fresh master key for the environment.

    It is one line, KMS_MASTER_KEY=..., and is kept nowhere else.
    """
    key = keystead.generate_master_key()
    if context.json:
        output.document("generate-master-key/1", KMS_MASTER_KEY=key)
    else:
        click.echo(f"KMS_MASTER_KEY={key}")


@click.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path, file_okay=False))
@click.option("--passphrase", is_flag=True, help="Open the store by a passphrase in the place of a master key.")
@entry.passphrase_options
@click.option("--recovery-file", type=_FILE, metavar="FILE", help="Write the recovery kit to this new file.")
@click.option("--no-recovery-kit", is_flag=True, help="Make no recovery kit.")
@click.option("--recover", metavar="KIT", help="Open the store by this kit (-: stdin), and make a new master key.")
@click.option("--key-file", type=_FILE, metavar="FILE", help="With --recover: where the new master key goes.")
@click.option("--dev", is_flag=True, help="Allow the kit in the store's folder, for a trial.")
@global_options
@pass_context
def init(
    context: Context,
    folder: Path | None,
    passphrase: bool,
    passphrase_file: str | None,
    passphrase_fd: int | None,
    recovery_file: Path | None,
    no_recovery_kit: bool,
    recover: str | None,
    key_file: Path | None,
    dev: bool,
) -> None:
    """Make a store in FOLDER/.keystead (default: here). Where there is one, nothing is changed.

    The master key is taken from where keystead looks for one (KMS_MASTER_KEY, KMS_MASTER_KEY_FILE, .env), else it is
    made and put into .keystead/master.key. The recovery kit, a second way in, is given once: on the terminal, or in a
    file.
    """
    from keystead.services import setup

    context.log()
    if recover is not None:
        _recover(context, setup.find(folder, context.store), recover, key_file)
        return
    if key_file is not None:
        raise UsageError("--key-file goes with --recover", hint="a new store takes its key from KMS_MASTER_KEY_FILE")
    location = setup.place(folder, context.store)
    if setup.is_there(location):
        _tell_old(context, location, recovery_file)
        return
    if recovery_file is not None and no_recovery_kit:
        raise UsageError("--recovery-file and --no-recovery-kit contradict each other", hint="give one of them")
    if recovery_file is None and not no_recovery_kit and not output.is_terminal(sys.stderr):
        raise UsageError(
            "there is no terminal to show the recovery kit on",
            why="without it the store is lost with its key",
            hint="give --recovery-file FILE; or --no-recovery-kit, and add one later",
        )
    credential = None
    if passphrase or passphrase_file is not None or passphrase_fd is not None:
        text = entry.passphrase("the store", file=passphrase_file, descriptor=passphrase_fd, confirm=True)
        credential = keystead.Passphrase(text)
    made = setup.make_store(
        location, credential=credential, with_kit=not no_recovery_kit, kit_file=recovery_file, dev=dev
    )
    _tell_new(context, made)


def _tell_old(context: Context, location: Location, recovery_file: Path | None) -> None:
    if context.json:
        output.document("init/1", created=False, database=str(location.database))
        return
    context.say(f"there is a store at {location.database}; nothing was changed")
    if recovery_file is not None and not recovery_file.exists():
        context.say(f"no kit was written; for another one: keystead slots add --recovery-file {recovery_file}")


def _tell_new(context: Context, made: NewStore) -> None:
    kit_file = None if made.kit_file is None else str(made.kit_file.absolute())
    if context.json:
        output.document(
            "init/1", created=True, database=str(made.database), key=made.key_source, recovery_file=kit_file
        )
    else:
        lines = [("store", str(made.database)), ("key", made.key_source)]
        if made.beside:
            lines.append(("", "it lies beside the data, which is fine for a trial; for more,"))
            lines.append(("", "move it to another place and name that in KMS_MASTER_KEY_FILE"))
        if kit_file is not None:
            lines.append(("recovery", f"{kit_file}: move it off this machine"))
        elif made.kit is None:
            lines.append(("recovery", "none: with the key everything is lost; keystead slots add --recovery-file FILE"))
        lines.append(("next", "keystead set NAME, keystead env import .env, keystead run -- CMD"))
        for name, text in lines:
            context.say(f"{output.emphasis(name.ljust(9), sys.stderr, bold=True)} {text}")
    if made.kit is not None:
        output.talk("\nThis is shown once. Write it down or print it, and keep it off this machine.\n")
        click.echo(made.kit, err=True)  # that it could not be shown must not be passed over


def _recover(context: Context, location: Location, recover: str, key_file: Path | None) -> None:
    from keystead.services import setup

    if recover == entry.STDIN:
        entry.stdin()
    kit = setup.read_kit(Path("/dev/stdin" if recover == entry.STDIN else recover))
    path, slot = setup.recover(location, kit, key_file)
    if context.json:
        output.document("init/1", created=False, database=str(location.database), key=str(path), slot=slot)
        return
    context.say(f"the store was opened by its recovery kit, and has a new master key in {path} (slot {slot})")
    context.say("next: remove the slot of the lost key, which keystead slots list shows: keystead slots remove SLOT")

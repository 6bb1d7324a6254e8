"""`env import`: from a .env file into the store, and with --rewrite out of the file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from keystead.cli import entry, output
from keystead.cli.commands import Verbs
from keystead.cli.context import Context, global_options, pass_context
from keystead.errors import UsageError

if TYPE_CHECKING:
    from keystead.services.env_file import TakenOut
    from keystead.services.import_environment import ImportReport


@click.group(cls=Verbs)
@global_options
def env() -> None:
    """Environment files."""


@env.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--only", metavar="A,B", help="Only these names.")
@click.option("--overwrite", is_flag=True, help="Where store and file differ, the file wins (otherwise the store).")
@click.option("--rewrite", is_flag=True, help="Take what was imported out of the file; an encrypted copy is kept.")
@click.option("--undo", is_flag=True, help="Put the file back as it was before --rewrite.")
@click.option("--yes", is_flag=True, help="With --undo: do not ask, where the file was changed since.")
@global_options
@pass_context
def import_command(
    context: Context, file: Path, only: str | None, overwrite: bool, rewrite: bool, undo: bool, yes: bool
) -> None:
    """Import the values of a .env FILE as secrets of the same names.

    FILE may be - for stdin. keystead's own variables and empty values are not imported. With --rewrite a value leaves
    the file once the store has given it back; FILE.keystead keeps the file as it was, encrypted, and --undo brings that
    back.
    """
    from keystead.services import env_file

    if str(file) == entry.STDIN:
        if rewrite or undo:
            raise UsageError("stdin cannot be rewritten", hint="name the file")
        entry.stdin()
    if undo:
        if rewrite or overwrite or only is not None:
            raise UsageError("--undo goes with no other option", hint=f"keystead env import --undo {file}")
        _undo(context, file, yes=yes)
        return
    wanted = None if only is None else [name.strip() for name in only.split(",")]
    with context.kms() as kms:
        values, refused = env_file.read_values(file, wanted)
        report = env_file.import_values(kms, values, refused, "environment" if overwrite else "store")
        taken = None
        if rewrite:
            taken = env_file.take_out(kms, file, values, _stored(report, values))
    if context.json:
        output.document(
            "env-import/1",
            imported=report.imported,
            present=report.present,
            conflicts=report.conflicts,
            failed=report.failed,
            taken_out=taken.names if taken else [],
            copy=str(taken.copy) if taken and taken.copy else None,
        )
    else:
        _tell(context, file, report, taken, "file" if overwrite else "store")


def _stored(report: ImportReport, values: dict[str, str]) -> list[str]:
    held = {*report.imported, *report.present}
    return [name for name in values if name in held]


def _tell(context: Context, file: Path, report: ImportReport, taken: TakenOut | None, winner: str) -> None:
    figures = f"imported {len(report.imported)}, in the store already {len(report.present)}"
    context.say(f"{figures}, differing {len(report.conflicts)}, refused {len(report.failed)}")
    for name in report.conflicts:
        context.say(f"  {name}: store and file differ; the {winner} wins")
    for name, why in report.failed.items():
        context.say(f"  {name}: {why}")
    if taken is None:
        return
    for name in taken.referred_to:
        context.say(f"  {name}: stays in the file, because another line refers to it")
    if taken.copy is None:
        context.say(f"{file} was not changed")
    else:
        context.say(f"took {len(taken.names)} out of {file}; {taken.copy.name} keeps the file as it was, encrypted")
        context.say(f"to bring it back: keystead env import --undo {file}")


def _undo(context: Context, file: Path, *, yes: bool) -> None:
    from keystead.services import env_file

    with context.kms() as kms:
        former = env_file.former_file(kms, file)
        if former.changed:
            entry.confirm(f"{former.file} was changed since; those changes will be lost", file.name, yes=yes)
        env_file.put_back(former)
    if context.json:
        output.document("env-import/1", restored=str(former.file))
    else:
        context.say(f"{former.file} is as it was before --rewrite; its secrets stay in the store")

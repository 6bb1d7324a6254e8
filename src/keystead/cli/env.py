"""`env import`: from a .env file into the store, and with --rewrite out of the file."""

from __future__ import annotations

import os
from pathlib import Path

import click

from keystead.cli import output
from keystead.cli.main import Context, json_option, pass_context
from keystead.errors import FileUnavailable, IntegrityError, StoreExists, UsageError
from keystead.services.connection import Connection

_COPY = ".keystead"
_LIMIT = 4 * 1024 * 1024


@click.group()
def env() -> None:
    """Environment files."""


@env.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--only", help="Only these names, separated by commas.")
@click.option("--overwrite", is_flag=True, help="Where store and file differ, the file wins (default: the store).")
@click.option("--rewrite", is_flag=True, help="Take what was imported out of the file; an encrypted copy is kept.")
@click.option("--undo", is_flag=True, help="Put the encrypted copy back in the file's place.")
@json_option
@pass_context
def import_command(context: Context, file: Path, only: str | None, overwrite: bool, rewrite: bool, undo: bool) -> None:
    """Import the values of a .env FILE as secrets.

    keystead's own variables and empty values are not imported. With --rewrite each value is read back from the store
    before it leaves the file, and FILE.keystead keeps the former file, encrypted; --undo brings it back.
    """
    if undo and (rewrite or overwrite or only):
        raise UsageError("--undo goes with no other option")
    with context.connect() as store:
        if undo:
            _undo(store, file)
            context.say(f"{file.absolute()} is as it was before --rewrite")
            return
        text = _read(file)
        values = _chosen(text, only)
        report = store.secrets.initialize(
            env=values, names=list(values), conflicts="environment" if overwrite else "store"
        )
        taken: list[str] = []
        if rewrite:
            taken = _take_out(store, file, text, values, [*report.imported, *report.present])
    if context.json:
        output.as_json(
            "import/1",
            imported=report.imported,
            present=report.present,
            conflicts=report.conflicts,
            failed=report.failed,
            rewritten=taken,
        )
        return
    context.say(
        f"imported {len(report.imported)}, already there {len(report.present)}, not imported {len(report.failed)}"
    )
    for name, why in report.failed.items():
        context.say(f"  {name}: {why}")
    for name in report.conflicts:
        context.say(f"  {name}: file and store differ; the {'file' if overwrite else 'store'} wins")
    if rewrite:
        context.say(f"took {len(taken)} out of {file.absolute()}; the former file is in {_copy(file).name}, encrypted")


def _chosen(text: str, only: str | None) -> dict[str, str]:
    from keystead.config.dotenv import parse

    values = parse(text)
    if only is None:
        return values
    wanted = [name.strip() for name in only.split(",")]
    missing = [name for name in wanted if name not in values]
    if missing:
        raise UsageError(f"the file has no {', '.join(missing)}")
    return {name: values[name] for name in wanted}


def _copy(file: Path) -> Path:
    return file.with_name(file.name + _COPY)


def _aad(file: Path) -> dict[str, str]:
    return {"keystead": "env import --rewrite", "file": file.name}


def _take_out(store: Connection, file: Path, text: str, values: dict[str, str], names: list[str]) -> list[str]:
    """Remove assignments whose value the store gives back; the encrypted former file is on the disk before."""
    from keystead.config.dotenv import rewrite
    from keystead.seal.private_file import write_private

    safe = [name for name in names if store.kms.get_secret(name) == values[name]]
    if not safe:
        return []
    copy = _copy(file)
    try:
        write_private(copy, store.kms.encrypt(text.encode("utf-8", "surrogateescape"), aad=_aad(file)))
    except FileExistsError:
        raise StoreExists(
            f"{copy.absolute()} is there already", hint="keystead env import --undo FILE, or move it away"
        ) from None
    except OSError as error:
        raise FileUnavailable(f"cannot write {copy.absolute()}", why=error.strerror or "") from None
    if store.kms.decrypt(copy.read_bytes(), aad=_aad(file)).decode("utf-8", "surrogateescape") != text:
        raise IntegrityError(f"{copy.absolute()} does not read back as it was written", hint="check the disk")
    _replace(file, rewrite(text, set(safe)))
    return safe


def _undo(store: Connection, file: Path) -> None:
    copy = _copy(file)
    try:
        blob = copy.read_bytes()
    except OSError as error:
        raise FileUnavailable(f"cannot read {copy.absolute()}", why=error.strerror or "") from None
    _replace(file, store.kms.decrypt(blob, aad=_aad(file)).decode("utf-8", "surrogateescape"))
    copy.unlink()


def _read(file: Path) -> str:
    try:
        with file.open("rb") as source:
            data = source.read(_LIMIT + 1)
    except OSError as error:
        raise FileUnavailable(f"cannot read {file.absolute()}", why=error.strerror or "") from None
    if len(data) > _LIMIT:
        raise UsageError(f"{file.absolute()} is larger than {_LIMIT} bytes", hint="is it an environment file?")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise UsageError(f"{file.absolute()} is not UTF-8 text") from None


def _replace(file: Path, text: str) -> None:
    """Put text in a file's place at once, with the file's mode."""
    partial = file.with_name(f".{file.name}.partial")
    try:
        mode = file.stat().st_mode & 0o777 if file.exists() else 0o600
        fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as target:
            os.fchmod(fd, mode)
            target.write(text.encode("utf-8", "surrogateescape"))
            target.flush()
            os.fsync(fd)
        partial.replace(file)
        folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise FileUnavailable(f"cannot write {file.absolute()}", why=error.strerror or "") from None

"""Key slots: what opens the store; and the new root key."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from keystead.cli import entry, output
from keystead.cli.main import Context, json_option, pass_context
from keystead.errors import FileUnavailable, StoreExists, UsageError
from keystead.seal.credential import Credential
from keystead.services.connection import Connection


@click.group()
def slots() -> None:
    """Key slots, each a way to open the store."""


@slots.command("list")
@json_option
@pass_context
def list_slots(context: Context) -> None:
    """List the key slots, oldest first."""
    with context.connect() as store:
        found = store.kms.slots.list()
    if context.json:
        output.as_json("slots/1", slots=[asdict(slot) for slot in found])
        return
    output.table(
        ("ID", "KIND", "LABEL", "FINGERPRINT", "MADE"),
        [(slot.id, slot.kind, slot.label, slot.fingerprint or "-", output.moment(slot.created_ms)) for slot in found],
    )


@slots.command("add")
@click.option("--label", help="What people tell the slot by.")
@click.option("--key-file", type=click.Path(path_type=Path), help="Make a master key and write it to this new file.")
@click.option("--passphrase", is_flag=True, help="Open by a passphrase.")
@click.option("--passphrase-file", type=click.Path(path_type=Path), help="Take the passphrase from this file.")
@click.option(
    "--recovery-file", type=click.Path(path_type=Path), help="Make a recovery kit and write it to this new file."
)
@json_option
@pass_context
def add(
    context: Context,
    label: str | None,
    key_file: Path | None,
    passphrase: bool,
    passphrase_file: Path | None,
    recovery_file: Path | None,
) -> None:
    """Add a way to open the store; no secret is rewritten.

    Without an option a new master key is made and printed once, as a line for the environment.
    """
    from keystead.seal.master_key import generate_master_key, parse_master_key
    from keystead.seal.providers.recovery import RecoveryKit

    chosen = [key_file is not None, passphrase or passphrase_file is not None, recovery_file is not None]
    if sum(chosen) > 1:
        raise UsageError("a slot is of one kind", hint="give one of --key-file, --passphrase, --recovery-file")
    credential: Credential
    line = None
    with context.connect() as store:
        if recovery_file is not None:
            kit = RecoveryKit.generate(store_id=store.kms.node.root.store_id.hex())
            _require_absent(recovery_file)
            made = store.kms.slots.add(kit, label=label or "recovery kit")
            _write(store, made.id, recovery_file, kit.document(slot_id=made.id, created_ms=made.created_ms))
        elif chosen[1]:
            made = store.kms.slots.add(
                entry.new_passphrase("the new slot", file=passphrase_file), label=label or "passphrase"
            )
        else:
            text = generate_master_key()
            credential = parse_master_key(text, source="the new key")
            if key_file is not None:
                _require_absent(key_file)
            made = store.kms.slots.add(credential, label=label or "master key")
            if key_file is not None:
                _write(store, made.id, key_file, text + "\n")
            else:
                line = text
    if context.json:
        output.as_json("slot/1", **asdict(made), **({"KMS_MASTER_KEY": line} if line else {}))
        return
    if line is not None:
        click.echo(f"KMS_MASTER_KEY={line}")
    context.say(f"slot {made.id} ({made.label}) opens the store from now on")


def _require_absent(path: Path) -> None:
    if path.exists() or path.is_symlink():
        raise StoreExists(f"{path.absolute()} is there already", hint="choose another name")


def _write(store: Connection, slot_id: str, path: Path, text: str) -> None:
    """Write what opens the slot; a slot that nobody could open is taken back."""
    from keystead.seal.private_file import write_private

    try:
        write_private(path, text.encode())
    except OSError as error:
        store.kms.slots.remove(slot_id)
        raise FileUnavailable(f"cannot write {path.absolute()}", why=error.strerror or "no slot was added") from None


@slots.command("remove")
@click.argument("which", metavar="SLOT")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@pass_context
def remove(context: Context, which: str, yes: bool) -> None:
    """Remove a slot by id, beginning of it, or label; the last one stays."""
    from keystead.seal.slots import find_slot
    from keystead.storage.store_row import SqliteSlots

    with context.connect() as store:
        slot = find_slot(SqliteSlots(store.kms.node.store.read()).all(), which)
        entry.confirm(f"Slot {slot.id} ({slot.label}) will no longer open the store", slot.id, yes=yes)
        gone = store.kms.slots.remove(slot.id)
    if context.json:
        output.as_json("slot/1", **asdict(gone), removed=True)
    else:
        context.say(f"slot {gone.id} ({gone.label}) is removed; copies of the store made earlier still open by it")


@click.command()
@click.option("--master-key-file", "key_files", multiple=True, metavar="SLOT=FILE", help="Opens a slot.")
@click.option("--passphrase-file", "passphrase_files", multiple=True, metavar="SLOT=FILE", help="Opens a slot.")
@click.option("--recovery-kit", "kit_files", multiple=True, metavar="SLOT=FILE", help="Opens a slot.")
@click.option("--drop", multiple=True, metavar="SLOT", help="Removes a slot that nobody can open here.")
@click.option("--yes", is_flag=True, help="Do not ask before slots are dropped.")
@json_option
@pass_context
def rekey(
    context: Context,
    key_files: tuple[str, ...],
    passphrase_files: tuple[str, ...],
    kit_files: tuple[str, ...],
    drop: tuple[str, ...],
    yes: bool,
) -> None:
    """Make a new root key and rewrap the data keys; no secret is rewritten.

    Each slot is opened (the one that opens the store now is), or dropped. After a leak, follow with `keys rotate`.
    """
    from keystead.seal.master_key import parse_master_key
    from keystead.seal.private_file import read_private
    from keystead.seal.providers.passphrase import Passphrase
    from keystead.seal.slots import find_slot
    from keystead.services.setup import read_kit
    from keystead.storage.store_row import SqliteSlots

    with context.connect() as store:
        rows = SqliteSlots(store.kms.node.store.read()).all()
        credentials: dict[str, Credential] = dict(store.kms.own_credential())
        for which, path in _pairs(key_files):
            data = read_private(path, limit=8192)
            if data is None:
                raise FileUnavailable(f"there is no file {path.absolute()}")
            text = data.decode("utf-8", "surrogateescape")
            credentials[find_slot(rows, which).id] = parse_master_key(text, source=str(path), from_file=True)
        for which, path in _pairs(passphrase_files):
            credentials[find_slot(rows, which).id] = Passphrase(entry.passphrase("the slot", file=path, confirm=False))
        for which, path in _pairs(kit_files):
            credentials[find_slot(rows, which).id] = read_kit(path)
        for which in drop:
            slot = find_slot(rows, which)
            entry.confirm(f"Slot {slot.id} ({slot.label}) will no longer open the store", slot.id, yes=yes)
        kept = store.kms.rekey(credentials, drop=drop)
    if context.json:
        output.as_json("rekey/1", slots=[asdict(slot) for slot in kept])
    else:
        context.say(
            f"the store has a new root key, opened by {', '.join(f'{slot.id} ({slot.label})' for slot in kept)}"
        )


def _pairs(texts: tuple[str, ...]) -> list[tuple[str, Path]]:
    pairs = []
    for text in texts:
        which, separator, path = text.partition("=")
        if not separator:
            raise UsageError("give SLOT=FILE")
        pairs.append((which, Path(path)))
    return pairs

"""Key slots: list, add, remove."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import keystead
from keystead.cli import entry, output
from keystead.cli.commands import Verbs
from keystead.cli.context import Context, every, global_options, pass_context
from keystead.errors import KeysteadError, UsageError

if TYPE_CHECKING:
    from keystead.seal.slots import SlotInfo
    from keystead.services.kms import KMSService

_FILE = click.Path(path_type=Path)


@click.group(cls=Verbs)
@global_options
def slots() -> None:
    """Key slots: each is a way to open the store."""


@slots.command("list")
@global_options
@pass_context
def list_command(context: Context) -> None:
    """List the key slots, oldest first."""
    with context.kms() as kms:
        found = every(kms.slots.list)
    if context.json:
        output.document("slots/1", slots=[asdict(slot) for slot in found])
        return
    output.table(
        ("ID", "KIND", "LABEL", "FINGERPRINT", "MADE"),
        [(slot.id, slot.kind, slot.label, slot.fingerprint or "-", output.moment(slot.created_ms)) for slot in found],
    )


@slots.command("add")
@click.option("--label", help="What people tell the slot by.")
@click.option("--key-file", type=_FILE, metavar="FILE", help="Write the new master key to this new file.")
@click.option("--passphrase", is_flag=True, help="Add a passphrase in the place of a master key.")
@entry.passphrase_options
@click.option("--recovery-file", type=_FILE, metavar="FILE", help="Add a recovery kit, written to this new file.")
@global_options
@pass_context
def add(
    context: Context,
    label: str | None,
    key_file: Path | None,
    passphrase: bool,
    passphrase_file: str | None,
    passphrase_fd: int | None,
    recovery_file: Path | None,
) -> None:
    """Add a way to open the store; no secret is rewritten.

    Without a kind a new master key is made, and printed once as a line for the environment.
    """
    by_words = passphrase or passphrase_file is not None or passphrase_fd is not None
    if (key_file is not None) + by_words + (recovery_file is not None) > 1:
        raise UsageError("a slot is of one kind", hint="give one of --key-file, --passphrase, --recovery-file")
    more: dict[str, Any] = {}
    with context.kms() as kms:
        if recovery_file is not None:
            made = _add_kit(kms, recovery_file, label or "recovery kit")
            more["recovery_file"] = str(recovery_file.absolute())
        elif by_words:
            text = entry.passphrase("the new slot", file=passphrase_file, descriptor=passphrase_fd, confirm=True)
            made = kms.slots.add(keystead.Passphrase(text), label=label or "passphrase")
        elif key_file is not None:
            made = _add_key_file(kms, key_file, label or "master key")
            more["key_file"] = str(key_file.absolute())
        else:
            made, more["KMS_MASTER_KEY"] = _add_key(kms, label or "master key")
    if context.json:
        output.document("slot/1", **asdict(made), **more)
        return
    if "KMS_MASTER_KEY" in more:
        click.echo(f"KMS_MASTER_KEY={more['KMS_MASTER_KEY']}")
    context.say(f"slot {made.id} ({made.label}) opens the store from now on")


def _add_key(kms: KMSService, label: str) -> tuple[SlotInfo, str]:
    from keystead.seal.master_key import parse_master_key

    text = keystead.generate_master_key()
    return kms.slots.add(parse_master_key(text, source="the new key"), label=label), text


def _add_key_file(kms: KMSService, path: Path, label: str) -> SlotInfo:
    from keystead.services.setup import new_key_file

    key = new_key_file(path)
    try:
        return kms.slots.add(key, label=label)
    except KeysteadError:
        path.unlink(missing_ok=True)
        raise


def _add_kit(kms: KMSService, path: Path, label: str) -> SlotInfo:
    from keystead.services.setup import require_kit_place, write_new

    node = kms.node
    require_kit_place(path, node.location.folder, dev=False)
    kit = keystead.RecoveryKit.generate(store_id=node.root.store_id.hex())
    made = kms.slots.add(kit, label=label)
    try:
        write_new(path, kit.document(slot_id=made.id, created_ms=made.created_ms))
    except KeysteadError:
        # A kit that nobody has would only look like a second way in.
        kms.slots.remove(made.id)
        raise
    return made


@slots.command("remove")
@click.argument("slot", metavar="SLOT")
@click.option("--yes", is_flag=True, help="Do not ask.")
@global_options
@pass_context
def remove(context: Context, slot: str, yes: bool) -> None:
    """Remove a slot; the last one stays.

    SLOT is its id, the beginning of it, or its label.
    """
    with context.kms() as kms:
        found = kms.slots.find(slot)
        own = kms.node.opened_slot
        if own is not None and own.id == found.id:
            context.say("note: this is the slot that the store was opened by just now")
        entry.confirm(f"Slot {found.id} ({found.label}) will open the store no more", found.id, yes=yes)
        gone = kms.slots.remove(found.id)
    if context.json:
        output.document("slot/1", **asdict(gone), removed=True)
    else:
        context.say(f"slot {gone.id} ({gone.label}) is removed; copies of the store made earlier still open by it")

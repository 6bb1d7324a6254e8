"""A new root key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

import keystead
from keystead.cli import entry, output
from keystead.cli.context import Context, global_options, pass_context
from keystead.errors import FileUnavailable

if TYPE_CHECKING:
    from keystead.seal.credential import Credential


_FORM: Final = "SLOT=FILE"


def _opens(option: str, name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option(option, name, multiple=True, metavar=_FORM, help="What opens this slot.")


@click.command()
@_opens("--master-key-file", "key_files")
@_opens("--passphrase-file", "passphrase_files")
@_opens("--recovery-kit", "kit_files")
@click.option("--drop", multiple=True, metavar="SLOT", help="Remove this slot, which nobody can open here.")
@click.option("--yes", is_flag=True, help="Do not ask before slots are dropped.")
@global_options
@pass_context
def rekey(
    context: Context,
    key_files: tuple[str, ...],
    passphrase_files: tuple[str, ...],
    kit_files: tuple[str, ...],
    drop: tuple[str, ...],
    yes: bool,
) -> None:
    """Make a new root key.

    The data keys are rewrapped under it; no secret is rewritten. Every slot is either opened by its key, passphrase or
    kit, or dropped. The slot that the store is opened by now needs nothing more. After a leak go on with `keystead keys
    rotate`: old copies still yield the old data keys.
    """
    with context.kms() as kms:
        credentials: dict[str, Credential] = {}
        for which, path in entry.pairs(key_files, "--master-key-file", _FORM).items():
            credentials[kms.slots.find(which).id] = _master_key(Path(path))
        for which, path in entry.pairs(passphrase_files, "--passphrase-file", _FORM).items():
            text = entry.passphrase(f"slot {which}", file=path, confirm=False)
            credentials[kms.slots.find(which).id] = keystead.Passphrase(text)
        for which, path in entry.pairs(kit_files, "--recovery-kit", _FORM).items():
            credentials[kms.slots.find(which).id] = _kit(Path(path))
        dropped = [kms.slots.find(which) for which in drop]
        if kms.node.opened_slot is None or kms.node.opened_slot.id not in {*credentials, *(s.id for s in dropped)}:
            credentials |= kms.own_credential()
        for slot in dropped:
            entry.confirm(f"Slot {slot.id} ({slot.label}) will open the store no more", slot.id, yes=yes)
        kept = kms.rekey(credentials, drop=[slot.id for slot in dropped])
    if context.json:
        output.document("rekey/1", slots=[asdict(slot) for slot in kept])
    else:
        names = ", ".join(f"{slot.id} ({slot.label})" for slot in kept)
        context.say(f"the store has a new root key; it opens by {names}")


def _master_key(path: Path) -> keystead.MasterKey:
    from keystead.seal.master_key import parse_master_key
    from keystead.seal.private_file import read_private
    from keystead.seal.sources import MAX_CREDENTIAL_FILE

    data = read_private(path, limit=MAX_CREDENTIAL_FILE)
    if data is None:
        raise FileUnavailable(f"there is no file {path.absolute()}", hint="check the path")
    return parse_master_key(data.decode("utf-8", "surrogateescape"), source=str(path.absolute()), from_file=True)


def _kit(path: Path) -> keystead.RecoveryKit:
    from keystead.services.setup import read_kit

    return read_kit(path)

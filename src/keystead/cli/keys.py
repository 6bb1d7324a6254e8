"""Data keys: list, rotate, destroy."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from keystead.cli import entry, output
from keystead.cli.commands import Verbs
from keystead.cli.context import Context, every, global_options, pass_context

if TYPE_CHECKING:
    from keystead.keys.manage import Affected

_SHOWN = 10


@click.group(cls=Verbs)
@global_options
def keys() -> None:
    """Data keys, which encrypt secrets and data."""


@keys.command("list")
@global_options
@pass_context
def list_command(context: Context) -> None:
    """List the data keys, oldest first."""
    with context.kms() as kms:
        found = every(kms.list_data_keys)
    if context.json:
        output.document("keys/1", keys=[asdict(key) for key in found])
        return
    output.table(
        ("ID", "STATE", "MADE", "STATE SINCE", "ENVELOPES", "ROTATION DUE"),
        [
            (
                key.id,
                key.state,
                output.moment(key.created_ms),
                output.moment(key.state_ms),
                str(key.messages),
                key.rotation_due or "-",
            )
            for key in found
        ],
    )


@keys.command("rotate")
@global_options
@pass_context
def rotate(context: Context) -> None:
    """Make a new data key; the former one only decrypts from now on."""
    with context.kms() as kms:
        made = kms.rotate_data_key()
    if context.json:
        output.document("key/1", **asdict(made))
    else:
        context.say(f"data key {made.id} encrypts from now on")


@keys.command("destroy")
@click.argument("key_id", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
@global_options
@pass_context
def destroy(context: Context, key_id: str, yes: bool) -> None:
    """Destroy a data key, and with it all that is encrypted under it. There is no undo.

    What will be lost is named first, and the id is to be typed back.
    """
    with context.kms() as kms:
        affected = kms.affected_by_destroying(key_id)
        _warn(context, affected)
        entry.confirm(f"Data key {key_id} will be destroyed, and nothing brings it back", key_id, yes=yes)
        found = kms.destroy_data_key(key_id)
    if context.json:
        lost = [{"name": name, "version": version} for name, version in affected.versions]
        backups = [asdict(known) for known in affected.stays_readable_in()]
        output.document("key/1", **asdict(found), lost=lost, stays_readable_in=backups)
    elif found.state == "destroyed":
        context.say(f"data key {key_id} is destroyed")
    else:
        context.say(f"data key {key_id} is {found.state}: a reader of the store is in the way of the last bytes")
        context.say("they go as soon as it ends, while keystead runs or when it is next used")


def _warn(context: Context, affected: Affected) -> None:
    versions = affected.versions
    context.say(f"under {affected.key_id} this store keeps {len(versions)} versions of secrets, which will be lost:")
    for name, version in versions[:_SHOWN]:
        context.say(f"  {name}#{version}")
    if len(versions) > _SHOWN:
        context.say(f"  and {len(versions) - _SHOWN} more")
    for name, version in affected.named_keys[:_SHOWN]:
        context.say(f"  version {version} of the named key {name}")
    if len(affected.named_keys) > _SHOWN:
        context.say(f"  and {len(affected.named_keys) - _SHOWN} more versions of named keys")
    if affected.second_factors:
        context.say(
            f"  the second factor of {', '.join(affected.second_factors)}, who cannot log in until it is removed"
        )
    context.say("envelopes and ciphertexts made under it can never be opened again, wherever they are kept")
    context.say("copies of the store or of its disk made earlier stay readable by whoever holds a slot of that time")
    for known in affected.stays_readable_in():
        context.say(f"  and so does the backup {known.path} of {output.moment(known.created_ms)}")

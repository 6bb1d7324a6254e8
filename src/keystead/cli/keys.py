"""Data keys: list, rotate, destroy."""

from __future__ import annotations

from dataclasses import asdict

import click

from keystead.cli import entry, output
from keystead.cli.main import Context, json_option, pass_context

_SHOWN = 10


@click.group()
def keys() -> None:
    """Data keys, which encrypt secrets and data."""


@keys.command("list")
@json_option
@pass_context
def list_keys(context: Context) -> None:
    """List the data keys, oldest first."""
    with context.connect() as store:
        found = store.kms.list_data_keys()
    if context.json:
        output.as_json("keys/1", keys=[asdict(key) for key in found])
        return
    output.table(
        ("ID", "STATE", "SINCE", "ENVELOPES", "ROTATION DUE"),
        [
            (key.id, key.state, output.moment(key.state_ms), str(key.messages), key.rotation_due or "no")
            for key in found
        ],
    )


@keys.command("rotate")
@json_option
@pass_context
def rotate(context: Context) -> None:
    """Make a new data key; the former one only decrypts from now on."""
    with context.connect() as store:
        made = store.kms.rotate_data_key()
    if context.json:
        output.as_json("key/1", **asdict(made))
    else:
        context.say(f"{made.id} encrypts from now on")


@keys.command("destroy")
@click.argument("key_id", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@pass_context
def destroy(context: Context, key_id: str, yes: bool) -> None:
    """Destroy a data key, and with it everything under it. There is no undo."""
    with context.connect() as store:
        affected = store.kms.affected_by_destroying(key_id)
        names = [f"{name}#{version}" for name, version in affected.versions]
        context.say(f"Under {key_id} here: {len(names)} secret versions, which will be destroyed with it.")
        for name in names[:_SHOWN]:
            context.say(f"  {name}")
        if len(names) > _SHOWN:
            context.say(f"  and {len(names) - _SHOWN} more")
        context.say("Envelopes and ciphertexts made under it, wherever they are kept, can never be opened again.")
        context.say(
            "Copies of the store or its disk made earlier stay readable by whoever holds a key slot of that time."
        )
        entry.confirm(f"{key_id} will be destroyed for good", key_id, yes=yes)
        found = store.kms.destroy_data_key(key_id)
    if context.json:
        output.as_json("key/1", **asdict(found), destroyed_versions=names)
    elif found.state == "destroyed":
        context.say(f"{key_id} is destroyed")
    else:
        context.say(f"{key_id} is {found.state}: a reader is in the way; its bytes go as soon as that ends")

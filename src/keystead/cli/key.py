"""Named keys: making, looking at and changing them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from keystead.cli import entry, key_exchange, key_files, key_many, key_use, output
from keystead.cli.commands import Verbs
from keystead.cli.context import Context, every, global_options, pass_context
from keystead.cli.key_output import new_key_options, shown
from keystead.clock import format_duration

if TYPE_CHECKING:
    from keystead.keys.named.model import KeyInfo
    from keystead.services.named_keys import NamedKeyOperations


@click.group(cls=Verbs)
@global_options
def key() -> None:
    """Named keys: encrypt, sign and MAC by name."""


@key.command("create")
@click.argument("name")
@new_key_options
@click.option("--deterministic", is_flag=True, help="Encrypt the same data to the same (aes-256-gcm-siv).")
@click.option("--rotation", metavar="90d", help="Make a new version this often.")
@global_options
@pass_context
def create(
    context: Context,
    name: str,
    kind: str,
    usage: str | None,
    exportable: bool,
    description: str,
    tags: tuple[str, ...],
    deterministic: bool,
    rotation: str | None,
) -> None:
    """Make a key."""
    with context.kms() as kms:
        made = kms.keys.create(
            name,
            type=kind,
            usage=usage,
            deterministic=deterministic,
            exportable=exportable,
            description=description,
            tags=entry.pairs(tags, "--tag"),
            rotation=rotation,
        )
    shown(context, made, f"key {made.name} is made: {made.type} for {made.usage}")


@key.command("list")
@click.argument("prefix", default="")
@global_options
@pass_context
def list_command(context: Context, prefix: str) -> None:
    """List keys without their material. Those whose names begin with PREFIX."""
    with context.kms() as kms:
        keys = kms.keys
        found = every(lambda **page: keys.list(prefix, **page))
    if context.json:
        output.document("named-keys/1", keys=[asdict(info) for info in found])
        return
    output.table(
        ("NAME", "TYPE", "STATE", "VERSION", "NEXT"),
        [(info.name, _type(info), info.state, str(info.version), _next(info)) for info in found],
    )


def _type(info: KeyInfo) -> str:
    """Its type, and what it is for where that does not say so."""
    return f"{info.type} {info.usage}" if info.type.startswith("rsa-") else info.type


def _next(info: KeyInfo) -> str:
    """What time does to it, and on which day."""
    if info.destroy_ms is not None:
        return f"destroyed {output.moment(info.destroy_ms)[:10]}"
    return "-" if info.next_rotation_ms is None else f"rotated {output.moment(info.next_rotation_ms)[:10]}"


def _state(info: KeyInfo) -> str:
    return info.state if info.destroy_ms is None else f"{info.state}, destroyed {output.moment(info.destroy_ms)}"


@key.command("show")
@click.argument("name")
@global_options
@pass_context
def show(context: Context, name: str) -> None:
    """Show a key and its versions. NAME may be an alias."""
    with context.kms() as kms:
        keys = kms.keys
        info = keys.read(name)
        versions = every(lambda **page: keys.versions(name, **page))
    if context.json:
        output.document("named-key/1", **asdict(info), versions=[asdict(version) for version in versions])
        return
    rotation = "-" if info.rotation_ms is None else format_duration(info.rotation_ms)
    for label, text in (
        ("name", info.name),
        ("id", info.id),
        ("type", f"{info.type}, for {info.usage}{', deterministic' if info.deterministic else ''}"),
        ("state", _state(info)),
        ("can", ", ".join(info.operations)),
        ("aliases", ", ".join(info.aliases) or "-"),
        ("tags", ", ".join(f"{tag}={value}" for tag, value in info.tags.items()) or "-"),
        ("rotation", rotation),
        ("exportable", "yes" if info.exportable else "no"),
        ("description", info.description or "-"),
    ):
        click.echo(f"{label:<12}{text}")
    output.table(
        ("VERSION", "STATE", "MADE", "DATA KEY"),
        [(str(one.version), one.state, output.moment(one.created_ms), one.data_key) for one in versions],
    )


@key.command("configure")
@click.argument("name")
@click.option("--description", metavar="TEXT", help="What it is for, for people.")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="The tags, in the place of those it has.")
@click.option("--no-tags", is_flag=True, help="Take all tags away.")
@click.option("--min-encrypt", type=int, metavar="N", help="The lowest version that may protect.")
@click.option("--min-decrypt", type=int, metavar="N", help="The lowest version that may open and verify.")
@click.option("--rotation", metavar="90d", help="Make a new version this often; none: by hand only.")
@global_options
@pass_context
def configure(
    context: Context,
    name: str,
    description: str | None,
    tags: tuple[str, ...],
    no_tags: bool,
    min_encrypt: int | None,
    min_decrypt: int | None,
    rotation: str | None,
) -> None:
    """Change what of a key can change. That is what describes it, its lowest versions and its rotation."""
    from keystead.secrets.labels import KEEP

    with context.kms() as kms:
        changed = kms.keys.configure(
            name,
            description=description,
            tags=entry.pairs(tags, "--tag") if tags or no_tags else None,
            min_encrypt=min_encrypt,
            min_decrypt=min_decrypt,
            rotation=KEEP if rotation is None else None if rotation == "none" else rotation,
        )
    shown(context, changed, f"key {changed.name} is configured")


def _change(verb: str, call: Callable[[NamedKeyOperations, str], KeyInfo], told: str, text: str) -> None:
    """A command that changes one key and takes nothing but its name."""

    @key.command(verb, help=text)
    @click.argument("name")
    @global_options
    @pass_context
    def command(context: Context, name: str) -> None:
        with context.kms() as kms:
            changed = call(kms.keys, name)
        shown(context, changed, f"key {changed.name} {told.format(version=changed.version, state=changed.state)}")


_change("rotate", lambda keys, name: keys.rotate(name), "is at version {version}", "Make a new version that protects.")
_change("suspend", lambda keys, name: keys.suspend(name), "is suspended", "Let nobody use a key for a while.")
_change("resume", lambda keys, name: keys.resume(name), "is active", "Let a suspended key be used again.")
_change(
    "deactivate", lambda keys, name: keys.deactivate(name), "only opens and verifies", "Let it only open and verify."
)
_change(
    "mark-compromised", lambda keys, name: keys.mark_compromised(name), "is compromised", "Let nobody use it, for good."
)
_change(
    "cancel-destruction",
    lambda keys, name: keys.cancel_destruction(name),
    "will not be destroyed, and is {state}",
    "Call a scheduled destruction off.",
)


@key.command("schedule-destruction")
@click.argument("name")
@click.option("--days", type=int, default=30, show_default=True, help="The waiting period: 7 to 30 days.")
@global_options
@pass_context
def schedule_destruction(context: Context, name: str, days: int) -> None:
    """Suspend a key now, and destroy it later. That is when the waiting period is over."""
    with context.kms() as kms:
        changed = kms.keys.schedule_destruction(name, days=days)
    shown(context, changed, f"key {changed.name} is suspended, and destroyed at {output.moment(changed.destroy_ms)}")


@key.command("destroy")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@global_options
@pass_context
def destroy(context: Context, name: str, yes: bool) -> None:
    """Destroy a suspended key with all its versions, now. There is no undo."""
    with context.kms() as kms:
        found = kms.keys.read(name)
        context.say(f"whatever key {found.name} encrypted, wherever it is kept, can never be opened again")
        entry.confirm(f"Key {found.name} will be destroyed, and nothing brings it back", found.name, yes=yes)
        changed = kms.keys.destroy(found.name)
    shown(context, changed, f"key {changed.name} is destroyed")


@key.command("alias")
@click.argument("alias")
@click.argument("name", required=False)
@click.option("--remove", is_flag=True, help="Take the alias away.")
@global_options
@pass_context
def alias_command(context: Context, alias: str, name: str | None, remove: bool) -> None:
    """Let ALIAS stand for the key NAME."""
    from keystead.errors import UsageError

    if remove is (name is not None):
        raise UsageError("an alias is set with a NAME, or taken away with --remove")
    with context.kms() as kms:
        changed = kms.keys.remove_alias(alias) if name is None else kms.keys.set_alias(alias, name)
    told = f"{alias} stands for nothing any more" if name is None else f"{alias} stands for key {changed.name}"
    shown(context, changed, told)


key_use.add_to(key)
key_exchange.add_to(key)
key_many.add_to(key)
key_files.add_to(key)

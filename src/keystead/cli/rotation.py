"""Secrets that change or go: rotate, rm."""

from __future__ import annotations

import click

from keystead.cli import entry, output
from keystead.cli.context import Context, global_options, pass_context
from keystead.cli.secrets import described, find, refuse_value
from keystead.errors import UsageError


@click.command()
@click.argument("name")
@click.argument("extra", nargs=-1, metavar="")
@click.option("--from-file", metavar="FILE", help="Take the new value from this file (-: stdin), rule or not.")
@click.option("--compromised", is_flag=True, help="The old value leaked: it cannot be read as NAME#previous.")
@click.option("--grace", metavar="LENGTH", help="How long NAME#previous can be read, such as 1h (default: 24h).")
@click.option("--expected-version", type=int, help="Fail unless this is the latest version.")
@click.option("--bytes", "as_bytes", is_flag=True, help="Store the input as bytes, as it is.")
@click.option("--keep-newline", is_flag=True, help="Keep a newline at the end of the input.")
@global_options
@pass_context
def rotate(
    context: Context,
    name: str,
    extra: tuple[str, ...],
    from_file: str | None,
    compromised: bool,
    grace: str | None,
    expected_version: int | None,
    as_bytes: bool,
    keep_newline: bool,
) -> None:
    """Make a new version of a secret the current one.

    A secret that was stored with a rule (set --generate) gets its new value by that rule and needs no input, unless
    --from-file gives one. Any other takes it as `set` does: asked for on a terminal, else from stdin.
    """
    from keystead.secrets.names import check_name

    refuse_value("rotate", name, extra)
    check_name(name)
    if compromised and grace is not None:
        raise UsageError("--compromised and --grace contradict each other", hint="a leaked value gets no grace")
    value = None
    with context.kms() as kms:
        known = find(kms, name)
        rule = known.generate if known is not None and from_file is None else None
        if rule is None and (known is not None or from_file is not None):
            what = f"New value of {name}"
            value = entry.value(what, from_file=from_file, keep_newline=keep_newline, as_bytes=as_bytes)
        made = kms.rotate_secret(name, value, expected_version=expected_version, compromised=compromised, grace=grace)
    if context.json:
        output.document("rotate/1", **described(made))
        return
    context.say(f"{name} is at version {made.version}" + (f", made by its rule {rule}" if rule else ""))
    if made.previous is not None:
        context.say(f"version {made.previous} can be read as {name}#previous until its grace is over")


@click.command()
@click.argument("name", metavar="NAME[#VERSION]")
@click.option("--undo", is_flag=True, help="Bring a deleted secret back.")
@click.option("--destroy", is_flag=True, help="Destroy it, or the one version, for good.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@global_options
@pass_context
def rm(context: Context, name: str, undo: bool, destroy: bool, yes: bool) -> None:
    """Delete a secret, or destroy it for good.

    What was deleted --undo brings back; what was destroyed nothing does.
    """
    from keystead.secrets.names import parse_reference

    reference = parse_reference(name)
    if undo and destroy:
        raise UsageError("--undo and --destroy contradict each other", hint="give one of them")
    if reference.label is not None:
        raise UsageError("a version is destroyed by its number", hint=f"keystead history {reference.name}")
    if reference.version is not None and not destroy:
        raise UsageError("a single version can only be destroyed", hint=f"keystead rm --destroy {name}")
    with context.kms() as kms:
        kms.list_versions(reference.name, limit=1)  # nobody is asked to confirm what cannot be done
        if undo:
            kms.undelete_secret(reference.name)
            state = "back"
        elif destroy:
            entry.confirm(f"{name} will be destroyed, and nothing brings it back", name, yes=yes)
            kms.destroy_secret(reference.name, version=reference.version)
            state = "destroyed"
        else:
            entry.confirm(f"{name} will be deleted (keystead rm --undo brings it back)", name, yes=yes)
            kms.delete_secret(reference.name)
            state = "deleted"
    if context.json:
        output.document("rm/1", name=name, state=state)
    else:
        context.say(f"{name} is {state}")

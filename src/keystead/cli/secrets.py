"""Secrets: set, get, list, history, rotate, rm."""

from __future__ import annotations

import sys
from typing import Any

import click

from keystead.cli import entry, output
from keystead.cli.main import Context, json_option, pass_context
from keystead.errors import UsageError

_ARGV = "a secret is never taken from the command line: everyone on the machine could read it there"


def _no_value(extra: tuple[str, ...], name: str) -> None:
    if extra:
        raise UsageError(_ARGV, hint=f'keystead set {name} and type it, or: printf %s "$VALUE" | keystead set {name}')


def _tags(pairs: tuple[str, ...]) -> dict[str, str]:
    tags = {}
    for pair in pairs:
        key, separator, text = pair.partition("=")
        if not separator:
            raise UsageError("a tag is given as key=value")
        tags[key] = text
    return tags


@click.command("set")
@click.argument("name")
@click.argument("extra", nargs=-1)
@click.option("--from-file", metavar="FILE", help="Take the value from this file (-: stdin).")
@click.option(
    "--generate", metavar="RULE", help="Make the value: random:32, hex:64 or words:6; rotation makes new ones."
)
@click.option("--ttl", help="How long it may be read, such as 90d; none: for ever.")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="A tag; may be given again.")
@click.option("--expected-version", type=int, help="Fail unless this is the latest version (0: it must not exist).")
@click.option("--bytes", "as_bytes", is_flag=True, help="Store bytes as they are, not text.")
@click.option("--keep-newline", is_flag=True, help="Keep a newline at the end of the input.")
@json_option
@pass_context
def set_command(
    context: Context,
    name: str,
    extra: tuple[str, ...],
    from_file: str | None,
    generate: str | None,
    ttl: str | None,
    tags: tuple[str, ...],
    expected_version: int | None,
    as_bytes: bool,
    keep_newline: bool,
) -> None:
    """Store a new version of a secret. The value is asked for, or comes from stdin or a file."""
    from keystead.secrets.names import check_name

    _no_value(extra, name)
    check_name(name)
    value = None
    if generate is None:
        value = entry.value(name, from_file=from_file, keep_newline=keep_newline, as_bytes=as_bytes)
    elif from_file is not None:
        raise UsageError("--generate and --from-file contradict each other", hint="give one of them")
    options: dict[str, Any] = {"generate": generate, "expected_version": expected_version}
    if ttl is not None:
        options["ttl"] = None if ttl == "none" else ttl
    if tags:
        options["tags"] = _tags(tags)
    with context.connect() as store:
        stored = store.kms.store_secret(name, value, **options)
    if context.json:
        output.as_json("secret/1", name=stored.name, version=stored.version, expires_ms=stored.expires_ms)
    else:
        context.say(f"{stored.name} is at version {stored.version}")


@click.command()
@click.argument("name", metavar="NAME[#VERSION|#LABEL]")
@json_option
@pass_context
def get(context: Context, name: str) -> None:
    """Print the value of a secret, and nothing else."""
    from keystead.secrets.names import parse_reference

    reference = parse_reference(name)
    with context.connect() as store:
        found = store.kms.get_secret(reference.name, version=reference.version, label=reference.label)
    value = found.reveal()
    if context.json:
        if isinstance(value, bytes):
            import base64

            output.as_json(
                "value/1", name=found.name, version=found.version, value_base64=base64.b64encode(value).decode()
            )
        else:
            output.as_json("value/1", name=found.name, version=found.version, value=value)
        return
    stdout = sys.stdout.buffer
    stdout.write(value if isinstance(value, bytes) else value.encode())
    if sys.stdout.isatty():
        stdout.write(b"\n")
        context.say("note: the value is in this terminal's scrollback now")
    stdout.flush()


@click.command("list")
@click.argument("prefix", default="")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="Only secrets with this tag.")
@click.option("--expired/--not-expired", default=None, help="Only expired ones, or only others.")
@click.option("--deleted", is_flag=True, help="Deleted and destroyed ones.")
@click.option("--limit", type=int, help="At most so many (default: all).")
@json_option
@pass_context
def list_command(
    context: Context, prefix: str, tags: tuple[str, ...], expired: bool | None, deleted: bool, limit: int | None
) -> None:
    """List secrets, without values."""
    found: list[Any] = []
    with context.connect() as store:
        after = None
        while limit is None or len(found) < limit:
            size = 1000 if limit is None else min(1000, limit - len(found))
            page = store.kms.list_secrets(
                prefix, _tags(tags), expired, deleted=deleted, limit=max(size, 1), after=after
            )
            found += page.items
            after = page.next
            if after is None:
                break
    if context.json:
        output.as_json("list/1", secrets=[_described(item) for item in found], next=after)
        return
    rows = [
        (
            item.name,
            str(item.version),
            output.moment(item.updated_ms),
            _state(item),
            ",".join(f"{k}={v}" for k, v in item.tags.items()) or "-",
        )
        for item in found
    ]
    output.table(("NAME", "VERSION", "CHANGED", "STATE", "TAGS"), rows)
    if not rows:
        context.say("no secrets here yet; keystead set NAME stores one" if not prefix else f"no secrets under {prefix}")


def _state(item: Any) -> str:
    if item.destroyed:
        return "destroyed"
    if item.deleted:
        return "deleted"
    if item.expired:
        return "expired"
    return f"until {output.moment(item.expires_ms)}" if item.expires_ms else "live"


def _described(item: Any) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(item)


@click.command()
@click.argument("name")
@json_option
@pass_context
def history(context: Context, name: str) -> None:
    """List the versions of a secret, without values."""
    with context.connect() as store:
        versions = store.kms.list_versions(name)
    if context.json:
        output.as_json("history/1", name=name, versions=[_described(version) for version in versions])
        return
    output.table(
        ("VERSION", "LABELS", "CREATED", "EXPIRES", "STATE", "DATA KEY"),
        [
            (
                str(version.version),
                ",".join(version.labels) or "-",
                output.moment(version.created_ms),
                output.moment(version.expires_ms),
                version.state,
                version.data_key,
            )
            for version in versions
        ],
    )


@click.command()
@click.argument("name")
@click.argument("extra", nargs=-1)
@click.option("--from-file", metavar="FILE", help="Take the new value from this file (-: stdin).")
@click.option("--value", "give", is_flag=True, help="Ask for the new value, also where a rule could make it.")
@click.option("--compromised", is_flag=True, help="The old value leaked: it gets no grace under the label previous.")
@click.option("--grace", help="How long previous may be read, such as 1h (default: 24h).")
@click.option("--expected-version", type=int, help="Fail unless this is the latest version.")
@json_option
@pass_context
def rotate(
    context: Context,
    name: str,
    extra: tuple[str, ...],
    from_file: str | None,
    give: bool,
    compromised: bool,
    grace: str | None,
    expected_version: int | None,
) -> None:
    """Make a new version the current one.

    The value is made by the rule that the secret was stored with (set --generate); a secret without one needs --value
    (asked for, or stdin) or --from-file.
    """
    _no_value(extra, name)
    value = None
    if give or from_file is not None:
        value = entry.value(name, from_file=from_file, keep_newline=False, as_bytes=False)
    with context.connect() as store:
        made = store.kms.rotate_secret(
            name, value, expected_version=expected_version, compromised=compromised, grace=grace
        )
    if context.json:
        output.as_json("secret/1", name=made.name, version=made.version, previous=made.previous)
    else:
        kept = f"; version {made.previous} can be read as {name}#previous for a while" if made.previous else ""
        context.say(f"{name} is at version {made.version}{kept}")


@click.command()
@click.argument("name", metavar="NAME[#VERSION]")
@click.option("--undo", is_flag=True, help="Bring a deleted secret back.")
@click.option("--destroy", is_flag=True, help="Destroy it, or the one version, for good.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@pass_context
def rm(context: Context, name: str, undo: bool, destroy: bool, yes: bool) -> None:
    """Delete a secret, with undo; --destroy is for good."""
    from keystead.secrets.names import parse_reference

    reference = parse_reference(name)
    if undo and destroy:
        raise UsageError("--undo and --destroy contradict each other", hint="give one of them")
    if not destroy and (reference.version is not None or reference.label is not None):
        raise UsageError("a single version can be destroyed, not deleted", hint=f"keystead rm --destroy {name}")
    if reference.label is not None:
        raise UsageError("a version is destroyed by its number", hint=f"keystead history {reference.name}")
    if not undo:
        what = f"{name} will be destroyed for good" if destroy else f"{name} will be deleted (--undo brings it back)"
        entry.confirm(what, name, yes=yes)
    with context.connect() as store:
        if undo:
            store.kms.undelete_secret(reference.name)
        elif destroy:
            store.kms.destroy_secret(reference.name, version=reference.version)
        else:
            store.kms.delete_secret(reference.name)
    done = "back" if undo else "destroyed" if destroy else "deleted"
    if context.json:
        output.as_json("removed/1", name=name, state=done)
    else:
        context.say(f"{name} is {done}")

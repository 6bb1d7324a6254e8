"""Secrets: set, get, list, history."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import click

from keystead.cli import entry, output
from keystead.cli.context import Context, every, global_options, pass_context
from keystead.errors import UsageError

if TYPE_CHECKING:
    from keystead.cli.clip import Tool
    from keystead.secrets.model import SecretInfo, VersionInfo
    from keystead.secrets.value import SecretValue
    from keystead.services.kms import KMSService

_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=.+", re.DOTALL)
_PAGE: Final = 1000


def refuse_value(verb: str, name: str, extra: tuple[str, ...]) -> None:
    """Return if no value stands on the command line.

    Raises:
        UsageError: one does; it is not repeated.
    """
    if extra or _ASSIGNMENT.fullmatch(name):
        shown = "NAME" if "=" in name else name
        raise UsageError(
            "a secret's value is never taken from the command line",
            why="everyone on this machine can read it there, and the shell keeps it in its history",
            hint=f"`keystead {verb} {shown}` asks for it at a prompt; or give it on stdin: "
            f'printf %s "$VALUE" | keystead {verb} {shown}',
        )


@click.command("set")
@click.argument("name")
@click.argument("extra", nargs=-1, metavar="")
@click.option("--from-file", metavar="FILE", help="Take the value from this file (-: stdin).")
@click.option("--generate", metavar="RULE", help="Make the value: random:32, hex:64 or words:6. Rotation does too.")
@click.option("--ttl", metavar="LENGTH", help="How long it may be read, such as 90d; none: for ever.")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="A tag; give all that it is to have.")
@click.option("--expected-version", type=int, help="Fail unless this is the latest version (0: it must not exist).")
@click.option("--bytes", "as_bytes", is_flag=True, help="Store the input as bytes, as it is.")
@click.option("--keep-newline", is_flag=True, help="Keep a newline at the end of the input.")
@global_options
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
    """Store a new version of a secret. The value is asked for, or comes from stdin or a file.

    One newline at the end of the input is dropped. TTL, tags and rule of the version before are kept unless given; a
    secret that was destroyed has none.
    """
    from keystead.secrets.names import check_name

    refuse_value("set", name, extra)
    check_name(name)
    if generate is not None and from_file is not None:
        raise UsageError("--generate and --from-file contradict each other", hint="give one of them")
    options: dict[str, Any] = {"generate": generate, "expected_version": expected_version}
    if ttl is not None:
        options["ttl"] = None if ttl == "none" else ttl
    if tags:
        options["tags"] = entry.pairs(tags, "--tag")
    value = None
    if generate is None:
        value = entry.value(f"Value of {name}", from_file=from_file, keep_newline=keep_newline, as_bytes=as_bytes)
    with context.kms() as kms:
        stored = kms.store_secret(name, value, **options)
    if context.json:
        output.document("set/1", **described(stored))
    else:
        context.say(f"{stored.name} is at version {stored.version}")


@click.command()
@click.argument("name", metavar="NAME[#VERSION|#LABEL]")
@click.option("--clip", is_flag=True, help="Copy it to the clipboard in place of printing it.")
@global_options
@pass_context
def get(context: Context, name: str, clip: bool) -> None:
    """Print the value of a secret, and nothing else.

    NAME#3 is the third version, NAME#previous the one before the last rotation. With --clip the value goes to the
    clipboard, and out of it after 30 seconds, if it is still there then. A program that keeps what was copied keeps it.
    """
    from keystead.secrets.names import parse_reference

    reference = parse_reference(name)
    tool = _clipboard() if clip else None
    with context.kms() as kms:
        found = kms.get_secret(reference.name, version=reference.version, label=reference.label)
        more = _metadata(kms, found) if context.json else {}
    value = found.reveal()
    if tool is not None:
        _copy(context, tool, found, more)
        return
    if context.json:
        output.document("get/1", name=found.name, version=found.version, **_as_text(value), **more)
        return
    data = value if isinstance(value, bytes) else value.encode()
    if output.is_terminal(sys.stdout):
        output.write_bytes(data + b"\n")
        context.say("note: the value stays in this terminal's scrollback; get --clip copies it in place of showing it")
    else:
        output.write_bytes(data)


def _clipboard() -> Tool:
    from keystead.cli.clip import find_tool

    return find_tool()


def _copy(context: Context, tool: Tool, found: SecretValue, more: Mapping[str, Any]) -> None:
    from keystead.cli.clip import SECONDS, copy
    from keystead.cli.run import child_environment

    value = found.reveal()
    if isinstance(value, bytes):
        raise UsageError(
            f"secret {found.name} holds bytes, and a clipboard text", hint=f"keystead get {found.name} >FILE"
        )
    copy(tool, value, child_environment())
    if context.json:
        output.document("get/1", name=found.name, version=found.version, cleared_after_seconds=SECONDS, **more)
    else:
        context.say(f"{found.name}#{found.version} is in the clipboard for {SECONDS} seconds")


def _as_text(value: str | bytes) -> dict[str, str]:
    if isinstance(value, str):
        return {"value": value}
    from base64 import b64encode

    return {"value_base64": b64encode(value).decode()}


def _metadata(kms: KMSService, found: SecretValue) -> dict[str, Any]:
    version = kms.list_versions(found.name, limit=1, after=str(found.version - 1)).items[0]
    head = find(kms, found.name)
    return {
        "labels": list(version.labels),
        "created_ms": version.created_ms,
        "expires_ms": version.expires_ms,
        "tags": dict(head.tags) if head is not None else {},
    }


def find(kms: KMSService, name: str) -> SecretInfo | None:
    """What is known of one secret that was not deleted, without its value; None where there is none."""
    # A name comes first among all that begin with it.
    items = kms.list_secrets(name, limit=1).items
    return items[0] if items and items[0].name == name else None


@click.command("list")
@click.argument("prefix", default="")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="Only secrets with this tag.")
@click.option("--expired/--not-expired", default=None, help="Only expired ones, or only the others.")
@click.option("--deleted", is_flag=True, help="Deleted and destroyed ones.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="At most so many (default: all).")
@click.option("--after", metavar="NAME", help="Go on behind this name.")
@global_options
@pass_context
def list_command(
    context: Context,
    prefix: str,
    tags: tuple[str, ...],
    expired: bool | None,
    deleted: bool,
    limit: int | None,
    after: str | None,
) -> None:
    """List secrets, without values.

    With PREFIX, those whose names begin with it.
    """
    chosen = entry.pairs(tags, "--tag")
    of_all = not (prefix or chosen or deleted or after) and expired is None
    found: list[SecretInfo] = []
    with context.kms() as kms:
        while True:
            size = _PAGE if limit is None else min(_PAGE, limit - len(found))
            page = kms.list_secrets(prefix, chosen, expired, deleted=deleted, limit=size, after=after)
            found += page.items
            after = page.next
            if after is None or len(found) == limit:
                break
    if context.json:
        output.document("list/1", secrets=[described(item) for item in found], next=after)
        return
    head = ("NAME", "VERSION", "CHANGED", "STATE", "TAGS")
    output.table(head, [_row(item) for item in found])
    if not found:
        context.say("no secrets; `keystead set NAME` stores one" if of_all else "no such secrets")


def _row(item: SecretInfo) -> tuple[str, ...]:
    tags = ",".join(f"{key}={text}" for key, text in item.tags.items())
    return (item.name, str(item.version), output.moment(item.updated_ms), _state(item), tags or "-")


def _state(item: SecretInfo) -> str:
    if item.destroyed:
        return "destroyed"
    if item.deleted:
        return "deleted"
    if item.expired:
        return "expired"
    return f"until {output.moment(item.expires_ms)}" if item.expires_ms is not None else "live"


def described(item: SecretInfo | VersionInfo) -> dict[str, Any]:
    """The fields of what is known of a secret or a version, for JSON."""
    from dataclasses import fields

    found = {field.name: getattr(item, field.name) for field in fields(item)}
    return {name: dict(held) if isinstance(held, Mapping) else held for name, held in found.items()}


@click.command()
@click.argument("name")
@global_options
@pass_context
def history(context: Context, name: str) -> None:
    """List the versions of a secret, without values.

    The oldest is first.
    """
    with context.kms() as kms:
        versions = every(partial(kms.list_versions, name))
    if context.json:
        output.document("history/1", name=name, versions=[described(version) for version in versions])
        return
    head = ("VERSION", "LABELS", "CREATED", "EXPIRES", "STATE", "DATA KEY")
    rows = [
        (
            str(version.version),
            ",".join(version.labels) or "-",
            output.moment(version.created_ms),
            output.moment(version.expires_ms),
            version.state,
            version.data_key,
        )
        for version in versions
    ]
    output.table(head, rows)

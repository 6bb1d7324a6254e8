"""Auth methods: write, read, list, remove."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from keystead.cli import entry, output
from keystead.cli.commands import Verbs
from keystead.cli.context import Context, every, global_options, pass_context
from keystead.errors import UsageError

if TYPE_CHECKING:
    from keystead.access.auth_methods import AuthMethodInfo

_LIMIT: Final = 4 * 1024 * 1024 + 1


@click.group(cls=Verbs)
@global_options
def auth() -> None:
    """Auth methods: whose proofs are taken at a login."""


@auth.command("write")
@click.argument("name")
@click.argument("file", metavar="FILE|-")
@click.option("--kind", type=click.Choice(["jwt", "certificate"]), required=True, help="What is shown to log in.")
@click.option("--expected-version", type=int, help="Fail unless this is the version (0: it must not exist).")
@global_options
@pass_context
def write(context: Context, name: str, file: str, kind: str, expected_version: int | None) -> None:
    """Write an auth method from a file of JSON. Or from stdin, in the place of the one of its name."""
    data = entry.stdin().read(_LIMIT) if file == entry.STDIN else entry.read_file(Path(file), _LIMIT)
    try:
        config = data.decode()
    except UnicodeDecodeError:
        raise UsageError("the auth method is not UTF-8 text", hint="give a file of JSON") from None
    with context.kms() as kms:
        written = kms.identities.write_auth_method(name, kind, config, expected_version=expected_version)
    if context.json:
        output.document("auth-method/1", **asdict(written))
    else:
        context.say(f"auth method {written.name} is at version {written.version}")


@auth.command("read")
@click.argument("name")
@global_options
@pass_context
def read(context: Context, name: str) -> None:
    """Print the configuration of an auth method, as JSON."""
    with context.kms() as kms:
        found = kms.identities.read_auth_method(name)
    if context.json:
        output.document("auth-method/1", **asdict(found))
    else:
        click.echo(json.dumps(found.config, indent=2))


@auth.command("list")
@global_options
@pass_context
def list_command(context: Context) -> None:
    """List the auth methods in the order of their names."""
    with context.kms() as kms:
        found: list[AuthMethodInfo] = every(kms.identities.list_auth_methods)
    if context.json:
        output.document("auth-method-list/1", auth_methods=[asdict(one) for one in found])
        return
    output.table(
        ("NAME", "KIND", "VERSION", "CHANGED"),
        [(one.name, one.kind, str(one.version), output.moment(one.updated_ms)) for one in found],
    )


@auth.command("remove")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@global_options
@pass_context
def remove(context: Context, name: str, yes: bool) -> None:
    """Remove an auth method, and end the access tokens that came by it."""
    from keystead.access.auth_methods import check_method_name

    check_method_name(name)
    with context.kms() as kms:
        entry.confirm(f"Nobody will log in by {name} any more, and its access tokens end", name, yes=yes)
        ended = kms.identities.delete_auth_method(name)
    if context.json:
        output.document("auth-method/1", name=name, removed=True, tokens=ended)
    else:
        context.say(f"auth method {name} is removed; access tokens that ended: {ended}")

"""`doctor` and `config explain`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from keystead.cli import output
from keystead.cli.commands import Verbs
from keystead.cli.context import Context, global_options, pass_context

if TYPE_CHECKING:
    from keystead.node.doctor import Finding

_COLOURS = {"error": "red", "warning": "yellow", "hint": "cyan"}


@click.command()
@click.option("--fix", is_flag=True, help="Take from others what they could read or write.")
@global_options
@pass_context
def doctor(context: Context, fix: bool) -> None:
    """Find what is unsafe, and say how to mend it.

    It looks at the store, its place, and how its server is set up. The exit code is 1 where something is not fit for
    production.
    """
    from keystead.cli.server_settings import configuration_for
    from keystead.node.doctor import Severity, examine, mend
    from keystead.node.settings import environment
    from keystead.server.doctor import examine_server

    context.require_store_here()
    with context.owner() as owner:
        node = owner.node
        found = examine(node, environment())
        settings = configuration_for(node.location, {}).settings
        found += examine_server(settings, node.clock.now_ms())
    mended = mend(found) if fix else []
    left = [finding for finding in found if finding not in mended]
    if context.json:
        output.document("doctor/1", findings=[_fields(finding) for finding in left], mended=len(mended))
    else:
        _print(context, left, mended)
    if any(finding.severity is Severity.ERROR for finding in left):
        sys.exit(1)


def _fields(finding: Finding) -> dict[str, str]:
    return {"severity": finding.severity.value, "what": finding.what, "mend": finding.mend}


def _print(context: Context, left: list[Finding], mended: list[Finding]) -> None:
    for finding in mended:
        click.echo(f"mended   {finding.what}")
    for finding in left:
        word = finding.severity.value
        click.echo(f"{output.emphasis(word.ljust(8), sys.stdout, fg=_COLOURS[word], bold=True)} {finding.what}")
        click.echo(f"         {finding.mend}")
    if not left:
        context.say("nothing was found")


@click.group(cls=Verbs)
@global_options
def config() -> None:
    """Settings of the server, and whence they come."""


@config.command("explain")
@global_options
@pass_context
def explain(context: Context) -> None:
    """Say what each setting is, and where it came from.

    A flag goes before the environment (KEYSTEAD_SERVER_PORT), that before the table [server] of keystead.toml, and that
    before the default.
    """
    from pathlib import Path

    from keystead.cli.server_settings import configuration_for
    from keystead.node.location import locate
    from keystead.node.settings import environment, load_settings

    context.require_store_here()
    location = locate(context.store, environment(), Path.cwd())
    load_settings(location)  # a table [sever] is a mistake, and not one that nothing is said of
    found = configuration_for(location, {}).explained
    if context.json:
        output.document("config/1", settings=[each._asdict() for each in found])
    else:
        output.table(("SETTING", "VALUE", "FROM"), [(each.name, each.value or "-", each.source) for each in found])

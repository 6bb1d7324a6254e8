"""Grants on named keys: create, list, show, revoke, retire."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from keystead.cli import entry, output
from keystead.cli.commands import Verbs
from keystead.cli.context import Context, every, global_options, pass_context

if TYPE_CHECKING:
    from keystead.access.grants import GrantInfo


@click.group(cls=Verbs)
@global_options
def grant() -> None:
    """Grants: what one principal may do with a named key."""


@grant.command("create")
@click.argument("key")
@click.argument("grantee")
@click.option("-o", "--operation", "operations", multiple=True, required=True, metavar="NAME", help="Again for more.")
@click.option("--retiring", metavar="PRINCIPAL", help="Who may retire it.")
@click.option("--name", metavar="NAME", help="Give the same grant back where it is there already.")
@click.option("--context-equals", "equals", multiple=True, metavar="KEY=VALUE", help="The whole encryption context.")
@click.option("--context-subset", "subset", multiple=True, metavar="KEY=VALUE", help="What must be in the context.")
@click.option("--ttl", metavar="LENGTH", help="End it by itself after this, such as 8h.")
@global_options
@pass_context
def create(context: Context, /, key: str, grantee: str, operations: tuple[str, ...], **given: Any) -> None:
    """Let GRANTEE use KEY. GRANTEE is a principal, such as user:ada."""
    with context.kms() as kms:
        made = kms.grants.create(
            key,
            grantee,
            operations,
            retiring=given["retiring"],
            name=given["name"],
            context_equals=entry.pairs(given["equals"], "--context-equals") or None,
            context_subset=entry.pairs(given["subset"], "--context-subset") or None,
            ttl=given["ttl"],
        )
    if context.json:
        output.document("grant/1", **asdict(made))
    else:
        context.say(f"{made.grantee} may {', '.join(made.operations)} with key {made.key}")
        click.echo(made.id)


@grant.command("list")
@click.argument("key", required=False)
@click.option("--grantee", metavar="PRINCIPAL", help="Those to this principal.")
@click.option("--retiring", metavar="PRINCIPAL", help="Those that this principal may retire.")
@global_options
@pass_context
def list_command(context: Context, key: str | None, grantee: str | None, retiring: str | None) -> None:
    """List the grants of KEY, or of a principal on any key."""
    with context.kms() as kms:
        grants = kms.grants
        found: list[GrantInfo] = every(lambda **page: grants.list(key, grantee=grantee, retiring=retiring, **page))
    if context.json:
        output.document("grants/1", grants=[asdict(one) for one in found])
        return
    output.table(
        ("GRANT", "KEY", "GRANTEE", "OPERATIONS", "CONTEXT", "UNTIL"),
        [
            (one.id, one.key, one.grantee, ", ".join(one.operations), _context(one), output.moment(one.expires_ms))
            for one in found
        ],
    )


def _context(info: GrantInfo) -> str:
    told = (("is", info.context_equals), ("has", info.context_subset))
    return ", ".join(f"{how} {json.dumps(pairs)}" for how, pairs in told if pairs is not None) or "-"


@grant.command("show")
@click.argument("key")
@click.argument("grant_id", metavar="GRANT")
@global_options
@pass_context
def show(context: Context, key: str, grant_id: str) -> None:
    """Show a grant of KEY."""
    with context.kms() as kms:
        found = kms.grants.get(key, grant_id)
    if context.json:
        output.document("grant/1", **asdict(found))
        return
    for label, text in (
        ("grant", found.id),
        ("key", found.key),
        ("grantee", found.grantee),
        ("may", ", ".join(found.operations)),
        ("retiring", found.retiring or "-"),
        ("name", found.name or "-"),
        ("context", _context(found)),
        ("until", output.moment(found.expires_ms)),
        ("made", f"{output.moment(found.created_ms)} by {found.creator}"),
    ):
        click.echo(f"{label:<12}{text}")


@grant.command("revoke")
@click.argument("key")
@click.argument("grant_id", metavar="GRANT")
@global_options
@pass_context
def revoke(context: Context, key: str, grant_id: str) -> None:
    """End a grant, as who manages KEY."""
    with context.kms() as kms:
        kms.grants.revoke(key, grant_id)
    _ended(context, grant_id, "revoked")


@grant.command("retire")
@click.argument("key")
@click.argument("grant_id", metavar="GRANT")
@global_options
@pass_context
def retire(context: Context, key: str, grant_id: str) -> None:
    """End a grant of KEY, as who it lets retire it."""
    with context.kms() as kms:
        kms.grants.retire(key, grant_id)
    _ended(context, grant_id, "retired")


def _ended(context: Context, grant_id: str, how: str) -> None:
    if context.json:
        output.document("grant/1", **{"id": grant_id, how: True})
    else:
        context.say(f"grant {grant_id} is {how}")

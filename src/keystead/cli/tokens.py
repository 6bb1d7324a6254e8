"""Access tokens: create, lookup, renew, revoke, list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from keystead.cli import entry, output
from keystead.cli.commands import Verbs
from keystead.cli.context import Context, every, global_options, pass_context
from keystead.cli.login import CODE, typed
from keystead.errors import UsageError

if TYPE_CHECKING:
    from keystead.access.tokens import TokenInfo


def rules_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What the access tokens of a login, or one that is created, are given."""
    options = (
        click.option("--policy", "policies", multiple=True, metavar="NAME", help="A policy; again for more."),
        click.option("--ttl", metavar="LENGTH", help="How long an access token lives, such as 1h or 30d."),
        click.option("--max-ttl", metavar="LENGTH", help="How long with all renewals."),
        click.option("--uses", type=click.IntRange(1), metavar="N", help="After how many operations it ends."),
        click.option("--period", metavar="LENGTH", help="How long after each renewal, for ever."),
        click.option("--network", "networks", multiple=True, metavar="CIDR", help="From where; again for more."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def refuse_credential(text: str | None, what: str = "an access token") -> None:
    """Return if no credential stands on the command line.

    Raises:
        UsageError: one does; it is not repeated.
    """
    if text is not None and text.startswith("ks_"):
        raise UsageError(
            f"{what} is never taken from the command line",
            why="everyone on this machine can read it there, and the shell keeps it in its history",
            hint="give its accessor (acc_...); or - to read it from stdin",
        )


@click.group(cls=Verbs)
@global_options
def token() -> None:
    """Access tokens, by which callers prove who they are."""


@token.command("create")
@rules_options
@click.option("--not-renewable", is_flag=True, help="It ends when its time is over, and cannot be renewed.")
@click.option("--meta", multiple=True, metavar="KEY=VALUE", help="What is noted with it; again for more.")
@click.option("--name", metavar="NAME", help="Whom it acts as: token:NAME (the owner's to give).")
@click.option("--orphan", is_flag=True, help="Without a parent (the owner's to give).")
@global_options
@pass_context
def create(context: Context, /, **given: Any) -> None:
    """Make an access token and print it, once."""
    given["renewable"] = not given.pop("not_renewable")
    given["meta"] = entry.pairs(given["meta"], "--meta")
    policies = list(given.pop("policies")) or None
    with context.kms() as kms:
        made = kms.tokens.create(policies, **given)
    if context.json:
        output.document("token/1", token=made.reveal(), **asdict(made.info))
    else:
        click.echo(made.reveal())
        context.say(f"{made.accessor} acts as {made.info.principal} until {output.moment(made.info.expires_ms)}")


@token.command("lookup")
@click.argument("accessor", required=False)
@global_options
@pass_context
def lookup(context: Context, accessor: str | None) -> None:
    """Tell what is known of an access token. It is the one that this acts by, that of ACCESSOR, or one on stdin (-)."""
    refuse_credential(accessor)
    shown = typed("Access token") if accessor == entry.STDIN else None
    with context.kms() as kms:
        by_text = accessor is None or shown is not None
        found = kms.tokens.lookup(shown) if by_text else kms.tokens.lookup_accessor(str(accessor))
    _tell(context, found)


@token.command("renew")
@click.argument("accessor", required=False)
@click.option("--increment", metavar="LENGTH", help="For how long from now (default: as long as it was made for).")
@global_options
@pass_context
def renew(context: Context, accessor: str | None, increment: str | None) -> None:
    """Move the end of an access token. It is the one that this acts by, or that of ACCESSOR."""
    refuse_credential(accessor)
    with context.kms() as kms:
        if accessor is None:
            found = kms.tokens.renew(increment=increment)
        else:
            found = kms.tokens.renew_accessor(accessor, increment=increment)
    _tell(context, found)


@token.command("verify")
@global_options
@pass_context
def verify(context: Context) -> None:
    """Show a second factor again. What a policy allows for some time after one works again with this access token.

    The code is asked for, or comes on stdin.
    """
    code = typed(CODE)
    with context.kms() as kms:
        shown = kms.verify_second_factor(code)
    if context.json:
        output.document("token-verify/1", mfa_ms=shown)
    else:
        context.say("the second factor is shown for the access token that commands act by")


@token.command("revoke")
@click.argument("accessor", required=False)
@click.option("--principal", metavar="WHO", help="All of a principal's, such as user:ada.")
@global_options
@pass_context
def revoke(context: Context, accessor: str | None, principal: str | None) -> None:
    """End an access token and its descendants. It is that of ACCESSOR, one on stdin (-), or all of a principal."""
    refuse_credential(accessor)
    if (accessor is None) == (principal is None):
        raise UsageError("revoke takes an ACCESSOR or a --principal", hint="keystead token list; or keystead logout")
    shown = typed("Access token") if accessor == entry.STDIN else None
    with context.kms() as kms:
        if principal is not None:
            ended = kms.tokens.revoke_principal(principal)
        elif shown is not None:
            ended = kms.tokens.revoke(shown)
        else:
            ended = kms.tokens.revoke_accessor(str(accessor))
    if context.json:
        output.document("token-revoke/1", revoked=ended)
    else:
        context.say(f"{ended} access token{'' if ended == 1 else 's'} ended")


@token.command("list")
@click.option("--principal", metavar="WHO", help="Only those of a principal, such as user:ada.")
@global_options
@pass_context
def list_command(context: Context, principal: str | None) -> None:
    """List the access tokens by their accessors. Those that ended within a day are among them."""
    with context.kms() as kms:
        found = every(partial(kms.tokens.list, principal=principal))
    if context.json:
        output.document("token-list/1", tokens=[asdict(each) for each in found])
        return
    head = ("ACCESSOR", "PRINCIPAL", "METHOD", "POLICIES", "STATE")
    output.table(head, [_row(each) for each in found])


def _row(found: TokenInfo) -> tuple[str, ...]:
    state = found.ended or f"until {output.moment(found.expires_ms)}"
    return (found.accessor, found.principal, found.method, ",".join(found.policies) or "-", state)


def _tell(context: Context, found: TokenInfo) -> None:
    if context.json:
        output.document("token/1", **asdict(found))
        return
    rows = [
        ("accessor", found.accessor),
        ("principal", found.principal),
        ("method", found.method),
        ("policies", ",".join(found.policies) or "-"),
        ("parent", found.parent or "-"),
        ("made", output.moment(found.created_ms)),
        ("until", output.moment(found.expires_ms)),
        ("at most until", output.moment(found.max_expires_ms)),
        ("renewable", "yes" if found.renewable else "no"),
        ("uses left", "-" if found.uses_left is None else str(found.uses_left)),
        ("ended", found.ended or "-"),
    ]
    output.table(("WHAT", "VALUE"), rows)

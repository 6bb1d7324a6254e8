"""Who acts: login, logout, whoami."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Final

import click

from keystead.cli import entry, output
from keystead.cli.context import Context, global_options, pass_context
from keystead.errors import AuthenticationFailed, KeysteadError, UsageError

_LIMIT: Final = 8_192
_ASKED: Final = {"password": "Password of {}", "role": "Secret id of role id {}", "token": "Access token"}


@click.command()
@click.argument("user", required=False)
@click.option(
    "--method", type=click.Choice(["password", "role", "token"]), default="password", help="How (default: password)."
)
@click.option("--print", "shown", is_flag=True, help="Print the access token in the place of keeping it.")
@global_options
@pass_context
def login(context: Context, user: str | None, method: str, shown: bool) -> None:
    """Act as a user or role. Every command does from now on, until `keystead logout`.

    USER is the user's name, or with --method role the role id. What proves it is asked for, or comes on stdin.
    """
    if (user is None) != (method == "token"):
        what = {"password": "the user's name", "role": "the role id"}.get(method)
        raise UsageError(
            f"login needs {what}" if what else "a login by token takes no name", hint="keystead login USER"
        )
    secret = typed(_ASKED[method].format(user))
    credentials: dict[str, dict[str, Any]] = {
        "password": {"name": user, "password": secret},
        "role": {"role_id": user, "secret_id": secret},
        "token": {"token": secret},
    }
    with context.owner() as kms:
        token = kms.login(method, **credentials[method])
        if shown:
            click.echo(token.reveal())
            return
        where = context.kept(kms).write(token.reveal())
    if context.json:
        output.document("login/1", **asdict(token.info), kept_in=where)
    else:
        until = output.moment(token.info.expires_ms)
        context.say(f"logged in as {token.info.principal} until {until}; the access token is in {where}")
        if context.given_token():
            context.say("note: KEYSTEAD_TOKEN is set, and goes before what is kept")


@click.command()
@click.option("--keep", is_flag=True, help="Only forget the access token here, and leave it valid.")
@global_options
@pass_context
def logout(context: Context, keep: bool) -> None:
    """End the last login. Its access token is revoked, and commands act as the owner of the store again."""
    with context.owner() as kms:
        kept = context.kept(kms)
        token = None
        with suppress(KeysteadError):  # what cannot be used is forgotten all the same
            token = kept.read()
        revoked = 0
        if token is not None and not keep:
            with suppress(AuthenticationFailed), kms.as_token(token) as acting:
                revoked = acting.tokens.revoke()
        kept.forget()
    if context.json:
        output.document("logout/1", was_logged_in=token is not None, revoked=revoked)
    else:
        context.say("logged out" if token is not None else "nobody was logged in")


@click.command()
@global_options
@pass_context
def whoami(context: Context) -> None:
    """Say as whom commands act. And how that was proved."""
    with context.kms() as kms:
        me = kms.whoami()
    if context.json:
        output.document("whoami/1", **asdict(me))
        return
    rows = [("principal", me.principal), ("method", me.method)]
    if me.accessor:
        rows += [("policies", ",".join(me.policies) or "-"), ("accessor", me.accessor)]
        rows.append(("until", output.moment(me.expires_ms)))
    output.table(("WHAT", "VALUE"), rows)


def typed(what: str, *, confirm: bool = False) -> str:
    """What proves somebody, or a new password: asked for on a terminal, else the first line of stdin.

    Raises:
        UsageError: nothing came, or it is no text.
    """
    if output.is_terminal(sys.stdin):
        return entry.hidden(what, confirm=confirm)
    data = entry.stdin().readline(_LIMIT).removesuffix(b"\n").removesuffix(b"\r")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = ""  # raised below, outside: the error of the codec holds what came
    if not text:
        raise UsageError(
            "nothing that could be read came on stdin", hint="give it on stdin, or run it on a terminal to be asked"
        )
    return text

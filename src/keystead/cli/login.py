"""Who acts: login, logout, whoami."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click

from keystead.cli import entry, output
from keystead.cli.context import Context, global_options, pass_context
from keystead.errors import (
    AuthenticationFailed,
    FileUnavailable,
    IdentityNotFound,
    KeysteadError,
    MasterKeyInvalid,
    UsageError,
)

if TYPE_CHECKING:
    from keystead.cli.kept_token import Kept
    from keystead.services.kms import KMSService

_LIMIT: Final = 32_768
_ASKED: Final = {
    "password": "Password of {}",
    "role": "Secret id of role id {}",
    "token": "Access token",
    "jwt": "Token of the issuer",
    "certificate": "",
}
CODE: Final = "Code of the second factor"
_OPTIONS: Final = {"user": "USER", "name": "--name", "cert": "--cert", "key": "--key"}
_TAKES: Final = {
    "password": ("user",),
    "role": ("user",),
    "token": (),
    "jwt": ("name",),
    "certificate": ("name", "cert", "key"),
}


@click.command()
@click.argument("user", required=False)
@click.option("--method", type=click.Choice(list(_ASKED)), default="password", help="How (default: password).")
@click.option("--name", metavar="NAME", help="With jwt or certificate: the auth method; see keystead auth list.")
@click.option("--cert", metavar="FILE", help="With certificate: the client's certificate and chain, in PEM.")
@click.option("--key", metavar="FILE", help="With certificate: its private key, in PEM, which only you can read.")
@click.option("--code", is_flag=True, help="With password: also ask for a code of the second factor.")
@click.option("--print", "shown", is_flag=True, help="Print the access token in the place of keeping it.")
@global_options
@pass_context
def login(context: Context, /, code: bool, shown: bool, **given: str | None) -> None:
    """Act as a user or role. Every command does from now on, until `keystead logout`.

    USER is the user's name, or with --method role the role id. What proves it is asked for, or comes on stdin; so does
    the issuer's token with --method jwt. With --code, the second line of stdin is the code.

    With --method certificate this command, and each one after it, sees for itself that the key is the certificate's.
    That guards against mistakes: no server asked for the proof, and who holds the master key needs none.
    """
    if code and given["method"] != "password":
        raise UsageError(f"a login by {given['method']} takes no --code", hint="keystead login --help")
    method, credentials, kept = _credentials(given)
    if code:
        credentials["code"] = typed(CODE)
    with context.owner() as kms:
        token = kms.login(method, **credentials)
        if shown:
            click.echo(token.reveal())
            return
        kept = kept._replace(token=token.reveal())
        try:
            where = context.kept(kms).write(kept)
        except FileUnavailable:
            # Nobody has it: it would only live on.
            with suppress(KeysteadError), context.as_kept(kms, kept) as acting:
                acting.tokens.revoke()
            raise
    if context.json:
        output.document("login/1", **asdict(token.info), kept_in=where)
    else:
        until = output.moment(token.info.expires_ms)
        context.say(f"logged in as {token.info.principal} until {until}; the access token is in {where}")
        if variable := context.token_variable():
            context.say(f"note: {variable} is set, and goes before what is kept")


def _credentials(given: dict[str, str | None]) -> tuple[str, dict[str, Any], Kept]:
    """The method, what it is shown, and what will be kept beside the access token."""
    from keystead.cli.kept_token import Kept

    method = str(given["method"])
    wanted = _TAKES[method]
    for option, what in _OPTIONS.items():
        if (given[option] is not None) != (option in wanted):
            raise UsageError(
                f"a login by {method} {'needs' if option in wanted else 'takes no'} {what}",
                hint="keystead login --help",
            )
    user, name, certificate, key = (str(given[option] or "") for option in _OPTIONS)
    if method == "certificate":
        from keystead.cli.certificate import client

        chain = client(certificate, key).chain
        return method, {"name": name, "chain": chain}, Kept("", os.path.abspath(certificate), os.path.abspath(key))  # noqa: PTH100 - of what is kept as it was given
    secret = typed(_ASKED[method].format(user))
    credentials: dict[str, dict[str, Any]] = {
        "password": {"name": user, "password": secret},
        "role": {"role_id": user, "secret_id": secret},
        "token": {"token": secret},
        "jwt": {"name": name, "jwt": secret},
    }
    return method, credentials[method], Kept("")


@click.command()
@click.option("--keep", is_flag=True, help="Only forget the access token here, and leave it valid.")
@global_options
@pass_context
def logout(context: Context, keep: bool) -> None:
    """End the last login. Its access token is revoked, and commands act as the owner of the store again."""
    with context.owner() as kms:
        kept = context.kept(kms)
        was, last = kept.last()
        revoked = 0 if last is None or keep else _ended(context, kms, last)
        kept.forget()
    if context.json:
        output.document("logout/1", was_logged_in=was, revoked=revoked)
        return
    context.say("logged out" if was else "nobody was logged in")
    if was and last is None and not keep:
        context.say("note: its access token could not be read, and is still valid: keystead token list, token revoke")


def _ended(context: Context, kms: KMSService, last: Kept) -> int:
    """Revoke the access token of the last login; how many ended."""
    try:
        with context.as_kept(kms, last) as acting:
            return acting.tokens.revoke()
    except (AuthenticationFailed, UsageError, FileUnavailable, MasterKeyInvalid):
        # The certificate that it is bound to may have been replaced since; its end needs none.
        with suppress(AuthenticationFailed, IdentityNotFound):
            return kms.tokens.revoke(last.token) if last.certificate else 0
    return 0


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
        if me.mfa_ms is not None:
            rows.append(("second factor", output.moment(me.mfa_ms)))
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

"""`run -- CMD`: becomes the child, with secrets in its environment."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

import click

from keystead.cli.main import Context, pass_context
from keystead.errors import SecretNotFound, UsageError
from keystead.node.settings import environment
from keystead.services.kms import KMSService

_OWN = re.compile(r"KMS_MASTER_KEY.*|KMS_PASSPHRASE.*|KEYSTEAD_.*")


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--prefix", default="", help="Only secrets under this prefix of names, such as prod/.")
@click.option("--strip/--no-strip", default=True, help="Leave the prefix out of the variables' names (default).")
@click.option("--only", help="Only these secrets, separated by commas.")
@click.option("--add-prefix", default="", metavar="X_", help="Put this before each variable's name.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@pass_context
def run(
    context: Context, prefix: str, strip: bool, only: str | None, add_prefix: str, command: tuple[str, ...]
) -> None:
    """Run CMD with the secrets in its environment: keystead run -- CMD ARGS.

    keystead becomes the command, so its signals and exit code are the command's. A secret's variable is its name in
    upper case, everything but letters and digits as _. keystead's own key and settings are not handed on.
    """
    with context.connect() as store:
        names = [name.strip() for name in only.split(",")] if only else _names(store.kms, prefix)
        variables = _variables(names, prefix if strip else "", add_prefix)
        values = store.secrets.get_secrets(names, missing="raise")
        secrets: dict[str, str] = {}
        for name, variable in variables.items():
            value = values[name].reveal()
            if isinstance(value, bytes) or "\0" in value:
                raise UsageError(
                    f"secret {name} cannot go into an environment variable", hint="leave it out with --only"
                )
            secrets[variable] = value
    if not secrets:
        context.say("note: no secrets are there to hand on")
    handed_on = {name: text for name, text in environment().items() if not _OWN.fullmatch(name)}
    handed_on.update(secrets)
    if any(value and value in argument for value in secrets.values() for argument in command[1:] if len(value) > 7):
        context.say("note: an argument holds a secret's value; quote it so that the child expands it: '$NAME'")
    try:
        os.execvpe(command[0], list(command), handed_on)  # noqa: S606 - this is what the command is for
    except FileNotFoundError:
        raise click.ClickException(f"cannot run {command[0]!r}: there is no such program") from None
    except OSError as error:
        raise click.ClickException(f"cannot run {command[0]!r}: {error.strerror}") from None


def _names(kms: KMSService, prefix: str) -> list[str]:
    names: list[str] = []
    after = None
    while True:
        page = kms.list_secrets(prefix, expired=False, limit=1000, after=after)
        names += [item.name for item in page.items]
        after = page.next
        if after is None:
            return names


def _variables(names: Iterable[str], prefix: str, add: str) -> dict[str, str]:
    from keystead.secrets.names import environment_names

    names = list(names)
    if any(not name for name in names):
        raise SecretNotFound("--only names an empty secret", hint="separate names by single commas")
    short = {name: name.removeprefix(prefix).lstrip("/") or name for name in names}
    named = environment_names(list(dict.fromkeys(short.values())))
    if len(named) != len(short):
        raise UsageError("two secrets have the same name without the prefix", hint="use --no-strip")
    return {name: add + named[short[name]] for name in names}

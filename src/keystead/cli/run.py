"""`run -- CMD`: becomes the child, with secrets in its environment."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from keystead.cli.context import Context, global_options
from keystead.cli.failures import tell
from keystead.errors import FileUnavailable, UsageError

if TYPE_CHECKING:
    from keystead.services.kms import KMSService

_END: Final = "--"
_BEGINNING: Final = re.compile("([A-Za-z_][A-Za-z0-9_]*)?")
_PAGE: Final = 1000
_NOTICEABLE: Final = 8
"""Characters from which on a value in an argument is no accident."""
_NOT_FOUND: Final = 127
_NOT_RUN: Final = 126


class _Run(click.Command):
    """`run [PREFIX] -- CMD`, or `run CMD` where no `--` stands: what belongs to CMD is not looked at."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Split at the first `--`; without one, the first word that is no option begins the command."""
        ctx.meta["child"] = None
        if _END in args:
            at = args.index(_END)
            ctx.meta["child"] = tuple(args[at + 1 :])
            args = args[:at]
        else:
            ctx.allow_interspersed_args = False
        return super().parse_args(ctx, args)


@click.command(cls=_Run, options_metavar="[OPTIONS] [PREFIX] --")
@click.argument("words", nargs=-1, metavar="CMD [ARGS]...", type=click.UNPROCESSED)
@click.option("--only", metavar="A,B", help="Only these secrets.")
@click.option("--prefix", "before", default="", metavar="X_", help="Put this before the name of each variable.")
@click.option("--whole-names", is_flag=True, help="Leave PREFIX in the names of the variables.")
@global_options
@click.pass_context
def run(ctx: click.Context, words: tuple[str, ...], only: str | None, before: str, whole_names: bool) -> None:
    """Run CMD with the store's secrets in its environment.

    keystead becomes CMD, so that its signals and its exit code are CMD's. With PREFIX, only the secrets under it are
    handed on: `keystead run prod -- CMD` makes DB_PASSWORD of prod/db/password. A variable is its secret's name in
    upper case, with _ for all but letters and digits; two that become the same are an error. What opens the store is
    taken out of CMD's environment. stdout is CMD's alone; with --json what keystead says on stderr is JSON.
    """
    context = ctx.ensure_object(Context)
    command, folder = _split(ctx.meta["child"], words)
    if not _BEGINNING.fullmatch(before):
        raise UsageError("--prefix is not the beginning of a variable's name", hint="use A-Z a-z 0-9 _, such as APP_")
    with context.kms() as kms:
        names, left_out = _chosen(kms, folder, only)
        variables = _variables(names, "" if whole_names else folder, before)
        secrets = _values(kms, variables)
    if left_out:
        context.say(f"note: left out, because expired or destroyed: {', '.join(left_out)}")
    if not secrets:
        context.say("note: there is no secret to hand on")
    if any(len(value) >= _NOTICEABLE and value in argument for value in secrets.values() for argument in command[1:]):
        context.say("note: an argument holds a secret's value, where everyone on this machine can read it")
        context.say("      in single quotes the variable is left to the child: keystead run -- sh -c 'CMD \"$NAME\"'")
    _become(context, command, child_environment() | secrets)


def _split(child: tuple[str, ...] | None, words: tuple[str, ...]) -> tuple[list[str], str]:
    """The command, and the folder of names that PREFIX means ("" for all)."""
    prefix = ""
    if child is None:
        child = words
    elif len(words) > 1:
        raise UsageError("one PREFIX stands before --, and the command behind it", hint="keystead run prod -- CMD")
    elif words:
        prefix = words[0].rstrip("/") + "/"
    if not child:
        raise UsageError("there is no command to run", hint="keystead run -- CMD")
    return list(child), prefix


def _chosen(kms: KMSService, folder: str, only: str | None) -> tuple[list[str], list[str]]:
    """The secrets to hand on, and those that are left out because they expired or were destroyed."""
    if only is not None:
        wanted = [name.strip() for name in only.split(",")]
        return [name if name.startswith(folder) else folder + name for name in wanted], []
    names: list[str] = []
    ended: list[str] = []
    after = None
    while True:
        page = kms.list_secrets(folder, limit=_PAGE, after=after)
        for item in page.items:
            (ended if item.expired or item.destroyed else names).append(item.name)
        after = page.next
        if after is None:
            return names, ended


def _variables(names: list[str], folder: str, before: str) -> dict[str, str]:
    """The variable of each secret."""
    from keystead.secrets.names import check_name, environment_names

    short = {check_name(name): name.removeprefix(folder) for name in names}
    variables = environment_names(short.values())
    return {name: before + variables[rest] for name, rest in short.items()}


def _values(kms: KMSService, variables: Mapping[str, str]) -> dict[str, str]:
    found = kms._secrets_manager(0).get_secrets(list(variables))
    secrets: dict[str, str] = {}
    for name, variable in variables.items():
        value = found[name].reveal()
        if isinstance(value, bytes) or "\0" in value:
            raise UsageError(
                f"secret {name} holds bytes that no environment variable can hold",
                hint=f"name the others with --only, and let the program read it: keystead get {name}",
            )
        secrets[variable] = value
    return secrets


def child_environment() -> dict[str, str]:
    """This process's environment without what opens the store."""
    from keystead.node.settings import environment
    from keystead.services.import_environment import refused_variable

    return {name: text for name, text in environment().items() if not refused_variable(name)}


def _become(context: Context, command: list[str], environment: dict[str, str]) -> Any:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    # Python ignores these; a program that was not written for that would go on after its reader is gone.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        os.execvpe(command[0], command, environment)  # noqa: S606 - this is what the command is for
    except FileNotFoundError:
        _stop(context, command[0], "there is no such program", _NOT_FOUND)
    except (OSError, ValueError) as error:
        _stop(context, command[0], getattr(error, "strerror", None) or "not a command", _NOT_RUN)


def _stop(context: Context, program: str, why: str, code: int) -> None:
    tell(FileUnavailable(f"cannot run {program}", why=why, hint="check its name and PATH"), as_json=context.json)
    raise click.exceptions.Exit(code)

"""The command `keystead`: global options, commands loaded when they are called, and the one place errors end."""

from __future__ import annotations

import difflib
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import click

import keystead
from keystead.cli.entry import debug, prompt_or_none
from keystead.cli.failures import exit_code, rendered
from keystead.errors import KeysteadError

if TYPE_CHECKING:
    from keystead.services.connection import Connection

# Each command's module is imported when it is called, so that `get` does not pay for `restore`.
COMMANDS: Final = {
    "generate-master-key": "keystead.cli.store:generate_master_key_command",
    "init": "keystead.cli.store:init",
    "status": "keystead.cli.store:status",
    "version": "keystead.cli.store:version",
    "sessions": "keystead.cli.store:sessions",
    "set": "keystead.cli.secrets:set_command",
    "get": "keystead.cli.secrets:get",
    "list": "keystead.cli.secrets:list_command",
    "history": "keystead.cli.secrets:history",
    "rotate": "keystead.cli.secrets:rotate",
    "rm": "keystead.cli.secrets:rm",
    "run": "keystead.cli.run:run",
    "env": "keystead.cli.env:env",
    "encrypt": "keystead.cli.data:encrypt",
    "decrypt": "keystead.cli.data:decrypt",
    "keys": "keystead.cli.keys:keys",
    "slots": "keystead.cli.slots:slots",
    "rekey": "keystead.cli.slots:rekey",
    "backup": "keystead.cli.backup:backup",
    "restore": "keystead.cli.backup:restore",
    "audit": "keystead.cli.audit:audit",
}
ALIASES: Final = {"ls": "list", "put": "set", "delete": "rm", "read": "get", "write": "set", "exec": "run"}


@dataclass(slots=True)
class Context:
    """The global options of one call."""

    store: str | None
    json: bool
    quiet: bool
    verbose: bool

    @contextmanager
    def connect(self, **options: Any) -> Iterator[Connection]:
        """The store, opened for this call and closed after it."""
        from keystead.services.connection import connect

        connection = connect(self.store, prompt=prompt_or_none(), **options)  # type: ignore[arg-type]
        try:
            if self.verbose:
                for notice in connection.kms.notices:
                    click.echo(f"note: {notice}", err=True)
            yield connection
        finally:
            connection.close()

    def say(self, text: str) -> None:
        """A sentence for a person on stderr, unless --quiet."""
        if not self.quiet:
            click.echo(text, err=True)


class Commands(click.Group):
    """The commands by name, imported when called; a name that is none gets the closest one as a hint."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """The command of a name or alias."""
        home = COMMANDS.get(ALIASES.get(cmd_name, cmd_name))
        if home is None:
            return None
        module, _, attribute = home.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of the first argument; a hint where there is none."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            close = difflib.get_close_matches(args[0], [*COMMANDS, *ALIASES], n=1, cutoff=0.5)
            hint = f" Did you mean {close[0]}?" if close else ""
            ctx.fail(f"there is no command {args[0]!r}.{hint}")


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 denied, 5 locked, 6 conflict, 7 integrity, "
    "8 unreachable, 9 expired, 75 try later.",
)
@click.option(
    "-s",
    "--store",
    metavar="URL",
    help="The store: sqlite:///path, or a path (default: KEYSTEAD_URL, else .keystead/ here or above).",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but the answer.")
@click.option("-v", "--verbose", is_flag=True, help="Tell on stderr what happens.")
@click.pass_context
def cli(ctx: click.Context, store: str | None, as_json: bool, quiet: bool, verbose: bool) -> None:
    """keystead keeps an application's secrets and encrypts its data.

    Secrets are never taken from the command line: they come from a prompt, from stdin, or from a file.
    """
    ctx.obj = Context(store, as_json, quiet, verbose)
    if verbose or "LOG_LEVEL" in os.environ:
        logging.basicConfig(format="[%(levelname)s] %(message)s", stream=sys.stderr)
        if "LOG_LEVEL" not in os.environ:
            logging.getLogger("keystead").setLevel(logging.INFO)


def json_option(command: Any) -> Any:
    """--json, accepted behind the command as well as before it."""

    def remember(ctx: click.Context, _: click.Parameter, chosen: bool) -> None:
        if chosen:
            ctx.obj.json = True

    option = click.option(
        "--json", is_flag=True, expose_value=False, callback=remember, help="Print one JSON document."
    )
    return option(command)


pass_context = click.make_pass_decorator(Context)


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit with its code. No traceback reaches a person."""
    arguments = sys.argv[1:] if arguments is None else arguments
    warnings.simplefilter("ignore")
    if not debug():
        sys.excepthook = _unexpected
    as_json = "--json" in arguments
    try:
        code = cli.main(arguments, prog_name="keystead", standalone_mode=False)
        sys.stdout.flush()
    except KeysteadError as error:
        click.echo(rendered(error, as_json=as_json), err=True)
        sys.exit(exit_code(error))
    except click.ClickException as error:
        error.show()
        sys.exit(2 if isinstance(error, click.UsageError) else 1)
    except (click.Abort, KeyboardInterrupt):
        click.echo("\nstopped; nothing more was done", err=True)
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read our output is gone; the interpreter must not trip over it again while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    sys.exit(code if isinstance(code, int) else 0)


def _unexpected(kind: type[BaseException], _error: BaseException, _trace: object) -> None:
    click.echo(
        f"error: something that keystead does not expect: {kind.__name__}\n"
        f"  next  run it again with KEYSTEAD_DEBUG=1 and report what it prints (keystead {keystead.__version__})",
        err=True,
    )


if __name__ == "__main__":
    main()

"""The program behind the command: its options, and the one place where errors end."""

from __future__ import annotations

import sys
import warnings
from io import TextIOWrapper
from pathlib import Path

import click

import keystead
from keystead.cli import output
from keystead.cli.commands import Commands
from keystead.cli.context import Context, global_options
from keystead.cli.failures import STOPPED, exit_code, from_click, tell
from keystead.errors import FileUnavailable, KeysteadError, UsageError

_PIPE_CLOSED = 141


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 denied, 5 locked, 6 conflict, 7 integrity, "
    "8 unreachable, 9 expired, 75 try later.",
)
@global_options
def cli() -> None:
    """keystead keeps an application's secrets and encrypts its data.

    Secrets are never taken from the command line: they come from a prompt, from stdin, or from a file. Answers go to
    stdout, everything else to stderr.
    """


def run(arguments: list[str]) -> int:
    """Run the command; its exit code. No traceback reaches a person, unless KEYSTEAD_DEBUG is 1."""
    warnings.simplefilter("ignore")
    output.hold_standard_streams()
    sys.stdout = sys.stdout or output.ClosedStdout()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    context = Context()
    try:
        return _run(context, arguments)
    except BrokenPipeError:
        output.discard_stdout()
        return _PIPE_CLOSED
    except Exception as error:
        if _debug():
            raise
        tell(_unexpected(error), as_json=context.json)
        return 1


def _run(context: Context, arguments: list[str]) -> int:
    try:
        code = _invoke(context, arguments)
        sys.stdout.flush()
        return code
    except KeysteadError as error:
        if _debug():
            raise
        tell(error, as_json=context.json, acting=context.acting)
        return exit_code(error)
    except (click.Abort, KeyboardInterrupt):
        output.talk(
            output.as_document("error/1", error="stopped", why="", next="", code="") if context.json else "\nstopped"
        )
        return STOPPED
    except BrokenPipeError:
        raise
    except OSError as error:
        if _debug():
            raise
        failed = _failed(error)
        tell(failed, as_json=context.json, acting=context.acting)
        output.discard_stdout()
        return exit_code(failed)


def _invoke(context: Context, arguments: list[str]) -> int:
    try:
        with cli.make_context("keystead", list(arguments), obj=context) as ctx:
            cli.invoke(ctx)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.UsageError as error:
        # The option may stand behind the mistake, where click did not get to; what follows -- is a child's.
        own = arguments[: arguments.index("--")] if "--" in arguments else arguments
        context.json = context.json or "--json" in own
        if isinstance(error, click.exceptions.NoArgsIsHelpError):
            if not context.json:
                output.talk(error.format_message())
                return 2
            raise UsageError(
                f"{error.ctx.command_path} takes a command", hint=f"see {error.ctx.command_path} --help"
            ) from None
        raise from_click(error, _path(own)) from None
    except EOFError:
        raise click.Abort from None
    return 0


def _failed(error: OSError) -> FileUnavailable:
    try:
        Path.cwd()
    except OSError:
        return FileUnavailable("the folder that this runs in is gone", hint="cd to another one")
    hint = "check the files, and the disk or program that the output goes to"
    return FileUnavailable("cannot read the input or write the output", why=error.strerror or "", hint=hint)


def _path(arguments: list[str]) -> str:
    """The name of the command that these begin with."""
    command: click.Group = cli
    names = ["keystead"]
    for word in arguments:
        found = command.get_command(click.Context(command), word)
        if found is not None:
            names.append(found.name or word)
        if not isinstance(found, click.Group | None):
            break
        command = found or command
    return " ".join(names)


def _unexpected(error: Exception) -> KeysteadError:
    version = f"keystead {keystead.__version__}"
    return KeysteadError(
        f"something went wrong that keystead does not expect ({type(error).__name__})",
        hint=f"run it again with KEYSTEAD_DEBUG=1 and report what it prints ({version})",
    )


def _debug() -> bool:
    from keystead.node.settings import environment

    return environment().get("KEYSTEAD_DEBUG") == "1"

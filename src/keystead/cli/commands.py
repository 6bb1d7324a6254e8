"""Groups of commands: imported when called, with aliases, and with a hint for a name that is none."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final

import click

# Each command's module is imported when it is called, so that `get` does not pay for `restore`.
HOMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "init": "init:init",
        "generate-master-key": "init:generate_master_key",
        "set": "secrets:set_command",
        "get": "secrets:get",
        "list": "secrets:list_command",
        "history": "secrets:history",
        "rotate": "rotation:rotate",
        "rm": "rotation:rm",
        "run": "run:run",
        "env": "env:env",
        "encrypt": "data:encrypt",
        "decrypt": "data:decrypt",
        "key": "key:key",
        "keys": "keys:keys",
        "slots": "slots:slots",
        "rekey": "rekey:rekey",
        "backup": "backup:backup",
        "restore": "backup:restore",
        "audit": "audit:audit",
        "sessions": "sessions:sessions",
        "policy": "policy:policy",
        "grant": "grants:grant",
        "login": "login:login",
        "logout": "login:logout",
        "whoami": "login:whoami",
        "token": "tokens:token",
        "user": "accounts:user",
        "role": "accounts:role",
        "auth": "auth_methods:auth",
        "up": "up:up",
        "serve": "serve:serve",
        "doctor": "doctor:doctor",
        "config": "doctor:config",
        "status": "status:status",
        "version": "status:version",
    }
)
ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ls": "list",
        "put": "set",
        "write": "set",
        "read": "get",
        "delete": "rm",
        "remove": "rm",
        "exec": "run",
        "keygen": "generate-master-key",
    }
)
VERB_ALIASES: Final[Mapping[str, str]] = MappingProxyType({"ls": "list", "rm": "remove", "delete": "remove"})
_HABIT: Final = "kv"
"""What people of other tools put before `get` and `put`."""
_SHOWN: Final = 40


class Verbs(click.Group):
    """The verbs of one noun."""

    aliases: Mapping[str, str] = VERB_ALIASES

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name or alias."""
        return super().get_command(ctx, cmd_name) or super().get_command(ctx, self.aliases.get(cmd_name, cmd_name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of the first argument; a hint where there is none."""
        name = args[0]
        command = self.get_command(ctx, name)
        if command is not None:
            return command.name, command, args[1:]
        if name.startswith("-"):
            return super().resolve_command(ctx, args)
        there = self.list_commands(ctx)
        known = [*there, *(alias for alias, meant in self.aliases.items() if meant in there)]
        close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)
        shown = "".join(character if character.isprintable() else "?" for character in name[:_SHOWN])
        hint = f"did you mean {ctx.command_path} {close[0]}?" if close else f"see {ctx.command_path} --help"
        raise click.UsageError(f"there is no command {shown!r}\n{hint}", ctx)


class Commands(Verbs):
    """All commands."""

    aliases = ALIASES

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names in the order of the table."""
        return list(HOMES)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of the first argument, a `kv` in front of it passed over; a hint where there is none."""
        passed_over = args[0] == _HABIT and len(args) > 1 and not args[1].startswith("-")
        return super().resolve_command(ctx, args[1:] if passed_over else args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """The command of a name or alias."""
        home = HOMES.get(ALIASES.get(cmd_name, cmd_name))
        if home is None:
            return None
        module, _, attribute = home.partition(":")
        command: Any = getattr(import_module(f"keystead.cli.{module}"), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{home} is no command")
        return command

"""From an error to what a person reads and what a script tests."""

from __future__ import annotations

import sys
from typing import Final

import click

from keystead import errors
from keystead.cli import output

STOPPED: Final = 130
_VERSION: Final = ("--version", "-V")
# The first class that fits decides; more special ones stand before their bases.
EXIT_CODES: Final[tuple[tuple[type[Exception], int], ...]] = (
    (errors.UsageError, 2),
    (errors.StoreNotFound, 3),
    (errors.NotFound, 3),
    (errors.SecretDeleted, 3),
    (errors.Denied, 4),
    (errors.SessionEnded, 4),
    (errors.AuthenticationFailed, 4),
    (errors.LockedOut, 4),
    (errors.Sealed, 5),
    (errors.MasterKeyMissing, 5),
    (errors.MasterKeyInvalid, 5),
    (errors.WrongMasterKey, 5),
    (errors.Conflict, 6),
    (errors.DataError, 7),
    (errors.SecretExpired, 9),
    (errors.StoreBusy, 75),
    (errors.OutcomeUnknown, 75),
    (errors.StoreUnavailable, 8),
    (errors.AuditUnavailable, 8),
    (errors.ServerUnavailable, 8),
)


def exit_code(error: Exception) -> int:
    """0 ok, 1 failed, 2 usage, 3 not found, 4 denied, 5 locked, 6 conflict, 7 integrity, 8 unreachable, 9 expired, 75
    try later."""
    return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), 1)


def rendered(error: errors.KeysteadError, *, as_json: bool, acting: str = "") -> str:
    """What happened, why, what next, the code, and who acted by an access token; never a value."""
    fields = {"why": error.why, "next": error.hint, "code": error.code}
    if isinstance(error, errors.OutcomeUnknown):
        fields["operation"] = error.operation_id
    if acting:
        fields["as"] = acting
    if as_json:
        return output.as_document("error/1", error=error.message, **fields)
    lines = [f"error: {error.message}"]
    lines += [f"  {name:<5} {text}" for name, text in fields.items() if text]
    # What a person gave, such as a path, may hold what a terminal would obey.
    return "\n".join("".join(each if each.isprintable() else "?" for each in line) for line in lines)


def tell(error: errors.KeysteadError, *, as_json: bool, acting: str = "") -> None:
    """The error on stderr: for a person, or as a document."""
    text = rendered(error, as_json=as_json, acting=acting)
    if not as_json:
        text = text.replace("error:", output.emphasis("error:", sys.stderr, fg="red", bold=True), 1)
    output.talk(text)


def from_click(error: click.UsageError, path: str) -> errors.UsageError:
    """What click found wrong with the command line, in our form; `path` is the command's name where click has none.

    Nothing is repeated that may be a secret which was typed in the wrong place.
    """
    path = error.ctx.command_path if error.ctx is not None else path
    hint = f"see {path} --help"
    if isinstance(error, click.NoSuchOption):
        if error.option_name in _VERSION:
            return errors.UsageError(f"{path} has no such option", hint="keystead version")
        near = f"did you mean {' or '.join(sorted(error.possibilities))}? " if error.possibilities else ""
        return errors.UsageError(f"{path} has no such option", hint=near + hint)
    message, _, said = error.format_message().rstrip(".").partition("\n")
    message = message.replace("integer range", "integer")
    if "unexpected extra argument" in message:
        message = f"{path} was given more arguments than it takes"
    return errors.UsageError(message[:1].lower() + message[1:], hint=said or hint)

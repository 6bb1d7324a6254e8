"""Sessions: list, revoke."""

from __future__ import annotations

from typing import Any

import click

from keystead.cli import output
from keystead.cli.commands import Verbs
from keystead.cli.context import Context, global_options, pass_context

_RECORDS = 10_000


@click.group(cls=Verbs)
@global_options
def sessions() -> None:
    """Sessions: who acts on the store, and ending one."""


@sessions.command("list")
@global_options
@pass_context
def list_command(context: Context) -> None:
    """List the sessions that acted of late.

    They are those that the last 10,000 audit records tell of, the last to act first. No master key is needed.
    """
    found: dict[str, dict[str, Any]] = {}
    for item in reversed(context.log_entries(_RECORDS)):
        record = item.record
        if record.session and not record.principal.startswith("system:"):
            known = found.setdefault(
                record.session,
                {
                    "id": record.session,
                    "principal": record.principal,
                    "node": record.node,
                    "last_ms": record.time_ms,
                    "records": 0,
                },
            )
            known["records"] += 1
            known["first_ms"] = record.time_ms
    if context.json:
        output.document("sessions/1", sessions=list(found.values()))
        return
    output.table(
        ("SESSION", "PRINCIPAL", "NODE", "FIRST RECORD", "LAST RECORD"),
        [
            (
                each["id"],
                each["principal"],
                each["node"],
                output.moment(each["first_ms"]),
                output.moment(each["last_ms"]),
            )
            for each in found.values()
        ],
    )


@sessions.command("revoke")
@click.argument("session", metavar="SESSION")
@global_options
@pass_context
def revoke(context: Context, session: str) -> None:
    """End a session of any process on the store.

    The process sees it within one second.
    """
    with context.kms() as kms:
        kms.revoke_session(session)
    if context.json:
        output.document("session/1", id=session, revoked=True)
    else:
        context.say(f"session {session} is revoked")

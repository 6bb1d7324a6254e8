"""status and version."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

import keystead
from keystead.cli import output
from keystead.cli.context import Context, global_options, pass_context

if TYPE_CHECKING:
    from keystead.services.status import Status


@click.command()
@global_options
@pass_context
def status(context: Context) -> None:
    """Show the store, keys, secrets and log in figures."""
    with context.kms() as kms:
        found = kms.get_status()
    if context.json:
        fields = found.as_dict()
        # In every document `schema` names the document's own form.
        fields["store_schema"] = fields.pop("schema")
        output.document("status/1", **fields)
        return
    for name, text in _rows(found):
        terminal = output.is_terminal(sys.stdout)
        click.echo(f"{output.emphasis(name.ljust(12))}  {text}" if terminal else f"{name}\t{text}")
    if len(found.slots) < 2:
        context.say("note: only one key slot; with its key everything is lost. keystead slots add --recovery-file FILE")


def _rows(found: Status) -> list[tuple[str, str]]:
    head = found.audit_head
    keys = f"{found.data_keys_count}, of which {found.active_data_keys} active"
    rows = [
        ("store", found.store),
        ("store id", found.store_id),
        ("key slots", ", ".join(f"{slot['label']} ({slot['id']})" for slot in found.slots)),
        ("data keys", f"{keys}; the oldest is {output.age(found.oldest_data_key_age_ms)} old"),
        ("rotation due", found.rotation_due or "no"),
        ("secrets", f"{found.secrets_count}, of which {found.expired_secrets_count} expired"),
        ("audit log", f"chain {head['chain']}, {head['count']} records, head {str(head['hash'])[:16]}"),
    ]
    if not found.store_answers:
        rows.append(("warning", "the store does not answer"))
    return rows


@click.command()
@global_options
@pass_context
def version(context: Context) -> None:
    """Print the version."""
    if context.json:
        output.document("version/1", version=keystead.__version__)
    else:
        click.echo(keystead.__version__)

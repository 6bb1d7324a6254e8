"""The audit log: tail, verify, accept-rollback."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from keystead.cli import entry, output
from keystead.cli.commands import Verbs
from keystead.cli.context import Context, global_options, pass_context
from keystead.errors import RollbackDetected, UsageError

if TYPE_CHECKING:
    from keystead.audit.reader import LogEntry
    from keystead.audit.report import ChainReport, Report

_LONG = ("mac", "signature", "frontier")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@click.group(cls=Verbs)
@global_options
def audit() -> None:
    """The log of all that was done with the store."""


@audit.command("tail")
@click.option("-n", "--lines", default=20, show_default=True, type=click.IntRange(0, 100_000), help="How many records.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on, until Ctrl-C.")
@click.option("--jsonl", is_flag=True, help="One line of JSON a record; what --json means with --follow.")
@global_options
@pass_context
def tail(context: Context, lines: int, follow: bool, jsonl: bool) -> None:
    """Print the last records of the log, oldest first. No master key is needed, and nothing is verified."""
    if context.json and not (follow or jsonl):
        output.document("audit-tail/1", records=[_fields(item) for item in context.log_entries(lines)])
        return
    as_json = jsonl or context.json
    for item in context.following_log(lines) if follow else context.log_entries(lines):
        click.echo(json.dumps(_fields(item)) if as_json else _line(item))


def _fields(item: LogEntry) -> dict[str, Any]:
    return {"chain": item.chain, "index": item.index, **json.loads(item.record.content())}


def _line(item: LogEntry) -> str:
    record = item.record
    detail = (f"{name}={_DIGEST.sub(_begun, str(value))}" for name, value in record.detail.items() if name not in _LONG)
    parts = [output.moment(record.time_ms), record.event, record.target, record.principal, *detail]
    if record.outcome != "success":
        parts.insert(2, record.outcome.upper())
    return "".join(character if character.isprintable() else "?" for character in " ".join(parts))


def _begun(digest: re.Match[str]) -> str:
    return f"{digest[0][:16]}..."


@audit.command("verify")
@click.option("--without-key", is_flag=True, help="Check form, links, heads and numbers; no master key is needed.")
@click.option("--public-key", metavar="HEX", help="Check the signatures by this key too; no master key is needed.")
@global_options
@pass_context
def verify(context: Context, without_key: bool, public_key: str | None) -> None:
    """Verify the log, and the store against it.

    Every record, link and checkpoint is checked, and that no change of the store lacks its record. The exit code is 7
    where something is wrong, and the first bad record is named.
    """
    from keystead.services.audit_operations import verify_without_keys

    signer, own = public_key, ""
    if without_key or public_key is not None:
        report = verify_without_keys(context.store, public_key=_public_key(public_key))
    else:
        with context.kms() as kms:
            report, signer = kms.audit.verify(), kms.audit.public_key().hex()
            own = "" if context.is_at_server else kms.node.journal.chain
    if context.json:
        _document(report, signer)
    else:
        _print(context, report, signer, own)
    report.require_ok()


def _public_key(text: str | None) -> bytes | None:
    try:
        key = None if text is None else bytes.fromhex(text)
    except ValueError:
        key = b""
    if key is not None and len(key) != 32:
        raise UsageError("--public-key is not 32 bytes in hexadecimal", hint="keystead audit verify prints it")
    return key


def _document(report: Report, signer: str | None) -> None:
    chains = [
        {
            "chain": chain.head.chain,
            "status": chain.status.value,
            "records": chain.head.count,
            "head": chain.head.hash,
            "checkpoints": chain.checkpoints,
            "open_since_ms": chain.since_ms,
            "torn_bytes": chain.torn,
        }
        for chain in report.chains
    ]
    output.document(
        "audit-verify/1",
        ok=report.ok,
        checked=report.checked,
        records=report.records,
        pending=report.pending,
        digest=report.digest,
        public_key=signer,
        chains=chains,
        problems=[asdict(problem) for problem in report.problems],
    )


def _print(context: Context, report: Report, signer: str | None, own: str) -> None:
    rows = [
        (
            chain.head.chain,
            _end(chain, own),
            str(chain.head.count),
            str(chain.checkpoints),
            chain.head.hash[:16] or "-",
        )
        for chain in report.chains
    ]
    output.table(("CHAIN", "ENDS", "RECORDS", "CHECKPOINTS", "HEAD"), rows)
    for problem in report.problems:
        context.say(f"wrong: {problem}")
    if report.ok:
        context.say(f"verified {report.records} records by {report.checked}; the log's digest is {report.digest[:16]}")
    if signer is not None:
        context.say(f"the public key is {signer}")


def _end(chain: ChainReport, own: str) -> str:
    if chain.status == "open" and chain.head.chain == own:
        return "open, by this command"
    return chain.status.value + (f" since {output.moment(chain.since_ms)}" if chain.since_ms is not None else "")


@audit.command("accept-rollback")
@click.option("--yes", is_flag=True, help="Do not ask.")
@global_options
@pass_context
def accept_rollback(context: Context, yes: bool) -> None:
    """Go on with a store that is older than its log.

    An old copy was put back on purpose. This is recorded.
    """
    if context.is_at_server:
        raise UsageError(
            "accept-rollback works only on the machine of the store", hint="stop the server, and run it there"
        )
    try:
        with context.kms():
            accepted = False
    except RollbackDetected as error:
        context.say(error.message)
        entry.confirm("What was stored after the old copy was made is gone", "accept-rollback", yes=yes)
        with context.kms(accept_rollback=True):
            accepted = True
    if context.json:
        output.document("audit-accept-rollback/1", accepted=accepted)
    elif accepted:
        context.say("the rollback is accepted, and recorded")
    else:
        context.say("the store is not older than its log; nothing was changed")

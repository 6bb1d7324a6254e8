"""The audit log: tail, verify, accept-rollback."""

from __future__ import annotations

import json
import threading

import click

from keystead.audit.reader import LogEntry
from keystead.audit.report import Report
from keystead.cli import entry, output
from keystead.cli.main import Context, json_option, pass_context


@click.group()
def audit() -> None:
    """The log of what happened to the store."""


def _line(item: LogEntry) -> str:
    record = item.record
    shown = {"size": record.detail["size"]} if "frontier" in record.detail else record.detail
    details = " ".join(f"{name}={value}" for name, value in shown.items())
    outcome = "" if record.outcome == "success" else f" {record.outcome}"
    line = f"{output.moment(record.time_ms)} {record.event}{outcome} {record.target} {record.principal} {details}"
    return "".join(character if character.isprintable() else "?" for character in line.rstrip())


def _object(item: LogEntry) -> str:
    return json.dumps({"chain": item.chain, "index": item.index, **json.loads(item.record.content())})


@audit.command("tail")
@click.option("-n", "--lines", default=20, show_default=True, type=click.IntRange(1, 100_000), help="How many records.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on.")
@json_option
@pass_context
def tail(context: Context, lines: int, follow: bool) -> None:
    """Print the last records of the log, oldest first. No master key is needed.

    With --json each record is one line of JSON.
    """
    from keystead.services.audit_operations import follow_log, read_log

    show = _object if context.json else _line
    for item in read_log(context.store, lines):
        click.echo(show(item))
    if follow:
        for item in follow_log(context.store, threading.Event()):
            click.echo(show(item))


@audit.command("verify")
@click.option("--without-key", is_flag=True, help="Check links, heads and numbers only; no master key is needed.")
@click.option("--public-key", metavar="HEX", help="Check signatures by this key; no master key is needed.")
@json_option
@pass_context
def verify(context: Context, without_key: bool, public_key: str | None) -> None:
    """Verify the log: every record, link and checkpoint, and that no change of the store lacks its record."""
    from keystead.errors import UsageError
    from keystead.services.audit_operations import verify_without_keys

    if without_key or public_key:
        try:
            key = bytes.fromhex(public_key) if public_key else None
        except ValueError:
            raise UsageError("--public-key is not hexadecimal") from None
        report = verify_without_keys(context.store, public_key=key)
        signer = public_key
    else:
        with context.connect() as store:
            report = store.kms.audit.verify()
            signer = store.kms.audit.public_key().hex()
    _show(context, report, signer)
    report.require_ok()


def _show(context: Context, report: Report, signer: str | None) -> None:
    if context.json:
        output.as_json(
            "audit-verify/1",
            ok=report.ok,
            checked=report.checked,
            records=report.records,
            pending=report.pending,
            public_key=signer,
            digest=report.digest,
            chains=[
                {
                    "chain": chain.head.chain,
                    "status": chain.status.value,
                    "records": chain.head.count,
                    "head": chain.head.hash,
                    "checkpoints": chain.checkpoints,
                    "open_since_ms": chain.since_ms,
                }
                for chain in report.chains
            ],
            problems=[str(problem) for problem in report.problems],
        )
    else:
        for chain in report.chains:
            since = f" since {output.moment(chain.since_ms)}" if chain.since_ms is not None else ""
            click.echo(
                f"chain {chain.head.chain}  {chain.head.count} records, {chain.checkpoints} checkpoints, "
                f"{chain.status.value}{since}"
            )
        for problem in report.problems:
            click.echo(f"problem  {problem}")
        click.echo(
            f"{'ok' if report.ok else 'NOT OK'}: {report.records} records checked by {report.checked}, "
            f"head {report.digest[:16]}"
        )
        if signer:
            context.say(f"public key {signer}")


@audit.command("accept-rollback")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_context
def accept_rollback(context: Context, yes: bool) -> None:
    """Go on with a store that is older than its log: an old copy was put back on purpose. This is recorded."""
    entry.confirm("What was stored after the old copy was made is lost for good", "accept-rollback", yes=yes)
    with context.connect(accept_rollback=True):
        pass
    context.say("the rollback is accepted and recorded")

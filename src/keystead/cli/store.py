"""The store itself: its key, its making, its status, its sessions."""

from __future__ import annotations

import sys
from pathlib import Path

import click

import keystead
from keystead.cli import entry, output
from keystead.cli.main import Context, json_option, pass_context


@click.command("generate-master-key")
@json_option
@pass_context
def generate_master_key_command(context: Context) -> None:
    """Print a fresh master key as a line for the environment: KMS_MASTER_KEY=..."""
    key = keystead.generate_master_key()
    if context.json:
        output.as_json("master-key/1", KMS_MASTER_KEY=key)
    else:
        click.echo(f"KMS_MASTER_KEY={key}")


@click.command()
@click.argument("folder", default=".", type=click.Path(path_type=Path, file_okay=False))
@click.option("--passphrase", is_flag=True, help="Open the store by a passphrase in place of a master key.")
@click.option("--passphrase-file", type=click.Path(path_type=Path), help="Take the passphrase from this file.")
@click.option("--recovery-file", type=click.Path(path_type=Path), help="Write the recovery kit to this file.")
@click.option("--no-recovery-kit", is_flag=True, help="Make no recovery kit.")
@click.option(
    "--recover", "kit", type=click.Path(path_type=Path), help="Open the store by this kit; make a new master key."
)
@click.option("--key-file", type=click.Path(path_type=Path), help="With --recover: where the new master key goes.")
@click.option("--dev", is_flag=True, help="Allow the kit in the store's folder, for a trial.")
@json_option
@pass_context
def init(
    context: Context,
    folder: Path,
    passphrase: bool,
    passphrase_file: Path | None,
    recovery_file: Path | None,
    no_recovery_kit: bool,
    kit: Path | None,
    key_file: Path | None,
    dev: bool,
) -> None:
    """Make a store in FOLDER/.keystead (default: here). A second time changes nothing.

    The master key is taken from where keystead looks for one (KMS_MASTER_KEY, KMS_MASTER_KEY_FILE, .env), else made
    and put into .keystead/master.key. The recovery kit, a second way in, is shown once.
    """
    from keystead.errors import UsageError
    from keystead.services import setup

    if kit is not None:
        _recover(context, folder, kit, key_file)
        return
    there = setup.existing_store(folder)
    if there is not None:
        _say_existing(context, there)
        return
    if recovery_file is None and not no_recovery_kit and not sys.stderr.isatty():
        raise UsageError(
            "there is no terminal to show the recovery kit on", hint="give --recovery-file PATH, or --no-recovery-kit"
        )
    credential = entry.new_passphrase("the store", file=passphrase_file) if passphrase or passphrase_file else None
    made = setup.make_store(
        folder, credential=credential, with_kit=not no_recovery_kit, kit_file=recovery_file, dev=dev
    )
    if context.json:
        output.as_json(
            "init/1",
            created=True,
            database=str(made.database),
            key=made.key_source,
            recovery_file=str(made.kit_file.absolute()) if made.kit_file else None,
        )
    else:
        _tell(context, made.database, made.key_source, made.key_beside_store, made.kit_file)
    if made.kit is not None:
        click.echo("\n" + made.kit, err=True)


def _recover(context: Context, folder: Path, kit: Path, key_file: Path | None) -> None:
    from keystead.services import setup

    path, slot = setup.recover(folder, setup.read_kit(kit), key_file)
    if context.json:
        output.as_json("init/1", recovered=True, key=path, slot=slot)
        return
    context.say(f"The store was opened by its recovery kit. A new master key is in {path} (slot {slot}).")
    context.say("Next: keystead slots list, and remove the slot of the lost key.")


def _say_existing(context: Context, database: Path) -> None:
    if context.json:
        output.as_json("init/1", created=False, database=str(database))
    else:
        context.say(f"there is a store at {database}; nothing was changed")


def _tell(context: Context, database: Path, source: str, beside: bool, kit_file: Path | None) -> None:
    context.say(f"store      {database}")
    context.say(f"key        {source}")
    if beside:
        context.say(
            "           It lies beside the data: fine for a trial. Elsewhere, give KMS_MASTER_KEY and move it away."
        )
    if kit_file is not None:
        context.say(f"recovery   {kit_file.absolute()}  (move it off this machine)")
    context.say("next       keystead set NAME, keystead env import .env, keystead run -- CMD")


@click.command()
@json_option
@pass_context
def status(context: Context) -> None:
    """Show the store's keys, secrets, sessions, cache and audit log, in figures."""
    with context.connect() as store:
        found = store.kms.get_status()
    if context.json:
        output.as_json("status/1", **found.as_dict())
        return
    head = found.audit_head
    rows = [
        ("store", found.store),
        ("store id", found.store_id),
        ("schema", str(found.schema)),
        ("key slots", ", ".join(f"{slot['label']} ({slot['kind']})" for slot in found.slots)),
        (
            "data keys",
            f"{found.data_keys_count}, {found.active_data_keys} active, "
            f"oldest {output.age(found.oldest_data_key_age_ms)}",
        ),
        ("rotation due", found.rotation_due or "no"),
        ("secrets", f"{found.secrets_count}, {found.expired_secrets_count} expired"),
        ("audit head", f"chain {head['chain']}, {head['count']} records, {head['hash'][:16]}"),
        ("session", found.session),
    ]
    for name, text in rows:
        click.echo(f"{output.emphasis(name.ljust(13))} {text}")
    if len(found.slots) < 2:
        context.say("note: one key slot only; losing its key loses everything. keystead slots add --recovery-file PATH")


@click.command()
@json_option
@pass_context
def version(context: Context) -> None:
    """Print the version."""
    if context.json:
        output.as_json("version/1", version=keystead.__version__)
    else:
        click.echo(keystead.__version__)


@click.group()
def sessions() -> None:
    """Sessions on the store."""


@sessions.command("revoke")
@click.argument("session_id")
@pass_context
def revoke(context: Context, session_id: str) -> None:
    """End a session of any process on the store; it sees that within one second."""
    with context.connect() as store:
        store.kms.revoke_session(session_id)
    context.say(f"session {session_id} is revoked")


@sessions.command("list")
@json_option
@pass_context
def list_sessions(context: Context) -> None:
    """List the sessions that the audit log's last 1,000 records tell of."""
    from keystead.services.audit_operations import read_log

    seen: dict[str, tuple[str, int]] = {}
    for item in read_log(context.store, 1000):
        record = item.record
        if record.session:
            seen[record.session] = (record.principal, record.time_ms)
    if context.json:
        output.as_json(
            "sessions/1", sessions=[{"id": key, "principal": who, "last_ms": ms} for key, (who, ms) in seen.items()]
        )
        return
    output.table(
        ("SESSION", "PRINCIPAL", "LAST RECORD"), [(key, who, output.moment(ms)) for key, (who, ms) in seen.items()]
    )

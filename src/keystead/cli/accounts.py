"""Users and roles."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Any

import click

from keystead.cli import entry, output
from keystead.cli.commands import Verbs
from keystead.cli.context import Context, every, global_options, pass_context
from keystead.cli.login import CODE, typed
from keystead.cli.tokens import refuse_credential, rules_options


@click.group(cls=Verbs)
@global_options
def user() -> None:
    """Users: people who log in by a password."""


@user.command("create")
@click.argument("name")
@rules_options
@click.option("--require-second-factor", is_flag=True, help="It logs in by a password and a code only.")
@global_options
@pass_context
def create_user(context: Context, /, name: str, **rules: Any) -> None:
    """Make a user. The password is asked for, or comes on stdin."""
    from keystead.access.words import check_identity

    check_identity(name, "user")
    password = typed(f"Password of {name}", confirm=True)
    with context.kms() as kms:
        made = kms.identities.create_user(name, password, **rules)
    if context.json:
        output.document("user/1", **_flat(made))
    else:
        context.say(f"user {name} can log in: keystead login {name}")


@user.command("passwd")
@click.argument("name")
@global_options
@pass_context
def passwd(context: Context, name: str) -> None:
    """Give a user another password. That ends its access tokens and its lock too."""
    from keystead.access.words import check_identity

    check_identity(name, "user")
    password = typed(f"New password of {name}", confirm=True)
    with context.kms() as kms:
        changed = kms.identities.set_password(name, password)
    if context.json:
        output.document("user/1", **_flat(changed))
    else:
        context.say(f"user {name} has another password, and its access tokens have ended")


@user.command("enroll")
@click.argument("name")
@click.option("--require", is_flag=True, help="It logs in with a code only, from now on.")
@global_options
@pass_context
def enroll(context: Context, name: str, require: bool) -> None:
    """Make a second factor for a user and print it, once. It counts after `keystead user confirm`.

    What is printed is for an authenticator app: the otpauth:// text as a QR code, or the secret in it by hand.
    """
    with context.kms() as kms:
        made = kms.identities.enroll_second_factor(name, require=True if require else None)
    if context.json:
        output.document("second-factor/1", name=name, secret=made.reveal(), uri=made.reveal_uri())
    else:
        click.echo(made.reveal_uri())
        context.say(f"put it into the app of {name}, and confirm it by a first code: keystead user confirm {name}")


@user.command("confirm")
@click.argument("name")
@global_options
@pass_context
def confirm_factor(context: Context, name: str) -> None:
    """Make what was enrolled a user's second factor. A first code of it is asked for, or comes on stdin."""
    code = typed(CODE)
    with context.kms() as kms:
        changed = kms.identities.confirm_second_factor(name, code)
    if context.json:
        output.document("user/1", **_flat(changed))
    else:
        context.say(f"user {name} logs in with a code from now on: keystead login {name} --code")


@user.command("unenroll")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@global_options
@pass_context
def unenroll(context: Context, name: str, yes: bool) -> None:
    """Remove the second factor of a user. Whoever must have one does not log in until there is another."""
    with context.kms() as kms:
        kms.identities.read_user(name)
        entry.confirm(f"The second factor of user {name} will be none any more", name, yes=yes)
        changed = kms.identities.remove_second_factor(name)
    if context.json:
        output.document("user/1", **_flat(changed))
    else:
        context.say(f"user {name} has no second factor")


@user.command("list")
@global_options
@pass_context
def list_users(context: Context) -> None:
    """List the users."""
    with context.kms() as kms:
        found = every(kms.identities.list_users)
    if context.json:
        output.document("user-list/1", users=[_flat(each) for each in found])
        return
    head = ("USER", "POLICIES", "MADE", "SECOND FACTOR", "LOCKED UNTIL")
    rows = [
        (
            each.name,
            _policies(each),
            output.moment(each.created_ms),
            "yes" if each.second_factor_ms else "required" if each.require_second_factor else "-",
            output.moment(each.locked_until_ms),
        )
        for each in found
    ]
    output.table(head, rows)


@user.command("remove")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@global_options
@pass_context
def remove_user(context: Context, name: str, yes: bool) -> None:
    """Remove a user, and end its access tokens."""
    with context.kms() as kms:
        kms.identities.read_user(name)
        entry.confirm(f"User {name} will log in no more, and its access tokens end", name, yes=yes)
        kms.identities.delete_user(name)
    if context.json:
        output.document("user/1", name=name, removed=True)
    else:
        context.say(f"user {name} is removed")


@click.group(cls=Verbs)
@global_options
def role() -> None:
    """Roles, which machines log in to by secret ids."""


@role.command("create")
@click.argument("name")
@rules_options
@click.option("--secret-id-ttl", metavar="LENGTH", help="How long its secret ids can be used at most.")
@click.option("--secret-id-uses", type=click.IntRange(1), metavar="N", help="How often at most.")
@click.option("--login-network", "login_networks", multiple=True, metavar="CIDR", help="From where it logs in.")
@click.option("--role-id", metavar="ID", help="Its role id (default: a new one).")
@global_options
@pass_context
def create_role(context: Context, /, name: str, **given: Any) -> None:
    """Make a role and print its role id."""
    with context.kms() as kms:
        made = kms.identities.create_role(name, **given)
    if context.json:
        output.document("role/1", **_flat(made))
    else:
        click.echo(made.role_id)


@role.command("secret-id")
@click.argument("name")
@click.option("--ttl", metavar="LENGTH", help="How long it can be used.")
@click.option("--uses", type=click.IntRange(1), metavar="N", help="How often.")
@click.option("--network", "networks", multiple=True, metavar="CIDR", help="From where; again for more.")
@click.option("--meta", multiple=True, metavar="KEY=VALUE", help="What is noted with it; again for more.")
@global_options
@pass_context
def secret_id(context: Context, /, name: str, meta: tuple[str, ...], **given: Any) -> None:
    """Make a secret id of a role and print it, once."""
    with context.kms() as kms:
        made = kms.identities.create_secret_id(name, meta=entry.pairs(meta, "--meta"), **given)
    if context.json:
        output.document("secret-id/1", secret_id=made.reveal(), **asdict(made.info))
    else:
        click.echo(made.reveal())


@role.command("secret-ids")
@click.argument("name")
@click.option("--destroy", metavar="ACCESSOR", help="Remove this one.")
@global_options
@pass_context
def secret_ids(context: Context, name: str, destroy: str | None) -> None:
    """List the secret ids of a role. They go by their accessors, by which one can be removed too."""
    refuse_credential(destroy, "a secret id")
    with context.kms() as kms:
        if destroy is not None:
            kms.identities.destroy_secret_id(name, destroy)
        found = every(partial(kms.identities.list_secret_ids, name))
    if context.json:
        output.document("secret-id-list/1", role=name, secret_ids=[asdict(each) for each in found])
        return
    rows = [
        (
            each.accessor,
            output.moment(each.created_ms),
            output.moment(each.expires_ms),
            "-" if each.uses_left is None else str(each.uses_left),
        )
        for each in found
    ]
    output.table(("ACCESSOR", "MADE", "UNTIL", "USES LEFT"), rows)


@role.command("list")
@global_options
@pass_context
def list_roles(context: Context) -> None:
    """List the roles."""
    with context.kms() as kms:
        found = every(kms.identities.list_roles)
    if context.json:
        output.document("role-list/1", roles=[_flat(each) for each in found])
        return
    rows = [(each.name, each.role_id, _policies(each), output.moment(each.created_ms)) for each in found]
    output.table(("ROLE", "ROLE ID", "POLICIES", "MADE"), rows)


@role.command("remove")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@global_options
@pass_context
def remove_role(context: Context, name: str, yes: bool) -> None:
    """Remove a role with its secret ids, and end its access tokens."""
    with context.kms() as kms:
        kms.identities.read_role(name)
        entry.confirm(f"Role {name} will log in no more, and its access tokens end", name, yes=yes)
        kms.identities.delete_role(name)
    if context.json:
        output.document("role/1", name=name, removed=True)
    else:
        context.say(f"role {name} is removed")


def _policies(account: Any) -> str:
    return ",".join(account.rules.policies) or "-"


def _flat(account: Any) -> dict[str, Any]:
    """The fields of a user or role, with what its tokens are given by name."""
    found = {name: getattr(account, name) for name in account.__dataclass_fields__}
    return found | {"rules": found["rules"]._asdict()}

"""Policies: write, read, list, remove; and trying what they say."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from keystead.cli import entry, output
from keystead.cli.commands import Verbs
from keystead.cli.context import Context, every, global_options, pass_context
from keystead.errors import UsageError

if TYPE_CHECKING:
    from keystead.access.explain import Explanation
    from keystead.access.stored import PolicyInfo
    from keystead.services.policy_operations import Circumstances

_LIMIT: Final = 65_537
_DENIED: Final = 4


def circumstances(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say what a trial supposes; the command gets them as one `supposed`."""

    def option(*names: str, **how: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        return click.option(*names, **how)

    for names, how in (
        (("--at",), {"metavar": "TIME", "help": "The moment, such as 2026-11-24T08:00:00Z (default: now)."}),
        (("--context",), {"multiple": True, "metavar": "KEY=VALUE", "help": "One pair of the encryption context."}),
        (("--tag",), {"multiple": True, "metavar": "KEY=VALUE", "help": "A tag of the resource."}),
        (("--mfa-age",), {"metavar": "LENGTH", "help": "How long ago a second factor was shown (default: never)."}),
        (("--source",), {"default": "", "metavar": "ADDRESS", "help": "Where the session comes from."}),
        (("--method",), {"default": "local", "metavar": "METHOD", "help": "How the session was proved."}),
    ):
        command = option(*names, **how)(command)
    return command


def _supposed(given: dict[str, Any]) -> Circumstances:
    from keystead.services.policy_operations import Circumstances

    return Circumstances(
        given["method"],
        given["source"],
        given["mfa_age"],
        entry.pairs(given["tag"], "--tag") if given["tag"] else None,
        entry.pairs(given["context"], "--context") if given["context"] else None,
        given["at"],
    )


def _document(place: str) -> str:
    data = entry.stdin().read(_LIMIT) if place == "-" else entry.read_file(Path(place), _LIMIT)
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise UsageError("the policy is not UTF-8 text", hint="give a file of JSON") from None


@click.group(cls=Verbs)
@global_options
def policy() -> None:
    """Policies: who may do what."""


@policy.command("write")
@click.argument("name")
@click.argument("file", metavar="FILE|-")
@click.option("--expected-version", type=int, help="Fail unless this is the version (0: it must not exist).")
@global_options
@pass_context
def write(context: Context, name: str, file: str, expected_version: int | None) -> None:
    """Write a policy from a file of JSON. It takes the place of the one of its name; - is stdin."""
    document = _document(file)
    with context.kms() as kms:
        written = kms.policies.write(name, document, expected_version=expected_version)
    if context.json:
        output.document("policy/1", **asdict(written))
    else:
        context.say(f"policy {written.name} is at version {written.version}")


@policy.command("read")
@click.argument("name")
@global_options
@pass_context
def read(context: Context, name: str) -> None:
    """Print what a policy says, as JSON."""
    with context.kms() as kms:
        found = kms.policies.read(name)
    if context.json:
        output.document("policy/1", **asdict(found))
    else:
        click.echo(json.dumps(found.document, indent=2))


@policy.command("list")
@global_options
@pass_context
def list_command(context: Context) -> None:
    """List the policies in the order of their names."""
    with context.kms() as kms:
        found: list[PolicyInfo] = every(kms.policies.list)
    if context.json:
        output.document("policies/1", policies=[asdict(one) for one in found])
        return
    output.table(
        ("NAME", "VERSION", "CHANGED", "STATEMENTS", "DESCRIPTION"),
        [
            (one.name, str(one.version), output.moment(one.updated_ms), str(one.statements), one.description or "-")
            for one in found
        ],
    )


@policy.command("remove")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@global_options
@pass_context
def remove(context: Context, name: str, yes: bool) -> None:
    """Remove a policy: it allows nothing any more, and denies nothing."""
    from keystead.access.stored import check_policy_name

    check_policy_name(name)
    with context.kms() as kms:
        entry.confirm(f"Policy {name} will be gone, and what it denies will be denied no more", name, yes=yes)
        kms.policies.delete(name)
    if context.json:
        output.document("policy/1", name=name, removed=True)
    else:
        context.say(f"policy {name} is removed")


@policy.command("test")
@click.argument("policy_", metavar="POLICY")
@click.argument("action")
@click.argument("what", metavar="WHAT")
@click.option("--file", "is_file", is_flag=True, help="POLICY is a file (-: stdin) and not the name of a stored one.")
@circumstances
@global_options
@pass_context
def test(context: Context, /, policy_: str, action: str, what: str, is_file: bool, **given: Any) -> None:
    """Tell whether a policy would allow something. WHAT is such as secret/db/password; 4 is the exit code where not."""
    tried = _document(policy_) if is_file else policy_
    if is_file and not tried.lstrip().startswith("{"):
        raise UsageError("the policy is no JSON object", hint="docs/policies.md shows what a policy is made of")
    with context.kms() as kms:
        found = kms.policies.test(tried, action, what, _supposed(given))
    _tell(context, found)
    if not found.allowed:
        click.get_current_context().exit(_DENIED)


@policy.command("explain")
@click.argument("who", metavar="WHO")
@click.argument("action")
@click.argument("what", metavar="WHAT")
@circumstances
@global_options
@pass_context
def explain(context: Context, /, who: str, action: str, what: str, **given: Any) -> None:
    """Say why WHO may do an action on WHAT, or not. WHO is policies and a principal, as in app,user:ada.

    Without --tag, those of a secret or key that is there count."""
    with context.kms() as kms:
        names = who if who.startswith("ses_") else who.split(",")
        found = kms.policies.explain(names, action, what, _supposed(given))
    _tell(context, found)


@policy.command("who-can")
@click.argument("action")
@click.argument("what", metavar="WHAT")
@global_options
@pass_context
def who_can(context: Context, action: str, what: str) -> None:
    """List what is said about an action on WHAT, and who may do it.

    Named are statements, grants, and the users, roles, live access tokens and auth methods of the store that may by
    policies. CONDITIONS are what it hangs on at a call. The local owner may do all beside.
    """
    with context.kms() as kms:
        found = kms.policies.who_can(action, what)
    if context.json:
        output.document("access/1", **asdict(found))
        return
    output.table(
        ("POLICY", "STATEMENT", "EFFECT", "CONDITIONS"),
        [(one.policy, one.statement, one.effect, ", ".join(one.conditions) or "-") for one in found.statements],
    )
    if found.grants:
        output.table(
            ("GRANT", "GRANTEE", "CONDITIONS"),
            [(one.grant, one.grantee, ", ".join(one.conditions) or "-") for one in found.grants],
        )
    if found.principals:
        output.table(
            ("KIND", "NAME", "PRINCIPAL", "POLICIES", "CONDITIONS"),
            [
                (one.kind, one.name, one.principal, ", ".join(one.policies) or "-", ", ".join(one.conditions) or "-")
                for one in found.principals
            ],
        )


def _tell(context: Context, found: Explanation) -> None:
    if context.json:
        output.document("decision/1", **asdict(found))
        return
    click.echo(f"{'allowed' if found.allowed else 'denied'}: {found.reason}")
    output.table(
        ("POLICY", "STATEMENT", "EFFECT", "APPLIES", "WHY"),
        [(one.policy, one.statement, one.effect, "yes" if one.applies else "no", one.why) for one in found.statements],
    )
    if found.grants:
        output.table(
            ("GRANT", "APPLIES", "WHY"),
            [(one.grant, "yes" if one.applies else "no", one.why) for one in found.grants],
        )

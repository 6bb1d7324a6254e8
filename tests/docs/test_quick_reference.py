"""docs/quick-reference.md lists what there is, all of it, and nothing else."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, NamedTuple

import click
import pytest
from click.testing import CliRunner
from tests.docs.pages import ROOT, read, rows, section

import keystead
import keystead.errors as errors_module
from keystead.access.accounts import RoleInfo, SecretIdInfo, UserInfo
from keystead.access.auth_methods import AuthMethodInfo
from keystead.access.explain import (
    Access,
    Considered,
    ConsideredGrant,
    Explanation,
    Granted,
    PrincipalAccess,
    Speaking,
)
from keystead.access.grants import GrantInfo
from keystead.access.stored import PolicyInfo
from keystead.access.tokens import TokenInfo, TokenRules
from keystead.audit.reader import LogEntry
from keystead.audit.record import Event
from keystead.audit.report import Report
from keystead.cli.commands import ALIASES, VERB_ALIASES
from keystead.cli.failures import EXIT_CODES, STOPPED, exit_code
from keystead.cli.program import cli
from keystead.clock import format_duration
from keystead.config.status import ConfigStatus
from keystead.errors import KeysteadError
from keystead.keys.manage import Affected, DataKeyInfo, KnownBackup
from keystead.keys.named.model import KeyInfo, KeyVersionInfo
from keystead.keys.named.portable import ExportedKey
from keystead.keys.named.results import BatchItem, GeneratedKey, Mac, SharedSecret, Signature
from keystead.node.backup import BackupReport
from keystead.node.settings import Settings
from keystead.opening import connect
from keystead.seal.slots import SlotInfo
from keystead.secrets.model import SecretInfo, VersionInfo
from keystead.secrets.value import SecretValue
from keystead.services.audit_operations import AuditOperations
from keystead.services.config_loader import ConfigLoader
from keystead.services.connection import Connection
from keystead.services.grant_operations import GrantOperations
from keystead.services.identity_operations import IdentityOperations, TokenOperations
from keystead.services.import_environment import ImportReport
from keystead.services.key_operations import SessionInfo, SlotOperations
from keystead.services.kms import KMSService
from keystead.services.login import WhoAmI
from keystead.services.manager_status import SecretsStatus
from keystead.services.named_keys import NamedKeyOperations, PublicKeyInfo
from keystead.services.policy_operations import PolicyOperations
from keystead.services.secret_operations import Page, Swept
from keystead.services.secrets_manager import SecretsManager
from keystead.services.status import Status

NAME = "docs/quick-reference.md"
FACES: dict[str, type] = {
    "Connection": Connection,
    "KMSService": KMSService,
    "kms.slots": SlotOperations,
    "kms.keys": NamedKeyOperations,
    "kms.audit": AuditOperations,
    "kms.policies": PolicyOperations,
    "kms.grants": GrantOperations,
    "kms.tokens": TokenOperations,
    "kms.identities": IdentityOperations,
    "SecretsManager": SecretsManager,
    "ConfigLoader": ConfigLoader,
    "SecretValue": SecretValue,
}
BUILT = ("KMSService", "SecretsManager", "ConfigLoader", "SecretValue")
RESULTS = (
    Page, SecretInfo, VersionInfo, DataKeyInfo, Affected, KnownBackup, SlotInfo, SessionInfo, Status, SecretsStatus,
    ImportReport, ConfigStatus, BackupReport, LogEntry, Report, KeyInfo, KeyVersionInfo, Signature, Mac, GeneratedKey,
    SharedSecret, PublicKeyInfo, ExportedKey, BatchItem, Swept, PolicyInfo, Explanation, Considered, Access, Speaking,
    Granted, ConsideredGrant, GrantInfo,
    PrincipalAccess, WhoAmI, TokenInfo, TokenRules, UserInfo, RoleInfo, SecretIdInfo, AuthMethodInfo,
)  # fmt: skip
# What these annotations mean is said in words.
IN_WORDS = {"Any", "T", "Self", "None"}
_ENTRY = re.compile(r"^- `(?P<name>\w+)(?P<call>\(.*?\))?`(?P<rest>.*(?:\n  .*)*)", re.MULTILINE)


class Entry(NamedTuple):
    """One entry of the page: a method's parameters (None for a property), its result, all that is said of it."""

    parameters: str | None
    result: str | None
    text: str


def entries(title: str) -> dict[str, Entry]:
    text = section(NAME, title)
    if title == "KMSService":
        text = text.split("\n### kms.")[0]
    found = {}
    for match in _ENTRY.finditer(text):
        result = re.match(r" → `([^`]+)`", match["rest"])
        found[match["name"]] = Entry(match["call"], result[1] if result else None, match["rest"])
    return found


def spelled(call: Callable[..., Any]) -> str:
    """The parameters of a method as a reader writes them."""
    signature = inspect.signature(call)
    shown = []
    for name, parameter in signature.parameters.items():
        if name in ("self", "cls") or name.startswith("_"):
            continue
        default = parameter.default
        if repr(default).startswith("<") and default is not parameter.empty:
            default = _Named("MISSING")
        shown.append(parameter.replace(annotation=parameter.empty, default=default))
    return str(signature.replace(parameters=shown, return_annotation=signature.empty))


class _Named:
    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


def public(face: type) -> list[str]:
    return [name for name in dir(face) if not name.startswith("_")]


def leaves() -> dict[str, type[KeysteadError]]:
    return {
        name: kind
        for name, kind in vars(errors_module).items()
        if inspect.isclass(kind) and issubclass(kind, KeysteadError) and "code" in vars(kind) and kind.code != "KS0000"
    }


@pytest.mark.parametrize("title", FACES)
def test_every_public_name_of_a_service_is_listed_with_its_parameters_and_result(title: str) -> None:
    face, told = FACES[title], entries(title)
    assert sorted(told) == sorted(public(face))
    for name, entry in told.items():
        member = inspect.getattr_static(face, name)
        if isinstance(member, property):
            assert entry.parameters is None, name
            result = member.fget.__annotations__["return"]
        elif isinstance(member, cached_property):
            assert entry.parameters is None, name
            result = member.func.__annotations__["return"]
        else:
            call = getattr(face, name)
            assert entry.parameters == spelled(call), name
            result = inspect.signature(call).return_annotation
        if result not in IN_WORDS:
            assert entry.result == result, name
        assert (result is None or result == "None") == (" → " not in entry.text) or title == "ConfigLoader", name


@pytest.mark.parametrize("title", FACES)
def test_every_error_that_a_method_names_is_listed_with_it(title: str) -> None:
    known = [*leaves(), "OperatorError"]
    missing = []
    for name, entry in entries(title).items():
        named = re.findall(r"\b\w+\b", inspect.getdoc(getattr(FACES[title], name)) or "")
        missing += [f"{name}: {error}" for error in known if error in named and error not in entry.text]
    assert missing == []


def test_what_is_built_and_connect_are_listed_with_their_parameters() -> None:
    for title in BUILT:
        assert f"`{title}{spelled(FACES[title])}`" in section(NAME, title), title
    assert entries("Opening")["connect"].parameters == spelled(connect)
    assert entries("Opening")["connect"].result == "Connection"


def test_every_public_name_of_the_package_is_listed() -> None:
    text = read(NAME)
    assert [name for name in keystead.__all__ if f"`keystead.{name}" not in text and f"`{name}(" not in text] == []


def test_every_error_that_is_mentioned_exists() -> None:
    mentioned = {
        word for italics in re.findall(r"(?<!\*)\*([^*`]+)\*(?!\*)", read(NAME)) for word in re.findall(r"\w+", italics)
    }
    errors = {word for word in mentioned if re.fullmatch(r"([A-Z][a-z]+){2,}", word)}
    assert {word for word in errors if not hasattr(errors_module, word)} == set()


def test_the_fields_of_every_result_are_listed() -> None:
    told = {
        row[0].strip("`"): re.findall(r"`(\w+)`", re.sub(r"\(.*?\)", "", row[1]))
        for row in rows(section(NAME, "Results"))
    }
    real = {}
    for kind in RESULTS:
        named = getattr(kind, "_fields", None) or [field.name for field in dataclasses.fields(kind)]
        real[kind.__name__] = [*named, *(name for name in public(kind) if isinstance(getattr(kind, name), property))]
    assert told == real


def commands(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, by its whole name."""
    with click.Context(group, info_name=path) as ctx:
        for name in group.list_commands(ctx):
            command = group.get_command(ctx, name)
            assert command is not None
            if isinstance(command, click.Group):
                yield from commands(command, f"{path}{name} ")
            else:
                yield f"{path}{name}", command


def options(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", text))


def helped(name: str) -> tuple[str, set[str]]:
    """The arguments and options that a command's --help tells of."""
    text = CliRunner().invoke(cli, [*name.split(), "--help"], terminal_width=200).output
    usage = re.match(r"Usage: (.*)\n", text)
    assert usage is not None, text
    listed = "\n".join(re.findall(r"^  (-.*?)(?:   |$)", text, flags=re.MULTILINE))
    return usage[1].split("[OPTIONS]")[1].strip(), options(listed)


def told_of_commands() -> dict[str, str]:
    return dict(re.findall(r"^- `keystead ([^`]+)`(.*(?:\n  .*)*)", section(NAME, "Commands"), flags=re.MULTILINE))


def told_of_all() -> set[str]:
    """The options that the page says every command takes."""
    return options(section(NAME, "Commands").split(". Answers go")[0])


def test_every_command_is_listed_with_its_arguments_and_options_as_help_tells_them() -> None:
    real = {}
    for name, _ in commands(cli):
        arguments, known = helped(name)
        assert told_of_all() <= known, name
        real[f"{name} {arguments}".strip()] = known - told_of_all()
    told = told_of_commands()
    assert {call: options(" ".join(re.findall(r"`([^`]+)`", text))) for call, text in told.items()} == real


def test_help_of_the_whole_names_each_command() -> None:
    text = CliRunner().invoke(cli, ["--help"]).output
    assert {call.split()[0] for call in told_of_commands()} == set(
        re.findall(r"^  ([a-z-]+)  ", text.split("Commands:")[1], flags=re.MULTILINE)
    )


def test_every_other_name_of_a_command_is_listed() -> None:
    text = section(NAME, "Commands").split("Other names of the same: ")[1].split("\n\n")[0]
    for table, part in zip((ALIASES, VERB_ALIASES), text.split("behind a noun"), strict=True):
        told: dict[str, str] = {}
        for names, meant in re.findall(r"((?:`\w+`(?:\s+and\s+)?)+)\s+for\s+`([\w-]+)`", part):
            told |= dict.fromkeys(re.findall(r"`(\w+)`", names), meant)
        assert told == dict(table)


def test_every_exit_code_is_listed() -> None:
    text = section(NAME, "Exit codes").split("`run`")[0]
    told = {int(code) for code in re.findall(r"\b(\d+) [a-z]", text)}
    assert told == {0, 1, STOPPED, 141} | {code for _, code in EXIT_CODES}


def test_every_setting_is_listed_with_its_default() -> None:
    told = {row[0].strip("`"): row[1].strip("`") for row in rows(section(NAME, "Settings"))}
    real = {}
    for field in dataclasses.fields(Settings):
        value = field.default
        if field.name.endswith("_ms"):
            value = format_duration(value)
        elif isinstance(value, bool):
            value = str(value).lower()
        elif isinstance(value, int):
            value = str(value)
        elif isinstance(value, tuple):
            value = str(list(value)).replace("'", '"')
        real[field.name.removesuffix("_ms")] = value
    assert told == real


def constants() -> dict[str, set[str]]:
    """Every text in the package and the modules that have it."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "src/keystead").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.setdefault(node.value, set()).add(path.relative_to(ROOT / "src/keystead").as_posix())
    return found


def test_every_environment_variable_is_listed() -> None:
    told = [row[0].strip("`") for row in rows(section(NAME, "Environment variables"))]
    pattern = re.compile(r"(?:KMS|KEYSTEAD)(?:_[A-Z]+)+|LOG_LEVEL|NO_COLOR|TERM|NOTIFY_SOCKET")
    # The beginnings of names that are never imported are no variables.
    prefixes = {"services/import_environment.py"}
    real = [text for text, places in constants().items() if pattern.fullmatch(text) and places - prefixes]
    assert sorted(told) == sorted(real)


def test_every_event_is_listed_once_and_recorded_somewhere() -> None:
    told = [name for row in rows(section(NAME, "Events")) for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(told) == sorted(event.value for event in Event)
    source = "\n".join(
        path.read_text("utf-8")
        for path in (ROOT / "src/keystead").rglob("*.py")
        if path.name not in ("record.py", "log.py")
    )
    recorded = {event.value for event in Event if f'"{event.value}"' in source or f"Event.{event.name}" in source}
    assert set(told) == recorded


def test_every_error_is_listed_with_its_code_and_exit_code() -> None:
    told = {row[0].strip("`"): (row[1], int(row[2])) for row in rows(section(NAME, "Errors"))}
    real = {}
    for name, kind in leaves().items():
        blank = kind.__new__(kind)
        real[name] = (kind.code, exit_code(blank))
    assert told == real

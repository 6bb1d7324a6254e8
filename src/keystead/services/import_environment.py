"""Bringing an application's secrets from the environment into the store."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from keystead.errors import CallerError, DataError, KeysteadError, SecretNotFound, UsageError, VersionConflict
from keystead.secrets.names import Reference, check_name, check_names, environment_name
from keystead.secrets.read import Found
from keystead.secrets.value import SecretValue
from keystead.secrets.write import Put, Value
from keystead.services.kms import KMSService

Conflicts = Literal["store", "environment", "error"]
_LOG = logging.getLogger("keystead")


@dataclass(slots=True)
class ImportReport:
    """What became of each name; `failed` maps names to why, never to a value."""

    imported: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def refused_variable(name: str) -> bool:
    """Whether a variable is one of keystead's own, which never becomes a secret."""
    return name.startswith(("KMS_MASTER_KEY", "KMS_PASSPHRASE", "KEYSTEAD_"))


def _variable_of(name: str) -> str:
    """The environment variable of a secret's name; the name itself where it is none, which is told later."""
    try:
        return environment_name(name)
    except UsageError:
        return name


class Target(Protocol):
    """Where an environment is imported into."""

    def read(self, names: list[str]) -> Mapping[str, SecretValue | KeysteadError]:
        """What is held under each name, or the error that reading it gives."""

    def tell(self, event: str, **figures: int) -> None:
        """Record what came of it."""

    def store(self, values: dict[str, Value], *, if_absent: bool) -> list[str]:
        """Store all of them or none; the names of those that were, which with `if_absent` had no secret."""


class OnNode:
    """The store of an open service."""

    def __init__(self, kms: KMSService) -> None:
        self._kms = kms

    def read(self, names: list[str]) -> Mapping[str, SecretValue | KeysteadError]:
        """In one query."""
        found = self._kms.node.reader.get_many(self._kms._session, [Reference(name) for name in names], quiet=True)
        return {
            reference.name: answer.value if isinstance(answer, Found) else answer for reference, answer in found.items()
        }

    def tell(self, event: str, **figures: int) -> None:
        """In the store's log."""
        self._kms.node.record(self._kms._session, event, "secrets", **figures)

    def store(self, values: dict[str, Value], *, if_absent: bool) -> list[str]:
        """In one transaction."""
        node = self._kms.node
        put = Put(grace_ms=node.settings.rotation_grace_ms, if_absent=if_absent)
        return [info.name for info in node.writer.store(self._kms._session, values, put)]


def import_environment(
    target: Target,
    variables: Mapping[str, str],
    names: Iterable[str],
    prefix: str | None,
    conflicts: Conflicts,
) -> ImportReport:
    """Import each name once, from the variable of that name or of its upper-case spelling.

    What the store holds is compared and kept, unless `conflicts` says otherwise.

    Raises:
        UsageError: an empty prefix, names or a prefix that are no texts, or another policy.
        VersionConflict: `conflicts="error"` and one differs.
    """
    if conflicts not in ("store", "environment", "error"):
        raise UsageError('conflicts must be "store", "environment" or "error"')
    chosen = check_names(names)
    if not all(isinstance(name, str) for name in chosen) or not isinstance(prefix, str | None):
        raise UsageError("names and prefix of what is imported must be text")
    if prefix == "":
        raise UsageError("the prefix is empty", hint="the whole environment is never imported; name what is")
    if prefix is not None:
        chosen += sorted(name for name in variables if name.startswith(prefix) and not refused_variable(name))
    report = ImportReport()
    given = _given(variables, chosen, report)
    new = _wanted(target, given, report, conflicts)
    _store(target, new, report, conflicts)
    # Another process may have stored a name since it was looked for: whatever it is now, it is said.
    late = {name: given[name] for name in new if name not in report.imported and name not in report.failed}
    if late:
        _wanted(target, late, report, conflicts)
    for name in report.conflicts:
        _LOG.warning("secrets_manager_conflict %s: store and environment differ, the %s wins", name, conflicts)
    return report


def _given(variables: Mapping[str, str], names: list[str], report: ImportReport) -> dict[str, str]:
    given: dict[str, str] = {}
    for name in dict.fromkeys(names):
        variable = _variable_of(name)
        value = variables.get(name, variables.get(variable))
        if refused_variable(variable):
            report.failed[name] = "is a variable of keystead's own"
        elif value is None:
            report.absent.append(name)
        elif not value:
            report.failed[name] = "is empty"
        else:
            try:
                given[check_name(name)] = value
            except UsageError as error:
                report.failed[name] = error.message
    return given


def _wanted(target: Target, given: dict[str, str], report: ImportReport, conflicts: Conflicts) -> dict[str, Value]:
    """What is to be stored of the given; the rest is sorted into the report."""
    held = target.read(list(given))
    return {name: value for name, value in given.items() if _is_wanted(report, name, value, held[name], conflicts)}


def _is_wanted(
    report: ImportReport, name: str, value: str, held: SecretValue | KeysteadError, conflicts: Conflicts
) -> bool:
    """Whether the environment's value is to be stored; what is not is sorted into the report."""
    if isinstance(held, SecretValue):
        if held == value:
            report.present.append(name)
            return False
        report.conflicts.append(name)
        if conflicts == "error":
            version = held.version
            raise VersionConflict(
                f"secret {name} differs between store and environment",
                expected=0,
                current=version,
                hint="take it out of one of them",
            )
        return conflicts == "environment"
    if isinstance(held, SecretNotFound):
        return True
    report.failed[name] = held.message
    return False


def _store(target: Target, new: dict[str, Value], report: ImportReport, conflicts: Conflicts) -> None:
    """All at once; where that is refused, one by one, so that a bad one stops no other."""
    if not new:
        return
    if_absent = conflicts == "store"
    try:
        report.imported += target.store(new, if_absent=if_absent)
        return
    except (CallerError, DataError):
        pass
    for name, value in new.items():
        try:
            report.imported += target.store({name: value}, if_absent=if_absent)
        except (CallerError, DataError) as error:
            report.failed[name] = error.message

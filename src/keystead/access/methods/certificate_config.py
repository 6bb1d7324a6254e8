"""What an operator says about clients that show a certificate."""

from __future__ import annotations

import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, NamedTuple

from keystead.access.methods.fields import MAX_ENTRIES, MAX_TEXT, Problems, is_text, known_fields, tupled
from keystead.access.methods.spiffe import is_pattern
from keystead.crypto.certificates import MAX_CRL, Trust

WHAT: Final = "a certificate auth method"
CRL_CHECKS: Final = ("leaf", "chain")
_MAX_PEM: Final = 1 << 20
_MAX_CRLS: Final = 64
_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DNS: Final = re.compile(rf"(?:\*\.)?(?:{_LABEL}\.)*{_LABEL}", re.ASCII)


class CertificateRole(NamedTuple):
    """Policies for clients of given names; `name` is for the log, the lists are as in `CertificateConfig`."""

    name: str
    policies: tuple[str, ...]
    spiffe_ids: tuple[str, ...] = ()
    dns_names: tuple[str, ...] = ()
    common_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CertificateConfig:
    """Authorities, and whom of their clients to let in.

    `trusted` is certificates of authorities in PEM, `intermediates` such as sign lists and are trusted for nothing.
    `spiffe_ids` are ids or patterns with `*` for a segment, `dns_names` names or `*.` and a name, `common_names` exact;
    at least one list has entries. `crls` are lists in PEM or DER; `crl_check` tells whose issuer must have a current
    one: the `leaf`'s, or each of the `chain`. `roles` add policies for some.

    Raises:
        ConfigurationError: `problems` names each wrong field. Everything is read and every signature of a list
            checked here, so that there is no first use without them (CVE-2022-41316).
    """

    trusted: str
    intermediates: str = ""
    spiffe_ids: tuple[str, ...] = ()
    dns_names: tuple[str, ...] = ()
    common_names: tuple[str, ...] = ()
    crls: tuple[bytes, ...] = ()
    crl_check: str = "leaf"
    allow_expired_crls: bool = False
    policies: tuple[str, ...] = ()
    roles: tuple[CertificateRole, ...] = ()
    trust: Trust = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        problems = Problems(WHAT)
        _check_names(problems, "", self)
        named = self.spiffe_ids or self.dns_names or self.common_names
        problems.require(bool(named), "spiffe_ids", "list some of spiffe_ids, dns_names and common_names")
        problems.policies("policies", self.policies)
        listed = isinstance(self.roles, tuple) and len(self.roles) <= MAX_ENTRIES
        if problems.require(listed, "roles", f"must list at most {MAX_ENTRIES}"):
            for number, role in enumerate(self.roles):
                _check_role(problems, f"roles[{number}]", role)
        if not self.roles:
            problems.require(self.policies != (), "policies", "must not be empty where there are no roles")
        problems.require(self.crl_check in CRL_CHECKS, "crl_check", f"must be {' or '.join(CRL_CHECKS)}")
        problems.require(
            self.crl_check != "chain" or bool(self.crls), "crls", "must not be empty where the whole chain is checked"
        )
        problems.require(isinstance(self.allow_expired_crls, bool), "allow_expired_crls", "must be true or false")
        self._load(problems)
        problems.raise_any()

    def _load(self, problems: Problems) -> None:
        for name in ("trusted", "intermediates"):
            value = getattr(self, name)
            problems.require(isinstance(value, str) and len(value) <= _MAX_PEM, name, "must be at most 1 MiB of PEM")
        good = isinstance(self.crls, tuple) and len(self.crls) <= _MAX_CRLS
        good = good and all(isinstance(crl, bytes) and len(crl) <= MAX_CRL for crl in self.crls)
        if not problems.require(good, "crls", f"must list at most {_MAX_CRLS}, in PEM or base64 of DER"):
            return
        if not isinstance(self.trusted, str) or not isinstance(self.intermediates, str):
            return
        try:
            trust = Trust(
                self.trusted,
                self.intermediates,
                self.crls,
                whole_chain=self.crl_check == "chain",
                allow_expired_crls=self.allow_expired_crls is True,
            )
        except ValueError as problem:
            problems.require(False, *problem.args)
            return
        object.__setattr__(self, "trust", trust)

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> CertificateConfig:
        """A configuration from parsed JSON: the fields' names, lists as lists, `crls` as PEM or base64 of DER.

        Raises:
            ConfigurationError: a field is wrong, missing or not known; `problems` names it.
        """
        found = known_fields(given, [each.name for each in fields(cls) if each.init], WHAT)
        problems = Problems(WHAT)
        problems.require("trusted" in found, "trusted", "is required")
        problems.raise_any()
        if isinstance(found.get("crls"), list):
            found["crls"] = tuple(map(_crl, found["crls"]))
        if isinstance(found.get("roles"), list):
            found["roles"] = tuple(_role(role, f"roles[{number}]") for number, role in enumerate(found["roles"]))
        return cls(**{name: tupled(value) for name, value in found.items()})

    def to_json(self) -> dict[str, Any]:
        """The same as JSON, without the fields that are as by default; `from_json` reads it back."""
        told: dict[str, Any] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if each.init and value != each.default:
                told[each.name] = list(value) if isinstance(value, tuple) else value
        if self.crls:
            told["crls"] = [b2a_base64(crl, newline=False).decode("ascii") for crl in self.crls]
        if self.roles:
            told["roles"] = [
                {name: list(value) if isinstance(value, tuple) else value for name, value in role._asdict().items()}
                for role in self.roles
            ]
        return told


def _crl(given: object) -> object:
    if not isinstance(given, str):
        return given
    if "-----BEGIN " in given:
        return given.encode()
    try:
        return a2b_base64(given, strict_mode=True)
    except (Base64Error, ValueError):
        return None


def _role(given: object, within: str) -> CertificateRole:
    found = known_fields(given, CertificateRole._fields, WHAT, within)
    parts: dict[str, Any] = {"name": "", "policies": (), **found}
    return CertificateRole(**{name: tupled(value) for name, value in parts.items()})


def _check_role(problems: Problems, within: str, role: object) -> None:
    if not problems.require(isinstance(role, CertificateRole), within, "must be a role"):
        return
    checked: Any = role
    problems.require(is_text(checked.name), f"{within}.name", "must be a text")
    problems.policies(f"{within}.policies", checked.policies)
    _check_names(problems, f"{within}.", checked)
    named = checked.spiffe_ids or checked.dns_names or checked.common_names
    problems.require(bool(named), within, "must list some of spiffe_ids, dns_names and common_names")


def _check_names(problems: Problems, within: str, lists: CertificateConfig | CertificateRole) -> None:
    problems.texts(f"{within}spiffe_ids", lists.spiffe_ids, fits=is_pattern)
    problems.texts(f"{within}dns_names", lists.dns_names, fits=lambda name: _DNS.fullmatch(name) is not None)
    problems.texts(f"{within}common_names", lists.common_names, fits=lambda name: len(name) <= MAX_TEXT)

"""Auth methods as the store keeps them: what was said of an issuer or of authorities, by a name to log in by."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from keystead.access.binding import IdentityBinder
from keystead.access.register import TokenRegister
from keystead.clock import Clock
from keystead.errors import UsageError
from keystead.gate import Change, Gate, Session, missing, require_expected

if TYPE_CHECKING:
    from keystead.access.methods.certificate_config import CertificateConfig
    from keystead.access.methods.jwt_config import JwtConfig
    from keystead.access.ports import AuthMethodRows

KINDS: Final = ("jwt", "certificate")
RESERVED: Final = frozenset(("password", "role", "token"))
MAX_CONFIG: Final = 4 * 1024 * 1024
"""Characters of a configuration as JSON; what is longer are lists of revoked certificates."""
_NAME: Final = re.compile(r"(?!\.{1,2}\Z)[a-z0-9_.-]{1,64}", re.ASCII)


class AuthMethodRecord(NamedTuple):
    """The row of an auth method; `config` is its canonical JSON, and `mac` binds all of it to the store."""

    name: str
    kind: str
    config: str
    created_ms: int
    updated_ms: int
    version: int
    mac: bytes = b""

    @property
    def bound_as(self) -> str:
        """What kind of row its MAC says it is."""
        return "auth-method"


@dataclass(frozen=True, slots=True)
class AuthMethodInfo:
    """An auth method. Times are ms since the epoch; `version` rises with each writing; `config` holds no secret."""

    name: str
    kind: str
    version: int
    created_ms: int
    updated_ms: int
    config: Mapping[str, Any]


def is_method_name(name: object) -> bool:
    """Whether a text can be the name of an auth method: 1 to 64 of `a-z 0-9 - _ .`, and none that is taken."""
    return isinstance(name, str) and name not in RESERVED and _NAME.fullmatch(name) is not None


def check_method_name(name: str) -> str:
    """The name itself, if it is one. No spelling is turned into another. Raises UsageError."""
    if not is_method_name(name):
        reserved = isinstance(name, str) and name in RESERVED
        raise UsageError(
            f"no auth method is named {name}" if reserved else "not the name of an auth method",
            hint="use 1 to 64 of the characters a-z 0-9 - _ . in lower case, but not password, role or token",
        )
    return name


def principal_prefix(kind: str, name: str) -> str:
    """What the principals of an auth method begin with, so that two issuers' `ada` are two: `jwt:github/`."""
    return f"{kind}:{name}/"


def load_config(kind: str, given: Mapping[str, Any]) -> JwtConfig | CertificateConfig:
    """A configuration of a kind, all of it checked. Raises UsageError for another kind, ConfigurationError."""
    from keystead.access.methods.certificate_config import CertificateConfig  # noqa: PLC0415 - a rare call
    from keystead.access.methods.jwt_config import JwtConfig  # noqa: PLC0415 - as above

    if kind not in KINDS:
        raise UsageError("no such kind of auth method", hint=f"there are {' and '.join(KINDS)}")
    return JwtConfig.from_json(given) if kind == "jwt" else CertificateConfig.from_json(given)


class KeptMethods(NamedTuple):
    """Where the auth methods of a store are, and what they are bound by."""

    binder: Callable[[], IdentityBinder]
    read_rows: Callable[[], AuthMethodRows]
    rows: Callable[[Any], AuthMethodRows]
    clock: Clock


@dataclass(slots=True, eq=False, repr=False)
class AuthMethods:
    """The use cases on the auth methods of one store."""

    gate: Gate[Any]
    kept: KeptMethods
    register: TokenRegister
    end_grants: Callable[[Change[Any], str], int]

    def write(
        self, session: Session, name: str, kind: str, config: Mapping[str, Any] | str, expected: int | None
    ) -> AuthMethodInfo:
        """Write an auth method, in the place of the one of its name; tokens that it gave stay as they are.

        Raises:
            UsageError: a name, kind or text that is none; another kind than the one that is there.
            ConfigurationError: `problems` names each wrong field.
            VersionConflict: `expected` is not the version that is there (0: none).
        """
        check_method_name(name)
        text = _canonical(load_config(kind, _parsed(config)).to_json())
        with self.gate.change(session, "auth-method:write", f"auth-method/{name}", "auth_method_written") as change:
            rows, now, binder = self.kept.rows(change.transaction), self.kept.clock.now_ms(), self.kept.binder()
            former = rows.get(name)
            require_expected(f"auth method {name}", 0 if former is None else former.version, expected)
            if former is not None and former.kind != kind and binder.is_authentic(former):
                raise UsageError(
                    f"auth method {name} is of kind {former.kind}",
                    hint="remove it, which ends its access tokens, and write it anew; or choose another name",
                )
            created, version = (now, 1) if former is None else (former.created_ms, former.version + 1)
            record = binder.bound(AuthMethodRecord(name, kind, text, created, now, version))
            rows.put(record)
            change.detail.update(kind=kind, version=version, head=record.mac[:16].hex())
        return _info(record)

    def read(self, session: Session, name: str) -> AuthMethodInfo:
        """An auth method. Raises UsageError, IdentityNotFound; IntegrityError where it is not what keystead wrote."""
        check_method_name(name)
        with self.gate.read(session, "auth-method:read", f"auth-method/{name}", "auth_method_read") as detail:
            record = self.kept.read_rows().get(name)
            if record is None:
                raise missing("auth-method", name)
            detail["version"] = record.version
            return _info(self._checked(record))

    def page(self, session: Session, limit: int, after: str | None) -> tuple[list[AuthMethodInfo], str | None]:
        """A page of the auth methods that the session may list, in the order of their names, and where to go on.

        Raises:
            UsageError: an `after` that is no name. IntegrityError: one was edited.
        """
        if after is not None:
            check_method_name(after)
        found: list[AuthMethodInfo] = []
        gate, start = self.gate, after or ""
        with gate.read(session, "auth-method:list", "auth-method/*", "auth_methods_listed") as detail:
            rows = self.kept.read_rows()
            while len(found) <= limit and (page := rows.page(limit + 1, start)):
                start = page[-1].name
                listed = [row for row in page if gate.may(session, "auth-method:list", f"auth-method/{row.name}")]
                found += [_info(self._checked(row)) for row in listed]
            detail["count"] = min(len(found), limit)
        return found[:limit], found[limit - 1].name if len(found) > limit else None

    def delete(self, session: Session, name: str) -> int:
        """Remove an auth method, also one that was edited, and end the tokens that came by it and the grants to its
        principals; how many tokens ended.

        Raises:
            UsageError, IdentityNotFound.
        """
        check_method_name(name)
        with self.gate.change(session, "auth-method:delete", f"auth-method/{name}", "auth_method_deleted") as change:
            rows = self.kept.rows(change.transaction)
            record = rows.get(name)
            if record is None:
                raise missing("auth-method", name)
            rows.delete(name)
            # Of each kind: what an edited row says of its own kind is nothing to go by.
            prefixes = [principal_prefix(kind, name) for kind in KINDS]
            ended = sum(self.register.end_under(change.transaction, prefix) for prefix in prefixes)
            grants = sum(self.end_grants(change, prefix) for prefix in prefixes)
            change.detail.update(version=record.version, tokens=ended, grants=grants, head="")
        self.register.changed()
        return ended

    def _checked(self, record: AuthMethodRecord) -> AuthMethodRecord:
        return self.kept.binder().check(record, f"auth method {record.name}")


def _parsed(given: Mapping[str, Any] | str) -> Mapping[str, Any]:
    if not isinstance(given, str):
        return given
    from keystead.access.methods.strict_json import parse_object  # noqa: PLC0415 - a rare call

    problem = f"it is longer than {MAX_CONFIG} characters"
    if len(given) <= MAX_CONFIG:
        try:
            return parse_object(given.encode("utf-8", "surrogatepass"))
        except ValueError as error:
            problem = f"it is {error}"
    raise UsageError("not a configuration of an auth method", why=problem, hint="see docs/auth-methods.md")


def _canonical(config: Mapping[str, Any]) -> str:
    text = json.dumps(config, sort_keys=True, separators=(",", ":"))
    if len(text) > MAX_CONFIG:
        raise UsageError(
            "the configuration of an auth method is too long",
            why=f"it has {len(text)} characters, and {MAX_CONFIG} are allowed",
            hint="leave out lists of what was revoked that are over",
        )
    return text


def _info(record: AuthMethodRecord) -> AuthMethodInfo:
    return AuthMethodInfo(
        record.name, record.kind, record.version, record.created_ms, record.updated_ms, json.loads(record.config)
    )

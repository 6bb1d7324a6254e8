"""What an operator says about one issuer of tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from ipaddress import ip_network
from typing import Any, Final, NamedTuple

from keystead.access.methods.fields import MAX_ENTRIES, Problems, duration_ms, is_text, known_fields, tupled
from keystead.access.methods.key_set import StaticKeys, parse_key_set
from keystead.access.methods.url import Endpoint, parse_url
from keystead.clock import format_duration
from keystead.crypto.jwk import ALGORITHMS

WHAT: Final = "a JWT auth method"
DISCOVERY_PATH: Final = "/.well-known/openid-configuration"
DEFAULT_LEEWAY_MS: Final = 30_000
MAX_LEEWAY_MS: Final = 300_000
DEFAULT_CACHE_MS: Final = 600_000
DEFAULT_GRACE_MS: Final = 3_600_000
DEFAULT_TIMEOUT_MS: Final = 5_000
_MINUTE_MS: Final = 60_000
_DAY_MS: Final = 86_400_000
_MAX_PEM: Final = 1 << 20
Scalar = str | int | bool
BoundClaim = tuple[str, tuple[Scalar, ...]]


class JwtRole(NamedTuple):
    """Policies for tokens whose claims have given values; `name` is for the log."""

    name: str
    bound_claims: tuple[BoundClaim, ...]
    policies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class JwtConfig:
    """One issuer, and what its tokens must say. Exactly one of `jwks`, `jwks_url` and `discovery` gives the keys.

    `issuer` must equal `iss` sign for sign. One of `audiences` must stand in `aud`; others may stand beside it only if
    `other_audiences` lists them. `algorithms` is what a token may be signed by. `bound_claims` must hold for all;
    `roles` add policies. `name_claim` and `groups_claim` say who it is, `shown_claims` what goes to the log. With one
    of `second_factor_amr` in `amr`, a second factor was shown at `auth_time`. A claim is a name at the top, or a path
    such as `/realm_access/roles`. `leeway_ms` is at most 5 minutes; `max_age_ms` (0: none) since `iat`. `ca_pem` (in
    place of the system's), `jwks_hosts` (where discovery may lead beside the issuer's own host) and `private_networks`
    are for fetching, as are the times that end the list.

    Raises:
        ConfigurationError: `problems` names each wrong field.
    """

    issuer: str
    audiences: tuple[str, ...]
    algorithms: tuple[str, ...]
    jwks: str = ""
    jwks_url: str = ""
    discovery: bool = False
    other_audiences: tuple[str, ...] = ()
    bound_claims: tuple[BoundClaim, ...] = ()
    name_claim: str = "sub"
    groups_claim: str = ""
    shown_claims: tuple[str, ...] = ()
    second_factor_amr: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()
    roles: tuple[JwtRole, ...] = ()
    leeway_ms: int = DEFAULT_LEEWAY_MS
    max_age_ms: int = 0
    ca_pem: str = ""
    jwks_hosts: tuple[str, ...] = ()
    private_networks: tuple[str, ...] = ()
    cache_ms: int = DEFAULT_CACHE_MS
    grace_ms: int = DEFAULT_GRACE_MS
    timeout_ms: int = DEFAULT_TIMEOUT_MS

    def __post_init__(self) -> None:
        problems = Problems(WHAT)
        self._check_token(problems)
        self._check_keys(problems)
        self._check_fetching(problems)
        problems.raise_any()

    def _check_token(self, problems: Problems) -> None:
        problems.require(is_text(self.issuer), "issuer", "must be a text")
        problems.texts("audiences", self.audiences, at_least=1)
        problems.texts("other_audiences", self.other_audiences)
        if problems.texts("algorithms", self.algorithms, at_least=1):
            known = all(name in ALGORITHMS for name in self.algorithms)
            problems.require(known, "algorithms", f"must be some of {', '.join(ALGORITHMS)}")
        problems.require(is_text(self.name_claim), "name_claim", "must name a claim")
        problems.require(self.groups_claim == "" or is_text(self.groups_claim), "groups_claim", "must name a claim")
        problems.texts("shown_claims", self.shown_claims)
        problems.texts("second_factor_amr", self.second_factor_amr)
        problems.policies("policies", self.policies)
        _check_bound(problems, "bound_claims", self.bound_claims)
        listed = isinstance(self.roles, tuple) and len(self.roles) <= MAX_ENTRIES
        if problems.require(listed, "roles", f"must list at most {MAX_ENTRIES}"):
            for number, role in enumerate(self.roles):
                _check_role(problems, f"roles[{number}]", role)
        if not self.roles:
            problems.require(self.policies != (), "policies", "must not be empty where there are no roles")
        problems.duration("leeway_ms", self.leeway_ms, 0, MAX_LEEWAY_MS)
        problems.duration("max_age_ms", self.max_age_ms, 0, 365 * _DAY_MS)

    def _check_keys(self, problems: Problems) -> None:
        given = [name for name in ("jwks", "jwks_url", "discovery") if getattr(self, name)]
        problems.require(len(given) == 1, "jwks", "give exactly one of jwks, jwks_url and discovery")
        problems.require(isinstance(self.discovery, bool), "discovery", "must be true or false")
        if problems.require(isinstance(self.jwks, str), "jwks", "must be a JSON Web Key Set") and self.jwks:
            try:
                parse_key_set(self.jwks.encode(), strict=True)
            except ValueError as problem:
                problems.require(False, "jwks", str(problem))
        if self.jwks_url:
            _check_url(problems, "jwks_url", self.jwks_url)
        if self.discovery is True and is_text(self.issuer):
            _check_url(problems, "issuer", self.issuer)

    def _check_fetching(self, problems: Problems) -> None:
        good = isinstance(self.ca_pem, str) and len(self.ca_pem) <= _MAX_PEM
        good = good and (self.ca_pem == "" or "BEGIN CERTIFICATE" in self.ca_pem) and "PRIVATE KEY" not in self.ca_pem
        problems.require(good, "ca_pem", "must be certificates in PEM, without keys")
        problems.texts("jwks_hosts", self.jwks_hosts, fits=lambda host: _is_url(f"https://{host}/"))
        problems.texts("private_networks", self.private_networks, fits=_is_network)
        problems.duration("cache_ms", self.cache_ms, _MINUTE_MS, _DAY_MS)
        problems.duration("grace_ms", self.grace_ms, 0, 7 * _DAY_MS)
        problems.duration("timeout_ms", self.timeout_ms, 100, 6 * DEFAULT_TIMEOUT_MS)

    def static_keys(self) -> StaticKeys:
        """The keys that stand in `jwks`; none where they are fetched."""
        return StaticKeys(parse_key_set(self.jwks.encode(), strict=True) if self.jwks else ())

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> JwtConfig:
        """A configuration from parsed JSON: the fields' names, durations as text (`leeway`: `30s`), claims as objects.

        Raises:
            ConfigurationError: a field is wrong, missing or not known; `problems` names it.
        """
        names = {field.name.removesuffix("_ms"): field.name for field in fields(cls)}
        found = known_fields(given, names, WHAT)
        problems = Problems(WHAT)
        for name in ("issuer", "audiences", "algorithms"):
            problems.require(name in found, name, "is required")
        problems.raise_any()
        for name in [name for name, own in names.items() if name in found and own != name]:
            found[names[name]] = duration_ms(found.pop(name), name, WHAT)
        if "jwks" in found:
            found["jwks"] = _dumped(found["jwks"])
        if "bound_claims" in found:
            found["bound_claims"] = _bound(found["bound_claims"])
        if isinstance(found.get("roles"), list):
            found["roles"] = tuple(_role(role, f"roles[{number}]") for number, role in enumerate(found["roles"]))
        return cls(**{name: tupled(value) for name, value in found.items()})

    def to_json(self) -> dict[str, Any]:
        """The same as JSON, without the fields that are as by default; `from_json` reads it back."""
        told: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if value != field.default:
                told[field.name.removesuffix("_ms")] = _told(field.name, value)
        return told


def _dumped(given: object) -> str | None:
    try:
        return json.dumps(given) if isinstance(given, dict) else None
    except (TypeError, ValueError, RecursionError):
        return None


def _told(name: str, value: Any) -> Any:
    if name.endswith("_ms"):
        return format_duration(value) if value else "0s"
    if name == "jwks":
        return json.loads(value)
    if name == "bound_claims":
        return {claim: list(values) for claim, values in value}
    if name == "roles":
        return [{**role._asdict(), "bound_claims": _told("bound_claims", role.bound_claims)} for role in value]
    return list(value) if isinstance(value, tuple) else value


def _bound(given: object) -> Any:
    if not isinstance(given, dict):
        return given
    return tuple((claim, tuple(values) if isinstance(values, list) else (values,)) for claim, values in given.items())


def _role(given: object, within: str) -> JwtRole:
    found = known_fields(given, JwtRole._fields, WHAT, within)
    bound = _bound(found.get("bound_claims", {}))
    return JwtRole(found.get("name", ""), bound, tupled(found.get("policies", ())))


def _check_role(problems: Problems, field: str, role: object) -> None:
    if not problems.require(isinstance(role, JwtRole), field, "must be a role"):
        return
    checked: Any = role
    problems.require(is_text(checked.name), f"{field}.name", "must be a text")
    problems.policies(f"{field}.policies", checked.policies)
    _check_bound(problems, f"{field}.bound_claims", checked.bound_claims)
    problems.require(checked.bound_claims != (), f"{field}.bound_claims", "must not be empty")


def _check_bound(problems: Problems, field: str, bound: object) -> None:
    if not problems.require(isinstance(bound, tuple), field, "must be an object of claims"):
        return
    entries: Any = bound
    good = len(entries) <= MAX_ENTRIES and all(
        isinstance(entry, tuple) and len(entry) == 2 and is_text(entry[0]) and isinstance(entry[1], tuple)
        for entry in entries
    )
    if problems.require(good, field, f"must be at most {MAX_ENTRIES} claims, each with its values"):
        for claim, values in entries:
            known = all(isinstance(value, bool | int) or is_text(value) for value in values)
            problems.require(0 < len(values) <= MAX_ENTRIES and known, f"{field}.{claim}", "must be texts or integers")


def _check_url(problems: Problems, field: str, url: str) -> Endpoint | None:
    try:
        return parse_url(url)
    except ValueError as problem:
        problems.require(False, field, str(problem))
        return None


def _is_url(url: str) -> bool:
    try:
        return parse_url(url).path == "/"
    except ValueError:
        return False


def _is_network(text: str) -> bool:
    try:
        return str(ip_network(text)) == text
    except ValueError:
        return False

"""How a server is set up: defaults, `[server]` of `keystead.toml`, the environment, flags; and what came whence."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from keystead.clock import format_duration, parse_duration
from keystead.errors import ConfigurationError, UsageError
from keystead.node.settings import read_settings
from keystead.server.logs import FORMATS, LEVELS
from keystead.server.tracing import CHOICES

PREFIX: Final = "KEYSTEAD_SERVER_"
TABLE: Final = "server"
_NONE: Final[Mapping[str, Any]] = MappingProxyType({})
PORT: Final = 7780


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """The settings of a server.

    `address` and `port`: where it listens. `workers`: how many processes answer. `tls_certificate` and `tls_key`: PEM
    files; both or neither. `tls_client_authorities`: a PEM file of those whose client certificates are asked for.
    `insecure`: listen beyond loopback without TLS, for a proxy on the same host that does TLS. `allowed_hosts`: the
    host names that are answered, each if empty. `drain`: how long requests that are under way are waited for at the
    end. `max_header_bytes`, `max_body_bytes`, `max_json_depth`, `max_connections` (of one worker): what is beyond is
    turned away. `header_timeout`, `body_timeout`, `idle_timeout`: how long a request's headers and body, and the next
    request of a connection, are waited for. `requests_per_address`, `requests_per_principal`: how many a second one
    worker answers, 0 for any number. `threads`: how many requests one worker may have in the store at a time.
    `log_format`: `json` or `text`. `log_level`: from which level on lines are logged, `debug` for each request.
    `tracing`: `on`, `off`, or `auto` for on where OTEL_ variables name where spans go.
    """

    address: str = "127.0.0.1"
    port: int = PORT
    workers: int = 1
    tls_certificate: str = ""
    tls_key: str = ""
    tls_client_authorities: str = ""
    insecure: bool = False
    allowed_hosts: tuple[str, ...] = ()
    drain_ms: int = 30_000
    max_header_bytes: int = 16_384
    max_body_bytes: int = 4 * 1_048_576
    max_json_depth: int = 32
    max_connections: int = 2_048
    header_timeout_ms: int = 10_000
    body_timeout_ms: int = 30_000
    idle_timeout_ms: int = 75_000
    requests_per_address: int = 0
    requests_per_principal: int = 0
    threads: int = 16
    log_format: str = "json"
    log_level: str = "info"
    tracing: str = "auto"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.address).is_loopback
        except ValueError:
            return self.address == "localhost"

    @property
    def is_tls(self) -> bool:
        """Whether connections are TLS."""
        return bool(self.tls_certificate)


_DEFAULTS: Final = ServerSettings()
_BOUNDS: Final[Mapping[str, tuple[int, int]]] = {
    "port": (0, 65_535),
    "workers": (1, 64),
    "max_header_bytes": (1_024, 1_048_576),
    "max_body_bytes": (1_024, 1_073_741_824),
    "max_json_depth": (2, 256),
    "max_connections": (1, 100_000),
    "requests_per_address": (0, 1_000_000),
    "requests_per_principal": (0, 1_000_000),
    "threads": (1, 256),
}
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {"log_format": FORMATS, "log_level": LEVELS, "tracing": CHOICES}


class Explained(NamedTuple):
    """One setting: its name as it is written, its value as text, and where that came from."""

    name: str
    value: str
    source: str


class Configuration(NamedTuple):
    """The settings of a server, and where each came from."""

    settings: ServerSettings
    explained: tuple[Explained, ...]


def load_configuration(
    file: Path | None, variables: Mapping[str, str], flags: Mapping[str, Any], usual: Mapping[str, Any] = _NONE
) -> Configuration:
    """The settings: flags before the environment (`KEYSTEAD_SERVER_PORT`) before the file before the defaults.

    `usual` are other defaults, of the command that asks.

    Raises:
        ConfigurationError: names or values that are not known, or that contradict each other; all problems at once.
    """
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    problems: dict[str, str] = {}
    for source, given in [("default", usual), *_layers(file, variables, flags)]:
        for name, value in given.items():
            try:
                field, converted = _converted(name, value)
            except UsageError as error:
                problems[f"{name} ({source})"] = error.message
            else:
                values[field], sources[field] = converted, source
    settings = ServerSettings(**values)
    problems.update(_contradictions(settings))
    if problems:
        raise ConfigurationError("the server cannot be set up so", problems=problems)
    return Configuration(settings, tuple(_explained(settings, sources)))


def _layers(
    file: Path | None, variables: Mapping[str, str], flags: Mapping[str, Any]
) -> list[tuple[str, Mapping[str, Any]]]:
    table: Mapping[str, Any] = {}
    if file is not None:
        table = read_settings(file).get(TABLE, {})
        if not isinstance(table, dict):
            raise ConfigurationError(f"{TABLE} in {file.absolute()} is no table", hint=f"write [{TABLE}]")
    named = {key: text for key, text in variables.items() if key.startswith(PREFIX)}
    layers: list[tuple[str, Mapping[str, Any]]] = [(str(file), table)]
    layers += [(key, {key.removeprefix(PREFIX).lower(): text}) for key, text in sorted(named.items())]
    layers += [(f"--{key.replace('_', '-')}", {key: value}) for key, value in flags.items() if value is not None]
    return layers


def _converted(name: str, value: Any) -> tuple[str, Any]:
    known = {field.name: field for field in fields(ServerSettings)}
    if f"{name}_ms" in known:
        return f"{name}_ms", _length(name, value)
    if name not in known or name.endswith("_ms"):
        names = ", ".join(sorted(each.removesuffix("_ms") for each in known))
        raise UsageError(f"is not a setting of the server; known are {names}")
    kind = type(getattr(_DEFAULTS, name))
    if kind is tuple:
        texts = value.split(",") if isinstance(value, str) else value
        if not isinstance(texts, list | tuple) or not all(isinstance(text, str) and text for text in texts):
            raise UsageError("must be a list of names")
        return name, tuple(text.strip() for text in texts)
    if kind is bool:
        return name, _truth(value)
    if kind is int:
        return name, _whole(name, value)
    if not isinstance(value, str):
        raise UsageError("must be text")
    if name in _CHOICES and value not in _CHOICES[name]:
        raise UsageError(f"must be {' or '.join(_CHOICES[name])}")
    return name, value


def _length(name: str, value: Any) -> int:
    try:
        return parse_duration(value, what=name)
    except UsageError:
        raise UsageError("must be a length of time such as 30s or 5m, and at most 100 years") from None


def _truth(value: Any) -> bool:
    found = {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value
    if not isinstance(found, bool):
        raise UsageError("must be true or false")
    return found


def _whole(name: str, value: Any) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
        value = int(value)
    least, most = _BOUNDS[name]
    if type(value) is not int or not least <= value <= most:
        raise UsageError(f"must be a whole number from {least} to {most}")
    return value


def _contradictions(settings: ServerSettings) -> dict[str, str]:
    problems = {}
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        problems["tls_certificate"] = "certificate and key go together"
    if settings.tls_client_authorities and not settings.is_tls:
        problems["tls_client_authorities"] = "client certificates need TLS"
    if not settings.is_loopback and not settings.is_tls and not settings.insecure:
        problems["address"] = (
            "it can be reached from other machines, and secrets would cross the network in the clear:"
            " give tls_certificate and tls_key, or listen on 127.0.0.1"
        )
    return problems


def _explained(settings: ServerSettings, sources: Mapping[str, str]) -> list[Explained]:
    found = []
    for field in fields(ServerSettings):
        value = getattr(settings, field.name)
        if field.name.endswith("_ms"):
            text = format_duration(value)
        elif isinstance(value, tuple):
            text = ",".join(value)
        else:
            text = str(value).lower() if isinstance(value, bool) else str(value)
        found.append(Explained(field.name.removesuffix("_ms"), text, sources.get(field.name, "default")))
    return found

"""How one node is set up: defaults, `keystead.toml`, the environment. The only reader of the environment for a node."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, Self

from keystead.clock import parse_duration
from keystead.errors import ConfigurationError, UsageError
from keystead.node.location import Location

FILE: Final = "keystead.toml"
TABLES: Final = ("server",)
"""Tables of the file that are for others to read."""
DEFAULT_IMPORT_NAMES: Final = ("JWT_SECRET", "MONGODB_URI", "REDIS_URL", "ENCRYPTION_MASTER_KEY")
_DAY_MS: Final = 86_400_000
_COUNTS: Final[Mapping[str, int]] = MappingProxyType(
    {"login_failures": 1_000, "password_iterations": 16, "password_lanes": 16, "password_memory_kib": 1_048_576}
)


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a node. Lengths are in ms; in `keystead.toml` they are text such as `90d`, and so in `of`.

    `data_key_max_age_ms`: a data key rotates by itself at this age. `rotation_grace_ms`: how long `previous` can be
    read. `destroy_expired_after_ms`: from expiry to destruction. `freshness_ms`: how old this process's knowledge of
    other processes' changes may be; 0 asks the store each time. `stale_grace_ms`: how long cached values are served
    while the store is busy. `audit_fsync`: `os`, or `group` to wait for the disk at each record. `record_each_use`:
    a record for each cached read and use of a data key in the place of counts. `import_names`: what
    `SecretsManager.initialize` imports. `token_ttl_ms`: how long an access token lives where nothing else is said;
    `token_max_ttl_ms`: how long one that is not periodic lives at most, with all renewals. `login_failures` within
    `login_window_ms` lock a name for `login_lock_ms`. `password_iterations`, `password_lanes`, `password_memory_kib`:
    the cost of Argon2id for passwords that are set from now on.
    """

    data_key_max_age_ms: int = 90 * _DAY_MS
    rotation_grace_ms: int = _DAY_MS
    destroy_expired_after_ms: int = 7 * _DAY_MS
    sweep_interval_ms: int = 60_000
    freshness_ms: int = 1_000
    stale_grace_ms: int = 300_000
    audit_fsync: Literal["os", "group"] = "os"
    record_each_use: bool = False
    import_names: tuple[str, ...] = DEFAULT_IMPORT_NAMES
    token_ttl_ms: int = 8 * 3_600_000
    token_max_ttl_ms: int = 32 * _DAY_MS
    login_failures: int = 5
    login_window_ms: int = 900_000
    login_lock_ms: int = 900_000
    password_iterations: int = 3
    password_lanes: int = 4
    password_memory_kib: int = 65_536

    @classmethod
    def of(cls, **settings: Any) -> Self:
        """Settings by the names that `keystead.toml` has: each length a timedelta, or text such as `90d`.

        Raises:
            ConfigurationError: a name or value that is not known; all problems at once.
        """
        return cls(**_changes(settings, "the settings cannot be used"))


def environment() -> Mapping[str, str]:
    """The process's environment, as it is now."""
    return os.environ


def load_settings(location: Location) -> Settings:
    """The settings of a store: the defaults, changed by `keystead.toml` beside the store or in its folder.

    Raises:
        ConfigurationError: the file is no TOML, or has a name or value that is not known; all problems at once.
    """
    path = settings_file(location)
    return Settings() if path is None else _from_file(path)


def for_serving(settings: Settings) -> Settings:
    """The settings of a node that serves others: each use has a record, and the disk has it before the answer."""
    return replace(settings, record_each_use=True, audit_fsync="group")


def settings_file(location: Location) -> Path | None:
    """The `keystead.toml` of a store: beside it, else in its folder; None where there is none.

    What has its name and is no file, such as a link that leads nowhere, is not passed over: it would be read as if
    nobody had set anything.
    """
    return next((p for p in (location.project / FILE, location.folder / FILE) if p.exists() or p.is_symlink()), None)


def read_settings(path: Path) -> dict[str, Any]:
    """What a `keystead.toml` holds.

    Raises:
        ConfigurationError: it cannot be read, or is no TOML.
    """
    import tomllib  # noqa: PLC0415 - most stores have no such file

    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path.absolute()} is not TOML: {error}", hint="mend the line it names") from None
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise ConfigurationError(f"{path.absolute()} cannot be read: {why}", hint="let this user read it") from None


def _from_file(path: Path) -> Settings:
    mine = {name: value for name, value in read_settings(path).items() if name not in TABLES}
    return Settings(**_changes(mine, f"{path.absolute()} cannot be used"))


def _changes(table: Mapping[str, Any], refusal: str) -> dict[str, Any]:
    problems: dict[str, str] = {}
    changes: dict[str, Any] = {}
    known = {field.name for field in fields(Settings)}
    for name, value in table.items():
        field = f"{name}_ms" if f"{name}_ms" in known else name
        if field not in known or name.endswith("_ms"):
            names = ", ".join(sorted(each.removesuffix("_ms") for each in known))
            problems[name] = f"is not a setting; known are {names}, and those of the server in the table [server]"
            continue
        try:
            changes[field] = _converted(field, name, value)
        except UsageError as error:
            problems[name] = error.message
    if problems:
        raise ConfigurationError(refusal, problems=problems)
    return changes


def _converted(field: str, name: str, value: Any) -> Any:
    if field.endswith("_ms"):
        # A token that lived for no time, or a lock of none, would be no setting but a mistake.
        return parse_duration(value, what=name, allow_zero=not name.startswith(("token_", "login_")))
    if field in _COUNTS:
        if type(value) is not int or not 1 <= value <= _COUNTS[field]:
            raise UsageError(f"must be a whole number from 1 to {_COUNTS[field]}")
        return value
    if field == "import_names":
        if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
            raise UsageError("must be a list of names")
        return tuple(value)
    if field == "record_each_use":
        if not isinstance(value, bool):
            raise UsageError("must be true or false")
        return value
    if value not in ("os", "group"):
        raise UsageError("must be os or group")
    return value

"""ConfigLoader: typed configuration from overrides, secrets, environment, a `.env` file and defaults."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

from keystead.config.fill import ENV_FILE, SECRETS, Outcome, fill
from keystead.config.fill import MISSING as NOT_FOUND
from keystead.config.ports import SecretSource
from keystead.config.public import connections, public_values
from keystead.config.schema import MISSING, Schema, read_schema, untyped_schema
from keystead.config.sources import EnvFile, environment, read_env_file, whole_environment
from keystead.config.status import ConfigStatus
from keystead.errors import ConfigurationError, UsageError

T = TypeVar("T")

_MEND = "mend each, or see get_status(); docs/configuration.md lists types and sources"


class ConfigLoader(Generic[T]):
    """Fills a schema: a dataclass, or a pydantic model where pydantic is installed.

    Each field comes from the first of these that has it: `overrides` (by field or variable name), the secrets given to
    `load()`, the environment (`env`, or the process's at the call), the `.env` file, the schema's default. A field's
    variable and secret are its name in upper case unless the schema says otherwise with `From`. `NAME_FILE` gives the
    path of a file in place of the value, and a value `secret://name#version` stands for that secret.

    A file that is not there counts as empty. Nothing is read before `load()`.

    Raises:
        UsageError: the schema is none, or has a type that a configuration does not have.
    """

    @overload
    def __init__(
        self: ConfigLoader[None],
        schema: None = None,
        *,
        env: Mapping[str, str] | None = None,
        env_file: str | os.PathLike[str] | None = None,
        overrides: Mapping[str, Any] | None = None,
        _record: Callable[[Mapping[str, str | int]], None] | None = None,
    ) -> None: ...

    @overload
    def __init__(
        self,
        schema: type[T],
        *,
        env: Mapping[str, str] | None = None,
        env_file: str | os.PathLike[str] | None = None,
        overrides: Mapping[str, Any] | None = None,
        _record: Callable[[Mapping[str, str | int]], None] | None = None,
    ) -> None: ...

    def __init__(
        self,
        schema: type[Any] | None = None,
        *,
        env: Mapping[str, str] | None = None,
        env_file: str | os.PathLike[str] | None = None,
        overrides: Mapping[str, Any] | None = None,
        _record: Callable[[Mapping[str, str | int]], None] | None = None,
    ) -> None:
        self._schema = None if schema is None else read_schema(schema)
        self._env = env
        self._env_file = env_file
        self._overrides = overrides or {}
        self._record = _record
        self._secrets: SecretSource | None = None
        self._last: Outcome | None = None
        self._instance: Any = None

    def load(self, secrets: SecretSource | None = None) -> T:
        """An instance of the schema. `secrets` is a SecretsManager, or whatever answers `get_secrets` likewise.

        Secrets are asked once, for what no override fills; a SecretsManager also records the loading. Without a schema
        this remembers the secrets for `get()` and gives None.

        Raises:
            ConfigurationError: every problem at once, by field, never with a value.
            OperatorError: the secrets cannot be read now.
        """
        outcome = self._attempt(secrets)
        if outcome.problems:
            count = len(outcome.problems)
            raise ConfigurationError(
                f"{self._name} cannot be loaded: {count} problem{'s' if count > 1 else ''}",
                problems=outcome.problems,
                hint=_MEND,
            )
        self._instance = outcome.instance
        record = self._record or getattr(secrets, "_record_configuration", None)
        if record is not None:
            record(_summary(self._name, outcome))
        return outcome.instance  # type: ignore[no-any-return]

    def get(self, name: str, default: Any = MISSING) -> Any:
        """One setting. With a schema, a field of the loaded instance by its name or variable.

        Without one, text by name through the same order of sources, read at this call; a secret comes as SecretValue.

        Raises:
            ConfigurationError: there is no such setting, or it cannot be read, and (for the first) no default.
            UsageError: there is a schema, and nothing was loaded.
        """
        if self._schema is None:
            return self._read(name, default)
        field = self._schema.field(name)
        if field is not None:
            return getattr(self._loaded(), field.name)
        if default is MISSING:
            raise ConfigurationError(f"{self._name} has no field {name}", hint="give a default, or add the field")
        return default

    def get_public(self) -> dict[str, Any]:
        """The fields that the schema marks public, as values that JSON has; no other field is ever in it.

        Raises:
            UsageError: there is a schema, and nothing was loaded.
        """
        return {} if self._schema is None else public_values(self._schema, self._loaded())

    def get_connections(self) -> dict[str, str]:
        """The fields that hold URIs, each with every credential masked; `***` where a text is not beyond doubt one.

        Raises:
            UsageError: there is a schema, and nothing was loaded.
        """
        return {} if self._schema is None else connections(self._schema, self._loaded())

    def is_valid(self, secrets: SecretSource | None = None) -> bool:
        """Whether the last attempt to load succeeded; with `secrets`, or before any attempt, one is made.

        Raises:
            OperatorError: the secrets cannot be read now.
        """
        return not self._outcome(secrets).problems

    def get_status(self, secrets: SecretSource | None = None) -> ConfigStatus:
        """Each field's source and every error, never a value, of the last attempt; made as `is_valid()` makes it.

        Raises:
            OperatorError: the secrets cannot be read now.
        """
        outcome = self._outcome(secrets)
        return ConfigStatus(
            schema=self._name,
            valid=not outcome.problems,
            loaded=self._instance is not None,
            sources=dict(outcome.sources),
            origins=dict(outcome.origins),
            errors=dict(outcome.problems),
            env_file="" if self._env_file is None else str(Path(self._env_file).absolute()),
            env_file_found=outcome.env_file_found,
        )

    def __repr__(self) -> str:
        return f"<ConfigLoader of {self._name}>"

    @property
    def _name(self) -> str:
        return "configuration" if self._schema is None else self._schema.name

    def _loaded(self) -> Any:
        if self._instance is None:
            raise UsageError(f"{self._name} is not loaded", hint="call load() first")
        return self._instance

    def _outcome(self, secrets: SecretSource | None) -> Outcome:
        last = self._last
        return self._attempt(secrets) if last is None or secrets is not None else last

    def _attempt(self, secrets: SecretSource | None) -> Outcome:
        self._secrets = secrets
        if self._schema is None:
            file = self._read_file()
            self._last = Outcome(env_file_found=file.found, problems={ENV_FILE: file.problem} if file.problem else {})
        else:
            self._last = self._fill(self._schema, self._overrides)
        return self._last

    def _fill(self, schema: Schema, overrides: Mapping[str, Any]) -> Outcome:
        return fill(
            schema,
            overrides=overrides,
            secrets=self._secrets,
            environment=environment(self._env, schema.variables),
            env_file=self._read_file(),
        )

    def _read_file(self) -> EnvFile:
        return read_env_file(self._env_file, whole_environment(self._env))

    def _read(self, name: str, default: Any) -> Any:
        schema = untyped_schema(name)
        field = schema.fields[0]
        overrides = {key: value for key, value in self._overrides.items() if schema.field(key) is not None}
        outcome = self._fill(schema, overrides)
        if outcome.sources.get(field.name) == NOT_FOUND and default is not MISSING and len(outcome.problems) == 1:
            return default
        if outcome.problems:
            raise ConfigurationError(f"the setting {name} cannot be read", problems=outcome.problems)
        return outcome.instance


def _summary(schema: str, outcome: Outcome) -> dict[str, str | int]:
    sources = list(outcome.sources.values())
    counted = {source: sources.count(source) for source in sorted(set(sources))}
    return {"schema": schema, "fields": len(sources), SECRETS: 0, **counted}

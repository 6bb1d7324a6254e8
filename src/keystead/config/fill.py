"""Filling a schema: each field from the first source that has it, and every problem at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from keystead.config.convert import Kind
from keystead.config.ports import SecretSource
from keystead.config.references import PREFIX, referred
from keystead.config.schema import WHOLE, Field, Schema
from keystead.config.sources import EnvFile, read_setting, whole_environment
from keystead.errors import CallerError, ConfigurationError, DataError, KeysteadError, SessionEnded, UsageError
from keystead.secrets.value import SecretValue

OVERRIDES = "overrides"
SECRETS = "secrets"
ENVIRONMENT = "environment"
ENV_FILE = "env_file"
DEFAULT = "default"
MISSING = "missing"
_PLACES = {
    OVERRIDES: "in the overrides",
    ENVIRONMENT: "in the environment",
    ENV_FILE: "in the .env file",
    DEFAULT: "by default",
}
_DECLARE = (
    "filled from a secret, but declared {words}; declare it SecretStr, SecretValue or SecretURL, which print nothing"
)

Found = tuple[str, str, Any]  # source, what it was found under, value


class Given(NamedTuple):
    """What a field can be filled from, secrets aside; `overrides` by the field's name."""

    overrides: Mapping[str, Any]
    environment: Mapping[str, str]
    env_file: EnvFile


@dataclass(slots=True)
class Outcome:
    """What came of filling a schema: an instance or problems, and each field's source with what it was found under."""

    instance: Any = field(default=None, repr=False)
    sources: dict[str, str] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    env_file_found: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """What the secrets answered: values by the name asked, and what is wrong with a name."""

    values: Mapping[str, SecretValue]
    problems: Mapping[str, str]


def fill(
    schema: Schema,
    *,
    overrides: Mapping[str, Any],
    secrets: SecretSource | None,
    environment: Mapping[str, str],
    env_file: EnvFile,
) -> Outcome:
    """An instance of the schema from these sources, or the problems, none of which names a value.

    Secrets are asked once, for the fields that no override fills and for what other values refer to.

    Raises:
        OperatorError: the secrets cannot be read now; trying again later may help.
        SessionEnded: the session behind the secrets has ended.
    """
    outcome = Outcome(env_file_found=env_file.found)
    if env_file.problem:
        outcome.problems[ENV_FILE] = env_file.problem
    given = Given(_by_field(schema, overrides, outcome), environment, env_file)
    if secrets is None:
        values = _without_secrets(schema, given, outcome)
    else:
        values = _with_secrets(schema, secrets, given, outcome)
    if not outcome.problems:
        _build(schema, values, outcome)
    return outcome


def _without_secrets(schema: Schema, given: Given, outcome: Outcome) -> dict[str, Any]:
    values: dict[str, Any] = {}
    overrides, environment, env_file = given
    sources, origins = outcome.sources, outcome.origins
    filed = {} if env_file.unknown else env_file.values
    for each, name, argument, variable, file_variable, convert in schema.lookups:
        text, source = environment.get(variable), ENVIRONMENT
        if text is None:
            text, source = filed.get(variable), ENV_FILE
        # What is no plain text of one variable takes the long way, and so does what does not convert: for its error.
        if (
            type(text) is str
            and file_variable not in environment
            and file_variable not in filed
            and PREFIX not in text
            and name not in overrides
        ):
            try:
                values[argument] = text if convert is None else convert(text)
            except UsageError:
                pass
            else:
                sources[name] = source
                origins[name] = variable
                continue
        found = _find(each, given, outcome)
        if name not in outcome.problems:
            _place(each, found, None, values, outcome)
    return values


def _with_secrets(schema: Schema, secrets: SecretSource, given: Given, outcome: Outcome) -> dict[str, Any]:
    found = {each.name: _find(each, given, outcome) for each in schema.fields}
    held = _ask(schema, secrets, found)
    values: dict[str, Any] = {}
    for each in schema.fields:
        if each.name not in outcome.problems:
            _place(each, found[each.name], held, values, outcome)
    return values


def _by_field(schema: Schema, overrides: Mapping[str, Any], outcome: Outcome) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for name, value in overrides.items():
        declared = schema.field(name)
        if declared is None:
            outcome.problems[OVERRIDES] = f"{schema.name} has no field {name}"
        elif declared.name in given:
            outcome.problems[OVERRIDES] = f"{declared.name} is given twice"
        else:
            given[declared.name] = value
    return given


def _find(declared: Field, given: Given, outcome: Outcome) -> Found | None:
    """What the field is filled from, secrets aside; None where nothing is, or where it is a problem."""
    if declared.name in given.overrides:
        return OVERRIDES, declared.name, given.overrides[declared.name]
    for source, values in ((ENVIRONMENT, given.environment), (ENV_FILE, given.env_file.values)):
        text, path = values.get(declared.variable), values.get(declared.file_variable)
        if text is None and path is None:
            continue
        name = declared.variable if path is None else declared.file_variable
        if text is not None and path is not None:
            problem = (
                f"both {declared.variable} and {declared.file_variable} are set {_PLACES[source]}; set one of them"
            )
        elif source == ENV_FILE and name in given.env_file.unknown:
            problem = (
                f"{name} in the .env file has a ${{...}} that nothing sets (between single quotes it stays as it is)"
            )
        else:
            try:
                return source, name, text if path is None else read_setting(path)
            except UsageError as error:
                problem = f"{name} {_PLACES[source]}: {_told(error)}"
        outcome.sources[declared.name], outcome.problems[declared.name] = source, problem
        return None
    return (DEFAULT, declared.name, declared.reference) if declared.reference else None


def _ask(schema: Schema, secrets: SecretSource, found: Mapping[str, Found | None]) -> Held:
    names: dict[str, None] = {}
    for each in schema.fields:
        source, _, value = found[each.name] or (MISSING, "", None)
        if source != OVERRIDES:
            names[each.secret] = None
        if isinstance(value, str) and value.startswith(PREFIX):
            try:
                names[referred(value)] = None
            except UsageError:
                continue  # told where the value is placed
    asked = list(names)
    if not asked:
        return Held({}, {})
    try:
        return Held(secrets.get_secrets(asked, missing="skip"), {})
    except SessionEnded:
        raise
    except (CallerError, DataError):
        pass
    return _ask_one_by_one(secrets, asked)


def _ask_one_by_one(secrets: SecretSource, names: list[str]) -> Held:
    values: dict[str, SecretValue] = {}
    problems: dict[str, str] = {}
    for name in names:
        try:
            values.update(secrets.get_secrets([name], missing="skip"))
        except (CallerError, DataError) as error:
            problems[name] = _told(error)
    return Held(values, problems)


def _place(declared: Field, found: Found | None, held: Held | None, values: dict[str, Any], outcome: Outcome) -> None:
    if held is not None and (found is None or found[0] != OVERRIDES):
        secret = held.values.get(declared.secret)
        if declared.secret in held.problems:
            outcome.sources[declared.name] = SECRETS
            outcome.problems[declared.name] = held.problems[declared.secret]
            return
        if secret is not None and not _is_fallback(secret, declared, found):
            found = (SECRETS, declared.secret, secret)
    if found is None:
        _default(declared, held, values, outcome)
        return
    source, origin, value = found
    outcome.sources[declared.name], outcome.origins[declared.name] = source, origin
    try:
        if isinstance(value, str) and value.startswith(PREFIX):
            value = _resolved(value, declared, held, outcome)
        values[declared.argument] = _converted(declared, value)
    except UsageError as error:
        where = f"the secret {origin}" if source == SECRETS else f"{origin} {_PLACES[source]}"
        if source != outcome.sources[declared.name]:
            where += f", which stands for the secret {outcome.origins[declared.name]}"
        outcome.problems[declared.name] = f"{where}: {_told(error)}"


def _is_fallback(secret: SecretValue, declared: Field, found: Found | None) -> bool:
    # A manager may answer a name that its store never held with a variable's value, which then has no version. That
    # is the environment's to give, in its own place in the order and under its own rules.
    if secret.version != 0:
        return False
    variables = [found[2] if found else None, whole_environment(None).get(declared.variable)]
    return any(isinstance(text, str) and secret == text for text in variables)


def _resolved(text: str, declared: Field, held: Held | None, outcome: Outcome) -> SecretValue:
    name = referred(text)
    if held is None:
        raise UsageError(f"refers to the secret {name}", hint="give load() the secrets")
    if name in held.problems:
        raise UsageError(held.problems[name])
    if name not in held.values:
        raise UsageError(f"refers to the secret {name}, which is not there", hint=f"keystead set {name}")
    outcome.sources[declared.name], outcome.origins[declared.name] = SECRETS, name
    return held.values[name]


def _converted(declared: Field, value: object) -> Any:
    kind = declared.kind
    if isinstance(value, str):
        return value if declared.convert is None else declared.convert(value)
    if isinstance(value, SecretValue):
        if kind.wrap is None:
            raise UsageError(_DECLARE.format(words=kind.words))
        return kind.wrap(value)
    return _accepted(kind, value)


def _accepted(kind: Kind, value: object) -> object:
    if not kind.accepts(value):
        raise UsageError(f"of type {type(value).__name__}, but the field is {kind.words}")
    return value


def _default(declared: Field, held: Held | None, values: dict[str, Any], outcome: Outcome) -> None:
    outcome.sources[declared.name] = MISSING if declared.required else DEFAULT
    if declared.default is not None:
        try:
            values[declared.argument] = declared.default()
        except UsageError as error:
            outcome.problems[declared.name] = f"{declared.name} by default: {_told(error)}"
    if declared.bound and declared.kind.wrap is None:
        outcome.problems[declared.name] = _DECLARE.format(words=declared.kind.words)
    elif declared.required:
        secret = f"the secret {declared.secret}"
        asked = f"keystead holds no {secret[4:]}" if held is not None else f"load() was given no secrets for {secret}"
        files = f" nor {declared.file_variable}" if declared.file_variable else ""
        variables = f"neither {declared.variable}{files} is set" if files else f"{declared.variable} is not set"
        outcome.problems[declared.name] = f"not set: {variables}, and {asked}"


def _build(schema: Schema, values: dict[str, Any], outcome: Outcome) -> None:
    try:
        outcome.instance = schema.build(values)
    except ConfigurationError as error:
        outcome.problems.update(error.problems or {WHOLE: error.message})
    except KeysteadError as error:
        outcome.problems[WHOLE] = _told(error)
    except (ValueError, TypeError, AssertionError) as error:
        # its text is the application's own and may quote a value
        outcome.problems[WHOLE] = f"{schema.name} refused its values with {type(error).__name__}"


def _told(error: KeysteadError) -> str:
    why = f", {error.why}" if error.why else ""
    return f"{error.message}{why} ({error.hint})" if error.hint else f"{error.message}{why}"

"""A schema's fields, read once: where each comes from, how it is filled, who may see it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, TypeAlias, Union, get_args, get_origin

from keystead.config.convert import Convert, Json, Kind, kind_of
from keystead.config.declare import From, Public
from keystead.config.references import is_reference
from keystead.errors import UsageError
from keystead.secrets.names import environment_name, parse_reference
from keystead.secrets.value import SecretValue

MISSING: Any = dataclasses.MISSING
WHOLE = "(schema)"
_KEPT = "__keystead_schema__"
_TYPES = (
    "str, int, float, bool, timedelta, ByteSize, Path, URL, an Enum, a Literal, a list, tuple or set of these, a dict, "
    "Annotated[..., Json], SecretValue, SecretStr, SecretURL, or one of them or None"
)
_UNTYPED = Kind("a setting", None, lambda _value: True, wrap=lambda value: value)


@dataclass(frozen=True, slots=True)
class Field:
    """One field: `argument` is its name for the schema's constructor, `variable` its environment variable.

    `secret` is the secret to ask for, `bound` whether the schema names it; `file_variable` is "" where another field
    has that variable for its own. `convert` makes the field's value of a setting's text (None: the text is the value).
    `default` is a function, or None where the schema itself has one or none; `reference` is the default that names a
    secret, "" where it names none.
    """

    name: str
    argument: str
    variable: str
    file_variable: str
    secret: str
    bound: bool
    kind: Kind
    convert: Convert | None
    public: bool
    required: bool
    default: Callable[[], Any] | None = None
    reference: str = ""


Lookup: TypeAlias = "tuple[Field, str, str, str, str, Convert | None]"  # name, argument, variables, convert


@dataclass(frozen=True, slots=True)
class Schema:
    """The fields of a dataclass or of a pydantic model, and how an instance is built from their values.

    `lookups` has of each field, in order, what most loads need of it.
    """

    name: str
    fields: tuple[Field, ...]
    lookups: tuple[Lookup, ...]
    by_name: Mapping[str, Field]
    variables: Mapping[bytes, str]
    build: Callable[[dict[str, Any]], Any]

    def field(self, name: str) -> Field | None:
        """The field of this name, or of this environment variable."""
        return self.by_name.get(name)


@dataclass(frozen=True, slots=True)
class Declared:
    """What a schema's author wrote for one field, before names are settled."""

    name: str
    argument: str
    annotation: Any
    required: bool
    metadata: Mapping[str, Any]
    default: Any = MISSING
    factory: Any = MISSING
    kind: Kind | None = None


def read_schema(schema: type) -> Schema:
    """The fields of a dataclass or pydantic model. The answer is kept on the class, and read from it from then on.

    Raises:
        UsageError: neither a dataclass nor a pydantic model; a type that a configuration does not have; two fields of
            one environment variable; a secret marked public.
    """
    kept = vars(schema).get(_KEPT) if isinstance(schema, type) else None
    if isinstance(kept, Schema):
        return kept
    if _is_pydantic(schema):
        from keystead.config import models  # noqa: PLC0415 -- costs nothing where no model is used

        declared = models.declared(schema)
        made = _settle(schema, declared, models.builder(schema, declared))
    elif isinstance(schema, type) and dataclasses.is_dataclass(schema):
        made = _settle(schema, _declared(schema), lambda values: schema(**values))
    else:
        raise UsageError("a schema is a dataclass or a pydantic model", hint="write @dataclass above the class")
    with contextlib.suppress(TypeError, AttributeError):
        setattr(schema, _KEPT, made)
    return made


def _is_pydantic(schema: object) -> bool:
    pydantic = sys.modules.get("pydantic")
    model = getattr(pydantic, "BaseModel", None)
    return isinstance(schema, type) and isinstance(model, type) and issubclass(schema, model)


def _declared(schema: type) -> list[Declared]:
    try:
        hints: dict[str, Any] = typing.get_type_hints(schema, include_extras=True)
    except (NameError, TypeError) as error:
        reason = error.name if isinstance(error, NameError) else "a type"
        raise UsageError(
            f"the annotations of {schema.__name__} cannot be read: {reason} is not known where the class stands",
            hint="define the types that a schema uses at the top of its module",
        ) from None
    return [
        Declared(
            name=field.name,
            argument=field.name,
            annotation=hints[field.name],
            required=field.default is MISSING and field.default_factory is MISSING,
            metadata=field.metadata,
            default=field.default,
            factory=field.default_factory,
        )
        for field in dataclasses.fields(schema)
        if field.init
    ]


def _settle(schema: type, declared: list[Declared], build: Callable[[dict[str, Any]], Any]) -> Schema:
    taken: dict[str, str] = {}
    marks = {each.name: _marks(each) for each in declared}
    for each in declared:
        variable = _variable(each, marks[each.name])
        first = taken.setdefault(variable, each.name)
        if first != each.name:
            raise UsageError(
                f"{schema.__name__}: {first} and {each.name} both come from the variable {variable}",
                hint='give one of them another: Annotated[..., From(env="OTHER_NAME")]',
            )
    fields = tuple(_field(schema.__name__, each, marks[each.name], taken) for each in declared)
    variables = [name for field in fields for name in (field.variable, field.file_variable) if name]
    return Schema(
        name=schema.__name__,
        fields=fields,
        lookups=_lookups(fields),
        by_name={**{field.variable: field for field in fields}, **{field.name: field for field in fields}},
        variables={os.fsencode(name): name for name in variables},
        build=build,
    )


def _field(schema: str, declared: Declared, marks: list[Any], taken: Mapping[str, str]) -> Field:
    kind = declared.kind or (kind_of(Annotated[declared.annotation, Json]) if Json in marks else None)
    kind = kind or kind_of(declared.annotation)
    if kind is None:
        raise UsageError(f"{schema}.{declared.name}: a configuration has no such type", hint=f"use {_TYPES}")
    secret = next((mark.secret for mark in marks if isinstance(mark, From) and mark.secret), None)
    public = Public in marks
    if public and (secret is not None or kind.wrap is not None):
        raise UsageError(f"{schema}.{declared.name}: a secret cannot be public", hint="drop the mark Public")
    variable, text = _variable(declared, marks), declared.default
    file_variable = f"{variable}_FILE"
    parse_reference(secret or variable)
    return Field(
        name=declared.name,
        argument=declared.argument,
        variable=variable,
        file_variable="" if file_variable in taken else file_variable,
        secret=secret or variable,
        bound=secret is not None,
        kind=kind,
        convert=_convert(kind, variable),
        public=public,
        required=declared.required,
        default=_secret_default(declared, kind, _convert(kind, declared.name)),
        reference=text if isinstance(text, str) and is_reference(text) else "",
    )


def _lookups(fields: tuple[Field, ...]) -> tuple[Lookup, ...]:
    return tuple((each, each.name, each.argument, each.variable, each.file_variable, each.convert) for each in fields)


def _convert(kind: Kind, variable: str) -> Convert | None:
    convert, wrap = kind.convert, kind.wrap
    if wrap is None or convert is None:
        return convert

    def wrapped(text: str) -> Any:
        return convert(text) if kind.optional and not text else wrap(SecretValue(text, name=variable))

    return wrapped


def _secret_default(declared: Declared, kind: Kind, convert: Convert | None) -> Callable[[], Any] | None:
    # a default written as plain text or bytes would be printed by the instance that it is in
    value, factory, wrap = declared.default, declared.factory, kind.wrap
    if wrap is None or convert is None or (factory is MISSING and not isinstance(value, str | bytes | SecretValue)):
        return None

    def default() -> Any:
        made = value if factory is MISSING else factory()
        if isinstance(made, str):
            return convert(made)
        return wrap(SecretValue(made, name=declared.name)) if isinstance(made, bytes) else made

    return default


def _variable(declared: Declared, marks: list[Any]) -> str:
    given = next((mark.env for mark in marks if isinstance(mark, From) and mark.env), None)
    return given or declared.name.upper()


def _marks(declared: Declared) -> list[Any]:
    marks = list(_annotated(declared.annotation))
    metadata = declared.metadata
    if metadata.get("public"):
        marks.append(Public)
    if "secret" in metadata or "env" in metadata:
        marks.append(From(metadata.get("secret"), env=metadata.get("env")))
    return marks


def _annotated(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Annotated:
        inner, *marks = get_args(annotation)
        return marks + _annotated(inner)
    if get_origin(annotation) in (Union, UnionType):
        return [mark for argument in get_args(annotation) for mark in _annotated(argument)]
    return []


def untyped_schema(name: str) -> Schema:
    """A schema of one setting of no declared type: text as it is, a secret as SecretValue.

    Raises:
        UsageError: not a secret name.
    """
    variable = environment_name(parse_reference(name).name)
    field = Field(
        name=name,
        argument=name,
        variable=variable,
        file_variable=f"{variable}_FILE",
        secret=name,
        bound=False,
        kind=_UNTYPED,
        convert=None,
        public=False,
        required=True,
    )
    return Schema(
        name="configuration",
        fields=(field,),
        lookups=_lookups((field,)),
        by_name={variable: field, name: field},
        variables={os.fsencode(each): each for each in (variable, field.file_variable)},
        build=lambda values: values[name],
    )

"""Pydantic models as schemas. Imported only where a schema is one, so that pydantic stays optional."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pydantic
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from keystead.config.convert import JSON, Kind, kind_of, optional_kind, text_or_bytes
from keystead.config.schema import MISSING, WHOLE, Declared
from keystead.errors import ConfigurationError, UsageError

# These texts of pydantic's name a bound or a form and never the input; any other text might.
_SAFE_KINDS = """
    missing int_type int_parsing int_from_float float_type float_parsing finite_number bool_type bool_parsing
    string_type string_too_short string_too_long string_pattern_mismatch greater_than greater_than_equal less_than
    less_than_equal multiple_of too_short too_long literal_error enum url_scheme url_too_long date_type
    datetime_type decimal_type decimal_parsing list_type dict_type model_type json_type
"""
_SAFE = frozenset(_SAFE_KINDS.split())


def declared(model: type) -> list[Declared]:
    """The fields of a pydantic model."""
    fields: dict[str, FieldInfo] = getattr(model, "model_fields")  # noqa: B009 -- the caller has seen that it is a model
    return [_declared(name, info) for name, info in fields.items()]


def _declared(name: str, info: FieldInfo) -> Declared:
    annotation: Any = info.annotation
    for mark in info.metadata:
        annotation = Annotated[annotation, mark]
    default = MISSING if info.default is PydanticUndefined else info.default
    return Declared(
        name=name,
        argument=_argument(name, info),
        annotation=annotation,
        required=info.is_required(),
        metadata={},
        default=default,
        factory=_factory(info),
        kind=_secret_kind(annotation) or kind_of(annotation) or _left_to_pydantic(annotation),
    )


def _factory(info: FieldInfo) -> Any:
    takes_others = getattr(info, "default_factory_takes_validated_data", False)
    return MISSING if info.default_factory is None or takes_others else info.default_factory


def _argument(name: str, info: FieldInfo) -> str:
    alias = info.validation_alias or info.alias
    if alias is None:
        return name
    if isinstance(alias, pydantic.AliasChoices):
        alias = next((choice for choice in alias.choices if isinstance(choice, str)), None)
    if not isinstance(alias, str):
        raise UsageError(f"{name}: an alias that is a path is not supported", hint="give a plain alias")
    return alias


def _secret_kind(annotation: Any) -> Kind | None:
    arguments = [argument for argument in get_args(annotation) if argument is not type(None)]
    if get_origin(annotation) is Annotated:
        return _secret_kind(arguments[0])
    if get_origin(annotation) in (Union, UnionType):
        inner = _secret_kind(arguments[0]) if len(arguments) == 1 else None
        return None if inner is None else optional_kind(inner)
    if annotation not in (pydantic.SecretStr, pydantic.SecretBytes):
        return None
    return Kind("a secret", str, lambda value: isinstance(value, annotation), wrap=text_or_bytes)


def _left_to_pydantic(annotation: Any) -> Kind:
    nested = isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel)
    return Kind("what the model declares", JSON.convert if nested else None, lambda _value: True)


def builder(model: type, declared: Sequence[Declared]) -> Callable[[dict[str, Any]], Any]:
    """A function that makes an instance of the model from values by argument, and whose errors hold none of them."""
    names = {each.argument: each.name for each in declared}

    def build(values: dict[str, Any]) -> Any:
        try:
            return model.model_validate(values)  # type: ignore[attr-defined]
        except pydantic.ValidationError as error:
            problems = _problems(error, names)
        raise ConfigurationError(f"{model.__name__} refuses its values", problems=problems)

    return build


def _problems(error: pydantic.ValidationError, names: Mapping[str, str]) -> dict[str, str]:
    problems: dict[str, str] = {}
    for found in error.errors(include_url=False, include_context=False, include_input=False):
        name = names.get(str(found["loc"][0]), WHOLE) if found["loc"] else WHOLE
        text = found["msg"] if found["type"] in _SAFE else "refused by the model's own validation"
        problems.setdefault(name, text[:1].lower() + text[1:])
    return problems

"""No eight characters of any value are in an error, a status, a print or a log, whatever is wrong with it."""

from __future__ import annotations

import dataclasses
import enum
import json
import logging
import secrets as random
import traceback
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, SecretBytes, field_validator, model_validator
from pydantic import SecretStr as PydanticSecretStr

from keystead.config.convert import Json
from keystead.config.declare import SecretStr
from keystead.config.sizes import ByteSize
from keystead.config.urls import URL, SecretURL
from keystead.errors import ConfigurationError, KeysteadError
from keystead.secrets.value import SecretValue
from keystead.services.config_loader import ConfigLoader


class Level(enum.Enum):
    LOW = "low"


TYPES: list[Any] = [
    int,
    float,
    bool,
    timedelta,
    ByteSize,
    URL,
    SecretURL,
    Level,
    Literal["dev"],
    list[int],
    list[SecretURL],
    tuple[bool, ...],
    dict,
    dict[str, int],
    Annotated[Any, Json],
    int | None,
    SecretURL | None,
]
FORMS = ["{}", "[{}", '["{}"]', '{{"a": "{}"}}', '{{"{}": 1, "{}": 2}}', "secret://{}#", "https://u:{}@h/", "{}=1\n"]


def canary() -> str:
    # of no digit of base 16, as addresses of objects are
    return "cAnaRy" + "".join(random.choice("ghijklmnopqrstuvwxyz") for _ in range(24))


def told(error: BaseException) -> Iterator[str]:
    """All that a handler, a log or a debugger prints of an error, its whole chain included."""
    yield from traceback.format_exception(error)
    seen: BaseException | None = error
    while seen is not None:
        yield repr(seen) + str(seen) + repr(vars(seen)) + repr(seen.args)
        seen = seen.__cause__ or seen.__context__


def leaked(value: str, texts: Iterator[str] | list[str]) -> list[str]:
    pieces = {value[at : at + 8] for at in range(len(value) - 7)}
    return [text for text in texts if any(piece in text for piece in pieces)]


@pytest.mark.parametrize("way", ["environment", "env_file", "file", "override", "secret", "reference"])
def test_a_value_that_fails_is_in_no_error_and_no_status(
    way: str, tmp_path: Path, secrets: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    from keystead.config.dotenv import write

    for form in FORMS:
        value = canary()
        text = form.replace("{{", "{").replace("}}", "}").replace("{}", value)
        names = [f"f{at}" for at in range(len(TYPES))]
        schema = dataclasses.make_dataclass("Schema", list(zip(names, TYPES, strict=True)))
        given = {name.upper(): text for name in names}
        (tmp_path / "value").write_text(text)
        (tmp_path / ".env").write_text(write(given))
        loader: ConfigLoader[Any] = {
            "environment": lambda given=given, schema=schema: ConfigLoader(schema, env=given),
            "env_file": lambda schema=schema: ConfigLoader(schema, env={}, env_file=tmp_path / ".env"),
            "file": lambda schema=schema, names=names: ConfigLoader(
                schema, env={f"{name.upper()}_FILE": str(tmp_path / "value") for name in names}
            ),
            "override": lambda schema=schema, given=given: ConfigLoader(schema, env={}, overrides=given),
            "secret": lambda schema=schema: ConfigLoader(schema, env={}),
            "reference": lambda schema=schema, given=given: ConfigLoader(
                schema, env=dict.fromkeys(given, "secret://shared")
            ),
        }[way]()
        source = secrets(given if way == "secret" else {"shared": text} if way == "reference" else {})
        with pytest.raises(ConfigurationError) as caught:
            loader.load(source)
        assert len(caught.value.problems) >= 8
        assert not leaked(value, told(caught.value))
        assert not leaked(value, [loader.get_status().to_json(), repr(loader.get_status()), repr(loader)])
        assert not leaked(value, [caplog.text])


def test_a_broken_line_of_an_env_file_is_in_no_error(tmp_path: Path) -> None:
    value = canary()
    for text in (f"A='{value}", f"{value} {value}", f'A="{value}" {value}', f"={value}", f"A=${{{value}}}"):
        (tmp_path / ".env").write_text(text + "\n")
        loader = ConfigLoader(dataclasses.make_dataclass("S", [("a", int)]), env={}, env_file=tmp_path / ".env")
        with pytest.raises(ConfigurationError) as caught:
            loader.load()
        assert not leaked(value, told(caught.value))


def test_a_loaded_configuration_prints_no_secret_whatever_it_is_printed_with() -> None:
    value = canary()

    @dataclasses.dataclass
    class Held:
        a: SecretStr
        b: SecretValue
        c: SecretURL
        d: list[SecretStr]
        e: SecretStr | None

    loader = ConfigLoader(Held, env={"A": value, "B": value, "C": f"redis://:{value}@h", "D": value, "E": value})
    config = loader.load()
    texts = [repr(config), str(config), f"{config}", repr(vars(config)), repr(loader.get_connections())]
    assert not leaked(value, [*texts, repr(loader.get_public()), loader.get_status().to_json()])
    with pytest.raises(TypeError):
        json.dumps(vars(config))
    with pytest.raises(TypeError):
        dataclasses.asdict(config)


def test_a_pydantic_model_that_refuses_a_value_has_it_in_no_error() -> None:
    class Inner(BaseModel):
        port: int

    class Model(BaseModel):
        number: int
        inner: Inner
        either: int | bool
        key: PydanticSecretStr
        raw: SecretBytes
        mine: SecretURL

        @field_validator("key")
        @classmethod
        def refuse(cls, key: PydanticSecretStr) -> PydanticSecretStr:
            raise ValueError(f"no good key: {key.get_secret_value()}")

    value = canary()
    env = dict.fromkeys(["NUMBER", "EITHER", "KEY", "RAW", "MINE"], value) | {"INNER": f'{{"port": "{value}"}}'}
    loader = ConfigLoader(Model, env=env)
    with pytest.raises(ConfigurationError) as first:
        loader.load()
    assert not leaked(value, told(first.value))
    env |= {"NUMBER": "1", "MINE": f"redis://:{value}@h"}
    with pytest.raises(ConfigurationError) as second:
        loader.load()
    assert set(second.value.problems) == {"inner", "either", "key"}
    assert not leaked(value, told(second.value))


def test_a_check_of_the_whole_pydantic_model_has_no_value_in_its_error() -> None:
    class Model(BaseModel):
        key: PydanticSecretStr

        @model_validator(mode="after")
        def refuse(self) -> Model:
            raise AssertionError(f"bad: {self.key.get_secret_value()}")

    value = canary()
    with pytest.raises(ConfigurationError) as caught:
        ConfigLoader(Model, env={"KEY": value}).load()
    assert not leaked(value, told(caught.value))
    assert caught.value.problems.keys() == {"(schema)"}


def test_a_source_that_fails_with_a_text_of_its_own_is_told_as_it_is_and_keystead_adds_no_value(secrets: Any) -> None:
    value = canary()
    loader = ConfigLoader(dataclasses.make_dataclass("S", [("a", SecretStr)]), env={"A": value})
    with pytest.raises(KeysteadError) as caught:
        loader.load(secrets({"A": ConfigurationError("A is denied")}))
    assert "A is denied" in str(caught.value)
    assert not leaked(value, told(caught.value))

"""Schemas: what a dataclass may declare, and what the loader tells of a loaded one."""

from __future__ import annotations

import dataclasses
import enum
import json
from dataclasses import InitVar, dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest

from keystead.config.convert import Json
from keystead.config.declare import From, Public, SecretStr
from keystead.config.sizes import ByteSize
from keystead.config.urls import URL, SecretURL
from keystead.errors import ConfigurationError, UsageError
from keystead.secrets.value import SecretValue
from keystead.services.config_loader import ConfigLoader


class Level(enum.Enum):
    LOW = "low"
    HIGH = "high"


@dataclass(frozen=True, slots=True, kw_only=True)
class Everything:
    kind: ClassVar[str] = "not a field"
    text: Annotated[str, Public]
    number: Annotated[int, Public]
    share: Annotated[float, Public]
    on: Annotated[bool, Public]
    timeout: Annotated[timedelta, Public]
    size: Annotated[ByteSize, Public]
    hosts: Annotated[list[str], Public]
    level: Annotated[Level, Public]
    mode: Annotated[Literal["dev", "prod"], Public]
    api: Annotated[URL, Public]
    limits: Annotated[dict[str, int], Public]
    shape: Annotated[Any, Json, Public]
    folder: Path
    key: SecretValue
    token: SecretStr
    database: SecretURL
    maybe: Annotated[int | None, Public] = None
    tags: list[str] = field(default_factory=list)
    hidden: str = "never shown"
    computed: int = field(init=False, default=7)


ENV = {
    "TEXT": "t",
    "NUMBER": "1",
    "SHARE": "0.5",
    "ON": "yes",
    "TIMEOUT": "5m",
    "SIZE": "64KiB",
    "HOSTS": "a,b",
    "LEVEL": "low",
    "MODE": "prod",
    "API": "https://api.example.com/v1",
    "LIMITS": '{"a": 1}',
    "SHAPE": "[1, {}]",
    "FOLDER": "/srv",
    "KEY": "canary-key",
    "TOKEN": "canary-token",
    "DATABASE": "postgresql://u:canary-pw@db:5432/shop",
}


def test_a_dataclass_of_every_type_is_filled_and_prints_no_secret() -> None:
    config = ConfigLoader(Everything, env=ENV).load()
    assert (config.timeout, config.size, config.level, config.mode) == (timedelta(minutes=5), 65536, Level.LOW, "prod")
    assert (config.database.host, config.database.port, config.computed) == ("db", 5432, 7)
    assert "canary" not in repr(config)
    assert "canary" not in str(dataclasses.astuple(dataclasses.replace(config, key=None, token=None, database=None)))  # type: ignore[arg-type]


def test_the_public_part_is_what_is_marked_and_is_json() -> None:
    loader = ConfigLoader(Everything, env=ENV)
    loader.load()
    assert json.loads(json.dumps(loader.get_public())) == {
        "text": "t",
        "number": 1,
        "share": 0.5,
        "on": True,
        "timeout": "5m",
        "size": 65536,
        "hosts": ["a", "b"],
        "level": "low",
        "mode": "prod",
        "api": "https://api.example.com/v1",
        "limits": {"a": 1},
        "shape": [1, {}],
        "maybe": None,
    }


def test_a_field_is_marked_public_by_metadata_too() -> None:
    @dataclass
    class Named:
        name: str = field(default="n", metadata={"public": True})
        other: str = "o"

    loader = ConfigLoader(Named, env={})
    loader.load()
    assert loader.get_public() == {"name": "n"}


@pytest.mark.parametrize("annotation", [Annotated[SecretStr, Public], Annotated[str, Public, From("db/password")]])
def test_a_secret_cannot_be_marked_public(annotation: Any) -> None:
    with pytest.raises(UsageError, match="public"):
        ConfigLoader(dataclasses.make_dataclass("S", [("a", annotation)]))


def test_connections_show_every_uri_masked_whatever_its_field_is_declared() -> None:
    @dataclass
    class Connections:
        secret_url: SecretURL
        secret_text: SecretStr
        plain: str
        broker_uri: SecretStr
        api: URL
        caches: list[SecretURL]
        apis: set[URL]
        by_region: dict[str, str]
        none: SecretURL | None = None
        port: int = 1
        name: str = "no uri"

    env = {
        "SECRET_URL": "mongodb://u:canary@h1:1,h2:2/db",
        "SECRET_TEXT": "redis://:canary@cache",
        "PLAIN": "amqp://u:canary@mq",
        "BROKER_URI": "canary without a scheme",
        "API": "https://api.example.com/v1",
        "CACHES": "redis://:canary@one,redis://:canary@two",
        "APIS": "https://b,https://a",
        "BY_REGION": '{"eu": "redis://:canary@eu", "us": "redis://us"}',
    }
    loader = ConfigLoader(Connections, env=env)
    loader.load()
    assert loader.get_connections() == {
        "secret_url": "mongodb://***@h1:1,h2:2/db",
        "secret_text": "redis://***@cache",
        "plain": "amqp://***@mq",
        "broker_uri": "***",
        "api": "https://api.example.com/***",
        "caches": "redis://***@one, redis://***@two",
        "apis": "https://a, https://b",
        "by_region": "redis://***@eu, redis://us",
    }


def test_one_setting_is_read_by_field_or_variable_name() -> None:
    loader = ConfigLoader(Everything, env=ENV)
    with pytest.raises(UsageError, match="load"):
        loader.get("number")
    for face in (loader.get_public, loader.get_connections):
        with pytest.raises(UsageError, match="load"):
            face()
    loader.load()
    assert (loader.get("number"), loader.get("NUMBER"), loader.get("other", default=3)) == (1, 1, 3)
    with pytest.raises(ConfigurationError, match="other"):
        loader.get("other")


def test_a_failed_load_keeps_what_was_loaded_and_the_status_tells_both() -> None:
    env = {"PORT": "1"}
    schema = dataclasses.make_dataclass("App", [("port", int)])
    loader = ConfigLoader(schema, env=env)
    loader.load()
    env["PORT"] = "canary"
    with pytest.raises(ConfigurationError):
        loader.load()
    status = loader.get_status()
    assert (status.valid, status.loaded, loader.is_valid(), loader.get("port")) == (False, True, False, 1)
    assert status.sources == {"port": "environment"}
    assert "canary" not in status.to_json()


def test_before_any_load_validity_is_found_by_an_attempt(secrets: Any) -> None:
    loader = ConfigLoader(dataclasses.make_dataclass("App", [("key", SecretStr)]), env={})
    assert not loader.is_valid()
    assert loader.get_status().errors.keys() == {"key"}
    assert loader.is_valid(secrets(KEY="x"))
    assert json.loads(loader.get_status().to_json())["sources"] == {"key": "secrets"}


def test_a_loaded_configuration_is_told_with_counts_and_without_values(secrets: Any) -> None:
    told: list[Any] = []
    schema = dataclasses.make_dataclass("App", [("key", SecretStr), ("port", int), ("name", str, "n")])
    loader = ConfigLoader(schema, env={"PORT": "1"}, _record=told.append)
    with pytest.raises(ConfigurationError):
        loader.load()
    assert told == []
    loader.load(secrets(KEY="canary"))
    assert told == [{"schema": "App", "fields": 3, "secrets": 1, "environment": 1, "default": 1}]


def test_a_default_written_as_plain_text_is_wrapped_where_a_secret_is_declared() -> None:
    @dataclass
    class Wrong:
        key: SecretStr = "canary"  # type: ignore[assignment]

    config = ConfigLoader(Wrong, env={}).load()
    assert isinstance(config.key, SecretStr)
    assert "canary" not in repr(config)


def test_a_default_of_bytes_or_of_a_factory_is_wrapped_too() -> None:
    @dataclass
    class Wrong:
        raw: SecretValue = b"canary"  # type: ignore[assignment]
        made: SecretStr = field(default_factory=lambda: "canary")  # type: ignore[assignment]
        right: SecretStr = field(default_factory=lambda: SecretStr("canary"))
        several: list[SecretStr] = field(default_factory=lambda: "canary,canary")  # type: ignore[assignment]
        none: SecretStr | None = ""  # type: ignore[assignment]

    config = ConfigLoader(Wrong, env={}).load()
    assert (config.raw, config.made, config.right, config.none) == (b"canary", "canary", "canary", None)
    assert "canary" not in repr(config)


def test_defaults_that_cannot_be_are_problems_beside_the_others() -> None:
    @dataclass
    class Wrong:
        port: int
        key: SecretStr = ""  # type: ignore[assignment]
        uri: SecretURL = "canary"  # type: ignore[assignment]

    with pytest.raises(ConfigurationError) as caught:
        ConfigLoader(Wrong, env={}).load()
    assert set(caught.value.problems) == {"port", "key", "uri"}
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("annotation", [complex, bytes, list[list[int]], int | str, "Unheard"])
def test_a_type_that_a_configuration_does_not_have_is_refused_where_the_loader_is_made(annotation: Any) -> None:
    with pytest.raises(UsageError):
        ConfigLoader(dataclasses.make_dataclass("S", [("a", annotation)]))


@pytest.mark.parametrize("schema", [int, "App", dict, Level])
def test_what_is_no_schema_is_refused(schema: Any) -> None:
    with pytest.raises(UsageError):
        ConfigLoader(schema)


def test_two_fields_of_one_variable_are_refused_by_name() -> None:
    with pytest.raises(UsageError, match="PORT"):
        ConfigLoader(dataclasses.make_dataclass("S", [("port", int), ("other", Annotated[int, From(env="PORT")])]))


@pytest.mark.parametrize(("secret", "env"), [("a b", None), ("a#x1", None), (None, "A-B"), (None, "1A")])
def test_a_place_that_cannot_be_is_refused_where_it_is_written(secret: str | None, env: str | None) -> None:
    with pytest.raises(UsageError):
        From(secret, env=env)


def test_the_mark_public_has_no_instances() -> None:
    with pytest.raises(UsageError):
        Public()


def test_a_subclass_has_fields_of_its_own() -> None:
    @dataclass
    class Base:
        port: int = 1

    ConfigLoader(Base, env={}).load()

    @dataclass
    class Derived(Base):
        host: str = "h"

    assert ConfigLoader(Derived, env={"HOST": "x"}).load() == Derived(1, "x")


def test_checks_of_the_application_are_told_by_kind_and_not_by_their_text() -> None:
    @dataclass
    class Checked:
        key: SecretStr

        def __post_init__(self) -> None:
            raise ValueError(f"bad key {self.key.reveal()}")

    with pytest.raises(ConfigurationError) as caught:
        ConfigLoader(Checked, env={"KEY": "canary"}).load()
    assert "ValueError" in str(caught.value)
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None


def test_values_for_construction_only_are_left_to_the_class() -> None:
    @dataclass
    class WithInit:
        port: int = 1
        extra: InitVar[int] = 2

    assert ConfigLoader(WithInit, env={"PORT": "3"}).load().port == 3


def test_what_a_schema_is_written_with_is_found_in_the_room_itself() -> None:
    from keystead import config

    assert {name: getattr(config, name).__name__ for name in config.__all__} == {name: name for name in config.__all__}
    with pytest.raises(AttributeError):
        config.Unheard  # noqa: B018


def test_a_loader_prints_nothing_of_what_it_holds() -> None:
    loader = ConfigLoader(Everything, env=ENV, overrides={"token": "canary"})
    loader.load()
    assert "canary" not in repr(loader) + repr(loader.get_status())

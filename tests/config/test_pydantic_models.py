"""Pydantic models as schemas, and that pydantic is never imported for any other."""

from __future__ import annotations

import enum
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import AliasChoices, AliasPath, AnyUrl, BaseModel, Field, PostgresDsn, SecretBytes
from pydantic import SecretStr as PydanticSecretStr

from keystead.config.declare import From, Public, SecretStr
from keystead.config.sizes import ByteSize
from keystead.config.urls import URL, SecretURL
from keystead.errors import ConfigurationError, UsageError
from keystead.secrets.value import SecretValue
from keystead.services.config_loader import ConfigLoader


class Level(enum.Enum):
    LOW = "low"


class Inner(BaseModel):
    port: int


class Model(BaseModel):
    name: Annotated[str, Public]
    port: int = Field(default=80, gt=0, lt=65536)
    debug: bool = False
    timeout: timedelta = timedelta(seconds=30)
    hosts: list[str] = []
    level: Level = Level.LOW
    mode: Literal["dev", "prod"] = "dev"
    inner: Inner | None = None
    site: AnyUrl | None = None
    key: PydanticSecretStr
    raw: SecretBytes | None = None
    token: Annotated[SecretStr, From("mail/token")]
    database: SecretURL
    api: URL | None = None
    size: ByteSize = ByteSize(1)


ENV = {
    "NAME": "app",
    "PORT": "8080",
    "DEBUG": "on",
    "TIMEOUT": "5m",
    "HOSTS": "a,b",
    "LEVEL": "low",
    "MODE": "prod",
    "SITE": "https://example.com",
    "KEY": "canary-key",
    "DATABASE": "postgresql://u:canary@db/x",
    "API": "https://api.example.com/",
    "SIZE": "10MB",
}


def test_a_model_is_filled_from_secrets_and_environment_with_keysteads_spellings(secrets: Any) -> None:
    source = secrets({"mail/token": "t", "RAW": b"\xff\x00"})
    loader = ConfigLoader(Model, env=ENV)
    model = loader.load(source)
    assert isinstance(model, Model)
    assert (model.port, model.debug, model.timeout, model.hosts) == (8080, True, timedelta(minutes=5), ["a", "b"])
    assert (model.level, model.mode, model.size) == (Level.LOW, "prod", 10_000_000)
    assert model.key.get_secret_value() == "canary-key"
    assert model.raw is not None
    assert model.raw.get_secret_value() == b"\xff\x00"
    assert (model.token.reveal(), model.database.host, model.api) == ("t", "db", "https://api.example.com/")
    assert len(source.calls) == 1
    assert "canary" not in repr(model)
    assert loader.get_public() == {"name": "app"}
    assert loader.get_status().sources["token"] == "secrets"


def test_connections_of_a_model_are_masked_too() -> None:
    class Connected(BaseModel):
        plain: PostgresDsn
        secret_url: PydanticSecretStr

    loader = ConfigLoader(Connected, env={"PLAIN": "postgresql://u:canary@db/x", "SECRET_URL": "redis://:canary@c"})
    loader.load()
    assert loader.get_connections() == {"plain": "postgresql://***@db/x", "secret_url": "redis://***@c"}


def test_a_plain_field_of_a_model_filled_from_a_secret_is_refused(secrets: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ConfigLoader(Model, env=ENV).load(secrets({"mail/token": "t", "SITE": "https://x", "NAME": "x"}))
    assert caught.value.problems.keys() == {"site", "name"}
    assert "SecretStr" in caught.value.problems["name"]


def test_the_models_own_bounds_hold_and_are_told_by_field(secrets: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ConfigLoader(Model, env={**ENV, "PORT": "70000", "SITE": "x"}).load(secrets({"mail/token": "t"}))
    assert caught.value.problems.keys() == {"port", "site"}
    assert "less than 65536" in caught.value.problems["port"]


def test_a_nested_model_is_written_as_json(secrets: Any) -> None:
    class Outer(BaseModel):
        inner: Inner

    assert ConfigLoader(Outer, env={"INNER": '{"port": 5}'}).load().inner.port == 5
    assert ConfigLoader(Outer, env={}, overrides={"inner": {"port": 6}}).load().inner.port == 6
    with pytest.raises(ConfigurationError, match="JSON"):
        ConfigLoader(Outer, env={"INNER": "port=5"}).load()


def test_what_a_model_requires_and_nothing_gives_is_told() -> None:
    loader = ConfigLoader(Model, env={})
    assert not loader.is_valid()
    assert loader.get_status().errors.keys() == {"name", "key", "token", "database"}


def test_aliases_are_the_models_own_matter_and_variables_go_by_field_name() -> None:
    class Aliased(BaseModel):
        port: int = Field(alias="thePort")
        host: str = Field(validation_alias=AliasChoices(AliasPath("a", 0), "theHost"))

    model = ConfigLoader(Aliased, env={"PORT": "5", "HOST": "h"}).load()
    assert (model.port, model.host) == (5, "h")

    class Pathed(BaseModel):
        port: int = Field(validation_alias=AliasPath("a", 0))

    with pytest.raises(UsageError, match="alias"):
        ConfigLoader(Pathed)


def test_a_pydantic_secret_cannot_be_marked_public() -> None:
    class Wrong(BaseModel):
        key: Annotated[PydanticSecretStr, Public]

    with pytest.raises(UsageError, match="public"):
        ConfigLoader(Wrong)


def test_a_secret_value_may_be_a_field_of_a_model() -> None:
    class WithValue(BaseModel):
        key: SecretValue

    assert ConfigLoader(WithValue, env={"KEY": "x"}).load().key == "x"


def test_a_default_that_is_a_secret_value_is_not_copied() -> None:
    class WithDefault(BaseModel):
        key: SecretValue = SecretValue("canary")
        made: PydanticSecretStr = Field(default_factory=lambda: PydanticSecretStr("canary"))
        text: PydanticSecretStr = "canary"  # type: ignore[assignment]

    config = ConfigLoader(WithDefault, env={}).load()
    assert config.key == "canary"
    assert config.text.get_secret_value() == config.made.get_secret_value() == "canary"
    assert "canary" not in repr(config)


def test_a_dumped_model_gives_no_secret_text() -> None:
    class Dumped(BaseModel):
        key: SecretStr

    model = ConfigLoader(Dumped, env={"KEY": "canary"}).load()
    assert "canary" not in repr(model.model_dump())
    with pytest.raises(Exception) as caught:
        model.model_dump_json()
    assert "canary" not in str(caught.value)


def test_a_dataclass_never_brings_pydantic_in(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\n"
        "from dataclasses import dataclass\n"
        "from keystead.services.config_loader import ConfigLoader\n"
        "@dataclass\n"
        "class App:\n"
        "    port: int = 1\n"
        "print(ConfigLoader(App, env={'PORT': '2'}).load().port, [m for m in sys.modules if 'pydantic' in m])\n"
    )
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, check=True)
    assert done.stdout == "2 []\n"


def test_a_credential_in_a_public_uri_is_masked_and_a_public_uri_without_one_stays_as_it_is() -> None:
    class Shown(BaseModel):
        database: Annotated[PostgresDsn, Public]
        homes: Annotated[list[AnyUrl], Public]

    database = "postgresql://ada:CANARY-in-a-dsn@db.example:5432/shop"
    loader = ConfigLoader(
        Shown, env={}, overrides={"database": database, "homes": ["https://shop.example/a?page=2", "x://u:CANARY@h/"]}
    )
    loader.load()
    shown = loader.get_public()
    assert shown["homes"][0] == "https://shop.example/a?page=2"
    assert "CANARY" not in repr(shown)
    assert "db.example:5432" in shown["database"]

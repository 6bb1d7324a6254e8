"""Configuration from a real store, through a SecretsManager."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest

import keystead
from keystead.config import From, SecretStr, SecretURL
from keystead.errors import ConfigurationError


@dataclass
class App:
    jwt_secret: SecretStr
    mongodb_uri: SecretURL
    old: Annotated[SecretStr | None, From("JWT_SECRET#previous")] = None
    name: str = "app"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[keystead.Connection]:
    with keystead.connect(tmp_path / "store.db", master_key=keystead.generate_master_key()) as connection:
        connection.secrets.set_secret("JWT_SECRET", "first")
        connection.secrets.rotate_secret("JWT_SECRET", "second")
        connection.secrets.set_secret("shared/mongo", "mongodb://u:canary@h1:1,h2:2/db")
        yield connection


def test_a_schema_is_filled_from_a_store_by_name_by_label_and_by_reference(store: keystead.Connection) -> None:
    config = store.config(App, env={"MONGODB_URI": "secret://shared/mongo", "JWT_SECRET": "of the environment"})
    assert config.old is not None
    assert (config.jwt_secret.reveal(), config.old.reveal(), config.mongodb_uri.port) == ("second", "first", 1)
    assert (config.jwt_secret.name, config.jwt_secret.version) == ("JWT_SECRET", 2)
    assert "canary" not in repr(config)


def test_a_plain_field_takes_the_environments_value_and_never_the_stores(store: keystead.Connection) -> None:
    env = {"MONGODB_URI": "secret://shared/mongo", "NAME": "shop"}
    assert store.config(App, env=env).name == "shop"
    store.secrets.set_secret("NAME", "canary")
    with pytest.raises(ConfigurationError, match="SecretStr") as caught:
        store.config(App, env=env)
    assert "canary" not in str(caught.value)


def test_a_deleted_secret_does_not_come_back_from_the_environment(store: keystead.Connection) -> None:
    store.kms.delete_secret("JWT_SECRET")
    loader = store.config_loader(App, env={"JWT_SECRET": "old", "MONGODB_URI": "secret://shared/mongo"})
    with pytest.raises(ConfigurationError) as caught:
        loader.load(store.secrets)
    assert caught.value.problems.keys() == {"jwt_secret", "old"}


def test_a_plain_field_set_in_the_processs_environment_is_filled_from_it(
    store: keystead.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAME", "shop")
    monkeypatch.setenv("MONGODB_URI", "redis://:pw@cache")
    loader = store.config_loader(App)
    assert loader.load(store.secrets).name == "shop"
    assert loader.get_status().sources["name"] == "environment"


def test_an_environment_that_is_given_is_the_only_one_also_where_the_manager_falls_back(
    store: keystead.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAME", "of the process")
    loader = store.config_loader(App, env={"MONGODB_URI": "redis://:pw@cache"})
    assert loader.load(store.secrets).name == "app"
    assert loader.get_status().sources["name"] == "default"

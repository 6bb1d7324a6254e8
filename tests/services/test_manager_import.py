"""SecretsManager at the start: what is imported from the environment, and what is not brought back."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.services.conftest import BY_HAND, Open, recorded

from keystead.config.declare import SecretStr
from keystead.errors import (
    ConfigurationError,
    IntegrityError,
    SecretDeleted,
    SecretExpired,
    SecretNotFound,
    UsageError,
    VersionConflict,
)
from keystead.services import import_environment
from keystead.services.connection import Connection
from keystead.testing import ManualClock

DEFAULT = ["JWT_SECRET", "MONGODB_URI", "REDIS_URL", "ENCRYPTION_MASTER_KEY"]


def names(store: Connection) -> list[str]:
    return [info.name for info in store.kms.list_secrets().items]


def test_the_default_names_are_imported_and_never_the_whole_environment(store: Connection) -> None:
    env = dict.fromkeys([*DEFAULT, "HOME", "PATH", "OTHER_SECRET"], "value")
    report = store.secrets.initialize(env=env)
    assert report.imported == DEFAULT
    assert names(store) == sorted(DEFAULT)
    assert store.secrets.get_status().imported == DEFAULT
    assert store.secrets.initialize(env=env).present == DEFAULT
    assert {info.version for info in store.kms.list_secrets().items} == {1}


def test_without_env_the_environment_at_the_call_is_meant(store: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in DEFAULT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("JWT_SECRET", "of this moment")
    report = store.secrets.initialize()
    assert (report.imported, report.absent) == (["JWT_SECRET"], DEFAULT[1:])
    assert store.secrets.get_secret("JWT_SECRET").reveal() == "of this moment"
    assert os.environ["JWT_SECRET"] == "of this moment"


def test_names_and_a_prefix_choose_what_is_imported(opened: Open) -> None:
    env = {"APP_A": "a", "APP_B": "b", "JWT_SECRET": "c", "OTHER": "d"}
    store = opened(settings=replace(BY_HAND, import_names=("OTHER",)))
    assert store.secrets.initialize(env=env).imported == ["OTHER"]
    assert store.secrets.initialize(env=env, names=["APP_A"]).imported == ["APP_A"]
    assert store.secrets.initialize(env=env, names=[], prefix="APP_").imported == ["APP_B"]
    assert store.secrets.initialize(env=env, names=iter(["JWT_SECRET"])).imported == ["JWT_SECRET"]
    with pytest.raises(UsageError, match="prefix"):
        store.secrets.initialize(env=env, prefix="")


def test_a_name_that_is_no_variables_is_imported_from_the_variable_it_would_fall_back_to(store: Connection) -> None:
    env = {"DB_PRIMARY": "a", "MAIL_KEY": "b", "mail.key": "c"}
    assert store.secrets.initialize(env=env, names=["db/primary", "mail.key"]).imported == ["db/primary", "mail.key"]
    assert store.kms.get_secret("db/primary").reveal() == "a"
    assert store.kms.get_secret("mail.key").reveal() == "c"
    report = store.secrets.initialize(env={"DB_PRIMARY": "other"}, names=["db/primary"])
    assert report.conflicts == ["db/primary"]


@pytest.mark.parametrize("name", ["kms/master/key", "kms_master_key_file", "keystead/url", "KMS.MASTER.KEY"])
def test_no_spelling_of_a_name_brings_keysteads_own_variables_into_the_store(store: Connection, name: str) -> None:
    env = {"KMS_MASTER_KEY": "canary", "KMS_MASTER_KEY_FILE": "canary", "KEYSTEAD_URL": "canary", name: "canary"}
    report = store.secrets.initialize(env=env, names=[name])
    assert (report.imported, set(report.failed)) == ([], {name})
    with pytest.raises(SecretNotFound):
        store.secrets.get_secret(name)


@pytest.mark.parametrize(
    "name",
    ["KMS_MASTER_KEY", "KMS_MASTER_KEY_FILE", "KMS_MASTER_KEY_OLD", "KMS_PASSPHRASE", "KEYSTEAD_URL", "KEYSTEAD_X"],
)
def test_keysteads_own_variables_never_become_secrets(store: Connection, name: str) -> None:
    report = store.secrets.initialize(env={name: "canary", "OK": "x"}, names=[name, "OK"], prefix=name[:4])
    assert set(report.failed) == {name}
    assert names(store) == ["OK"]
    with pytest.raises(SecretNotFound):
        store.secrets.get_secret(name)


def test_one_bad_secret_never_stops_the_start_and_is_named_in_the_status(store: Connection) -> None:
    env = {"EMPTY": "", "LONG": "canary-" * 10_000, "bad name": "canary", "JWT_SECRET": "x", "HALF": "\udc80canary"}
    report = store.secrets.initialize(env=env, names=env)
    assert report.imported == ["JWT_SECRET"]
    assert set(report.failed) == set(store.secrets.get_status().failed) == {"EMPTY", "LONG", "bad name", "HALF"}
    assert "canary" not in store.secrets.get_status().to_json()
    assert store.secrets.get_secret("JWT_SECRET").reveal() == "x"


def test_a_secret_that_does_not_decrypt_stops_no_other(store: Connection, path: Path) -> None:
    env = {"JWT_SECRET": "x", "REDIS_URL": "y"}
    store.secrets.initialize(env=env)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE secret_versions SET ciphertext = zeroblob(99) WHERE name = 'JWT_SECRET'")
        connection.commit()
    report = store.secrets.initialize(env={**env, "MONGODB_URI": "z"})
    assert (report.imported, report.present, set(report.failed)) == (["MONGODB_URI"], ["REDIS_URL"], {"JWT_SECRET"})
    with pytest.raises(IntegrityError):
        store.secrets.get_secret("JWT_SECRET", default="y")


# Where both have it


def test_the_store_wins_where_both_differ_and_that_is_said(store: Connection, caplog: pytest.LogCaptureFixture) -> None:
    store.kms.store_secret("JWT_SECRET", "of the store")
    report = store.secrets.initialize(env={"JWT_SECRET": "of the environment"})
    assert (report.conflicts, report.imported) == (["JWT_SECRET"], [])
    assert store.secrets.get_status().conflicts == ["JWT_SECRET"]
    assert store.secrets.get_secret("JWT_SECRET").reveal() == "of the store"
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert any("JWT_SECRET" in line and "the store wins" in line for line in said)
    assert "of the" not in "".join(said).replace("of the store wins", "")


@pytest.mark.parametrize(("theirs", "said"), [("other", "conflicts"), ("mine", "present")])
def test_a_name_that_another_process_stores_during_the_import_is_told_too(
    opened: Open, monkeypatch: pytest.MonkeyPatch, theirs: str, said: str
) -> None:
    store, other = opened(), opened()
    real = import_environment._store

    def too_late(*arguments: Any) -> None:
        other.kms.store_secret("JWT_SECRET", theirs)
        real(*arguments)

    monkeypatch.setattr(import_environment, "_store", too_late)
    report = store.secrets.initialize(env={"JWT_SECRET": "mine", "REDIS_URL": "x"})
    assert (report.imported, getattr(report, said)) == (["REDIS_URL"], ["JWT_SECRET"])
    assert store.secrets.get_secret("JWT_SECRET").reveal() == theirs


def test_the_environment_can_be_told_to_win(store: Connection) -> None:
    store.kms.store_secret("JWT_SECRET", "of the store")
    report = store.secrets.initialize(env={"JWT_SECRET": "of the environment"}, conflicts="environment")
    assert (report.conflicts, report.imported) == (["JWT_SECRET"], ["JWT_SECRET"])
    assert store.secrets.get_secret("JWT_SECRET").reveal() == "of the environment"
    assert store.kms.get_secret("JWT_SECRET", label="previous").reveal() == "of the store"


def test_a_difference_can_be_told_to_be_an_error_and_then_nothing_is_imported(store: Connection) -> None:
    store.kms.store_secret("JWT_SECRET", "of the store")
    with pytest.raises(VersionConflict, match="JWT_SECRET") as conflict:
        store.secrets.initialize(env={"REDIS_URL": "x", "JWT_SECRET": "of the environment"}, conflicts="error")
    assert "environment" not in str(conflict.value).replace("between store and environment", "")
    assert names(store) == ["JWT_SECRET"]
    assert store.secrets.initialize(env={"JWT_SECRET": "of the store"}, conflicts="error").present == ["JWT_SECRET"]


def test_another_policy_is_refused(store: Connection) -> None:
    with pytest.raises(UsageError, match="conflicts"):
        store.secrets.initialize(env={}, conflicts="newest")  # type: ignore[arg-type]


# What ended stays ended

ENDS: dict[str, tuple[Callable[[Connection, ManualClock], None], type[Exception]]] = {
    "expired": (lambda store, clock: clock.advance(3_600_000), SecretExpired),
    "deleted": (lambda store, clock: store.kms.delete_secret("JWT_SECRET"), SecretDeleted),
    "destroyed": (lambda store, clock: store.kms.destroy_secret("JWT_SECRET"), SecretDeleted),
}


@pytest.mark.parametrize("conflicts", ["store", "environment", "error"])
@pytest.mark.parametrize("end", ENDS)
def test_initialize_brings_nothing_back_and_a_read_never_falls_back(
    store: Connection, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, end: str, conflicts: str
) -> None:
    monkeypatch.setenv("JWT_SECRET", "of the environment")
    store.kms.store_secret("JWT_SECRET", "of the store", ttl="1h")
    change, error = ENDS[end]
    change(store, clock)
    for _ in range(2):
        report = store.secrets.initialize(names=["JWT_SECRET"], conflicts=conflicts)  # type: ignore[arg-type]
        assert (report.imported, set(report.failed)) == ([], {"JWT_SECRET"})
    for call in (
        lambda: store.secrets.get_secret("JWT_SECRET"),
        lambda: store.secrets.get_secret("JWT_SECRET", default="x"),
        lambda: store.secrets.get_secrets(["JWT_SECRET"]),
        lambda: store.secrets.get_secrets(["JWT_SECRET"], missing="skip"),
    ):
        with pytest.raises(error):
            call()
    assert store.secrets.get_status().fallbacks == {}


# Falling back


def test_only_a_name_that_was_never_held_falls_back_and_that_is_announced(
    store: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_PASSWORD", "of the environment")
    events = recorded(store.kms)
    assert store.secrets.get_secret("db/password").reveal() == "of the environment"
    assert store.secrets.get_secret("DB_PASSWORD", default="x").reveal() == "of the environment"
    assert events.count(("environment_fallback", "secret/db/password", "success")) == 1
    assert store.secrets.get_status().fallbacks == {"db/password": "DB_PASSWORD", "DB_PASSWORD": "DB_PASSWORD"}
    store.kms.store_secret("db/password", "of the store")
    assert store.secrets.get_secret("db/password").reveal() == "of the store"
    with pytest.raises(SecretNotFound):
        store.kms.get_secret("DB_PASSWORD")
    for which in ({"version": 1}, {"label": "previous"}):
        with pytest.raises(SecretNotFound):
            store.secrets.get_secret("DB_PASSWORD", **which)


def test_a_fallback_uses_the_environment_that_was_given(store: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", "of the process")
    store.secrets.initialize(env={"API_TOKEN": "given"}, names=[])
    assert store.secrets.get_secret("API_TOKEN").reveal() == "given"
    assert store.secrets.get_secret("DB_PASSWORD", default=None) is None
    with pytest.raises(SecretNotFound):
        store.secrets.get_secret("DB_PASSWORD")


def test_a_default_is_given_only_for_what_nobody_has(store: Connection) -> None:
    store.secrets.initialize(env={"EMPTY": ""}, names=[])
    assert store.secrets.get_secret("NOWHERE", default="x") == "x"
    assert store.secrets.get_secret("NOWHERE", None) is None
    assert store.secrets.get_secret("EMPTY", default="x") == "x"
    with pytest.raises(SecretNotFound):
        store.secrets.get_secret("NOWHERE")
    with pytest.raises(UsageError):
        store.secrets.get_secret("not a name", default="x")


# Many at once, and configuration


def test_many_secrets_are_read_in_one_query_by_name_version_and_label(
    store: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.kms.store_secrets({name: f"{name}1" for name in ("A", "B", "C")})
    store.kms.rotate_secret("A", "A2")
    asked = []
    rows = store.kms.node.reader.rows
    real = type(rows()).currents
    monkeypatch.setattr(type(rows()), "currents", lambda self, names: asked.append(list(names)) or real(self, names))
    read = store.secrets.get_secrets(["A", "B", "A#1", "A#previous", "C", "B"])
    assert {name: value.reveal() for name, value in read.items()} == {
        "A": "A2", "B": "B1", "A#1": "A1", "A#previous": "A1", "C": "C1",
    }  # fmt: skip
    assert asked == [["A", "B", "C"]]
    assert list(store.secrets.get_secrets(["A", "B", "C", "A#1", "A#previous"])) == ["A", "B", "C", "A#1", "A#previous"]
    assert len(asked) == 1


def test_what_is_missing_among_many_raises_or_is_skipped(store: Connection) -> None:
    store.secrets.initialize(env={"IN_ENV": "e"}, names=[])
    store.kms.store_secret("A", "a")
    with pytest.raises(SecretNotFound, match="NOWHERE"):
        store.secrets.get_secrets(["A", "NOWHERE"])
    assert list(store.secrets.get_secrets(["A", "NOWHERE"], missing="skip")) == ["A"]
    assert store.secrets.get_secrets(["A", "IN_ENV"])["IN_ENV"].reveal() == "e"
    with pytest.raises(SecretNotFound, match="A"):
        store.secrets.get_secrets(["A#7"], missing="skip")
    for nonsense in ("A#", "A#0", "A#newest", "A#1#2", ""):
        with pytest.raises(UsageError):
            store.secrets.get_secrets([nonsense], missing="skip")
    with pytest.raises(UsageError, match="missing"):
        store.secrets.get_secrets(["A"], missing="ignore")  # type: ignore[arg-type]
    assert store.secrets.get_secrets([]) == {}


@dataclass
class App:
    jwt_secret: SecretStr
    port: int = 80


def test_a_connection_gives_the_loaded_configuration_and_records_it(store: Connection) -> None:
    store.secrets.initialize(env={"JWT_SECRET": "canary-canary"})
    events = recorded(store.kms)
    app = store.config(App, env={"PORT": "8080"})
    assert (app.jwt_secret.get_secret_value(), app.port) == ("canary-canary", 8080)
    assert "canary" not in repr(app)
    assert ("configuration_loaded", "config", "success") in events
    loader = store.config_loader(App, env={"PORT": "no"})
    assert not loader.is_valid(store.secrets)
    with pytest.raises(ConfigurationError, match="port"):
        loader.load(store.secrets)


def test_setting_and_rotating_go_through_the_same_use_cases(store: Connection) -> None:
    assert store.secrets.set_secret("A", "1", ttl="1h", tags={"a": "b"}, expected_version=0).version == 1
    assert store.secrets.get_secret("A").reveal() == "1"
    assert store.secrets.rotate_secret("A", "2", expected_version=1).tags == {"a": "b"}
    assert store.secrets.get_secret("A").reveal() == "2"
    assert store.secrets.list_secrets(prefix="A", limit=1).items == store.kms.list_secrets(prefix="A", limit=1).items
    with pytest.raises(VersionConflict):
        store.secrets.set_secret("A", "3", expected_version=0)

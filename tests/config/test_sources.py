"""Where each field comes from: the order of sources, files, references, and one batch of secrets."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pytest

from keystead.config.declare import From, SecretStr
from keystead.config.urls import SecretURL
from keystead.errors import (
    ConfigurationError,
    IntegrityError,
    SecretExpired,
    SessionEnded,
    StoreUnavailable,
    UsageError,
)
from keystead.secrets.value import SecretValue
from keystead.services.config_loader import ConfigLoader


@dataclass
class App:
    jwt_secret: SecretStr
    port: int = 8000
    name: str = "app"


def problems_of(loader: ConfigLoader[Any], secrets: Any = None) -> dict[str, str]:
    with pytest.raises(ConfigurationError) as caught:
        loader.load(secrets)
    return caught.value.problems


def test_each_field_comes_from_the_first_source_that_has_it_and_its_source_is_remembered(
    tmp_path: Path, secrets: Any
) -> None:
    @dataclass
    class Five:
        a: SecretStr
        b: SecretStr
        c: SecretStr
        d: SecretStr
        e: SecretStr = field(default_factory=lambda: SecretStr("default"))

    file = tmp_path / ".env"
    file.write_text("A=file\nB=file\nC=file\nD=file\n")
    loader = ConfigLoader(Five, env={"A": "env", "B": "env", "C": "env"}, env_file=file, overrides={"a": "override"})
    config = loader.load(secrets(A="secret", B="secret"))
    shown = [each.reveal() for each in (config.a, config.b, config.c, config.d, config.e)]
    assert shown == ["override", "secret", "env", "file", "default"]
    assert loader.get_status().sources == {
        "a": "overrides",
        "b": "secrets",
        "c": "environment",
        "d": "env_file",
        "e": "default",
    }
    assert loader.get_status().origins == {"a": "a", "b": "B", "c": "C", "d": "D"}


def test_secrets_are_asked_once_for_what_no_override_fills_and_for_references(secrets: Any) -> None:
    source = secrets({"JWT_SECRET": "s", "shared/key#2": "k", "mail#previous": "m"})

    @dataclass
    class Some:
        jwt_secret: SecretStr
        key: SecretStr
        mail: SecretStr
        port: int = 1
        host: str = "h"

    loader = ConfigLoader(
        Some,
        env={"KEY": "secret://shared/key#2"},
        overrides={"port": 2, "mail": "secret://mail#previous"},
    )
    config = loader.load(source)
    assert source.calls == [["JWT_SECRET", "KEY", "shared/key#2", "mail#previous", "HOST"]]
    assert (config.key.reveal(), config.mail.reveal(), config.port) == ("k", "m", 2)
    assert loader.get_status().sources["key"] == "secrets"
    assert loader.get_status().origins["key"] == "shared/key#2"


def test_without_secrets_nothing_is_asked_and_a_reference_is_a_problem() -> None:
    loader = ConfigLoader(App, env={"JWT_SECRET": "secret://jwt"})
    assert "load()" in problems_of(loader)["jwt_secret"]


def test_a_reference_in_the_env_file_is_resolved(tmp_path: Path, secrets: Any) -> None:
    (tmp_path / ".env").write_text("JWT_SECRET=secret://jwt#current\n")
    config = ConfigLoader(App, env={}, env_file=tmp_path / ".env").load(secrets({"jwt#current": "v"}))
    assert config.jwt_secret.reveal() == "v"


def test_a_default_that_is_a_reference_is_resolved_and_never_taken_for_the_secret_itself(secrets: Any) -> None:
    @dataclass
    class Default:
        key: SecretStr = "secret://jwt#2"  # type: ignore[assignment]
        plain: str = "secret://plain"

    source = secrets({"jwt#2": "v", "plain": "v"})
    loader = ConfigLoader(Default, env={"PLAIN": "here"})
    assert loader.load(source).key == "v"
    assert (loader.get_status().sources["key"], source.calls) == ("secrets", [["KEY", "jwt#2", "PLAIN"]])
    assert ConfigLoader(Default, env={"KEY": "other", "PLAIN": "here"}).load(source).key == "other"
    assert "SecretStr" in problems_of(ConfigLoader(Default, env={}), source)["plain"]
    problems = problems_of(ConfigLoader(Default, env={}))
    assert "load()" in problems["key"]
    assert "load()" in problems["plain"]


@pytest.mark.parametrize("text", ["a,secret://b", '["secret://a"]'])
def test_a_reference_among_the_items_of_a_list_is_refused(text: str, secrets: Any) -> None:
    @dataclass
    class Several:
        keys: list[SecretStr]

    problems = problems_of(ConfigLoader(Several, env={"KEYS": text}), secrets({"a": "v", "b": "v"}))
    assert "reference" in problems["keys"]


@pytest.mark.parametrize("reference", ["secret://", "secret://a b", "secret:///a", "secret://a#0", "secret://a#newest"])
def test_a_reference_that_names_nothing_is_a_problem_of_its_field(reference: str, secrets: Any) -> None:
    assert set(problems_of(ConfigLoader(App, env={"JWT_SECRET": reference}), secrets())) == {"jwt_secret"}


def test_a_reference_to_a_secret_that_is_not_there_is_named(secrets: Any) -> None:
    problems = problems_of(ConfigLoader(App, env={"JWT_SECRET": "secret://team/jwt#7"}), secrets())
    assert "team/jwt#7" in problems["jwt_secret"]


@pytest.mark.parametrize("how", ["store", "reference", "override"])
def test_a_plain_field_filled_from_a_secret_is_refused_with_the_types_to_declare(how: str, secrets: Any) -> None:
    overrides = {"jwt_secret": "x", **({"name": SecretValue("canary")} if how == "override" else {})}
    env = {"NAME": "secret://n"} if how == "reference" else {}
    source = secrets({"NAME": "canary"} if how == "store" else {"n": "canary"})
    problem = problems_of(ConfigLoader(App, env=env, overrides=overrides), source)["name"]
    assert all(hint in problem for hint in ("SecretStr", "SecretValue", "SecretURL"))
    assert "canary" not in problem


def test_a_plain_field_that_names_a_secret_is_refused_even_where_there_is_none() -> None:
    @dataclass
    class Wrong:
        password: Annotated[str, From("db/password")] = ""

    assert "SecretStr" in problems_of(ConfigLoader(Wrong, env={}))["password"]


def test_a_field_says_where_it_comes_from_by_annotation_or_metadata(secrets: Any) -> None:
    @dataclass
    class Named:
        password: Annotated[SecretStr, From("db/password")]
        pin: SecretStr = field(metadata={"secret": "db/pin", "env": "THE_PIN"})
        port: Annotated[int, From(env="APP_PORT")] = 1
        old: Annotated[SecretStr | None, From("db/password#previous")] = None

    loader = ConfigLoader(Named, env={"APP_PORT": "5", "PORT": "6", "THE_PIN": "7"})
    config = loader.load(secrets({"db/password": "a", "db/password#previous": "b"}))
    assert config.old is not None
    assert (config.password.reveal(), config.pin.reveal(), config.port, config.old.reveal()) == ("a", "7", 5, "b")


def test_a_file_variable_gives_the_value_of_any_setting(tmp_path: Path) -> None:
    (tmp_path / "jwt").write_text("from a file\n")
    (tmp_path / "port").write_bytes(b"81\r\n")
    env = {"JWT_SECRET_FILE": str(tmp_path / "jwt"), "PORT_FILE": str(tmp_path / "port")}
    loader = ConfigLoader(App, env=env)
    config = loader.load()
    assert (config.jwt_secret.reveal(), config.port) == ("from a file", 81)
    assert loader.get_status().origins["port"] == "PORT_FILE"


def test_only_one_line_end_of_a_file_is_taken_away(tmp_path: Path) -> None:
    (tmp_path / "jwt").write_text(" two\n\n")
    assert ConfigLoader(App, env={"JWT_SECRET_FILE": str(tmp_path / "jwt")}).load().jwt_secret == " two\n"


@pytest.mark.parametrize("source", ["environment", "env_file"])
def test_a_variable_and_its_file_variable_together_are_an_error_that_names_both(tmp_path: Path, source: str) -> None:
    (tmp_path / "jwt").write_text("canary")
    both = {"JWT_SECRET": "canary", "JWT_SECRET_FILE": str(tmp_path / "jwt")}
    file = tmp_path / ".env"
    file.write_text("".join(f"{name}={value}\n" for name, value in both.items()))
    env = both if source == "environment" else {}
    problem = problems_of(ConfigLoader(App, env=env, env_file=file if source == "env_file" else None))["jwt_secret"]
    assert "JWT_SECRET " in problem
    assert "JWT_SECRET_FILE " in problem
    assert "canary" not in problem


def test_a_file_variable_of_the_environment_goes_before_the_env_file(tmp_path: Path) -> None:
    (tmp_path / "jwt").write_text("deployed")
    (tmp_path / ".env").write_text("JWT_SECRET=laptop")
    loader = ConfigLoader(App, env={"JWT_SECRET_FILE": str(tmp_path / "jwt")}, env_file=tmp_path / ".env")
    assert loader.load().jwt_secret == "deployed"


def test_a_field_whose_own_variable_ends_in_file_keeps_it(tmp_path: Path) -> None:
    @dataclass
    class Log:
        log: str = "info"
        log_file: Path = Path("app.log")

    config = ConfigLoader(Log, env={"LOG": "debug", "LOG_FILE": "/var/log/app"}).load()
    assert config == Log("debug", Path("/var/log/app"))


@pytest.mark.parametrize("content", ["absent", "folder", "binary", "large", "empty path"])
def test_a_file_that_cannot_be_read_is_a_problem_that_repeats_neither_path_nor_bytes(
    tmp_path: Path, content: str
) -> None:
    path = tmp_path / "canary"
    if content == "folder":
        path.mkdir()
    elif content == "binary":
        path.write_bytes(b"canary\xff")
    elif content == "large":
        path.write_bytes(b"canary" * 200_000)
    problem = problems_of(ConfigLoader(App, env={"JWT_SECRET_FILE": "" if content == "empty path" else str(path)}))
    assert "JWT_SECRET_FILE" in problem["jwt_secret"]
    assert "canary" not in problem["jwt_secret"]


def test_no_environment_means_that_of_the_process_at_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    loader = ConfigLoader(App)
    monkeypatch.setenv("JWT_SECRET", "later é")
    assert loader.load().jwt_secret == "later é"
    monkeypatch.setenv("JWT_SECRET", "still later")
    assert loader.load().jwt_secret == "still later"
    assert os.environ["JWT_SECRET"] == "still later"


def test_the_env_file_is_read_at_the_load_and_one_that_is_not_there_is_no_error(tmp_path: Path) -> None:
    loader = ConfigLoader(App, env={"JWT_SECRET": "x"}, env_file=tmp_path / ".env")
    assert loader.load().port == 8000
    assert loader.get_status().env_file_found is False
    (tmp_path / ".env").write_text("PORT=9")
    assert loader.load().port == 9
    assert loader.get_status().env_file == str(tmp_path / ".env")
    assert loader.get_status().env_file_found is True


@pytest.mark.parametrize("content", [b"A='canary", b"canary \xff=1"])
def test_an_env_file_that_cannot_be_used_is_a_problem_that_names_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".env").write_bytes(content)
    loader = ConfigLoader(App, env={"JWT_SECRET": "x"}, env_file=tmp_path / ".env")
    problem = problems_of(loader)["env_file"]
    assert str(tmp_path / ".env") in problem
    assert "canary" not in problem


def test_a_variable_in_an_env_file_value_means_the_environment_then_the_lines_above(tmp_path: Path) -> None:
    @dataclass
    class Urls:
        one: str
        two: str
        three: str
        four: str

    (tmp_path / ".env").write_text(
        "HOST=file\nPORT=1\nONE=${HOST}:${PORT}\nTWO=\"${NOWHERE:-fallback}\"\nTHREE='${HOST}'\nFOUR=$HOST ${}\n"
    )
    config = ConfigLoader(Urls, env={"HOST": "env"}, env_file=tmp_path / ".env").load()
    assert config == Urls("env:1", "fallback", "${HOST}", "$HOST ${}")


def test_a_variable_that_nothing_sets_is_a_problem_only_of_the_field_that_needs_it(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("JWT_SECRET=a${NOWHERE}\nOTHER=${NOWHERE}\nTHIRD=${OTHER}\nNAME=n${THIRD:-}\n")
    problem = problems_of(ConfigLoader(App, env={}, env_file=tmp_path / ".env"))["jwt_secret"]
    assert "${...}" in problem
    assert "NOWHERE" not in problem, "it may be part of a password"
    config = ConfigLoader(App, env={"JWT_SECRET": "x"}, env_file=tmp_path / ".env").load()
    assert config.name == "n"


def test_overrides_go_by_field_or_variable_name_and_are_text_or_of_the_type() -> None:
    config = ConfigLoader(App, env={}, overrides={"JWT_SECRET": "s", "port": "81", "NAME": "n"}).load()
    assert (config.jwt_secret.reveal(), config.port, config.name) == ("s", 81, "n")
    config = ConfigLoader(App, env={}, overrides={"jwt_secret": SecretStr("s"), "port": 82}).load()
    assert config.port == 82


@pytest.mark.parametrize(
    ("overrides", "field_name"),
    [
        ({"jwt_secret": "x", "prot": 1}, "overrides"),
        ({"jwt_secret": "x", "port": 1, "PORT": 2}, "overrides"),
        ({"jwt_secret": "x", "port": True}, "port"),
        ({"jwt_secret": "x", "port": 1.5}, "port"),
        ({"jwt_secret": 5}, "jwt_secret"),
        ({"jwt_secret": "x", "name": None}, "name"),
        ({"jwt_secret": ""}, "jwt_secret"),
    ],
)
def test_an_override_that_fits_no_field_is_a_problem(overrides: dict[str, Any], field_name: str) -> None:
    assert field_name in problems_of(ConfigLoader(App, env={}, overrides=overrides))


def test_what_is_required_and_nowhere_is_told_with_every_place_that_was_looked_at(secrets: Any) -> None:
    without = problems_of(ConfigLoader(App, env={}))["jwt_secret"]
    assert "JWT_SECRET_FILE" in without
    assert "no secrets" in without
    assert "keystead holds no" in problems_of(ConfigLoader(App, env={}), secrets())["jwt_secret"]


def test_every_problem_is_told_at_once(tmp_path: Path, secrets: Any) -> None:
    @dataclass
    class Many:
        a: int
        b: bool
        c: SecretURL
        d: SecretStr
        e: str = ""

    loader = ConfigLoader(Many, env={"A": "x", "B": "x", "C": "x", "E_FILE": "x"}, overrides={"z": 1})
    assert set(problems_of(loader, secrets())) == {"a", "b", "c", "d", "e", "overrides"}


def test_an_expired_secret_is_a_problem_of_its_field_and_never_taken_from_the_environment(secrets: Any) -> None:
    source = secrets({"JWT_SECRET": SecretExpired("JWT_SECRET expired"), "NAME": IntegrityError("NAME is not whole")})
    problems = problems_of(ConfigLoader(App, env={"JWT_SECRET": "old", "PORT": "x"}), source)
    assert set(problems) == {"jwt_secret", "name", "port"}
    assert "expired" in problems["jwt_secret"]


@pytest.mark.parametrize("error", [StoreUnavailable("away"), SessionEnded("ended")])
def test_a_store_that_is_away_is_no_problem_of_the_configuration_and_raises_as_it_is(error: Any, secrets: Any) -> None:
    with pytest.raises(type(error)):
        ConfigLoader(App, env={"JWT_SECRET": "x"}).load(secrets({"JWT_SECRET": error}))


def test_a_fallback_to_the_environment_counts_as_the_environment() -> None:
    class Falling:
        def get_secrets(self, names: Any, *, missing: str = "raise") -> dict[str, SecretValue]:
            return {"NAME": SecretValue("plain", name="NAME"), "JWT_SECRET": SecretValue("s", name="JWT_SECRET")}

    loader = ConfigLoader(App, env={"NAME": "plain", "JWT_SECRET": "s"})
    assert loader.load(Falling()).name == "plain"
    assert loader.get_status().sources == {"jwt_secret": "environment", "port": "default", "name": "environment"}


def test_without_a_schema_settings_are_read_by_name_through_the_same_order(tmp_path: Path, secrets: Any) -> None:
    (tmp_path / ".env").write_text("D=file\nC=file\n")
    (tmp_path / "e").write_text("from file\n")
    env = {"C": "env", "DB_PASSWORD": "pw", "R": "secret://other", "E_FILE": str(tmp_path / "e")}
    loader = ConfigLoader(env=env, env_file=tmp_path / ".env", overrides={"A": "override", "n": 5})
    assert loader.load(secrets(A="secret", B="secret", other="o")) is None
    assert (loader.get("A"), loader.get("C"), loader.get("D"), loader.get("n")) == ("override", "env", "file", 5)
    assert (loader.get("db/password"), loader.get("E")) == ("pw", "from file")
    for name, value in (("B", "secret"), ("R", "o")):
        assert isinstance(loader.get(name), SecretValue)
        assert loader.get(name) == value
    assert loader.get("NOWHERE", default=None) is None
    with pytest.raises(ConfigurationError, match="NOWHERE"):
        loader.get("NOWHERE")
    with pytest.raises(UsageError):
        loader.get("not a name")
    assert (loader.get_public(), loader.get_connections(), loader.is_valid()) == ({}, {}, True)


def test_a_default_does_not_hide_a_setting_that_is_there_and_wrong(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        ConfigLoader(env={"A_FILE": str(tmp_path / "absent")}).get("A", default="d")
    (tmp_path / ".env").write_text("A='")
    with pytest.raises(ConfigurationError):
        ConfigLoader(env={}, env_file=tmp_path / ".env").get("A", default="d")

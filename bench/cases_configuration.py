"""A configuration of thirty fields, from the environment and from a `.env` file."""

from __future__ import annotations

import os
from dataclasses import field, make_dataclass
from pathlib import Path
from typing import Any

from pydantic import create_model
from pydantic_settings import BaseSettings, SettingsConfigDict

from bench.harness import Contender, race
from bench.lab import Lab
from bench.report import Row, ahead
from keystead import ConfigLoader

TITLE = "Configuration of 30 fields (CPU of one load)"
KINDS: tuple[tuple[type, str, object], ...] = (
    (str, "a text of some length", "a text of some length"),
    (int, "8080", 8080),
    (float, "0.25", 0.25),
    (bool, "true", True),
    (str, "another", "another"),
)
FIELDS = {f"setting_{number:02}": KINDS[number % len(KINDS)] for number in range(30)}
TEXTS = {name.upper(): text for name, (_, text, _) in FIELDS.items()}
EXPECTED = {name: value for name, (_, _, value) in FIELDS.items()}


def ours() -> Any:
    """The schema as a dataclass."""
    return make_dataclass("Settings", [(name, kind, field(default=kind())) for name, (kind, _, _) in FIELDS.items()])


def theirs(**options: Any) -> Any:
    """The same schema for pydantic-settings."""

    class Base(BaseSettings):
        model_config = SettingsConfigDict(**options)

    return create_model("Settings", __base__=Base, **{n: (kind, kind()) for n, (kind, _, _) in FIELDS.items()})


def right(loaded: Any) -> bool:
    """Whether every field has its value and type."""
    got = {name: getattr(loaded, name) for name in FIELDS}
    return got == EXPECTED and all(type(got[name]) is kind for name, (kind, _, _) in FIELDS.items())


def rows(lab: Lab) -> list[Row]:
    """Both sources against pydantic-settings."""
    file: Path = lab.folder("configuration") / "settings.env"
    file.write_text("".join(f'{name}="{text}"\n' for name, text in TEXTS.items()))
    schema, bare, filed = ours(), theirs(), theirs(env_file=str(file))
    from_file = Contender("file", lambda: ConfigLoader(schema, env={}, env_file=file).load(), right)
    from_file_theirs = Contender("pydantic file", filed, right)
    mine, others = race([from_file, from_file_theirs])
    os.environ.update(TEXTS)
    try:
        from_environment = Contender("environment", lambda: ConfigLoader(schema).load(), right)
        mine_environment, others_environment = race([from_environment, Contender("pydantic", bare, right)])
    finally:
        for name in TEXTS:
            del os.environ[name]
    peer = "pydantic-settings"
    return [
        ahead("from the environment", mine_environment.cpu, peer, others_environment.cpu, times=20),
        ahead("from a `.env` file", mine.cpu, peer, others.cpu, times=20),
    ]

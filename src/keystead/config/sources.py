"""Where settings come from beside secrets: the environment, a `.env` file, files that a `NAME_FILE` variable names."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from keystead.config.dotenv import assignments
from keystead.errors import ConfigurationError, UsageError

MAX_FILE_SIZE = 1024 * 1024
_USUAL_SIZE = 16 * 1024  # room for a whole MiB costs more than reading a usual file

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def environment(env: Mapping[str, str] | None, variables: Mapping[bytes, str]) -> Mapping[str, str]:
    """The variables among these that are set; `env` itself where one is given, else the process's at this moment."""
    if env is not None:
        return env
    table, text = _environment_table(), os.fsdecode
    return {variables[key]: text(table[key]) for key in variables.keys() & table.keys()}


def _environment_table() -> Mapping[bytes, bytes]:
    # os.environ is Python code around a dictionary, and listing it costs more than all the rest of a load; where that
    # dictionary is not to be had, it is listed all the same.
    table = getattr(os.environb, "_data", None)
    return table if isinstance(table, dict) else os.environb


def whole_environment(env: Mapping[str, str] | None) -> Mapping[str, str]:
    """The environment that `${NAME}` in a `.env` file means."""
    return os.environ if env is None else env


@dataclass(frozen=True, slots=True)
class EnvFile:
    """What a `.env` file gives; `unknown` holds the names whose value has a `${...}` that nothing sets.

    `found` is False where there is no such file, which is no error: where settings come by environment there is none.
    `problem` says why the file cannot be used, "" where it can.
    """

    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    unknown: frozenset[str] = frozenset()
    found: bool = False
    problem: str = ""


def read_env_file(path: str | os.PathLike[str] | None, env: Mapping[str, str]) -> EnvFile:
    """The settings of a `.env` file. `${NAME}` and `${NAME:-default}` mean the environment's variable, else an
    earlier one of the file; between single quotes they stay as they are."""
    if path is None:
        return EnvFile()
    try:
        text = _text(Path(path))
        if text is None:
            return EnvFile()
        return _interpolated(text, env)
    except (UsageError, ConfigurationError) as error:
        return EnvFile(found=True, problem=f"{Path(path).absolute()}: {error.message}")


def _interpolated(text: str, env: Mapping[str, str]) -> EnvFile:
    values: dict[str, str] = {}
    unknown: set[str] = set()
    for name, value, _start, _end, literal in assignments(text):
        unknown.discard(name)
        meant = value if literal or "${" not in value else _meant(value, env, values, unknown)
        values[name] = meant or ""
        if meant is None:
            unknown.add(name)
    return EnvFile(values, frozenset(unknown), found=True)


def _meant(value: str, env: Mapping[str, str], above: Mapping[str, str], unknown: Collection[str]) -> str | None:
    parts: list[str] = []
    position = 0
    for match in _VARIABLE.finditer(value):
        variable, default = match.groups()
        found = env.get(variable)
        if found is None:
            found = default if variable in unknown else above.get(variable, default)
        if found is None:
            return None
        parts += (value[position : match.start()], found)
        position = match.end()
    return "".join((*parts, value[position:]))


def read_setting(path: str) -> str:
    """The text of a file that a `NAME_FILE` variable names, one line end at its end taken away.

    Raises:
        UsageError: no file, not readable, not UTF-8, or over 1 MiB. The message does not repeat the path, since a
            value may have been given in its place.
    """
    text = _text(Path(path)) if path else None
    if text is None:
        raise UsageError("the file that it names is not there")
    return text.removesuffix("\n").removesuffix("\r")


def _text(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            data = file.read(_USUAL_SIZE)
            if len(data) == _USUAL_SIZE:
                data += file.read(MAX_FILE_SIZE + 1 - _USUAL_SIZE)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        data, reason = None, getattr(error, "strerror", None) or "not a path"
    if data is None:
        raise UsageError(f"the file cannot be read ({reason})")
    if len(data) > MAX_FILE_SIZE:
        raise UsageError(f"the file is larger than {MAX_FILE_SIZE} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError:
        pass  # raised below, outside: the error of the codec holds the file's bytes
    raise UsageError("the file is not UTF-8 text")

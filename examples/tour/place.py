"""What the steps share: the folders, the values that they know, the open store, and the command `keystead`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keystead
from tour.promise import hold

STORE = ".keystead"


@dataclass
class Tour:
    """One run. `folder` is made anew; `environment` is what child processes get.

    `values` are the secrets as they are to be now, `everything_secret` whatever must not be readable in any file.
    """

    folder: Path
    env_file: Path
    environment: Mapping[str, str]
    values: dict[str, str] = field(default_factory=dict)
    everything_secret: dict[str, str] = field(default_factory=dict)
    envelope: Mapping[str, Any] = field(default_factory=dict)
    opened: keystead.Connection | None = None

    @property
    def app(self) -> Path:
        """The folder of the application whose secrets these are. Commands run in it."""
        return self.folder / "app"

    @property
    def store(self) -> Path:
        """The folder of its store."""
        return self.app / STORE

    @property
    def connection(self) -> keystead.Connection:
        """The store, opened by the first step."""
        if self.opened is None:
            raise RuntimeError("no step opened the store")
        return self.opened

    def command(self, line: str, *more: str, given: str = "", code: int = 0, **variables: str) -> str:
        """What `keystead` prints: `line` is split at spaces, `more` are arguments as they are, `given` is its input.

        Raises:
            Broken: it ended with another code.
        """
        done = subprocess.run(
            [Path(sys.executable).with_name("keystead"), *line.split(), *more],
            cwd=self.app,
            env={**self.environment, **variables},
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )
        hold(
            f"keystead {line} ends with {code}, but it ended with {done.returncode}: {done.stderr.strip()}",
            done.returncode == code,
        )
        return done.stdout

    def close(self) -> None:
        """Close what the steps opened."""
        if self.opened is not None:
            self.opened.close()

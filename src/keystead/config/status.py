"""What a configuration says of itself, without any value."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConfigStatus:
    """The last attempt to load a configuration.

    `sources` maps each field to `overrides`, `secrets`, `environment`, `env_file`, `default` or `missing`; `origins` to
    the variable or the secret that it was found under; `errors` to what is wrong with it. `loaded` says whether an
    earlier or this attempt gave an instance, `valid` whether the last one did.
    """

    schema: str
    valid: bool
    loaded: bool
    sources: Mapping[str, str]
    origins: Mapping[str, str]
    errors: Mapping[str, str]
    env_file: str
    env_file_found: bool

    def to_json(self) -> dict[str, object]:
        """The same names and values, as JSON has them."""
        return dataclasses.asdict(self)

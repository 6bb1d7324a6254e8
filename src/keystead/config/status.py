"""What a configuration says of itself, without any value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


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

    def as_dict(self) -> dict[str, Any]:
        """The same facts under the same names."""
        return asdict(self)

    def to_json(self) -> str:
        """The same facts as one JSON document."""
        return json.dumps(self.as_dict(), indent=2, sort_keys=True)

"""The status of a SecretsManager."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class SecretsStatus:
    """Figures and names, never a value. `hit_rate` is 0 to 1; `failed` and `fallbacks` map names to why and to what."""

    initialized: bool = False
    hits: int = 0
    misses: int = 0
    hit_rate: float = 0.0
    entries: int = 0
    bytes: int = 0
    evicted: int = 0
    stale_served: int = 0
    imported: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    fallbacks: dict[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The same figures under the same names."""
        return asdict(self)

    def to_json(self) -> str:
        """The same figures as one JSON document."""
        return json.dumps(self.as_dict(), indent=2, sort_keys=True)

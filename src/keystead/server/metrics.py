"""Figures of one worker in the text format of Prometheus. Labels have few values, and no names of what is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

_METHODS: Final = frozenset(("GET", "POST", "PUT", "PATCH", "DELETE", "refused"))


class Metrics:
    """What the worker counts as it answers."""

    def __init__(self) -> None:
        self._answers: Counter[tuple[str, int]] = Counter()

    def answered(self, method: str, status: int) -> None:
        """One answer left."""
        self._answers[method if method in _METHODS else "other", status] += 1

    def text(self, gauges: Mapping[str, tuple[str, float]]) -> str:
        """All of it; `gauges` are figures of now by name, with what they mean."""
        lines = [
            "# HELP keystead_requests_total Requests answered, by method and status.",
            "# TYPE keystead_requests_total counter",
        ]
        lines += [
            f'keystead_requests_total{{method="{method}",status="{status}"}} {count}'
            for (method, status), count in sorted(self._answers.items())
        ]
        for name, (what, value) in gauges.items():
            kind = "counter" if name.endswith("_total") else "gauge"
            lines += [f"# HELP keystead_{name} {what}", f"# TYPE keystead_{name} {kind}", f"keystead_{name} {value:g}"]
        return "\n".join(lines) + "\n"

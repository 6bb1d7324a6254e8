"""`python -m bench [PART ...]`: all parts, or those named; a whole run writes docs/benchmark.md."""

from __future__ import annotations

import importlib
import logging
import sys
import time

from bench import report
from bench.harness import ROOT, pin
from bench.lab import lab

PARTS = ("ciphers", "secrets", "files", "configuration", "policies", "keys", "footprint")
PAGE = ROOT / "docs" / "benchmark.md"


def main(names: list[str]) -> int:
    """Measure, print, and say how many targets were missed; 0 unless an answer was wrong or a part is unknown."""
    unknown = set(names) - set(PARTS)
    if unknown:
        print(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    logging.disable(logging.WARNING)
    core = pin()
    print(report.setting(core))
    tables, missed, met = [], 0, 0
    for name in names or PARTS:
        part = importlib.import_module(f"bench.cases_{name}")
        started = time.perf_counter()
        with lab() as place:
            rows = part.rows(place)
        print(report.as_text(f"{part.TITLE}, measured in {time.perf_counter() - started:.0f} s", rows), flush=True)
        tables.append(report.as_markdown(part.TITLE, rows))
        missed += sum(row.passed is False for row in rows)
        met += sum(row.passed is True for row in rows)
    summary = f"{met} targets met, {missed} missed."
    print(f"\n{summary}")
    if not names:
        report.write_into(PAGE, "\n\n".join((f"{report.setting(core)} {summary}", *tables)))
        print(f"written to {PAGE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The long campaigns, apart from the suite: `python tests/faults/campaign.py kills|nonces [--count N] [changes...]`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.faults.injection import why_not
from tests.faults.kills import CHANGES, Kills


def kills(changes: list[str], count: int) -> int:
    """Kill each change at up to `count` places; how many of the stores were not what was promised."""
    reason = why_not()
    if reason:
        print(reason)
        return 1
    bad: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        made = Kills(Path(folder))
        for change in changes:
            start, places, killed = time.monotonic(), made.points(change), 0
            for point in places[:count]:
                try:
                    killed += made.kill(change, point).killed
                except Exception as error:
                    bad[change] += 1
                    print(f"  {change} {point}: {type(error).__name__}: {error}")
            seconds = time.monotonic() - start
            print(
                f"{change:18} {len(places):4} places, {killed:4} killed, {bad[change]} bad, {seconds:.1f} s", flush=True
            )
        made.close()
    return bad.total()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("campaign", choices=["kills"])
    parser.add_argument("changes", nargs="*", default=list(CHANGES))
    parser.add_argument("--count", type=int, default=1_000_000, help="at most so many places a change")
    arguments = parser.parse_args()
    return 1 if kills(arguments.changes, arguments.count) else 0


if __name__ == "__main__":
    sys.exit(main())

"""`make policy-campaign`: the policy engine against its model on as many generated cases as are wanted."""

from __future__ import annotations

import sys
import time
from multiprocessing import Pool, cpu_count

from tests.policy.generated import differences

PART = 20_000


def part(seed: int) -> list[str]:
    return list(differences(seed, PART))


def main(arguments: list[str]) -> int:
    count = int(arguments[0]) if arguments else 1_000_000
    first = int(arguments[1]) if len(arguments) > 1 else 1
    seeds = range(first, first + -(-count // PART))
    started, found = time.monotonic(), 0
    with Pool(cpu_count()) as pool:
        for told in pool.imap_unordered(part, seeds):
            found += len(told)
            for line in told[:3]:
                print(line)
    seconds = time.monotonic() - started
    print(f"{len(seeds) * PART:,} cases from seed {first}, {found} differences, {seconds:.0f} s")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`make server-soak ARGS=15`: mixed load on a real server for so many minutes, with faults, beside a model.

Ends with 0 where nothing differs from the model, memory and descriptors stay flat, and the log is whole.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.server.soak.faults import WARM_UP, Faults
from tests.server.soak.figures import told, verdicts, write_page
from tests.server.soak.identity_load import TokenActor, UserActor
from tests.server.soak.key_load import KeyActor
from tests.server.soak.last import compare_last
from tests.server.soak.measuring import Measuring
from tests.server.soak.other_load import HostileActor, RacingActor, WaitingActor
from tests.server.soak.secret_load import SecretActor
from tests.server.soak.site import Site
from tests.server.soak.world import Actor, World

CLIENTS: tuple[tuple[type[Actor], int], ...] = (
    (SecretActor, 3), (KeyActor, 2), (TokenActor, 2), (UserActor, 1), (RacingActor, 2), (WaitingActor, 1),
    (HostileActor, 2),
)  # fmt: skip
JOIN_SECONDS = 120


def main(minutes: str = "15", seed: str = "") -> int:
    """The exit code. The figures are written to docs/soak.md by a soak of a quarter of an hour or longer."""
    seconds, number = float(minutes) * 60, int(seed or random.SystemRandom().randrange(10**6))
    print(f"a soak of {minutes} minutes, seed {number}", flush=True)
    with tempfile.TemporaryDirectory(prefix="keystead-soak-") as folder:
        world = World(Site(Path(folder)), number)
        try:
            figures, lines = soaked(world, seconds)
        finally:
            world.site.kill_all()
    text = told(seconds, number, figures, lines, world.differences)
    print(text)
    if seconds >= 15 * 60:
        write_page(text)
    return 1 if any(line.is_missed for line in lines) or world.differences else 0


def soaked(world: World, seconds: float) -> tuple[dict[str, str], list]:
    """Figures by what they are, and the lines of the table of processes."""
    world.site.start()
    actors = [kind(world, number) for kind, count in CLIENTS for number in range(count)]
    began = time.monotonic()
    measuring, faults = Measuring(world, began, seconds * WARM_UP), Faults(world, seconds, began)
    for thread in (*actors, measuring, faults):
        thread.start()
    while (left := began + seconds - time.monotonic()) > 0:
        time.sleep(min(left, 30))
        requests = sum(actor.counts["requests"] for actor in actors)
        print(
            f"{time.monotonic() - began:5.0f} s  {requests:,} requests, {len(world.differences)} differences",
            flush=True,
        )
    measuring.over.set()
    measuring.join()
    world.over.set()
    for thread in (*actors, faults):
        thread.join(JOIN_SECONDS)
        if thread.is_alive():
            world.differ(f"{thread.name} does not come to an end")
    ended = compare_last(world, actors)
    counts = sum((actor.counts for actor in actors), Counter())
    return {**figures_of(counts, faults.counts), **ended, **grown(measuring)}, verdicts(measuring, seconds * WARM_UP)


def figures_of(counts: Counter[str], faults: Counter[str]) -> dict[str, str]:
    statuses = {name: count for name, count in counts.items() if name.startswith("answers ") and name != "answers lost"}
    figures = {name: f"{count:,}" for name, count in sorted(counts.items()) if name not in statuses}
    figures["statuses"] = ", ".join(f"{name[8:]}: {count:,}" for name, count in sorted(statuses.items()))
    figures["faults"] = ", ".join(f"{name}: {count}" for name, count in sorted(faults.items()))
    return figures


def grown(measuring: Measuring) -> dict[str, str]:
    """Sizes of what is stored, at a third and at the end."""
    at_third, at_end = measuring.sizes[len(measuring.sizes) // 3], measuring.sizes[-1]
    names = ("the store", "what is written ahead of it (WAL)", "the log")
    return {
        f"MiB of {name}, at a third and at the end": f"{at_third[at] / 2**20:.1f}, {at_end[at] / 2**20:.1f}"
        for at, name in enumerate(names, 1)
    } | {"most MiB of the WAL": f"{max(size[2] for size in measuring.sizes) / 2**20:.1f}"}


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

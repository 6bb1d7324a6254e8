"""What goes wrong in a soak, and when: processes that are killed, certificates that change."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable

from tests.server.soak.world import World

WARM_UP = 1 / 3
LATE = 0.55
"""From this part of the soak on no worker is killed, so that more than one process lives for long enough."""


class Faults(threading.Thread):
    """Parts of the soak's length, and what is done then. In the warm-up everything is killed. Behind it the eldest
    worker and the parent are spared until the end, for their memory is measured."""

    def __init__(self, world: World, seconds: float, began: float) -> None:
        super().__init__(name="faults", daemon=True)
        self._world, self._seconds, self._began = world, seconds, began
        self._chosen = random.Random(f"{world.seed}/faults")
        self.counts: Counter[str] = Counter()

    def plan(self) -> list[tuple[float, Callable[[], None]]]:
        early = [0.02, 0.06, 0.10, 0.14, 0.22]
        # So far apart that each has lived; soon over in a long soak, so that the last one lives long.
        late = [WARM_UP + step * max(0.015, 45 / self._seconds) for step in range(5)]
        at: list[tuple[float, Callable[[], None]]] = [(part, self.kill_any) for part in early]
        at += [(part, self.kill_youngest) for part in late if part < LATE]
        at += [(0.08, self.kill_parent), (0.18, self.kill_all), (0.26, self.kill_parent)]
        at += [(0.01 + part / 20, self.renew if part % 2 else self.hang_up) for part in range(20)]
        return sorted(at, key=lambda each: each[0])

    def run(self) -> None:
        try:
            for part, what in self.plan():
                if self._world.over.wait(max(0.0, self._began + part * self._seconds - time.monotonic())):
                    return
                what()
                if part > LATE + 30 / self._seconds:
                    self._world.quiet.set()
                self.counts[what.__name__.replace("_", " ")] += 1
        except Exception:
            self._world.differ(f"faults ended: {traceback.format_exc()}")

    def _kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + 30
        while len([each for each in self._world.site.workers() if each.pid != pid]) < 2:
            if time.monotonic() > end:
                self._world.differ(f"worker {pid} was killed, and none came in its place")
                return
            time.sleep(0.05)

    def kill_any(self) -> None:
        self._kill(self._chosen.choice(self._world.site.workers()).pid)

    def kill_youngest(self) -> None:
        self._kill(self._world.site.workers()[-1].pid)

    def kill_parent(self) -> None:
        self._world.site.kill_parent()

    def kill_all(self) -> None:
        self._world.site.kill_all()
        self._world.site.start()

    def hang_up(self) -> None:
        pid = self._world.site.parent()
        if pid is not None:
            os.kill(pid, signal.SIGHUP)

    def renew(self) -> None:
        """Another certificate is served within a few seconds, in every worker or the next that is asked."""
        site = self._world.site
        before = site.served()
        site.renew()
        end = time.monotonic() + 20
        while site.served() == before:
            if time.monotonic() > end:
                self._world.differ("a new certificate is not served")
                return
            time.sleep(0.2)

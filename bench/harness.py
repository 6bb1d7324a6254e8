"""Interleave, check, measure: every contender's answer is checked before it is timed, and all are timed in turn."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROUNDS = 21
BATCH_SECONDS = 0.003
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Contender:
    """Who runs: `call` is one operation, `check` says whether its answer is right; `after` runs untimed."""

    name: str
    call: Callable[[], object]
    check: Callable[[object], bool]
    after: Callable[[], object] | None = None


@dataclass(frozen=True)
class Timing:
    """Seconds of one call, the least over all rounds: CPU of the whole process, and wall time."""

    cpu: float
    wall: float


def pin() -> int:
    """Keep this process and its children on one core, so that rounds compare; the core's number."""
    core = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {core})
    return core


def _batch(call: Callable[[], object], count: int) -> tuple[float, float]:
    loop = range(count)
    gc.disable()
    try:
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in loop:
            call()
        return (time.process_time() - cpu) / count, (time.perf_counter() - wall) / count
    finally:
        gc.enable()


def _batch_size(contender: Contender, seconds: float) -> int:
    count = 1
    while count < 1_000_000:
        _, wall = _batch(contender.call, count)
        _settle(contender)
        if wall * count >= seconds:
            break
        count *= 2
    return count


def _settle(contender: Contender) -> None:
    if contender.after is not None:
        contender.after()


def race(contenders: Sequence[Contender], *, rounds: int = ROUNDS, seconds: float = BATCH_SECONDS) -> list[Timing]:
    """Time all contenders in interleaved rounds, each in batches of about `seconds`.

    Raises:
        AssertionError: a contender gives a wrong answer; nobody is timed then.
    """
    for contender in contenders:
        if not contender.check(contender.call()):
            raise AssertionError(f"{contender.name} gives a wrong answer")
        _settle(contender)
    counts = [_batch_size(contender, seconds) for contender in contenders]
    least = [Timing(float("inf"), float("inf"))] * len(contenders)
    for turn in range(rounds):
        gc.collect()
        # The order turns with the rounds, so that nobody always runs after the same neighbour.
        for step in range(len(contenders)):
            index = (turn + step) % len(contenders)
            cpu, wall = _batch(contenders[index].call, counts[index])
            _settle(contenders[index])
            least[index] = Timing(min(least[index].cpu, cpu), min(least[index].wall, wall))
    return least


@dataclass(frozen=True)
class Fresh:
    """One run of a fresh process: CPU seconds (user and system), wall seconds, what it printed."""

    cpu: float
    wall: float
    out: str


def fresh(arguments: Sequence[str], *, environment: dict[str, str] | None = None, cwd: Path = ROOT) -> Fresh:
    """Run a process to its end and measure it.

    Raises:
        AssertionError: it did not exit 0.
    """
    # Byte code is kept, as where it is installed; whoever has forbidden that would time the compiler.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    process = subprocess.Popen(
        list(arguments), stdout=subprocess.PIPE, env={**inherited, **(environment or {})}, cwd=cwd, text=True
    )
    assert process.stdout is not None
    with process.stdout:
        out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - started
    assert process.returncode == 0, f"{arguments} exited {process.returncode}"
    return Fresh(usage.ru_utime + usage.ru_stime, wall, out)


def fresh_python(code: str, *, environment: dict[str, str] | None = None) -> Fresh:
    """`fresh` for a piece of Python in this interpreter."""
    return fresh([sys.executable, "-c", code], environment=environment)


def race_fresh(codes: Sequence[str], *, rounds: int = 15, environment: dict[str, str] | None = None) -> list[Fresh]:
    """Fresh interpreters in interleaved rounds; for each the run with the least CPU."""
    for code in codes:
        fresh_python(code, environment=environment)  # writes the byte code that the measured runs load
    runs = [[fresh_python(code, environment=environment) for code in codes] for _ in range(rounds)]
    return [min((run[index] for run in runs), key=lambda one: one.cpu) for index in range(len(codes))]

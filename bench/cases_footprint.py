"""Fresh processes: start-up, memory, size on disk, and the figures that were promised for the original."""

from __future__ import annotations

import json
import statistics
import sys
import threading
import time
from pathlib import Path
from typing import Any

import keystead
from bench.cases_secrets import VALUE, fill
from bench.harness import fresh, race_fresh
from bench.lab import ENV, Lab
from bench.report import Row, bound, seconds, size

TITLE = "Start, memory, disk, load"
RESIDENT = "\nprint(int(open('/proc/self/statm').read().split()[1]) * __import__('os').sysconf('SC_PAGE_SIZE'))"
IN: dict[str, Any] = {"environment": ENV}
THREADS, RATE, SECONDS = 32, 640, 5
MIX = "5 % stored, 15 % from the store, 40 % envelopes, 40 % cached"
PASSPHRASE = "a passphrase of seven plain words here"
CONNECTED = """
import keystead
connection = keystead.connect({url!r})
connection.secrets.get_secret("NAME_000050")
"""
CACHED = """
import gc, tracemalloc, keystead
connection = keystead.connect({url!r})
names = [f"NAME_{{number:06}}" for number in range(1000)]
connection.secrets.get_secret(names[0])
gc.collect(); tracemalloc.start()
values = connection.secrets.get_secrets(names)
del values; gc.collect()
print(tracemalloc.get_traced_memory()[0])
assert connection.secrets.get_status().entries >= 1000
"""
INITIALIZED = """
import time
started = time.perf_counter()
import keystead
with keystead.connect({url!r}{options}) as connection:
    print(time.perf_counter() - started)
"""


def start(url: Path) -> list[Row]:
    """What an import and a command cost."""
    bare, imported, used = race_fresh(["pass", "import keystead", "from keystead import connect"])
    command = Path(sys.executable).with_name("keystead")
    runs = [fresh([str(command), "--store", str(url), "get", "NAME_000050"], environment=ENV) for _ in range(10)]
    assert runs[0].out.rstrip("\n") == VALUE
    return [
        bound("`import keystead`, CPU beyond bare Python", imported.cpu - bare.cpu, 0.045, beside=beside(bare.cpu)),
        bound("`from keystead import connect`, the same", used.cpu - bare.cpu, 0.045, beside=beside(bare.cpu)),
        bound("`keystead get`, CPU of the whole process", min(run.cpu for run in runs), 0.150, beside=beside(bare.cpu)),
    ]


def beside(bare: float) -> str:
    """What a bare interpreter takes."""
    return f"bare Python {seconds(bare)}"


def memory(url: Path) -> list[Row]:
    """What a connected service and a full cache hold."""
    bare, connected = race_fresh(["pass" + RESIDENT, CONNECTED.format(url=str(url)) + RESIDENT], rounds=5, **IN)
    cached = race_fresh([CACHED.format(url=str(url))], rounds=1, **IN)[0]
    base = float(bare.out)
    return [
        bound("a connected service, resident beyond bare Python", float(connected.out) - base, 16 << 20, unit="B"),
        bound("1,000 cached secrets, as Python counts it", float(cached.out), 1 << 20, unit="B"),
    ]


def promised(lab: Lab, url: Path) -> list[Row]:
    """The figures that were promised for the original, with ours."""
    with_key = race_fresh([INITIALIZED.format(url=str(url), options="")], rounds=5, **IN)[0]
    sealed = lab.folder("passphrase") / "store.db"
    with keystead.connect(sealed, master_key=keystead.Passphrase(PASSPHRASE)):
        pass
    code = INITIALIZED.format(url=str(sealed), options=f", master_key=keystead.Passphrase({PASSPHRASE!r})")
    with_passphrase = race_fresh([code], rounds=5, **IN)[0]
    return [
        bound("initialization with a master key, import included", float(with_key.out), 1.0),
        bound("initialization with a passphrase (Argon2id), import included", float(with_passphrase.out), 1.0),
        *served(lab),
        *sizes(lab),
    ]


def served(lab: Lab) -> list[Row]:
    """A cache miss, and a mixed load from 32 threads."""
    with lab.connection("served") as connection:
        fill(connection.secrets, 1000)
        waits = []
        for number in range(500):
            connection.secrets.clear_cache()
            started = time.perf_counter()
            connection.secrets.get_secret(f"NAME_{number:06}")
            waits.append(time.perf_counter() - started)
        rate, slow = load(connection)
    miss = statistics.quantiles(waits, n=100)[98]
    return [
        bound("a cache miss, 99th percentile", miss, 0.010, beside=f"median {seconds(statistics.median(waits))}"),
        Row(
            f"operations a second, {THREADS} threads, {RATE:,} asked for", f"{rate:,.0f}", MIX, "", "≥ 100", rate >= 100
        ),
        bound(f"99th percentile of these, {THREADS} threads", slow, 0.015),
    ]


def load(connection: Any) -> tuple[float, float]:
    """Operations a second and the 99th percentile of what each took, begun at fixed times by 32 threads."""
    waits: list[float] = []
    share = RATE / THREADS
    begun = time.perf_counter()

    def work(number: int) -> None:
        for turn in range(int(SECONDS * share)):
            due = begun + (turn + number / THREADS) / share
            time.sleep(max(0.0, due - time.perf_counter()))
            operation(connection, number, turn)
            waits.append(time.perf_counter() - due)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(waits) == int(SECONDS * share) * THREADS, "a thread ended early"
    return len(waits) / (time.perf_counter() - begun), statistics.quantiles(waits, n=100)[98]


def operation(connection: Any, number: int, turn: int) -> None:
    """One of the mix."""
    name = f"NAME_{(number * 31 + turn) % 1000:06}"
    kind = turn % 20
    if kind == 0:
        connection.kms.store_secret(f"THREAD_{number:02}", VALUE)
    elif kind < 4:
        assert connection.kms.get_secret(name) == VALUE
    elif kind < 12:
        envelope = connection.kms.encrypt_data(VALUE, aad=name)
        assert connection.kms.decrypt_data(envelope, aad=name) == VALUE
    else:
        assert connection.secrets.get_secret(name) == VALUE


def sizes(lab: Lab) -> list[Row]:
    """What envelope v1 adds to a message, and what 1,000 secrets take on the disk."""
    with lab.connection("sizes") as connection:
        envelope = connection.kms.encrypt_data("x" * 64)
        added = len(json.dumps(envelope, separators=(",", ":"))) - 64
        fill(connection.secrets, 1000)
    folder = lab.disk / "sizes"
    database = sum(path.stat().st_size for path in folder.glob("store.db*") if path.is_file())
    whole = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return [
        bound("what envelope v1 adds to 64 bytes", added, 200, unit="bytes"),
        bound("1,000 secrets on the disk", database, 1.2e6, unit="B", beside=f"{size(whole)} with the audit log"),
    ]


def rows(lab: Lab) -> list[Row]:
    """All of it, over one store of a thousand secrets."""
    with lab.connection("footprint") as connection:
        fill(connection.secrets, 1000)
    url = lab.disk / "footprint" / "store.db"
    return [*start(url), *memory(url), *promised(lab, url)]

"""What a server was lent for a moment goes back to the system."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

GNU = pytest.mark.skipif(
    not sys.platform.startswith("linux") or not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"),
    reason="another C library",
)
LENDS = """
import re, sys, threading
from pathlib import Path
from keystead.server.memory import give_back, keep_little

def resident():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

def lend(kept, size, ready):
    lent = [bytes(size) for _ in range((16 << 20) // size)]
    kept += lent[::50]
    ready.wait()

if sys.argv[1] == "little":
    keep_little()
before, kept = resident(), []
for size in (2_000, 60_000, 200_000):
    ready = threading.Barrier(8)
    threads = [threading.Thread(target=lend, args=(kept, size, ready)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
if sys.argv[1] == "little":
    give_back()
print(resident() - before - sum(map(len, kept)) / 2**20)
"""


@GNU
def test_memory_that_threads_were_lent_goes_back_where_little_is_kept() -> None:
    def left(how: str) -> float:
        ran = subprocess.run([sys.executable, "-c", LENDS, how], check=True, capture_output=True, text=True)
        return float(ran.stdout)

    little, much = left("little"), left("much")
    assert little < 8 < much

"""What the C library keeps of memory that Python has given back, where that is the GNU one; elsewhere nothing happens.

Left to itself it gives each thread an arena of its own, and keeps for later what was freed in any of them: a server
that runs for months, and is asked large things now and then, grows into the gaps of all of them.
"""

from __future__ import annotations

import ctypes
from typing import Final

# malloc.h. A threshold that is set stays where it is: else each large buffer that is freed raises it, up to 32 MiB.
_SETTINGS: Final = (
    (-8, 1),  # M_ARENA_MAX: Python's threads take turns anyhow
    (-3, 128 * 1024),  # M_MMAP_THRESHOLD: what is larger goes back to the system when it is freed
    (-1, 128 * 1024),  # M_TRIM_THRESHOLD: and so does what is free at the end of the heap
)


def keep_little() -> None:
    """Have this process keep little; to be called while it has few threads."""
    for name, value in _SETTINGS:
        _call("mallopt", name, value)


def give_back() -> None:
    """Give the system the pages that nothing lies in."""
    _call("malloc_trim", 0)


def _call(name: str, *values: int) -> None:
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        getattr(library, name)(*values)

"""What the C library keeps of memory that Python has given back, where that is the GNU one; elsewhere nothing happens.

Left to itself it gives each thread an arena of its own, and keeps for later what was freed in any of them: a server
that runs for months, and is asked large things now and then, grows into the gaps of all of them.
"""

from __future__ import annotations

import ctypes
from typing import Final

_ARENA_MAX: Final = -8
"""M_ARENA_MAX of malloc.h."""


def keep_little() -> None:
    """Have this process keep little; to be called while it has few threads."""
    _call("mallopt", _ARENA_MAX, 1)


def give_back() -> None:
    """Give the system the pages that nothing lies in."""
    _call("malloc_trim", 0)


def _call(name: str, *values: int) -> None:
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        getattr(library, name)(*values)
